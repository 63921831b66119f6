/* An engine that takes no time: norms by a formula, one multiplication each. What a sweep on it
 * costs is what the host does around an engine. */
#ifndef RS_BENCH_IDLE_ENGINE_H
#define RS_BENCH_IDLE_ENGINE_H

#include "../kernels/engine.h"

/* Launches are cut as for the engine cpu, so that the host packs as many cases. */
extern const rs_engine rs_idle_engine;

/* Decay rate of its columns of a scale, in nats per step: |delta_t| = scale^(T - t). */
double rs_idle_rate(double scale);

#endif
