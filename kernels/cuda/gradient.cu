#include "gradient.cuh"

#include "cells.cuh"
#include "check.cuh"
#include "math.cuh"
#include "memory.cuh"
#include "move.cuh"

#include <initializer_list>
#include <limits.h>

namespace {

enum { THREADS = 256, WARP = 32 };

/* Rows and columns of a sum that a thread adds up where it has them for itself. */
enum { LANE_ROWS = 8, LANE_COLUMNS = 4 };

/* A block's part of a sum, for batches of so many samples and more: TILE x TILE, of which a thread
 * has EACH x EACH, and DEPTH terms at a time. */
enum { TILE = 64, EACH = 4, ACROSS = TILE / EACH, DEPTH = 16, PITCH = TILE + EACH };

/* The magnitude of zeros. */
const int NOTHING = INT_MIN;

/* One factor of a sum's terms: q_t, v_t, h_{t-1}, x_t, or 1. A column for each of the piece's, or
 * for each sample alone. */
template <typename real> struct factor {
    const real *numbers; /* NULL: ones */
    trace_strides strides;
    int *size; /* [G][T][columns] */
    int rows, columns;
    bool by_sample;
    int jump_at, jump; /* row jump_at and those behind it are so many rows further on: v_t of a
                          GRU's candidate is */

    __device__ size_t row(int i) const {
        return (size_t)(i < jump_at ? i : i + jump) * strides.row;
    }
};

/* A kind of sum: of the gates' factor times the other one, transposed. */
template <typename real> struct terms {
    int groups, radii, batch, steps;
    bool raw;
    factor<real> q, v;   /* the gates': dL/dp or dL/du; and the other */
    const int *exponent; /* [G][T][columns] of the gates' */
    int *largest;        /* [G][R] */
    scaled_square *partial;
};

/* ---- where a factor is ----------------------------------------------------------------------- */

/* A column's place in the rows of a trace, which may be cut into tiles. */
struct column_place {
    size_t offset;
    int within; /* its tile */

    __device__ column_place(const trace_strides &s, int column)
        : offset(column / s.width * s.tile + column % s.width), within(column % s.width) {}

    __device__ void advance(const trace_strides &s) {
        ++offset;
        if (++within < s.width) return;
        offset += s.tile - s.width;
        within = 0;
    }
};

/* First column of a radius. */
template <typename real>
__device__ static int first_column(const factor<real> &f, int radius, int batch) {
    return f.by_sample ? 0 : radius * batch;
}

template <typename real>
__device__ static const real *step_of(const factor<real> &f, int group, int step) {
    return f.numbers + group * f.strides.group + step * f.strides.step;
}

/* Of the numbers of a column; of ones it is 0. */
template <typename real>
__device__ static int size_of(const factor<real> &f, int steps, int group, int step, int column) {
    return f.numbers ? f.size[((size_t)group * steps + step) * f.columns + column] : 0;
}

/* ---- scales ---------------------------------------------------------------------------------- */

template <typename real> struct exponents;
template <> struct exponents<float> {
    enum { LEAST = -126, MOST = 127 };
};
template <> struct exponents<double> {
    enum { LEAST = -1022, MOST = 1023 };
};

/* Powers of two for the factors of a term. */
template <typename real> struct term_scale { real q, v; };

__device__ static int clamped(int x, int least, int most) {
    return x < least ? least : x > most ? most : x;
}

/* Their product is 2^sum unless the term is far too small to count; q is brought near 1. */
template <typename real> __device__ static term_scale<real> split(int sum, int q_size) {
    int const least = exponents<real>::LEAST, most = exponents<real>::MOST;
    int const q = clamped(-q_size, least, most), v = clamped(sum - q, least, most);
    int const rest = clamped(sum - v, least, most);
    return {power_of_two((real)1, rest), power_of_two((real)1, v)};
}

/* Of the term of a step and column: `q_column` of q, `v_column` of v. */
template <typename real>
__device__ static term_scale<real> scale_of(const terms<real> &s, int group, int radius, int step,
                                            int q_column, int v_column) {
    if (s.raw) return {1, 1};
    int const q = size_of(s.q, s.steps, group, step, q_column);
    int const v = size_of(s.v, s.steps, group, step, v_column);
    if (q == NOTHING || v == NOTHING) return {1, 1};
    int const exponent = s.exponent[((size_t)group * s.steps + step) * s.q.columns + q_column];
    return split<real>(exponent - s.largest[(size_t)group * s.radii + radius], q);
}

/* ---- magnitudes ------------------------------------------------------------------------------ */

/* Of the largest finite number of each column, as a power of two. */
template <typename real> __global__ void size_kernel(factor<real> f, int groups, int steps) {
    size_t const at = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (at >= (size_t)groups * steps * f.columns) return;
    int const column = (int)(at % f.columns), step = (int)(at / f.columns % steps);
    int const group = (int)(at / f.columns / steps);
    const real *x = step_of(f, group, step) + column_place(f.strides, column).offset;
    real largest = 0;
    bool any = false;
    for (int i = 0; i < f.rows; ++i) {
        real const size = fabs(x[f.row(i)]);
        any = any || size != 0;
        if (isfinite(size) && size > largest) largest = size;
    }
    f.size[at] = largest > 0 ? ilogb(largest) : any ? 0 : NOTHING;
}

/* A warp for each radius. */
template <typename real> __global__ void largest_kernel(terms<real> s) {
    int const item = (int)(blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP);
    if (item >= s.groups * s.radii) return;
    int const group = item / s.radii, radius = item % s.radii, lane = threadIdx.x % WARP;
    int const q_first = first_column(s.q, radius, s.batch);
    int const v_first = first_column(s.v, radius, s.batch);
    int most = NOTHING;
    for (int k = lane; k < s.steps * s.batch; k += WARP) {
        int const step = k / s.batch, sample = k % s.batch;
        int const q = size_of(s.q, s.steps, group, step, q_first + sample);
        int const v = size_of(s.v, s.steps, group, step, v_first + sample);
        if (q == NOTHING || v == NOTHING) continue;
        int const size =
            q + v + s.exponent[((size_t)group * s.steps + step) * s.q.columns + q_first + sample];
        most = size > most ? size : most;
    }
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2) {
        int const other = __shfl_xor_sync(0xFFFFFFFFu, most, lanes);
        most = other > most ? other : most;
    }
    if (lane == 0) s.largest[item] = most;
}

