/* The weights' gradients of a tile's columns, after its passes: for every column
 *
 *     S = sum over t of q_t v_t^T,   v_t = (h_{t-1}, x_t, 1),
 *
 * so that one product makes the gradients of weight_hh, weight_ih and the biases. Behind the K H
 * rows of q = dL/dp are H of dL/du of a GRU's candidate, the only one that differs from its q: they
 * take its place in the gradients of weight_ih and bias_ih. Compiled like tile.c;
 * RS_KERNEL_gradient is what it defines.
 *
 * Lanes are columns here too. A block of rows of q times a block of rows of v is kept in registers
 * over the steps t = 1 .. T, one fma each, in that order. The columns of a radius are then added up
 * in double, in ascending order, and the squares of the sum over v's rows first and q's rows last.
 * None of this depends on blocks or widths: instruction sets that have fma give the same bits.
 *
 * Where a column leaves the moderate numbers, its q_t and v_t are brought near 1 by powers of two,
 * and their product to where the largest one of the column is near 1; radii add up columns by their
 * exponents. */
#include "kernel.h"
#include "simd.h"
#include "trace.h"

#include <stdbool.h>

/* The product takes so many blocks of v at a time, and steps at most so many, for the caches: a
 * block of q stays in the first while those of v come from the second. */
enum { BLOCKS = 4, STEPS = 128, GROUP_ROWS = BLOCKS * V_ROWS };

/* What v is made of. */
typedef enum kind { HH, IH, BIAS, N_KIND } kind;

/* Binary exponents that the largest product of a column may have and be left as it is: neither it
 * nor what matters beside it leaves the format, nor do squares leave that of a double. */
#if RS_REAL_BITS == 32
enum { LEAST_MODERATE = -60, MOST_MODERATE = 80 };
#else
enum { LEAST_MODERATE = -300, MOST_MODERATE = 400 };
#endif

/* The exponent of nothing: below any other, and far from overflow. */
enum { NOTHING = -(1 << 30) };

/* Exponents of the largest numbers of a step in each lane, 0 where all are zero. */
typedef struct step_range {
    vint q, v[N_KIND];
} step_range;

/* The radius that the next tile goes on with. */
typedef struct open_radius {
    int64_t exponent[N_KIND]; /* of its sums so far */
} open_radius;

/* In rs_cpu_tile.sums. `rows` is q_rows_of() and a few more that are never read. */
typedef struct workspace {
    open_radius *open;
    double *open_sum;  /* [H + I + 1][rows] */
    double *row_sum;   /* [N_KIND][LANES][rows] squares of a q's row, of the radii that end */
    real *sum;         /* [q's blocks][BLOCKS][Q_ROWS][V_ROWS][LANES] */
    step_range *range; /* [T] */
} workspace;

static uint64_t rows_of(const rs_shape *shape) {
    return rs_size_round_up(q_rows_of(shape), LANES > Q_ROWS ? LANES : Q_ROWS);
}

static workspace deal(const rs_shape *shape, rs_block *block) {
    uint64_t const rows = rs_size_mul(rows_of(shape), sizeof(double));
    workspace w;
    w.open = rs_block_take(block, 1, sizeof *w.open);
    w.open_sum = rs_block_take(block, v_rows_of(shape), rows);
    w.row_sum = rs_block_take(block, N_KIND * LANES, rows);
    w.sum = rs_block_take(block, blocks_of(q_rows_of(shape), Q_ROWS),
                          Q_ROWS * GROUP_ROWS * VECTOR_BYTES);
    w.range = rs_block_take(block, shape->steps, sizeof *w.range);
    return w;
}

static uint64_t bytes(const rs_shape *shape) {
    rs_block block = rs_block_measure(64);
    (void)deal(shape, &block);
    return block.used;
}

/* Columns v LANES .. of a tile, and how their sums are scaled. */
typedef struct vector {
    const rs_cpu_tile *tile;
    factors f;
    workspace w;
    real *q, *v;           /* its blocks */
    size_t index;          /* v */
    bool scaled;           /* any of its columns */
    vint moderate;         /* mask of those that are not */
    vint exponent[N_KIND]; /* of S: 0 for moderate columns, NOTHING where all of it is zero */
} vector;

