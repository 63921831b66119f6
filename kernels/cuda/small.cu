/* The path for small H: a thread owns a column, its states live in registers, W0 is read from
 * shared memory by all threads at once. There tanh, not the product, costs most. */
#include "check.cuh"
#include "math.cuh"
#include "path.cuh"

#include "../base/sizes.h"

namespace {

/* Above these H the registers of a thread no longer hold W0 and its states. */
enum { THREADS = 64, MOST_HIDDEN_F32 = 12, MOST_HIDDEN_F64 = 8 };

/* Blocks that every processor has registers for, two warps each: four warps a scheduler, or three
 * or two of larger H, which would spill. */
template <typename real, int H>
constexpr int blocks_at_once = H * sizeof(real) <= 32   ? 8
                               : H * sizeof(real) <= 40 ? 6
                                                        : 4;

/* Reads W0 [H][H] from packed weights [hidden][padded], zeros beyond. */
template <typename real, int H>
__device__ static void load_weights(const real *from, int hidden, int padded, real w[H][H]) {
    for (int i = threadIdx.x; i < H * H; i += THREADS) {
        int const row = i / H, column = i % H;
        w[row][column] = row < hidden && column < hidden ? from[row * padded + column] : (real)0;
    }
    __syncthreads();
}

/* y = W x with w[k][i] at hand: k ascending, one fma each. */
template <typename real, int H>
__device__ static void multiply(const real w[H][H], const real x[H], real y[H]) {
#pragma unroll
    for (int i = 0; i < H; ++i) y[i] = 0;
#pragma unroll
    for (int k = 0; k < H; ++k)
#pragma unroll
        for (int i = 0; i < H; ++i) y[i] = fma(w[k][i], x[k], y[i]);
}

/* A thread's column: its group, number and sample. Slopes and history are [T][G][H][columns]. */
struct own_column {
    int group, column, sample;
    bool is_real;

