/* One tile of columns through all steps, forward and backward. This file is compiled once for each
 * instruction set and precision; RS_KERNEL names the kernel that it then defines.
 *
 * The product of a panel of rows with the tile is kept in registers over all of k. Whatever the
 * panel's height or the tile's width, an element's sum runs over k = 0 .. H - 1 in that order with
 * one fma each, so a column's bits do not depend on which tile it is in. Nothing is summed across
 * the lanes of a vector either: instruction sets that have fma give the same bits. */
#include "kernel.h"
#include "simd.h"
#include "tanh.h"
#include "trace.h"

#include <math.h>
#include <stdbool.h>

/* Norms are brought back near 1 when they leave [1 / BAND, BAND]; one step shifts at most MOST. */
#if RS_REAL_BITS == 32
#define BAND2 0x1p64 /* BAND squared */
#define MOST  120
#else
#define BAND2 0x1p512
#define MOST  1000
#endif

typedef enum activation { TANH, TANH_RAW, RELU, RELU_RAW, LINEAR } activation;

static activation activation_of(const rs_shape *shape) {
    switch (shape->cell) {
    case RS_TANH: return shape->raw ? TANH_RAW : TANH;
    case RS_RELU: return shape->raw ? RELU_RAW : RELU;
    default: return LINEAR;
    }
}

/* ---- panels -------------------------------------------------------------------------------- */

/* Rows of W0 are dealt to panels of nearly equal height, none above MAX_ROWS. */
static size_t panel_count(size_t hidden) { return (hidden + MAX_ROWS - 1) / MAX_ROWS; }

static size_t panel_start(size_t hidden, size_t panel) {
    size_t const count = panel_count(hidden), short_rows = hidden / count;
    size_t const tall = hidden % count;
    return panel * short_rows + (panel < tall ? panel : tall);
}

static uint64_t packed_bytes(const rs_shape *shape) {
    return rs_size_mul(rs_size_mul(shape->hidden, shape->hidden), sizeof(real));
}

/* A panel of rows first .. end is stored column by column: [H][end - first]. */
static void pack(const rs_shape *shape, const double *w, size_t part, size_t parts, void *forward_w,
                 void *backward_w) {
    size_t const hidden = shape->hidden;
    size_t const count = panel_count(hidden), last = (part + 1) * count / parts;
    size_t const at = panel_start(hidden, part * count / parts) * hidden;
    real *f = (real *)forward_w + at, *b = (real *)backward_w + at;
    for (size_t panel = part * count / parts; panel < last; ++panel) {
        size_t const first = panel_start(hidden, panel), end = panel_start(hidden, panel + 1);
        for (size_t k = 0; k < hidden; ++k)
            for (size_t i = first; i < end; ++i) {
                *f++ = (real)w[i * hidden + k];
                *b++ = (real)w[k * hidden + i];
            }
    }
}

/* ---- samples ------------------------------------------------------------------------------- */

static void put_samples(size_t hidden, size_t batch, const double *x, void *out) {
    size_t const period = batch + LANES - 1;
    real *row = out;
    for (size_t i = 0; i < hidden; ++i, row += period)
        for (size_t b = 0; b < batch; ++b) {
            real const value = x ? (real)x[b * hidden + i] : 0;
            for (size_t at = b; at < period; at += batch) row[at] = value;
        }
}

/* ---- products ------------------------------------------------------------------------------ */

/* z [rows][width] = panel [rows][H] times x [H][width]. */
typedef void (*product_fn)(size_t hidden, const real *panel, const real *x, real *z);

