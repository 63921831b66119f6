/* What units do with their products, forward and back, for all columns of a tile: cell.h has the
 * formulas.
 *
 * Backward is linear in delta. Forward keeps its coefficients, those of a unit side by side, so
 * that no function is evaluated on the way back. With dh = dL/dh_t, dc = dL/dc_t, sigma' and
 * sech^2 the slopes, and "carried" for what goes to step t - 1 by other ways than the product:
 *
 *     tanh, relu   phi'                    q = phi' dh
 *     linear       nothing                 q = dh
 *     with a leak  A phi'                  likewise, linear q = A dh; carried (1 - A) dh
 *
 *     lstm   A = o sech^2(c_t)             total = dc + A dh
 *            I = g sigma'_i                q_i = I total
 *            F = c_{t-1} sigma'_f          q_f = F total
 *            G = i sech^2(a_g)             q_g = G total
 *            O = tanh(c_t) sigma'_o        q_o = O dh
 *            f                             carried f total, which is dL/dc_{t-1}
 *
 *     gru    N = (1 - z) sech^2(a_n)       v_n = N dh
 *            R = N p_n sigma'_r            q_r = R dh
 *            Z = (h_{t-1} - n) sigma'_z    q_z = Z dh
 *            r                             q_n = r v_n
 *            z                             carried z dh
 */
#ifndef RS_CPU_CELLS_H
#define RS_CPU_CELLS_H

#include "range.h"
#include "sigmoid.h"

/* ---- functions of a row -------------------------------------------------------------------- */

/* In a raw pass by the usual formula, for what plain training would see. */
INLINE void squash(bool raw, size_t vectors, const vreal *a, vreal *h, vreal *slope) {
    v_tanh(vectors, a, h, slope);
    if (raw) EACH(vectors) slope[v] = v_set(1) - h[v] * h[v];
}

INLINE void gate(bool raw, size_t vectors, const vreal *a, vreal *open, vreal *shut, vreal *slope) {
    v_sigmoid(vectors, a, open, shut, slope);
    if (raw) EACH(vectors) {
            shut[v] = v_set(1) - open[v];
            slope[v] = open[v] * shut[v];
        }
}

/* NaN goes through: it is neither below nor at most 0. In a raw pass its slope is 1. */
INLINE void rectify(bool raw, size_t vectors, const vreal *a, vreal *h, vreal *slope) {
    vreal const zero = v_set(0), one = v_set(1);
    EACH(vectors) {
        h[v] = v_select((vint)(a[v] < zero), zero, a[v]);
        vreal const above = raw ? one : v_select((vint)(a[v] > zero), one, a[v]);
        slope[v] = v_select((vint)(a[v] <= zero), zero, above);
    }
}

/* h = phi(a) and slope = phi'(a). */
INLINE void activate(rs_cell cell, bool raw, size_t vectors, const vreal *a, vreal *h,
                     vreal *slope) {
    switch (cell) {
    case RS_TANH: squash(raw, vectors, a, h, slope); return;
    case RS_RELU: rectify(raw, vectors, a, h, slope); return;
    default:
        EACH(vectors) {
            h[v] = a[v];
            slope[v] = v_set(1);
        }
        return;
    }
}

INLINE void load_row(size_t vectors, const real *from, vreal *to) {
    EACH(vectors) to[v] = v_load(from + v * LANES);
}

INLINE void store_row(size_t vectors, const vreal *from, real *to) {
    EACH(vectors) v_store(to + v * LANES, from[v]);
}

/* s of each gate. */
INLINE void load_scales(size_t gates, size_t vectors, const real *from,
                        vreal (*scale)[MAX_VECTORS]) {
    UNROLL
    for (size_t k = 0; k < gates; ++k) load_row(vectors, from + k * vectors * LANES, scale[k]);
}

/* ---- forward ------------------------------------------------------------------------------- */

/* A panel's units: pointers to what belongs to the first one. */
typedef struct forward_units {
    size_t count;
    const real *z;      /* [count][K][width] their products */
    const real *drive;  /* [K][H][period] */
    const real *bias;   /* [H] of a GRU's candidate */
    const real *before; /* [count][width] h_{t-1} */
    real *h;            /* [count][width] */
    real *c;            /* [count][width] */
    real *kept;         /* [count][kept_of()][width] */
} forward_units;

