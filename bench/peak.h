/* What the processor can do at best. */
#ifndef RS_BENCH_PEAK_H
#define RS_BENCH_PEAK_H

#include "../kernels/engine.h"

/* Fused multiply-adds in registers, for one instruction set and precision: peak_kernel.c. */
typedef struct rs_bench_fma {
    const char *isa;
    rs_precision precision;
    double flops; /* of one pass of the loop */
    /* Runs the loop and returns a number that depends on all of it. */
    double (*run)(size_t passes);
} rs_bench_fma;

/* The FMA rate that `threads` threads reach together, in flop/s: the best of many short runs, on
 * the best instruction set of this processor whatever RHOSWEEP_ISA says. Measured when first asked
 * for, then kept. */
rs_status rs_bench_peak(rs_precision precision, int threads, double *flops_per_s);

/* The same of the device of an engine: of a GPU its own rate, otherwise that of the host. */
rs_status rs_bench_peak_of(const rs_engine *engine, rs_precision precision, int threads,
                           double *flops_per_s);

#endif
