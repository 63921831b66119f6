# Packages: cpack --config build/release/CPackConfig.cmake -G DEB (or TGZ).
set(CPACK_PACKAGE_NAME rhosweep)
set(CPACK_PACKAGE_CONTACT "The Rhosweep developers" CACHE STRING "Maintainer, with an address")
set(CPACK_PACKAGE_VENDOR "The Rhosweep developers")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_GENERATOR TGZ)
set(CPACK_SOURCE_GENERATOR) # the sources are a git archive
set(CPACK_SYSTEM_NAME ${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR})

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# The reports are Python; sweeps and tables need none.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3 (>= 3.11), python3-matplotlib (>= 3.10)")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/debian/prerm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Unrolls recurrent networks (tanh, ReLU, LSTM, GRU), runs backpropagation
through time over many spectral radii of the recurrent weights at once, and
turns the norm of the gradient at every step into decay rates, profiles,
figures and tables for a paper.")
include(CPack)
