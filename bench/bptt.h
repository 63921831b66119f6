/* The benchmark of one engine on one shape. */
#ifndef RS_BENCH_BPTT_H
#define RS_BENCH_BPTT_H

#include "../kernels/engine.h"

typedef enum rs_bench_pass {
    RS_BENCH_BPTT,     /* wall time of load() and run(): packing, input, passes, gradients */
    RS_BENCH_FORWARD,  /* what the engine says of its forward pass */
    RS_BENCH_BACKWARD, /* of its backward pass */
    RS_BENCH_GRADIENT  /* and of the weights' gradients */
} rs_bench_pass;

/* Adds PREFIX/PRECISION/CELL/H:../B:../R:../T:.. Counters, of what the pass takes part in:
 *
 *   gflops              2 K H^2 R B T each for the products with W0 and with its transpose, and
 *                       where the shape has gradients for dL/dW_hh; K: gates of the cell
 *   column_steps_per_s  R B T
 *   bytes_per_s         what cannot be avoided beside W0 and the state: the trace (H R B T slopes,
 *                       none for linear; 5 reals in the place of each for lstm and gru), written by
 *                       the forward pass and read by the backward pass; the input (K H B T reals),
 *                       read by the forward pass; the norms (R B T times 12 bytes, 20 for lstm),
 *                       written by the backward pass; with gradients the states (H R B T reals),
 *                       written by the forward pass and read for them
 *   peak_fraction       of the FMA rate that this process measured for that precision and so many
 *                       threads; only where the engine's device is the host's processor */
rs_status rs_bench_add_bptt(const char *prefix, const rs_engine *engine, const rs_shape *shape,
                            int threads, rs_bench_pass pass);

#endif
