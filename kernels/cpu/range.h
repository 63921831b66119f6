/* Norms of the backward pass, and the powers of two that keep its numbers within their format.
 *
 * The norm of a column's pair of states is brought back near 1 when it leaves [1 / BAND, BAND]:
 * everything linear in delta that the pass holds is multiplied by the same power, or in a raw pass
 * the norm alone. */
#ifndef RS_CPU_RANGE_H
#define RS_CPU_RANGE_H

#include "trace.h"

#include <math.h>
#include <stdbool.h>

/* One step shifts at most MOST. */
#if RS_REAL_BITS == 32
#define BAND2 0x1p64 /* BAND squared */
#define MOST  120
#else
#define BAND2 0x1p512
#define MOST  1000
#endif

/* What the backward pass keeps of each column between steps. */
typedef struct ranges {
    vwide norm2[RS_MAX_STATES][MAX_VECTORS]; /* of the step being made */
    vwide norm_factor[MAX_VECTORS];          /* raw: 2^-exponent, applied to the norm alone */
    vreal own[MAX_VECTORS];                  /* the loss's own term, scaled like delta */
    int32_t exponent[MAX_VECTORS * LANES];
} ranges;

INLINE void add_squares(bool raw, vreal delta, const vwide *factor, vwide *norm2) {
    vwide const wide = v_widen(delta);
    UNROLL
    for (size_t p = 0; p < WIDE; ++p) {
        vdouble const x = raw ? wide.part[p] * factor->part[p] : wide.part[p];
        norm2->part[p] += x * x;
    }
}

static double norm2_of(const vwide *norm2, size_t column) {
    size_t const half = LANES / WIDE;
    return norm2[column / LANES].part[column % LANES / half][column % half];
}

/* The power of two that brings a column back near 1, or 0 while it is in the band. */
static int excess(double norm2) {
    if (!isfinite(norm2) || norm2 == 0.0 || (norm2 >= 1.0 / BAND2 && norm2 <= BAND2)) return 0;
    int const shift = ilogb(norm2) / 2;
    return shift > MOST ? MOST : shift < -MOST ? -MOST : shift;
}

/* Multiplies a lane of x [rows][vectors][LANES], from its first row on. */
static void scale_lane(real *x, size_t rows, size_t vectors, real factor) {
    for (size_t i = 0; i < rows; ++i) x[i * vectors * LANES] *= factor;
}

/* Multiplies a column of q, of what is carried and of its own term, or in a raw pass its norm, by
 * 2^-shift. */
static void rescale(const rs_cpu_tile *tile, ranges *range, real *q, real *carry, size_t column,
                    int shift) {
    size_t const v = column / LANES, lane = column % LANES;
    if (tile->shape->raw) {
        size_t const half = LANES / WIDE;
        int const sum = range->exponent[column] + shift; /* 2^MOST must stay finite */
        range->exponent[column] = sum > MOST ? MOST : sum < -MOST ? -MOST : sum;
        range->norm_factor[v].part[lane / half][lane % half] = ldexp(1.0, -range->exponent[column]);
        return;
    }
    range->exponent[column] += shift;
    real const factor = (real)ldexp(1.0, -shift);
    range->own[v][lane] *= factor;
    scale_lane(q + column, (size_t)q_rows_of(tile->shape), tile->vectors, factor);
    scale_lane(carry + column, tile->shape->hidden, tile->vectors, factor);
}

/* One vector's norms, column by column, and the rescaling of those that need it. */
static void end_vector(const rs_cpu_tile *tile, ranges *range, size_t v, double *norm2,
                       int32_t *exponent, real *q, real *carry) {
    size_t const states = rs_cell_of(tile->shape->cell)->states;
    for (size_t column = v * LANES; column < (v + 1) * LANES && column < tile->columns; ++column) {
        double pair = 0.0;
        for (size_t s = 0; s < states; ++s) {
            double const sum = norm2_of(range->norm2[s], column);
            norm2[s * tile->record_stride + column] = sum;
            pair += sum;
        }
        exponent[column] = range->exponent[column];
        int const shift = excess(pair);
        if (shift != 0) rescale(tile, range, q, carry, column, shift);
    }
}

static bool in_band(const ranges *range, size_t states, size_t v) {
    for (size_t p = 0; p < WIDE; ++p) {
        vdouble pair = range->norm2[0][v].part[p];
        for (size_t s = 1; s < states; ++s) pair += range->norm2[s][v].part[p];
        if (!v_all_within(pair, 1.0 / BAND2, BAND2)) return false;
    }
    return true;
}

/* Writes the norms of step t, rescales the columns that need it and starts the next sums. */
static void end_step(const rs_cpu_tile *tile, ranges *range, size_t t, real *q, real *carry) {
    size_t const states = rs_cell_of(tile->shape->cell)->states, stride = tile->record_stride;
    double *norm2 = tile->norm2 + (t - 1) * states * stride;
    int32_t *exponent = tile->exponent + (t - 1) * stride;
    for (size_t v = 0; v < tile->vectors; ++v) {
        if ((v + 1) * LANES <= tile->columns && in_band(range, states, v)) {
            for (size_t s = 0; s < states; ++s)
                memcpy(norm2 + s * stride + v * LANES, &range->norm2[s][v], LANES * sizeof *norm2);
            memcpy(exponent + v * LANES, range->exponent + v * LANES, LANES * sizeof *exponent);
        } else {
            end_vector(tile, range, v, norm2, exponent, q, carry);
        }
        for (size_t s = 0; s < states; ++s) range->norm2[s][v] = (vwide){0};
    }
}

#endif