    __device__ explicit own_column(const problem &p) {
        int const blocks = (p.columns + THREADS - 1) / THREADS;
        group = blockIdx.x / blocks;
        column = blockIdx.x % blocks * THREADS + threadIdx.x;
        is_real = column < p.columns;
        sample = column % p.batch;
    }
    /* Of the column's first unit at recorded step t, from 0; units are `columns` apart. */
    __device__ size_t slope_at(const problem &p, int t) const {
        return ((size_t)t * p.groups + group) * p.hidden * p.columns + column;
    }
};

/* The kernel of an even H takes H - 1 units too: the last of its H may be missing. */
template <int H> __device__ static bool is_unit(const problem &p, int i) {
    return i < H - 1 || p.hidden == H;
}

/* The column's numbers of all units, `pitch` apart; `beyond` where there is no unit. */
template <typename real, int H>
__device__ static void load_units(const problem &p, const real *from, int pitch, real beyond,
                                  real to[H]) {
#pragma unroll
    for (int i = 0; i < H; ++i) to[i] = is_unit<H>(p, i) ? from[i * pitch] : beyond;
}

template <typename real, int H>
__device__ static void store_units(const problem &p, const real from[H], real *to) {
#pragma unroll
    for (int i = 0; i < H; ++i)
        if (is_unit<H>(p, i)) to[i * p.columns] = from[i];
}

/* ---- forward --------------------------------------------------------------------------------- */

/* h = phi(a), slopes to [H][pitch] unless they are all 1; whether all h are finite. */
template <typename real, int H, typename Activation>
__device__ static bool activate_units(const problem &p, Activation phi, const real a[H], real h[H],
                                      real *slope) {
    real gain[H], fault = 0;
#pragma unroll
    for (int i = 0; i < H; ++i) {
        phi(a[i], &h[i], &gain[i]);
        fault = add_fault(h[i], fault);
    }
    if (p.cell != RS_LINEAR) store_units<real, H>(p, gain, slope);
    return !isnan(fault);
}

/* With gradients: the state after so many steps, the warm-up's included, where it is h_{t-1} of a
 * recorded step. */
template <typename real, int H>
__device__ static void keep_state(const problem &p, const own_column &own, int steps,
                                  const real h[H], real *history) {
    int const t = steps - p.warmup;
    if (p.gradients && t >= 0 && t < p.steps)
        store_units<real, H>(p, h, history + own.slope_at(p, t));
}

/* Each step's drive is on its way during the activations of the step before. */
template <typename real, int H>
__global__ void __launch_bounds__(THREADS, (blocks_at_once<real, H>))
    small_forward(problem p, arrays<real> a) {
    __shared__ __align__(16) real w[H][H];
    own_column const own(p);
    load_weights<real, H>(a.forward_w.of(own.group), p.hidden, a.forward_w.padded, w);
    if (!own.is_real) return;
    size_t const sheet = p.driven ? (size_t)p.hidden * p.batch : 0;
    real const scale = a.scale[own.group * a.scale_stride + own.column / p.batch];
    const real *drive = a.drive + own.group * a.drive_stride + own.sample;
    real h[H], u[H];
    load_units<real, H>(p, a.start[0] + own.group * a.sheet_stride + own.sample, p.batch, 0, h);
    load_units<real, H>(p, drive, p.batch, 0, u);

    keep_state<real, H>(p, own, 0, h, a.history);
    unsigned nonfinite = NEVER;
    int const all = p.warmup + p.steps;
    for (int step = 0; step < all; ++step) {
        bool const recorded = step >= p.warmup;
        size_t const trace = own.slope_at(p, recorded ? step - p.warmup : 0);
        real argument[H];
        multiply<real, H>(w, h, argument);
#pragma unroll
        for (int i = 0; i < H; ++i) /* 0 where there is no unit: 0 * inf is NaN */
            argument[i] = is_unit<H>(p, i) ? fma(scale, argument[i], u[i]) : (real)0;
        if (step + 1 < all) load_units<real, H>(p, drive += sheet, p.batch, 0, u);
        bool finite = true;
        with_activation(p.cell, p.raw, [&](auto phi) {
            finite = activate_units<real, H>(p, phi, argument, h, a.kept + trace);
        });
        if (recorded && nonfinite == NEVER && !finite) nonfinite = (unsigned)(step - p.warmup + 1);
        keep_state<real, H>(p, own, step + 1, h, a.history);
    }
    a.nonfinite[own.group * p.columns + own.column] = nonfinite;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Slopes of recorded step t, from 0: 1 where phi is linear. */
template <typename real, int H>
__device__ static void load_slopes(const problem &p, const arrays<real> &a, const own_column &own,
                                   int t, real slope[H]) {
    if (p.cell != RS_LINEAR) {
        load_units<real, H>(p, a.kept + own.slope_at(p, t), p.columns, 1, slope);
        return;
    }
#pragma unroll
    for (int i = 0; i < H; ++i) slope[i] = 1;
}

/* Each step's slopes are on their way during the product of the step after it. */
template <typename real, int H>
__global__ void __launch_bounds__(THREADS, (blocks_at_once<real, H>))
    small_backward(problem p, arrays<real> a) {
    __shared__ __align__(16) real w[H][H];
    own_column const own(p);
    load_weights<real, H>(a.backward_w.of(own.group), p.hidden, a.backward_w.padded, w);
    if (!own.is_real) return;
    real const scale = a.scale[own.group * a.scale_stride + own.column / p.batch];
    column_range<real> range = column_range_start(a.own[own.group]);
    real delta[H], slope[H];
    load_units<real, H>(p, a.loss + own.group * a.sheet_stride + own.sample, p.batch, 0, delta);
    load_slopes<real, H>(p, a, own, p.steps - 1, slope);

    for (int step = p.steps;; --step) {
        double norm2 = 0.0;
#pragma unroll
        for (int i = 0; i < H; ++i) {
            double const x = p.raw ? (double)delta[i] * range.norm_factor : (double)delta[i];
            norm2 = fma(x, x, norm2);
        }
        size_t const out = ((size_t)own.group * p.steps + step - 1) * p.columns + own.column;
        a.norm2[out] = norm2;
        a.exponent[out] = range.exponent;
        real passed[H];
#pragma unroll
        for (int i = 0; i < H; ++i) passed[i] = gated(p.selects(), slope[i], delta[i]);
        if (p.gradients) store_units<real, H>(p, passed, a.kept + own.slope_at(p, step - 1));
        if (step == 1) break;
        column_range_update(&range, p.raw, norm2);
        load_slopes<real, H>(p, a, own, step - 2, slope);
        multiply<real, H>(w, passed, delta);
#pragma unroll
        for (int i = 0; i < H; ++i)
            delta[i] = is_unit<H>(p, i) ? fma(scale, delta[i] * range.factor, range.own) : (real)0;
    }
}

/* ---- choosing and launching ------------------------------------------------------------------ */

template <typename real> using small_kernel = void (*)(problem, arrays<real>);

/* The kernels of each even H: one row of zeros at most. */
template <typename real> struct kernels;
template <> struct kernels<float> {
    enum { COUNT = MOST_HIDDEN_F32 / 2 };
    static constexpr small_kernel<float> forward[COUNT] = {
        small_forward<float, 2>, small_forward<float, 4>,  small_forward<float, 6>,
        small_forward<float, 8>, small_forward<float, 10>, small_forward<float, 12>};
    static constexpr small_kernel<float> backward[COUNT] = {
        small_backward<float, 2>, small_backward<float, 4>,  small_backward<float, 6>,
        small_backward<float, 8>, small_backward<float, 10>, small_backward<float, 12>};
};
template <> struct kernels<double> {
    enum { COUNT = MOST_HIDDEN_F64 / 2 };
    static constexpr small_kernel<double> forward[COUNT] = {
        small_forward<double, 2>, small_forward<double, 4>, small_forward<double, 6>,
        small_forward<double, 8>};
    static constexpr small_kernel<double> backward[COUNT] = {
        small_backward<double, 2>, small_backward<double, 4>, small_backward<double, 6>,
        small_backward<double, 8>};
};

template <typename real> static bool takes(const device_limits *, const rs_shape *shape) {
    return gates_of(shape) == 1 && !(shape->leak > 0.0) &&
           shape->hidden <= 2 * kernels<real>::COUNT;
}

static int padded(const device_limits *, const rs_shape *shape, bool) { return (int)shape->hidden; }

static uint64_t sheet(const device_limits *, const rs_shape *shape, size_t rows) {
    uint64_t const columns = rs_size_mul(shape->groups, rs_size_mul(shape->radii, shape->batch));
    return rs_size_mul(columns, rows);
}

static trace_strides strides(const device_limits *, const rs_shape *shape, size_t rows) {
    size_t const columns = shape->radii * shape->batch, group = rows * columns;
    return {shape->groups * group, group, 0, columns, (int)columns};
}

template <typename real>
static rs_status run(path_context *context, const rs_shape *shape, const arrays<real> &a,
                     const char *name, small_kernel<real> kernel) {
    problem const p = problem_of(shape);
    unsigned const blocks = (unsigned)((p.columns + THREADS - 1) / THREADS * p.groups);
    return launch(name, kernel, dim3(blocks), dim3(THREADS), 0, context->stream, p, a);
}

template <typename real>
static rs_status forward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    return run(context, shape, a, "small_forward", kernels<real>::forward[(shape->hidden - 1) / 2]);
}

template <typename real>
static rs_status backward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    return run(context, shape, a, "small_backward",
               kernels<real>::backward[(shape->hidden - 1) / 2]);
}

} // namespace

template <typename real>
const cuda_path<real> cuda_paths<real>::small = {
    "small", takes<real>, takes<real>,   padded,         sheet,
    strides, no_scratch,  forward<real>, backward<real>,
};
template const cuda_path<float> cuda_paths<float>::small;
template const cuda_path<double> cuda_paths<double>::small;
