#include "plan.h"

#include "../kernels/sizes.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_FIT_SKIP = 20 };

/* ---- what the model settles ---------------------------------------------------------------- */

static rs_status settle(const rs_spec *spec, const char *key, size_t asked, size_t in_model,
                        const rs_model *model, size_t *out) {
    if (in_model == 0 || asked == in_model) {
        *out = asked;
        return RS_OK;
    }
    if (rs_spec_given(spec, key))
        return rs_fail(RS_EINPUT, "%s: %zu asked for, but %s has %zu: leave --%s out", key, asked,
                       model->name, in_model, key);
    *out = in_model;
    return RS_OK;
}

/* The input of a file is used where the spec's input has weights. */
static bool uses_input(const rs_spec *spec, const rs_model *model) {
    return model && model->input && spec->input == RS_INPUT_PYTORCH;
}

static rs_status settle_sizes(const rs_spec *spec, const rs_model *model, rs_plan *out) {
    out->batch = spec->batch;
    out->input_size = spec->input_size;
    if (!model) return RS_OK;
    bool const input = uses_input(spec, model);
    bool const h0 = model->h0 && !rs_spec_given(spec, "h0");
    if (input || h0) RS_TRY(settle(spec, "batch", spec->batch, model->batch, model, &out->batch));
    if (spec->input == RS_INPUT_PYTORCH)
        RS_TRY(settle(spec, "input-size", spec->input_size, model->input_size, model,
                      &out->input_size));
    return RS_OK;
}

/* The lists that the cases run over: the spec's, or what the model says. */
typedef struct axes {
    const size_t *hidden, *steps;
    size_t n_hidden, n_steps;
    size_t model_steps; /* storage for `steps` */
} axes;

static rs_status settle_steps(const rs_spec *spec, const rs_model *model, axes *out) {
    out->steps = spec->steps;
    out->n_steps = spec->n_steps;
    if (!uses_input(spec, model)) return RS_OK;
    if (model->steps <= spec->warmup)
        return rs_fail(RS_EINPUT, "warmup: %zu leaves none of the %zu steps of %s's input",
                       spec->warmup, model->steps, model->name);
    size_t const most = model->steps - spec->warmup;
    if (!rs_spec_given(spec, "steps")) {
        out->model_steps = most;
        out->steps = &out->model_steps;
        out->n_steps = 1;
        return RS_OK;
    }
    for (size_t i = 0; i < spec->n_steps; ++i)
        if (spec->steps[i] > most)
            return rs_fail(RS_EINPUT, "steps: %zu asked for, but %s's input has %zu after warm-up",
                           spec->steps[i], model->name, most);
    return RS_OK;
}

static rs_status settle_axes(const rs_spec *spec, const rs_model *model, axes *out) {
    out->hidden = spec->hidden;
    out->n_hidden = spec->n_hidden;
    if (model) {
        bool const agrees = spec->n_hidden == 1 && spec->hidden[0] == model->hidden;
        if (rs_spec_given(spec, "hidden") && !agrees)
            return rs_fail(RS_EINPUT, "hidden: %s has %zu units: leave --hidden out", model->name,
                           model->hidden);
        out->hidden = &model->hidden;
        out->n_hidden = 1;
    }
    return settle_steps(spec, model, out);
}

/* ---- cases --------------------------------------------------------------------------------- */

static rs_status resolve_fit_skip(const rs_spec *spec, size_t steps, size_t *skip) {
    if (spec->fit_skip == SIZE_MAX) {
        *skip = steps / 4 < DEFAULT_FIT_SKIP ? steps / 4 : DEFAULT_FIT_SKIP;
        return RS_OK;
    }
    *skip = spec->fit_skip;
    if (steps > 1 && *skip > steps - 2) /* one step has no rate */
        return rs_fail(RS_EINPUT, "fit-skip: %zu leaves fewer than two of %zu steps to fit", *skip,
                       steps);
    return RS_OK;
}

/* Case `id` by arithmetic: the last axis turns fastest. */
static rs_status number_case(const rs_spec *spec, const axes *a, size_t id, rs_case *out) {
    size_t rest = id;
    out->steps = a->steps[rest % a->n_steps];
    rest /= a->n_steps;
    out->nonlinearity = spec->nonlinearity[rest % spec->n_nonlinearity];
    rest /= spec->n_nonlinearity;
    out->seed = spec->seeds[rest % spec->n_seeds];
    rest /= spec->n_seeds;
    out->hidden = a->hidden[rest % a->n_hidden];
    rest /= a->n_hidden;
    out->ensemble = spec->ensemble[rest];
    return resolve_fit_skip(spec, out->steps, &out->fit_skip);
}

