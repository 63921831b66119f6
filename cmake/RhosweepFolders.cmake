# Where an installation has what. The program finds its data from its own folder, so that an
# installed tree may be moved.
include(GNUInstallDirs)
set(RS_DATA ${CMAKE_INSTALL_DATADIR}/rhosweep)
file(RELATIVE_PATH RS_DATA_FROM_PROGRAM ${CMAKE_INSTALL_FULL_BINDIR}
     ${CMAKE_INSTALL_FULL_DATADIR}/rhosweep)
file(RELATIVE_PATH RS_LIBRARIES_FROM_PROGRAM ${CMAKE_INSTALL_FULL_BINDIR}
     ${CMAKE_INSTALL_FULL_LIBDIR}/rhosweep)
