/* The stepwise path, for large H: one kernel per step multiplies W0 by the states of all columns of
 * all groups (product.cuh) and ends the step for its tile. A pass is a CUDA graph, kept for the
 * next piece of the same shape.
 *
 * On the way back a block's shared memory has, behind its sums, factor, own and norm_factor [tile
 * columns]. */
#include "cells.cuh"
#include "memory.cuh"
#include "product.cuh"

#include <stdlib.h>
#include <string.h>

namespace {

enum { ELEMENTWISE_THREADS = 256 };

/* Arrays of the path's own. Rows of columns, those of slopes [T][G][H][pitch] too, are `pitch`
 * long, which is a multiple of 16 bytes; what the columns beyond the last one hold is never used.
 */
template <typename real> struct step_arrays {
    int pitch, strips;
    real *state[2];               /* [G][H][pitch] h; on the way back [G][K H][pitch] what the
                                     product multiplies: phi' * delta, or s_g q_g at K u + g */
    real *carried;                /* [G][H][pitch] of cells with several gates or a leak: c of an
                                     LSTM; on the way back what step t hands to delta_{t-1} beside
                                     the product, to dL/dc of an LSTM and dL/dh of others */
    double *partial[2];           /* [G][S][strips][pitch] sums of squares of WARP_ROWS rows */
    column_range<real> *range[2]; /* [G][pitch] */

    /* Steps take turns. An index copies the arrays to local memory: there forward kernels would
     * spill. Those of the way back, which read them but once, would spill without it. */
    __device__ real *state_of(int step) const { return step % 2 ? state[1] : state[0]; }
};

/* Scales, radius and sample of the columns of a thread's piece. Those beyond the last column repeat
 * it. */
template <typename real, int GATES> struct piece_columns {
    static constexpr int EACH = per_move<real>();
    real scale[GATES][EACH];
    int radius[EACH];
    int sample[EACH];

    __device__ piece_columns(const problem &p, const arrays<real> &a, int group, int column) {
        const real *scales = a.scale + group * a.scale_stride;
#pragma unroll
        for (int j = 0; j < EACH; ++j) {
            int const some = column + j < p.columns ? column + j : p.columns - 1;
#pragma unroll
            for (int k = 0; k < GATES; ++k) scale[k][j] = scales[some / p.batch * GATES + k];
            radius[j] = some / p.batch;
            sample[j] = some % p.batch;
        }
    }
};

/* ---- forward --------------------------------------------------------------------------------- */

/* Of the history, h_0 after the warm-up and the states that follow: where the state that so many
 * steps of the warm-up and of the recorded ones end with is kept, or NULL. */
template <typename real>
__device__ static real *history_after(const problem &p, const arrays<real> &a,
                                      const step_arrays<real> &s, int steps) {
    int const recorded = steps - p.warmup;
    if (!p.gradients || recorded < 0 || recorded >= p.steps) return NULL;
    return a.history + (size_t)recorded * p.groups * p.hidden * s.pitch;
}

/* h_0 and c_0, and zeros beyond the last column. Marks all columns as finite. */
template <typename real>
__global__ void start_forward_kernel(problem p, arrays<real> a, step_arrays<real> s) {
    size_t const at = (size_t)blockIdx.x * ELEMENTWISE_THREADS + threadIdx.x;
    size_t const sheet = (size_t)p.hidden * s.pitch;
    if (at >= sheet * p.groups) return;
    int const column = (int)(at % s.pitch);
    size_t const group = at / sheet, row = at % sheet / s.pitch;
    size_t const from = group * a.sheet_stride + row * p.batch + column % p.batch;
    real const h = column < p.columns ? a.start[0][from] : (real)0;
    real *const kept = history_after(p, a, s, 0);
    s.state[0][at] = h;
    if (kept) kept[at] = h;
    if (p.states > 1) s.carried[at] = column < p.columns ? a.start[1][from] : (real)0;
    if (at < (size_t)p.groups * p.columns) a.nonfinite[at] = NEVER;
}

/* What a step forward reads and writes of one group. */
template <typename real> struct forward_step {
    int recorded;        /* its number, from 1; 0 in the warm-up */
    const real *drive;   /* [K H][B] */
    const real *inside;  /* [H] of a GRU */
    const real *before;  /* [H][pitch] h_{t-1} */
    real *after, *cells; /* likewise h_t, and c of an LSTM */
    real *kept;          /* coefficients */
    real *history;       /* h_t, or NULL */

    __device__ forward_step(const problem &p, const arrays<real> &a, const step_arrays<real> &s,
                            size_t group, int step)
        : recorded(step < p.warmup ? 0 : step - p.warmup + 1),
          drive(drive_at(p, a, (int)group, step)), inside(a.inside + group * p.hidden) {
        size_t const sheet = (size_t)p.hidden * s.pitch;
        real *const kept_h = history_after(p, a, s, step + 1);
        before = s.state_of(step) + group * sheet;
        after = s.state_of(step + 1) + group * sheet;
        cells = s.carried + group * sheet;
        kept = a.kept + ((size_t)p.kept_sheet(step) * p.groups + group) * p.kept * sheet;
        history = kept_h ? kept_h + group * sheet : NULL;
    }
};

/* h_t of the warp's rows and the thread's piece. `fault` is NaN afterwards in columns with an h
 * that is not finite. */
template <typename real, typename shape, cell_kind KIND, typename Activation>
__device__ static void activate_piece(const problem &p, const arrays<real> &a,
                                      const step_arrays<real> &s, shape at,
                                      const piece_columns<real, 1> &columns, Activation phi,
                                      const forward_step<real> &step, real fault[shape::EACH]) {
    constexpr int each = shape::EACH;
    const real *sums = shape::sums() + at.piece();
    int const first = at.first_row + at.warp_row;
#pragma unroll 2
    for (int i = at.row(); i < WARP_ROWS; i += LANES_DOWN) {
        if (first + i >= p.hidden) break;
        size_t const to = (size_t)(first + i) * s.pitch + at.column();
        real h[each], slope[each], before[each];
        load_some(sums + i * shape::WARP_COLUMNS, h);
        if (KIND == LEAKY) load_some(step.before + to, before);
        const real *u = step.drive + (size_t)(first + i) * p.batch;
#pragma unroll
        for (int j = 0; j < each; ++j) {
            phi(fma(columns.scale[0][j], h[j], u[columns.sample[j]]), &h[j], &slope[j]);
            if (KIND == LEAKY) h[j] = leaked(a, before[j], h[j]);
            if (KIND == LEAKY) slope[j] = leaked_slope(a, slope[j]);
            fault[j] = add_fault(h[j], fault[j]);
        }
        store_some(step.after + to, h);
        if (step.history) store_some(step.history + to, h);
        if (p.sloped()) store_some(step.kept + to, slope);
    }
}

/* The same of a cell with several gates, whose rows are a unit's: a unit at a time. */
template <typename real, typename shape, typename Cell>
__device__ static void step_piece(const problem &p, const step_arrays<real> &s, shape at,
                                  const piece_columns<real, Cell::GATES> &columns,
                                  const forward_step<real> &step, real fault[shape::EACH]) {
    constexpr int each = shape::EACH, units = WARP_ROWS / Cell::SLOTS;
    int const first = (at.first_row + at.warp_row) / Cell::SLOTS;
    size_t const sheet = (size_t)p.hidden * s.pitch;
#pragma unroll 1
    for (int i = at.row(); i < units; i += LANES_DOWN) {
        int const unit = first + i;
        if (unit >= p.hidden) break;
        size_t const to = (size_t)unit * s.pitch + at.column();
        const real *sums = shape::sums() + i * Cell::SLOTS * shape::WARP_COLUMNS + at.piece();
        real sum[Cell::GATES][each], state[Cell::STATES][each], kept[Cell::KEPT][each];
#pragma unroll
        for (int k = 0; k < Cell::GATES; ++k) load_some(sums + k * shape::WARP_COLUMNS, sum[k]);
        load_some(step.before + to, state[0]);
        if (Cell::STATES > 1) load_some(step.cells + to, state[Cell::STATES - 1]);
        real const inside = Cell::INSIDE < 0 ? (real)0 : step.inside[unit];
#pragma unroll
        for (int j = 0; j < each; ++j) {
            real of[Cell::GATES], scale[Cell::GATES], u[Cell::GATES];
            real own[Cell::STATES], coefficients[Cell::KEPT];
            take_column(sum, j, of);
            take_column(columns.scale, j, scale);
            take_column(state, j, own);
#pragma unroll
            for (int k = 0; k < Cell::GATES; ++k)
                u[k] = step.drive[(k * p.hidden + unit) * p.batch + columns.sample[j]];
            step_unit<Cell>(p.raw, of, scale, u, inside, own, coefficients);
#pragma unroll
            for (int k = 0; k < Cell::STATES; ++k) fault[j] = add_fault(own[k], fault[j]);
            put_column(own, j, state);
            put_column(coefficients, j, kept);
        }
        store_some(step.after + to, state[0]);
        if (Cell::STATES > 1) store_some(step.cells + to, state[Cell::STATES - 1]);
        if (step.history) store_some(step.history + to, state[0]);
#pragma unroll
        for (int k = 0; k < Cell::KEPT; ++k) store_some(step.kept + k * sheet + to, kept[k]);
    }
}

/* Ends a step: a column whose state is not finite is noted where the step is recorded. */
template <typename real, typename shape, cell_kind KIND>
__device__ static void activate_tile(const problem &p, const arrays<real> &a,
                                     const step_arrays<real> &s, shape at,
                                     const forward_step<real> &step) {
    using Cell = cell_of_kind<KIND>;
    constexpr int each = shape::EACH;
    if (at.column() >= p.columns) return;
    piece_columns<real, Cell::GATES> const columns(p, a, at.group, at.column());
    real fault[each];
#pragma unroll
    for (int j = 0; j < each; ++j) fault[j] = 0;
    if constexpr (is_gated<KIND>)
        step_piece<real, shape, Cell>(p, s, at, columns, step, fault);
    else
        with_activation(p.cell, p.raw, [&](auto phi) {
            activate_piece<real, shape, KIND>(p, a, s, at, columns, phi, step, fault);
        });
#pragma unroll
    for (int j = 0; j < each; ++j)
        if (step.recorded > 0 && isnan(fault[j]) && at.column() + j < p.columns)
            atomicMin(&a.nonfinite[(size_t)at.group * p.columns + at.column() + j],
                      (unsigned)step.recorded);
}

/* `step` counts from 0 and includes the warm-up; it reads state[step % 2]. */
template <typename real, int TALL, int WIDE, cell_kind KIND>
__global__ void __launch_bounds__(tile<real, TALL, WIDE>::THREADS, tile<real, TALL, WIDE>::RESIDENT)
    stepwise_forward_kernel(problem p, arrays<real> a, step_arrays<real> s, int step) {
    using Cell = cell_of_kind<KIND>;
    using shape = tile<real, TALL, WIDE>;
    shape const at(p.columns, Cell::SLOTS * p.hidden);
    tile_product<real, TALL, WIDE> product(at, a.forward_w, s.state_of(step), s.pitch, p.hidden);
    product.finish(at);
    activate_tile<real, shape, KIND>(p, a, s, at, forward_step<real>(p, a, s, at.group, step));
}

/* ---- backward -------------------------------------------------------------------------------- */

/* The squares of one of a column's states, in rows of WARP_ROWS. */
template <typename real>
__device__ static double sum_strips(const problem &p, const step_arrays<real> &s, int group,
                                    int state, int column, int t) {
    size_t const first = ((size_t)group * p.states + state) * s.strips;
    const double *partial = s.partial[t % 2] + first * s.pitch + column;
    double sum = 0.0;
#pragma unroll 8
    for (int strip = 0; strip < s.strips; ++strip) sum += partial[(size_t)strip * s.pitch];
    return sum;
}

/* Ends step t of a column, whose squares are summed in partial[t % 2]: its range for the step
 * before. The norms go out where `writes`. */
template <typename real>
__device__ static column_range<real> end_step(const problem &p, const arrays<real> &a,
                                              const step_arrays<real> &s, int group, int column,
                                              int t, bool writes) {
    size_t const flat = (size_t)group * s.pitch + column;
    size_t const sheet = (size_t)group * p.steps + t - 1;
    column_range<real> range =
        t == p.steps ? column_range_start(a.own[group]) : s.range[t % 2][flat];
    double norm2 = 0.0; /* of the pair, which has one exponent */
    for (int k = 0; k < p.states; ++k) {
        double const one = sum_strips(p, s, group, k, column, t);
        if (writes) a.norm2[(sheet * p.states + k) * p.columns + column] = one;
        norm2 += one;
    }
    if (writes) a.exponent[sheet * p.columns + column] = range.exponent;
    column_range_update(&range, p.raw, norm2);
    if (writes) s.range[(t + 1) % 2][flat] = range; /* which is that of step t - 1 */
    return range;
}

/* What ends a step needs of the tile's columns, in shared memory behind the sums. */
template <typename real> struct column_terms {
    double *norm_factor;
    real *factor, *own;

    __device__ column_terms(void *base, int columns) {
        norm_factor = (double *)base;
        factor = (real *)(norm_factor + columns);
        own = factor + columns;
    }
};

template <typename real, typename shape>
constexpr size_t bytes_of = shape::BYTES + shape::COLUMNS *(sizeof(double) + 2 * sizeof(real));

/* A thread for each column of the tile; all tiles of a column find the same. */
template <typename real, typename shape>
__device__ static void end_step_before(const problem &p, const arrays<real> &a,
                                       const step_arrays<real> &s, shape at, int t,
                                       const column_terms<real> &terms) {
    static_assert(shape::COLUMNS <= shape::THREADS, "a thread for every column");
    int const i = threadIdx.x, column = at.first_column + i;
    if (i >= shape::COLUMNS || column >= p.columns) return;
    column_range<real> const range =
        t == p.steps ? column_range_start(a.own[at.group])
                     : end_step(p, a, s, at.group, column, t + 1, at.row_tile == 0);
    terms.norm_factor[i] = range.norm_factor;
    terms.factor[i] = range.factor;
    terms.own[i] = range.own;
}

/* What a step back reads and writes of one group. */
template <typename real> struct backward_step {
    bool is_first;    /* delta_T, from the loss */
    const real *loss; /* [H][B] */
    real *kept;       /* coefficients; with gradients q takes their place */
    real *state;      /* [K H][pitch] what the next product multiplies */
    real *carried;    /* [H][pitch] */
    double *partial;  /* [S][strips][pitch] */

    __device__ backward_step(const problem &p, const arrays<real> &a, const step_arrays<real> &s,
                             size_t group, int t)
        : is_first(t == p.steps), loss(a.loss + group * a.sheet_stride) {
        size_t const sheet = (size_t)p.hidden * s.pitch;
        kept = a.kept + ((size_t)(t - 1) * p.groups + group) * p.kept * sheet;
        state = s.state[t % 2] + group * p.gates * sheet;
        carried = s.carried + group * sheet;
        partial = s.partial[t % 2] + group * p.states * s.strips * s.pitch;
    }
};

/* Of a thread's piece, from column_terms. */
template <typename real, int EACH> struct piece_terms {
    real factor[EACH], own[EACH];

    __device__ piece_terms(const problem &p, const column_terms<real> &terms, int column,
                           int local) {
#pragma unroll
        for (int j = 0; j < EACH; ++j) {
            bool const is_real = column + j < p.columns;
            factor[j] = is_real ? terms.factor[local + j] : (real)0;
            own[j] = is_real ? terms.own[local + j] : (real)0;
        }
    }
};

/* sum + delta^2, in a raw pass scaled as its column's norm is. */
template <typename real>
__device__ static double add_square(bool raw, double norm_factor, real delta, double sum) {
    double const x = raw ? (double)delta * norm_factor : (double)delta;
    return fma(x, x, sum);
}

/* delta_t of the warp's rows and the thread's piece: phi' * delta into `state`, which the next
 * product multiplies, and with gradients in the place of the slopes. The rows' squares are summed
 * as each lane meets them. */
template <typename real, typename shape, cell_kind KIND>
__device__ static void gate_piece(const problem &p, const arrays<real> &a,
                                  const step_arrays<real> &s, shape at,
                                  const column_terms<real> &terms, const backward_step<real> &step,
                                  double sum[1][shape::EACH]) {
    constexpr int each = shape::EACH;
    bool const sloped = p.sloped();
    piece_columns<real, 1> const columns(p, a, at.group, at.column());
    const real *sums = shape::sums() + at.piece();
    int const first = at.first_row + at.warp_row, local = at.warp_column + at.piece();
    piece_terms<real, each> const own(p, terms, at.column(), local);
#pragma unroll 4
    for (int i = at.row(); i < WARP_ROWS; i += LANES_DOWN) {
        if (first + i >= p.hidden) break;
        size_t const to = (size_t)(first + i) * s.pitch + at.column();
        real delta[each], passed[each], carried[each];
        if (sloped) load_some(step.kept + to, passed);
        if (!step.is_first) load_some(sums + i * shape::WARP_COLUMNS, delta);
        if (KIND == LEAKY && !step.is_first) load_some(step.carried + to, carried);
#pragma unroll
        for (int j = 0; j < each; ++j) {
            real const rest = KIND == LEAKY && !step.is_first
                                  ? fma(carried[j], own.factor[j], own.own[j])
                                  : own.own[j];
            delta[j] = step.is_first ? step.loss[(size_t)(first + i) * p.batch + columns.sample[j]]
                                     : fma(columns.scale[0][j], delta[j] * own.factor[j], rest);
            sum[0][j] = add_square(p.raw, terms.norm_factor[local + j], delta[j], sum[0][j]);
            real const linear = KIND == LEAKY ? a.leak : (real)1;
            passed[j] = gated(p.selects(), sloped ? passed[j] : linear, delta[j]);
            if (KIND == LEAKY) carried[j] = a.keep * delta[j];
        }
        store_some(step.state + to, passed);
        if (KIND == LEAKY) store_some(step.carried + to, carried);
        if (p.gradients) store_some(step.kept + to, passed);
    }
}

/* The same of a cell with several gates: s_g q_g of all gates into `state`. */
template <typename real, typename shape, typename Cell>
__device__ static void gate_units(const problem &p, const arrays<real> &a,
                                  const step_arrays<real> &s, shape at,
                                  const column_terms<real> &terms, const backward_step<real> &step,
                                  double sum[Cell::STATES][shape::EACH]) {
    constexpr int each = shape::EACH, gates = Cell::GATES;
    piece_columns<real, 1> const columns(p, a, at.group, at.column());
    const real *scales = a.scale + at.group * a.scale_stride; /* too many for registers */
    const real *sums = shape::sums() + at.piece();
    int const first = at.first_row + at.warp_row, local = at.warp_column + at.piece();
    piece_terms<real, each> const own(p, terms, at.column(), local);
    size_t const sheet = (size_t)p.hidden * s.pitch;
#pragma unroll 1
    for (int i = at.row(); i < WARP_ROWS; i += LANES_DOWN) {
        int const unit = first + i;
        if (unit >= p.hidden) break;
        size_t const to = (size_t)unit * s.pitch + at.column();
        real kept[Cell::KEPT][each], product[each] = {}, carried[each] = {};
#pragma unroll
        for (int k = 0; k < Cell::KEPT; ++k) load_some(step.kept + k * sheet + to, kept[k]);
        if (!step.is_first) load_some(sums + i * shape::WARP_COLUMNS, product);
        if (!step.is_first) load_some(step.carried + to, carried);
        real q[gates][each], v[each];
#pragma unroll
        for (int j = 0; j < each; ++j) {
            real delta[Cell::STATES], coefficients[Cell::KEPT], own_q[gates];
            delta_before<Cell>(product[j], carried[j], own.factor[j], own.own[j], delta);
            if (step.is_first) delta[0] = step.loss[unit * p.batch + columns.sample[j]];
#pragma unroll
            for (int k = 0; k < Cell::STATES; ++k)
                sum[k][j] = add_square(p.raw, terms.norm_factor[local + j], delta[k], sum[k][j]);
            take_column(kept, j, coefficients);
            Cell::back(coefficients, delta, own_q, &v[j]);
            carried[j] = delta[Cell::STATES - 1];
            put_column(own_q, j, q);
        }
        store_some(step.carried + to, carried);
        if (p.gradients) {
#pragma unroll
            for (int k = 0; k < gates; ++k) store_some(step.kept + k * sheet + to, q[k]);
            if (Cell::INSIDE >= 0) store_some(step.kept + GRU_V_ROW * sheet + to, v);
        }
#pragma unroll
        for (int k = 0; k < gates; ++k) {
#pragma unroll
            for (int j = 0; j < each; ++j) q[k][j] *= scales[columns.radius[j] * gates + k];
            store_some(step.state + (size_t)(unit * gates + k) * s.pitch + at.column(), q[k]);
        }
    }
}

/* Ends the step to delta_t: squares are summed over the lanes of a column, too. All lanes take
 * part. */
template <typename real, typename shape, cell_kind KIND>
__device__ static void gate_tile(const problem &p, const arrays<real> &a,
                                 const step_arrays<real> &s, shape at,
                                 const column_terms<real> &terms, const backward_step<real> &step) {
    using Cell = cell_of_kind<KIND>;
    constexpr int each = shape::EACH;
    int const strip = (at.first_row + at.warp_row) / WARP_ROWS;
    double sum[Cell::STATES][each] = {};
    if (at.column() < p.columns) {
        if constexpr (is_gated<KIND>)
            gate_units<real, shape, Cell>(p, a, s, at, terms, step, sum);
        else
            gate_piece<real, shape, KIND>(p, a, s, at, terms, step, sum);
    }
#pragma unroll
    for (int k = 0; k < Cell::STATES; ++k)
#pragma unroll
        for (int j = 0; j < each; ++j) {
            double const all = sum[k][j] + __shfl_xor_sync(0xFFFFFFFFu, sum[k][j], LANES_ACROSS);
            if (at.row() == 0 && at.column() + j < p.columns && strip < s.strips)
                step.partial[((size_t)k * s.strips + strip) * s.pitch + at.column() + j] = all;
        }
}

/* delta_t, from the loss at T and from the product of step t + 1 else. It reads state[(t + 1) % 2]
 * and the sums of step t + 1; its own sums go to partial[t % 2]. */
template <typename real, int TALL, int WIDE, cell_kind KIND>
__global__ void __launch_bounds__(tile<real, TALL, WIDE>::THREADS, tile<real, TALL, WIDE>::RESIDENT)
    stepwise_backward_kernel(problem p, arrays<real> a, step_arrays<real> s, int t) {
    using Cell = cell_of_kind<KIND>;
    using shape = tile<real, TALL, WIDE>;
    shape const at(p.columns, p.hidden);
    column_terms<real> const terms((real *)rs_shared + shape::NUMBERS, shape::COLUMNS);
    if (t == p.steps) {
        end_step_before(p, a, s, at, t, terms);
        __syncthreads();
    } else {
        tile_product<real, TALL, WIDE> product(at, a.backward_w, s.state[(t + 1) % 2], s.pitch,
                                               Cell::GATES * p.hidden);
        end_step_before(p, a, s, at, t, terms);
        product.finish(at);
    }
    gate_tile<real, shape, KIND>(p, a, s, at, terms, backward_step<real>(p, a, s, at.group, t));
}

/* The norms of step 1, which no product follows. */
template <typename real>
__global__ void end_backward_kernel(problem p, arrays<real> a, step_arrays<real> s) {
    size_t const at = (size_t)blockIdx.x * ELEMENTWISE_THREADS + threadIdx.x;
    if (at >= (size_t)p.groups * p.columns) return;
    (void)end_step(p, a, s, (int)(at / p.columns), (int)(at % p.columns), 1, true);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t pitch_of(const rs_shape *shape, int each) {
    return rs_size_round_up(rs_size_mul(shape->radii, shape->batch), (uint64_t)each);
}

template <typename real>
static uint64_t sheet(const device_limits *, const rs_shape *shape, size_t rows) {
    uint64_t const all = rs_size_mul(shape->groups, pitch_of(shape, per_move<real>()));
    return rs_size_mul(all, rows);
}

template <typename real>
static trace_strides strides(const device_limits *, const rs_shape *shape, size_t rows) {
    size_t const pitch = (size_t)pitch_of(shape, per_move<real>()), group = rows * pitch;
    return {shape->groups * group, group, 0, pitch, (int)pitch};
}

/* Measures or deals the path's own arrays. */
template <typename real> static step_arrays<real> lay_out(const rs_shape *shape, rs_block *block) {
    uint64_t const pitch = pitch_of(shape, per_move<real>());
    uint64_t const strips = (shape->hidden + WARP_ROWS - 1) / WARP_ROWS;
    uint64_t const all = rs_size_mul(shape->groups, pitch);
    step_arrays<real> s;
    s.pitch = (int)pitch;
    s.strips = (int)strips;
    uint64_t const rows = rs_size_mul(gates_of(shape), shape->hidden);
    uint64_t const sums = rs_size_mul(strips, rs_cell_of(shape->cell)->states);
    bool const carries = gates_of(shape) > 1 || shape->leak > 0.0;
    s.carried = take<real>(block, carries ? rs_size_mul(all, shape->hidden) : 0);
    for (int i = 0; i < 2; ++i) {
        s.state[i] = take<real>(block, rs_size_mul(all, rows));
        s.partial[i] = take<double>(block, rs_size_mul(all, sums));
        s.range[i] = take<column_range<real>>(block, all);
    }
    return s;
}

template <typename real>
static step_arrays<real> arrays_in(const rs_shape *shape, unsigned char *scratch) {
    rs_block block = rs_block_deal(scratch, ALIGNMENT);
    return lay_out<real>(shape, &block);
}

/* ---- launches -------------------------------------------------------------------------------- */

template <typename real>
using step_kernel = void (*)(problem, arrays<real>, step_arrays<real>, int);

/* The kernel of one tile size for either pass. The bits do not depend on it. */
template <typename real> struct step_kernels {
    step_kernel<real> kernel;
    unsigned blocks;
    int threads;
    size_t shared;

    template <int TALL, int WIDE, cell_kind KIND>
    static step_kernels of(const problem &p, bool back) {
        using Cell = cell_of_kind<KIND>;
        using shape = tile<real, TALL, WIDE>;
        int const rows = back ? p.hidden : Cell::SLOTS * p.hidden;
        return {back ? stepwise_backward_kernel<real, TALL, WIDE, KIND>
                     : stepwise_forward_kernel<real, TALL, WIDE, KIND>,
                (unsigned)(shape::tiles_down(rows) * shape::tiles_across(p.columns) * p.groups),
                shape::THREADS, bytes_of<real, shape>};
    }
};

/* Large tiles read each number more often once it is in shared memory; small ones give every
 * processor work. */
template <typename real, cell_kind KIND>
static step_kernels<real> choose_of(const device_limits *limits, const problem &p, bool back) {
    auto const large = step_kernels<real>::template of<4, 2, KIND>(p, back);
    return large.blocks >= (unsigned)limits->processors
               ? large
               : step_kernels<real>::template of<2, 1, KIND>(p, back);
}

template <typename real>
static step_kernels<real> choose(const device_limits *limits, const problem &p, cell_kind kind,
                                 bool back) {
    switch (kind) {
    case LSTM: return choose_of<real, LSTM>(limits, p, back);
    case GRU: return choose_of<real, GRU>(limits, p, back);
    case LEAKY: return choose_of<real, LEAKY>(limits, p, back);
    default: return choose_of<real, PLAIN>(limits, p, back);
    }
}

template <typename real> struct step_launcher {
    cudaStream_t stream;
    problem p;
    arrays<real> a;
    step_arrays<real> s;
    bool back;
    step_kernels<real> kernels;

    step_launcher(const path_context *context, const rs_shape *shape, const arrays<real> &device,
                  bool is_back)
        : stream(context->stream), p(problem_of(shape)), a(device),
          s(arrays_in<real>(shape, device.scratch)), back(is_back),
          kernels(choose<real>(&context->limits, p, kind_of(shape), is_back)) {}

    /* The first launch of a kernel loads it, which may not happen while a stream captures; to ask
     * for its attributes, or set one, loads it too. */
    rs_status load() const {
        cudaFuncAttributes unused;
        CUDA_TRY(cudaFuncSetAttribute((const void *)kernels.kernel,
                                      cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      (int)kernels.shared));
        CUDA_TRY(cudaFuncGetAttributes(&unused, back ? (const void *)end_backward_kernel<real>
                                                     : (const void *)start_forward_kernel<real>));
        return RS_OK;
    }

    static dim3 blocks_for(size_t items) {
        return dim3((unsigned)((items + ELEMENTWISE_THREADS - 1) / ELEMENTWISE_THREADS));
    }
    rs_status step(const char *name, int number) const {
        return launch(name, kernels.kernel, dim3(kernels.blocks), dim3(kernels.threads),
                      kernels.shared, stream, p, a, s, number);
    }
    rs_status forward() const {
        RS_TRY(launch("start_forward_kernel", start_forward_kernel<real>,
                      blocks_for((size_t)p.groups * p.hidden * s.pitch), dim3(ELEMENTWISE_THREADS),
                      0, stream, p, a, s));
        for (int i = 0; i < p.warmup + p.steps; ++i) RS_TRY(step("stepwise_forward_kernel", i));
        return RS_OK;
    }
    rs_status backward() const {
        for (int t = p.steps; t > 0; --t) RS_TRY(step("stepwise_backward_kernel", t));
        return launch("end_backward_kernel", end_backward_kernel<real>,
                      blocks_for((size_t)p.groups * p.columns), dim3(ELEMENTWISE_THREADS), 0,
                      stream, p, a, s);
    }
    rs_status pass() const { return back ? backward() : forward(); }
};

/* ---- graphs ---------------------------------------------------------------------------------- */

/* All that the launches of a pass depend on: each array's place follows from these. */
struct pass_key {
    enum { NUMBERS = 15 };
    uint64_t number[NUMBERS];

    pass_key(const rs_shape *s, const void *memory)
        : number{s->groups,
                 s->radii,
                 s->batch,
                 s->hidden,
                 s->steps,
                 s->warmup,
                 s->transient,
                 s->raw,
                 s->gradients,
                 s->input_size,
                 (uint64_t)s->drive,
                 (uint64_t)s->cell,
                 (uint64_t)s->precision,
                 (uint64_t)(uintptr_t)memory,
                 0} {
        static_assert(sizeof s->leak == sizeof *number, "the last number is the leak");
        memcpy(&number[NUMBERS - 1], &s->leak, sizeof s->leak);
    }
    bool operator==(const pass_key &other) const {
        return memcmp(number, other.number, sizeof number) == 0;
    }
};

/* A pass that has been captured, and what for. */
struct captured {
    cudaGraphExec_t graph;
    pass_key key;
};

struct stepwise_state {
    captured pass[2]; /* forward, backward */
};

template <typename real>
static rs_status record(const path_context *context, const step_launcher<real> &launcher,
                        cudaGraph_t *graph) {
    RS_TRY(launcher.load());
    CUDA_TRY(cudaStreamBeginCapture(context->stream, cudaStreamCaptureModeThreadLocal));
    rs_status const status = launcher.pass();
    cudaError_t const error = cudaStreamEndCapture(context->stream, graph);
    if (status != RS_OK && error == cudaSuccess) (void)cudaGraphDestroy(*graph);
    RS_TRY(status);
    return error == cudaSuccess ? RS_OK : cuda_fail(error, "cudaStreamEndCapture");
}

/* Makes the graph of a pass anew unless it is the one that was made last. */
template <typename real>
static rs_status capture(const path_context *context, const rs_shape *shape, const arrays<real> &a,
                         bool back, captured *kept) {
    pass_key const key(shape, a.forward_w.w);
    if (kept->graph && kept->key == key) return RS_OK;
    if (kept->graph) (void)cudaGraphExecDestroy(kept->graph);
    kept->graph = NULL;
    cudaGraph_t graph;
    RS_TRY(record(context, step_launcher<real>(context, shape, a, back), &graph));
    cudaError_t const error = cudaGraphInstantiate(&kept->graph, graph, 0);
    (void)cudaGraphDestroy(graph);
    if (error != cudaSuccess) {
        kept->graph = NULL;
        return cuda_fail(error, "cudaGraphInstantiate");
    }
    kept->key = key;
    return RS_OK;
}

static void close_stepwise(path_context *context) {
    stepwise_state *state = (stepwise_state *)context->state;
    for (captured const &pass : state->pass)
        if (pass.graph) (void)cudaGraphExecDestroy(pass.graph);
    free(state);
    context->state = NULL;
}

static rs_status make_state(path_context *context) {
    if (context->state) return RS_OK;
    context->state = calloc(1, sizeof(stepwise_state));
    context->close = close_stepwise;
    return context->state ? RS_OK : rs_fail(RS_EMEMORY, "engine cuda: no memory for a graph");
}

template <typename real>
static rs_status run(path_context *context, const rs_shape *shape, const arrays<real> &a,
                     bool back) {
    RS_TRY(make_state(context));
    captured *kept = &((stepwise_state *)context->state)->pass[back];
    RS_TRY(capture(context, shape, a, back, kept));
    CUDA_TRY(cudaGraphLaunch(kept->graph, context->stream));
    return RS_OK;
}

template <typename real>
static rs_status forward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    return run(context, shape, a, false);
}

template <typename real>
static rs_status backward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    return run(context, shape, a, true);
}

static bool takes(const device_limits *limits, const rs_shape *) {
    return bytes_of<double, tile<double, 4, 2>> <= limits->shared_most; /* the most of all */
}

static int padded(const device_limits *, const rs_shape *shape, bool back) {
    size_t const rows = back ? shape->hidden : slots_of(shape) * shape->hidden;
    return (int)rs_size_round_up(rows, per_move<float>());
}

template <typename real> static uint64_t scratch_bytes(const rs_shape *shape) {
    rs_block block = rs_block_measure(ALIGNMENT);
    (void)lay_out<real>(shape, &block);
    return block.used;
}

} // namespace

template <typename real>
const cuda_path<real> cuda_paths<real>::stepwise = {
    "stepwise",          takes,         takes,          padded, sheet<real>, strides<real>,
    scratch_bytes<real>, forward<real>, backward<real>,
};
template const cuda_path<float> cuda_paths<float>::stepwise;
template const cuda_path<double> cuda_paths<double>::stepwise;