/* The drive of gate k of unit i. */
INLINE void load_drive(size_t vectors, const rs_cpu_tile *tile, const forward_units *u, size_t i,
                       size_t k, vreal *drive) {
    const real *row = u->drive + (k * tile->shape->hidden + i) * tile->period;
    EACH(vectors) drive[v] = v_load_unaligned(row + tile->sample[v]);
}

/* a = s z + u of gate k of unit i. */
INLINE void gate_sum(size_t gates, size_t vectors, const rs_cpu_tile *tile, const forward_units *u,
                     size_t i, size_t k, vreal (*scale)[MAX_VECTORS], vreal *a) {
    const real *z = u->z + (i * gates + k) * vectors * LANES;
    load_drive(vectors, tile, u, i, k, a);
    EACH(vectors) a[v] = v_fma(scale[k][v], v_load(z + v * LANES), a[v]);
}

/* Adds 0 * x to bad: it turns NaN where x is not finite. */
INLINE void note_bad(size_t vectors, const vreal *x, vreal *bad) {
    EACH(vectors) bad[v] = v_fma(x[v], v_set(0), bad[v]);
}

INLINE void forward_plain(rs_cell cell, bool raw, bool leaky, size_t vectors,
                          const rs_cpu_tile *tile, const forward_units *u, vreal *bad) {
    size_t const width = vectors * LANES;
    vreal const leak = v_set((real)tile->shape->leak), stay = v_set((real)(1 - tile->shape->leak));
    vreal scale[1][MAX_VECTORS];
    load_scales(1, vectors, tile->scale, scale);
    for (size_t i = 0; i < u->count; ++i) {
        vreal a[MAX_VECTORS], h[MAX_VECTORS], slope[MAX_VECTORS];
        gate_sum(1, vectors, tile, u, i, 0, scale, a);
        activate(cell, raw, vectors, a, h, slope);
        if (leaky) EACH(vectors) {
                vreal const before = v_load(u->before + i * width + v * LANES);
                h[v] = v_fma(stay, before, leak * h[v]);
                slope[v] = leak * slope[v];
            }
        store_row(vectors, h, u->h + i * width);
        if (cell != RS_LINEAR) store_row(vectors, slope, u->kept + i * width);
        note_bad(vectors, h, bad);
    }
}

INLINE void forward_lstm(bool raw, size_t vectors, const rs_cpu_tile *tile, const forward_units *u,
                         vreal *bad) {
    size_t const width = vectors * LANES;
    vreal scale[RS_MAX_GATES][MAX_VECTORS];
    load_scales(4, vectors, tile->scale, scale);
    for (size_t i = 0; i < u->count; ++i) {
        real *kept = u->kept + i * LSTM_KEPT * width;
        vreal a[MAX_VECTORS], x[MAX_VECTORS], open[MAX_VECTORS], shut[MAX_VECTORS];
        vreal slope[MAX_VECTORS], x_slope[MAX_VECTORS], c[MAX_VECTORS], before[MAX_VECTORS];
        gate_sum(4, vectors, tile, u, i, RS_LSTM_G, scale, a);
        squash(raw, vectors, a, x, x_slope);
        gate_sum(4, vectors, tile, u, i, RS_LSTM_I, scale, a);
        gate(raw, vectors, a, open, shut, slope);
        EACH(vectors) {
            v_store(kept + LSTM_I * width + v * LANES, x[v] * slope[v]);
            v_store(kept + LSTM_G * width + v * LANES, open[v] * x_slope[v]);
            c[v] = open[v] * x[v];
        }
        gate_sum(4, vectors, tile, u, i, RS_LSTM_F, scale, a);
        gate(raw, vectors, a, open, shut, slope);
        load_row(vectors, u->c + i * width, before);
        EACH(vectors) {
            v_store(kept + LSTM_F * width + v * LANES, before[v] * slope[v]);
            v_store(kept + LSTM_FORGET * width + v * LANES, open[v]);
            c[v] = v_fma(open[v], before[v], c[v]);
        }
        store_row(vectors, c, u->c + i * width);
        gate_sum(4, vectors, tile, u, i, RS_LSTM_O, scale, a);
        gate(raw, vectors, a, open, shut, slope);
        squash(raw, vectors, c, x, x_slope);
        EACH(vectors) {
            v_store(kept + LSTM_A * width + v * LANES, open[v] * x_slope[v]);
            v_store(kept + LSTM_O * width + v * LANES, x[v] * slope[v]);
            v_store(u->h + i * width + v * LANES, open[v] * x[v]);
            a[v] = open[v] * x[v];
        }
        note_bad(vectors, a, bad);
        note_bad(vectors, c, bad);
    }
}