/* ---- squares --------------------------------------------------------------------------------- */

__device__ static scaled_square add(scaled_square a, scaled_square b) {
    if (b.sum == 0.0) return a;
    if (a.sum == 0.0) return b;
    int const most = a.exponent > b.exponent ? a.exponent : b.exponent;
    return {ldexp(a.sum, 2 * (a.exponent - most)) + ldexp(b.sum, 2 * (b.exponent - most)), most};
}

/* Of the first rows and columns of a part of a sum, brought near 1. The others are no part of it,
 * and need not be 0: 0 times inf is NaN. */
template <typename real, int ROWS, int COLUMNS>
__device__ static scaled_square square_of(const real x[ROWS][COLUMNS], int rows, int columns) {
    real largest = 0;
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
            if (i < rows && j < columns && isfinite(x[i][j]) && fabs(x[i][j]) > largest)
                largest = fabs(x[i][j]);
    scaled_square s = {0.0, largest > 0 ? ilogb(largest) : 0};
    int const half = -s.exponent / 2; /* the whole may be no number of its own */
    double const first = power_of_two(1.0, half), second = power_of_two(1.0, -s.exponent - half);
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) {
            double const near_one = (double)x[i][j] * first * second;
            if (i < rows && j < columns) s.sum = fma(near_one, near_one, s.sum);
        }
    return s;
}

/* ---- sums, a thread for each part ------------------------------------------------------------ */

static uint64_t parts_of(uint64_t rows, uint64_t columns, uint64_t part_rows,
                         uint64_t part_columns) {
    return rs_size_mul((rows + part_rows - 1) / part_rows,
                       (columns + part_columns - 1) / part_columns);
}

/* A part of a sum: [G][parts][R], so that threads of neighbouring radii read neighbouring columns.
 */
struct part_place {
    int group, radius, row, column; /* its first */

    template <typename real>
    __device__ part_place(const terms<real> &s, size_t item, int rows, int columns) {
        int const across = (s.v.rows + columns - 1) / columns;
        int const down = (s.q.rows + rows - 1) / rows;
        int const part = (int)(item / s.radii % ((size_t)across * down));
        radius = (int)(item % s.radii);
        group = (int)(item / s.radii / ((size_t)across * down));
        row = part / across * rows;
        column = part % across * columns;
    }
};

