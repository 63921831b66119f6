#include "cells.h"

#include <math.h>

/* ---- functions of one unit ------------------------------------------------------------------- */

/* sech^2 from exp(-2|a|): 1 - tanh^2 would cancel as the unit saturates. */
static double tanh_slope(double a, double h, bool raw) {
    if (raw) return 1.0 - h * h;
    double const e = exp(-2.0 * fabs(a));
    return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

/* NaN has the slope NaN, in raw jobs 1: there it is "not at most 0" that lets a gradient through.
 */
static double relu_slope(double a, bool raw) {
    if (a <= 0.0) return 0.0;
    return raw || a > 0.0 ? 1.0 : a;
}

/* h = phi(a); returns phi'(a). NaN goes through. */
static double activate(const rs_shape *shape, double a, double *h) {
    switch (shape->cell) {
    case RS_TANH: *h = tanh(a); return tanh_slope(a, *h, shape->raw);
    case RS_RELU: *h = a < 0.0 ? 0.0 : a; return relu_slope(a, shape->raw);
    default: *h = a; return 1.0;
    }
}

/* A gate, what it leaves out, and its slope. All three come from exp(-|a|): a difference to 1 would
 * cancel as the gate saturates. */
typedef struct gate {
    double open, shut, slope; /* sigma(a), 1 - sigma(a), sigma'(a) */
} gate;

static gate gate_of(double a, bool raw) {
    double const e = exp(-fabs(a)), large = 1.0 / (1.0 + e), small = e / (1.0 + e);
    gate const g = {.open = a < 0.0 ? small : large,
                    .shut = a < 0.0 ? large : small,
                    .slope = e / ((1.0 + e) * (1.0 + e))};
    return raw ? (gate){.open = g.open, .shut = 1.0 - g.open, .slope = g.open * (1.0 - g.open)} : g;
}

/* phi' * delta. A raw relu passes a gradient or not, whatever it is: 0 times inf would be NaN. */
static double passed(const rs_shape *shape, double slope, double delta) {
    bool const selects = shape->raw && shape->cell == RS_RELU;
    return selects && slope == 0.0 ? 0.0 : slope * delta;
}

/* ---- one gate -------------------------------------------------------------------------------- */

static void forward_plain(const rs_shape *shape, const rs_reference_step *s, size_t i) {
    double h;
    activate(shape, s->p[i] + s->u[i], &h);
    s->after[i] = shape->leak > 0.0 ? (1.0 - shape->leak) * s->before[i] + shape->leak * h : h;
}

static void backward_plain(const rs_shape *shape, const rs_reference_step *s, size_t i,
                           double *delta) {
    double h;
    double const slope = activate(shape, s->p[i] + s->u[i], &h);
    bool const leaky = shape->leak > 0.0;
    s->p[i] = s->u[i] = passed(shape, leaky ? shape->leak * slope : slope, delta[i]);
    delta[i] = leaky ? (1.0 - shape->leak) * delta[i] : 0.0;
}

/* ---- lstm ------------------------------------------------------------------------------------ */

typedef struct lstm {
    gate in, forget, out;
    double candidate, candidate_slope;
} lstm;

static lstm lstm_of(const rs_shape *shape, const rs_reference_step *s, size_t unit) {
    double a[RS_MAX_GATES];
    for (size_t k = 0; k < RS_MAX_GATES; ++k)
        a[k] = s->p[k * shape->hidden + unit] + s->u[k * shape->hidden + unit];
    double const g = tanh(a[RS_LSTM_G]);
    return (lstm){.in = gate_of(a[RS_LSTM_I], shape->raw),
                  .forget = gate_of(a[RS_LSTM_F], shape->raw),
                  .out = gate_of(a[RS_LSTM_O], shape->raw),
                  .candidate = g,
                  .candidate_slope = tanh_slope(a[RS_LSTM_G], g, shape->raw)};
}

static void forward_lstm(const rs_shape *shape, const rs_reference_step *s, size_t i) {
    lstm const l = lstm_of(shape, s, i);
    size_t const c = shape->hidden + i;
    s->after[c] = l.forget.open * s->before[c] + l.in.open * l.candidate;
    s->after[i] = l.out.open * tanh(s->after[c]);
}

static void backward_lstm(const rs_shape *shape, const rs_reference_step *s, size_t i,
                          double *delta) {
    lstm const l = lstm_of(shape, s, i);
    size_t const hidden = shape->hidden, c = hidden + i;
    double const cell = s->after[c], squashed = tanh(cell);
    /* dL/dc_t with h_t = sigma(a_o) tanh(c_t) no longer held fixed */
    double const total = delta[c] + delta[i] * l.out.open * tanh_slope(cell, squashed, shape->raw);
    double q[RS_MAX_GATES];
    q[RS_LSTM_I] = total * l.candidate * l.in.slope;
    q[RS_LSTM_F] = total * s->before[c] * l.forget.slope;
    q[RS_LSTM_G] = total * l.in.open * l.candidate_slope;
    q[RS_LSTM_O] = delta[i] * squashed * l.out.slope;
    for (size_t k = 0; k < RS_MAX_GATES; ++k) s->p[k * hidden + i] = s->u[k * hidden + i] = q[k];
    delta[i] = 0.0;
    delta[c] = total * l.forget.open;
}

/* ---- gru ------------------------------------------------------------------------------------- */

typedef struct gru {
    gate reset, keep;
    double candidate, candidate_slope;
} gru;

static gru gru_of(const rs_shape *shape, const rs_reference_step *s, size_t unit) {
    size_t const r = RS_GRU_R * shape->hidden + unit, z = RS_GRU_Z * shape->hidden + unit;
    size_t const n = RS_GRU_N * shape->hidden + unit;
    gate const reset = gate_of(s->p[r] + s->u[r], shape->raw);
    double const a = s->u[n] + reset.open * s->p[n], candidate = tanh(a);
    return (gru){.reset = reset,
                 .keep = gate_of(s->p[z] + s->u[z], shape->raw),
                 .candidate = candidate,
                 .candidate_slope = tanh_slope(a, candidate, shape->raw)};
}

static void forward_gru(const rs_shape *shape, const rs_reference_step *s, size_t i) {
    gru const g = gru_of(shape, s, i);
    s->after[i] = g.keep.shut * g.candidate + g.keep.open * s->before[i];
}

static void backward_gru(const rs_shape *shape, const rs_reference_step *s, size_t i,
                         double *delta) {
    gru const g = gru_of(shape, s, i);
    size_t const r = RS_GRU_R * shape->hidden + i, z = RS_GRU_Z * shape->hidden + i;
    size_t const n = RS_GRU_N * shape->hidden + i;
    double const candidate = delta[i] * g.keep.shut * g.candidate_slope;
    s->u[r] = candidate * s->p[n] * g.reset.slope;
    s->u[z] = delta[i] * (s->before[i] - g.candidate) * g.keep.slope;
    s->u[n] = candidate;
    s->p[r] = s->u[r];
    s->p[z] = s->u[z];
    s->p[n] = candidate * g.reset.open;
    delta[i] *= g.keep.open;
}

/* ---- all units ------------------------------------------------------------------------------- */

static void forward_unit(const rs_shape *shape, const rs_reference_step *step, size_t i) {
    switch (shape->cell) {
    case RS_LSTM: forward_lstm(shape, step, i); break;
    case RS_GRU: forward_gru(shape, step, i); break;
    default: forward_plain(shape, step, i); break;
    }
}

bool rs_reference_forward(const rs_shape *shape, const rs_reference_step *step) {
    size_t const states = rs_cell_of(shape->cell)->states;
    bool finite = true;
    for (size_t i = 0; i < shape->hidden; ++i) forward_unit(shape, step, i);
    for (size_t i = 0; i < states * shape->hidden; ++i) finite = finite && isfinite(step->after[i]);
    return finite;
}

void rs_reference_backward(const rs_shape *shape, const rs_reference_step *step, double *delta) {
    for (size_t i = 0; i < shape->hidden; ++i) switch (shape->cell) {
        case RS_LSTM: backward_lstm(shape, step, i, delta); break;
        case RS_GRU: backward_gru(shape, step, i, delta); break;
        default: backward_plain(shape, step, i, delta); break;
        }
}

/* ---- tangents -------------------------------------------------------------------------------- */

static void push_plain(const rs_shape *shape, const rs_reference_step *s, size_t i,
                       const double *dp, double *v) {
    double h;
    double const slope = activate(shape, s->p[i] + s->u[i], &h);
    bool const leaky = shape->leak > 0.0;
    double const passes = passed(shape, leaky ? shape->leak * slope : slope, dp[i]);
    v[i] = leaky ? (1.0 - shape->leak) * v[i] + passes : passes;
}

static void push_lstm(const rs_shape *shape, const rs_reference_step *s, size_t i, const double *dp,
                      double *v) {
    lstm const l = lstm_of(shape, s, i);
    size_t const hidden = shape->hidden, c = hidden + i;
    double const squashed = tanh(s->after[c]);
    v[c] = l.forget.open * v[c] + l.candidate * l.in.slope * dp[RS_LSTM_I * hidden + i] +
           s->before[c] * l.forget.slope * dp[RS_LSTM_F * hidden + i] +
           l.in.open * l.candidate_slope * dp[RS_LSTM_G * hidden + i];
    v[i] = l.out.open * tanh_slope(s->after[c], squashed, shape->raw) * v[c] +
           squashed * l.out.slope * dp[RS_LSTM_O * hidden + i];
}

static void push_gru(const rs_shape *shape, const rs_reference_step *s, size_t i, const double *dp,
                     double *v) {
    gru const g = gru_of(shape, s, i);
    size_t const r = RS_GRU_R * shape->hidden + i, z = RS_GRU_Z * shape->hidden + i;
    size_t const n = RS_GRU_N * shape->hidden + i;
    double const da = g.reset.open * dp[n] + s->p[n] * g.reset.slope * dp[r];
    v[i] = g.keep.open * v[i] + g.keep.shut * g.candidate_slope * da +
           (s->before[i] - g.candidate) * g.keep.slope * dp[z];
}

void rs_reference_push(const rs_shape *shape, const rs_reference_step *step, const double *dp,
                       double *v) {
    for (size_t i = 0; i < shape->hidden; ++i) switch (shape->cell) {
        case RS_LSTM: push_lstm(shape, step, i, dp, v); break;
        case RS_GRU: push_gru(shape, step, i, dp, v); break;
        default: push_plain(shape, step, i, dp, v); break;
        }
}

/* That of tanh is in range where phi' itself no longer is. */
double rs_reference_log_slope(const rs_shape *shape, const rs_reference_step *step, size_t unit) {
    double const a = step->p[unit] + step->u[unit], size = fabs(a);
    double h;
    if (shape->cell == RS_TANH && !shape->raw)
        return log(4.0) - 2.0 * (size + log1p(exp(-2.0 * size)));
    return log(activate(shape, a, &h));
}
