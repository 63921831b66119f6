# Runs rhosweep-bench (BENCH) on a tiny shape: every benchmark's check passes, and its row has the
# counters that are promised. Says nothing of speed. Scratch files go to the folder OUT.
cmake_minimum_required(VERSION 3.25)

set(shape "H:10/B:1/R:4/T:5")
set(counters gflops peak_fraction column_steps_per_s bytes_per_s)

function(expect_exit code)
  execute_process(COMMAND ${BENCH} ${ARGN} RESULT_VARIABLE got OUTPUT_QUIET ERROR_VARIABLE error)
  if(NOT got EQUAL code)
    message(FATAL_ERROR "${ARGN}: exit code ${got}, not ${code}: ${error}")
  endif()
  if(code EQUAL 2 AND NOT error MATCHES "rhosweep-bench: [^\n]+: [^\n]+\n$")
    message(FATAL_ERROR "${ARGN}: not one line that says what and why: ${error}")
  endif()
endfunction()

expect_exit(0 --help)
foreach(bad IN ITEMS --threads=0 --threads=2x --shape=1,2,3 --shape=1,2,3,4,5 --shape=0,1,1,1
                     --shape=4294967295,4294967295,4294967295,4294967295 --thread=2 --seeds=0 --seeds=2x
                     --directions=0 --directions=all --qr-every=0 --qr-every=x
                     --benchmark_filter=nothing)
  expect_exit(2 ${bad})
endforeach()

set(json ${OUT}/test_bench.json)
execute_process(COMMAND ${BENCH} --threads=2 --shape=10,1,4,5 --seeds=3 --benchmark_min_time=0.001
                        --benchmark_out=${json}
                RESULT_VARIABLE code OUTPUT_QUIET ERROR_VARIABLE error)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "exit code ${code}: ${error}")
endif()
file(READ ${json} results)
string(JSON last LENGTH "${results}" benchmarks)
math(EXPR last "${last} - 1")

# Fails unless the benchmark `name` was run and has these counters, all above zero.
function(expect name)
  foreach(i RANGE ${last})
    string(JSON found GET "${results}" benchmarks ${i} name)
    if(found STREQUAL "${name}/manual_time")
      foreach(counter IN LISTS ARGN ITEMS real_time)
        string(JSON value GET "${results}" benchmarks ${i} ${counter})
        if(NOT value GREATER 0)
          message(FATAL_ERROR "${name}: ${counter} is ${value}")
        endif()
      endforeach()
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "${name}: not there")
endfunction()

foreach(precision IN ITEMS f32 f64)
  expect(peak/fma/${precision} gflops best_gflops)
  expect(baseline/blas_stepwise/${precision}/tanh/${shape} ${counters})
  foreach(cell IN ITEMS tanh relu linear lstm gru)
    foreach(pass IN ITEMS bptt forward backward bptt+gradients gradient)
      expect(${pass}/cpu/${precision}/${cell}/${shape} ${counters})
    endforeach()
  endforeach()
endforeach()
foreach(cell IN ITEMS tanh lstm gru)
  set(directions 10)
  if(cell STREQUAL lstm)
    set(directions 20)
  endif()
  expect(lyapunov/cpu/f64/${cell}/${shape}/K:${directions} gflops peak_fraction qr_share tangent_share
         qr_gap column_steps_per_s exponents_per_s)
endforeach()
expect(peak/bandwidth bytes_per_s array_bytes)
expect(host/eigenvalues/H:10)
expect(host/radius/H:10)
expect(host/weights/H:10)
expect(host/store_commits cases_per_s)
foreach(sweep IN ITEMS host/stages/profiles:no host/stages/profiles:50
                       sweep/cpu/f32/tanh/${shape}/seeds:3 sweep/cpu/f32/tanh/${shape}/seeds:3/profiles:no)
  expect(${sweep} points_per_s cases_per_s engine_share cpu_us_per_point bytes_per_point)
endforeach()
string(JSON threads GET "${results}" context threads)
if(NOT threads EQUAL 2)
  message(FATAL_ERROR "context: threads is ${threads}")
endif()
