/* STAGE 2, plan: the cases of a sweep in a fixed order, and the launches that run them within the
 * memory there is. A case is one seed and shape with all its radii: the unit of storage. */
#ifndef RS_PLAN_H
#define RS_PLAN_H

#include "model.h"
#include "spec.h"

typedef struct rs_case {
    rs_ensemble ensemble;
    size_t hidden;
    uint64_t seed;
    rs_nonlinearity nonlinearity;
    size_t steps;
    size_t fit_skip; /* resolved */
} rs_case;

typedef struct rs_plan {
    rs_case *at; /* [n] ensemble, hidden, seed, nonlinearity, steps; the last turns fastest */
    size_t n;
    size_t batch;      /* B, from the spec or the model */
    size_t input_size; /* I, likewise */
} rs_plan;

/* A rectangle of radii x samples of each case in a launch. */
typedef struct rs_chunk {
    size_t first_radius, radii;
    size_t first_sample, batch;
} rs_chunk;

/* How cases of one shape are run: so many at a time, each cut into equal rectangles. */
typedef struct rs_cut {
    size_t groups;         /* cases of one launch */
    size_t radii, batch;   /* of the largest rectangle */
    uint64_t engine_bytes; /* of engine->bytes() for it */
    uint64_t host_bytes;   /* what the driver holds beside it */
} rs_cut;

/* Lists the cases of the spec; `model` is NULL without one, else it settles hidden, and batch,
 * steps and input_size where its input says so. RS_EINPUT where spec and model contradict. */
rs_status rs_plan_make(const rs_spec *spec, const rs_model *model, rs_plan *out);
void rs_plan_free(rs_plan *plan);

/* The shape of one whole case with `radii` radii. */
rs_shape rs_plan_shape(const rs_spec *spec, const rs_plan *plan, const rs_case *one, size_t radii);

/* Cuts a launch of `groups` cases of this shape so that engine and host bytes stay within
 * `memory` (for an engine that is not on_host: engine bytes alone): fewer groups first, then fewer
 * radii, then fewer samples. RS_EINPUT, with the least memory that would do, where even one column
 * of one case does not fit. */
rs_status rs_plan_cut(const rs_engine *engine, const rs_resources *resources, const rs_shape *whole,
                      bool on_host, uint64_t memory, rs_cut *out);

/* Bytes that the driver itself holds for rectangles of this shape out of cases of shape `whole`;
 * UINT64_MAX where the number does not fit. */
uint64_t rs_plan_host_bytes(const rs_shape *piece, const rs_shape *whole);

#endif
