#include "plan.h"

#include "../../kernels/base/sizes.h"
#include "../../kernels/record.h"
#include "../spec/words.h"

#include <stdio.h>

enum { DEFAULT_FIT_SKIP = 20, TRANSIENT_PART = 10 /* of the steps, by default */ };

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

/* True where some input of the spec has weights. */
static bool is_weighted(const rs_spec *spec) {
    for (size_t i = 0; i < spec->n_input; ++i)
        if (spec->input[i].kind == RS_INPUT_PYTORCH) return true;
    return false;
}

/* The input of a file is used where the spec's input has weights. */
static bool uses_input(const rs_spec *spec, const rs_model *model) {
    return model && model->input && is_weighted(spec);
}

static bool uses_h0(const rs_spec *spec, const rs_model *model) {
    return model && (model->h0 || model->c0) && !rs_spec_given(spec, "h0");
}

/* The input of a file settles batch and steps of its own cases alone: what is swept beside it must
 * not change. */
static rs_status check_inputs(const rs_spec *spec, const rs_model *model) {
    if (spec->n_input == 1 || !uses_input(spec, model)) return RS_OK;
    bool const batch = spec->batch == model->batch || uses_h0(spec, model);
    if (batch && rs_spec_given(spec, "steps")) return RS_OK;
    return rs_fail(RS_EINPUT,
                   "input: that of %s has its own batch and steps: to sweep other inputs with it, "
                   "give --steps and --batch %zu, or sweep them separately",
                   model->name, model->batch);
}

static rs_status settle_sizes(const rs_spec *spec, const rs_model *model, rs_plan *out) {
    out->common.batch = spec->batch;
    out->input_size = spec->input_size;
    RS_TRY(check_inputs(spec, model));
    if (uses_h0(spec, model) || uses_input(spec, model))
        RS_TRY(settle(spec, "batch", spec->batch, model->batch, model, &out->common.batch));
    if (!model || !is_weighted(spec)) return RS_OK;
    return settle(spec, "input-size", spec->input_size, model->input_size, model, &out->input_size);
}

/* What all cases share; the model's h0 is used where the spec asks for none. */
static rs_case common_case(const rs_spec *spec, const rs_model *model, const char *engine) {
    return (rs_case){
        .h0 = uses_h0(spec, model) ? (rs_start){.kind = RS_START_MODEL} : spec->h0,
        .warmup = spec->warmup,
        .leak = 1.0,
        .loss = spec->loss,
        .precision = spec->precision,
        .raw = spec->raw,
        .engine = engine,
        .model_digest = model ? model->digest : 0,
        .model = model ? model->name : "",
        .native = spec->native,
        .gradients = spec->clip > 0.0,
    };
}

static rs_status settle_hidden(const rs_spec *spec, const rs_model *model, rs_plan *out) {
    out->hidden = model ? &model->hidden : spec->hidden;
    out->n_hidden = model ? 1 : spec->n_hidden;
    bool const agrees = !model || (spec->n_hidden == 1 && spec->hidden[0] == model->hidden);
    if (agrees || !rs_spec_given(spec, "hidden")) return RS_OK;
    return rs_fail(RS_EINPUT, "hidden: %s has %zu units: leave --hidden out", model->name,
                   model->hidden);
}

/* An nn.RNN has any of the cells with one gate. */
static rs_status check_cell(rs_cell asked, const rs_model *model) {
    size_t const gates = rs_cell_of(model->cell)->gates;
    char blocks[32] = "";
    if (rs_cell_of(asked)->gates == gates) return RS_OK;
    if (gates > 1) snprintf(blocks, sizeof blocks, "%zu x ", gates);
    return rs_fail(RS_EINPUT,
                   "cell: %s asked for, but %s is %s (weight_hh is [%s%zu][%zu]): leave --cell out",
                   rs_cell_name(asked), model->name, rs_model_kind(model), blocks, model->hidden,
                   model->hidden);
}

