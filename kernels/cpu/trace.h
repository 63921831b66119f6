/* What the passes of a tile leave behind for each other and for the gradients, in its scratch
 * memory. */
#ifndef RS_CPU_TRACE_H
#define RS_CPU_TRACE_H

#include "../base/block.h"
#include "kernel.h"
#include "simd.h"

/* Rows of q and of v whose products fit in the registers: see gradient.c. */
#if defined(__AVX512F__) || defined(__aarch64__)
enum { Q_ROWS = 4, V_ROWS = 6 };
#else
enum { Q_ROWS = 2, V_ROWS = 4 };
#endif

/* Rows of q = dL/dp: K H, and behind them H of dL/du of a GRU's candidate, where it differs. */
static inline uint64_t q_rows_of(const rs_shape *shape) {
    return rs_size_add(gate_rows(shape), shape->cell == RS_GRU ? shape->hidden : 0);
}

/* Coefficients of the backward pass, and of tangents, that forward keeps of each unit and step: see
 * cells.h. */
enum { LSTM_A, LSTM_I, LSTM_F, LSTM_G, LSTM_O, LSTM_FORGET, LSTM_KEPT };
enum { GRU_N, GRU_R, GRU_Z, GRU_RESET, GRU_KEEP, GRU_KEPT };

static inline size_t kept_of(const rs_shape *shape) {
    switch (shape->cell) {
    case RS_LSTM: return LSTM_KEPT;
    case RS_GRU: return GRU_KEPT;
    case RS_LINEAR: return 0;
    default: return 1;
    }
}

/* A row of the product's other factor: the states, the input and a one for the biases. */
static inline uint64_t v_rows_of(const rs_shape *shape) {
    return rs_size_add(rs_size_add(shape->hidden, shape->input_size), 1);
}

/* Blocks of `size` that hold so many rows. */
static inline uint64_t blocks_of(uint64_t rows, uint64_t size) {
    return rows / size + (rows % size != 0);
}

/* Steps from a block to the next: odd, for a power of two would put all of them in a few sets of
 * the caches. */
static inline size_t block_steps(const rs_shape *shape) { return shape->steps | 1; }

/* The factors of the weights' gradients, copied while they are in the cache. A vector of columns
 * has them block by block, and in a block step by step. Zeros fill up the last block of q; of v, h
 * alone is there. */
typedef struct factors {
    real *q;           /* [vectors][blocks][block_steps()][Q_ROWS][LANES] */
    real *v;           /* [vectors][blocks][block_steps()][V_ROWS][LANES]  from h_0 on */
    real *largest_q;   /* [T][width] magnitudes: see v_at_least */
    real *largest_h;   /* [T][width] */
    int32_t *exponent; /* [T][width] of q; in a raw pass of the norms alone */
} factors;

typedef struct trace {
    real *h[2];  /* [H][width] by turns */
    real *q[2];  /* [q_rows_of()][width] by turns, not scaled by s; lies where h does */
    real *carry; /* [H][width] c of an LSTM; on the way back dL/dc, or of other cells what reaches
                    h_{t-1} by other ways than the product */
    real *z;     /* [K][MAX_ROWS][width] a panel's product */
    real *kept;  /* [transient + T][H][kept_of()][width] coefficients */
    factors factors;
} trace;

/* Reals of a vector of columns. */
static inline uint64_t q_size(const rs_shape *shape) {
    uint64_t const steps = rs_size_mul(blocks_of(q_rows_of(shape), Q_ROWS), block_steps(shape));
    return rs_size_mul(steps, Q_ROWS * LANES);
}

static inline uint64_t v_size(const rs_shape *shape) {
    uint64_t const steps = rs_size_mul(blocks_of(v_rows_of(shape), V_ROWS), block_steps(shape));
    return rs_size_mul(steps, V_ROWS * LANES);
}

static inline factors deal_factors(const rs_shape *shape, size_t vectors, rs_block *block) {
    uint64_t const reals = vectors * sizeof(real), width = vectors * LANES;
    factors f;
    f.q = rs_block_take(block, q_size(shape), reals);
    f.v = rs_block_take(block, v_size(shape), reals);
    f.largest_q = rs_block_take(block, shape->steps, width * sizeof(real));
    f.largest_h = rs_block_take(block, shape->steps, width * sizeof(real));
    f.exponent = rs_block_take(block, shape->steps, width * sizeof *f.exponent);
    return f;
}

static inline trace deal_trace(const rs_shape *shape, size_t vectors, rs_block *block) {
    uint64_t const row = vectors * VECTOR_BYTES, state = rs_size_mul(shape->hidden, row);
    trace t = {.kept = NULL};
    for (size_t turn = 0; turn < 2; ++turn)
        t.h[turn] = t.q[turn] = rs_block_take(block, q_rows_of(shape), row);
    t.carry = rs_block_take(block, 1, state);
    t.z = rs_block_take(block, RS_MAX_GATES * MAX_ROWS, row);
    t.kept = rs_block_take(block, rs_size_add(shape->transient, shape->steps),
                           rs_size_mul(kept_of(shape), state));
    if (shape->gradients) t.factors = deal_factors(shape, vectors, block);
    return t;
}

static inline trace trace_of(const rs_cpu_tile *tile) {
    rs_block block = rs_block_deal(tile->scratch, VECTOR_BYTES);
    return deal_trace(tile->shape, tile->vectors, &block);
}

#endif
