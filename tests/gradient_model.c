#include "gradient_model.h"

#include "../kernels/base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- differences ----------------------------------------------------------------------------- */

/* Numbers that a loss depends on: the weights, each apart, W_hh with its scales in it. */
typedef struct model {
    const rs_shape *shape;
    const rs_columns *of;
    long double *number[RS_N_GRADIENT];
    long double *start;  /* [B][S H] after the warm-up */
    long double *state;  /* [S H] */
    long double *fed;    /* [K H] weight_ih x + bias_ih, and noise */
    long double *looped; /* [K H] W_hh h + bias_hh */
    long double kink;    /* least |a| of one gate's cells so far */
} model;

static size_t rows_of(const rs_shape *shape) {
    return rs_cell_of(shape->cell)->gates * shape->hidden;
}

static size_t state_size(const rs_shape *shape) {
    return rs_cell_of(shape->cell)->states * shape->hidden;
}

static size_t count_of(const rs_shape *shape, int kind) {
    size_t const rows = rows_of(shape);
    if (kind == RS_WEIGHT_IH) return rows * shape->input_size;
    return kind == RS_WEIGHT_HH ? rows * shape->hidden : rows;
}

static long double *numbers(size_t n) {
    long double *const made = calloc(n > 0 ? n : 1, sizeof *made);
    if (!made) abort();
    return made;
}

static void take(const double *from, size_t n, long double *out) {
    for (size_t i = 0; i < n; ++i) out[i] = from ? (long double)from[i] : 0.0L;
}

static double drawn(const rs_columns *of, rs_stream stream, size_t step, size_t sample, size_t i) {
    double pair[2];
    rs_normal_pair(of->drive.seed, stream, (uint32_t)step,
                   (uint32_t)(of->drive.first_sample + sample), (uint32_t)(i / 2), pair);
    return pair[i % 2];
}

static double input_at(const model *m, size_t step, size_t sample, size_t i) {
    const rs_drive *drive = &m->of->drive;
    size_t const row = step * drive->input_batch + drive->first_sample + sample;
    if (drive->input) return drive->input[row * m->shape->input_size + i];
    return drawn(m->of, RS_STREAM_INPUT, step, sample, i);
}

static long double fed_to(const model *m, size_t step, size_t sample, size_t row) {
    size_t const inputs = m->shape->input_size;
    long double sum = m->number[RS_BIAS_IH][row];
    if (m->shape->drive == RS_DRIVE_NOISE)
        sum += m->of->drive.sigma * drawn(m->of, RS_STREAM_NOISE, step, sample, row);
    for (size_t i = 0; i < inputs; ++i)
        sum += m->number[RS_WEIGHT_IH][row * inputs + i] * input_at(m, step, sample, i);
    return sum;
}

static long double looped_to(const model *m, size_t row) {
    size_t const hidden = m->shape->hidden;
    long double sum = m->number[RS_BIAS_HH][row];
    for (size_t j = 0; j < hidden; ++j)
        sum += m->number[RS_WEIGHT_HH][row * hidden + j] * m->state[j];
    return sum;
}

static long double phi(rs_cell cell, long double a) {
    if (cell == RS_TANH) return tanhl(a);
    return cell == RS_RELU && a < 0.0L ? 0.0L : a;
}

static long double sigma(long double a) { return 0.5L + 0.5L * tanhl(0.5L * a); }

static void advance_plain(model *m, size_t i) {
    long double const a = m->fed[i] + m->looped[i], after = phi(m->shape->cell, a);
    long double const leak = m->shape->leak > 0.0 ? m->shape->leak : 1.0;
    m->kink = fminl(m->kink, fabsl(a));
    m->state[i] += leak * (after - m->state[i]);
}

/* Gates i, f, g, o. */
static void advance_lstm(model *m, size_t unit) {
    size_t const hidden = m->shape->hidden;
    long double a[4];
    for (size_t k = 0; k < 4; ++k) a[k] = m->fed[k * hidden + unit] + m->looped[k * hidden + unit];
    long double *const c = &m->state[hidden + unit];
    *c = sigma(a[1]) * *c + sigma(a[0]) * tanhl(a[2]);
    m->state[unit] = sigma(a[3]) * tanhl(*c);
}

/* Gates r, z, n. */
static void advance_gru(model *m, size_t unit) {
    size_t const hidden = m->shape->hidden, n = 2 * hidden + unit;
    long double const r = sigma(m->fed[unit] + m->looped[unit]);
    long double const z = sigma(m->fed[hidden + unit] + m->looped[hidden + unit]);
    long double const candidate = tanhl(m->fed[n] + r * m->looped[n]);
    m->state[unit] = candidate + z * (m->state[unit] - candidate);
}

/* The state of step t in the place of that before. */
static void advance(model *m, size_t step, size_t sample) {
    for (size_t row = 0; row < rows_of(m->shape); ++row) {
        m->fed[row] = fed_to(m, step, sample, row);
        m->looped[row] = looped_to(m, row);
    }
    for (size_t i = 0; i < m->shape->hidden; ++i) switch (m->shape->cell) {
        case RS_LSTM: advance_lstm(m, i); break;
        case RS_GRU: advance_gru(m, i); break;
        default: advance_plain(m, i); break;
        }
}

