/* A piece of a pass on the device: sizes and arrays as the kernels see them. All paths share it. */
#ifndef RS_CUDA_PROBLEM_CUH
#define RS_CUDA_PROBLEM_CUH

#include "../engine.h"

#include <cuda_runtime.h>

/* Sizes of the piece; kernels take it by value. Columns of a group: radius * batch + sample. */
struct problem {
    int groups, radii, batch, hidden, steps, warmup;
    int columns; /* radii * batch */
    rs_cell cell;
    bool raw;
    bool driven;
    bool gradients; /* of the weights: h and q are kept */

    /* How phi' meets delta: see gated(). */
    __device__ bool selects() const { return raw && cell == RS_RELU; }
};

/* Device arrays of the piece. A sample's arrays have `batch` last, so that neighbouring columns
 * read neighbouring numbers. */
template <typename real> struct arrays {
    int padded; /* Hp: row length of the packed weights */
    /* Numbers from one group's array to the next group's. */
    size_t weight_stride, sheet_stride, drive_stride, scale_stride;
    const real *forward_w;  /* [G] of [H][Hp]: row k holds column k of W0, zeros behind */
    const real *backward_w; /* [G] of [H][Hp]: row i of W0, zeros behind */
    const real *scale;      /* [G] of [R] */
    const real *own;        /* [G] the loss's term at every step */
    const real *drive;      /* [G] of [warmup + T][H][B]; one step where not driven */
    const real *h0;         /* [G] of [H][B] */
    const real *loss;       /* likewise */
    real *slope;   /* phi'(a_t) of every recorded step; with gradients q_t, on the way back */
    real *history; /* with gradients: h_{t-1} of every recorded step, laid out likewise */
    unsigned char *scratch; /* the path's own */
    double *norm2;          /* [G][T][columns] */
    int *exponent;          /* [G][T][columns] */
    unsigned *nonfinite;    /* [G][columns], NEVER until it happens */
};

/* Where the slopes and the history have the number of a step (from 0), group, row and column: each
 * path has a layout of its own. Columns are neighbours, in tiles of `width`. */
struct trace_strides {
    size_t step, group, tile, row; /* numbers from one to the next */
    int width;
};

static const unsigned NEVER = 0xFFFFFFFFu;

#endif
