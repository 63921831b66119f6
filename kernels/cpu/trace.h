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
    real *q;           /* [vectors][blocks][block_steps()][Q_ROWS][LANES]  phi' * delta */
    real *v;           /* [vectors][blocks][block_steps()][V_ROWS][LANES]  from h_0 on */
    real *largest_q;   /* [T][width] magnitudes: see v_at_least */
    real *largest_h;   /* [T][width] */
    int32_t *exponent; /* [T][width] of q; in a raw pass of the norms alone */
} factors;

typedef struct trace {
    real *state[2]; /* [H][width] h, and on the way back phi' * delta, by turns */
    real *z;        /* [MAX_ROWS][width] a panel's product */
    real *slope;    /* [T][H][width], NULL for linear */
    factors factors;
} trace;

/* Reals of a vector of columns. */
static inline uint64_t q_size(const rs_shape *shape) {
    uint64_t const steps = rs_size_mul(blocks_of(shape->hidden, Q_ROWS), block_steps(shape));
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
    trace t = {.slope = NULL};
    t.state[0] = rs_block_take(block, 1, state);
    t.state[1] = rs_block_take(block, 1, state);
    t.z = rs_block_take(block, MAX_ROWS, row);
    if (shape->cell != RS_LINEAR) t.slope = rs_block_take(block, shape->steps, state);
    if (shape->gradients) t.factors = deal_factors(shape, vectors, block);
    return t;
}

static inline trace trace_of(const rs_cpu_tile *tile) {
    rs_block block = rs_block_deal(tile->scratch, VECTOR_BYTES);
    return deal_trace(tile->shape, tile->vectors, &block);
}

#endif
