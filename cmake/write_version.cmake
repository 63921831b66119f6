cmake_policy(VERSION 3.25)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit) # a copy of the tree without .git
  set(commit "$ENV{RHOSWEEP_COMMIT}")
endif()
if(NOT commit)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT
"/* Written by the build. */
#ifndef RS_VERSION_H
#define RS_VERSION_H
#define RS_VERSION \"@VERSION@\"
#define RS_COMMIT \"@commit@\"
#endif
" @ONLY)
