# The version of the program is that of the reports, so that one line of one file is to be changed.
set(pyproject ${CMAKE_CURRENT_LIST_DIR}/../reports/pyproject.toml)
file(STRINGS ${pyproject} line REGEX "^version = ")
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" RHOSWEEP_RELEASE "${line}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${pyproject})
