# What `cmake --install` installs, and the target `uninstall`.
install(TARGETS rhosweep)
if(RHOSWEEP_MPI)
  install(TARGETS rhosweep_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/rhosweep)
endif()
install(DIRECTORY sweeps DESTINATION ${RS_DATA} FILES_MATCHING PATTERN "*.ini")
install(FILES reports/pyproject.toml reports/LICENSE reports/requirements.txt
        DESTINATION ${RS_DATA}/reports)
install(DIRECTORY reports/rhosweep_reports DESTINATION ${RS_DATA}/reports
        PATTERN "__pycache__" EXCLUDE)
install(FILES README.md CHANGELOG.md CITATION.cff LICENSE ${PROJECT_BINARY_DIR}/copyright
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The form that Debian asks for, which has a blank before each line of a licence, and " ." for none.
file(READ LICENSE license)
string(REGEX REPLACE "^MIT License\n\nCopyright[^\n]*\n\n" "" license "${license}")
string(REGEX REPLACE "\n\n" "\n.\n" license "${license}")
string(STRIP "${license}" license)
string(REGEX REPLACE "\n" "\n " license " ${license}")
if(RHOSWEEP_CUDA)
  file(READ packaging/copyright-cuda cuda_runtime)
endif()
configure_file(packaging/copyright.in ${PROJECT_BINARY_DIR}/copyright @ONLY)

install(FILES ${PROJECT_BINARY_DIR}/rhosweep.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

# bash and zsh look for completions in these folders and by these names.
set(completions ${PROJECT_BINARY_DIR}/completions)
file(MAKE_DIRECTORY ${completions})
foreach(shell IN ITEMS bash zsh)
  add_custom_command(OUTPUT ${completions}/${shell} DEPENDS rhosweep
    COMMAND rhosweep completion ${shell} > ${completions}/${shell})
endforeach()
add_custom_target(rhosweep_completions ALL DEPENDS ${completions}/bash ${completions}/zsh)
install(FILES ${completions}/bash RENAME rhosweep
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${completions}/zsh RENAME _rhosweep
        DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)

add_custom_target(uninstall
  COMMAND ${CMAKE_COMMAND} -DMANIFEST=${PROJECT_BINARY_DIR}/install_manifest.txt
          -P ${PROJECT_SOURCE_DIR}/cmake/uninstall.cmake
  COMMENT "Removing what the last cmake --install put in place")
