# Removes the files of an installation. Of its folders it removes those named rhosweep and those in
# them, where nothing else is left.
cmake_policy(VERSION 3.25)
if(NOT EXISTS ${MANIFEST})
  message(FATAL_ERROR "uninstall: ${MANIFEST}: not there: nothing is installed from this folder")
endif()
file(STRINGS ${MANIFEST} files)

set(folders)
foreach(file IN LISTS files)
  set(file $ENV{DESTDIR}${file})
  file(REMOVE ${file})
  cmake_path(GET file PARENT_PATH folder)
  while(folder MATCHES "/rhosweep(/|$)")
    list(APPEND folders ${folder})
    cmake_path(GET folder PARENT_PATH folder)
  endwhile()
endforeach()

list(REMOVE_DUPLICATES folders)
list(SORT folders ORDER DESCENDING) # a folder before the one that it is in
foreach(folder IN LISTS folders)
  file(REMOVE_RECURSE ${folder}/__pycache__) # written by Python at the first report
  file(GLOB others ${folder}/*)
  if(NOT others)
    file(REMOVE_RECURSE ${folder})
  endif()
endforeach()
file(REMOVE ${MANIFEST})
