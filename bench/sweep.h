/* The benchmark of whole sweeps on one engine. */
#ifndef RS_BENCH_SWEEP_H
#define RS_BENCH_SWEEP_H

#include "../kernels/engine.h"
#include "options.h"

typedef struct rs_bench_sweep {
    const rs_engine *engine;
    rs_bench_shape shape;
    size_t seeds;
    bool profiles;
    int threads;
    size_t devices;               /* of the idle engine; 0 for engines that compute */
    double launch_seconds;        /* that each of its launches takes */
    double (*rate)(double scale); /* what every decay rate must be; NULL for engines that compute */
} rs_bench_sweep;

/* Adds a sweep of Gaussian tanh networks in f32, radii 0.5 .. 1.5, into a new database: all that
 * `rhosweep sweep` does, but for what it prints. Right is a sweep that stores every point, with its
 * curve or without as asked. Counters:
 *
 *   points_per_s      R * seeds
 *   cases_per_s       seeds
 *   engine_share      time within the engine, of the wall time, on average over devices
 *   cpu_us_per_point  processor time of all threads
 *   bytes_per_point   size of the database
 *   ideal_share       of several devices: the time that they need, of the wall time */
rs_status rs_bench_add_sweep(const char *name, const rs_bench_sweep *sweep);

#endif
