/* The tangents of a tile's columns, one column after the other, once its passes are done: the
 * coefficients that forward kept are those of the Jacobian too, whose transpose backward applies
 * (cells.h). With p_k = s_k W_k dh, and (dh, dc) a tangent of step t - 1,
 *
 *     tanh, relu   dh' = phi' p
 *     linear       dh' = p
 *     with a leak  dh' = A phi' p + (1 - A) dh, linear with phi' = 1
 *     lstm         dc' = f dc + I p_i + F p_f + G p_g,  dh' = A dc' + O p_o
 *     gru          dh' = z dh + N r p_n + R p_r + Z p_z
 *
 * Compiled like tile.c; RS_KERNEL_tangent is what it defines. Lanes are tangents here. A chunk of
 * them goes several steps before the next one is begun, as it stays in the first cache while W0
 * comes from the second. Each sum runs over k = 0 .. H - 1 with one fma each, and nothing is summed
 * across lanes: neither chunks nor the columns of a tile nor instruction sets that have fma change
 * a bit. Between chunks tangents are kept in double, as QR (frame.c) takes them. */
#include "../base/clock.h"
#include "../tangent/schedule.h"
#include "../tangent/singular.h"
#include "product.h"
#include "trace.h"

/* Steps that a chunk goes at most before the next one is begun. */
enum { MOST_STEPS = RS_MOST_GAP };

extern const rs_cpu_frame RS_CPU_FRAME_OF(RS_KERNEL);

/* In rs_cpu_tile.tangents; what it holds is one column's. */
typedef struct workspace {
    double *frame; /* [S H][pitch], tangents side by side */
    size_t pitch;
    double *log_r;       /* [k] */
    double *r;           /* [k][k], with singular values alone */
    void *qr;            /* rs_cpu_frame.bytes() */
    rs_triangle product; /* of the recorded steps' R's, likewise */
    real *coefficients;  /* [MOST_STEPS][H][kept_of()] */
    real *h[2];          /* [H][width] a chunk, by turns */
    real *c;             /* [H][width] dc of an LSTM */
    real *z;             /* [MAX_ROWS][width] a panel's product */
} workspace;

/* Vectors of all tangents. */
static uint64_t vectors_of(const rs_shape *shape) { return blocks_of(shape->directions, LANES); }

static uint64_t state_rows(const rs_shape *shape) {
    return rs_size_mul(rs_cell_of(shape->cell)->states, shape->hidden);
}

static workspace deal(const rs_shape *shape, rs_block *block) {
    uint64_t const k = shape->directions, rows = state_rows(shape), vectors = vectors_of(shape);
    uint64_t const row = (vectors < MAX_VECTORS ? vectors : MAX_VECTORS) * VECTOR_BYTES;
    uint64_t const pitch = rs_cpu_frame_pitch(shape->directions);
    workspace w = {.frame = rs_block_take(block, rows, rs_size_mul(pitch, sizeof(double)))};
    w.pitch = (size_t)pitch;
    w.log_r = rs_block_take(block, k, sizeof(double));
    w.qr = rs_block_take(block, 1, RS_CPU_FRAME_OF(RS_KERNEL).bytes((size_t)rows, (size_t)k));
    if (shape->n_singular > 0) {
        w.r = rs_block_take(block, k, rs_size_mul(k, sizeof(double)));
        w.product = rs_triangle_deal((size_t)k, block);
    }
    w.coefficients =
        rs_block_take(block, rs_size_mul(shape->hidden, kept_of(shape)), MOST_STEPS * sizeof(real));
    for (size_t turn = 0; turn < 2; ++turn) w.h[turn] = rs_block_take(block, shape->hidden, row);
    w.c = rs_block_take(block, rows - shape->hidden, row);
    w.z = rs_block_take(block, MAX_ROWS, row);
    return w;
}

static uint64_t bytes(const rs_shape *shape) {
    rs_block block = rs_block_measure(64);
    (void)deal(shape, &block);
    return block.used;
}

/* One column on its way. */
typedef struct column {
    const rs_cpu_tile *tile;
    size_t index;             /* in the tile */
    const real *kept;         /* of the tile: see trace */
    real scale[RS_MAX_GATES]; /* s_k */
    rs_qr_schedule schedule;
    bool finite;                /* so far */
    double *stretch, *singular; /* of the column: see rs_record */
    workspace w;
} column;

/* ---- units ---------------------------------------------------------------------------------- */

