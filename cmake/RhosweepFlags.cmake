# Flags of every target. Tiny numbers are the data: no fast-math, and no contraction of a * b + c
# by the compiler, so that results do not depend on how it felt about a loop.
add_library(rs_flags INTERFACE)
target_compile_features(rs_flags INTERFACE c_std_11)
target_compile_definitions(rs_flags INTERFACE _GNU_SOURCE)
set(rs_host $<COMPILE_LANGUAGE:C,CXX>) # nvcc has flags of its own
target_compile_options(rs_flags INTERFACE
  $<${rs_host}:-Wall> $<${rs_host}:-Wextra> $<${rs_host}:-Wpedantic> $<${rs_host}:-Wconversion>
  $<${rs_host}:-ffp-contract=off>)
if(RHOSWEEP_WERROR)
  target_compile_options(rs_flags INTERFACE $<${rs_host}:-Werror>)
endif()
if(RHOSWEEP_SANITIZE)
  set(sanitize -fsanitize=${RHOSWEEP_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  if(RHOSWEEP_SANITIZE MATCHES "address.*undefined")
    # AddressSanitizer finds these too, and they double the time that kernels take to compile.
    list(APPEND sanitize -fno-sanitize=null,object-size)
  endif()
  set(sanitized $<NOT:$<BOOL:$<TARGET_PROPERTY:RS_NOT_SANITIZED>>>)
  target_compile_options(rs_flags INTERFACE "$<${sanitized}:${sanitize}>")
  target_link_options(rs_flags INTERFACE -fsanitize=${RHOSWEEP_SANITIZE})
endif()
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS OFF)
