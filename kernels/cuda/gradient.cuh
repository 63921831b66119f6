/* The norms of the weights' gradients, from what the passes of any path have kept of the recorded
 * steps: with q = dL/dp and v = dL/du of all gates, which differ in a GRU's candidate alone,
 *
 *     dL/dW_hh = sum q_t h_{t-1}^T,   dL/dweight_ih = sum v_t x_t^T,
 *     dL/dbias_hh = sum q_t,          dL/dbias_ih = sum v_t
 *
 * over the steps and samples of a radius, in that order: the samples of a step one after the other.
 * Terms are scaled by exact powers of two, so that a radius' largest one is about 1. */
#ifndef RS_CUDA_GRADIENT_CUH
#define RS_CUDA_GRADIENT_CUH

#include "path.cuh"

#include "../base/block.h"

/* A sum of squares times 2^(2 exponent). */
struct scaled_square {
    double sum;
    int exponent;
};

/* Device arrays of a piece. Those of the input are empty without a weighted drive, those of v where
 * it is q. */
template <typename real> struct gradient_arrays {
    real *input;                           /* [G][T][I][B] x of the recorded steps */
    int *q_size;                           /* [G][T][columns] magnitude of q_t's largest number */
    int *v_size;                           /* [G][T][columns] likewise of v_t, */
    int *state_size;                       /* [G][T][columns] of h_{t-1}, */
    int *input_size;                       /* [G][T][B] and of x_t */
    int *largest[RS_N_GRADIENT];           /* [G][R] magnitude of a radius' largest term */
    scaled_square *partial[RS_N_GRADIENT]; /* [G][parts][R] of parts of the sums */
    double *norm2;                         /* [G][R][RS_N_GRADIENT] */
    int *exponent;                         /* [G][R][RS_N_GRADIENT] */
};

/* Measures or deals them. */
template <typename real>
gradient_arrays<real> gradient_deal(const rs_shape *shape, rs_block *block);

/* Takes x of so many steps, from recorded step `first` on and [steps][B][I] in double. */
template <typename real>
rs_status gradient_keep_input(cudaStream_t stream, const rs_shape *shape, int first, int steps,
                              const double *x, real *input);

/* Queues the norms on the stream, behind both passes. */
template <typename real>
rs_status gradient_run(cudaStream_t stream, const rs_shape *shape, const arrays<real> &a,
                       const trace_strides &kept, const trace_strides &history,
                       const gradient_arrays<real> &g);

#endif
