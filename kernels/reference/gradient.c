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

/* A step's factors of a sum: q or v of its gates, and the row that multiplies it. */
typedef struct term {
    const double *q, *v;
    size_t rows, columns;
    int64_t shift; /* of q */
} term;

/* Exponent of the largest products; false where all of them are 0. */
static bool term_magnitude(const term *t, int64_t *out) {
    bool any_q, any_v;
    int const q = magnitude(t->q, t->rows, &any_q), v = magnitude(t->v, t->columns, &any_v);
    *out = t->shift + q + v;
    return any_q && any_v;
}

/* sum += q v^T 2^(shift - exponent), where no product is much larger than 1. Those of zeros alone
 * are 0 whatever their exponent, which may be out of range: 0 times inf would be NaN. */
static void add_term(const term *t, int64_t exponent, rs_reference_gradient *g, double *sum) {
    bool any_q, any_v;
    int const q = magnitude(t->q, t->rows, &any_q), v = magnitude(t->v, t->columns, &any_v);
    int64_t const up = any_q && any_v ? t->shift + q + v - exponent : 0;
    for (size_t i = 0; i < t->rows; ++i) g->q[i] = shifted(t->q[i], -q);
    for (size_t j = 0; j < t->columns; ++j) g->v[j] = shifted(shifted(t->v[j], -v), up);
    for (size_t i = 0; i < t->rows; ++i)
        for (size_t j = 0; j < t->columns; ++j) sum[i * t->columns + j] += g->q[i] * g->v[j];
}

/* In a raw pass: as it is. */
static void add_plain(const term *t, double *sum) {
    for (size_t i = 0; i < t->rows; ++i)
        for (size_t j = 0; j < t->columns; ++j) sum[i * t->columns + j] += t->q[i] * t->v[j];
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* total += sample 2^exponent: the larger exponent is kept. */
static void merge(size_t rows, const double *sample, int64_t exponent, rs_scaled_sum *total) {
    size_t const n = rows * total->columns;
    int64_t const most = total->empty || exponent > total->exponent ? exponent : total->exponent;
    for (size_t i = 0; i < n; ++i)
        total->sum[i] = shifted(total->sum[i], total->empty ? 0 : total->exponent - most) +
                        shifted(sample[i], exponent - most);
    total->exponent = most;
    total->empty = false;
}

/* What a kind of gradient is the sum of. */
typedef struct factors {
    const double *q; /* [T][K H] */
    const double *v; /* the first `columns` of [T][stride], or NULL for ones */
    size_t stride;
} factors;

static term term_of(const rs_shape *shape, const rs_reference_trace *trace, const factors *of,
                    size_t columns, size_t t) {
    static const double one = 1.0;
    return (term){.q = of->q + t * rs_gate_rows(shape),
                  .v = of->v ? of->v + t * of->stride : &one,
                  .rows = rs_gate_rows(shape),
                  .columns = columns,
                  .shift = trace->shift[t]};
}

/* Adds one sample's sum over the steps. */
static void add_sample(const rs_shape *shape, const rs_reference_trace *trace, factors of,
                       rs_reference_gradient *g, rs_scaled_sum *total) {
    size_t const columns = total->columns, rows = rs_gate_rows(shape);
    int64_t most = INT64_MIN, one;
    for (size_t t = 0; t < shape->steps; ++t) {
        term const at = term_of(shape, trace, &of, columns, t);
        if (term_magnitude(&at, &one) && one > most) most = one;
    }
    if (most == INT64_MIN && !shape->raw) return;
    memset(g->sample, 0, rows * columns * sizeof *g->sample);
    for (size_t t = 0; t < shape->steps; ++t) {
        term const at = term_of(shape, trace, &of, columns, t);
        if (shape->raw)
            add_plain(&at, g->sample);
        else
            add_term(&at, most, g, g->sample);
    }
    merge(rows, g->sample, shape->raw ? 0 : most, total);
}

/* The sum of squares, of numbers brought near 1. */
static void put_norm(const rs_shape *shape, const rs_scaled_sum *s, double *norm2,
                     int32_t *exponent) {
    bool any;
    size_t const n = rs_gate_rows(shape) * s->columns;
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

static size_t columns_of(const rs_shape *shape, rs_gradient kind) {
    switch (kind) {
    case RS_WEIGHT_IH: return shape->input_size;
    case RS_WEIGHT_HH: return shape->hidden;
    default: return 1;
    }
}

void rs_reference_gradient_deal(const rs_shape *shape, rs_block *block,
                                rs_reference_gradient *out) {
    uint64_t const gates = rs_cell_of(shape->cell)->gates;
    uint64_t const column = rs_size_mul(gates, rs_size_mul(shape->hidden, sizeof(double)));
    uint64_t const row = rs_size_mul(widest(shape), sizeof(double));
    for (rs_gradient kind = 0; kind < RS_N_GRADIENT; ++kind) {
        size_t const columns = columns_of(shape, kind);
        out->sum[kind] = (rs_scaled_sum){
            .sum = rs_block_take(block, columns, column), .columns = columns, .empty = true};
    }
    out->sample = rs_block_take(block, widest(shape), column);
    out->q = rs_block_take(block, 1, column);
    out->v = rs_block_take(block, 1, row);
}

void rs_reference_gradient_start(const rs_shape *shape, rs_reference_gradient *gradient) {
    for (int kind = 0; kind < RS_N_GRADIENT; ++kind) {
        rs_scaled_sum *const s = &gradient->sum[kind];
        memset(s->sum, 0, rs_gate_rows(shape) * s->columns * sizeof *s->sum);
        s->empty = true;
    }
}

void rs_reference_gradient_add(const rs_shape *shape, const rs_reference_trace *trace,
                               rs_reference_gradient *g) {
    size_t const states = rs_cell_of(shape->cell)->states;
    factors const of[RS_N_GRADIENT] = {
        [RS_WEIGHT_IH] = {trace->v, trace->x, shape->input_size},
        [RS_WEIGHT_HH] = {trace->q, trace->state, states * shape->hidden},
        [RS_BIAS_IH] = {trace->v, NULL, 0},
        [RS_BIAS_HH] = {trace->q, NULL, 0}};
    for (int kind = 0; kind < RS_N_GRADIENT; ++kind)
        if (kind != RS_WEIGHT_IH || shape->drive == RS_DRIVE_WEIGHTED)
            add_sample(shape, trace, of[kind], g, &g->sum[kind]);
}

void rs_reference_gradient_norms(const rs_shape *shape, const rs_reference_gradient *g,
                                 double *gradient2, int32_t *exponent) {
    for (int kind = 0; kind < RS_N_GRADIENT; ++kind)
        put_norm(shape, &g->sum[kind], &gradient2[kind], &exponent[kind]);
}
