/* The product of a column's triangles and its singular values by one block, as
 * kernels/tangent/singular.h has them. */
#ifndef RS_CUDA_TRIANGLE_CUH
#define RS_CUDA_TRIANGLE_CUH

#include "../tangent/rotation.h"
#include "frame.cuh"

struct block_triangle {
    int n;
    double *u;         /* [n][n], row i at u + i n */
    double *log_scale; /* [n]; -inf for a row of zeros */
    double *factor;    /* [n] */

    __device__ double *row(int i) const { return u + (size_t)i * n; }

    /* One warp brings row i to the norm 1. */
    __device__ void normalise(int i) const {
        double *const x = row(i);
        double sum = 0.0;
        for (int j = lane_of_thread(); j < n; j += FRAME_LANES) sum = fma(x[j], x[j], sum);
        double const norm = sqrt(warp_sum(sum));
        for (int j = lane_of_thread(); norm != 0.0 && j < n; j += FRAME_LANES) x[j] /= norm;
        if (lane_of_thread() == 0) log_scale[i] += log(norm); /* -inf for zeros */
        __syncwarp();
    }

    /* ln |r_il e^(log_scale_l)| */
    __device__ double log_term(const block_frame &f, int i, int l) const {
        double const entry = fabs(f.r(i, l));
        return entry == 0.0 ? -INFINITY : log(entry) + log_scale[l];
    }

    /* Warp 0: what rows i and on are added with to make row i of the product, and its scale. */
    __device__ void make_factors(const block_frame &f, int i) const {
        double most = -INFINITY;
        for (int l = i + lane_of_thread(); l < n; l += FRAME_LANES)
            most = fmax(most, log_term(f, i, l));
        most = warp_most(most);
        for (int l = i + lane_of_thread(); l < n; l += FRAME_LANES)
            factor[l] =
                most == -INFINITY ? 0.0 : copysign(exp(log_term(f, i, l) - most), f.r(i, l));
        __syncwarp(); /* all lanes have read log_scale[i] */
        if (lane_of_thread() == 0) log_scale[i] = most;
    }

    /* Row i of the product, in its place: a thread has the same columns of all rows. */
    __device__ void add_rows(int i) const {
        for (int j = threadIdx.x; j < n; j += blockDim.x) {
            double sum = 0.0;
            for (int l = i; l < n; ++l) sum = fma(factor[l], row(l)[j], sum);
            row(i)[j] = sum;
        }
    }

    /* The frame's R times what is there. All threads of the block. */
    __device__ void multiply(const block_frame &f) const {
        for (int i = 0; i < n; ++i) {
            if (warp_of_thread() == 0) make_factors(f, i);
            __syncthreads();
            add_rows(i);
            __syncthreads();
            if (warp_of_thread() == 0) normalise(i);
        }
        __syncthreads();
    }

    /* One warp makes two rows orthogonal; whether they were not. */
    __device__ bool rotate(int i, int j) const {
        double const log_i = log_scale[i], log_j = log_scale[j];
        if (log_i == -INFINITY || log_j == -INFINITY) return false;
        int const large = log_i >= log_j ? i : j, small = i + j - large;
        double *const a = row(large), *const b = row(small);
        double sum = 0.0;
        for (int l = lane_of_thread(); l < n; l += FRAME_LANES) sum = fma(a[l], b[l], sum);
        double const dot = warp_sum(sum);
        if (rs_is_orthogonal((size_t)n, dot)) return false;
        rs_rotation const r = rs_rotation_of(dot, exp(-fabs(log_i - log_j)));
        for (int l = lane_of_thread(); l < n; l += FRAME_LANES) {
            double const x = a[l], y = b[l];
            a[l] = r.cosine * (x + r.small * y);
            b[l] = r.cosine * (y - r.slope * x);
        }
        __syncwarp();
        normalise(large);
        normalise(small);
        return true;
    }

    /* A sweep over all pairs of rows; whether this thread's warp has moved any. In each of its
     * rounds every row is in one pair: they go round in a ring but for the last one, and a pair
     * stands across it. With an odd n one row of a round has nobody to meet. */
    __device__ bool sweep() const {
        int const ring = n + n % 2 - 1;
        bool moved = false;
        for (int round = 0; round < ring; ++round) {
            for (int pair = warp_of_thread(); pair <= ring / 2; pair += warps_of_block()) {
                int const i = pair == 0 ? ring : (round + pair) % ring;
                int const j = (round + ring - pair) % ring;
                if (i < n && rotate(i, j)) moved = true;
            }
            __syncthreads();
        }
        return moved;
    }

    /* ln of the singular values into log_scale, in any order; u is lost. All threads of the block,
     * which share `moved`. */
    __device__ void singular_values(int *moved) const {
        enum { MOST_SWEEPS = 60 }; /* never met: it converges quadratically */
        for (int i = 0; i < MOST_SWEEPS; ++i) {
            if (threadIdx.x == 0) *moved = 0;
            __syncthreads();
            if (sweep() && lane_of_thread() == 0) atomicMax(moved, 1);
            __syncthreads();
            if (*moved == 0) return;
            __syncthreads(); /* all have read it */
        }
    }
};

#endif
