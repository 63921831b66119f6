#include "pack.cuh"

#include "check.cuh"

#include "../base/random.h"

enum { THREADS = 256 };

static dim3 blocks_for(size_t items) { return dim3((unsigned)((items + THREADS - 1) / THREADS)); }

__device__ static size_t item() { return (size_t)blockIdx.x * THREADS + threadIdx.x; }

/* ---- weights and small arrays ---------------------------------------------------------------- */

/* A thread for each number of a group's packed weights: see packed_weights. */
struct packed_place {
    size_t group, to;
    int row, column;
    bool is_real;

    __device__ packed_place(int groups, int rows, int padded, size_t stride) {
        size_t const at = item(), square = (size_t)rows * padded;
        is_real = at < square * groups;
        group = at / square;
        to = group * stride + at % square;
        row = (int)(at % square / padded);
        column = (int)(at % padded);
    }
};

/* Row k, and at u slots + g the number W_g[u][k]; 0 where a slot is no gate's. */
template <typename real>
__global__ void pack_columns_kernel(problem p, const double *w, packed_weights<real> packed,
                                    real *to) {
    packed_place const own(p.groups, p.hidden, packed.padded, packed.stride);
    if (!own.is_real) return;
    int const unit = own.column / p.slots, gate = own.column % p.slots;
    size_t const rows = (size_t)p.gates * p.hidden;
    w += own.group * rows * p.hidden + own.row;
    to[own.to] = unit < p.hidden && gate < p.gates
                     ? (real)w[((size_t)gate * p.hidden + unit) * p.hidden]
                     : (real)0;
}

/* Row K u + g is that of gate g and unit u. */
template <typename real>
__global__ void pack_rows_kernel(problem p, const double *w, packed_weights<real> packed,
                                 real *to) {
    packed_place const own(p.groups, p.gates * p.hidden, packed.padded, packed.stride);
    if (!own.is_real) return;
    int const unit = own.row / p.gates, gate = own.row % p.gates;
    size_t const rows = (size_t)p.gates * p.hidden;
    w += (own.group * rows + (size_t)gate * p.hidden + unit) * p.hidden;
    to[own.to] = own.column < p.hidden ? (real)w[own.column] : (real)0;
}

template <typename real>
rs_status pack_weights(cudaStream_t stream, const problem &p, const double *w,
                       const packed_weights<real> &forward, const packed_weights<real> &backward) {
    size_t const numbers = (size_t)p.groups * p.hidden;
    RS_TRY(launch("pack_columns_kernel", pack_columns_kernel<real>,
                  blocks_for(numbers * forward.padded), dim3(THREADS), 0, stream, p, w, forward,
                  (real *)forward.w));
    return launch("pack_rows_kernel", pack_rows_kernel<real>,
                  blocks_for(numbers * p.gates * backward.padded), dim3(THREADS), 0, stream, p, w,
                  backward, (real *)backward.w);
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

/* Of a row of the drive. */
__device__ static double bias_of(const input_weights &w, int row) {
    return row < w.inside ? w.bias_ih[row] + w.bias_hh[row] : w.bias_ih[row];
}

template <typename real>
__global__ void noise_kernel(uint64_t seed, double sigma, int first_sample, int rows, int steps,
                             int batch, input_weights weights, real *to) {
    pair_place const own(steps, batch, rows);
    if (!own.is_real) return;
    double pair[2];
    rs_normal_pair(seed, RS_STREAM_NOISE, (uint32_t)own.step, (uint32_t)(first_sample + own.sample),
                   (uint32_t)own.pair, pair);
    real *sheet = to + own.step * (size_t)rows * batch;
    for (int k = 0; k < 2 && 2 * own.pair + k < rows; ++k) {
        int const row = 2 * own.pair + k;
        sheet[(size_t)row * batch + own.sample] = (real)(sigma * pair[k] + bias_of(weights, row));
    }
}

static int rows_of(const rs_shape *shape) { return (int)(gates_of(shape) * shape->hidden); }

template <typename real>
rs_status fill_noise(cudaStream_t stream, const rs_shape *shape, input_weights w,
                     const rs_drive *drive, real *to) {
    int const rows = rows_of(shape), batch = (int)shape->batch;
    int const steps = (int)(shape->warmup + shape->steps);
    return launch("noise_kernel", noise_kernel<real>, blocks_for_pairs(steps, batch, rows),
                  dim3(THREADS), 0, stream, drive->seed, drive->sigma, (int)drive->first_sample,
                  rows, steps, batch, w, to);
}

template <typename real>
__global__ void bias_kernel(int rows, int batch, input_weights weights, real *to) {
    size_t const at = item();
    if (at < (size_t)rows * batch) to[at] = (real)bias_of(weights, (int)(at / batch));
}

template <typename real>
rs_status fill_biases(cudaStream_t stream, const rs_shape *shape, input_weights w, real *to) {
    int const rows = rows_of(shape), batch = (int)shape->batch;
    return launch("bias_kernel", bias_kernel<real>, blocks_for((size_t)rows * batch), dim3(THREADS),
                  0, stream, rows, batch, w, to);
}

/* The same sums in the same order as rs_drive_fill's: the bits agree. */
template <typename real>
__global__ void weighted_kernel(int rows, int steps, int batch, int input_size,
                                input_weights weights, const double *x, real *to) {
    size_t const at = item(), sheet = (size_t)rows * batch;
    if (at >= sheet * steps) return;
    size_t const step = at / sheet;
    int const i = (int)(at % sheet / batch), sample = (int)(at % batch);
    const double *w = weights.weight_ih + (size_t)i * input_size;
    const double *input = x + (step * batch + sample) * input_size;
    double u = 0.0;
    for (int k = 0; k < input_size; ++k) u = fma(w[k], input[k], u);
    to[at] = (real)(u + bias_of(weights, i)); /* [steps][K H][B] */
}

template <typename real>
rs_status fill_weighted(cudaStream_t stream, const rs_shape *shape, input_weights w, int steps,
                        const double *x, real *to) {
    int const rows = rows_of(shape), batch = (int)shape->batch;
    return launch("weighted_kernel", weighted_kernel<real>,
                  blocks_for((size_t)steps * rows * batch), dim3(THREADS), 0, stream, rows, steps,
                  batch, (int)shape->input_size, w, x, to);
}

/* ---- both precisions ------------------------------------------------------------------------- */

#define INSTANTIATE(real)                                                                          \
    template rs_status pack_weights(cudaStream_t, const problem &, const double *,                 \
                                    const packed_weights<real> &, const packed_weights<real> &);   \
    template rs_status pack_array(cudaStream_t, int, int, bool, const double *, real *);           \
    template rs_status fill_noise(cudaStream_t, const rs_shape *, input_weights, const rs_drive *, \
                                  real *);                                                         \
    template rs_status fill_biases(cudaStream_t, const rs_shape *, input_weights, real *);         \
    template rs_status fill_weighted(cudaStream_t, const rs_shape *, input_weights, int,           \
                                     const double *, real *);
INSTANTIATE(float)
INSTANTIATE(double)