INLINE void product(size_t hidden, const real *panel, const real *x, real *z, size_t rows,
                    size_t vectors) {
    vreal sum[MAX_ROWS][MAX_VECTORS];
    UNROLL
    for (size_t i = 0; i < rows; ++i) {
        UNROLL
        for (size_t v = 0; v < vectors; ++v) sum[i][v] = v_set(0);
    }
    for (size_t k = 0; k < hidden; ++k, panel += rows, x += vectors * LANES) {
        vreal in[MAX_VECTORS];
        UNROLL
        for (size_t v = 0; v < vectors; ++v) in[v] = v_load(x + v * LANES);
        UNROLL
        for (size_t i = 0; i < rows; ++i) {
            vreal const w = v_set(panel[i]);
            UNROLL
            for (size_t v = 0; v < vectors; ++v) sum[i][v] = v_fma(w, in[v], sum[i][v]);
        }
    }
    UNROLL
    for (size_t i = 0; i < rows; ++i) {
        UNROLL
        for (size_t v = 0; v < vectors; ++v) v_store(z + (i * vectors + v) * LANES, sum[i][v]);
    }
}

#define PRODUCT(rows, vectors)                                                                     \
    static void product_##rows##_##vectors(size_t hidden, const real *panel, const real *x,        \
                                           real *z) {                                              \
        product(hidden, panel, x, z, rows, vectors);                                               \
    }
#define PRODUCTS_4(vectors)                                                                        \
    PRODUCT(1, vectors) PRODUCT(2, vectors) PRODUCT(3, vectors) PRODUCT(4, vectors)
#define PRODUCTS_8(vectors)                                                                        \
    PRODUCTS_4(vectors)                                                                            \
    PRODUCT(5, vectors) PRODUCT(6, vectors) PRODUCT(7, vectors) PRODUCT(8, vectors)
#define NAMES_4(vectors)                                                                           \
    product_1_##vectors, product_2_##vectors, product_3_##vectors, product_4_##vectors
#define NAMES_8(vectors)                                                                           \
    NAMES_4(vectors), product_5_##vectors, product_6_##vectors, product_7_##vectors,               \
        product_8_##vectors

/* products[vectors - 1][rows - 1] */
#if MAX_ROWS == 8 && MAX_VECTORS == 3
PRODUCTS_8(1)
PRODUCTS_8(2)
PRODUCTS_8(3) static const product_fn products[3][8] = {{NAMES_8(1)}, {NAMES_8(2)}, {NAMES_8(3)}};
#elif MAX_ROWS == 4 && MAX_VECTORS == 3
PRODUCTS_4(1)
PRODUCTS_4(2)
PRODUCTS_4(3) static const product_fn products[3][4] = {{NAMES_4(1)}, {NAMES_4(2)}, {NAMES_4(3)}};
#elif MAX_ROWS == 4 && MAX_VECTORS == 2
PRODUCTS_4(1) PRODUCTS_4(2) static const product_fn products[2][4] = {{NAMES_4(1)}, {NAMES_4(2)}};
#endif

/* ---- scratch ------------------------------------------------------------------------------- */

static uint64_t scratch_bytes(const rs_shape *shape, size_t vectors) {
    rs_block block = rs_block_measure(VECTOR_BYTES);
    (void)deal_trace(shape, vectors, &block);
    return block.used;
}

/* Reals of a [H][width] array. */
static size_t state_size(const rs_cpu_tile *tile) {
    return tile->shape->hidden * tile->vectors * LANES;
}

/* ---- factors ------------------------------------------------------------------------------- */

/* Copies x [H][width] of a step to blocks of `rows` rows, `size` reals a vector of columns, and
 * notes the largest magnitude of each column. The step after it goes to t + next. */
INLINE void keep(const rs_cpu_tile *tile, const real *x, size_t t, ptrdiff_t next, size_t rows,
                 size_t size, real *blocks, real *largest) {
    size_t const hidden = tile->shape->hidden, row = tile->vectors * LANES;
    size_t const stride = block_steps(tile->shape) * rows * LANES;
    for (size_t v = 0; v < tile->vectors; ++v) {
        real *to = blocks + v * size + t * rows * LANES;
        vreal most = v_set(0);
        for (size_t i = 0; i < hidden; i += rows, to += stride)
            for (size_t n = 0; n < rows && i + n < hidden; ++n) {
                vreal const a = v_load(x + (i + n) * row + v * LANES);
                most = v_at_least(v_abs(a), most);
                v_store(to + n * LANES, a);
                __builtin_prefetch(to + (next * (ptrdiff_t)rows + (ptrdiff_t)n) * (ptrdiff_t)LANES,
                                   1);
            }
        v_store(largest + t * row + v * LANES, most);
    }
}

