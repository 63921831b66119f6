/* The persistent path: a block owns a tile of columns through all steps. Its states live in shared
 * memory, and so does W0 where it fits; otherwise W0 streams through shared memory from L2, a few
 * rows at a time, ahead of the arithmetic. Blocks never talk to each other. */
#include "check.cuh"
#include "math.cuh"
#include "path.cuh"

#include "../sizes.h"

#include <cuda_pipeline.h>

/* A block's shared memory; its size comes with the launch. */
extern __shared__ __align__(16) unsigned char rs_shared[];

namespace {

enum { WARP = 32, MOST_THREADS = 512, STREAMED_ROWS = 8, MOST_WIDTH = 64 };

/* How a piece is laid over blocks. A thread holds RM rows x RN columns of the product; TC threads
 * side by side make a tile of `width` columns, TR above each other all rows. */
struct tiling {
    int tc, tr, threads, width, tiles; /* tiles of each group */
    int padded;                        /* rows, H and some zeros */
    bool resident;                     /* W0 stays in shared memory */
    size_t shared;                     /* bytes of a block */
};

/* ---- shared memory --------------------------------------------------------------------------- */

template <typename real> struct shared_arrays {
    real *w;             /* [H][Hp], or two stages of [STREAMED_ROWS][Hp] */
    real *state;         /* [Hp][width] h, or phi' * delta on the way back */
    double *partial;     /* [TR][width] sums of squares */
    double *norm_factor; /* [width] */
    real *factor, *own;  /* [width] */
    unsigned *nonfinite; /* [width] */
};

static size_t weight_rows(int hidden, bool resident) {
    return resident ? (size_t)hidden : 2 * (size_t)STREAMED_ROWS;
}

template <typename real> static size_t shared_bytes(const tiling *t, int hidden, bool resident) {
    size_t const w = weight_rows(hidden, resident) * t->padded * sizeof(real);
    size_t const state = (size_t)t->padded * t->width * sizeof(real);
    return w + state +
           t->width * ((t->tr + 1) * sizeof(double) + 2 * sizeof(real) + sizeof(unsigned));
}

template <typename real>
__device__ static shared_arrays<real> carve(unsigned char *base, int rows, const tiling &t) {
    int const padded = t.padded, width = t.width;
    shared_arrays<real> s;
    s.w = (real *)base;
    s.state = s.w + (size_t)rows * padded;
    s.partial = (double *)(s.state + (size_t)padded * width);
    s.norm_factor = s.partial + t.tr * width;
    s.factor = (real *)(s.norm_factor + width);
    s.own = s.factor + width;
    s.nonfinite = (unsigned *)(s.own + width);
    return s;
}

/* ---- the product ----------------------------------------------------------------------------- */

/* Copies rows of packed weights to shared memory, 16 bytes a thread, without waiting. */
template <typename real>
__device__ static void fetch_rows(real *to, const real *from, int rows, int padded) {
    int const pieces = rows * padded * (int)sizeof(real) / 16;
    for (int i = threadIdx.x; i < pieces; i += blockDim.x)
        __pipeline_memcpy_async((char *)to + 16 * i, (const char *)from + 16 * i, 16);
    __pipeline_commit();
}

/* Rows of the chunk that starts at row k. */
__device__ static int rows_from(int k, int hidden) {
    return hidden - k < STREAMED_ROWS ? hidden - k : STREAMED_ROWS;
}

/* acc += rows of w [rows][Hp] times state [rows][width], k ascending, one fma each. */
template <typename real, int RM, int RN>
__device__ static void multiply(const real *w, const real *state, int rows, int padded, int width,
                                real acc[RM][RN]) {
#pragma unroll 4
    for (int k = 0; k < rows; ++k) {
        real a[RM], b[RN];
#pragma unroll
        for (int i = 0; i < RM; ++i) a[i] = w[k * padded + i];
#pragma unroll
        for (int j = 0; j < RN; ++j) b[j] = state[k * width + j];
#pragma unroll
        for (int i = 0; i < RM; ++i)
#pragma unroll
            for (int j = 0; j < RN; ++j) acc[i][j] = fma(a[i], b[j], acc[i][j]);
    }
}

/* The thread's part of W times the tile's states. Ends with all threads past their last read. */
template <typename real, int RM, int RN>
__device__ static void product(const shared_arrays<real> &s, const real *weights, bool resident,
                               int hidden, int padded, int width, int row, int column,
                               real acc[RM][RN]) {
#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j) acc[i][j] = 0;
    if (resident) {
        multiply<real, RM, RN>(s.w + row, s.state + column, hidden, padded, width, acc);
        __syncthreads();
        return;
    }
    size_t const stage = (size_t)STREAMED_ROWS * padded;
    fetch_rows(s.w, weights, rows_from(0, hidden), padded);
    for (int k = 0, turn = 0; k < hidden; k += STREAMED_ROWS, turn ^= 1) {
        int const next = k + STREAMED_ROWS;
        if (next < hidden)
            fetch_rows(s.w + (turn ^ 1) * stage, weights + (size_t)next * padded,
                       rows_from(next, hidden), padded);
        else
            __pipeline_commit(); /* an empty one: the count of those under way stays 2 */
        __pipeline_wait_prior(1);
        __syncthreads();
        multiply<real, RM, RN>(s.w + turn * stage + row, s.state + k * width + column,
                               rows_from(k, hidden), padded, width, acc);
        __syncthreads();
    }
}

template <typename real>
__device__ static void load_resident(const shared_arrays<real> &s, const real *weights,
                                     bool resident, int hidden, int padded) {
    if (!resident) return;
    fetch_rows(s.w, weights, hidden, padded);
    __pipeline_wait_prior(0);
    __syncthreads();
}

/* ---- where a thread stands ------------------------------------------------------------------- */

template <int RM, int RN> struct place {
    int group, tile;
    int row, local; /* its first row; its first column in the tile */
    int column;     /* its first column in the group */
    int sample[RN];
    bool real_column[RN];

    __device__ place(const problem &p, int tc, int tiles) {
        group = blockIdx.x / tiles;
        tile = blockIdx.x % tiles;
        row = threadIdx.x / tc * RM;
        local = threadIdx.x % tc * RN;
        column = tile * tc * RN + local;
#pragma unroll
        for (int j = 0; j < RN; ++j) {
            real_column[j] = column + j < p.columns;
            sample[j] = (column + j) % p.batch;
        }
    }

    template <typename real>
    __device__ void scales(const problem &p, const real *scale, real out[RN]) const {
#pragma unroll
        for (int j = 0; j < RN; ++j)
            out[j] = real_column[j] ? scale[(column + j) / p.batch] : (real)0;
    }

    /* Element (row + i, sample of column j) of a [H][B] array, 0 beyond it. */
    template <typename real>
    __device__ real sample_value(const problem &p, const real *array, int i, int j) const {
        return row + i < p.hidden && real_column[j] ? array[(row + i) * p.batch + sample[j]]
                                                    : (real)0;
    }

    /* Start of the thread's part of the slopes of step t (from 0): [T][G][tiles][Hp][width]. */
    __device__ size_t slope_at(const problem &p, int t, int tiles, int padded, int width) const {
        size_t const block = ((size_t)t * p.groups + group) * tiles + tile;
        return (block * padded + row) * width + local;
    }
};

/* ---- forward --------------------------------------------------------------------------------- */

template <typename real, int RM, int RN>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    forward_kernel(problem p, arrays<real> a, tiling t) {
    shared_arrays<real> const s =
        carve<real>(rs_shared, t.resident ? p.hidden : 2 * STREAMED_ROWS, t);
    place<RM, RN> const at(p, t.tc, t.tiles);
    size_t const sheet = (size_t)p.hidden * p.batch;
    const real *weights = a.forward_w + at.group * a.weight_stride;
    const real *h0 = a.h0 + at.group * a.sheet_stride;
    real scale[RN];
    at.scales(p, a.scale + at.group * a.scale_stride, scale);

#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j)
            s.state[(at.row + i) * t.width + at.local + j] = at.sample_value(p, h0, i, j);
    if ((int)threadIdx.x < t.width) s.nonfinite[threadIdx.x] = NEVER;
    load_resident(s, weights, t.resident, p.hidden, t.padded);
    __syncthreads();

    int const all = p.warmup + p.steps;
    for (int step = 0; step < all; ++step) {
        const real *drive = a.drive + at.group * a.drive_stride + (p.driven ? step : 0) * sheet;
        real acc[RM][RN];
        product<real, RM, RN>(s, weights, t.resident, p.hidden, t.padded, t.width, at.row, at.local,
                              acc);
        bool const recorded = step >= p.warmup;
        real *state = s.state + at.row * t.width + at.local;
        real *slope =
            a.slope + at.slope_at(p, recorded ? step - p.warmup : 0, t.tiles, t.padded, t.width);
        /* Through shared memory, so that a row at a time is in registers and not all of them. */
#pragma unroll
        for (int i = 0; i < RM; ++i)
#pragma unroll
            for (int j = 0; j < RN; ++j) state[i * t.width + j] = acc[i][j];
#pragma unroll 1
        for (int i = 0; i < RM; ++i)
#pragma unroll
            for (int j = 0; j < RN; ++j) {
                real const u = at.sample_value(p, drive, i, j);
                real h, gain;
                activate(p.nonlinearity, p.raw, fma(scale[j], state[i * t.width + j], u), &h,
                         &gain);
                state[i * t.width + j] = h;
                if (p.nonlinearity != RS_LINEAR) slope[i * t.width + j] = gain;
                if (recorded && !isfinite(h))
                    atomicMin(&s.nonfinite[at.local + j], (unsigned)(step - p.warmup + 1));
            }
        __syncthreads();
    }
    int const column = at.tile * t.width + threadIdx.x;
    if ((int)threadIdx.x < t.width && column < p.columns)
        a.nonfinite[at.group * p.columns + column] = s.nonfinite[threadIdx.x];
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Sums the thread's squares over its rows into partial [TR][width]. */
template <typename real, int RM, int RN>
__device__ static void add_squares(const shared_arrays<real> &s, const real delta[RM][RN], bool raw,
                                   int tr, int width, int local) {
#pragma unroll
    for (int j = 0; j < RN; ++j) {
        double const factor = raw ? s.norm_factor[local + j] : 1.0;
        double sum = 0.0;
#pragma unroll
        for (int i = 0; i < RM; ++i) {
            double const x = raw ? (double)delta[i][j] * factor : (double)delta[i][j];
            sum = fma(x, x, sum);
        }
        s.partial[tr * width + local + j] = sum;
    }
}

/* Ends a step of one column: its norm goes out, and its range is looked after. The sum runs down
 * the rows, so that it does not depend on how the threads lie. */
template <typename real>
__device__ static void end_column(const problem &p, const arrays<real> &a,
                                  const shared_arrays<real> &s, int group, int column,
                                  const tiling &t, int step, column_range<real> *range) {
    double norm2 = 0.0;
    for (int tr = 0; tr < t.tr; ++tr) norm2 += s.partial[tr * t.width + threadIdx.x];
    if (column < p.columns) {
        size_t const out = ((size_t)group * p.steps + step - 1) * p.columns + column;
        a.norm2[out] = norm2;
        a.exponent[out] = range->exponent;
    }
    column_range_update(range, p.raw, norm2);
    s.factor[threadIdx.x] = range->factor;
    s.own[threadIdx.x] = range->own;
    s.norm_factor[threadIdx.x] = range->norm_factor;
}

template <typename real, int RM, int RN>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    backward_kernel(problem p, arrays<real> a, tiling t) {
    shared_arrays<real> const s =
        carve<real>(rs_shared, t.resident ? p.hidden : 2 * STREAMED_ROWS, t);
    place<RM, RN> const at(p, t.tc, t.tiles);
    const real *weights = a.backward_w + at.group * a.weight_stride;
    const real *loss = a.loss + at.group * a.sheet_stride;
    bool const keeper = (int)threadIdx.x < t.width; /* looks after column threadIdx.x of the tile */
    bool const sloped = p.nonlinearity != RS_LINEAR;
    real const own = a.own[at.group];
    column_range<real> range = column_range_start(own);
    real scale[RN], delta[RM][RN];
    at.scales(p, a.scale + at.group * a.scale_stride, scale);
    if (keeper) s.norm_factor[threadIdx.x] = 1.0;
    load_resident(s, weights, t.resident, p.hidden, t.padded);
    __syncthreads();

#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j) delta[i][j] = at.sample_value(p, loss, i, j);
    for (int step = p.steps;; --step) {
        add_squares<real, RM, RN>(s, delta, p.raw, at.row / RM, t.width, at.local);
        size_t const slope_at = at.slope_at(p, step - 1, t.tiles, t.padded, t.width);
#pragma unroll
        for (int i = 0; i < RM; ++i)
#pragma unroll
            for (int j = 0; j < RN; ++j)
                s.state[(at.row + i) * t.width + at.local + j] =
                    sloped ? a.slope[slope_at + i * t.width + j] * delta[i][j] : delta[i][j];
        __syncthreads();
        if (keeper)
            end_column(p, a, s, at.group, at.tile * t.width + (int)threadIdx.x, t, step, &range);
        if (step == 1) break;
        product<real, RM, RN>(s, weights, t.resident, p.hidden, t.padded, t.width, at.row, at.local,
                              delta);
#pragma unroll
        for (int j = 0; j < RN; ++j) {
            real const factor = s.factor[at.local + j], term = s.own[at.local + j];
#pragma unroll
            for (int i = 0; i < RM; ++i)
                delta[i][j] = at.row + i < p.hidden && at.real_column[j]
                                  ? fma(scale[j], delta[i][j] * factor, term)
                                  : (real)0;
        }
    }
}

/* ---- choosing and launching ------------------------------------------------------------------ */

static int rows_of(const rs_shape *shape) {
    return shape->precision == RS_F32 && shape->hidden > 32 ? 8 : 4;
}
static int columns_of(const rs_shape *shape) { return shape->precision == RS_F32 ? 4 : 2; }

template <typename real>
static tiling tile_with(const device_limits *limits, const rs_shape *shape, int tc) {
    tiling t;
    int const rm = rows_of(shape), rn = columns_of(shape), together = WARP / tc;
    int tr = ((int)shape->hidden + rm - 1) / rm;
    if (tr < rn) tr = rn; /* a thread for every column of the tile */
    t.tc = tc;
    t.tr = (tr + together - 1) / together * together; /* whole warps */
    t.threads = t.tr * tc;
    t.width = tc * rn;
    t.tiles = (int)((shape->radii * shape->batch + t.width - 1) / t.width);
    t.padded = t.tr * rm;
    t.resident = shared_bytes<real>(&t, (int)shape->hidden, true) <= limits->shared_most;
    t.shared = shared_bytes<real>(&t, (int)shape->hidden, t.resident);
    return t;
}

/* Wide tiles use each row of W0 more often; narrow ones give every processor a tile. */
template <typename real> static tiling choose(const device_limits *limits, const rs_shape *shape) {
    tiling t = tile_with<real>(limits, shape, 16);
    for (int tc = 8; tc >= 4; tc /= 2) {
        bool const fits = t.threads <= MOST_THREADS && t.shared <= limits->shared_most;
        if (fits && (size_t)t.tiles * shape->groups >= (size_t)limits->processors) break;
        t = tile_with<real>(limits, shape, tc);
    }
    return t;
}

static tiling choose_any(const device_limits *limits, const rs_shape *shape) {
    return shape->precision == RS_F32 ? choose<float>(limits, shape)
                                      : choose<double>(limits, shape);
}

static bool takes(const device_limits *limits, const rs_shape *shape) {
    if (shape->hidden > 4096) return false; /* keeps the sums below inside int */
    tiling const t = choose_any(limits, shape);
    return t.threads <= MOST_THREADS && t.shared <= limits->shared_most;
}

static int padded(const device_limits *limits, const rs_shape *shape) {
    return choose_any(limits, shape).padded;
}

/* Room for any tiling there may be: bytes must not decrease as columns grow. */
static uint64_t trace_bytes(const device_limits *, const rs_shape *shape) {
    if (shape->nonlinearity == RS_LINEAR) return 0;
    uint64_t const columns = rs_size_mul(shape->radii, shape->batch);
    uint64_t const most = rs_size_mul(shape->groups, rs_size_add(columns, MOST_WIDTH));
    uint64_t const real = shape->precision == RS_F32 ? sizeof(float) : sizeof(double);
    return rs_size_mul(rs_size_mul(shape->steps, most),
                       rs_size_mul(rs_size_add(shape->hidden, MOST_PADDING), real));
}

template <typename real> using tile_kernel = void (*)(problem, arrays<real>, tiling);

template <typename real>
static rs_status run(path_context *context, const rs_shape *shape, const void *device_arrays,
                     const char *name, tile_kernel<real> kernel) {
    tiling const t = choose_any(&context->limits, shape);
    CUDA_TRY(cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  (int)t.shared));
    return launch(name, kernel, dim3((unsigned)(t.tiles * shape->groups)), dim3(t.threads),
                  t.shared, context->stream, problem_of(shape),
                  *(const arrays<real> *)device_arrays, t);
}

static rs_status forward(path_context *context, const rs_shape *shape, const void *a) {
    if (shape->precision == RS_F64)
        return run<double>(context, shape, a, "forward_kernel", forward_kernel<double, 4, 2>);
    return run<float>(context, shape, a, "forward_kernel",
                      rows_of(shape) == 8 ? forward_kernel<float, 8, 4>
                                          : forward_kernel<float, 4, 4>);
}

static rs_status backward(path_context *context, const rs_shape *shape, const void *a) {
    if (shape->precision == RS_F64)
        return run<double>(context, shape, a, "backward_kernel", backward_kernel<double, 4, 2>);
    return run<float>(context, shape, a, "backward_kernel",
                      rows_of(shape) == 8 ? backward_kernel<float, 8, 4>
                                          : backward_kernel<float, 4, 4>);
}

} // namespace

const cuda_path path_persistent = {
    "persistent", takes, padded, false, trace_bytes, forward, backward, NULL,
};