/* N of a column's numbers, from row `first` on: 0 beyond its last. */
template <typename real, int N>
__device__ static void load_rows(const factor<real> &f, int group, int step, size_t offset,
                                 int first, real scale, real to[N]) {
    size_t const pitch = f.numbers ? f.strides.row : 0;
    const real *from = f.numbers ? step_of(f, group, step) + offset + f.row(first) : NULL;
#pragma unroll
    for (int i = 0; i < N; ++i) {
        bool const is_real = first + i < f.rows;
        to[i] = !is_real ? (real)0 : from ? *from * scale : scale;
        from += first + i + 1 == f.jump_at ? (f.jump + 1) * pitch : pitch;
    }
}

template <typename real, int COLUMNS>
__global__ void __launch_bounds__(THREADS, 2) lane_sum_kernel(terms<real> s, size_t items) {
    size_t const item = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (item >= items) return;
    part_place const at(s, item, LANE_ROWS, COLUMNS);
    int const q_first = first_column(s.q, at.radius, s.batch);
    int const v_first = first_column(s.v, at.radius, s.batch);
    real sum[LANE_ROWS][COLUMNS] = {};
    for (int step = 0; step < s.steps; ++step) {
        column_place q_at(s.q.strides, q_first), v_at(s.v.strides, v_first);
#pragma unroll 1
        for (int sample = 0; sample < s.batch; ++sample) {
            term_scale<real> const scale =
                scale_of(s, at.group, at.radius, step, q_first + sample, v_first + sample);
            real q[LANE_ROWS], v[COLUMNS];
            load_rows<real, LANE_ROWS>(s.q, at.group, step, q_at.offset, at.row, scale.q, q);
            load_rows<real, COLUMNS>(s.v, at.group, step, v_at.offset, at.column, scale.v, v);
#pragma unroll
            for (int i = 0; i < LANE_ROWS; ++i)
#pragma unroll
                for (int j = 0; j < COLUMNS; ++j) sum[i][j] = fma(q[i], v[j], sum[i][j]);
            q_at.advance(s.q.strides);
            v_at.advance(s.v.strides);
        }
    }
    s.partial[item] =
        square_of<real, LANE_ROWS, COLUMNS>(sum, s.q.rows - at.row, s.v.rows - at.column);
}

/* ---- sums, a block for each part ------------------------------------------------------------- */

/* DEPTH terms in shared memory, and the threads' places in their product:
 *
 *                v  [DEPTH][PITCH]                  threads
 *               +------------------+--+             +-----+-----+-- .. --+-----+
 *     term 0    | TILE numbers     |  |  4 columns  |  0  |  1  |        |  15 |  4 rows each
 *     ..        |                  |  |  each       +-----+-----+-- .. --+-----+
 *     term 15   |                  |  |             |  16 |  17 |        |  31 |
 *               +------------------+--+             +-----+-----+-- .. --+-----+
 *     q likewise
 *
 * A thread brings EACH numbers of q and as many of v, all of one term: of neighbouring threads
 * those of neighbouring terms, which are neighbours in memory. */
template <typename real> struct term_stage { real q[DEPTH][PITCH], v[DEPTH][PITCH]; };

template <typename real>
__device__ static void bring_factor(const factor<real> &f, int group, int step, int column,
                                    bool is_real, int first, real scale, real to[PITCH]) {
    const real *from = step_of(f, group, step) + column_place(f.strides, column).offset;
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        int const row = (int)threadIdx.x / DEPTH + i * (THREADS / DEPTH);
        to[row] = is_real && first + row < f.rows ? from[f.row(first + row)] * scale : (real)0;
    }
}

/* Term k of the radius is that of sample k % batch at step k / batch; there are zeros behind the
 * last one. */
template <typename real>
__device__ static void bring_term(const terms<real> &s, const part_place &at, int first,
                                  term_stage<real> &to) {
    int const term = threadIdx.x % DEPTH, k = first + term;
    bool const is_real = k < s.steps * s.batch;
    int const step = is_real ? k / s.batch : 0, sample = is_real ? k % s.batch : 0;
    int const q = first_column(s.q, at.radius, s.batch) + sample;
    int const v = first_column(s.v, at.radius, s.batch) + sample;
    term_scale<real> const scale = scale_of(s, at.group, at.radius, step, q, v);
    bring_factor(s.q, at.group, step, q, is_real, at.row, scale.q, to.q[term]);
    bring_factor(s.v, at.group, step, v, is_real, at.column, scale.v, to.v[term]);
}