INLINE void forward_gru(bool raw, size_t vectors, const rs_cpu_tile *tile, const forward_units *u,
                        vreal *bad) {
    size_t const width = vectors * LANES;
    vreal scale[RS_MAX_GATES][MAX_VECTORS];
    load_scales(3, vectors, tile->scale, scale);
    for (size_t i = 0; i < u->count; ++i) {
        const real *z = u->z + (i * 3 + RS_GRU_N) * width;
        real *kept = u->kept + i * GRU_KEPT * width;
        vreal a[MAX_VECTORS], open[MAX_VECTORS], shut[MAX_VECTORS], slope[MAX_VECTORS];
        vreal p[MAX_VECTORS], n[MAX_VECTORS], n_slope[MAX_VECTORS];
        gate_sum(3, vectors, tile, u, i, RS_GRU_R, scale, a);
        gate(raw, vectors, a, open, shut, slope);
        load_drive(vectors, tile, u, i, RS_GRU_N, a);
        EACH(vectors) {
            p[v] = v_fma(scale[RS_GRU_N][v], v_load(z + v * LANES), v_set(u->bias[i]));
            a[v] = v_fma(open[v], p[v], a[v]);
            v_store(kept + GRU_RESET * width + v * LANES, open[v]);
            p[v] = p[v] * slope[v];
        }
        squash(raw, vectors, a, n, n_slope);
        gate_sum(3, vectors, tile, u, i, RS_GRU_Z, scale, a);
        gate(raw, vectors, a, open, shut, slope);
        EACH(vectors) {
            vreal const before = v_load(u->before + i * width + v * LANES);
            vreal const candidate = shut[v] * n_slope[v];
            v_store(kept + GRU_N * width + v * LANES, candidate);
            v_store(kept + GRU_R * width + v * LANES, candidate * p[v]);
            v_store(kept + GRU_Z * width + v * LANES, (before - n[v]) * slope[v]);
            v_store(kept + GRU_KEEP * width + v * LANES, open[v]);
            a[v] = v_fma(open[v], before, shut[v] * n[v]);
        }
        store_row(vectors, a, u->h + i * width);
        note_bad(vectors, a, bad);
    }
}

/* ---- backward ------------------------------------------------------------------------------ */

/* A panel's units, likewise. */
typedef struct backward_units {
    size_t count;
    const real *scale; /* [K][width] */
    const real *z;     /* [K][count][width] what each gate's product brings to dL/dh */
    const real *kept;  /* [count][kept_of()][width] */
    real *carry;       /* [count][width] */
    real *q;           /* [q_rows_of()][width] */
} backward_units;

/* Adds what the products bring to unit i. */
INLINE void add_products(size_t gates, size_t vectors, const backward_units *u, size_t i,
                         vreal (*scale)[MAX_VECTORS], vreal *delta) {
    UNROLL
    for (size_t k = 0; k < gates; ++k) {
        const real *z = u->z + (k * u->count + i) * vectors * LANES;
        EACH(vectors) delta[v] = v_fma(scale[k][v], v_load(z + v * LANES), delta[v]);
    }
}

/* The loss's own term and the sums of squares, to be kept in registers. */
INLINE void copy_range(size_t states, size_t vectors, const ranges *from, ranges *to) {
    EACH(vectors) to->own[v] = from->own[v];
    UNROLL
    for (size_t s = 0; s < states; ++s) EACH(vectors) to->norm2[s][v] = from->norm2[s][v];
}

INLINE void put_norms(size_t states, size_t vectors, const ranges *from, ranges *to) {
    UNROLL
    for (size_t s = 0; s < states; ++s) EACH(vectors) to->norm2[s][v] = from->norm2[s][v];
}

/* Reads a unit's coefficients ahead, into the second cache, for a step's may be more than the first
 * holds: the step after this one reads them from where no prefetcher looks, further down. */
INLINE void prefetch_step_before(const real *kept, size_t count, size_t vectors, size_t hidden) {
    UNROLL
    for (size_t i = 0; i < count * vectors; ++i)
        __builtin_prefetch(kept + i * LANES - hidden * count * vectors * LANES, 0, 2);
}

/* phi' delta. A raw relu passes a gradient or not, whatever it is: 0 times inf would be NaN. */
INLINE vreal passed(bool selects, vreal slope, vreal delta) {
    vreal const q = slope * delta;
    return selects ? v_select((vint)(slope > v_set(0)), q, v_set(0)) : q;
}

