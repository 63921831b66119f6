/* What rhosweep-bench is asked for beside Google Benchmark's own flags. */
#ifndef RS_BENCH_OPTIONS_H
#define RS_BENCH_OPTIONS_H

#include "../kernels/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* H units, B samples, R radii, T steps. */
typedef struct rs_bench_shape {
    size_t hidden, batch, radii, steps;
} rs_bench_shape;

/* A sweep of networks of one shape: one base matrix a seed. */
typedef struct rs_bench_sweep_shape {
    rs_bench_shape shape;
    size_t seeds;
} rs_bench_sweep_shape;

typedef struct rs_bench_options {
    bool help;
    int threads;                 /* of every benchmark that can use more than one */
    rs_bench_shape *shape;       /* [n_shapes] */
    size_t n_shapes;             /* at least 1 */
    size_t seeds;                /* of every sweep; 0 leaves it to the list */
    rs_bench_sweep_shape *sweep; /* [n_sweeps] */
    size_t n_sweeps;
    rs_bench_shape *spectrum; /* [n_spectra]  of lyapunov/ */
    size_t n_spectra;
    size_t directions; /* of every spectrum, no more than there are; 0: all */
    size_t qr_every;   /* steps between QRs; 0: the engine chooses */
} rs_bench_options;

/* Takes the suite's own flags out of argv; --help stays in it, for Google Benchmark prints its own
 * flags too. RS_EINPUT for a value that is not understood. The caller frees with
 * rs_bench_options_free in any case. */
rs_status rs_bench_options_parse(int *argc, char **argv, rs_bench_options *out);
void rs_bench_options_free(rs_bench_options *options);

/* Prints what the suite's own flags do. */
void rs_bench_options_help(FILE *out);

#endif
