/* The path for small H: a thread owns a column, its states live in registers, W0 is read from
 * shared memory by all threads at once. There tanh, not the product, costs most. */
#include "cells.cuh"
#include "check.cuh"
#include "move.cuh"
#include "path.cuh"

#include "../base/sizes.h"

namespace {

enum { THREADS = 64 };

/* Above these H the registers of a thread no longer hold its states, and of cells with one gate W0:
 * cells with several read W0 from shared memory at every step. */
template <typename real, cell_kind KIND>
constexpr int most_hidden = sizeof(real) > 4 ? 8
                            : KIND == LSTM   ? 10
                                             : 12;

/* Blocks that every processor has registers for, two warps each: four warps a scheduler, or three
 * or two of larger H, which would spill. */
template <typename real, int H>
constexpr int blocks_at_once = H * sizeof(real) <= 32   ? 8
                               : H * sizeof(real) <= 40 ? 6
                                                        : 4;

/* Of cells with several gates: as many as most registers allow. */
enum { GATED_BLOCKS = 4 };

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

/* A thread's column: its group, number and sample. A trace is [T][G][rows][columns]. */
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
    /* Of the column's first row in sheet t; rows are `columns` apart. */
    __device__ size_t trace_at(const problem &p, int t, int rows) const {
        return ((size_t)t * p.groups + group) * rows * p.columns + column;
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

/* h = phi(argument), slopes to [H][pitch] unless they are all the same; whether all h are finite.
 */
template <typename real, int H, cell_kind KIND, typename Activation>
__device__ static bool activate_units(const problem &p, const arrays<real> &a, Activation phi,
                                      const real argument[H], real h[H], real *slope) {
    real gain[H], fault = 0;
#pragma unroll
    for (int i = 0; i < H; ++i) {
        real const before = h[i];
        phi(argument[i], &h[i], &gain[i]);
        if (KIND == LEAKY) h[i] = leaked(a, before, h[i]);
        if (KIND == LEAKY) gain[i] = leaked_slope(a, gain[i]);
        fault = add_fault(h[i], fault);
    }
    if (p.sloped()) store_units<real, H>(p, gain, slope);
    return !isnan(fault);
}

/* With gradients: the state after so many steps, the warm-up's included, where it is h_{t-1} of a
 * recorded step. */
template <typename real, int H>
__device__ static void keep_state(const problem &p, const own_column &own, int steps,
                                  const real h[H], real *history) {
    int const t = steps - p.warmup;
    if (p.gradients && t >= 0 && t < p.steps)
        store_units<real, H>(p, h, history + own.trace_at(p, t, p.hidden));
}

/* Each step's drive is on its way during the activations of the step before. */
template <typename real, int H, cell_kind KIND>
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
        size_t const trace = own.trace_at(p, p.kept_sheet(step), p.hidden);
        real argument[H];
        multiply<real, H>(w, h, argument);
#pragma unroll
        for (int i = 0; i < H; ++i) /* 0 where there is no unit: 0 * inf is NaN */
            argument[i] = is_unit<H>(p, i) ? fma(scale, argument[i], u[i]) : (real)0;
        if (step + 1 < all) load_units<real, H>(p, drive += sheet, p.batch, 0, u);
        bool finite = true;
        with_activation(p.cell, p.raw, [&](auto phi) {
            finite = activate_units<real, H, KIND>(p, a, phi, argument, h, a.kept + trace);
        });
        if (recorded && nonfinite == NEVER && !finite) nonfinite = (unsigned)(step - p.warmup + 1);
        keep_state<real, H>(p, own, step + 1, h, a.history);
    }
    a.nonfinite[own.group * p.columns + own.column] = nonfinite;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Slopes of recorded step t, from 0: all the same where phi is linear. */
template <typename real, int H, cell_kind KIND>
__device__ static void load_slopes(const problem &p, const arrays<real> &a, const own_column &own,
                                   int t, real slope[H]) {
    if (p.sloped()) {
        load_units<real, H>(p, a.kept + own.trace_at(p, t, p.hidden), p.columns, 1, slope);
        return;
    }
#pragma unroll
    for (int i = 0; i < H; ++i) slope[i] = KIND == LEAKY ? a.leak : (real)1;
}

/* Each step's slopes are on their way during the product of the step after it. */
template <typename real, int H, cell_kind KIND>
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
    load_slopes<real, H, KIND>(p, a, own, p.steps - 1, slope);

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
        if (p.gradients)
            store_units<real, H>(p, passed, a.kept + own.trace_at(p, step - 1, p.hidden));
        if (step == 1) break;
        column_range_update(&range, p.raw, norm2);
        load_slopes<real, H, KIND>(p, a, own, step - 2, slope);
        real product[H];
        multiply<real, H>(w, passed, product);
#pragma unroll
        for (int i = 0; i < H; ++i) {
            real const rest =
                KIND == LEAKY ? fma(a.keep * delta[i], range.factor, range.own) : range.own;
            delta[i] = is_unit<H>(p, i) ? fma(scale, product[i] * range.factor, rest) : (real)0;
        }
    }
}