/* The squares of all threads, in a fixed order, to thread 0. */
__device__ static scaled_square add_over_block(scaled_square own) {
    __shared__ scaled_square of[THREADS];
    of[threadIdx.x] = own;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half) of[threadIdx.x] = add(of[threadIdx.x], of[threadIdx.x + half]);
    }
    return of[threadIdx.x];
}

template <typename real> __global__ void __launch_bounds__(THREADS) tile_sum_kernel(terms<real> s) {
    __shared__ __align__(16) term_stage<real> stage;
    part_place const at(s, blockIdx.x, TILE, TILE);
    int const row = threadIdx.x / ACROSS * EACH, column = threadIdx.x % ACROSS * EACH;
    real sum[EACH][EACH] = {};
    for (int first = 0; first < s.steps * s.batch; first += DEPTH) {
        bring_term(s, at, first, stage);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < DEPTH; ++k) {
            real q[EACH], v[EACH];
            load<real, EACH>(stage.q[k] + row, q);
            load<real, EACH>(stage.v[k] + column, v);
#pragma unroll
            for (int i = 0; i < EACH; ++i)
#pragma unroll
                for (int j = 0; j < EACH; ++j) sum[i][j] = fma(q[i], v[j], sum[i][j]);
        }
        __syncthreads(); /* before the next terms come */
    }
    scaled_square const all = add_over_block(
        square_of<real, EACH, EACH>(sum, s.q.rows - at.row - row, s.v.rows - at.column - column));
    if (threadIdx.x == 0) s.partial[blockIdx.x] = all;
}

/* ---- norms ----------------------------------------------------------------------------------- */

/* Parts of each kind of sum, 0 where there is no such sum, and where its norm is found. */
struct part_counts {
    int of[RS_N_GRADIENT];
    rs_gradient bias_ih; /* RS_BIAS_HH where v is q */
};

/* The norm of one kind and radius, parts in ascending order. */
template <typename real>
__device__ static void put_norm(const gradient_arrays<real> &g, rs_gradient kind, int parts,
                                int radii, bool raw, size_t item, rs_gradient place) {
    size_t const group = item / radii, radius = item % radii;
    scaled_square all = {0.0, 0};
    for (int i = 0; i < parts; ++i)
        all = add(all, g.partial[kind][(group * parts + i) * radii + radius]);
    bool const scaled = !raw && all.sum != 0.0 && g.largest[kind][item] != NOTHING;
    size_t const to = item * RS_N_GRADIENT + place;
    g.norm2[to] = all.sum;
    g.exponent[to] = all.sum == 0.0 ? 0 : all.exponent + (scaled ? g.largest[kind][item] : 0);
}

template <typename real>
__global__ void gradient_norm_kernel(gradient_arrays<real> g, part_counts parts, int groups,
                                     int radii, bool raw) {
    size_t const item = (size_t)blockIdx.x * THREADS + threadIdx.x;
    if (item >= (size_t)groups * radii) return;
    put_norm(g, RS_WEIGHT_IH, parts.of[RS_WEIGHT_IH], radii, raw, item, RS_WEIGHT_IH);
    put_norm(g, RS_WEIGHT_HH, parts.of[RS_WEIGHT_HH], radii, raw, item, RS_WEIGHT_HH);
    put_norm(g, parts.bias_ih, parts.of[parts.bias_ih], radii, raw, item, RS_BIAS_IH);
    put_norm(g, RS_BIAS_HH, parts.of[RS_BIAS_HH], radii, raw, item, RS_BIAS_HH);
}

/* x [steps][B][I] to [steps][I][B]. */
template <typename real>
__global__ void keep_input_kernel(int batch, int inputs, size_t count, const double *x, real *to) {
    size_t const at = (size_t)blockIdx.x * THREADS + threadIdx.x, sheet = (size_t)batch * inputs;
    if (at >= count) return;
    size_t const i = at % sheet / batch, sample = at % batch;
    to[at] = (real)x[at / sheet * sheet + sample * inputs + i];
}

/* ---- launches -------------------------------------------------------------------------------- */

dim3 blocks_for(size_t items) { return dim3((unsigned)((items + THREADS - 1) / THREADS)); }

/* By sizes that no cut of the work changes: both orders of squares give other last bits. */
template <typename real> bool is_tiled(const terms<real> &s) {
    return s.batch >= DEPTH && s.q.rows > DEPTH && s.v.rows > DEPTH;
}