INLINE void backward_plain(rs_cell cell, bool raw, bool leaky, size_t vectors,
                           const rs_cpu_tile *tile, const backward_units *u, ranges *range) {
    size_t const width = vectors * LANES, hidden = tile->shape->hidden;
    vreal const leak = v_set((real)tile->shape->leak), stay = v_set((real)(1 - tile->shape->leak));
    vreal scale[1][MAX_VECTORS];
    ranges r; /* what is changed in registers */
    load_scales(1, vectors, u->scale, scale);
    copy_range(1, vectors, range, &r);
    for (size_t i = 0; i < u->count; ++i) {
        const real *kept = u->kept + i * width;
        real *carry = u->carry + i * width;
        vreal delta[MAX_VECTORS];
        EACH(vectors) delta[v] = leaky ? r.own[v] + v_load(carry + v * LANES) : r.own[v];
        add_products(1, vectors, u, i, scale, delta);
        if (cell != RS_LINEAR) prefetch_step_before(kept, 1, vectors, hidden);
        EACH(vectors) {
            add_squares(raw, delta[v], &range->norm_factor[v], &r.norm2[0][v]);
            vreal q = delta[v];
            if (cell != RS_LINEAR)
                q = passed(raw && cell == RS_RELU, v_load(kept + v * LANES), delta[v]);
            else if (leaky)
                q = leak * delta[v];
            v_store(u->q + i * width + v * LANES, q);
            if (leaky) v_store(carry + v * LANES, stay * delta[v]);
        }
    }
    put_norms(1, vectors, &r, range);
}

INLINE void backward_lstm(bool raw, size_t vectors, const rs_cpu_tile *tile,
                          const backward_units *u, ranges *range) {
    size_t const width = vectors * LANES, hidden = tile->shape->hidden;
    vreal scale[RS_MAX_GATES][MAX_VECTORS];
    ranges r;
    load_scales(4, vectors, u->scale, scale);
    copy_range(2, vectors, range, &r);
    for (size_t i = 0; i < u->count; ++i) {
        const real *kept = u->kept + i * LSTM_KEPT * width;
        real *carry = u->carry + i * width, *q = u->q + i * width;
        vreal delta[MAX_VECTORS];
        EACH(vectors) delta[v] = r.own[v];
        add_products(4, vectors, u, i, scale, delta);
        prefetch_step_before(kept, LSTM_KEPT, vectors, hidden);
        EACH(vectors) {
            const real *at = kept + v * LANES;
            vreal const dc = v_load(carry + v * LANES);
            vreal const total = v_fma(delta[v], v_load(at + LSTM_A * width), dc);
            add_squares(raw, delta[v], &range->norm_factor[v], &r.norm2[0][v]);
            add_squares(raw, dc, &range->norm_factor[v], &r.norm2[1][v]);
            real *to = q + v * LANES;
            v_store(to + RS_LSTM_I * hidden * width, total * v_load(at + LSTM_I * width));
            v_store(to + RS_LSTM_F * hidden * width, total * v_load(at + LSTM_F * width));
            v_store(to + RS_LSTM_G * hidden * width, total * v_load(at + LSTM_G * width));
            v_store(to + RS_LSTM_O * hidden * width, delta[v] * v_load(at + LSTM_O * width));
            v_store(carry + v * LANES, total * v_load(at + LSTM_FORGET * width));
        }
    }
    put_norms(2, vectors, &r, range);
}

INLINE void backward_gru(bool raw, size_t vectors, const rs_cpu_tile *tile, const backward_units *u,
                         ranges *range) {
    size_t const width = vectors * LANES, hidden = tile->shape->hidden;
    vreal scale[RS_MAX_GATES][MAX_VECTORS];
    ranges r;
    load_scales(3, vectors, u->scale, scale);
    copy_range(1, vectors, range, &r);
    for (size_t i = 0; i < u->count; ++i) {
        const real *kept = u->kept + i * GRU_KEPT * width;
        real *carry = u->carry + i * width, *q = u->q + i * width;
        vreal delta[MAX_VECTORS];
        EACH(vectors) delta[v] = r.own[v] + v_load(carry + v * LANES);
        add_products(3, vectors, u, i, scale, delta);
        prefetch_step_before(kept, GRU_KEPT, vectors, hidden);
        EACH(vectors) {
            const real *at = kept + v * LANES;
            real *to = q + v * LANES;
            vreal const candidate = delta[v] * v_load(at + GRU_N * width);
            add_squares(raw, delta[v], &range->norm_factor[v], &r.norm2[0][v]);
            v_store(to + RS_GRU_R * hidden * width, delta[v] * v_load(at + GRU_R * width));
            v_store(to + RS_GRU_Z * hidden * width, delta[v] * v_load(at + GRU_Z * width));
            v_store(to + RS_GRU_N * hidden * width, candidate * v_load(at + GRU_RESET * width));
            v_store(to + 3 * hidden * width, candidate); /* v_n, behind the rows of q */
            v_store(carry + v * LANES, delta[v] * v_load(at + GRU_KEEP * width));
        }
    }
    put_norms(1, vectors, &r, range);
}