/* No gradient goes through these steps. */
static void warm_up(model *m) {
    size_t const hidden = m->shape->hidden, size = state_size(m->shape);
    for (size_t b = 0; b < m->shape->batch; ++b) {
        for (size_t k = 0; k < size / hidden; ++k) {
            const double *from = m->of->start[k];
            take(from ? from + b * hidden : NULL, hidden, m->state + k * hidden);
        }
        for (size_t step = 0; step < m->shape->warmup; ++step) advance(m, step, b);
        memcpy(m->start + b * size, m->state, size * sizeof *m->state);
    }
}

static long double sample_loss(model *m, size_t sample) {
    size_t const hidden = m->shape->hidden, size = state_size(m->shape);
    long double sum = 0.0L;
    memcpy(m->state, m->start + sample * size, size * sizeof *m->state);
    for (size_t t = 1; t <= m->shape->steps; ++t) {
        bool const last = t == m->shape->steps;
        advance(m, m->shape->warmup + t - 1, sample);
        for (size_t i = 0; i < hidden; ++i)
            sum += m->state[i] * (last ? m->of->delta[sample * hidden + i] : m->of->step_delta);
    }
    return sum;
}

static long double loss(model *m) {
    long double sum = 0.0L;
    for (size_t b = 0; b < m->shape->batch; ++b) sum += sample_loss(m, b);
    return sum;
}

static long double central(model *m, long double *at, long double step) {
    long double const here = *at;
    *at = here + step;
    long double const above = loss(m);
    *at = here - step;
    long double const below = loss(m);
    *at = here;
    return (above - below) / (2.0L * step);
}

/* dL by the number at `at`: two steps, so that the error falls with the step's fourth power. */
static long double difference(model *m, long double *at) {
    long double const step = 0x1p-17L;
    return (4.0L * central(m, at, step / 2) - central(m, at, step)) / 3.0L;
}

static long double norm_of(model *m, int kind) {
    long double sum = 0.0L;
    for (size_t i = 0; i < count_of(m->shape, kind); ++i) {
        long double const one = difference(m, &m->number[kind][i]);
        sum += one * one;
    }
    return sqrtl(sum);
}

static model make(const rs_pass *pass, const rs_parameters *of, size_t group, size_t radius) {
    const rs_shape *shape = &pass->shape;
    size_t const rows = rows_of(shape), gates = rows / shape->hidden;
    bool const weighted = shape->drive == RS_DRIVE_WEIGHTED;
    model m = {.shape = shape, .of = &pass->of[group], .kink = INFINITY};
    const double *const from[RS_N_GRADIENT] = {[RS_WEIGHT_IH] =
                                                   weighted ? of[group].weight_ih : NULL,
                                               [RS_WEIGHT_HH] = of[group].weight_hh,
                                               [RS_BIAS_IH] = of[group].bias_ih,
                                               [RS_BIAS_HH] = of[group].bias_hh};
    for (int k = 0; k < RS_N_GRADIENT; ++k) {
        m.number[k] = numbers(count_of(shape, k));
        take(from[k], count_of(shape, k), m.number[k]);
    }
    for (size_t i = 0; i < rows * shape->hidden; ++i)
        m.number[RS_WEIGHT_HH][i] *=
            m.of->scale[radius * gates + i / (shape->hidden * shape->hidden)];
    m.start = numbers(shape->batch * state_size(shape));
    m.state = numbers(state_size(shape));
    m.fed = numbers(rows);
    m.looped = numbers(rows);
    return m;
}

double differenced_gradients(const rs_pass *pass, const rs_parameters *of, size_t group,
                             size_t radius, long double norm[RS_N_GRADIENT]) {
    model m = make(pass, of, group, radius);
    warm_up(&m);
    for (int k = 0; k < RS_N_GRADIENT; ++k) norm[k] = norm_of(&m, k);
    for (int k = 0; k < RS_N_GRADIENT; ++k) free(m.number[k]);
    free(m.start);
    free(m.state);
    free(m.fed);
    free(m.looped);
    return (double)m.kink;
}

/* ---- float ----------------------------------------------------------------------------------- */

typedef struct plain {
    const rs_shape *shape;
    const rs_columns *of;
    float scale;
    float *w;        /* [H][H] W0 */
    float *x;        /* [T][I] of one sample */
    float *h;        /* [T + 1][H] of one sample, from h_0 on */
    float *u;        /* [T][H] likewise */
    float *delta;    /* [H] */
    float *q;        /* [H] */
    float *sum_ih;   /* [H][I] */
    float *sum_hh;   /* [H][H] */
    float *sum_bias; /* [H] */
} plain;

static float *floats(size_t n) {
    float *const made = calloc(n > 0 ? n : 1, sizeof *made);
    if (!made) abort();
    return made;
}

