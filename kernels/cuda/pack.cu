#include "pack.cuh"

#include "check.cuh"

#include "../base/random.h"

enum { THREADS = 256 };

static dim3 blocks_for(size_t items) { return dim3((unsigned)((items + THREADS - 1) / THREADS)); }

__device__ static size_t item() { return (size_t)blockIdx.x * THREADS + threadIdx.x; }

/* ---- weights and small arrays ---------------------------------------------------------------- */

template <typename real>
__global__ void pack_weights_kernel(int groups, int hidden, int padded, size_t stride,
                                    const double *w, real *transposed, real *rows) {
    size_t const at = item(), square = (size_t)hidden * padded;
    if (at >= square * groups) return;
    size_t const group = at / square, to = group * stride + at % square;
    int const k = (int)(at % square / padded), i = (int)(at % padded);
    bool const inside = i < hidden;
    w += group * hidden * hidden;
    transposed[to] = inside ? (real)w[(size_t)i * hidden + k] : (real)0;
    rows[to] = inside ? (real)w[(size_t)k * hidden + i] : (real)0;
}

template <typename real>
rs_status pack_weights(cudaStream_t stream, const rs_shape *shape, int padded, size_t stride,
                       const double *w, real *transposed, real *rows) {
    dim3 const grid = blocks_for(shape->groups * shape->hidden * padded);
    return launch("pack_weights_kernel", pack_weights_kernel<real>, grid, dim3(THREADS), 0, stream,
                  (int)shape->groups, (int)shape->hidden, padded, stride, w, transposed, rows);
}

template <typename real>
__global__ void pack_array_kernel(int rows, int columns, bool transpose, const double *from,
                                  real *to) {
    size_t const at = item();
    if (at >= (size_t)rows * columns) return;
    size_t const row = at / columns, column = at % columns;
    to[transpose ? column * rows + row : at] = (real)from[at];
}

template <typename real>
rs_status pack_array(cudaStream_t stream, int rows, int columns, bool transpose, const double *from,
                     real *to) {
    return launch("pack_array_kernel", pack_array_kernel<real>, blocks_for((size_t)rows * columns),
                  dim3(THREADS), 0, stream, rows, columns, transpose, from, to);
}

/* ---- input ----------------------------------------------------------------------------------- */

/* A thread makes a pair of numbers, `count` to a row, for one step and one sample. */
struct pair_place {
    size_t step;
    int sample, pair;
    bool is_real;

    __device__ pair_place(int steps, int batch, int count) {
        int const pairs = (count + 1) / 2;
        size_t const at = item();
        is_real = at < (size_t)steps * batch * pairs;
        pair = (int)(at % pairs);
        sample = (int)(at / pairs % batch);
        step = at / pairs / batch;
    }
};

static dim3 blocks_for_pairs(int steps, int batch, int count) {
    return blocks_for((size_t)steps * batch * ((count + 1) / 2));
}

__global__ void draw_input_kernel(uint64_t seed, int first_sample, int input_size,
                                  input_steps steps, int batch, double *x) {
    pair_place const own(steps.count, batch, input_size);
    if (!own.is_real) return;
    double pair[2];
    rs_normal_pair(seed, RS_STREAM_INPUT, (uint32_t)(steps.first + own.step),
                   (uint32_t)(first_sample + own.sample), (uint32_t)own.pair, pair);
    double *row = x + (own.step * batch + own.sample) * input_size + 2 * own.pair;
    row[0] = pair[0];
    if (2 * own.pair + 1 < input_size) row[1] = pair[1];
}

rs_status draw_input(cudaStream_t stream, const rs_shape *shape, const rs_drive *drive,
                     input_steps steps, double *x) {
    int const size = (int)shape->input_size, batch = (int)shape->batch;
    return launch("draw_input_kernel", draw_input_kernel,
                  blocks_for_pairs(steps.count, batch, size), dim3(THREADS), 0, stream, drive->seed,
                  (int)drive->first_sample, size, steps, batch, x);
}

template <typename real>
__global__ void noise_kernel(uint64_t seed, double sigma, int first_sample, int hidden, int steps,
                             int batch, real *to) {
    pair_place const own(steps, batch, hidden);
    if (!own.is_real) return;
    double pair[2];
    rs_normal_pair(seed, RS_STREAM_NOISE, (uint32_t)own.step, (uint32_t)(first_sample + own.sample),
                   (uint32_t)own.pair, pair);
    real *sheet = to + own.step * (size_t)hidden * batch;
    for (int k = 0; k < 2 && 2 * own.pair + k < hidden; ++k)
        sheet[(size_t)(2 * own.pair + k) * batch + own.sample] = (real)(sigma * pair[k]);
}

template <typename real>
rs_status fill_noise(cudaStream_t stream, const rs_shape *shape, const rs_drive *drive, real *to) {
    int const hidden = (int)shape->hidden, batch = (int)shape->batch;
    int const steps = (int)(shape->warmup + shape->steps);
    return launch("noise_kernel", noise_kernel<real>, blocks_for_pairs(steps, batch, hidden),
                  dim3(THREADS), 0, stream, drive->seed, drive->sigma, (int)drive->first_sample,
                  hidden, steps, batch, to);
}

/* The same sums in the same order as rs_drive_fill's: the bits agree. */
template <typename real>
__global__ void weighted_kernel(int hidden, int steps, int batch, int input_size,
                                input_weights weights, const double *x, real *to) {
    size_t const at = item(), sheet = (size_t)hidden * batch;
    if (at >= sheet * steps) return;
    size_t const step = at / sheet;
    int const i = (int)(at % sheet / batch), sample = (int)(at % batch);
    const double *w = weights.weight_ih + (size_t)i * input_size;
    const double *input = x + (step * batch + sample) * input_size;
    double u = 0.0;
    for (int k = 0; k < input_size; ++k) u = fma(w[k], input[k], u);
    to[at] = (real)(u + (weights.bias_ih[i] + weights.bias_hh[i])); /* [steps][H][B] */
}

template <typename real>
rs_status fill_weighted(cudaStream_t stream, const rs_shape *shape, input_weights w, int steps,
                        const double *x, real *to) {
    int const hidden = (int)shape->hidden, batch = (int)shape->batch;
    return launch("weighted_kernel", weighted_kernel<real>,
                  blocks_for((size_t)steps * hidden * batch), dim3(THREADS), 0, stream, hidden,
                  steps, batch, (int)shape->input_size, w, x, to);
}

/* ---- both precisions ------------------------------------------------------------------------- */

#define INSTANTIATE(real)                                                                          \
    template rs_status pack_weights(cudaStream_t, const rs_shape *, int, size_t, const double *,   \
                                    real *, real *);                                               \
    template rs_status pack_array(cudaStream_t, int, int, bool, const double *, real *);           \
    template rs_status fill_noise(cudaStream_t, const rs_shape *, const rs_drive *, real *);       \
    template rs_status fill_weighted(cudaStream_t, const rs_shape *, input_weights, int,           \
                                     const double *, real *);
INSTANTIATE(float)
INSTANTIATE(double)
