#include "weights.h"

#include "../../kernels/base/random.h"
#include "../../kernels/base/sizes.h"
#include "spectrum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Changes of an imported matrix, relative to each element, that must not move its radius by more.
 */
static const double perturbation = 0x1p-42, max_radius_change = 0.01;

typedef void (*draw_pair)(uint64_t seed, rs_stream stream, uint32_t row, uint32_t column,
                          uint32_t pair, double out[2]);

static void normal_pair(uint64_t seed, rs_stream stream, uint32_t row, uint32_t column,
                        uint32_t pair, double out[2]) {
    rs_normal_pair(seed, stream, row, column, pair, out);
}

/* Both in [-1, 1]. */
static void symmetric_uniform_pair(uint64_t seed, rs_stream stream, uint32_t row, uint32_t column,
                                   uint32_t pair, double out[2]) {
    rs_uniform_pair(seed, stream, row, column, pair, out);
    out[0] = 2.0 * out[0] - 1.0;
    out[1] = 2.0 * out[1] - 1.0;
}

/* Element i of a row is member i % 2 of pair i / 2, whatever the row's length. */
static void draw_row(draw_pair draw, uint64_t seed, rs_stream stream, size_t row, size_t column,
                     size_t length, double *out) {
    for (size_t i = 0; i < length; i += 2) {
        double pair[2];
        draw(seed, stream, (uint32_t)row, (uint32_t)column, (uint32_t)(i / 2), pair);
        out[i] = pair[0];
        if (i + 1 < length) out[i + 1] = pair[1];
    }
}

static rs_status allocate(size_t rows, size_t columns, double **out) {
    size_t count = 0, bytes = 0;
    if (rows > UINT32_MAX || columns > UINT32_MAX ||
        __builtin_mul_overflow(rows, columns, &count) ||
        __builtin_mul_overflow(count, sizeof(double), &bytes))
        return rs_fail(RS_EINPUT, "an array of %zu x %zu values is too large", rows, columns);
    *out = calloc(count ? count : 1, sizeof(double));
    return *out ? RS_OK : rs_fail(RS_EMEMORY, "no memory for %zu x %zu values", rows, columns);
}

static void divide(size_t count, double divisor, double *a) {
    for (size_t i = 0; i < count; ++i) a[i] /= divisor;
}

static rs_status check_range(rs_precision precision, size_t count, const double *a,
                             const char *what) {
    for (size_t i = 0; i < count; ++i) {
        double const rounded = precision == RS_F32 ? (double)(float)a[i] : a[i];
        if (!isfinite(rounded))
            return rs_fail(RS_EINPUT, "%s: %g is beyond the range of %s%s", what, a[i],
                           rs_precision_name(precision),
                           precision == RS_F32 ? "; try --precision f64" : "");
    }
    return RS_OK;
}

/* weight_hh */

/* Gates, and rows of all their blocks. */
static size_t gates_of(const rs_case *one) { return rs_cell_of(one->cell)->gates; }
static size_t rows_of(const rs_case *one) { return gates_of(one) * one->hidden; }

static void draw_weight_hh(draw_pair draw, const rs_case *one, double *w) {
    size_t const h = one->hidden;
    for (size_t i = 0; i < rows_of(one); ++i)
        draw_row(draw, one->seed, RS_STREAM_WEIGHT_HH, i, 0, h, w + i * h);
}

/* The upper triangle of the Gaussian ensemble, mirrored; the diagonal has twice the variance. */
static void make_symmetric(size_t h, double *w) {
    for (size_t i = 0; i < h; ++i) {
        w[i * h + i] *= sqrt(2.0);
        for (size_t j = i + 1; j < h; ++j) w[j * h + i] = w[i * h + j];
    }
}

static void fill_shifted(size_t h, size_t shift, double *w) {
    for (size_t i = 0; i < h; ++i) w[i * h + (i + shift) % h] = 1.0;
}

