/* plan: the cases of a sweep in a fixed order, and the launches that run them within the
 * memory there is. */
#ifndef RS_PLAN_H
#define RS_PLAN_H

#include "case.h"
#include "model.h"

/* Axes: ensemble, hidden, seed, input, variant, steps; the last turns fastest. A variant is a cell
 * with one of its gate biases, or of its leaks where it has no gates. Case i is made from
 * them when it is asked for, so that a plan of any number of cases takes no memory. Spec, model and
 * engine are borrowed. */
typedef struct rs_plan {
    size_t n; /* cases */
    const rs_spec *spec;
    const size_t *hidden; /* [n_hidden] of the spec or the model */
    size_t n_hidden;
    const rs_cell *cell; /* [n_cell] of the spec or the model */
    size_t n_cell, n_variants;
    size_t model_steps; /* the one number of steps that the model settles; 0: those of the spec */
    size_t input_size;  /* of cases with RS_INPUT_PYTORCH */
    rs_case common;     /* what no axis changes */
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
    uint64_t making_bytes; /* and needs beside that while a thread prepares it */
} rs_cut;

/* Plans the cases of the spec on the engine of that name; `model` is NULL without one, else it
 * settles cell, hidden and h0, and batch, steps and input_size where its input says so. RS_EINPUT
 * where spec and model contradict. */
rs_status rs_plan_make(const rs_spec *spec, const rs_model *model, const char *engine,
                       rs_plan *out);

/* Case `i` of the plan, below plan->n. */
rs_case rs_plan_case(const rs_plan *plan, size_t i);

/* Cases that differ in their seed alone are so many cases apart, in the order of spec->seeds. */
size_t rs_plan_seed_stride(const rs_plan *plan);

/* Whether case i is of the spec's shard. Cases are dealt out by shape and then by seed, so that
 * every shard has its part of every shape where there are as many seeds as shards. */
bool rs_plan_in_shard(const rs_plan *plan, size_t i);

/* Cuts a launch of `groups` cases of this shape so that engine and host bytes stay within
 * `memory`, with `making` bytes more for the thread that prepares it (for an engine that is not
 * on_host: engine bytes alone): fewer groups first, then fewer radii, then fewer samples, unless
 * gradients are recorded. RS_EINPUT, with the least memory that would do, where even one column of
 * one case, or one radius, does not fit, and where the engine cannot run such shapes. */
rs_status rs_plan_cut(const rs_engine *engine, size_t device, const rs_resources *resources,
                      const rs_shape *whole, bool on_host, uint64_t making, uint64_t memory,
                      rs_cut *out);

/* Bytes that the driver itself holds for rectangles of this shape out of cases of shape `whole`;
 * UINT64_MAX where the number does not fit. */
uint64_t rs_plan_host_bytes(const rs_shape *piece, const rs_shape *whole);

#endif