/* ---- cells with several gates ---------------------------------------------------------------- */

/* All that a thread reads of its group in shared memory: W0 of the forward pass [H][H][SLOTS], row
 * k a unit after the other, or of the backward pass [H][GATES][H], zeros where there is no unit;
 * and the bias inside of the product. */
template <typename real, int H>
__device__ static void load_rows(const real *from, int rows, int columns, int padded, int width,
                                 int all, real *to) {
    for (int i = threadIdx.x; i < all; i += THREADS) {
        int const row = i / width, column = i % width;
        to[i] = row < rows && column < columns ? from[row * padded + column] : (real)0;
    }
}

/* Numbers of a column, `pitch` apart, in rows g hidden + i; 0 where there is no unit. */
template <typename real, int H, int ROWS>
__device__ static void load_unit(const problem &p, const real *from, int pitch, int i,
                                 real (&to)[ROWS][H]) {
#pragma unroll
    for (int k = 0; k < ROWS; ++k)
        to[k][i] =
            is_unit<H>(p, i) ? from[(unsigned)(k * p.hidden + i) * (unsigned)pitch] : (real)0;
}

template <typename real, int H, int ROWS>
__device__ static void store_unit(const problem &p, const real from[ROWS], int i, real *to) {
#pragma unroll
    for (int k = 0; k < ROWS; ++k)
        if (is_unit<H>(p, i)) to[(unsigned)(k * p.hidden + i) * (unsigned)p.columns] = from[k];
}

/* A unit's gates: k ascending, one fma each. */
template <typename real, int H, typename Cell>
__device__ static void multiply_unit(const real w[H][H][Cell::SLOTS], const real h[H], int i,
                                     real sum[Cell::GATES]) {
#pragma unroll
    for (int g = 0; g < Cell::GATES; ++g) sum[g] = 0;
#pragma unroll
    for (int k = 0; k < H; ++k) {
        real row[Cell::SLOTS];
        load<real, Cell::SLOTS>(w[k][i], row);
#pragma unroll
        for (int g = 0; g < Cell::GATES; ++g) sum[g] = fma(row[g], h[k], sum[g]);
    }
}

template <typename real, typename Cell>
__device__ static void load_scales(const arrays<real> &a, const problem &p, const own_column &own,
                                   real scale[Cell::GATES]) {
    const real *from = a.scale + own.group * a.scale_stride + own.column / p.batch * Cell::GATES;
#pragma unroll
    for (int g = 0; g < Cell::GATES; ++g) scale[g] = from[g];
}

/* Where W0 is too large for registers: the compiler must not take it there, and then spill it. */
template <typename real, int H, typename Cell> __device__ static void leave_weights_in_memory() {
    if (H * H * Cell::GATES * sizeof(real) > 256) asm volatile("" ::: "memory");
}

