/* Kernels that turn what the host sends, or the seed, into the arrays of problem.cuh. */
#ifndef RS_CUDA_PACK_CUH
#define RS_CUDA_PACK_CUH

#include "problem.cuh"

#include "../base/status.h"

/* W0 [G][H][H] in double: rows of `padded` numbers with zeros behind, as they are and transposed.
 * `stride` numbers from one group's rows to the next group's. */
template <typename real>
rs_status pack_weights(cudaStream_t stream, const rs_shape *shape, int padded, size_t stride,
                       const double *w, real *transposed, real *rows);

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

/* u_t ~ N(0, sigma^2) of all steps and samples, [warmup + T][H][B]. */
template <typename real>
rs_status fill_noise(cudaStream_t stream, const rs_shape *shape, const rs_drive *drive, real *to);

/* Weights of one network's weighted drive, on the device. */
struct input_weights {
    const double *weight_ih;         /* [H][I] */
    const double *bias_ih, *bias_hh; /* [H] */
};

/* u_t of so many steps and all samples, [steps][H][B], from x [steps][B][I] on the device. */
template <typename real>
rs_status fill_weighted(cudaStream_t stream, const rs_shape *shape, input_weights w, int steps,
                        const double *x, real *to);

#endif