/* A panel's units: pointers to what belongs to the first one. */
typedef struct units {
    size_t count, vectors;
    const real *scale;        /* [K] */
    const real *z;            /* [count][K][width] their products */
    const real *coefficients; /* [count][kept_of()] */
    const real *before;       /* [count][width] dh */
    real *h;                  /* [count][width] dh' */
    real *c;                  /* [count][width] dc, and then dc' */
} units;

/* p of gate k of unit i, vector v. */
INLINE vreal change(const units *u, size_t gates, size_t i, size_t k, size_t v) {
    return v_set(u->scale[k]) * v_load(u->z + ((i * gates + k) * u->vectors + v) * LANES);
}

/* A raw relu passes a tangent or not, whatever it is, as on the way back. */
INLINE void step_plain(const rs_shape *shape, const units *u) {
    bool const selects = shape->raw && shape->cell == RS_RELU, leaky = shape->leak > 0;
    real const linear = leaky ? (real)shape->leak : 1;
    vreal const stay = v_set((real)(1 - shape->leak));
    for (size_t i = 0; i < u->count; ++i) {
        real const slope = shape->cell == RS_LINEAR ? linear : u->coefficients[i];
        bool const shut = selects && !(slope > 0);
        for (size_t v = 0; v < u->vectors; ++v) {
            size_t const at = (i * u->vectors + v) * LANES;
            vreal const h = shut ? v_set(0) : v_set(slope) * change(u, 1, i, 0, v);
            v_store(u->h + at, leaky ? v_fma(stay, v_load(u->before + at), h) : h);
        }
    }
}

INLINE void step_lstm(const units *u) {
    for (size_t i = 0; i < u->count; ++i) {
        const real *of = u->coefficients + i * LSTM_KEPT;
        for (size_t v = 0; v < u->vectors; ++v) {
            size_t const at = (i * u->vectors + v) * LANES;
            vreal c = v_set(of[LSTM_FORGET]) * v_load(u->c + at);
            c = v_fma(v_set(of[LSTM_I]), change(u, 4, i, RS_LSTM_I, v), c);
            c = v_fma(v_set(of[LSTM_F]), change(u, 4, i, RS_LSTM_F, v), c);
            c = v_fma(v_set(of[LSTM_G]), change(u, 4, i, RS_LSTM_G, v), c);
            vreal const h = v_set(of[LSTM_O]) * change(u, 4, i, RS_LSTM_O, v);
            v_store(u->c + at, c);
            v_store(u->h + at, v_fma(v_set(of[LSTM_A]), c, h));
        }
    }
}

INLINE void step_gru(const units *u) {
    for (size_t i = 0; i < u->count; ++i) {
        const real *of = u->coefficients + i * GRU_KEPT;
        for (size_t v = 0; v < u->vectors; ++v) {
            size_t const at = (i * u->vectors + v) * LANES;
            vreal h = v_set(of[GRU_KEEP]) * v_load(u->before + at);
            vreal const candidate = v_set(of[GRU_RESET]) * change(u, 3, i, RS_GRU_N, v);
            h = v_fma(v_set(of[GRU_N]), candidate, h);
            h = v_fma(v_set(of[GRU_R]), change(u, 3, i, RS_GRU_R, v), h);
            h = v_fma(v_set(of[GRU_Z]), change(u, 3, i, RS_GRU_Z, v), h);
            v_store(u->h + at, h);
        }
    }
}

static void step_units(const rs_shape *shape, const units *u) {
    switch (shape->cell) {
    case RS_LSTM: step_lstm(u); return;
    case RS_GRU: step_gru(u); return;
    default: step_plain(shape, u); return;
    }
}

/* ---- a chunk -------------------------------------------------------------------------------- */

/* Takes a chunk one step along, panel by panel: dh in `in` to dh' in `out`. */
static void carry_step(const column *of, size_t vectors, const real *coefficients, const real *in,
                       real *out) {
    const rs_shape *shape = of->tile->shape;
    size_t const hidden = shape->hidden, gates = rs_cell_of(shape->cell)->gates;
    size_t const width = vectors * LANES;
    panels const all = forward_panels(shape);
    for (size_t p = 0, first = 0; first < hidden; ++p) {
        size_t const end = panel_start(&all, p + 1), count = end - first;
        const real *panel = (const real *)of->tile->forward_w + first * gates * hidden;
        real *const h = out + first * width;
        products[vectors - 1][gates * count - 1](hidden, panel, in, of->w.z);
        units const u = {.count = count,
                         .vectors = vectors,
                         .scale = of->scale,
                         .z = of->w.z,
                         .coefficients = coefficients + first * kept_of(shape),
                         .before = in + first * width,
                         .h = h,
                         .c = of->w.c + (shape->cell == RS_LSTM ? first * width : 0)};
        step_units(shape, &u);
        first = end;
    }
}