/* A unit at a time; its next drive is on its way as soon as this one is used. */
template <typename real, int H, cell_kind KIND>
__global__ void __launch_bounds__(THREADS, GATED_BLOCKS)
    small_gated_forward(problem p, arrays<real> a) {
    using Cell = cell_of_kind<KIND>;
    __shared__ __align__(16) real w[H][H][Cell::SLOTS];
    __shared__ real inside[H];
    own_column const own(p);
    load_rows<real, H>(a.forward_w.of(own.group), p.hidden, Cell::SLOTS * p.hidden,
                       a.forward_w.padded, Cell::SLOTS * H, Cell::SLOTS * H * H, w[0][0]);
    if (Cell::INSIDE >= 0)
        load_rows<real, H>(a.inside + own.group * p.hidden, 1, p.hidden, 0, H, H, inside);
    __syncthreads();
    if (!own.is_real) return;
    real scale[Cell::GATES], state[Cell::STATES][H], u[Cell::GATES][H];
    load_scales<real, Cell>(a, p, own, scale);
#pragma unroll
    for (int k = 0; k < Cell::STATES; ++k)
        load_units<real, H>(p, a.start[k] + own.group * a.sheet_stride + own.sample, p.batch, 0,
                            state[k]);
    size_t const sheet = p.driven ? (size_t)p.gates * p.hidden * p.batch : 0;
    const real *drive = a.drive + own.group * a.drive_stride + own.sample;
#pragma unroll
    for (int i = 0; i < H; ++i) load_unit<real, H>(p, drive, p.batch, i, u);

    keep_state<real, H>(p, own, 0, state[0], a.history);
    unsigned nonfinite = NEVER;
    int const all = p.warmup + p.steps;
    for (int step = 0; step < all; ++step) {
        bool const recorded = step >= p.warmup;
        real *const kept = a.kept + own.trace_at(p, p.kept_sheet(step), Cell::KEPT * p.hidden);
        leave_weights_in_memory<real, H, Cell>();
        if (step + 1 < all) drive += sheet;
        real before[H], fault = 0;
#pragma unroll
        for (int i = 0; i < H; ++i) before[i] = state[0][i];
#pragma unroll
        for (int i = 0; i < H; ++i) {
            real sum[Cell::GATES], own_u[Cell::GATES], own_state[Cell::STATES];
            real coefficients[Cell::KEPT];
            multiply_unit<real, H, Cell>(w, before, i, sum);
            take_column(u, i, own_u);
            take_column(state, i, own_state);
            step_unit<Cell>(p.raw, sum, scale, own_u, inside[i], own_state, coefficients);
            load_unit<real, H>(p, drive, p.batch, i, u);
#pragma unroll
            for (int k = 0; k < Cell::STATES; ++k) { /* 0 where there is no unit: 0 * inf is NaN */
                state[k][i] = is_unit<H>(p, i) ? own_state[k] : (real)0;
                fault = add_fault(state[k][i], fault);
            }
            store_unit<real, H, Cell::KEPT>(p, coefficients, i, kept);
        }
        if (recorded && nonfinite == NEVER && isnan(fault))
            nonfinite = (unsigned)(step - p.warmup + 1);
        keep_state<real, H>(p, own, step + 1, state[0], a.history);
    }
    a.nonfinite[own.group * p.columns + own.column] = nonfinite;
}

/* The squares of all states, and their sum. The norms and the exponent go out. */
template <typename real, int H, int STATES>
__device__ static double put_norms(const problem &p, const arrays<real> &a, const own_column &own,
                                   const column_range<real> &range, int step,
                                   const real delta[STATES][H]) {
    size_t const sheet = (size_t)own.group * p.steps + step - 1;
    double pair = 0.0;
#pragma unroll
    for (int k = 0; k < STATES; ++k) {
        double norm2 = 0.0;
#pragma unroll
        for (int i = 0; i < H; ++i) {
            double const x = p.raw ? (double)delta[k][i] * range.norm_factor : (double)delta[k][i];
            norm2 = fma(x, x, norm2);
        }
        a.norm2[(sheet * STATES + k) * p.columns + own.column] = norm2;
        pair += norm2;
    }
    a.exponent[sheet * p.columns + own.column] = range.exponent;
    return pair;
}

/* A unit at a time: q of its gates, and at once what the product makes of them. Its next
 * coefficients are on their way then. */