static rs_status settle_cell(const rs_spec *spec, const rs_model *model, rs_plan *out) {
    bool const settled = model && !rs_spec_given(spec, "cell");
    out->cell = settled ? &model->cell : spec->cell;
    out->n_cell = settled ? 1 : spec->n_cell;
    for (size_t i = 0; model && i < out->n_cell; ++i) RS_TRY(check_cell(out->cell[i], model));
    RS_TRY(rs_spec_check_cells(spec, out->cell, out->n_cell));
    for (size_t i = 0; i < out->n_cell; ++i)
        out->n_variants += rs_spec_variants(spec, out->cell[i]);
    return RS_OK;
}

static size_t resolve_transient(const rs_spec *spec, size_t steps) {
    if (spec->lyapunov == 0) return 0;
    return spec->transient == SIZE_MAX ? steps / TRANSIENT_PART : spec->transient;
}

/* The most steps that fit, with their transient, into so many. */
static size_t steps_within(const rs_spec *spec, size_t all) {
    bool const by_default = spec->lyapunov > 0 && spec->transient == SIZE_MAX;
    if (!by_default) {
        size_t const transient = resolve_transient(spec, 0);
        return all > transient ? all - transient : 0;
    }
    size_t const part = TRANSIENT_PART + 1, rest = all % part;
    return all / part * TRANSIENT_PART + (rest < TRANSIENT_PART ? rest : TRANSIENT_PART - 1);
}

static rs_status settle_steps(const rs_spec *spec, const rs_model *model, rs_plan *out) {
    if (!uses_input(spec, model)) return RS_OK;
    size_t const after = model->steps > spec->warmup ? model->steps - spec->warmup : 0;
    size_t const most = steps_within(spec, after);
    const char *const and_transient = spec->lyapunov > 0 ? " and transient" : "";
    if (after == 0)
        return rs_fail(RS_EINPUT, "warmup: %zu leaves none of the %zu steps of %s's input",
                       spec->warmup, model->steps, model->name);
    if (most == 0)
        return rs_fail(RS_EINPUT,
                       "transient: %zu leaves none of the %zu steps of %s's input after warm-up",
                       spec->transient, after, model->name);
    if (!rs_spec_given(spec, "steps")) {
        out->model_steps = most;
        return RS_OK;
    }
    for (size_t i = 0; i < spec->n_steps; ++i)
        if (spec->steps[i] > most)
            return rs_fail(RS_EINPUT,
                           "steps: %zu asked for, but %s's input has %zu after warm-up%s",
                           spec->steps[i], model->name, most, and_transient);
    return RS_OK;
}

/* ---- cases --------------------------------------------------------------------------------- */

static size_t n_steps(const rs_plan *plan) { return plan->model_steps ? 1 : plan->spec->n_steps; }

static size_t steps_at(const rs_plan *plan, size_t i) {
    return plan->model_steps ? plan->model_steps : plan->spec->steps[i];
}

static size_t resolve_fit_skip(const rs_spec *spec, size_t steps) {
    if (spec->fit_skip != SIZE_MAX) return spec->fit_skip;
    return steps / 4 < DEFAULT_FIT_SKIP ? steps / 4 : DEFAULT_FIT_SKIP;
}

static size_t dimension_of(rs_cell cell, size_t hidden) {
    return rs_cell_of(cell)->states * hidden;
}

/* Units ascend. */
static rs_status check_directions(const rs_plan *plan) {
    size_t const asked = plan->spec->lyapunov, hidden = plan->hidden[0];
    for (size_t i = 0; asked != SIZE_MAX && i < plan->n_cell; ++i)
        if (asked > dimension_of(plan->cell[i], hidden))
            return rs_fail(RS_EINPUT,
                           "lyapunov: %zu directions asked for, but %s with %zu units has %zu: ask "
                           "for all",
                           asked, rs_cell_name(plan->cell[i]), hidden,
                           dimension_of(plan->cell[i], hidden));
    return RS_OK;
}

/* Both lists ascend. */
static rs_status check_tangents(const rs_plan *plan) {
    const rs_spec *const spec = plan->spec;
    size_t const n = spec->n_singular_at, last = n > 0 ? spec->singular_at[n - 1] : 0;
    size_t const least = steps_at(plan, 0), transient = resolve_transient(spec, least);
    if (transient > least)
        return rs_fail(RS_EINPUT,
                       "transient: %zu is more than the %zu steps that are counted; take fewer, or "
                       "a longer warm-up",
                       transient, least);
    if (last > least)
        return rs_fail(RS_EINPUT, "singular-at: there is no step %zu of %zu", last, least);
    return check_directions(plan);
}

