# version.h in the build folder: the project's version and the commit, asked anew at every build.
set(RS_VERSION_HEADER ${PROJECT_BINARY_DIR}/generated/version.h)
add_custom_target(rs_version_header
  BYPRODUCTS ${RS_VERSION_HEADER}
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
          -DOUT=${RS_VERSION_HEADER} -P ${PROJECT_SOURCE_DIR}/cmake/write_version.cmake)
add_library(rs_version INTERFACE)
target_include_directories(rs_version INTERFACE ${PROJECT_BINARY_DIR}/generated)
add_dependencies(rs_version rs_version_header)