/* Row v LANES .. of a [T][width] array. */
#define OF_STEP(of, array, t) ((array) + ((t) * (of)->tile->vectors + (of)->index) * LANES)

static kind kind_of(const rs_shape *shape, size_t row) {
    return row < shape->hidden ? HH : row < shape->hidden + shape->input_size ? IH : BIAS;
}

static size_t q_rows(const vector *of) { return (size_t)q_rows_of(of->tile->shape); }

static size_t q_blocks(const vector *of) { return blocks_of(q_rows_of(of->tile->shape), Q_ROWS); }

/* Whether anyone asks for the product of rows of q from i on with those of v before `end`: dL/du of
 * a GRU's candidate is no factor of weight_hh. */
static bool wanted(const rs_shape *shape, size_t i, size_t end) {
    return i < gate_rows(shape) || end > shape->hidden;
}

static size_t v_blocks(const vector *of) { return blocks_of(v_rows_of(of->tile->shape), V_ROWS); }

/* Where row i of a step is, in blocks of `rows`. */
INLINE real *row_at(const vector *of, real *blocks, size_t rows, size_t i, size_t t) {
    size_t const steps = block_steps(of->tile->shape);
    return blocks + ((i / rows * steps + t) * rows + i % rows) * LANES;
}

/* ---- the input ------------------------------------------------------------------------------ */

/* Row i of x, zero without a weighted drive. */
INLINE vreal x_at(const vector *of, size_t t, size_t i) {
    const rs_cpu_tile *tile = of->tile;
    if (!tile->input) return v_set(0);
    size_t const row = t * tile->shape->input_size + i;
    return v_load_unaligned((const real *)tile->input + row * tile->period +
                            tile->sample[of->index]);
}

/* The rows of v below h: x, a one, and zeros to the end of the block; and such zeros of q. */
static void fill_rows(const vector *of) {
    const rs_shape *shape = of->tile->shape;
    size_t const hidden = shape->hidden, inputs = shape->input_size;
    for (size_t t = 0; t < shape->steps; ++t) {
        for (size_t i = 0; hidden + i < v_blocks(of) * V_ROWS; ++i)
            v_store(row_at(of, of->v, V_ROWS, hidden + i, t),
                    i < inputs ? x_at(of, t, i) : v_set(i == inputs ? 1 : 0));
        for (size_t i = q_rows(of); i < q_blocks(of) * Q_ROWS; ++i)
            v_store(row_at(of, of->q, Q_ROWS, i, t), v_set(0));
    }
}

/* ---- magnitudes ----------------------------------------------------------------------------- */

/* Binary exponent of a magnitude, or 0 of zero; at most one whose negative is that of a normal
 * number. */
INLINE vint exponent_of(vreal x) {
    vint const exponent = ((vint)x >> MANTISSA_BITS) - EXPONENT_BIAS;
    return v_smaller(exponent, v_set_int(EXPONENT_BIAS - 1)) & ((vint)x != 0);
}

INLINE vint shift_at(const vector *of, size_t t) {
    const int32_t *from = OF_STEP(of, of->f.exponent, t);
    vint shift = {0};
    if (of->tile->shape->raw) return shift;
    for (size_t i = 0; i < LANES; ++i) shift[i] = from[i];
    return shift;
}

static vreal largest_x(const vector *of, size_t t) {
    vreal largest = v_set(0);
    for (size_t i = 0; of->tile->input && i < of->tile->shape->input_size; ++i)
        largest = v_at_least(v_abs(x_at(of, t, i)), largest);
    return largest;
}

/* Of q, and of dL/du of a GRU's candidate behind it. */
static vreal largest_q(const vector *of, size_t t, vreal of_q) {
    for (size_t i = gate_rows(of->tile->shape); i < q_rows(of); ++i)
        of_q = v_at_least(v_abs(v_load(row_at(of, of->q, Q_ROWS, i, t))), of_q);
    return of_q;
}