/* Of a case whose other settings are there; its transient comes at the end of its warm-up. */
static void take_tangents(const rs_spec *spec, rs_case *one) {
    size_t const all = dimension_of(one->cell, one->hidden);
    if (spec->lyapunov == 0) return;
    one->tangents = (rs_tangents){.directions = spec->lyapunov == SIZE_MAX ? all : spec->lyapunov,
                                  .transient = resolve_transient(spec, one->steps),
                                  .qr_every = spec->qr_every,
                                  .n_singular = spec->n_singular_at,
                                  .singular_at = spec->singular_at};
    one->warmup += one->tangents.transient;
}

static rs_status check_fit_skip(const rs_plan *plan) {
    for (size_t i = 0; i < n_steps(plan); ++i) {
        size_t const steps = steps_at(plan, i), skip = resolve_fit_skip(plan->spec, steps);
        if (steps > 1 && skip > steps - 2) /* one step has no rate */
            return rs_fail(RS_EINPUT, "fit-skip: %zu leaves fewer than two of %zu steps to fit",
                           skip, steps);
    }
    return RS_OK;
}

rs_status rs_plan_make(const rs_spec *spec, const rs_model *model, const char *engine,
                       rs_plan *out) {
    *out = (rs_plan){.spec = spec, .common = common_case(spec, model, engine)};
    RS_TRY(settle_sizes(spec, model, out));
    RS_TRY(settle_hidden(spec, model, out));
    RS_TRY(settle_cell(spec, model, out));
    RS_TRY(settle_steps(spec, model, out));
    uint64_t n = rs_size_mul(rs_size_mul(spec->n_ensemble, out->n_hidden),
                             rs_size_mul(spec->n_seeds, out->n_variants));
    n = rs_size_mul(n, rs_size_mul(spec->n_input, n_steps(out)));
    if (n == UINT64_MAX)
        return rs_fail(RS_EINPUT, "sweep: too many cases: shorten the lists or split the sweep");
    RS_TRY(check_fit_skip(out));
    RS_TRY(check_tangents(out));
    out->n = n;
    return RS_OK;
}

/* The place of case `rest` on an axis of n values; *rest is left to the slower axes. */
static size_t turn(size_t *rest, size_t n) {
    size_t const at = *rest % n;
    *rest /= n;
    return at;
}

/* Cell, gate bias and leak of variant `i`. */
static void take_variant(const rs_plan *plan, size_t i, rs_case *one) {
    const rs_spec *const spec = plan->spec;
    const rs_cell *cell = plan->cell;
    for (; i >= rs_spec_variants(spec, *cell); ++cell) i -= rs_spec_variants(spec, *cell);
    one->cell = *cell;
    if (rs_cell_is_gated(one->cell)) {
        one->gate_bias = spec->gate_bias[i];
        one->gate_scale = spec->gate_scale;
    } else {
        one->leak = spec->leak[i];
    }
}

rs_case rs_plan_case(const rs_plan *plan, size_t i) {
    const rs_spec *const spec = plan->spec;
    rs_case one = plan->common;
    one.steps = steps_at(plan, turn(&i, n_steps(plan)));
    take_variant(plan, turn(&i, plan->n_variants), &one);
    one.input = spec->input[turn(&i, spec->n_input)];
    one.input_size = one.input.kind == RS_INPUT_PYTORCH ? plan->input_size : 0;
    one.seed = spec->seeds[turn(&i, spec->n_seeds)];
    one.hidden = plan->hidden[turn(&i, plan->n_hidden)];
    one.ensemble = spec->ensemble[turn(&i, spec->n_ensemble)];
    one.fit_skip = resolve_fit_skip(spec, one.steps);
    take_tangents(spec, &one);
    return one;
}

size_t rs_plan_seed_stride(const rs_plan *plan) {
    return plan->spec->n_input * plan->n_variants * n_steps(plan);
}