template <typename real> int lane_columns(const terms<real> &s) {
    return s.v.numbers ? LANE_COLUMNS : 1;
}

template <typename real> int parts_of(const terms<real> &s) {
    uint64_t const rows = (uint64_t)s.q.rows, columns = (uint64_t)s.v.rows;
    return (int)(is_tiled(s) ? parts_of(rows, columns, TILE, TILE)
                             : parts_of(rows, columns, LANE_ROWS, (uint64_t)lane_columns(s)));
}

template <typename real>
rs_status measure(cudaStream_t stream, const factor<real> &f, const rs_shape *shape) {
    return launch("size_kernel", size_kernel<real>,
                  blocks_for(shape->groups * shape->steps * f.columns), dim3(THREADS), 0, stream, f,
                  (int)shape->groups, (int)shape->steps);
}

template <typename real> rs_status add_up(cudaStream_t stream, const terms<real> &s) {
    size_t const radii = (size_t)s.groups * s.radii, items = radii * parts_of(s);
    if (!s.raw)
        RS_TRY(launch("largest_kernel", largest_kernel<real>, blocks_for(radii * WARP),
                      dim3(THREADS), 0, stream, s));
    if (is_tiled(s))
        return launch("tile_sum_kernel", tile_sum_kernel<real>, dim3((unsigned)items),
                      dim3(THREADS), 0, stream, s);
    return launch("lane_sum_kernel",
                  s.v.numbers ? lane_sum_kernel<real, LANE_COLUMNS> : lane_sum_kernel<real, 1>,
                  blocks_for(items), dim3(THREADS), 0, stream, s, items);
}

/* x as it was kept, [T][I][B] of every group. */
trace_strides input_strides(const rs_shape *shape) {
    size_t const sheet = shape->input_size * shape->batch;
    return {sheet, shape->steps * sheet, 0, shape->batch, (int)shape->batch};
}

/* Whether v_t is not q_t. */
bool has_own_v(const rs_shape *shape) { return shape->cell == RS_GRU; }

/* q_t, or v_t for the sums over the drive. */
template <typename real>
factor<real> gate_factor(const rs_shape *shape, const arrays<real> &a, const trace_strides &kept,
                         const gradient_arrays<real> &g, rs_gradient kind) {
    int const hidden = (int)shape->hidden, rows = (int)gates_of(shape) * hidden;
    bool const is_v = has_own_v(shape) && (kind == RS_WEIGHT_IH || kind == RS_BIAS_IH);
    factor<real> f = {};
    f.numbers = a.kept;
    f.strides = kept;
    f.size = is_v ? g.v_size : g.q_size;
    f.rows = rows;
    f.columns = (int)(shape->radii * shape->batch);
    f.jump_at = is_v ? RS_GRU_N * hidden : rows;
    f.jump = is_v ? (GRU_V_ROW - RS_GRU_N) * hidden : 0;
    return f;
}

/* What multiplies it. */
template <typename real>
factor<real> second_factor(const rs_shape *shape, const arrays<real> &a,
                           const trace_strides &history, const gradient_arrays<real> &g,
                           rs_gradient kind) {
    int const batch = (int)shape->batch, columns = (int)shape->radii * batch;
    int const hidden = (int)shape->hidden, inputs = (int)shape->input_size;
    if (kind == RS_WEIGHT_HH)
        return {a.history, history, g.state_size, hidden, columns, false, hidden, 0};
    if (kind == RS_WEIGHT_IH)
        return {g.input, input_strides(shape), g.input_size, inputs, batch, true, inputs, 0};
    return {NULL, history, NULL, 1, batch, true, 1, 0};
}

template <typename real>
terms<real> terms_of(const rs_shape *shape, const arrays<real> &a, const trace_strides &kept,
                     const trace_strides &history, const gradient_arrays<real> &g,
                     rs_gradient kind) {
    terms<real> s = {};
    s.groups = (int)shape->groups;
    s.radii = (int)shape->radii;
    s.batch = (int)shape->batch;
    s.steps = (int)shape->steps;
    s.raw = shape->raw;
    s.q = gate_factor(shape, a, kept, g, kind);
    s.v = second_factor(shape, a, history, g, kind);
    s.exponent = a.exponent;
    s.largest = g.largest[kind];
    s.partial = g.partial[kind];
    return s;
}

} // namespace

