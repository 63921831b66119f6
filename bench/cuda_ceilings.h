/* What the GPU can do at best, measured with CUDA events on the first device, on numbers whose bits
 * vary as those of real work do. */
#ifndef RS_BENCH_CUDA_CEILINGS_H
#define RS_BENCH_CUDA_CEILINGS_H

#include "../kernels/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fused multiply-adds in registers of all processors, in flop/s: the best of several runs. */
rs_status rs_cuda_fma_rate(rs_precision precision, double *flops_per_s);

/* A copy between two arrays of 1 GiB, or an eighth of what is free where that is less: bytes read
 * and written, per second; the best of several runs. */
rs_status rs_cuda_copy_rate(double *bytes_per_s);

/* A bare cuBLAS product [H][H] x [H][columns] without TF32, in flop/s: the best of several runs, in
 * the layout of the stepwise path and in the usual one. */
rs_status rs_cuda_gemm_rate(rs_precision precision, size_t hidden, size_t columns,
                            double *flops_per_s);

#ifdef __cplusplus
}
#endif

#endif
