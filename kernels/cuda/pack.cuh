/* Kernels that turn what the host sends, or the seed, into the arrays of problem.cuh. */
#ifndef RS_CUDA_PACK_CUH
#define RS_CUDA_PACK_CUH

#include "problem.cuh"

#include "../base/status.h"

/* W0 [G][K H][H] in double, for both products. */
template <typename real>
rs_status pack_weights(cudaStream_t stream, const problem &p, const double *w,
                       const packed_weights<real> &forward, const packed_weights<real> &backward);

/* [rows][columns] in double to the precision, transposed on demand. */
template <typename real>
rs_status pack_array(cudaStream_t stream, int rows, int columns, bool transpose, const double *from,
                     real *to);

/* Steps of input: from `first` on, counted from the first of the warm-up. */
struct input_steps {
    int first, count;
};

/* x_t of those steps and all samples, N(0, 1), into x [steps][B][I]: the numbers that
 * rs_drive_input draws. */
rs_status draw_input(cudaStream_t stream, const rs_shape *shape, const rs_drive *drive,
                     input_steps steps, double *x);

/* What one network's drive is made from, on the device. */
struct input_weights {
    const double *weight_ih;         /* [K H][I] of a weighted drive */
    const double *bias_ih, *bias_hh; /* [K H] */
    int inside; /* rows from here on have their bias_hh in the product: those of a GRU's candidate,
                   else K H */
};

/* u_t = N(0, sigma^2) + b of all steps and samples, [warmup + T][K H][B]. */
template <typename real>
rs_status fill_noise(cudaStream_t stream, const rs_shape *shape, input_weights w,
                     const rs_drive *drive, real *to);

/* u = b of all samples, [K H][B]: the one sheet of a drive that is zero. */
template <typename real>
rs_status fill_biases(cudaStream_t stream, const rs_shape *shape, input_weights w, real *to);

/* u_t of so many steps and all samples, [steps][K H][B], from x [steps][B][I] on the device. */
template <typename real>
rs_status fill_weighted(cudaStream_t stream, const rs_shape *shape, input_weights w, int steps,
                        const double *x, real *to);

#endif