/* Of gate k: pairs uniform in the disk, in no order. An odd H has one eigenvalue alone, which must
 * be real and gets the modulus that the others have, and a random sign; there is no other real one,
 * for a point of the disk is on its axis with probability 0. */
static void draw_eigenvalues(const rs_case *one, size_t k, double *re, double *im) {
    for (size_t j = 0; j < (one->hidden + 1) / 2; ++j) {
        double u[2], cosine, sine;
        rs_uniform_pair(one->seed, RS_STREAM_EIGENVALUE, (uint32_t)k, 0, (uint32_t)j, u);
        bool const alone = 2 * j + 1 == one->hidden;
        double const modulus = sqrt(u[0]), turn = alone ? floor(2.0 * u[1]) : u[1];
        rs_random_cos_sin(0.5 * turn, &cosine, &sine); /* the upper half of the disk */
        re[j] = modulus * cosine;
        im[j] = modulus * sine;
    }
}

/* From the Gaussian numbers in w. */
static rs_status make_normal(const rs_case *one, size_t k, double *w) {
    size_t const pairs = (one->hidden + 1) / 2;
    double *re = NULL;
    RS_TRY(rs_orthogonal_factor(one->hidden, w));
    RS_TRY(allocate(2, pairs, &re));
    draw_eigenvalues(one, k, re, re + pairs);
    rs_status const status = rs_normal_matrix(one->hidden, re, re + pairs, w);
    free(re);
    return status;
}

/* Takes elements away, each by itself; a smaller density takes the same ones and more. */
static rs_status thin_out(const rs_case *one, size_t k, double *w) {
    size_t const h = one->hidden;
    double *chance = NULL;
    RS_TRY(allocate(1, h, &chance));
    for (size_t i = 0; i < h; ++i) {
        draw_row(rs_uniform_pair, one->seed, RS_STREAM_DENSITY, k * h + i, 0, h, chance);
        for (size_t j = 0; j < h; ++j)
            if (chance[j] > one->ensemble.density) w[i * h + j] = 0.0;
    }
    free(chance);
    divide(h * h, sqrt(one->ensemble.density), w);
    return RS_OK;
}

/* The block [H][H] of gate k, from the numbers drawn for it. */
static rs_status make_block(const rs_case *one, size_t k, double *w) {
    size_t const h = one->hidden;
    switch (one->ensemble.kind) {
    case RS_ORTHOGONAL: return rs_orthogonal_factor(h, w);
    case RS_NORMAL: return make_normal(one, k, w);
    case RS_IDENTITY: fill_shifted(h, 0, w); return RS_OK;
    case RS_RING: fill_shifted(h, h - 1, w); return RS_OK;
    case RS_SYMMETRIC: make_symmetric(h, w); break;
    case RS_SPARSE: RS_TRY(thin_out(one, k, w)); break;
    default: break;
    }
    divide(h * h, sqrt((double)h), w);
    return RS_OK;
}

static rs_status fill_weight_hh(const rs_model *model, const rs_case *one, double *w) {
    size_t const h = one->hidden;
    rs_ensemble_kind const kind = one->ensemble.kind;
    if (kind == RS_MODEL) {
        memcpy(w, model->weight_hh, rows_of(one) * h * sizeof *w);
        return RS_OK;
    }
    if (kind != RS_IDENTITY && kind != RS_RING)
        draw_weight_hh(kind == RS_UNIFORM ? symmetric_uniform_pair : normal_pair, one, w);
    for (size_t k = 0; k < gates_of(one); ++k) RS_TRY(make_block(one, k, w + k * h * h));
    return RS_OK;
}

/* *changed: whether any element has changed. */
static rs_status round_weight_hh(rs_precision precision, size_t count, double *w, bool *changed) {
    RS_TRY(check_range(precision, count, w, "weight_hh"));
    *changed = false;
    for (size_t i = 0; precision == RS_F32 && i < count; ++i) {
        double const rounded = (double)(float)w[i];
        *changed |= rounded != w[i];
        w[i] = rounded;
    }
    return RS_OK;
}

