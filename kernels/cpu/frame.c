/* QR of a column's tangents, in double whatever the tile's precision: kernels/tangent/frame.h says
 * what it gives. Householder's reflections, PANEL of them at a time (compact WY form, Schreiber &
 * Van Loan 1989):
 *
 *     H_1 .. H_8 = 1 - V T V^T,   V [rows][8], T [8][8] upper triangular
 *
 *     frame [rows][pitch], tangents side by side         panel's V, from its first row on
 *
 *                 panel 0    panel 1                       1 . . .  ..
 *               | R R R .. | R R R .. |                    v 1 . .
 *               | . R R    | R        |                    v v 1 .
 *               | . . R    | R        |                    v v v 1
 *               |          | what is left: C -= V (T^T (V^T C)), a few vectors of C at a time
 *
 * Lanes are tangents: each sum runs over rows, none across lanes, so that instruction sets that
 * have fma give the same bits. LAPACK's QR, which goes down single tangents, takes three times as
 * long at 64 to 256 units. */
#undef RS_REAL_BITS
#define RS_REAL_BITS 64
#include "kernel.h"
#include "simd.h"

#include <math.h>
#include <stdbool.h>

/* 64 bytes of a row. */
enum { PANEL = 8 };
#define PANEL_VECTORS (PANEL / LANES)

/* Vectors of C whose products with all of V stay in registers. */
#if defined(__AVX512F__)
enum { BLOCK = 3 };
#elif defined(__aarch64__)
enum { BLOCK = 2 };
#else
enum { BLOCK = 1 };
#endif

/* The reflections of one panel. */
typedef struct panel {
    size_t rows, count; /* from its first row on; reflections, PANEL but for the last one */
    double *v;          /* [rows][PANEL] */
    double *t;          /* [PANEL][PANEL] */
} panel;

typedef struct frame {
    size_t rows, k, pitch;
    double *q;    /* [rows][pitch] */
    double *sign; /* [pitch] of R_ii; 0 beyond k */
    double *v, *t;
} frame;

static size_t panels_of_frame(const frame *f) { return (f->k + PANEL - 1) / PANEL; }

/* Panel p, whose V comes behind those before it. */
static panel panel_at(const frame *f, size_t p) {
    size_t const first = p * PANEL, left = f->k - first;
    return (panel){.rows = f->rows - first,
                   .count = left < PANEL ? left : PANEL,
                   .v = f->v + PANEL * (p * f->rows - PANEL * (p * (p - 1) / 2)),
                   .t = f->t + p * PANEL * PANEL};
}

/* ---- a reflection --------------------------------------------------------------------------- */

/* Sums over rows have four parts, which take turns. */
enum { PARTS = 4 };