/* Notes the exponents of a step; returns the mask of lanes where q is not shifted. */
static vint find_range(vector *of, size_t t) {
    vreal const q = v_load(OF_STEP(of, of->f.largest_q, t)), all = largest_q(of, t, q);
    vreal const factor[N_KIND] = {[HH] = q, [IH] = all, [BIAS] = all};
    vreal const v[N_KIND] = {
        [HH] = v_load(OF_STEP(of, of->f.largest_h, t)), [IH] = largest_x(of, t), [BIAS] = v_set(1)};
    vint const shift = shift_at(of, t);
    step_range *range = &of->w.range[t];
    range->q = exponent_of(all);
    for (kind k = 0; k < N_KIND; ++k) {
        vint const some = ((vint)factor[k] != 0) & ((vint)v[k] != 0);
        range->v[k] = exponent_of(v[k]);
        vint const product = shift + exponent_of(factor[k]) + range->v[k];
        of->exponent[k] = v_select_int(some, v_larger(of->exponent[k], product), of->exponent[k]);
    }
    return shift == 0;
}

/* The exponents of all steps and of the sums. */
static void find_ranges(vector *of) {
    vint const nothing = v_set_int(NOTHING);
    vint moderate = ~(vint){0};
    for (kind k = 0; k < N_KIND; ++k) of->exponent[k] = nothing;
    for (size_t t = 0; t < of->tile->shape->steps; ++t) moderate &= find_range(of, t);
    for (kind k = 0; k < N_KIND; ++k) {
        vint const least = of->exponent[k] >= LEAST_MODERATE;
        moderate &= (least & (of->exponent[k] <= MOST_MODERATE)) | (of->exponent[k] == nothing);
    }
    of->scaled = false;
    of->moderate = moderate;
    if (of->tile->shape->raw) return;
    for (size_t i = 0; i < LANES; ++i) of->scaled = of->scaled || moderate[i] == 0;
    for (kind k = 0; k < N_KIND; ++k) of->exponent[k] &= ~moderate | (of->exponent[k] == nothing);
}

/* ---- scaling -------------------------------------------------------------------------------- */

/* 2^n, or 1 for moderate columns. */
INLINE vreal power_of(const vector *of, vint n) {
    return v_select(of->moderate, v_set(1), v_power(n));
}

/* Brings q near 1. */
static void scale_q(const vector *of, size_t t) {
    vreal const factor = power_of(of, -of->w.range[t].q);
    for (size_t i = 0; i < q_rows(of); ++i) {
        real *const q = row_at(of, of->q, Q_ROWS, i, t);
        v_store(q, v_load(q) * factor);
    }
}

/* Brings v near 1, and then its product with q to the sum's exponent: upwards where dL/du of a
 * GRU's candidate, which weight_hh has not, is larger than all of q. */
static void scale_v(const vector *of, size_t t) {
    const rs_shape *shape = of->tile->shape;
    const step_range *range = &of->w.range[t];
    vint const q = shift_at(of, t) + range->q;
    vint const least = v_set_int(1 - EXPONENT_BIAS), most = v_set_int(EXPONENT_BIAS - 2);
    vreal near_one[N_KIND], rest[N_KIND];
    for (kind k = 0; k < N_KIND; ++k) {
        vint const bounded = v_smaller(q + range->v[k] - of->exponent[k], most);
        near_one[k] = power_of(of, -range->v[k]);
        rest[k] = power_of(of, v_larger(bounded, least));
    }
    for (size_t j = 0; j < v_rows_of(shape); ++j) {
        real *const v = row_at(of, of->v, V_ROWS, j, t);
        kind const k = kind_of(shape, j);
        v_store(v, v_load(v) * near_one[k] * rest[k]);
    }
}

static void scale(const vector *of) {
    for (size_t t = 0; t < of->tile->shape->steps; ++t) {
        scale_q(of, t);
        scale_v(of, t);
    }
}

/* ---- products ------------------------------------------------------------------------------- */