/* h_t, which step t + 1 begins with. */
static void keep_h(const rs_cpu_tile *tile, const trace *s, size_t t, const real *h) {
    keep(tile, h, t, 1, V_ROWS, (size_t)v_size(tile->shape), s->factors.v, s->factors.largest_h);
}

/* phi' * delta of step t, and its exponents. */
static void keep_q(const rs_cpu_tile *tile, const trace *s, size_t t, const real *q,
                   const int32_t *exponent) {
    size_t const width = tile->vectors * LANES;
    keep(tile, q, t - 1, -1, Q_ROWS, (size_t)q_size(tile->shape), s->factors.q,
         s->factors.largest_q);
    memcpy(s->factors.exponent + (t - 1) * width, exponent, width * sizeof *exponent);
}

/* ---- forward ------------------------------------------------------------------------------- */

/* h = phi(a) and slope = phi'(a) for a row of a tile. */
INLINE void activate(activation kind, size_t vectors, const vreal *a, vreal *h, vreal *slope) {
    vreal const zero = v_set(0), one = v_set(1);
    switch (kind) {
    case TANH: v_tanh(vectors, a, h, slope); return;
    case TANH_RAW: /* the usual formula, for what plain training would see */
        v_tanh(vectors, a, h, slope);
        EACH(vectors) slope[v] = one - h[v] * h[v];
        return;
    case RELU: /* NaN goes through: it is neither below nor at most 0 */
        EACH(vectors) {
            h[v] = v_select((vint)(a[v] < zero), zero, a[v]);
            vreal const at_most_zero = v_select((vint)(a[v] <= zero), zero, a[v]);
            slope[v] = v_select((vint)(a[v] > zero), one, at_most_zero);
        }
        return;
    case RELU_RAW: /* of NaN the slope is 1, for it is not at most 0 */
        EACH(vectors) {
            h[v] = v_select((vint)(a[v] < zero), zero, a[v]);
            slope[v] = v_select((vint)(a[v] <= zero), zero, one);
        }
        return;
    case LINEAR: EACH(vectors) h[v] = a[v]; return;
    }
}

/* Rows of one step and what they become: pointers to the first of `rows` rows. */
typedef struct row_block {
    size_t rows;
    const real *z;     /* [rows][width] their product */
    const real *drive; /* [rows][period] */
    real *h;           /* [rows][width] */
    real *slope;       /* [rows][width]; not used by linear units */
} row_block;

/* Adds 0 * h to bad [vectors]: it turns NaN where h is not finite. */
INLINE void activate_rows(activation kind, size_t vectors, const rs_cpu_tile *tile, row_block b,
                          vreal *bad) {
    vreal scale[MAX_VECTORS];
    EACH(vectors) scale[v] = v_load((const real *)tile->scale + v * LANES);
    for (size_t i = 0; i < b.rows; ++i) {
        size_t const row = i * vectors * LANES;
        const real *drive = b.drive + i * tile->period;
        vreal a[MAX_VECTORS], h[MAX_VECTORS], slope[MAX_VECTORS];
        EACH(vectors) {
            vreal const u = v_load_unaligned(drive + tile->sample[v]);
            a[v] = v_fma(scale[v], v_load(b.z + row + v * LANES), u);
        }
        activate(kind, vectors, a, h, slope);
        EACH(vectors) v_store(b.h + row + v * LANES, h[v]);
        if (kind != LINEAR) EACH(vectors) v_store(b.slope + row + v * LANES, slope[v]);
        EACH(vectors) bad[v] = v_fma(h[v], v_set(0), bad[v]);
    }
}