/* The eigenvalues of a matrix similar to a nilpotent one are roots of its rounding errors, far
 * above them, and meaningless. They can be recognised: they move by as much as their own size.
 * Exact zeros stay, so that a triangular matrix passes. */
static rs_status check_radius(rs_radii *radii, size_t h, const double *w, double radius) {
    double *moved = NULL, changed = 0.0;
    RS_TRY(allocate(h, h, &moved));
    for (size_t i = 0; i < h; ++i)
        draw_row(symmetric_uniform_pair, 0, RS_STREAM_WEIGHT_HH, i, 0, h, moved + i * h);
    for (size_t i = 0; i < h * h; ++i) moved[i] = w[i] * (1.0 + perturbation * moved[i]);
    rs_status const status = rs_radii_find(radii, h, moved, &changed);
    free(moved);
    RS_TRY(status);
    if (fabs(changed - radius) <= max_radius_change * radius) return RS_OK;
    return rs_fail(
        RS_EINPUT,
        "weight_hh: nearly nilpotent, its spectral radius is lost in rounding (%g or %g) "
        "and cannot be scaled; use --rho native",
        radius, changed);
}

/* The block whose spectral radius is the network's. */
static double *candidate_of(const rs_case *one, double *weight_hh) {
    return weight_hh + rs_cell_of(one->cell)->candidate * one->hidden * one->hidden;
}

static rs_status scale_weight_hh(const rs_case *one, rs_radii *radii, rs_weights *out) {
    size_t const h = out->hidden;
    bool const all = one->gate_scale == RS_SCALE_SAME;
    double *const candidate = candidate_of(one, out->weight_hh);
    if (out->drawn_radius == 0.0)
        return rs_fail(RS_EINPUT, "weight_hh: its spectral radius is 0 (nilpotent), so it "
                                  "cannot be scaled; use --rho native");
    if (one->ensemble.kind == RS_MODEL)
        RS_TRY(check_radius(radii, h, candidate, out->drawn_radius));
    divide((all ? rows_of(one) : h) * h, out->drawn_radius, all ? out->weight_hh : candidate);
    return RS_OK;
}

/* A matrix as it is, unscaled. Zero is one that passes nothing on. */
static rs_status check_native(const rs_weights *weights) {
    double const g = weights->coupling;
    if (g == 0.0 || (g >= RS_LEAST_RADIUS && g <= RS_MOST_RADIUS)) return RS_OK;
    return rs_fail(
        RS_EINPUT,
        "weight_hh: its coupling %g is not between %g and %g, the limits of range extension; "
        "scale it with --rho",
        g, RS_LEAST_RADIUS, RS_MOST_RADIUS);
}

static rs_status make_weight_hh(const rs_case *one, const rs_model *model, rs_radii *radii,
                                rs_weights *out) {
    size_t const h = one->hidden;
    bool rounded;
    RS_TRY(allocate(rows_of(one), h, &out->weight_hh));
    RS_TRY(fill_weight_hh(model, one, out->weight_hh));
    double *const candidate = candidate_of(one, out->weight_hh);
    RS_TRY(rs_radii_find(radii, h, candidate, &out->drawn_radius));
    if (!one->native) RS_TRY(scale_weight_hh(one, radii, out));
    RS_TRY(round_weight_hh(one->precision, rows_of(one) * h, out->weight_hh, &rounded));
    out->radius = out->drawn_radius;
    if (!one->native || rounded) RS_TRY(rs_radii_find(radii, h, candidate, &out->radius));
    out->coupling = rs_coupling(h, candidate);
    return one->native ? check_native(out) : RS_OK;
}

/* weight_ih and biases */

