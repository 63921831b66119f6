/* The product of W0, or of its transpose, with a tile's columns.
 *
 * Rows are dealt to panels, a few units each, whose product is kept in registers over all of k. A
 * panel is stored in the order in which its product reads it, column by column. Forward it holds
 * all gates of its units, side by side, so that the units can step as soon as it is done; here two
 * units i and i + 1 of an LSTM:
 *
 *     k = 0      W_i[i][0] W_f[i][0] W_g[i][0] W_o[i][0]  W_i[i+1][0] .. W_o[i+1][0]
 *     k = 1      W_i[i][1] ..                             .. W_o[i+1][1]
 *     ..
 *     k = H - 1
 *
 * Backward, a row is a unit's too, and its columns are the K H numbers q of all gates, whose sums
 * are kept apart, as each gate has its own scale; here four units:
 *
 *     gate i     W_i[0][i] .. W_i[0][i+3]
 *                ..
 *                W_i[H-1][i] .. W_i[H-1][i+3]
 *     gate f     W_f[0][i] .. W_f[0][i+3]
 *                ..
 */
#ifndef RS_CPU_PRODUCT_H
#define RS_CPU_PRODUCT_H

#include "../engine.h"
#include "simd.h"

/* ---- panels -------------------------------------------------------------------------------- */

/* How units are dealt to panels: nearly equally, none gets more than `most`. */
typedef struct panels {
    size_t units, count, most;
} panels;

static panels panels_of(size_t hidden, size_t rows_of_unit) {
    size_t const most = MAX_ROWS / rows_of_unit;
    return (panels){hidden, (hidden + most - 1) / most, most};
}

static panels forward_panels(const rs_shape *shape) {
    return panels_of(shape->hidden, rs_cell_of(shape->cell)->gates);
}

static inline panels backward_panels(const rs_shape *shape) { return panels_of(shape->hidden, 1); }

/* First unit of a panel. */
static size_t panel_start(const panels *p, size_t panel) {
    size_t const low = p->units / p->count, tall = p->units % p->count;
    return panel * low + (panel < tall ? panel : tall);
}

/* ---- products ------------------------------------------------------------------------------ */

/* z [rows][width] = panel [rows][H] times x [H][width]; of a gate at a time on the way back. */
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

#endif