/* sum [Q_ROWS][V_ROWS] += q [steps][Q_ROWS] v [steps][V_ROWS], of each lane; from zero at first. */
APART void product(size_t steps, const real *q, const real *v, real *sum, bool first) {
    vreal s[Q_ROWS][V_ROWS];
    UNROLL
    for (size_t i = 0; i < Q_ROWS; ++i) {
        UNROLL
        for (size_t j = 0; j < V_ROWS; ++j)
            s[i][j] = first ? v_set(0) : v_load(sum + (i * V_ROWS + j) * LANES);
    }
    for (size_t t = 0; t < steps; ++t, q += Q_ROWS * LANES, v += V_ROWS * LANES) {
        vreal in[V_ROWS];
        UNROLL
        for (size_t j = 0; j < V_ROWS; ++j) in[j] = v_load(v + j * LANES);
        UNROLL
        for (size_t i = 0; i < Q_ROWS; ++i) {
            vreal const a = v_load(q + i * LANES);
            UNROLL
            for (size_t j = 0; j < V_ROWS; ++j) s[i][j] = v_fma(a, in[j], s[i][j]);
        }
    }
    UNROLL
    for (size_t i = 0; i < Q_ROWS; ++i) {
        UNROLL
        for (size_t j = 0; j < V_ROWS; ++j) v_store(sum + (i * V_ROWS + j) * LANES, s[i][j]);
    }
}

/* The sums of all blocks of q with blocks first .. end of v. Steps are cut into equal parts. */
static void multiply(const vector *of, size_t first, size_t end) {
    size_t const steps = of->tile->shape->steps, parts = blocks_of(steps, STEPS);
    for (size_t part = 0; part < parts; ++part) {
        size_t const t = part * steps / parts, count = (part + 1) * steps / parts - t;
        for (size_t p = 0; p < q_blocks(of); ++p)
            for (size_t b = first; b < end; ++b) {
                if (!wanted(of->tile->shape, p * Q_ROWS, (b + 1) * V_ROWS)) continue;
                product(count, row_at(of, of->q, Q_ROWS, p * Q_ROWS, t),
                        row_at(of, of->v, V_ROWS, b * V_ROWS, t),
                        of->w.sum + (p * BLOCKS + b - first) * Q_ROWS * V_ROWS * LANES, part == 0);
            }
    }
}

/* ---- radii ---------------------------------------------------------------------------------- */

/* The columns of one radius among those of a vector. */
typedef struct segment {
    size_t first, end; /* lanes */
    size_t radius;     /* of the tile's */
    bool goes_on;      /* a radius that was begun before */
    bool ends;         /* with these columns */
    bool scaled;       /* any factor is not 1 */
    int64_t exponent[N_KIND];
    double before[N_KIND]; /* factor of the sum so far */
    double square[N_KIND]; /* factor of the sum before it is squared */
} segment;

typedef struct segments {
    size_t count;
    segment of[LANES];
    double factor[N_KIND][LANES]; /* of each column's S */
} segments;

