#include "learn.h"

#include <math.h>
#include <string.h>

static uint64_t numbers_of(const rs_shape *shape, rs_gradient kind) {
    uint64_t const rows = rs_size_mul(rs_cell_of(shape->cell)->gates, shape->hidden);
    switch (kind) {
    case RS_WEIGHT_IH: return rs_size_mul(rows, shape->input_size);
    case RS_WEIGHT_HH: return rs_size_mul(rows, shape->hidden);
    default: return rows;
    }
}

size_t rs_reference_parameter_size(const rs_shape *shape, rs_gradient kind) {
    return (size_t)numbers_of(shape, kind);
}

void rs_reference_learner_deal(const rs_shape *shape, rs_block *block, rs_reference_learner *out) {
    uint64_t const number = sizeof(double);
    uint64_t const sheet = rs_size_mul(shape->batch, rs_size_mul(shape->hidden, number));
    uint64_t const asked = shape->every_step ? shape->steps : 1;
    out->weight_hh =
        rs_block_take(block, shape->groups, rs_size_mul(numbers_of(shape, RS_WEIGHT_HH), number));
    for (rs_gradient kind = 0; kind < RS_N_GRADIENT; ++kind)
        out->gradient[kind] =
            rs_block_take(block, shape->groups, rs_size_mul(numbers_of(shape, kind), number));
    out->state = rs_block_take(block, asked, sheet);
    out->delta = rs_block_take(block, asked, sheet);
}

void rs_reference_learner_take(const rs_shape *shape, const rs_reference_gradient *sums,
                               size_t group, rs_reference_learner *out) {
    int64_t const most = 4000; /* beyond any double's */
    for (int kind = 0; kind < RS_N_GRADIENT; ++kind) {
        const rs_scaled_sum *s = &sums->sum[kind];
        size_t const n = rs_reference_parameter_size(shape, (rs_gradient)kind);
        int64_t const e = s->empty ? 0 : s->exponent;
        int const exponent = (int)(e > most ? most : e < -most ? -most : e);
        for (size_t i = 0; i < n; ++i)
            out->gradient[kind][group * n + i] = ldexp(s->sum[i], exponent);
    }
}

/* Where step t of a sample stands among what is asked about. */
static size_t place_of(const rs_shape *shape, size_t t, size_t sample) {
    size_t const row = shape->every_step ? t - 1 : 0;
    return (row * shape->batch + sample) * shape->hidden;
}

void rs_reference_learner_ask(const rs_shape *shape, size_t t, size_t sample, const double *h,
                              rs_reference_learner *out) {
    if (!shape->every_step && t < shape->steps) return;
    memcpy(out->state + place_of(shape, t, sample), h, shape->hidden * sizeof *h);
}

const double *rs_reference_learner_told(const rs_shape *shape, size_t t, size_t sample,
                                        const rs_reference_learner *from) {
    if (!shape->every_step && t < shape->steps) return NULL;
    return from->delta + place_of(shape, t, sample);
}
