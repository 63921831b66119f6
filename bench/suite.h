/* The parts of the benchmark suite: each function adds the benchmarks of one file to the list. */
#ifndef RS_BENCH_SUITE_H
#define RS_BENCH_SUITE_H

#include "options.h"

/* bptt/, forward/, backward/, bptt+gradients/ and gradient/ for every engine but the reference
 * whose device works. */
rs_status rs_bench_add_engines(const rs_bench_options *options);

/* lyapunov/ for the same engines, where they carry tangents. */
rs_status rs_bench_add_lyapunov(const rs_bench_options *options);

/* baseline/blas_stepwise/ */
rs_status rs_bench_add_baseline(const rs_bench_options *options);

/* peak/fma/ and peak/bandwidth */
rs_status rs_bench_add_peaks(const rs_bench_options *options);

/* peak/cuda/fma, peak/cuda/copy and peak/cuda/gemm, where there is a device. */
rs_status rs_bench_add_cuda_peaks(const rs_bench_options *options);

/* host/eigenvalues, host/radius, host/weights and host/store_commits */
rs_status rs_bench_add_host_costs(const rs_bench_options *options);

/* host/stages/: sweeps on an engine that takes no time */
rs_status rs_bench_add_stages(const rs_bench_options *options);

/* sweep/ for every engine but the reference whose device works. */
rs_status rs_bench_add_sweeps(const rs_bench_options *options);

#endif