bool rs_plan_in_shard(const rs_plan *plan, size_t i) {
    const rs_spec *const spec = plan->spec;
    size_t const within = turn(&i, rs_plan_seed_stride(plan)), seed = turn(&i, spec->n_seeds);
    size_t const shape = i * rs_plan_seed_stride(plan) + within;
    return (shape * spec->n_seeds + seed) % spec->shard.count == spec->shard.index;
}

/* ---- memory -------------------------------------------------------------------------------- */

uint64_t rs_plan_host_bytes(const rs_shape *piece, const rs_shape *whole) {
    const rs_cell_info *cell = rs_cell_of(piece->cell);
    uint64_t const h = piece->hidden, real = sizeof(double);
    /* weight_hh, weight_ih and biases; loss gradient and start state of all samples */
    uint64_t const gate = rs_size_add(h, rs_size_add(piece->input_size, 2));
    uint64_t const samples = rs_size_mul(cell->states + 1, whole->batch);
    uint64_t const rows = rs_size_add(rs_size_mul(cell->gates, gate), samples);
    uint64_t const weights = rs_size_mul(rows, rs_size_mul(h, real));
    bool const predicted = piece->directions > 0 && piece->cell == RS_LINEAR;
    uint64_t const eigenvalues = predicted ? rs_size_mul(2 * real, h) : 0;
    uint64_t const tangents = rs_size_add(rs_tangent_sums(piece), rs_tangent_results(piece));
    uint64_t const curves = rs_curves_of(piece->cell) * RS_CURVE_ARRAYS;
    uint64_t const profiles = rs_size_mul(piece->steps, rs_size_mul(whole->radii, curves * real));
    uint64_t const points =
        rs_size_add(profiles, rs_size_mul(whole->radii, rs_size_mul(tangents, real)));
    uint64_t const task = rs_size_add(rs_size_add(weights, eigenvalues), points);
    return rs_size_add(rs_record_bytes(piece), rs_size_mul(piece->groups, task));
}

typedef struct budget {
    const rs_engine *engine;
    size_t device;
    const rs_resources *resources;
    const rs_shape *whole;
    bool on_host;
    uint64_t making, memory;
} budget;

static uint64_t needs(const budget *b, const rs_shape *piece) {
    uint64_t engine;
    if (b->engine->bytes(b->device, piece, b->resources, &engine) != RS_OK) return UINT64_MAX;
    uint64_t const host = rs_size_add(rs_plan_host_bytes(piece, b->whole), b->making);
    return b->on_host ? rs_size_add(engine, host) : engine;
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

static rs_status fail_memory(const rs_shape *piece, uint64_t needed, uint64_t allowed) {
    char text[2][RS_BYTES_TEXT];
    return rs_fail(RS_EINPUT,
                   "memory: one %s of %zu units and %zu steps needs %s, but %s is allowed: "
                   "raise --memory, or lower --hidden, --steps or --batch",
                   piece->gradients ? "radius" : "column", piece->hidden, piece->steps,
                   rs_bytes_text(needed, text[0]), rs_bytes_text(allowed, text[1]));
}

/* A gradient is a sum over all samples of a radius. */
static bool shrink_batch(const budget *b, rs_shape *piece) {
    return !piece->gradients && shrink(b, piece, &piece->batch);
}

rs_status rs_plan_cut(const rs_engine *engine, size_t device, const rs_resources *resources,
                      const rs_shape *whole, bool on_host, uint64_t making, uint64_t memory,
                      rs_cut *out) {
    budget const b = {engine, device, resources, whole, on_host, making, memory};
    rs_shape piece = *whole;
    uint64_t bytes;
    RS_TRY(engine->bytes(device, whole, resources, &bytes)); /* where it cannot run such shapes */
    if (!shrink(&b, &piece, &piece.groups) && !shrink(&b, &piece, &piece.radii) &&
        !shrink_batch(&b, &piece))
        return fail_memory(&piece, needs(&b, &piece), memory);
    *out = (rs_cut){
        .groups = piece.groups, .radii = piece.radii, .batch = piece.batch, .making_bytes = making};
    out->host_bytes = rs_plan_host_bytes(&piece, whole);
    return engine->bytes(device, &piece, resources, &out->engine_bytes);
}