INLINE void activate_kind(size_t vectors, const rs_cpu_tile *tile, activation kind, row_block b,
                          vreal *bad) {
    switch (kind) {
    case TANH: activate_rows(TANH, vectors, tile, b, bad); break;
    case TANH_RAW: activate_rows(TANH_RAW, vectors, tile, b, bad); break;
    case RELU: activate_rows(RELU, vectors, tile, b, bad); break;
    case RELU_RAW: activate_rows(RELU_RAW, vectors, tile, b, bad); break;
    case LINEAR: activate_rows(LINEAR, vectors, tile, b, bad); break;
    }
}

/* The loops over a tile's vectors are unrolled, so there is a copy for each width. */
static void activate_block(const rs_cpu_tile *tile, activation kind, row_block b, vreal *bad) {
    switch (tile->vectors) {
    case 1: activate_kind(1, tile, kind, b, bad); break;
    case 2: activate_kind(2, tile, kind, b, bad); break;
    default: activate_kind(MAX_VECTORS, tile, kind, b, bad); break;
    }
}

static void note_nonfinite(const rs_cpu_tile *tile, const vreal *bad, uint32_t step) {
    for (size_t v = 0; v < tile->vectors; ++v) {
        if (!v_any_nan(bad[v])) continue;
        for (size_t lane = 0; lane < LANES; ++lane) {
            size_t const column = v * LANES + lane;
            if (column < tile->columns && isnan(bad[v][lane]) && tile->nonfinite_step[column] == 0)
                tile->nonfinite_step[column] = step;
        }
    }
}

static void load_start(const rs_cpu_tile *tile, real *h) {
    for (size_t i = 0; i < tile->shape->hidden; ++i)
        for (size_t v = 0; v < tile->vectors; ++v, h += LANES)
            v_store(h, v_load_unaligned((const real *)tile->start[0] + i * tile->period +
                                        tile->sample[v]));
}

static void forward(const rs_cpu_tile *tile) {
    const rs_shape *shape = tile->shape;
    size_t const hidden = shape->hidden, state = state_size(tile);
    activation const kind = activation_of(shape);
    trace const s = trace_of(tile);
    const product_fn *product_of = products[tile->vectors - 1];
    for (size_t column = 0; column < tile->columns; ++column) tile->nonfinite_step[column] = 0;

    load_start(tile, s.state[0]);
    for (size_t step = 0; step < shape->warmup + shape->steps; ++step) {
        const real *in = s.state[step % 2];
        real *out = s.state[(step + 1) % 2];
        bool const recorded = step >= shape->warmup;
        if (recorded && shape->gradients) keep_h(tile, &s, step - shape->warmup, in);
        const real *drive = (const real *)tile->drive + step * tile->drive_stride;
        /* Slopes of the warm-up go to row 0, which step 1 overwrites. */
        real *slope = s.slope ? s.slope + (recorded ? step - shape->warmup : 0) * state : NULL;
        const real *panel = tile->forward_w;
        vreal bad[MAX_VECTORS] = {{0}};
        for (size_t p = 0, first = 0; first < hidden; ++p) {
            size_t const end = panel_start(hidden, p + 1);
            size_t const row = first * tile->vectors * LANES;
            product_of[end - first - 1](hidden, panel, in, s.z);
            row_block const block = {end - first, s.z, drive + first * tile->period, out + row,
                                     slope ? slope + row : NULL};
            activate_block(tile, kind, block, bad);
            panel += (end - first) * hidden;
            first = end;
        }
        if (recorded) note_nonfinite(tile, bad, (uint32_t)(step - shape->warmup + 1));
    }
}

/* ---- backward ------------------------------------------------------------------------------ */

