# Sources that are compiled once for each instruction set, for kernels chosen at run time.
set(RS_ISAS baseline)
set(RS_ISA_FLAGS_baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(RS_ISAS neon) # every such processor has it
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND RS_ISAS avx2 avx512)
  set(RS_ISA_FLAGS_avx2 -mavx2 -mfma)
  set(RS_ISA_FLAGS_avx512 -mavx512f -mavx512dq -mavx512vl -mavx512bw -mfma
      -mprefer-vector-width=512)
endif()

# Adds the sources to `target` for every instruction set and both precisions. Each time it defines
# RS_KERNEL=<symbol>_<isa>_f<bits>, RS_ISA="<isa>", RS_REAL_BITS=<bits>, and
# RS_DRIVE_FILL=rs_drive_fill_<isa>. Always optimised: such sources are register-blocked.
function(rs_add_per_isa target symbol)
  foreach(isa IN LISTS RS_ISAS)
    foreach(bits IN ITEMS 32 64)
      set(name ${symbol}_${isa}_f${bits})
      add_library(${name} OBJECT ${ARGN})
      target_link_libraries(${name} PRIVATE rs_flags)
      target_include_directories(${name} SYSTEM PRIVATE ${RANDOM123_INCLUDE_DIR})
      target_compile_definitions(${name} PRIVATE RS_KERNEL=${name} RS_ISA="${isa}"
                                 RS_REAL_BITS=${bits} RS_DRIVE_FILL=rs_drive_fill_${isa})
      target_compile_options(${name} PRIVATE -O3 ${RS_ISA_FLAGS_${isa}})
      if(RHOSWEEP_FUZZ) # no fuzzer runs a kernel, and sanitized ones take minutes to compile
        set_target_properties(${name} PROPERTIES RS_NOT_SANITIZED ON)
      endif()
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:${name}>)
    endforeach()
  endforeach()
endfunction()
