#include "case.h"

#include "../spec/words.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static const rs_drive_kind drive_of[] = {
    [RS_INPUT_ZERO] = RS_DRIVE_ZERO,
    [RS_INPUT_NOISE] = RS_DRIVE_NOISE,
    [RS_INPUT_PYTORCH] = RS_DRIVE_WEIGHTED,
};

rs_shape rs_case_shape(const rs_case *one, size_t radii) {
    return (rs_shape){
        .groups = 1,
        .radii = radii,
        .batch = one->batch,
        .hidden = one->hidden,
        .input_size = one->input_size,
        .steps = one->steps,
        .warmup = one->warmup,
        .cell = one->cell,
        .precision = one->precision,
        .raw = one->raw,
        .drive = drive_of[one->input.kind],
        .gradients = one->gradients,
        .directions = one->tangents.directions,
        .transient = one->tangents.transient,
        .qr_every = one->tangents.qr_every,
        .n_singular = one->tangents.n_singular,
        .singular_at = one->tangents.singular_at,
        .leak = one->leak < 1.0 ? one->leak : 0.0,
    };
}

size_t rs_curves_of(rs_cell cell) {
    size_t const states = rs_cell_of(cell)->states;
    return states > 1 ? states + 1 : 1;
}

size_t rs_tangent_sums(const rs_shape *shape) {
    return (RS_STRETCH_BLOCKS + shape->n_singular) * shape->directions;
}

size_t rs_tangent_results(const rs_shape *shape) {
    bool const predicted = shape->directions > 0 && shape->cell == RS_LINEAR;
    size_t const measured = 2 + shape->n_singular; /* exponents and their errors */
    return measured * shape->directions + (predicted ? shape->hidden : 0);
}

bool rs_case_has_determinant(const rs_case *one) {
    return one->tangents.directions == one->hidden && !rs_cell_is_gated(one->cell) &&
           one->leak == 1.0;
}

bool rs_case_has_eigenvalues(const rs_case *one) {
    return one->tangents.directions > 0 && one->cell == RS_LINEAR;
}

bool rs_case_same_shape(const rs_case *a, const rs_case *b) {
    rs_shape const x = rs_case_shape(a, 1), y = rs_case_shape(b, 1);
    return x.batch == y.batch && x.hidden == y.hidden && x.input_size == y.input_size &&
           x.steps == y.steps && x.warmup == y.warmup && x.cell == y.cell &&
           x.precision == y.precision && x.raw == y.raw && x.drive == y.drive &&
           x.gradients == y.gradients && x.directions == y.directions &&
           x.transient == y.transient && x.leak == y.leak;
}

/* ---- identity ------------------------------------------------------------------------------- */

static void get_cell(const rs_case *one, rs_identity_value *out) {
    out->text = rs_cell_name(one->cell);
}
static void get_ensemble(const rs_case *one, rs_identity_value *out) {
    out->text = rs_ensemble_text(one->ensemble, out->buffer);
}
static void get_hidden(const rs_case *one, rs_identity_value *out) {
    out->whole = (int64_t)one->hidden;
}
static void get_steps(const rs_case *one, rs_identity_value *out) {
    out->whole = (int64_t)one->steps;
}
static void get_seed(const rs_case *one, rs_identity_value *out) {
    out->whole = (int64_t)one->seed;
}
static void get_batch(const rs_case *one, rs_identity_value *out) {
    out->whole = (int64_t)one->batch;
}
static void get_input(const rs_case *one, rs_identity_value *out) {
    out->text = rs_input_text(one->input, out->buffer);
}
static void get_input_size(const rs_case *one, rs_identity_value *out) {
    out->whole = (int64_t)one->input_size;
}
static void get_h0(const rs_case *one, rs_identity_value *out) {
    out->text = rs_start_text(one->h0, out->buffer);
}
static void get_warmup(const rs_case *one, rs_identity_value *out) {
    out->whole = (int64_t)one->warmup;
}
static void get_loss(const rs_case *one, rs_identity_value *out) {
    out->text = rs_loss_name(one->loss);
}
static void get_fit_skip(const rs_case *one, rs_identity_value *out) {
    out->whole = (int64_t)one->fit_skip;
}
static void get_gate_bias(const rs_case *one, rs_identity_value *out) {
    out->text = rs_cell_is_gated(one->cell) ? rs_gate_bias_text(one->gate_bias, out->buffer) : "";
}
static void get_gate_scale(const rs_case *one, rs_identity_value *out) {
    out->text = rs_cell_is_gated(one->cell) ? rs_gate_scale_name(one->gate_scale) : "";
}
static void get_leak(const rs_case *one, rs_identity_value *out) {
    out->text = rs_cell_is_gated(one->cell) ? "" : rs_real_text(one->leak, out->buffer);
}
static void get_precision(const rs_case *one, rs_identity_value *out) {
    out->text = rs_precision_name(one->precision);
}
static void get_raw(const rs_case *one, rs_identity_value *out) { out->whole = one->raw; }
static void get_engine(const rs_case *one, rs_identity_value *out) { out->text = one->engine; }
static void get_model_digest(const rs_case *one, rs_identity_value *out) {
    out->buffer[0] = '\0';
    if (one->ensemble.kind == RS_MODEL)
        snprintf(out->buffer, sizeof out->buffer, "%016" PRIx64, one->model_digest);
    out->text = out->buffer;
}

static const rs_identity_column columns[] = {
    {"cell", RS_IDENTITY_TEXT, RS_PART_SHAPE, get_cell},
    {"ensemble", RS_IDENTITY_TEXT, RS_PART_SHAPE, get_ensemble},
    {"hidden", RS_IDENTITY_WHOLE, RS_PART_SHAPE, get_hidden},
    {"steps", RS_IDENTITY_WHOLE, RS_PART_SHAPE, get_steps},
    {"seed", RS_IDENTITY_WHOLE, RS_PART_SEED, get_seed},
    {"batch", RS_IDENTITY_WHOLE, RS_PART_SETTING, get_batch},
    {"input", RS_IDENTITY_TEXT, RS_PART_SETTING, get_input},
    {"input_size", RS_IDENTITY_WHOLE, RS_PART_SETTING, get_input_size},
    {"h0", RS_IDENTITY_TEXT, RS_PART_SETTING, get_h0},
    {"warmup", RS_IDENTITY_WHOLE, RS_PART_SETTING, get_warmup},
    {"loss", RS_IDENTITY_TEXT, RS_PART_SETTING, get_loss},
    {"fit_skip", RS_IDENTITY_WHOLE, RS_PART_SETTING, get_fit_skip},
    {"gate_bias", RS_IDENTITY_TEXT, RS_PART_SETTING, get_gate_bias},
    {"gate_scale", RS_IDENTITY_TEXT, RS_PART_SETTING, get_gate_scale},
    {"leak", RS_IDENTITY_TEXT, RS_PART_SETTING, get_leak},
    {"precision", RS_IDENTITY_TEXT, RS_PART_SETTING, get_precision},
    {"raw", RS_IDENTITY_WHOLE, RS_PART_SETTING, get_raw},
    {"engine", RS_IDENTITY_TEXT, RS_PART_SETTING, get_engine},
    {"model_digest", RS_IDENTITY_TEXT, RS_PART_DIGEST, get_model_digest},
};

static_assert(sizeof columns / sizeof *columns <= RS_MAX_IDENTITY, "room for all of them");

const rs_identity_column *rs_identity_columns(size_t *n) {
    *n = sizeof columns / sizeof *columns;
    return columns;
}