static plain make_plain(const rs_pass *pass, const rs_parameters *of, size_t group, size_t radius) {
    const rs_shape *s = &pass->shape;
    plain p = {.shape = s, .of = &pass->of[group], .scale = (float)pass->of[group].scale[radius]};
    p.w = floats(s->hidden * s->hidden);
    for (size_t i = 0; i < s->hidden * s->hidden; ++i) p.w[i] = (float)of[group].weight_hh[i];
    p.x = floats(s->steps * s->input_size);
    p.h = floats((s->steps + 1) * s->hidden);
    p.u = floats(s->steps * s->hidden);
    p.delta = floats(s->hidden);
    p.q = floats(s->hidden);
    p.sum_ih = floats(s->hidden * s->input_size);
    p.sum_hh = floats(s->hidden * s->hidden);
    p.sum_bias = floats(s->hidden);
    return p;
}

static void free_plain(plain *p) {
    float *const all[] = {p->w, p->x,      p->h,      p->u,       p->delta,
                          p->q, p->sum_ih, p->sum_hh, p->sum_bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i) free(all[i]);
}

/* Inputs are made in double and rounded, as the contract says. */
static void plain_drive(plain *p, const rs_parameters *of, size_t sample) {
    size_t const hidden = p->shape->hidden, inputs = p->shape->input_size;
    const rs_drive *drive = &p->of->drive;
    if (p->shape->drive == RS_DRIVE_ZERO) return;
    for (size_t t = 0; t < p->shape->steps; ++t) {
        const double *x = drive->input + (t * drive->input_batch + sample) * inputs;
        for (size_t k = 0; k < inputs; ++k) p->x[t * inputs + k] = (float)x[k];
        for (size_t i = 0; i < hidden; ++i) {
            double u = of->bias_ih ? of->bias_ih[i] : 0.0;
            for (size_t k = 0; k < inputs; ++k) u += of->weight_ih[i * inputs + k] * x[k];
            p->u[t * hidden + i] = (float)u;
        }
    }
}

static void plain_forward(plain *p, size_t sample) {
    size_t const hidden = p->shape->hidden;
    for (size_t i = 0; i < hidden; ++i)
        p->h[i] = p->of->start[0] ? (float)p->of->start[0][sample * hidden + i] : 0.0F;
    for (size_t t = 1; t <= p->shape->steps; ++t)
        for (size_t i = 0; i < hidden; ++i) {
            float sum = 0.0F;
            for (size_t j = 0; j < hidden; ++j)
                sum += p->w[i * hidden + j] * p->h[(t - 1) * hidden + j];
            float const a = p->scale * sum + p->u[(t - 1) * hidden + i];
            p->h[t * hidden + i] = p->shape->cell == RS_TANH ? tanhf(a) : a;
        }
}

/* += q_t v^T for each kind. */
static void plain_add(plain *p, size_t t) {
    size_t const hidden = p->shape->hidden, inputs = p->shape->input_size;
    for (size_t i = 0; i < hidden; ++i) {
        p->sum_bias[i] += p->q[i];
        for (size_t j = 0; j < hidden; ++j)
            p->sum_hh[i * hidden + j] += p->q[i] * p->h[(t - 1) * hidden + j];
        for (size_t k = 0; k < inputs; ++k)
            p->sum_ih[i * inputs + k] += p->q[i] * p->x[(t - 1) * inputs + k];
    }
}

static void plain_backward(plain *p, size_t sample) {
    size_t const hidden = p->shape->hidden;
    for (size_t i = 0; i < hidden; ++i) p->delta[i] = (float)p->of->delta[sample * hidden + i];
    for (size_t t = p->shape->steps; t > 0; --t) {
        for (size_t i = 0; i < hidden; ++i) {
            float const h = p->h[t * hidden + i];
            p->q[i] = p->shape->cell == RS_TANH ? (1.0F - h * h) * p->delta[i] : p->delta[i];
        }
        plain_add(p, t);
        for (size_t j = 0; j < hidden; ++j) {
            float sum = 0.0F;
            for (size_t i = 0; i < hidden; ++i) sum += p->w[i * hidden + j] * p->q[i];
            p->delta[j] = p->scale * sum + (float)p->of->step_delta;
        }
    }
}

static double norm_of_floats(const float *x, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

void plain_float_gradients(const rs_pass *pass, const rs_parameters *of, size_t group,
                           size_t radius, long double norm[RS_N_GRADIENT]) {
    plain p = make_plain(pass, of, group, radius);
    for (size_t b = 0; b < p.shape->batch; ++b) {
        plain_drive(&p, &of[group], b);
        plain_forward(&p, b);
        plain_backward(&p, b);
    }
    norm[RS_WEIGHT_IH] = norm_of_floats(p.sum_ih, count_of(p.shape, RS_WEIGHT_IH));
    norm[RS_WEIGHT_HH] = norm_of_floats(p.sum_hh, count_of(p.shape, RS_WEIGHT_HH));
    norm[RS_BIAS_IH] = norm[RS_BIAS_HH] = norm_of_floats(p.sum_bias, p.shape->hidden);
    free_plain(&p);
}