rs_status rs_plan_make(const rs_spec *spec, const rs_model *model, rs_plan *out) {
    *out = (rs_plan){0};
    axes a;
    RS_TRY(settle_sizes(spec, model, out));
    RS_TRY(settle_axes(spec, model, &a));
    uint64_t n = rs_size_mul(rs_size_mul(spec->n_ensemble, a.n_hidden),
                             rs_size_mul(spec->n_seeds, spec->n_nonlinearity));
    n = rs_size_mul(n, a.n_steps);
    uint64_t const size = rs_size_mul(n, sizeof *out->at);
    out->at = size < PTRDIFF_MAX ? malloc((size_t)size) : NULL;
    if (!out->at)
        return rs_fail(RS_EINPUT, "sweep: too many cases: shorten the lists or split the sweep");
    for (; out->n < n; ++out->n) {
        rs_status const status = number_case(spec, &a, out->n, &out->at[out->n]);
        if (status != RS_OK) {
            rs_plan_free(out);
            return status;
        }
    }
    return RS_OK;
}

void rs_plan_free(rs_plan *plan) {
    free(plan->at);
    *plan = (rs_plan){0};
}

rs_shape rs_plan_shape(const rs_spec *spec, const rs_plan *plan, const rs_case *one, size_t radii) {
    return (rs_shape){
        .groups = 1,
        .radii = radii,
        .batch = plan->batch,
        .hidden = one->hidden,
        .input_size = spec->input == RS_INPUT_PYTORCH ? plan->input_size : 0,
        .steps = one->steps,
        .warmup = spec->warmup,
        .nonlinearity = one->nonlinearity,
        .precision = spec->precision,
        .raw = spec->raw,
        .driven = spec->input != RS_INPUT_ZERO,
    };
}

/* ---- memory -------------------------------------------------------------------------------- */

uint64_t rs_plan_host_bytes(const rs_shape *piece, const rs_shape *whole) {
    uint64_t const h = piece->hidden, real = sizeof(double);
    uint64_t const columns = rs_size_mul(piece->radii, piece->batch);
    /* weight_hh and what LAPACK works on; loss gradient and start state of all samples */
    uint64_t const rows = rs_size_add(rs_size_mul(3, h), rs_size_mul(2, whole->batch));
    uint64_t const weights = rs_size_mul(rows, rs_size_mul(h, real));
    /* norm2 and exponent of the piece, mean, min and max of the case */
    uint64_t const norms = rs_size_mul(columns, sizeof(double) + sizeof(int32_t));
    uint64_t const profile = rs_size_mul(whole->radii, 3 * real);
    uint64_t const kept = rs_size_mul(piece->steps, rs_size_add(norms, profile));
    return rs_size_mul(piece->groups, rs_size_add(weights, kept));
}

typedef struct budget {
    const rs_engine *engine;
    const rs_resources *resources;
    const rs_shape *whole;
    bool on_host;
    uint64_t memory;
} budget;

static uint64_t needs(const budget *b, const rs_shape *piece) {
    uint64_t const engine = b->engine->bytes(piece, b->resources);
    return b->on_host ? rs_size_add(engine, rs_plan_host_bytes(piece, b->whole)) : engine;
}

/* The largest value of *size, at most what it is, for which the piece fits; false for none. */
static bool shrink(const budget *b, rs_shape *piece, size_t *size) {
    size_t fits = 0, most = *size;
    while (fits < most) {
        *size = fits + (most - fits + 1) / 2;
        if (needs(b, piece) <= b->memory)
            fits = *size;
        else
            most = *size - 1;
    }
    *size = fits > 0 ? fits : 1;
    return fits > 0;
}

rs_status rs_plan_cut(const rs_engine *engine, const rs_resources *resources, const rs_shape *whole,
                      bool on_host, uint64_t memory, rs_cut *out) {
    budget const b = {engine, resources, whole, on_host, memory};
    rs_shape piece = *whole;
    if (!shrink(&b, &piece, &piece.groups) && !shrink(&b, &piece, &piece.radii) &&
        !shrink(&b, &piece, &piece.batch))
        return rs_fail(RS_EINPUT,
                       "memory: one column of %zu units and %zu steps needs %llu bytes, but %llu "
                       "are allowed: raise --memory, or lower --hidden, --steps or --batch",
                       piece.hidden, piece.steps, (unsigned long long)needs(&b, &piece),
                       (unsigned long long)memory);
    *out = (rs_cut){.groups = piece.groups, .radii = piece.radii, .batch = piece.batch};
    out->engine_bytes = engine->bytes(&piece, resources);
    out->host_bytes = rs_plan_host_bytes(&piece, whole);
    return RS_OK;
}