template <typename real, int H, cell_kind KIND>
__global__ void __launch_bounds__(THREADS, GATED_BLOCKS)
    small_gated_backward(problem p, arrays<real> a) {
    using Cell = cell_of_kind<KIND>;
    __shared__ __align__(16) real w[H][Cell::GATES][H];
    own_column const own(p);
    load_rows<real, H>(a.backward_w.of(own.group), Cell::GATES * p.hidden, p.hidden,
                       a.backward_w.padded, H, Cell::GATES * H * H, w[0][0]);
    __syncthreads();
    if (!own.is_real) return;
    real scale[Cell::GATES], delta[Cell::STATES][H] = {}, kept[Cell::KEPT][H];
    load_scales<real, Cell>(a, p, own, scale);
    column_range<real> range = column_range_start(a.own[own.group]);
    load_units<real, H>(p, a.loss + own.group * a.sheet_stride + own.sample, p.batch, 0, delta[0]);
    size_t const sheet = (size_t)p.groups * Cell::KEPT * p.hidden * p.columns;
    real *trace = a.kept + own.trace_at(p, p.steps - 1, Cell::KEPT * p.hidden);
#pragma unroll
    for (int i = 0; i < H; ++i) load_unit<real, H>(p, trace, p.columns, i, kept);

    for (int step = p.steps;; --step) {
        double const pair = put_norms<real, H, Cell::STATES>(p, a, own, range, step, delta);
        column_range_update(&range, p.raw, pair);
        leave_weights_in_memory<real, H, Cell>();
        real *const before = step > 1 ? trace - sheet : trace;
        real product[H] = {};
#pragma unroll
        for (int i = 0; i < H; ++i) {
            real coefficients[Cell::KEPT], own_delta[Cell::STATES], q[Cell::GATES], v;
            take_column(kept, i, coefficients);
            take_column(delta, i, own_delta);
            Cell::back(coefficients, own_delta, q, &v);
            put_column(own_delta, i, delta);
            if (p.gradients) {
                store_unit<real, H, Cell::GATES>(p, q, i, trace);
                if (Cell::INSIDE >= 0 && is_unit<H>(p, i))
                    trace[(unsigned)(GRU_V_ROW * p.hidden + i) * (unsigned)p.columns] = v;
            }
            load_unit<real, H>(p, before, p.columns, i, kept);
#pragma unroll
            for (int g = 0; g < Cell::GATES; ++g) {
                real const scaled = scale[g] * q[g];
#pragma unroll
                for (int j = 0; j < H; ++j) product[j] = fma(w[i][g][j], scaled, product[j]);
            }
        }
        if (step == 1) break;
        trace = before;
#pragma unroll
        for (int i = 0; i < H; ++i) {
            real next[Cell::STATES];
            delta_before<Cell>(product[i], delta[Cell::STATES - 1][i], range.factor, range.own,
                               next);
            next[0] = is_unit<H>(p, i) ? next[0] : (real)0; /* not the loss's own term */
            put_column(next, i, delta);
        }
    }
}

/* ---- choosing and launching ------------------------------------------------------------------ */

template <typename real> using small_kernel = void (*)(problem, arrays<real>);

/* The kernel of an even H, and so one row of zeros at most. */
template <typename real, int H, cell_kind KIND> static small_kernel<real> kernel_of(bool back) {
    if constexpr (is_gated<KIND>)
        return back ? small_gated_backward<real, H, KIND> : small_gated_forward<real, H, KIND>;
    else
        return back ? small_backward<real, H, KIND> : small_forward<real, H, KIND>;
}

template <typename real, cell_kind KIND, int H = 2>
static small_kernel<real> kernel_for(size_t hidden, bool back) {
    if constexpr (H < most_hidden<real, KIND>)
        if (hidden > H) return kernel_for<real, KIND, H + 2>(hidden, back);
    return kernel_of<real, H, KIND>(back);
}

template <typename real> static small_kernel<real> choose(const rs_shape *shape, bool back) {
    switch (kind_of(shape)) {
    case LSTM: return kernel_for<real, LSTM>(shape->hidden, back);
    case GRU: return kernel_for<real, GRU>(shape->hidden, back);
    case LEAKY: return kernel_for<real, LEAKY>(shape->hidden, back);
    default: return kernel_for<real, PLAIN>(shape->hidden, back);
    }
}

template <typename real> static bool takes(const device_limits *, const rs_shape *shape) {
    int const most = shape->cell == RS_LSTM ? most_hidden<real, LSTM> : most_hidden<real, PLAIN>;
    return shape->hidden <= (size_t)most;
}

static int padded(const device_limits *, const rs_shape *shape, bool back) {
    return (int)((back ? 1 : slots_of(shape)) * shape->hidden);
}

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
                     const char *name, bool back) {
    problem const p = problem_of(shape);
    unsigned const blocks = (unsigned)((p.columns + THREADS - 1) / THREADS * p.groups);
    return launch(name, choose<real>(shape, back), dim3(blocks), dim3(THREADS), 0, context->stream,
                  p, a);
}

template <typename real>
static rs_status forward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    return run(context, shape, a, "small_forward", false);
}

template <typename real>
static rs_status backward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    return run(context, shape, a, "small_backward", true);
}

} // namespace

template <typename real>
const cuda_path<real> cuda_paths<real>::small = {
    "small", takes<real>, takes<real>,   padded,         sheet,
    strides, no_scratch,  forward<real>, backward<real>,
};
template const cuda_path<float> cuda_paths<float>::small;
template const cuda_path<double> cuda_paths<double>::small;