/* 2^n, at least and at most a normal number. */
static double bounded_power(int64_t n) {
    int64_t const bounded = n < -1022 ? -1022 : n > 1023 ? 1023 : n;
    uint64_t const bits = (uint64_t)(bounded + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* Where a vector's radii begin and end. */
static void cut_radii(const vector *of, segments *out) {
    const rs_cpu_tile *tile = of->tile;
    size_t const batch = tile->shape->batch, start = of->index * LANES;
    size_t sample = tile->sample[of->index];
    out->count = 0;
    for (size_t lane = 0; lane < LANES && start + lane < tile->columns;) {
        segment *s = &out->of[out->count++];
        size_t end = lane + batch - sample;
        s->ends = end <= LANES && start + end <= tile->columns;
        if (end > LANES) end = LANES;
        if (start + end > tile->columns) end = tile->columns - start;
        s->first = lane;
        s->end = end;
        s->radius = (tile->sample[0] + start + lane) / batch;
        s->goes_on = sample > 0;
        lane = end;
        sample = 0;
    }
}

/* The largest exponent of a radius so far is that of its sum. A raw pass adds up sums as they are,
 * and scales them for the square alone. */
static void join_exponents(const vector *of, kind k, segment *s, double *factor) {
    bool const raw = of->tile->shape->raw;
    int64_t const before = s->goes_on ? of->w.open->exponent[k] : NOTHING;
    int64_t most = before;
    for (size_t lane = s->first; lane < s->end; ++lane)
        if (of->exponent[k][lane] > most) most = of->exponent[k][lane];
    s->exponent[k] = most;
    s->before[k] = raw ? 1.0 : bounded_power(before - most);
    s->square[k] = raw && most != NOTHING ? bounded_power(-most) : 1.0;
    for (size_t lane = s->first; lane < s->end; ++lane) {
        factor[lane] = raw ? 1.0 : bounded_power(of->exponent[k][lane] - most);
        s->scaled = s->scaled || factor[lane] != 1.0;
    }
    s->scaled = s->scaled || s->before[k] != 1.0 || s->square[k] != 1.0;
}

static void find_segments(const vector *of, segments *out) {
    cut_radii(of, out);
    for (size_t i = 0; i < out->count; ++i) {
        segment *s = &out->of[i];
        s->scaled = false;
        for (kind k = 0; k < N_KIND; ++k) join_exponents(of, k, s, out->factor[k]);
        for (kind k = 0; k < N_KIND && !s->ends; ++k) of->w.open->exponent[k] = s->exponent[k];
    }
}

INLINE vwide w_load(const double *p) {
    vwide x;
    memcpy(&x, p, sizeof x);
    return x;
}

INLINE vwide w_scaled(vwide x, double factor) {
    UNROLL
    for (size_t p = 0; p < WIDE; ++p) x.part[p] *= factor;
    return x;
}

INLINE vwide w_sum(vwide a, vwide b) {
    UNROLL
    for (size_t p = 0; p < WIDE; ++p) a.part[p] += b.part[p];
    return a;
}

/* Adds up the columns of a segment: LANES rows of q, from row i on, times row j of v. */
INLINE void add_columns(const vector *of, const segments *cut, const segment *s, size_t i, size_t j,
                        const real *column) {
    uint64_t const rows = rows_of(of->tile->shape);
    kind const k = kind_of(of->tile->shape, j);
    double *const open = of->w.open_sum + j * rows + i;
    vwide sum = {0};
    if (s->goes_on) sum = w_scaled(w_load(open), s->before[k]);
    if (s->scaled)
        for (size_t lane = s->first; lane < s->end; ++lane)
            sum =
                w_sum(sum, w_scaled(v_widen(v_load(column + lane * LANES)), cut->factor[k][lane]));
    else
        for (size_t lane = s->first; lane < s->end; ++lane)
            sum = w_sum(sum, v_widen(v_load(column + lane * LANES)));
    if (!s->ends) {
        memcpy(open, &sum, sizeof sum);
        return;
    }
    double *const squares = of->w.row_sum + (k * LANES + (size_t)(s - cut->of)) * rows + i;
    vwide const x = w_scaled(sum, s->square[k]);
    vwide total = w_load(squares);
    UNROLL
    for (size_t p = 0; p < WIDE; ++p) total.part[p] += x.part[p] * x.part[p];
    memcpy(squares, &total, sizeof total);
}

/* Turns the sums of LANES rows of q, from row i on, with row r of the group of v, into a vector of
 * them for every column. */
INLINE void turn_columns(const vector *of, size_t i, size_t r, real *column) {
    size_t const known = q_blocks(of) * Q_ROWS;
    vreal x[LANES];
    UNROLL
    for (size_t n = 0; n < LANES; ++n) {
        size_t const row = i + n, block = row / Q_ROWS * BLOCKS + r / V_ROWS;
        size_t const at = (block * Q_ROWS + row % Q_ROWS) * V_ROWS + r % V_ROWS;
        x[n] = row < known ? v_load(of->w.sum + at * LANES) : v_set(0);
    }
    v_transpose(x);
    UNROLL
    for (size_t n = 0; n < LANES; ++n) v_store(column + n * LANES, x[n]);
}

/* Rows first .. end of v, whose sums are there. */
static void add_radii(const vector *of, const segments *cut, size_t first, size_t end) {
    _Alignas(VECTOR_BYTES) real column[LANES * LANES];
    for (size_t i = 0; i < q_rows(of); i += LANES)
        for (size_t j = first; j < end; ++j) {
            if (!wanted(of->tile->shape, i, j + 1)) continue;
            turn_columns(of, i, j - first, column);
            for (size_t s = 0; s < cut->count; ++s) add_columns(of, cut, &cut->of[s], i, j, column);
        }
}

static double *squares_of(const vector *of, kind k, size_t segment) {
    return of->w.row_sum + (k * LANES + segment) * rows_of(of->tile->shape);
}

static void clear_squares(const vector *of, const segments *cut) {
    for (kind k = 0; k < N_KIND; ++k)
        for (size_t s = 0; s < cut->count; ++s) {
            double *const row = squares_of(of, k, s);
            for (size_t i = 0; i < rows_of(of->tile->shape); ++i) row[i] = 0.0;
        }
}

/* What multiplies the input has v of a GRU's candidate, behind the others, in the place of its q.
 */
static double sum_of_rows(const vector *of, rs_gradient gradient, kind k, size_t segment) {
    const rs_shape *shape = of->tile->shape;
    bool const has_v =
        shape->cell == RS_GRU && (gradient == RS_WEIGHT_IH || gradient == RS_BIAS_IH);
    const double *row = squares_of(of, k, segment);
    size_t const gates = gate_rows(shape), end = has_v ? RS_GRU_N * shape->hidden : gates;
    double sum = 0.0;
    for (size_t i = 0; i < end; ++i) sum += row[i];
    for (size_t i = gates; has_v && i < q_rows(of); ++i) sum += row[i];
    return sum;
}

static void put_norms(const vector *of, const segments *cut) {
    static const kind of_gradient[RS_N_GRADIENT] = {
        [RS_WEIGHT_IH] = IH, [RS_WEIGHT_HH] = HH, [RS_BIAS_IH] = BIAS, [RS_BIAS_HH] = BIAS};
    for (size_t i = 0; i < cut->count; ++i) {
        const segment *s = &cut->of[i];
        for (rs_gradient g = 0; s->ends && g < RS_N_GRADIENT; ++g) {
            size_t const at = s->radius * RS_N_GRADIENT + g;
            int64_t const exponent = s->exponent[of_gradient[g]];
            of->tile->gradient2[at] = sum_of_rows(of, g, of_gradient[g], i);
            of->tile->gradient_exponent[at] = exponent == NOTHING ? 0 : (int32_t)exponent;
        }
    }
}

/* ---- a tile --------------------------------------------------------------------------------- */

static void add_vector(vector *of) {
    size_t const rows = (size_t)v_rows_of(of->tile->shape);
    segments cut;
    fill_rows(of);
    find_ranges(of);
    if (of->scaled) scale(of);
    find_segments(of, &cut);
    clear_squares(of, &cut);
    for (size_t first = 0; first < rows; first += GROUP_ROWS) {
        size_t const end = rows - first < GROUP_ROWS ? rows : first + GROUP_ROWS;
        multiply(of, first / V_ROWS, blocks_of(end, V_ROWS));
        add_radii(of, &cut, first, end);
    }
    put_norms(of, &cut);
}

static void add(const rs_cpu_tile *tile) {
    const rs_shape *shape = tile->shape;
    rs_block block = rs_block_deal(tile->sums, 64);
    vector of = {.tile = tile, .f = trace_of(tile).factors, .w = deal(shape, &block)};
    for (of.index = 0; of.index * LANES < tile->columns; ++of.index) {
        of.q = of.f.q + of.index * q_size(shape);
        of.v = of.f.v + of.index * v_size(shape);
        add_vector(&of);
    }
}

extern const rs_cpu_gradient RS_CPU_GRADIENT_OF(RS_KERNEL);
const rs_cpu_gradient RS_CPU_GRADIENT_OF(RS_KERNEL) = {.bytes = bytes, .add = add};
