#include "gradient.h"

#include <math.h>
#include <string.h>

/* ---- magnitudes ------------------------------------------------------------------------------ */

/* Of the largest finite number, as a power of two; *any is false where all are 0. Numbers that are
 * not finite go through every sum as they are, whatever they are scaled by. */
static int magnitude(const double *x, size_t n, bool *any) {
    double largest = 0.0;
    *any = false;
    for (size_t i = 0; i < n; ++i) {
        *any = *any || x[i] != 0.0;
        if (isfinite(x[i])) largest = fmax(largest, fabs(x[i]));
    }
    return largest > 0.0 ? ilogb(largest) : 0;
}

/* ldexp with any exponent. */
static double shifted(double x, int64_t exponent) {
    int const most = 4000;
    return ldexp(x, exponent > most ? most : exponent < -most ? -most : (int)exponent);
}

/* A step's factor of a sum: q_t and the row that multiplies it. */
typedef struct term {
    const double *q, *v;
    size_t hidden, columns;
    int64_t shift; /* of q */
} term;

/* Exponent of the largest products; false where all of them are 0. */
static bool term_magnitude(const term *t, int64_t *out) {
    bool any_q, any_v;
    int const q = magnitude(t->q, t->hidden, &any_q), v = magnitude(t->v, t->columns, &any_v);
    *out = t->shift + q + v;
    return any_q && any_v;
}

/* sum += q v^T 2^(shift - exponent), where no product is much larger than 1. Those of zeros alone
 * are 0 whatever their exponent, which may be out of range: 0 times inf would be NaN. */
static void add_term(const term *t, int64_t exponent, rs_reference_gradient *g, double *sum) {
    bool any_q, any_v;
    int const q = magnitude(t->q, t->hidden, &any_q), v = magnitude(t->v, t->columns, &any_v);
    int64_t const up = any_q && any_v ? t->shift + q + v - exponent : 0;
    for (size_t i = 0; i < t->hidden; ++i) g->q[i] = shifted(t->q[i], -q);
    for (size_t j = 0; j < t->columns; ++j) g->v[j] = shifted(shifted(t->v[j], -v), up);
    for (size_t i = 0; i < t->hidden; ++i)
        for (size_t j = 0; j < t->columns; ++j) sum[i * t->columns + j] += g->q[i] * g->v[j];
}

/* In a raw pass: as it is. */
static void add_plain(const term *t, double *sum) {
    for (size_t i = 0; i < t->hidden; ++i)
        for (size_t j = 0; j < t->columns; ++j) sum[i * t->columns + j] += t->q[i] * t->v[j];
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* total += sample 2^exponent: the larger exponent is kept. */
static void merge(size_t hidden, const double *sample, int64_t exponent, rs_scaled_sum *total) {
    size_t const n = hidden * total->columns;
    int64_t const most = total->empty || exponent > total->exponent ? exponent : total->exponent;
    for (size_t i = 0; i < n; ++i)
        total->sum[i] = shifted(total->sum[i], total->empty ? 0 : total->exponent - most) +
                        shifted(sample[i], exponent - most);
    total->exponent = most;
    total->empty = false;
}

static term term_of(const rs_shape *shape, const rs_reference_trace *trace, const double *rows,
                    size_t columns, size_t t) {
    static const double one = 1.0;
    return (term){.q = trace->q + t * shape->hidden,
                  .v = rows ? rows + t * columns : &one,
                  .hidden = shape->hidden,
                  .columns = columns,
                  .shift = trace->shift[t]};
}

/* Adds one sample's sum over the steps, with `rows` [T][columns], or ones where NULL. */
static void add_sample(const rs_shape *shape, const rs_reference_trace *trace, const double *rows,
                       rs_reference_gradient *g, rs_scaled_sum *total) {
    size_t const columns = total->columns;
    int64_t most = INT64_MIN, one;
    for (size_t t = 0; t < shape->steps; ++t) {
        term const of = term_of(shape, trace, rows, columns, t);
        if (term_magnitude(&of, &one) && one > most) most = one;
    }
    if (most == INT64_MIN && !shape->raw) return;
    memset(g->sample, 0, shape->hidden * columns * sizeof *g->sample);
    for (size_t t = 0; t < shape->steps; ++t) {
        term const of = term_of(shape, trace, rows, columns, t);
        if (shape->raw)
            add_plain(&of, g->sample);
        else
            add_term(&of, most, g, g->sample);
    }
    merge(shape->hidden, g->sample, shape->raw ? 0 : most, total);
}

/* The sum of squares, of numbers brought near 1. */
static void put_norm(const rs_shape *shape, const rs_scaled_sum *s, double *norm2,
                     int32_t *exponent) {
    bool any;
    size_t const n = shape->hidden * s->columns;
    int const size = magnitude(s->sum, n, &any);
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) {
        double const near_one = shifted(s->sum[i], -size);
        sum += near_one * near_one;
    }
    *norm2 = sum;
    *exponent = s->empty ? 0 : (int32_t)(s->exponent + size);
}

/* ---- a radius -------------------------------------------------------------------------------- */

static size_t widest(const rs_shape *shape) {
    return shape->input_size > shape->hidden ? shape->input_size : shape->hidden;
}

static rs_scaled_sum deal_sum(const rs_shape *shape, size_t columns, rs_block *block) {
    uint64_t const row = rs_size_mul(columns, sizeof(double));
    return (rs_scaled_sum){
        .sum = rs_block_take(block, shape->hidden, row), .columns = columns, .empty = true};
}

void rs_reference_gradient_deal(const rs_shape *shape, rs_block *block,
                                rs_reference_gradient *out) {
    uint64_t const row = rs_size_mul(widest(shape), sizeof(double));
    out->weight_ih = deal_sum(shape, shape->input_size, block);
    out->weight_hh = deal_sum(shape, shape->hidden, block);
    out->bias = deal_sum(shape, 1, block);
    out->sample = rs_block_take(block, shape->hidden, row);
    out->q = rs_block_take(block, 1, row);
    out->v = rs_block_take(block, 1, row);
}

static void clear(const rs_shape *shape, rs_scaled_sum *s) {
    memset(s->sum, 0, shape->hidden * s->columns * sizeof *s->sum);
    s->empty = true;
}

void rs_reference_gradient_start(const rs_shape *shape, rs_reference_gradient *gradient) {
    clear(shape, &gradient->weight_ih);
    clear(shape, &gradient->weight_hh);
    clear(shape, &gradient->bias);
}

void rs_reference_gradient_add(const rs_shape *shape, const rs_reference_trace *trace,
                               rs_reference_gradient *g) {
    if (shape->drive == RS_DRIVE_WEIGHTED) add_sample(shape, trace, trace->x, g, &g->weight_ih);
    add_sample(shape, trace, trace->h, g, &g->weight_hh);
    add_sample(shape, trace, NULL, g, &g->bias);
}

void rs_reference_gradient_norms(const rs_shape *shape, const rs_reference_gradient *g,
                                 double *gradient2, int32_t *exponent) {
    const rs_scaled_sum *const kind[RS_N_GRADIENT] = {[RS_WEIGHT_IH] = &g->weight_ih,
                                                      [RS_WEIGHT_HH] = &g->weight_hh,
                                                      [RS_BIAS_IH] = &g->bias,
                                                      [RS_BIAS_HH] = &g->bias};
    for (int k = 0; k < RS_N_GRADIENT; ++k) put_norm(shape, kind[k], &gradient2[k], &exponent[k]);
}