/* Of numbers below row j of column j, each times `scale`. */
static double sum_of_squares(const panel *p, size_t j, double scale) {
    double sum[PARTS] = {0.0};
    size_t i = j + 1;
    for (; i + PARTS <= p->rows; i += PARTS) {
        UNROLL
        for (size_t n = 0; n < PARTS; ++n) {
            double const x = scale * p->v[(i + n) * PANEL + j];
            sum[n] += x * x;
        }
    }
    for (; i < p->rows; ++i) {
        double const x = scale * p->v[i * PANEL + j];
        sum[0] += x * x;
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static double largest_below(const panel *p, size_t j) {
    double most = 0.0;
    for (size_t i = j + 1; i < p->rows; ++i) most = fmax(most, fabs(p->v[i * PANEL + j]));
    return most;
}

/* A power of two that brings column j, from row j on, near 1. */
static double scale_of(const panel *p, size_t j) {
    int const exponent = ilogb(fmax(largest_below(p, j), fabs(p->v[j * PANEL + j])));
    return ldexp(1.0, exponent < -1000 ? 1000 : -exponent);
}

/* Number j of a row becomes `x`, and x times the row is added to the sum. */
INLINE void add_row(double *row, size_t j, double x, vreal sum[PANEL_VECTORS]) {
    UNROLL
    for (size_t v = 0; v < PANEL_VECTORS; ++v)
        sum[v] = v_fma(v_set(x), v_load(row + v * LANES), sum[v]);
    row[j] = x;
}

/* v_j below row j from what is there, and with it the sums v_j . column of the columns behind. */
static void make_vector(const panel *p, size_t j, double scale, double inverse, double *out) {
    double *row = p->v + (j + 1) * PANEL;
    size_t left = p->rows - j - 1;
    vreal sum[PARTS][PANEL_VECTORS];
    UNROLL
    for (size_t n = 0; n < PARTS; ++n) {
        UNROLL
        for (size_t v = 0; v < PANEL_VECTORS; ++v) sum[n][v] = v_set(0.0);
    }
    for (; left >= PARTS; left -= PARTS) {
        UNROLL
        for (size_t n = 0; n < PARTS; ++n, row += PANEL)
            add_row(row, j, row[j] * scale * inverse, sum[n]);
    }
    for (; left > 0; --left, row += PANEL) add_row(row, j, row[j] * scale * inverse, sum[0]);
    UNROLL
    for (size_t v = 0; v < PANEL_VECTORS; ++v)
        v_store(out + v * LANES, (sum[0][v] + sum[1][v]) + (sum[2][v] + sum[3][v]));
}

/* Reflects the columns behind j: those before have 0 in `along`. */
static void reflect_rows(const panel *p, size_t j, const double *along) {
    for (size_t i = j + 1; i < p->rows; ++i) {
        double *const row = p->v + i * PANEL;
        double const x = row[j];
        for (size_t v = 0; v < PANEL_VECTORS; ++v)
            v_store(row + v * LANES,
                    v_fma(v_set(-x), v_load(along + v * LANES), v_load(row + v * LANES)));
    }
}

/* Reflection j in the place of the column it is made from; R_jj on the diagonal. Returns tau. The
 * column is scaled where its squares would leave double's range. */
static double make_reflection(const panel *p, size_t j) {
    _Alignas(64) double along[PANEL];
    double *const top = p->v + j * PANEL;
    double scale = 1.0, below2 = sum_of_squares(p, j, scale);
    if (!(below2 > 0x1p-900 && below2 < 0x1p900)) {
        if (largest_below(p, j) == 0.0) return 0.0; /* nothing to reflect */
        scale = scale_of(p, j);
        below2 = sum_of_squares(p, j, scale);
    }
    double const first = top[j] * scale, beta = -copysign(hypot(first, sqrt(below2)), first);
    double const tau = (beta - first) / beta;
    make_vector(p, j, scale, 1.0 / (first - beta), along);
    for (size_t c = 0; c < PANEL; ++c) along[c] = c > j ? tau * (top[c] + along[c]) : 0.0;
    for (size_t c = j + 1; c < PANEL; ++c) top[c] -= along[c];
    top[j] = beta / scale;
    reflect_rows(p, j, along);
    return tau;
}

/* ---- a panel -------------------------------------------------------------------------------- */

/* V^T V. */
static void multiply_by_itself(const panel *p, double gram[PANEL][PANEL]) {
    vreal acc[PANEL][PANEL_VECTORS];
    for (size_t a = 0; a < PANEL; ++a)
        for (size_t v = 0; v < PANEL_VECTORS; ++v) acc[a][v] = v_set(0.0);
    for (size_t i = 0; i < p->rows; ++i) {
        const double *row = p->v + i * PANEL;
        for (size_t v = 0; v < PANEL_VECTORS; ++v) {
            vreal const in = v_load(row + v * LANES);
            UNROLL
            for (size_t a = 0; a < PANEL; ++a) acc[a][v] = v_fma(v_set(row[a]), in, acc[a][v]);
        }
    }
    for (size_t a = 0; a < PANEL; ++a)
        for (size_t v = 0; v < PANEL_VECTORS; ++v) v_store(gram[a] + v * LANES, acc[a][v]);
}

/* T_jj = tau_j,  T_ij = -tau_j sum_l T_il (v_l . v_j) over l = i .. j - 1. */
static void make_t(const panel *p, const double *tau) {
    _Alignas(64) double gram[PANEL][PANEL];
    multiply_by_itself(p, gram);
    for (size_t j = 0; j < PANEL; ++j)
        for (size_t i = 0; i < PANEL; ++i) {
            double sum = 0.0;
            for (size_t l = i; l < j; ++l) sum += p->t[i * PANEL + l] * gram[l][j];
            p->t[i * PANEL + j] = i == j ? tau[j] : i < j ? -tau[j] * sum : 0.0;
        }
}

/* Takes the panel's columns out of the frame; R takes their place there. */
static void factor(const frame *f, const panel *p, size_t first) {
    double tau[PANEL] = {0.0};
    double *const square = f->q + first * f->pitch + first;
    for (size_t i = 0; i < p->rows; ++i)
        for (size_t c = 0; c < PANEL; ++c) p->v[i * PANEL + c] = square[i * f->pitch + c];
    for (size_t j = 0; j < p->count; ++j) tau[j] = make_reflection(p, j);
    for (size_t i = 0; i < p->count; ++i)
        for (size_t c = i; c < PANEL; ++c) {
            square[i * f->pitch + c] = p->v[i * PANEL + c];
            p->v[i * PANEL + c] = c == i ? 1.0 : 0.0;
        }
    make_t(p, tau);
}

/* ---- panels on the frame -------------------------------------------------------------------- */

/* w = T^T w, or T w where `forward` is false, in its place. */
INLINE void multiply_by_t(const double *t, bool transposed, size_t vectors, vreal w[PANEL][BLOCK]) {
    UNROLL
    for (size_t n = 0; n < PANEL; ++n) {
        size_t const a = transposed ? PANEL - 1 - n : n;
        UNROLL
        for (size_t b = 0; b < vectors; ++b) {
            vreal sum = v_set(t[a * PANEL + a]) * w[a][b];
            UNROLL
            for (size_t l = 0; l < PANEL; ++l)
                if (transposed ? l < a : l > a)
                    sum = v_fma(v_set(t[transposed ? l * PANEL + a : a * PANEL + l]), w[l][b], sum);
            w[a][b] = sum;
        }
    }
}

/* c -= V T' (V^T c) of so many vectors of the panel's rows of c, T' as above. */
INLINE void apply(const panel *p, bool transposed, size_t vectors, double *c, size_t pitch) {
    vreal w[PANEL][BLOCK];
    UNROLL
    for (size_t a = 0; a < PANEL; ++a) {
        UNROLL
        for (size_t b = 0; b < vectors; ++b) w[a][b] = v_set(0.0);
    }
    for (size_t i = 0; i < p->rows; ++i) {
        vreal in[BLOCK];
        UNROLL
        for (size_t b = 0; b < vectors; ++b) in[b] = v_load(c + i * pitch + b * LANES);
        UNROLL
        for (size_t a = 0; a < PANEL; ++a) {
            vreal const v = v_set(p->v[i * PANEL + a]);
            UNROLL
            for (size_t b = 0; b < vectors; ++b) w[a][b] = v_fma(v, in[b], w[a][b]);
        }
    }
    multiply_by_t(p->t, transposed, vectors, w);
    for (size_t i = 0; i < p->rows; ++i) {
        vreal out[BLOCK];
        UNROLL
        for (size_t b = 0; b < vectors; ++b) out[b] = v_load(c + i * pitch + b * LANES);
        UNROLL
        for (size_t a = 0; a < PANEL; ++a) {
            vreal const v = v_set(-p->v[i * PANEL + a]);
            UNROLL
            for (size_t b = 0; b < vectors; ++b) out[b] = v_fma(v, w[a][b], out[b]);
        }
        UNROLL
        for (size_t b = 0; b < vectors; ++b) v_store(c + i * pitch + b * LANES, out[b]);
    }
}

INLINE void apply_to_all(const panel *p, bool transposed, size_t vectors, double *c, size_t pitch) {
    for (; vectors >= BLOCK; vectors -= BLOCK, c += BLOCK * LANES)
        apply(p, transposed, BLOCK, c, pitch);
    for (; vectors > 0; --vectors, c += LANES) apply(p, transposed, 1, c, pitch);
}

/* What is right of the panel, and below its first row. */
APART void reduce(const frame *f, const panel *p, size_t first) {
    size_t const next = first + PANEL;
    if (next < f->pitch)
        apply_to_all(p, true, (f->pitch - next) / LANES, f->q + first * f->pitch + next, f->pitch);
}

/* The panel's own columns of Q too, which are those of the unit matrix before. */
APART void expand(const frame *f, const panel *p, size_t first) {
    apply_to_all(p, false, (f->pitch - first) / LANES, f->q + first * f->pitch + first, f->pitch);
}

/* ---- a frame -------------------------------------------------------------------------------- */

static bool is_finite(const frame *f) {
    vreal fault = v_set(0.0);
    for (size_t i = 0; i < f->rows * f->pitch; i += LANES)
        fault = v_fma(v_load(f->q + i), v_set(0.0), fault);
    return !v_any_nan(fault);
}

/* R is the upper triangle of q; its rows whose diagonal is negative change their sign. */
static void take_triangle(const frame *f, double *log_r, double *r) {
    for (size_t i = 0; i < f->pitch; ++i) f->sign[i] = 0.0;
    for (size_t i = 0; i < f->k; ++i) {
        double const diagonal = f->q[i * f->pitch + i];
        f->sign[i] = diagonal < 0.0 ? -1.0 : 1.0;
        log_r[i] = log(fabs(diagonal));
    }
    for (size_t j = 0; r && j < f->k; ++j)
        for (size_t i = 0; i < f->k; ++i)
            r[j * f->k + i] = i <= j ? f->sign[i] * f->q[i * f->pitch + j] : 0.0;
}

static void make_unit_matrix(const frame *f) {
    memset(f->q, 0, f->rows * f->pitch * sizeof *f->q);
    for (size_t i = 0; i < f->k; ++i) f->q[i * f->pitch + i] = 1.0;
}

static void change_signs(const frame *f) {
    for (size_t i = 0; i < f->rows; ++i)
        for (size_t j = 0; j < f->pitch; j += LANES) {
            double *const at = f->q + i * f->pitch + j;
            v_store(at, v_load(at) * v_load(f->sign + j));
        }
}

static frame deal(size_t rows, size_t k, rs_block *block) {
    frame f = {.rows = rows, .k = k, .pitch = rs_cpu_frame_pitch(k)};
    uint64_t const panels = (k + PANEL - 1) / PANEL, row = PANEL * sizeof(double);
    f.sign = rs_block_take(block, f.pitch, sizeof(double));
    f.v = rs_block_take(block, rs_size_mul(panels, rows), row);
    f.t = rs_block_take(block, rs_size_mul(panels, PANEL), row);
    return f;
}

static uint64_t bytes(size_t rows, size_t k) {
    rs_block block = rs_block_measure(64);
    (void)deal(rows, k, &block);
    return block.used;
}

static void orthonormalise(size_t rows, size_t k, double *q, double *log_r, double *r,
                           void *scratch) {
    rs_block block = rs_block_deal(scratch, 64);
    frame f = deal(rows, k, &block);
    f.q = q;
    if (!is_finite(&f)) {
        for (size_t i = 0; i < k; ++i) log_r[i] = NAN;
        for (size_t i = 0; r && i < k * k; ++i) r[i] = NAN;
        return;
    }
    for (size_t p = 0; p < panels_of_frame(&f); ++p) {
        panel const of = panel_at(&f, p);
        factor(&f, &of, p * PANEL);
        reduce(&f, &of, p * PANEL);
    }
    take_triangle(&f, log_r, r);
    make_unit_matrix(&f);
    for (size_t p = panels_of_frame(&f); p-- > 0;) {
        panel const of = panel_at(&f, p);
        expand(&f, &of, p * PANEL);
    }
    change_signs(&f);
}

extern const rs_cpu_frame RS_CPU_FRAME_OF(RS_KERNEL);
const rs_cpu_frame RS_CPU_FRAME_OF(RS_KERNEL) = {.bytes = bytes, .orthonormalise = orthonormalise};