static void draw_uniform(const rs_case *one, rs_stream stream, size_t rows, size_t columns,
                         double *out) {
    for (size_t i = 0; i < rows; ++i)
        draw_row(symmetric_uniform_pair, one->seed, stream, i, 0, columns, out + i * columns);
    divide(rows * columns, sqrt((double)one->hidden), out);
}

static void copy(size_t count, const double *from, double *to) {
    if (from) memcpy(to, from, count * sizeof *to);
}

static void make_biases(const rs_case *one, const rs_model *model, rs_weights *out) {
    size_t const h = rows_of(one);
    bool const in_file = model && (model->weight_ih || model->bias_ih || model->bias_hh);
    if (in_file) {
        copy(h, model->bias_ih, out->bias_ih);
        copy(h, model->bias_hh, out->bias_hh);
        return;
    }
    draw_uniform(one, RS_STREAM_BIAS_IH, 1, h, out->bias_ih);
    draw_uniform(one, RS_STREAM_BIAS_HH, 1, h, out->bias_hh);
}

/* ln U(1, TMAX - 1) (Tallec & Ollivier 2018, section 2). */
static double draw_chrono(const rs_case *one, size_t unit) {
    double pair[2];
    rs_uniform_pair(one->seed, RS_STREAM_GATE_BIAS, 0, 0, (uint32_t)(unit / 2), pair);
    return log(1.0 + pair[unit % 2] * (one->gate_bias.value - 2.0));
}

/* The memory gate's total bias, which replaces bias_ih and bias_hh. */
static void give_gate_bias(const rs_case *one, rs_weights *out) {
    size_t const first = rs_cell_of(one->cell)->memory * one->hidden;
    for (size_t i = 0; i < one->hidden; ++i) {
        bool const chrono = one->gate_bias.kind == RS_BIAS_CHRONO;
        out->bias_ih[first + i] = chrono ? draw_chrono(one, i) : one->gate_bias.value;
        out->bias_hh[first + i] = 0.0;
    }
}

/* Engines add the two before they round, but for the candidate of a GRU. */
static rs_status check_biases(const rs_case *one, const rs_weights *weights) {
    for (size_t i = 0; i < rows_of(one); ++i) {
        double const sum = weights->bias_ih[i] + weights->bias_hh[i];
        RS_TRY(check_range(one->precision, 1, &sum, "bias_ih + bias_hh"));
    }
    if (one->cell != RS_GRU) return RS_OK;
    RS_TRY(check_range(one->precision, rows_of(one), weights->bias_ih, "bias_ih"));
    return check_range(one->precision, rows_of(one), weights->bias_hh, "bias_hh");
}

static rs_status make_input_weights(const rs_case *one, const rs_model *model, rs_weights *out) {
    size_t const h = rows_of(one), inputs = one->input_size;
    if (one->input.kind != RS_INPUT_PYTORCH) return RS_OK;
    RS_TRY(allocate(h, inputs, &out->weight_ih));
    if (model && model->weight_ih)
        copy(h * inputs, model->weight_ih, out->weight_ih);
    else
        draw_uniform(one, RS_STREAM_WEIGHT_IH, h, inputs, out->weight_ih);
    RS_TRY(check_range(one->precision, h * inputs, out->weight_ih, "weight_ih"));
    if (!model || !model->input) return RS_OK;
    return check_range(one->precision, model->steps * model->batch * model->input_size,
                       model->input, "input");
}

static rs_status make_all_biases(const rs_case *one, const rs_model *model, rs_weights *out) {
    bool const weighted = one->input.kind == RS_INPUT_PYTORCH;
    bool const given = one->gate_bias.kind != RS_BIAS_DRAWN;
    if (!weighted && !given) return RS_OK;
    RS_TRY(allocate(1, rows_of(one), &out->bias_ih));
    RS_TRY(allocate(1, rows_of(one), &out->bias_hh));
    if (weighted) make_biases(one, model, out);
    if (given) give_gate_bias(one, out);
    return check_biases(one, out);
}