/* What the backward pass keeps of each column between steps. */
typedef struct ranges {
    vwide norm2[MAX_VECTORS];       /* of the step being made */
    vwide norm_factor[MAX_VECTORS]; /* raw: 2^-exponent, applied to the norm alone */
    vreal own[MAX_VECTORS];         /* the loss's own term, scaled like delta */
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

/* phi' * delta. A raw relu passes a gradient or not, whatever it is: 0 times inf would be NaN. */
INLINE vreal gated(bool selects, vreal slope, vreal delta) {
    return selects ? v_select((vint)(slope > v_set(0)), delta, v_set(0)) : slope * delta;
}

/* Rows of delta_{t-1} from their product z [rows][width]; leaves phi'(a_{t-1}) * delta_{t-1}. */
INLINE void delta_rows(bool raw, bool selects, size_t vectors, const rs_cpu_tile *tile,
                       ranges *range, size_t rows, const real *z, const real *slope, real *q) {
    size_t const state = tile->shape->hidden * vectors * LANES;
    vreal scale[MAX_VECTORS], own[MAX_VECTORS];
    vwide norm2[MAX_VECTORS];
    EACH(vectors) {
        scale[v] = v_load((const real *)tile->scale + v * LANES);
        own[v] = range->own[v];
        norm2[v] = range->norm2[v];
    }
    for (size_t i = 0; i < rows; ++i) {
        EACH(vectors) {
            size_t const at = (i * vectors + v) * LANES;
            vreal const delta = v_fma(scale[v], v_load(z + at), own[v]);
            add_squares(raw, delta, &range->norm_factor[v], &norm2[v]);
            /* The step after this one reads from where no prefetcher looks: further down. */
            if (slope) __builtin_prefetch(slope + at - state);
            v_store(q + at, slope ? gated(selects, v_load(slope + at), delta) : delta);
        }
    }
    EACH(vectors) range->norm2[v] = norm2[v];
}

INLINE void delta_kind(size_t vectors, const rs_cpu_tile *tile, ranges *range, size_t rows,
                       const real *z, const real *slope, real *q) {
    if (!tile->shape->raw)
        delta_rows(false, false, vectors, tile, range, rows, z, slope, q);
    else if (activation_of(tile->shape) == RELU_RAW)
        delta_rows(true, true, vectors, tile, range, rows, z, slope, q);
    else
        delta_rows(true, false, vectors, tile, range, rows, z, slope, q);
}

static void delta_block(const rs_cpu_tile *tile, ranges *range, size_t rows, const real *z,
                        const real *slope, real *q) {
    switch (tile->vectors) {
    case 1: delta_kind(1, tile, range, rows, z, slope, q); break;
    case 2: delta_kind(2, tile, range, rows, z, slope, q); break;
    default: delta_kind(MAX_VECTORS, tile, range, rows, z, slope, q); break;
    }
}

/* delta_T, the gradient of the loss itself. */
static void start_backward(const rs_cpu_tile *tile, ranges *range, const real *slope, real *q) {
    bool const raw = tile->shape->raw, selects = activation_of(tile->shape) == RELU_RAW;
    for (size_t i = 0; i < tile->shape->hidden; ++i) {
        for (size_t v = 0; v < tile->vectors; ++v) {
            size_t const at = (i * tile->vectors + v) * LANES;
            vreal const delta =
                v_load_unaligned((const real *)tile->delta + i * tile->period + tile->sample[v]);
            add_squares(raw, delta, &range->norm_factor[v], &range->norm2[v]);
            v_store(q + at, slope ? gated(selects, v_load(slope + at), delta) : delta);
        }
    }
}

static double norm2_of(const ranges *range, size_t column) {
    size_t const half = LANES / WIDE;
    return range->norm2[column / LANES].part[column % LANES / half][column % half];
}

/* The power of two that brings a column back near 1, or 0 while it is in the band. */
static int excess(double norm2) {
    if (!isfinite(norm2) || norm2 == 0.0 || (norm2 >= 1.0 / BAND2 && norm2 <= BAND2)) return 0;
    int const shift = ilogb(norm2) / 2;
    return shift > MOST ? MOST : shift < -MOST ? -MOST : shift;
}

/* Multiplies column `column` of q and of its own term, or in a raw pass its norm, by 2^-shift. */
static void rescale(const rs_cpu_tile *tile, ranges *range, real *q, size_t column, int shift) {
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
    for (size_t i = 0; i < tile->shape->hidden; ++i)
        q[(i * tile->vectors + v) * LANES + lane] *= factor;
}

/* One vector's norms, column by column, and the rescaling of those that need it. */
static void end_vector(const rs_cpu_tile *tile, ranges *range, size_t v, double *norm2,
                       int32_t *exponent, real *q) {
    for (size_t column = v * LANES; column < (v + 1) * LANES && column < tile->columns; ++column) {
        double const sum = norm2_of(range, column);
        norm2[column] = sum;
        exponent[column] = range->exponent[column];
        int const shift = excess(sum);
        if (shift != 0) rescale(tile, range, q, column, shift);
    }
}

static bool in_band(const vwide *norm2) {
    for (size_t p = 0; p < WIDE; ++p)
        if (!v_all_within(norm2->part[p], 1.0 / BAND2, BAND2)) return false;
    return true;
}

/* Writes the norms of step t, rescales the columns that need it and starts the next sums. */
static void end_step(const rs_cpu_tile *tile, ranges *range, size_t t, real *q) {
    double *norm2 = tile->norm2 + (t - 1) * tile->record_stride;
    int32_t *exponent = tile->exponent + (t - 1) * tile->record_stride;
    for (size_t v = 0; v < tile->vectors; ++v) {
        if ((v + 1) * LANES <= tile->columns && in_band(&range->norm2[v])) {
            memcpy(norm2 + v * LANES, &range->norm2[v], LANES * sizeof *norm2);
            memcpy(exponent + v * LANES, range->exponent + v * LANES, LANES * sizeof *exponent);
        } else {
            end_vector(tile, range, v, norm2, exponent, q);
        }
        range->norm2[v] = (vwide){0};
    }
}

static void backward(const rs_cpu_tile *tile) {
    const rs_shape *shape = tile->shape;
    size_t const hidden = shape->hidden, state = state_size(tile);
    trace const s = trace_of(tile);
    const product_fn *product_of = products[tile->vectors - 1];
    ranges range = {0};
    for (size_t v = 0; v < tile->vectors; ++v) {
        range.own[v] = v_set((real)tile->step_delta);
        for (size_t p = 0; p < WIDE; ++p) range.norm_factor[v].part[p] += 1.0;
    }

    real *const last = s.state[shape->steps % 2];
    start_backward(tile, &range, s.slope ? s.slope + (shape->steps - 1) * state : NULL, last);
    end_step(tile, &range, shape->steps, last);
    if (shape->gradients) keep_q(tile, &s, shape->steps, last, range.exponent);
    for (size_t t = shape->steps - 1; t > 0; --t) {
        const real *in = s.state[(t + 1) % 2];
        real *out = s.state[t % 2];
        const real *slope = s.slope ? s.slope + (t - 1) * state : NULL;
        const real *panel = tile->backward_w;
        for (size_t p = 0, first = 0; first < hidden; ++p) {
            size_t const end = panel_start(hidden, p + 1);
            product_of[end - first - 1](hidden, panel, in, s.z);
            size_t const row = first * tile->vectors * LANES;
            delta_block(tile, &range, end - first, s.z, slope ? slope + row : NULL, out + row);
            panel += (end - first) * hidden;
            first = end;
        }
        end_step(tile, &range, t, out);
        if (shape->gradients) keep_q(tile, &s, t, out, range.exponent);
    }
}

rs_drive_filler RS_DRIVE_FILL;
extern const rs_cpu_gradient RS_CPU_GRADIENT_OF(RS_KERNEL);

const rs_cpu_kernel RS_KERNEL = {
    .isa = RS_ISA,
    .fused = FUSED,
    .precision = RS_REAL_BITS == 32 ? RS_F32 : RS_F64,
    .lanes = LANES,
    .max_vectors = MAX_VECTORS,
    .real_bytes = sizeof(real),
    .packed_bytes = packed_bytes,
    .pack = pack,
    .put_samples = put_samples,
    .fill_drive = RS_DRIVE_FILL,
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward = backward,
    .gradient = &RS_CPU_GRADIENT_OF(RS_KERNEL),
};
