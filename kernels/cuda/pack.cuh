/* Kernels that turn what the host sends, or the seed, into the arrays of problem.cuh. */
#ifndef RS_CUDA_PACK_CUH
#define RS_CUDA_PACK_CUH

#include "problem.cuh"

#include "../base/status.h"
#include "../drive.h"

/* W0 [H][H] in double: rows of `padded` numbers with zeros behind, as they are and transposed. */
rs_status pack_weights(cudaStream_t stream, rs_precision precision, int hidden, int padded,
                       const double *w, void *transposed, void *rows);

/* [rows][columns] in double to the precision, transposed on demand. */
rs_status pack_array(cudaStream_t stream, rs_precision precision, int rows, int columns,
                     bool transpose, const double *from, void *to);

/* x_t of some steps and all samples, N(0, 1), into x [steps][B][I]: the numbers that rs_drive_fill
 * draws. */
rs_status draw_input(cudaStream_t stream, const rs_drive *drive, int first_step, int steps,
                     int batch, double *x);

/* u_t of some steps (noise: from the first on) and all samples, [steps][H][B]. For a weighted drive
 * `weight_ih` [H][I], `bias` [H] and `x` [steps][B][I] are on the device. */
rs_status fill_drive(cudaStream_t stream, rs_precision precision, const rs_drive *drive, int hidden,
                     int steps, int batch, const double *weight_ih, const double *bias,
                     const double *x, void *to);

#endif