/* H rows of the frame, vectors first .. end of their tangents, to or from an array [H][width]. */
INLINE void move_rows(const column *of, size_t first, size_t end, bool out, double *rows,
                      real *chunk) {
    size_t const width = (end - first) * LANES, pitch = of->w.pitch;
    rows += first * LANES;
    for (size_t i = 0; i < of->tile->shape->hidden; ++i)
        for (size_t j = 0; j < width; ++j) {
            if (out)
                rows[i * pitch + j] = (double)chunk[i * width + j];
            else
                chunk[i * width + j] = (real)rows[i * pitch + j];
        }
}

/* Moves vectors first .. end of the tangents, which are a chunk with dh in h. */
INLINE void move_chunk(const column *of, size_t first, size_t end, bool out, real *h) {
    const rs_shape *shape = of->tile->shape;
    move_rows(of, first, end, out, of->w.frame, h);
    if (shape->cell == RS_LSTM)
        move_rows(of, first, end, out, of->w.frame + shape->hidden * of->w.pitch, of->w.c);
}

/* Takes vectors first .. end of the tangents so many steps along. */
static void carry_chunk(const column *of, size_t first, size_t end, size_t steps) {
    size_t const size = of->tile->shape->hidden * kept_of(of->tile->shape);
    const workspace *w = &of->w;
    move_chunk(of, first, end, false, w->h[0]);
    for (size_t n = 0; n < steps; ++n)
        carry_step(of, end - first, w->coefficients + n * size, w->h[n % 2], w->h[(n + 1) % 2]);
    move_chunk(of, first, end, true, w->h[steps % 2]);
}

/* ---- a column ------------------------------------------------------------------------------- */

/* Those of the steps after `step`, side by side. */
static void copy_coefficients(const column *of, size_t step, size_t steps) {
    size_t const width = of->tile->vectors * LANES;
    size_t const size = of->tile->shape->hidden * kept_of(of->tile->shape);
    const real *from = of->kept + step * size * width + of->index;
    for (size_t i = 0; i < steps * size; ++i) of->w.coefficients[i] = from[i * width];
}

/* Takes all tangents so many steps along, in chunks of nearly equal width. */
static void carry_steps(const column *of, size_t step, size_t steps) {
    size_t const vectors = (size_t)vectors_of(of->tile->shape);
    size_t const chunks = (size_t)blocks_of(vectors, MAX_VECTORS);
    copy_coefficients(of, step, steps);
    for (size_t i = 0; i < chunks; ++i)
        carry_chunk(of, i * vectors / chunks, (i + 1) * vectors / chunks, steps);
}

/* Steps after `step` until QR is due, at most MOST_STEPS of them. */
static size_t steps_to_go(const column *of, size_t step, bool *due) {
    const rs_shape *shape = of->tile->shape;
    size_t steps = 0;
    do {
        ++steps;
        *due = rs_qr_is_due(&of->schedule, shape, shape->singular_at, step + steps);
    } while (!*due && steps < MOST_STEPS);
    return steps;
}

/* Whether the product of the Jacobians is still asked for. */
static bool keeps_product(const column *of, size_t step) {
    const rs_shape *shape = of->tile->shape;
    return step > shape->transient && of->schedule.value < shape->n_singular;
}

static void add_product(const column *of, size_t step) {
    const rs_shape *shape = of->tile->shape;
    size_t const value = of->schedule.value;
    rs_triangle product = of->w.product;
    rs_triangle_multiply(of->w.r, &product);
    if (step - shape->transient == shape->singular_at[value])
        rs_triangle_singular_values(&product, of->singular + value * shape->directions);
}

/* QR after `step`, and what it tells. */
static void make_orthonormal(column *of, size_t step) {
    const rs_shape *shape = of->tile->shape;
    size_t const k = shape->directions;
    const double *log_r = of->w.log_r;
    bool const multiplies = keeps_product(of, step);
    RS_CPU_FRAME_OF(RS_KERNEL).orthonormalise((size_t)state_rows(shape), k, of->w.frame,
                                              of->w.log_r, multiplies ? of->w.r : NULL, of->w.qr);
    double least = log_r[0], most = log_r[0];
    for (size_t i = 0; i < k; ++i) {
        least = fmin(least, log_r[i]);
        most = fmax(most, log_r[i]);
        of->finite = of->finite && !isnan(log_r[i]);
    }
    double *const stretch = of->stretch + of->schedule.block * k;
    for (size_t i = 0; step > shape->transient && i < k; ++i) stretch[i] += log_r[i];
    if (multiplies && of->finite) add_product(of, step);
    rs_qr_note(&of->schedule, shape, shape->singular_at, step, least, most);
}

