/* An engine that takes no time, or as much as it is told: norms by a formula, one multiplication
 * each. What a sweep on it costs is what the host does around an engine. */
#ifndef RS_BENCH_IDLE_ENGINE_H
#define RS_BENCH_IDLE_ENGINE_H

#include "../kernels/engine.h"

/* Launches are cut as for the engine cpu, so that the host packs as many cases; where they take
 * time, each is of one case. */
extern const rs_engine rs_idle_engine;

/* Of the sweeps to come: how many devices there are, and the seconds that a launch takes on one of
 * them, its arithmetic included. */
void rs_idle_set(size_t n, double seconds);

/* Decay rate of its columns of a scale, in nats per step: |delta_t| = scale^(T - t). */
double rs_idle_rate(double scale);

#endif
