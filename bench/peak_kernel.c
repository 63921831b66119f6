/* Independent chains of fused multiply-adds: as many as registers hold beside two constants, which
 * is more than latency times units of any processor. RS_KERNEL names the loop that this defines. */
#include "../kernels/cpu/simd.h"
#include "peak.h"

#if defined(__AVX512F__) || defined(__aarch64__)
enum { CHAINS = 16 };
#else
enum { CHAINS = 12 };
#endif

static double run(size_t passes) {
    vreal chain[CHAINS];
    /* x -> x / 2 + 1 ends at 2, far from 0 and infinity. */
    vreal const half = v_set((real)0.5), one = v_set((real)1.0);
    UNROLL
    for (size_t i = 0; i < CHAINS; ++i) chain[i] = v_set((real)i);
    for (size_t pass = 0; pass < passes; ++pass) {
        UNROLL
        for (size_t i = 0; i < CHAINS; ++i) chain[i] = v_fma(chain[i], half, one);
    }
    double sum = 0.0;
    UNROLL
    for (size_t i = 0; i < CHAINS; ++i)
        for (size_t lane = 0; lane < LANES; ++lane) sum += (double)chain[i][lane];
    return sum;
}

const rs_bench_fma RS_KERNEL = {
    .isa = RS_ISA,
    .precision = RS_REAL_BITS == 32 ? RS_F32 : RS_F64,
    .flops = 2.0 * CHAINS * VECTOR_BYTES / (double)sizeof(real),
    .run = run,
};
