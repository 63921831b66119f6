/* QR of one frame by one block, in double: the tangents of a column made orthonormal, as
 * kernels/tangent/frame.h has it. Householder's reflections, a tangent at a time (LAPACK's dgeqr2
 * and dorg2r do the same): warp 0 makes one, then each warp applies it to tangents of its own. A
 * sum runs over the lanes of one warp, so that bits do not depend on how many warps there are.
 *
 *     frame [k][rows], in global memory: tangent j at frame + j rows
 *
 *         tangent    0     1     2               R_ij above the diagonal and on it
 *         row 0    R_00  R_01  R_02              v_j below it, whose first number is 1, with
 *         row 1    v_0   R_11  R_12              reflection j = 1 - tau_j v_j v_j^T
 *         row 2    v_0   v_1   R_22
 *         row 3    v_0   v_1   v_2
 */
#ifndef RS_CUDA_FRAME_CUH
#define RS_CUDA_FRAME_CUH

#include <cuda_runtime.h>
#include <math.h>

/* Threads of a block are whole warps. */
enum { FRAME_LANES = 32 };

__device__ static int lane_of_thread() { return (int)threadIdx.x % FRAME_LANES; }
__device__ static int warp_of_thread() { return (int)threadIdx.x / FRAME_LANES; }
__device__ static int warps_of_block() { return (int)blockDim.x / FRAME_LANES; }

/* All lanes have the same bits: each adds the same two numbers, in one order or the other. */
__device__ static double warp_sum(double x) {
#pragma unroll
    for (int lanes = FRAME_LANES / 2; lanes > 0; lanes /= 2)
        x += __shfl_xor_sync(0xFFFFFFFFu, x, lanes);
    return x;
}
__device__ static double warp_most(double x) {
#pragma unroll
    for (int lanes = FRAME_LANES / 2; lanes > 0; lanes /= 2)
        x = fmax(x, __shfl_xor_sync(0xFFFFFFFFu, x, lanes));
    return x;
}

struct block_frame {
    int rows, k;
    double *q;    /* [k][rows] */
    double *tau;  /* [k] */
    double *sign; /* [k] of R_ii, once triangle() is through */

    __device__ double *tangent(int j) const { return q + (size_t)j * rows; }

    /* R_ij with a positive diagonal, for i <= j and between triangle() and orthonormal(). */
    __device__ double r(int i, int j) const { return sign[i] * tangent(j)[i]; }

    /* Warp 0: reflection j in the place of the tangent it is made from, and tau_j. Numbers are
     * scaled by a power of two, so that no square leaves double's range. */
    __device__ void make_reflection(int j) const {
        double *const a = tangent(j);
        int const lane = lane_of_thread();
        double most = 0.0, sum = 0.0;
        for (int i = j + 1 + lane; i < rows; i += FRAME_LANES) most = fmax(most, fabs(a[i]));
        most = warp_most(most);
        if (most == 0.0) { /* nothing to reflect */
            if (lane == 0) tau[j] = 0.0;
            return;
        }
        int const exponent = ilogb(fmax(most, fabs(a[j])));
        double const first = ldexp(a[j], -exponent);
        for (int i = j + 1 + lane; i < rows; i += FRAME_LANES) {
            double const x = ldexp(a[i], -exponent);
            sum = fma(x, x, sum);
        }
        double const beta = -copysign(sqrt(fma(first, first, warp_sum(sum))), first);
        for (int i = j + 1 + lane; i < rows; i += FRAME_LANES)
            a[i] = ldexp(a[i], -exponent) / (first - beta);
        if (lane == 0) {
            tau[j] = (beta - first) / beta;
            a[j] = ldexp(beta, exponent);
        }
    }

    /* One warp: reflection j on x [rows]. */
    __device__ void reflect(int j, double *x) const {
        const double *v = tangent(j);
        int const lane = lane_of_thread();
        double sum = 0.0;
        for (int i = j + 1 + lane; i < rows; i += FRAME_LANES) sum = fma(v[i], x[i], sum);
        double const along = tau[j] * (x[j] + warp_sum(sum));
        __syncwarp(); /* all lanes have read x[j] */
        if (lane == 0) x[j] -= along;
        for (int i = j + 1 + lane; i < rows; i += FRAME_LANES) x[i] = fma(-along, v[i], x[i]);
        __syncwarp();
    }

    __device__ void reflect_those_after(int j) const {
        for (int l = j + 1 + warp_of_thread(); l < k; l += warps_of_block()) reflect(j, tangent(l));
        __syncthreads();
    }

    /* R and the reflections in the place of the tangents, and ln R_ii. All threads of the block. */
    __device__ void triangle(double *log_r) const {
        for (int j = 0; j < k; ++j) {
            if (warp_of_thread() == 0) make_reflection(j);
            __syncthreads();
            reflect_those_after(j);
        }
        for (int i = threadIdx.x; i < k; i += blockDim.x) {
            double const diagonal = tangent(i)[i];
            sign[i] = diagonal < 0.0 ? -1.0 : 1.0;
            log_r[i] = log(fabs(diagonal));
        }
        __syncthreads();
    }

    /* Warp 0: tangent j of Q, which no other reflection but those before j is still to meet. */
    __device__ void start_orthonormal(int j) const {
        double *const a = tangent(j);
        int const lane = lane_of_thread();
        for (int i = lane; i < j; i += FRAME_LANES) a[i] = 0.0;
        for (int i = j + 1 + lane; i < rows; i += FRAME_LANES) a[i] *= -tau[j];
        if (lane == 0) a[j] = 1.0 - tau[j];
    }

    /* Q, but for its signs, in the place of R and the reflections. All threads of the block. */
    __device__ void orthonormal() const {
        for (int j = k - 1; j >= 0; --j) {
            reflect_those_after(j);
            if (warp_of_thread() == 0) start_orthonormal(j);
            __syncthreads();
        }
    }
};

#endif