/* h0 and c0 */

/* `from` is the model's [batch][H]. */
static rs_status take_state(const rs_case *one, const rs_model *model, const double *from,
                            const char *name, double *state) {
    if (one->batch > model->batch)
        return rs_fail(RS_EINPUT, "%s: has %zu samples, the batch is %zu", name, model->batch,
                       one->batch);
    memcpy(state, from, one->batch * one->hidden * sizeof *state);
    return RS_OK;
}

static void draw_state(const rs_case *one, size_t row, double *state) {
    size_t const h = one->hidden;
    for (size_t b = 0; b < one->batch; ++b)
        draw_row(normal_pair, one->seed, RS_STREAM_H0, row, b, h, state + b * h);
    for (size_t i = 0; i < one->batch * h; ++i) state[i] *= one->h0.sigma;
}

/* Row 0 of the stream is for h0, row 1 for c0. */
static rs_status make_state(const rs_case *one, const rs_model *model, const double *from,
                            size_t row, double **out) {
    const char *const name = row == 0 ? "h0" : "c0";
    bool const taken = one->h0.kind == RS_START_MODEL;
    if (one->h0.kind == RS_START_ZERO || (taken && !from)) return RS_OK;
    RS_TRY(allocate(one->batch, one->hidden, out));
    if (taken)
        RS_TRY(take_state(one, model, from, name, *out));
    else
        draw_state(one, row, *out);
    return check_range(one->precision, one->batch * one->hidden, *out, name);
}

/* What tangents are compared with */

static rs_status make_predictions(const rs_case *one, rs_weights *out) {
    size_t const h = one->hidden;
    if (rs_case_has_determinant(one))
        RS_TRY(rs_log_abs_determinant(h, out->weight_hh, &out->log_det));
    if (!rs_case_has_eigenvalues(one)) return RS_OK;
    RS_TRY(allocate(2, h, &out->eigenvalue));
    return rs_eigenvalues(h, out->weight_hh, out->eigenvalue, out->eigenvalue + h);
}

rs_status rs_weights_make(const rs_case *one, const rs_model *model, rs_radii *radii,
                          rs_weights *out) {
    *out = (rs_weights){.hidden = one->hidden, .log_det = NAN};
    RS_TRY(make_weight_hh(one, model, radii, out));
    RS_TRY(make_predictions(one, out));
    RS_TRY(make_input_weights(one, model, out));
    RS_TRY(make_all_biases(one, model, out));
    RS_TRY(make_state(one, model, model ? model->h0 : NULL, 0, &out->h0));
    if (rs_cell_of(one->cell)->states < 2) return RS_OK;
    return make_state(one, model, model ? model->c0 : NULL, 1, &out->c0);
}

uint64_t rs_weights_making_bytes(const rs_case *one) {
    uint64_t const matrix = rs_size_mul(rs_size_mul(one->hidden, one->hidden), sizeof(double));
    uint64_t const radius = rs_spectral_radius_bytes(one->hidden);
    bool const has_another = one->ensemble.kind == RS_MODEL || one->ensemble.kind == RS_NORMAL;
    uint64_t const first =
        has_another ? rs_size_add(matrix, radius) : radius; /* of check_radius, make_normal */
    bool const predicts = rs_case_has_determinant(one) || rs_case_has_eigenvalues(one);
    uint64_t const then = predicts ? rs_eigenvalues_bytes(one->hidden) : 0;
    return first > then ? first : then;
}

