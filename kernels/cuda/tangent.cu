#include "tangent.cuh"

#include "cells.cuh"
#include "check.cuh"
#include "frame.cuh"
#include "memory.cuh"
#include "product.cuh"
#include "triangle.cuh"

namespace {

enum { ELEMENTWISE_THREADS = 256, MOST_FRAME_WARPS = 16, SUM_WARPS = 4 };

/* ---- beginning ------------------------------------------------------------------------------- */

/* Tangent j is unit vector j of the state. */
template <typename real> __global__ void start_tangents_kernel(problem p, tangent_arrays<real> t) {
    size_t const at = (size_t)blockIdx.x * ELEMENTWISE_THREADS + threadIdx.x;
    if (at >= (size_t)p.groups * p.hidden * t.pitch) return;
    int const tangent = (int)(at % t.pitch) % t.width, unit = (int)(at / t.pitch % p.hidden);
    bool const is_real = tangent < t.directions;
    t.h[0][at] = is_real && tangent == unit ? (real)1 : (real)0;
    if (p.states > 1) t.c[at] = is_real && tangent == p.hidden + unit ? (real)1 : (real)0;
}

/* A thread for each number of a column's stretches; of its triangle the diagonal alone is not 0
 * already. */
template <typename real>
__global__ void start_columns_kernel(int columns, rs_shape shape, tangent_arrays<real> t) {
    size_t const at = (size_t)blockIdx.x * ELEMENTWISE_THREADS + threadIdx.x;
    size_t const k = (size_t)t.directions, column = at / k, i = at % k;
    if (column >= (size_t)columns) return;
    if (shape.n_singular > 0) {
        t.product[(column * k + i) * k + i] = 1.0;
        t.log_scale[at] = 0.0;
    }
    if (i > 0) return;
    t.schedule[column] = rs_qr_begin(&shape);
    t.lost[column] = 0;
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* Where a thread's piece of 16 bytes is; all of it is of one column. */
template <typename real, int GATES> struct piece_of_tangents {
    const real *kept;  /* the column's coefficients */
    size_t next;       /* from one row of them to the next */
    size_t first;      /* of unit 0 in h */
    real scale[GATES]; /* s_k */

    __device__ piece_of_tangents(const problem &p, const arrays<real> &a,
                                 const trace_strides &strides, const tangent_arrays<real> &t,
                                 int group, int at, int sheet)
        : next(strides.row), first((size_t)group * p.hidden * t.pitch + at) {
        int const column = at / t.width;
        kept = a.kept + sheet * strides.step + group * strides.group +
               column / strides.width * strides.tile + column % strides.width;
        const real *scales = a.scale + group * a.scale_stride + column / p.batch * GATES;
#pragma unroll
        for (int k = 0; k < GATES; ++k) scale[k] = scales[k];
    }
    __device__ real coefficient(const problem &p, int number, int unit) const {
        return kept[((size_t)number * p.hidden + unit) * next];
    }
};

/* dh' of the warp's units and the thread's piece, of a cell with one gate. */
template <typename real, typename shape, cell_kind KIND>
__device__ static void carry_plain(const problem &p, const arrays<real> &a,
                                   const piece_of_tangents<real, 1> &own, int pitch, shape at,
                                   const real *before, real *after) {
    constexpr int each = shape::EACH;
    const real *sums = shape::sums() + at.piece();
    int const first = at.first_row + at.warp_row;
    for (int i = at.row(); i < WARP_ROWS && first + i < p.hidden; i += LANES_DOWN) {
        size_t const to = own.first + (size_t)(first + i) * pitch;
        real const slope = p.sloped() ? own.coefficient(p, 0, first + i) : a.constant_slope();
        real h[each], stay[each];
        load_some(sums + i * shape::WARP_COLUMNS, h);
        if (KIND == LEAKY) load_some(before + to, stay);
#pragma unroll
        for (int j = 0; j < each; ++j) {
            h[j] = gated(p.selects(), slope, own.scale[0] * h[j]);
            if (KIND == LEAKY) h[j] = fma(a.keep, stay[j], h[j]);
        }
        store_some(after + to, h);
    }
}

/* The same of one tangent of a unit of a cell with several gates: from p_k, and dc or dh before. */
template <typename real>
__device__ static void carry_unit(lstm, const real kept[LSTM_KEPT], const real p[4],
                                  real state[2]) {
    real c = kept[5] * state[1];
    c = fma(kept[RS_LSTM_I], p[RS_LSTM_I], c);
    c = fma(kept[RS_LSTM_F], p[RS_LSTM_F], c);
    c = fma(kept[RS_LSTM_G], p[RS_LSTM_G], c);
    state[0] = fma(kept[4], c, kept[RS_LSTM_O] * p[RS_LSTM_O]);
    state[1] = c;
}

template <typename real>
__device__ static void carry_unit(gru, const real kept[GRU_KEPT], const real p[3], real state[1]) {
    real h = kept[4] * state[0];
    h = fma(kept[RS_GRU_N], kept[GRU_V_ROW] * p[RS_GRU_N], h);
    h = fma(kept[RS_GRU_R], p[RS_GRU_R], h);
    state[0] = fma(kept[RS_GRU_Z], p[RS_GRU_Z], h);
}

template <typename real, typename shape, typename Cell>
__device__ static void carry_gated(const problem &p, const tangent_arrays<real> &t,
                                   const piece_of_tangents<real, Cell::GATES> &own, shape at,
                                   const real *before, real *after) {
    constexpr int each = shape::EACH, units = WARP_ROWS / Cell::SLOTS;
    int const first = (at.first_row + at.warp_row) / Cell::SLOTS;
#pragma unroll 1
    for (int i = at.row(); i < units && first + i < p.hidden; i += LANES_DOWN) {
        size_t const to = own.first + (size_t)(first + i) * t.pitch;
        const real *sums = shape::sums() + i * Cell::SLOTS * shape::WARP_COLUMNS + at.piece();
        real change[Cell::GATES][each], state[Cell::STATES][each], kept[Cell::KEPT];
#pragma unroll
        for (int k = 0; k < Cell::KEPT; ++k) kept[k] = own.coefficient(p, k, first + i);
#pragma unroll
        for (int k = 0; k < Cell::GATES; ++k) load_some(sums + k * shape::WARP_COLUMNS, change[k]);
        load_some(before + to, state[0]);
        if (Cell::STATES > 1) load_some(t.c + to, state[Cell::STATES - 1]);
#pragma unroll
        for (int j = 0; j < each; ++j) {
            real product[Cell::GATES], one[Cell::STATES];
            take_column(change, j, product);
            take_column(state, j, one);
#pragma unroll
            for (int k = 0; k < Cell::GATES; ++k) product[k] *= own.scale[k];
            carry_unit(Cell(), kept, product, one);
            put_column(one, j, state);
        }
        store_some(after + to, state[0]);
        if (Cell::STATES > 1) store_some(t.c + to, state[Cell::STATES - 1]);
    }
}

/* Takes all tangents along the step whose coefficients are in that sheet, from 0: they are in
 * h[sheet % 2] before it. */
template <typename real, int TALL, int WIDE, cell_kind KIND>
__global__ void __launch_bounds__(tile<real, TALL, WIDE>::THREADS, tile<real, TALL, WIDE>::RESIDENT)
    carry_kernel(problem p, arrays<real> a, trace_strides kept, tangent_arrays<real> t, int sheet) {
    using Cell = cell_of_kind<KIND>;
    using shape = tile<real, TALL, WIDE>;
    shape const at(t.pitch, Cell::SLOTS * p.hidden);
    real *const before = sheet % 2 ? t.h[1] : t.h[0], *const after = sheet % 2 ? t.h[0] : t.h[1];
    tile_product<real, TALL, WIDE> product(at, a.forward_w, before, t.pitch, p.hidden);
    product.finish(at);
    if (at.column() >= t.pitch) return;
    piece_of_tangents<real, Cell::GATES> const own(p, a, kept, t, at.group, at.column(), sheet);
    if constexpr (is_gated<KIND>)
        carry_gated<real, shape, Cell>(p, t, own, at, before, after);
    else
        carry_plain<real, shape, KIND>(p, a, own, t.pitch, at, before, after);
}

/* ---- QR -------------------------------------------------------------------------------------- */

template <typename real>
__device__ static block_frame frame_of(const tangent_arrays<real> &t, size_t column) {
    size_t const k = (size_t)t.directions, first = column * k;
    return {t.rows, t.directions, t.frame + first * t.rows, t.tau + first, t.sign + first};
}

template <typename real>
__device__ static block_triangle product_of(const tangent_arrays<real> &t, size_t column) {
    size_t const k = (size_t)t.directions, first = column * k;
    return {t.directions, t.product + first * k, t.log_scale + first, t.factor + first};
}

/* Number `row` of tangent j in the rows of h or of c. */
template <typename real>
__device__ static real *tangent_at(const problem &p, const tangent_arrays<real> &t, real *h,
                                   size_t column, int row, int j) {
    size_t const group = column / p.columns, unit = (size_t)(row % p.hidden);
    real *const sheet = row < p.hidden ? h : t.c;
    return sheet + (group * p.hidden + unit) * t.pitch + column % p.columns * t.width + j;
}

/* Threads of the block go through all numbers of a frame, neighbours to neighbours in a row. */
template <typename Work> __device__ static void for_each_number(const block_frame &f, Work work) {
    for (int i = threadIdx.x; i < f.rows * f.k; i += blockDim.x) work(i / f.k, i % f.k);
}

/* From the rows; `fault` becomes 1 where a number is not finite. */
template <typename real>
__device__ static void load_frame(const problem &p, const tangent_arrays<real> &t,
                                  const block_frame &f, real *h, size_t column, int *fault) {
    bool bad = false;
    for_each_number(f, [&](int row, int j) {
        real const x = *tangent_at(p, t, h, column, row, j);
        f.tangent(j)[row] = (double)x;
        bad = bad || !isfinite(x);
    });
    if (bad) atomicMax(fault, 1);
}

template <typename real>
__device__ static void store_frame(const problem &p, const tangent_arrays<real> &t,
                                   const block_frame &f, real *h, size_t column) {
    for_each_number(f, [&](int row, int j) {
        *tangent_at(p, t, h, column, row, j) = (real)(f.sign[j] * f.tangent(j)[row]);
    });
}

/* Warp 0: the schedule takes note of ln R_ii. */
template <typename real>
__device__ static void note_qr(const rs_shape &shape, const tangent_arrays<real> &t, size_t column,
                               bool finite, size_t step) {
    const double *log_r = t.log_r + column * t.directions;
    double most = -INFINITY, least = INFINITY;
    for (int i = lane_of_thread(); i < t.directions; i += FRAME_LANES) {
        most = fmax(most, log_r[i]);
        least = fmin(least, log_r[i]);
    }
    most = warp_most(most);
    least = -warp_most(-least);
    if (lane_of_thread() > 0) return;
    if (!finite) most = least = NAN;
    rs_qr_note(&t.schedule[column], &shape, t.singular_at, step, least, most);
}

/* Adds ln R_ii to the block of recorded steps that is going on, and R to the product. */
template <typename real>
__device__ static void add_triangle(const rs_shape &shape, const tangent_arrays<real> &t,
                                    const block_frame &f, size_t column) {
    const rs_qr_schedule *s = &t.schedule[column];
    size_t const k = (size_t)t.directions, block = column * RS_STRETCH_BLOCKS + s->block;
    for (size_t i = threadIdx.x; i < k; i += blockDim.x)
        t.stretch[block * k + i] += t.log_r[column * k + i];
    if (s->value < shape.n_singular) product_of(t, column).multiply(f);
}

/* A block for each column whose QR is due after the step. */
template <typename real>
__global__ void __launch_bounds__(MOST_FRAME_WARPS *FRAME_LANES)
    qr_kernel(problem p, rs_shape shape, tangent_arrays<real> t, size_t step) {
    __shared__ int fault;
    size_t const column = blockIdx.x;
    if (!rs_qr_is_due(&t.schedule[column], &shape, t.singular_at, step)) return;
    if (threadIdx.x == 0) fault = t.lost[column];
    __syncthreads();
    block_frame const f = frame_of(t, column);
    real *const h = step % 2 ? t.h[1] : t.h[0];
    load_frame(p, t, f, h, column, &fault);
    __syncthreads();
    bool const finite = fault == 0;
    if (finite) {
        f.triangle(t.log_r + column * t.directions);
        if (step > shape.transient) add_triangle(shape, t, f, column);
        f.orthonormal();
        store_frame(p, t, f, h, column);
    } else if (threadIdx.x == 0) {
        t.lost[column] = 1;
    }
    __syncthreads(); /* all have read the schedule */
    if (warp_of_thread() == 0) note_qr(shape, t, column, finite, step);
}

/* Singular values of the product so far, as number `value` of those that are asked for. */
template <typename real>
__global__ void __launch_bounds__(MOST_FRAME_WARPS *FRAME_LANES, 1)
    singular_kernel(rs_shape shape, tangent_arrays<real> t, size_t value) {
    __shared__ int moved;
    size_t const column = blockIdx.x, k = (size_t)t.directions, first = column * k;
    block_triangle const from = product_of(t, column);
    block_triangle const to = {from.n, t.rotated + first * k, t.rotated_scale + first, NULL};
    for (size_t i = threadIdx.x; i < k * k; i += blockDim.x) to.u[i] = from.u[i];
    for (size_t i = threadIdx.x; i < k; i += blockDim.x) to.log_scale[i] = from.log_scale[i];
    __syncthreads();
    to.singular_values(&moved);
    __syncthreads();
    double *const out = t.singular + (column * shape.n_singular + value) * k;
    for (size_t i = threadIdx.x; i < k; i += blockDim.x) out[i] = to.log_scale[i];
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* Of the block's threads, to all of them: lanes first, then warps in their order. */
__device__ static double block_sum(double x, double of_warp[SUM_WARPS]) {
    double const sum = warp_sum(x);
    if (lane_of_thread() == 0) of_warp[warp_of_thread()] = sum;
    __syncthreads();
    double all = 0.0;
    for (int i = 0; i < SUM_WARPS; ++i) all += of_warp[i];
    return all;
}

/* The thread's part of the sum of ln phi' over recorded steps and units of a column. */
template <typename real>
__device__ static double sum_of_logs(const problem &p, const arrays<real> &a,
                                     const trace_strides &strides, size_t column) {
    int const group = (int)(column / p.columns), own = (int)(column % p.columns);
    const real *kept = a.kept + p.transient * strides.step + group * strides.group +
                       own / strides.width * strides.tile + own % strides.width;
    double sum = 0.0;
    for (int step = 0; step < p.steps; ++step)
        for (int unit = threadIdx.x; unit < p.hidden; unit += blockDim.x)
            sum += log((double)kept[step * strides.step + unit * strides.row]);
    return sum;
}

__device__ static void fill_numbers(double *to, size_t count, double x) {
    for (size_t i = threadIdx.x; i < count; i += blockDim.x) to[i] = x;
}

/* What is known of a column only at the end. One that is not finite has NaN throughout. */
template <typename real>
__global__ void finish_kernel(problem p, rs_shape shape, bool has_slopes, arrays<real> a,
                              trace_strides kept, tangent_arrays<real> t) {
    __shared__ double of_warp[SUM_WARPS];
    size_t const column = blockIdx.x, k = (size_t)t.directions;
    bool const known = a.nonfinite[column] == NEVER && t.lost[column] == 0;
    double sum = known && has_slopes ? 0.0 : NAN;
    if (known && has_slopes && p.sloped())
        sum = block_sum(sum_of_logs(p, a, kept, column), of_warp);
    if (threadIdx.x == 0) {
        t.log_slope[column] = sum / ((double)p.hidden * p.steps);
        t.qr_gap[column] = (unsigned)t.schedule[column].most;
    }
    if (known) return;
    fill_numbers(t.stretch + column * RS_STRETCH_BLOCKS * k, rs_stretch_blocks(shape.steps) * k,
                 NAN);
    fill_numbers(t.singular + column * shape.n_singular * k, shape.n_singular * k, NAN);
}

/* ---- launches -------------------------------------------------------------------------------- */

template <typename real>
using carry = void (*)(problem, arrays<real>, trace_strides, tangent_arrays<real>, int);

template <typename real> struct carry_launch {
    carry<real> kernel;
    unsigned blocks;
    int threads;
    size_t shared;

    template <int TALL, int WIDE, cell_kind KIND>
    static carry_launch of(const problem &p, const tangent_arrays<real> &t) {
        using shape = tile<real, TALL, WIDE>;
        int const rows = cell_of_kind<KIND>::SLOTS * p.hidden;
        return {carry_kernel<real, TALL, WIDE, KIND>,
                (unsigned)(shape::tiles_down(rows) * shape::tiles_across(t.pitch) * p.groups),
                shape::THREADS, shape::BYTES};
    }
};

template <typename real, cell_kind KIND>
carry_launch<real> choose_of(const device_limits *limits, const problem &p,
                             const tangent_arrays<real> &t) {
    using launch_of = carry_launch<real>;
    launch_of const large = launch_of::template of<4, 2, KIND>(p, t);
    return large.blocks >= (unsigned)limits->processors ? large
                                                        : launch_of::template of<2, 1, KIND>(p, t);
}

template <typename real>
carry_launch<real> choose(const device_limits *limits, const problem &p, cell_kind kind,
                          const tangent_arrays<real> &t) {
    switch (kind) {
    case LSTM: return choose_of<real, LSTM>(limits, p, t);
    case GRU: return choose_of<real, GRU>(limits, p, t);
    case LEAKY: return choose_of<real, LEAKY>(limits, p, t);
    default: return choose_of<real, PLAIN>(limits, p, t);
    }
}

/* All launches of a piece's way. */
template <typename real> struct course {
    tangent_way way;
    const rs_shape *shape;
    problem p;
    arrays<real> a;
    trace_strides kept;
    tangent_arrays<real> t;
    carry_launch<real> carry;

    dim3 columns() const { return dim3((unsigned)(p.groups * p.columns)); }
    dim3 frame_threads() const {
        int const warps = t.directions < MOST_FRAME_WARPS ? t.directions : (int)MOST_FRAME_WARPS;
        return dim3((unsigned)(warps * FRAME_LANES));
    }
    static dim3 blocks_for(size_t items) {
        return dim3((unsigned)((items + ELEMENTWISE_THREADS - 1) / ELEMENTWISE_THREADS));
    }

    rs_status clear(double *to, size_t count) const {
        CUDA_TRY(cudaMemsetAsync(to, 0, count * sizeof *to, way.stream));
        return RS_OK;
    }

    rs_status start() const {
        size_t const all = (size_t)p.groups * p.columns, k = shape->directions;
        CUDA_TRY(cudaFuncSetAttribute((const void *)carry.kernel,
                                      cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      (int)carry.shared));
        RS_TRY(clear(t.stretch, all * RS_STRETCH_BLOCKS * k));
        if (shape->n_singular > 0) RS_TRY(clear(t.product, all * k * k));
        RS_TRY(launch("start_columns_kernel", start_columns_kernel<real>, blocks_for(all * k),
                      dim3(ELEMENTWISE_THREADS), 0, way.stream, (int)all, *shape, t));
        return launch("start_tangents_kernel", start_tangents_kernel<real>,
                      blocks_for((size_t)p.groups * p.hidden * t.pitch), dim3(ELEMENTWISE_THREADS),
                      0, way.stream, p, t);
    }

    /* QR of the columns that are due after the step, and of all the singular values that are. */
    rs_status orthonormalise(size_t step, size_t *value) const {
        RS_TRY(launch("qr_kernel", qr_kernel<real>, columns(), frame_threads(), 0, way.stream, p,
                      *shape, t, step));
        if (*value == shape->n_singular || step != shape->transient + shape->singular_at[*value])
            return RS_OK;
        return launch("singular_kernel", singular_kernel<real>, columns(), frame_threads(), 0,
                      way.stream, *shape, t, (*value)++);
    }

    rs_status steps() const {
        size_t value = 0;
        for (size_t step = 1; step <= shape->transient + shape->steps; ++step) {
            RS_TRY(launch("carry_kernel", carry.kernel, dim3(carry.blocks), dim3(carry.threads),
                          carry.shared, way.stream, p, a, kept, t, (int)step - 1));
            RS_TRY(way.clock->start(way.stream, way.qr_seconds));
            RS_TRY(orthonormalise(step, &value));
            RS_TRY(way.clock->stop(way.stream));
        }
        return RS_OK;
    }

    rs_status finish() const {
        return launch("finish_kernel", finish_kernel<real>, columns(),
                      dim3(SUM_WARPS * FRAME_LANES), 0, way.stream, p, *shape, rs_has_slopes(shape),
                      a, kept, t);
    }
};

} // namespace

template <typename real> tangent_arrays<real> tangent_deal(const rs_shape *shape, rs_block *block) {
    tangent_arrays<real> t = {};
    uint64_t const k = shape->directions, states = rs_cell_of(shape->cell)->states;
    uint64_t const columns = rs_size_mul(shape->groups, rs_size_mul(shape->radii, shape->batch));
    uint64_t const width = rs_size_round_up(k, per_move<real>()), rows = states * shape->hidden;
    uint64_t const all = rs_size_mul(columns, k), square = rs_size_mul(all, k);
    uint64_t const sheet = rs_size_mul(rs_size_mul(columns, width), shape->hidden);
    bool const has_values = shape->n_singular > 0;
    t.directions = (int)k;
    t.rows = (int)rows;
    t.width = (int)width;
    t.pitch = (int)(shape->radii * shape->batch * width);
    for (int i = 0; i < 2; ++i) t.h[i] = take<real>(block, sheet);
    t.c = take<real>(block, states > 1 ? sheet : 0);
    t.frame = take<double>(block, rs_size_mul(all, rows));
    t.tau = take<double>(block, all);
    t.sign = take<double>(block, all);
    t.log_r = take<double>(block, all);
    t.schedule = take<rs_qr_schedule>(block, columns);
    t.lost = take<int>(block, columns);
    t.singular_at = take<size_t>(block, shape->n_singular);
    t.product = take<double>(block, has_values ? square : 0);
    t.rotated = take<double>(block, has_values ? square : 0);
    t.log_scale = take<double>(block, has_values ? all : 0);
    t.rotated_scale = take<double>(block, has_values ? all : 0);
    t.factor = take<double>(block, has_values ? all : 0);
    t.stretch = take<double>(block, rs_size_mul(all, RS_STRETCH_BLOCKS));
    t.qr_gap = take<unsigned>(block, columns);
    t.log_slope = take<double>(block, columns);
    t.singular = take<double>(block, rs_size_mul(all, shape->n_singular));
    return t;
}

template <typename real>
rs_status tangent_send(channel *c, const rs_shape *shape, const tangent_arrays<real> &t) {
    size_t const bytes = shape->n_singular * sizeof *shape->singular_at;
    return send_rows(c, shape->singular_at, bytes, bytes, 1, t.singular_at);
}

template <typename real>
rs_status tangent_run(const tangent_way &way, const rs_shape *shape, const arrays<real> &a,
                      const trace_strides &kept, const tangent_arrays<real> &t) {
    problem const p = problem_of(shape);
    course<real> const c = {
        way, shape, p, a, kept, t, choose<real>(way.limits, p, kind_of(shape), t)};
    RS_TRY(c.start());
    RS_TRY(c.steps());
    return c.finish();
}

#define INSTANTIATE(real)                                                                          \
    template tangent_arrays<real> tangent_deal(const rs_shape *, rs_block *);                      \
    template rs_status tangent_send(channel *, const rs_shape *, const tangent_arrays<real> &);    \
    template rs_status tangent_run(const tangent_way &, const rs_shape *, const arrays<real> &,    \
                                   const trace_strides &, const tangent_arrays<real> &);
INSTANTIATE(float)
INSTANTIATE(double)