template <typename real>
gradient_arrays<real> gradient_deal(const rs_shape *shape, rs_block *block) {
    gradient_arrays<real> g = {};
    uint64_t const radii = rs_size_mul(shape->groups, shape->radii), hidden = shape->hidden;
    uint64_t const rows = rs_size_mul(gates_of(shape), hidden);
    uint64_t const inputs = shape->drive == RS_DRIVE_WEIGHTED ? shape->input_size : 0;
    uint64_t const steps = rs_size_mul(shape->groups, shape->steps);
    uint64_t const samples = rs_size_mul(steps, shape->batch);
    uint64_t const columns = rs_size_mul(samples, shape->radii);
    /* Lanes have more parts than tiles: bytes must not decrease as the batch grows. */
    uint64_t parts[RS_N_GRADIENT];
    parts[RS_WEIGHT_IH] = parts_of(rows, inputs, LANE_ROWS, LANE_COLUMNS);
    parts[RS_WEIGHT_HH] = parts_of(rows, hidden, LANE_ROWS, LANE_COLUMNS);
    parts[RS_BIAS_HH] = parts_of(rows, 1, LANE_ROWS, 1);
    parts[RS_BIAS_IH] = has_own_v(shape) ? parts[RS_BIAS_HH] : 0;
    g.input = take<real>(block, rs_size_mul(samples, inputs));
    g.q_size = take<int>(block, columns);
    g.v_size = take<int>(block, has_own_v(shape) ? columns : 0);
    g.state_size = take<int>(block, columns);
    g.input_size = take<int>(block, inputs ? samples : 0);
    for (int kind = 0; kind < RS_N_GRADIENT; ++kind) {
        g.largest[kind] = take<int>(block, radii);
        g.partial[kind] = take<scaled_square>(block, rs_size_mul(radii, parts[kind]));
    }
    g.norm2 = take<double>(block, rs_size_mul(radii, RS_N_GRADIENT));
    g.exponent = take<int>(block, rs_size_mul(radii, RS_N_GRADIENT));
    return g;
}

template <typename real>
rs_status gradient_keep_input(cudaStream_t stream, const rs_shape *shape, int first, int steps,
                              const double *x, real *input) {
    size_t const sheet = shape->batch * shape->input_size, count = steps * sheet;
    return launch("keep_input_kernel", keep_input_kernel<real>, blocks_for(count), dim3(THREADS), 0,
                  stream, (int)shape->batch, (int)shape->input_size, count, x,
                  input + (size_t)first * sheet);
}

template <typename real>
rs_status gradient_run(cudaStream_t stream, const rs_shape *shape, const arrays<real> &a,
                       const trace_strides &kept, const trace_strides &history,
                       const gradient_arrays<real> &g) {
    bool const own_v = has_own_v(shape);
    part_counts parts = {};
    parts.bias_ih = own_v ? RS_BIAS_IH : RS_BIAS_HH;
    if (!shape->raw) RS_TRY(measure(stream, gate_factor(shape, a, kept, g, RS_BIAS_HH), shape));
    if (!shape->raw && own_v)
        RS_TRY(measure(stream, gate_factor(shape, a, kept, g, RS_BIAS_IH), shape));
    for (rs_gradient kind : {RS_WEIGHT_HH, RS_BIAS_HH, RS_WEIGHT_IH, RS_BIAS_IH}) {
        if (kind == RS_WEIGHT_IH && shape->drive != RS_DRIVE_WEIGHTED) continue;
        if (kind == RS_BIAS_IH && !own_v) continue;
        terms<real> const s = terms_of(shape, a, kept, history, g, kind);
        parts.of[kind] = parts_of(s);
        if (!s.raw && s.v.numbers) RS_TRY(measure(stream, s.v, shape));
        RS_TRY(add_up(stream, s));
    }
    return launch("gradient_norm_kernel", gradient_norm_kernel<real>,
                  blocks_for(shape->groups * shape->radii), dim3(THREADS), 0, stream, g, parts,
                  (int)shape->groups, (int)shape->radii, shape->raw);
}

#define INSTANTIATE(real)                                                                          \
    template gradient_arrays<real> gradient_deal(const rs_shape *, rs_block *);                    \
    template rs_status gradient_keep_input(cudaStream_t, const rs_shape *, int, int,               \
                                           const double *, real *);                                \
    template rs_status gradient_run(cudaStream_t, const rs_shape *, const arrays<real> &,          \
                                    const trace_strides &, const trace_strides &,                  \
                                    const gradient_arrays<real> &);
INSTANTIATE(float)
INSTANTIATE(double)