static column begin(const rs_cpu_tile *tile, size_t index) {
    const rs_shape *shape = tile->shape;
    size_t const rows = (size_t)state_rows(shape), k = shape->directions;
    rs_block block = rs_block_deal(tile->tangents, 64);
    column of = {.tile = tile,
                 .index = index,
                 .kept = trace_of(tile).kept,
                 .schedule = rs_qr_begin(shape),
                 .finite = tile->nonfinite_step[index] == 0,
                 .stretch = tile->stretch + index * RS_STRETCH_BLOCKS * k,
                 .w = deal(shape, &block)};
    for (size_t gate = 0; gate < rs_cell_of(shape->cell)->gates; ++gate)
        of.scale[gate] = ((const real *)tile->scale)[gate * tile->vectors * LANES + index];
    memset(of.stretch, 0, RS_STRETCH_BLOCKS * k * sizeof *of.stretch);
    memset(of.w.frame, 0, rows * of.w.pitch * sizeof *of.w.frame);
    for (size_t j = 0; j < k; ++j) of.w.frame[j * of.w.pitch + j] = 1.0;
    if (shape->n_singular == 0) return of;
    of.singular = tile->singular + index * shape->n_singular * k;
    rs_triangle_identity(&of.w.product);
    return of;
}

/* ---- slopes --------------------------------------------------------------------------------- */

/* Numbers of at most 1 multiply until their product is below this: of those that are not below it
 * themselves, no product leaves the range of double. */
static double const SMALL = 0x1p-500;

/* Sum of the logarithms of slopes [count], `stride` apart: one logarithm for many of them. */
static double sum_of_logs(const real *slope, size_t count, size_t stride) {
    double sum = 0.0, product = 1.0;
    for (size_t i = 0; i < count; ++i) {
        double const x = (double)slope[i * stride];
        if (x < SMALL) {
            sum += log(x);
            continue;
        }
        product *= x;
        if (product >= SMALL) continue;
        sum += log(product);
        product = 1.0;
    }
    return sum + log(product);
}

/* Mean of ln phi' over the recorded steps and units. */
static double log_slope(const column *of) {
    const rs_shape *shape = of->tile->shape;
    size_t const width = of->tile->vectors * LANES, slopes = shape->steps * shape->hidden;
    if (!rs_has_slopes(shape)) return NAN;
    if (shape->cell == RS_LINEAR) return 0.0;
    const real *from = of->kept + shape->transient * shape->hidden * width + of->index;
    return sum_of_logs(from, slopes, width) / (double)slopes;
}

/* ---- the table ------------------------------------------------------------------------------ */

static void fill(double *to, size_t count, double x) {
    for (size_t i = 0; i < count; ++i) to[i] = x;
}

static void record(const column *of) {
    const rs_shape *shape = of->tile->shape;
    size_t const k = shape->directions;
    of->tile->qr_gap[of->index] = (uint32_t)of->schedule.most;
    of->tile->log_slope[of->index] = of->finite ? log_slope(of) : NAN;
    if (of->finite) return;
    fill(of->stretch, rs_stretch_blocks(shape->steps) * k, NAN);
    fill(of->singular, shape->n_singular * k, NAN);
}

static void carry(const rs_cpu_tile *tile, size_t index, rs_cpu_tangent_seconds *seconds) {
    const rs_shape *shape = tile->shape;
    size_t const end = shape->transient + shape->steps;
    double before = rs_seconds();
    column of = begin(tile, index);
    for (size_t step = 0; step < end;) {
        bool due;
        size_t const steps = steps_to_go(&of, step, &due);
        carry_steps(&of, step, steps);
        step += steps;
        if (!due) continue;
        double const carried = rs_seconds();
        seconds->carrying += carried - before;
        make_orthonormal(&of, step);
        before = rs_seconds();
        seconds->qr += before - carried;
    }
    record(&of);
    seconds->carrying += rs_seconds() - before;
}

extern const rs_cpu_tangent RS_CPU_TANGENT_OF(RS_KERNEL);
const rs_cpu_tangent RS_CPU_TANGENT_OF(RS_KERNEL) = {
    .bytes = bytes, .carry = carry, .frame = &RS_CPU_FRAME_OF(RS_KERNEL)};
