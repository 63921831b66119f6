/* The work of one benchmark, and the judgement of its result. */
#ifndef RS_BENCH_JOB_H
#define RS_BENCH_JOB_H

#include "../kernels/engine.h"
#include "options.h"

/* One network and a pass of it. Points into itself: do not copy it. */
typedef struct rs_bench_job {
    rs_parameters network;
    rs_columns columns;
    rs_pass pass;
    double *numbers;        /* all that the network and its columns point to */
    rs_record record;       /* of the latest run */
    double reference_flops; /* what a check may spend on the weights' gradients */
} rs_bench_job;

/* Gaussian W_k with g = 1; scales spread evenly over 0.5 .. 1.5 (one alone is 0.5), the same for
 * all gates; an input of size 1 ~ N(0, 1) that is given beforehand, with weights and biases
 * U(+-1/sqrt(H)) as PyTorch draws them; start state 0; a random unit vector as each sample's loss
 * gradient. The caller frees with rs_bench_job_free in any case. */
rs_status rs_bench_job_make(const rs_shape *shape, rs_bench_job *out);
void rs_bench_job_free(rs_bench_job *job);

/* Loads the network and runs the pass: what a launch of it costs. `engine` has opened `state` for
 * job->pass.shape or a larger one. */
rs_status rs_bench_job_run(rs_bench_job *job, const rs_engine *engine, void *state);

/* Compares job->record with what the reference engine gives: the norms of every state, column by
 * column, for some radii and samples, and for some radii the norms of the weights' gradients, where
 * there are any. RS_OK where they agree as closely as the tests of the engines ask. Columns whose
 * gradient grows by half, from any step on, are left out with their radius, for rounding errors
 * grow with it (there only decay rates can agree); RS_EINPUT where that leaves none. Where
 * reference_flops does not reach for all samples of one radius, the engine runs the first ones by
 * themselves, and their gradients are compared instead. */
rs_status rs_bench_job_check(const rs_bench_job *job, const rs_engine *engine, void *state);

/* Compares the tangents of job->record with what the reference engine gives, for a few radii and
 * steps, which the engine runs by themselves with so many threads: what every direction stretches,
 * as closely as rounding lets two engines agree over as many steps as pass between two QRs. Of all
 * directions of an Elman cell without a leak, the whole record must keep the sum rule, too: the
 * mean exponent without log_slope and the scale is ln |det W0| / H, the same for all columns. RS_OK
 * where both hold, RS_EDEVICE where one does not. The shape is f64 and has directions. */
rs_status rs_bench_tangents_check(const rs_bench_job *job, const rs_engine *engine, int threads);

/* Number r of `count` radii, spread over [0.5, 1.5]; also those of the sweeps. */
double rs_bench_radius(size_t r, size_t count);

/* The shape as an engine knows it. */
rs_shape rs_bench_job_shape(const rs_bench_shape *shape, rs_precision precision, rs_cell cell);

#endif
