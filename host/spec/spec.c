#include "spec.h"

#include "../../kernels/base/sizes.h"

#include <inttypes.h>

static uint64_t const max_cases = 10000000;     /* of a sweep */
static uint64_t const max_profile = 1000000000; /* radii x steps of a case */

rs_status rs_spec_init(rs_spec *spec) {
    size_t n;
    const rs_spec_key *const keys = rs_spec_keys(&n);
    *spec = (rs_spec){0};
    for (size_t k = 0; k < n; ++k)
        if (keys[k].initial) RS_TRY(rs_key_set(&keys[k], spec, keys[k].initial));
    return RS_OK;
}

void rs_spec_free(rs_spec *spec) {
    size_t n;
    const rs_spec_key *const keys = rs_spec_keys(&n);
    for (size_t k = 0; k < n; ++k) rs_key_free(&keys[k], spec);
    *spec = (rs_spec){0};
}

static rs_source *source_of(rs_spec *spec, const char *key) {
    return &spec->source[rs_key_find(key)];
}

/* The model brings its size with it, and takes the place of an ensemble of an earlier source. */
static void settle_model(rs_spec *spec, rs_source source) {
    rs_source *const ensemble = source_of(spec, "ensemble");
    rs_source *const hidden = source_of(spec, "hidden");
    if (*ensemble < source) {
        spec->ensemble[0] = (rs_ensemble){.kind = RS_MODEL};
        spec->n_ensemble = 1;
        *ensemble = RS_FROM_DEFAULT;
    }
    if (*hidden < source) {
        spec->n_hidden = 0;
        *hidden = RS_FROM_DEFAULT;
    }
}

/* An ensemble takes the place of a model of an earlier source. */
static rs_status settle_ensemble(rs_spec *spec, rs_source source) {
    size_t n;
    const rs_spec_key *const keys = rs_spec_keys(&n), *const hidden = &keys[rs_key_find("hidden")];
    rs_source *const model = source_of(spec, "model");
    if (!spec->model || *model >= source) return RS_OK;
    rs_key_free(&keys[rs_key_find("model")], spec);
    *model = RS_FROM_DEFAULT;
    return spec->n_hidden > 0 ? RS_OK : rs_key_set(hidden, spec, hidden->initial);
}

rs_status rs_spec_set(rs_spec *spec, const char *key, const char *value, rs_source source) {
    size_t n, k = rs_key_find(key);
    const rs_spec_key *const keys = rs_spec_keys(&n);
    if (k == RS_MAX_KEYS) return rs_key_unknown(key);
    if (!value && keys[k].argument) return rs_fail(RS_EINPUT, "%s: needs a value", key);
    rs_status const status = rs_key_set(&keys[k], spec, value);
    if (status != RS_OK) return rs_fail_in(status, "%s", key);
    if (k == rs_key_find("model")) settle_model(spec, source);
    if (k == rs_key_find("ensemble")) RS_TRY(settle_ensemble(spec, source));
    spec->source[k] = source;
    return RS_OK;
}

bool rs_spec_given(const rs_spec *spec, const char *key) {
    size_t const k = rs_key_find(key);
    return k < RS_MAX_KEYS && spec->source[k] != RS_FROM_DEFAULT;
}

static rs_status check_fit_skip(const rs_spec *spec) {
    if (spec->fit_skip == SIZE_MAX) return RS_OK;
    for (size_t i = 0; i < spec->n_steps; ++i)
        if (spec->steps[i] > 1 && spec->fit_skip > spec->steps[i] - 2) /* one step has no rate */
            return rs_fail(RS_EINPUT,
                           "fit-skip: %zu of %zu steps leaves fewer than 2 to fit; take at most "
                           "%zu, or more steps",
                           spec->fit_skip, spec->steps[i], spec->steps[i] - 2);
    return RS_OK;
}

static bool has_only_drawn_biases(const rs_spec *spec) {
    return spec->n_gate_bias == 1 && spec->gate_bias[0].kind == RS_BIAS_DRAWN;
}