bool rs_weights_shared(const rs_case *a, const rs_case *b) {
    bool const cell = rs_cell_of(a->cell) == rs_cell_of(b->cell) ||
                      (!rs_cell_is_gated(a->cell) && !rs_cell_is_gated(b->cell));
    bool const gates =
        a->gate_scale == b->gate_scale && rs_compare_gate_biases(a->gate_bias, b->gate_bias) == 0;
    bool const weight_hh = rs_compare_ensembles(a->ensemble, b->ensemble) == 0 &&
                           a->hidden == b->hidden && a->seed == b->seed && a->native == b->native &&
                           a->precision == b->precision;
    bool const input = (a->input.kind == RS_INPUT_PYTORCH) == (b->input.kind == RS_INPUT_PYTORCH) &&
                       a->input_size == b->input_size;
    bool const h0 = a->h0.kind == b->h0.kind && a->h0.sigma == b->h0.sigma && a->batch == b->batch;
    bool const predictions = rs_case_has_determinant(a) == rs_case_has_determinant(b) &&
                             rs_case_has_eigenvalues(a) == rs_case_has_eigenvalues(b);
    return cell && gates && weight_hh && input && h0 && predictions;
}

void rs_weights_free(rs_weights *weights) {
    free(weights->weight_hh);
    free(weights->weight_ih);
    free(weights->bias_ih);
    free(weights->bias_hh);
    free(weights->h0);
    free(weights->c0);
    free(weights->eigenvalue);
    *weights = (rs_weights){0};
}

double rs_weights_scale(const rs_case *one, double rho, size_t gate) {
    bool const is_swept =
        one->gate_scale == RS_SCALE_SAME || gate == rs_cell_of(one->cell)->candidate;
    if (one->native || !is_swept) return 1.0;
    return one->precision == RS_F32 ? (double)(float)rho : rho;
}

static int by_exponent(const void *left, const void *right) {
    double const l = *(const double *)left, r = *(const double *)right;
    return (l < r) - (l > r);
}

void rs_weights_predict(const rs_case *one, const rs_weights *weights, double scale, double *out) {
    size_t const h = weights->hidden;
    const double *const re = weights->eigenvalue, *const im = re + h;
    double const kept = 1.0 - one->leak, taken = one->leak * scale;
    for (size_t i = 0; i < h; ++i) out[i] = log(hypot(kept + taken * re[i], taken * im[i]));
    qsort(out, h, sizeof *out, by_exponent);
}

static double fill_constant(size_t count, double value, double *out) {
    for (size_t i = 0; i < count; ++i) out[i] = value;
    return value;
}

static void fill_unit_vector(uint64_t seed, size_t sample, size_t hidden, double *out) {
    double sum = 0.0;
    draw_row(normal_pair, seed, RS_STREAM_LOSS, 0, sample, hidden, out);
    for (size_t i = 0; i < hidden; ++i) sum += out[i] * out[i];
    divide(hidden, sqrt(sum), out);
}

double rs_loss_gradient(rs_loss loss, uint64_t seed, size_t steps, size_t batch, size_t hidden,
                        double *gradient) {
    double const values = (double)batch * (double)hidden;
    switch (loss) {
    case RS_LAST_MEAN: fill_constant(batch * hidden, 1.0 / values, gradient); return 0.0;
    case RS_ALL_MEAN:
        return fill_constant(batch * hidden, 1.0 / ((double)steps * values), gradient);
    default:
        for (size_t b = 0; b < batch; ++b) fill_unit_vector(seed, b, hidden, gradient + b * hidden);
        return 0.0;
    }
}

rs_parameters rs_weights_parameters(const rs_weights *weights) {
    return (rs_parameters){.weight_hh = weights->weight_hh,
                           .weight_ih = weights->weight_ih,
                           .bias_ih = weights->bias_ih,
                           .bias_hh = weights->bias_hh};
}

rs_drive rs_weights_drive(const rs_case *one, const rs_model *model, size_t first_sample) {
    rs_drive drive = {.seed = one->seed, .sigma = one->input.sigma, .first_sample = first_sample};
    if (one->input.kind != RS_INPUT_PYTORCH || !model) return drive;
    drive.input = model->input;
    drive.input_batch = model->batch;
    return drive;
}
