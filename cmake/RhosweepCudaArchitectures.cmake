# rs_cuda_architectures(<nvcc> <out>): the compute capabilities to build for by default, those of 80,
# 90 and 100 whose machine code this nvcc can write. The newest also leaves PTX, which later devices
# compile when they load it; 80 serves every 8.x.
function(rs_cuda_architectures nvcc out)
  execute_process(COMMAND ${nvcc} --list-gpu-code OUTPUT_VARIABLE listed ERROR_VARIABLE why
                  RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${nvcc} --list-gpu-code: ${failed} ${why}: set RHOSWEEP_CUDA_ARCHITECTURES")
  endif()
  string(REGEX MATCHALL "sm_[0-9]+" codes "${listed}")
  set(known "")
  foreach(architecture IN ITEMS 80 90 100)
    if("sm_${architecture}" IN_LIST codes)
      list(APPEND known ${architecture})
    endif()
  endforeach()
  if(NOT known)
    message(FATAL_ERROR "${nvcc}: writes code for none of compute capability 8.0, 9.0 and 10.0")
  endif()
  list(POP_BACK known newest)
  list(TRANSFORM known APPEND "-real")
  set(${out} ${known} ${newest} PARENT_SCOPE)
endfunction()