rs_status rs_spec_check_cells(const rs_spec *spec, const rs_cell *cell, size_t n) {
    static const char *const needs_gates = "%s: only for lstm and gru cells, not %s";
    size_t gated = 0;
    for (size_t i = 0; i < n; ++i) gated += rs_cell_is_gated(cell[i]);
    bool const leaky = spec->n_leak > 1 || spec->leak[0] < 1.0;
    if (gated == 0 && !has_only_drawn_biases(spec))
        return rs_fail(RS_EINPUT, needs_gates, "gate-bias", rs_cell_name(cell[0]));
    if (gated == 0 && spec->gate_scale != RS_SCALE_SAME)
        return rs_fail(RS_EINPUT, needs_gates, "gate-scale", rs_cell_name(cell[0]));
    if (gated == n && leaky)
        return rs_fail(RS_EINPUT, "leak: only for tanh, relu and linear cells, not %s",
                       rs_cell_name(cell[0]));
    return RS_OK;
}

size_t rs_spec_variants(const rs_spec *spec, rs_cell cell) {
    return rs_cell_is_gated(cell) ? spec->n_gate_bias : spec->n_leak;
}

/* A model settles the cell where the spec does not. */
static bool settles_cells(const rs_spec *spec) {
    return !spec->model || rs_spec_given(spec, "cell");
}

/* Of all cells, at most. */
static size_t count_variants(const rs_spec *spec) {
    size_t n = 0;
    if (!settles_cells(spec))
        return spec->n_leak > spec->n_gate_bias ? spec->n_leak : spec->n_gate_bias;
    for (size_t i = 0; i < spec->n_cell; ++i) n += rs_spec_variants(spec, spec->cell[i]);
    return n;
}

/* Those of single values; what they are of, the plan knows. */
static rs_status check_tangents(const rs_spec *spec) {
    static const char *const needs = "%s: only with Lyapunov exponents: give lyapunov too";
    if (spec->n_singular_at > 0 && spec->lyapunov != SIZE_MAX)
        return rs_fail(RS_EINPUT, "singular-at: needs all directions: give lyapunov all");
    if (spec->lyapunov > 0) return RS_OK;
    if (spec->transient != SIZE_MAX) return rs_fail(RS_EINPUT, needs, "transient");
    if (spec->qr_every > 0) return rs_fail(RS_EINPUT, needs, "qr-every");
    return RS_OK;
}

rs_status rs_spec_check(const rs_spec *spec) {
    if (spec->model && spec->source[rs_key_find("model")] == spec->source[rs_key_find("ensemble")])
        return rs_fail(RS_EINPUT, "model: give a model or an ensemble, not both");
    RS_TRY(check_fit_skip(spec));
    RS_TRY(check_tangents(spec));
    if (settles_cells(spec)) RS_TRY(rs_spec_check_cells(spec, spec->cell, spec->n_cell));
    size_t const length[] = {spec->n_ensemble, spec->n_hidden ? spec->n_hidden : 1,
                             spec->n_steps,    spec->n_seeds,
                             spec->n_input,    count_variants(spec)};
    uint64_t cases = 1;
    for (size_t i = 0; i < sizeof length / sizeof *length; ++i)
        cases = rs_size_mul(cases, length[i]);
    uint64_t const profile = (uint64_t)spec->n_rho * spec->steps[spec->n_steps - 1];
    if (cases > max_cases)
        return rs_fail(RS_EINPUT,
                       "sweep: %" PRIu64 " cases are more than %" PRIu64 "; take several sweeps",
                       cases, max_cases);
    if (profile > max_profile)
        return rs_fail(RS_EINPUT,
                       "sweep: %zu radii of %zu steps are more than %" PRIu64
                       " norms in one case; take fewer radii or steps",
                       spec->n_rho, spec->steps[spec->n_steps - 1], max_profile);
    return RS_OK;
}
