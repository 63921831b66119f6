/* A piece of a pass on the device: sizes and arrays as the kernels see them. All paths share it.
 *
 * Rows of gates have two orders. Sums of the gates, and with them the packed weights, are
 * interleaved, so that all gates of a unit are neighbours; drives and coefficients are not: gate by
 * gate, as PyTorch has them, row g H + u for gate g of unit u. */
#ifndef RS_CUDA_PROBLEM_CUH
#define RS_CUDA_PROBLEM_CUH

#include "../engine.h"

#include <cuda_runtime.h>

/* Rows of a unit among the sums of the forward product, for cells with several gates: one for each,
 * and of a GRU a row of zeros, so that a thread's 16 bytes or four rows are a unit's. */
enum { GATED_SLOTS = 4 };

/* Coefficients of a unit that a step forward keeps for the way back: see cells.cuh. */
enum { PLAIN_KEPT = 1, LSTM_KEPT = 6, GRU_KEPT = 5 };

/* K, rows of a unit in the forward product, and coefficients of a unit and step. */
static inline size_t gates_of(const rs_shape *shape) { return rs_cell_of(shape->cell)->gates; }
static inline size_t slots_of(const rs_shape *shape) {
    return gates_of(shape) > 1 ? (size_t)GATED_SLOTS : 1;
}
static inline size_t kept_of(const rs_shape *shape) {
    return shape->cell == RS_LSTM ? LSTM_KEPT : shape->cell == RS_GRU ? GRU_KEPT : PLAIN_KEPT;
}

/* Sizes of the piece; kernels take it by value. Columns of a group: radius * batch + sample. */
struct problem {
    int groups, radii, batch, hidden, steps, warmup;
    int transient; /* of the warm-up's last steps, whose coefficients are kept too */
    int columns; /* radii * batch */
    int gates, states,
        slots; /* K, S, and rows of a unit in the forward product: 1 or GATED_SLOTS */
    int kept;  /* coefficients of a unit and step */
    rs_cell cell;
    bool raw;
    bool driven;    /* the drive has a sheet for every step, else one for all */
    bool gradients; /* of the weights: h and q are kept */

    /* Where the coefficients of a step, counted from the first of the warm-up, are kept: those that
     * nobody asks for in the first sheet, for others to write over. */
    __device__ int kept_sheet(int step) const {
        int const sheet = step - warmup + transient;
        return sheet > 0 ? sheet : 0;
    }

    /* How phi' meets delta: see gated(). */
    __device__ bool selects() const { return raw && cell == RS_RELU; }

    /* Whether phi' differs from unit to unit. */
    __device__ bool sloped() const { return cell != RS_LINEAR; }

    /* Rows of the forward product, and terms of a sum of the backward one, as they are packed. */
    __host__ __device__ int forward_rows() const { return slots * hidden; }
    __host__ __device__ int backward_terms() const { return gates * hidden; }
};

/* W0 as a product reads it: row k holds what number k of the state gives to every sum.
 *
 *     forward    [H][padded]    row k: for each unit u its gates' W_g[u][k], at slots u + g; of a
 *                               GRU, whose slots are 4, a zero behind every three
 *     backward   [K H][padded]  row K u + g: W_g[u][0 .. H)
 *
 * LSTM, forward:  | i f g o | i f g o | ..   GRU:  | r z n 0 | r z n 0 | ..   zeros up to `padded`
 *                   unit 0    unit 1                unit 0    unit 1
 */
template <typename real> struct packed_weights {
    const real *w; /* [G] of them */
    size_t stride; /* numbers from one group's to the next group's */
    int padded;    /* length of a row */

    __device__ const real *of(size_t group) const { return w + group * stride; }
};

/* Device arrays of the piece. A sample's arrays have `batch` last, so that neighbouring columns
 * read neighbouring numbers. */
template <typename real> struct arrays {
    packed_weights<real> forward_w, backward_w;
    /* Numbers from one group's array to the next group's. */
    size_t sheet_stride, drive_stride, scale_stride;
    real leak, keep;    /* A and 1 - A of a leaky cell; 0 and 0 where there is no leak */
    const real *scale;  /* [G] of [R][K] */
    const real *own;    /* [G] the loss's term at every step */
    const real *drive;  /* [G] of [warmup + T][K H][B]; one step where not driven */
    const real *inside; /* [G][H] of a GRU: the bias that is added to the candidate's product */
    const real *start[RS_MAX_STATES]; /* [G] of [H][B]: h and c before the first step */
    const real *loss;                 /* likewise */
    real *kept;    /* coefficients of every recorded step, and forward of the transient's before
                      them, row j H + u for number j of unit u: of cells with one gate phi'(a_t).
                      With gradients q_t, on the way back, in the place of the first K, and dL/du of
                      a GRU's candidate in that of the next */
    real *history; /* with gradients: h_{t-1} of every recorded step, laid out likewise, H rows */
    unsigned char *scratch; /* the path's own */
    double *norm2;          /* [G][T][S][columns] */
    int *exponent;          /* [G][T][columns] */
    unsigned *nonfinite;    /* [G][columns], NEVER until it happens */

    /* phi' of a linear cell: of all units and steps. */
    __device__ real constant_slope() const { return leak > 0 ? leak : (real)1; }
};

/* Where the coefficients, or the history, have the number of a step (from 0), group, row and
 * column: each path has a layout of its own. Columns are neighbours, in tiles of `width`. */
struct trace_strides {
    size_t step, group, tile, row; /* numbers from one to the next */
    int width;
};

static const unsigned NEVER = 0xFFFFFFFFu;

#endif