/* ---- which cell ---------------------------------------------------------------------------- */

/* What a panel's units do. Everything that a row's loop would ask for is known when compiling, the
 * number of vectors too: there are two functions for each cell and width. */
typedef struct cell_steps {
    /* Adds to bad [vectors] 0 times every number of the new state. */
    void (*forward)(const rs_cpu_tile *tile, const forward_units *u, vreal *bad);
    /* Adds the squares of delta to those of the step, and makes q of it. */
    void (*backward)(const rs_cpu_tile *tile, const backward_units *u, ranges *range);
} cell_steps;

#define PLAIN(name, cell)                                                                          \
    INLINE void forward_##name(bool raw, size_t vectors, const rs_cpu_tile *tile,                  \
                               const forward_units *u, vreal *bad) {                               \
        if (tile->shape->leak > 0)                                                                 \
            forward_plain(cell, raw, true, vectors, tile, u, bad);                                 \
        else                                                                                       \
            forward_plain(cell, raw, false, vectors, tile, u, bad);                                \
    }                                                                                              \
    INLINE void backward_##name(bool raw, size_t vectors, const rs_cpu_tile *tile,                 \
                                const backward_units *u, ranges *range) {                          \
        if (tile->shape->leak > 0)                                                                 \
            backward_plain(cell, raw, true, vectors, tile, u, range);                              \
        else                                                                                       \
            backward_plain(cell, raw, false, vectors, tile, u, range);                             \
    }
PLAIN(tanh, RS_TANH)
PLAIN(relu, RS_RELU)
PLAIN(linear, RS_LINEAR)

#define STEPS(name, vectors)                                                                       \
    static void forward_##name##_##vectors(const rs_cpu_tile *tile, const forward_units *u,        \
                                           vreal *bad) {                                           \
        if (tile->shape->raw)                                                                      \
            forward_##name(true, vectors, tile, u, bad);                                           \
        else                                                                                       \
            forward_##name(false, vectors, tile, u, bad);                                          \
    }                                                                                              \
    static void backward_##name##_##vectors(const rs_cpu_tile *tile, const backward_units *u,      \
                                            ranges *range) {                                       \
        if (tile->shape->raw)                                                                      \
            backward_##name(true, vectors, tile, u, range);                                        \
        else                                                                                       \
            backward_##name(false, vectors, tile, u, range);                                       \
    }
#define ALL_STEPS(vectors)                                                                         \
    STEPS(tanh, vectors)                                                                           \
    STEPS(relu, vectors) STEPS(linear, vectors) STEPS(lstm, vectors) STEPS(gru, vectors)
#define STEPS_OF(name, vectors)                                                                    \
    { forward_##name##_##vectors, backward_##name##_##vectors }
#define ALL_STEPS_OF(vectors)                                                                      \
    {                                                                                              \
        [RS_TANH] = STEPS_OF(tanh, vectors), [RS_RELU] = STEPS_OF(relu, vectors),                  \
        [RS_LINEAR] = STEPS_OF(linear, vectors), [RS_LSTM] = STEPS_OF(lstm, vectors),              \
        [RS_GRU] = STEPS_OF(gru, vectors)                                                          \
    }

/* steps[vectors - 1][cell] */
ALL_STEPS(1)
ALL_STEPS(2)
#if MAX_VECTORS == 3
ALL_STEPS(3)
static const cell_steps steps[3][RS_N_CELL] = {ALL_STEPS_OF(1), ALL_STEPS_OF(2), ALL_STEPS_OF(3)};
#else
static const cell_steps steps[2][RS_N_CELL] = {ALL_STEPS_OF(1), ALL_STEPS_OF(2)};
#endif

#endif
