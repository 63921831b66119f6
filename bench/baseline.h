/* What a C programmer would write first: all states of all steps in memory, one product by BLAS a
 * step, a plain loop over the result. */
#ifndef RS_BENCH_BASELINE_H
#define RS_BENCH_BASELINE_H

#include "../kernels/engine.h"

/* The arrays of a pass with R * B columns; "real" is float or double. */
typedef struct rs_bench_stepwise {
    rs_shape shape;
    rs_parameters network; /* its small arrays are in `drive`; no weight_hh */
    double *drive;         /* [3][H]: weight_ih, bias_ih, bias_hh */
    void *weight;          /* real [H][H] */
    void *scale;           /* real [R B] */
    void *input;           /* real [T][H][B] */
    void *state;           /* real [T + 1][H][R B]: h_0 .. h_T */
    void *delta;           /* real [H][R B] */
    void *inner;           /* real [H][R B]: phi'(a_t) * delta_t */
    int32_t *exponent;     /* [R B] of two, taken out of delta so far */
} rs_bench_stepwise;

/* The loops of one precision: baseline_kernel.c. */
typedef struct rs_bench_loops {
    size_t real_bytes;
    void (*load)(const rs_bench_stepwise *s, const double *weight_hh);
    void (*load_scale)(const rs_bench_stepwise *s, const double *scale);
    /* One step of the input; row [H] is scratch. */
    void (*load_input)(const rs_bench_stepwise *s, const rs_drive *drive, size_t step, double *row);
    /* All steps of columns first .. end. */
    void (*forward)(const rs_bench_stepwise *s, size_t first, size_t end);
    void (*backward)(const rs_bench_stepwise *s, const double *delta, size_t first, size_t end,
                     rs_record *out);
} rs_bench_loops;

#endif
