/* Jobs for engines, made from a shape and a seed, and the profiles they give. */
#ifndef ENGINE_CASE_H
#define ENGINE_CASE_H

#include "../kernels/engine.h"

typedef struct engine_case {
    rs_job job;
    rs_group *group;
    double *numbers; /* all arrays of all groups */
    double *scale;
} engine_case;

/* Gaussian W0 with g = 1, radii spread evenly over [low, high], weighted input of size 2 with a
 * bias where driven, h0 ~ N(0, 1/4), a random unit loss vector; everything from `seed`. */
engine_case engine_case_make(rs_shape shape, double low, double high, uint64_t seed);
void engine_case_free(engine_case *c);

/* An allocated profile for the shape. */
rs_profile profile_make(const rs_shape *shape);
void profile_free(rs_profile *profile);

/* Opens the engine, runs the job on `threads` threads and closes it; an error ends the program. */
rs_profile run_engine(const rs_engine *engine, const rs_job *job, int threads);

/* log10 |delta_t| of group g, step t, column c. */
double log_norm(const rs_shape *shape, const rs_profile *profile, size_t g, size_t t, size_t c);

#endif
