/* The stepwise path, for large H: one kernel per step multiplies W0 by the states of all columns of
 * all groups and ends the step for its tile. A pass is a CUDA graph, kept for the next piece of the
 * same shape.
 *
 * The product is the engine's own: each sum runs over k ascending in one accumulator, one fma each,
 * so a column's bits do not depend on the tile, on the columns beside it or on their number. A BLAS
 * picks kernels, and with them the order of its sums, by the number of columns.
 *
 * A block computes a tile of rows x columns. W0 and the states both have k first and go through
 * shared memory, DEPTH values of k at a time:
 *
 *                      columns of the tile                shared memory, for each of the stages
 *                    +---------------------+              +----------------------------+
 *      state [k] ..  |  16 bytes a move    |              | w     [DEPTH][tile rows]   |
 *                    +---------------------+              | state [DEPTH][tile columns]|
 *        w [k]       +----------+----------+              +----------------------------+
 *       rows of      |  warp 0  |  warp 1  | 32 rows      after the product, in their place:
 *       the tile     +----------+----------+              sums [warps][32][warp's columns]
 *       (k first)    |  warp 2  |  warp 3  |              behind them, backward only: factor,
 *                    +----------+----------+              own, norm_factor [tile columns]
 *
 * A warp has 32 rows x 64 columns (f64: 32). In the product its lanes are 4 down x 8 across, each
 * with 8 rows and two pieces of 16 bytes, one in each half of the columns. The sums then go through
 * shared memory to lanes that are 2 down x 16 across, a row of a piece at a time: few registers,
 * and whole rows in global memory.
 */
#include "memory.cuh"
#include "tile.cuh"

#include <stdlib.h>
#include <string.h>

namespace {

enum { LANE_ROWS = 8, WARP_ROWS = 32, DEPTH = 16 };
enum { LANES_DOWN = 2, LANES_ACROSS = 16 }; /* once the product is done */
enum { ELEMENTWISE_THREADS = 256 };

/* Arrays of the path's own. Rows of columns, those of slopes [T][G][H][pitch] too, are `pitch`
 * long, which is a multiple of 16 bytes; what the columns beyond the last one hold is never used.
 */
template <typename real> struct step_arrays {
    int pitch, strips;
    real *state[2];               /* [G][H][pitch] h, or phi' * delta on the way back */
    double *partial[2];           /* [G][strips][pitch] sums of squares of WARP_ROWS rows */
    column_range<real> *range[2]; /* [G][pitch] */
};

/* ---- a tile ---------------------------------------------------------------------------------- */

/* Sizes of a tile of TALL x WIDE warps, and where the thread is in it. */
template <typename real, int TALL, int WIDE> struct tile {
    static constexpr int EACH = per_move<real>(), LANE_COLUMNS = 2 * EACH;
    static constexpr int WARP_COLUMNS = LANES_ACROSS * EACH;
    static constexpr int ROWS = TALL * WARP_ROWS, COLUMNS = WIDE * WARP_COLUMNS;
    static constexpr int THREADS = WARP * TALL * WIDE;
    static constexpr int STAGE = DEPTH * (ROWS + COLUMNS), SUMS = ROWS * COLUMNS;
    static constexpr int STAGES = sizeof(real) == 4 ? 4 : 3;
    static constexpr int NUMBERS = STAGES * STAGE > SUMS ? STAGES *STAGE : SUMS;
    static constexpr size_t BYTES =
        NUMBERS * sizeof(real) + COLUMNS * (sizeof(double) + 2 * sizeof(real));
    static constexpr int RESIDENT = THREADS > 64 ? 512 / THREADS : 6; /* blocks, by registers */

    int group, row_tile;
    int first_row, first_column; /* of the tile */
    int warp_row, warp_column;   /* of the warp, within the tile */

    /* Tiles of the same columns are neighbours. */
    __device__ explicit tile(const problem &p) {
        int const down = tiles_down(p), across = tiles_across(p), warp = threadIdx.x / WARP;
        row_tile = blockIdx.x % down;
        group = blockIdx.x / down / across;
        first_row = row_tile * ROWS;
        first_column = blockIdx.x / down % across * COLUMNS;
        warp_row = warp / WIDE * WARP_ROWS;
        warp_column = warp % WIDE * WARP_COLUMNS;
    }

    __host__ __device__ static int tiles_down(const problem &p) {
        return (p.hidden + ROWS - 1) / ROWS;
    }
    __host__ __device__ static int tiles_across(const problem &p) {
        return (p.columns + COLUMNS - 1) / COLUMNS;
    }

    /* Where the warp's sums are, [WARP_ROWS][WARP_COLUMNS]. */
    __device__ static real *sums() {
        return (real *)rs_shared + threadIdx.x / WARP * (WARP_ROWS * WARP_COLUMNS);
    }

    /* First row, and first column of its piece, that the thread ends the step of. */
    __device__ int row() const { return threadIdx.x % WARP / LANES_ACROSS; }
    __device__ int piece() const { return threadIdx.x % LANES_ACROSS * EACH; }
    __device__ int column() const { return first_column + warp_column + piece(); }
};

/* ---- the product ----------------------------------------------------------------------------- */

/* Brings DEPTH rows after DEPTH rows of WIDTH columns of an array; zeros beyond its end. */
template <typename real, int WIDTH, int THREADS> struct staging {
    static constexpr int PIECES = WIDTH / per_move<real>(), ROUND = THREADS / PIECES;
    static_assert(THREADS % PIECES == 0 && DEPTH % ROUND == 0, "all threads copy equally often");
    const real *from; /* the thread's first piece of the next rows */
    int pitch, rows;  /* between rows; left, from the thread's first one on */

    __device__ staging(const real *array, int all_rows, int row_pitch, int first) {
        int const row = threadIdx.x / PIECES;
        int const column = first + threadIdx.x % PIECES * per_move<real>();
        from = array + (size_t)row * row_pitch + column;
        pitch = row_pitch;
        rows = column < row_pitch ? all_rows - row : 0;
    }

    __device__ void bring(real *to) {
        to += threadIdx.x * per_move<real>();
#pragma unroll
        for (int i = 0; i < DEPTH; i += ROUND)
            __pipeline_memcpy_async(to + i * WIDTH, from + (size_t)i * pitch, 16,
                                    i < rows ? 0 : 16);
        from += (size_t)DEPTH * pitch;
        rows -= DEPTH;
    }
};

/* W0 times the states for one tile. Begins in the constructor, before other work that the block has
 * to do. */
template <typename real, int TALL, int WIDE> struct tile_product {
    using shape = tile<real, TALL, WIDE>;
    staging<real, shape::ROWS, shape::THREADS> w;
    staging<real, shape::COLUMNS, shape::THREADS> state;
    int hidden;

    __device__ tile_product(const problem &p, const step_arrays<real> &s, shape at,
                            const packed_weights<real> &weights, const real *states)
        : w(weights.of(at.group), p.hidden, weights.padded, at.first_row),
          state(states + (size_t)at.group * p.hidden * s.pitch, p.hidden, s.pitch, at.first_column),
          hidden(p.hidden) {
#pragma unroll
        for (int i = 0; i < shape::STAGES - 1; ++i) bring(i);
    }

    __device__ void bring(int stage) {
        real *const to = (real *)rs_shared + stage * shape::STAGE;
        w.bring(to);
        state.bring(to + DEPTH * shape::ROWS);
        __pipeline_commit();
    }

    /* The warp's sums to where shape::sums() says. All threads of the block meet in it. */
    __device__ void finish(shape at) {
        /* A row bit in lane bit 0 and a column bit in lane bit 1: pairs of lanes read the same 16
         * bytes of both operands. */
        int const lane = threadIdx.x % WARP;
        int const row = ((lane & 1) | (lane >> 3 & 2)) * LANE_ROWS;
        int const column = (lane >> 1 & 7) * shape::EACH;
        const real *rows = (real *)rs_shared + at.warp_row + row;
        const real *columns = (real *)rs_shared + DEPTH * shape::ROWS + at.warp_column + column;
        real acc[LANE_ROWS][shape::LANE_COLUMNS];
        clear<real, LANE_ROWS, shape::LANE_COLUMNS>(acc);
        int now = 0, next = shape::STAGES - 1;
#pragma unroll 1
        for (int k = 0; k < hidden; k += DEPTH) {
            __pipeline_wait_prior(shape::STAGES - 2);
            __syncthreads(); /* these rows are here, and nobody reads those before them */
            bring(next);
            multiply_stage(rows + now * shape::STAGE, columns + now * shape::STAGE, acc);
            now = now + 1 < shape::STAGES ? now + 1 : 0;
            next = next + 1 < shape::STAGES ? next + 1 : 0;
        }
        __pipeline_wait_prior(0); /* what was brought beyond the end */
        __syncthreads();
        real *const sums = shape::sums() + row * shape::WARP_COLUMNS + column;
#pragma unroll
        for (int i = 0; i < LANE_ROWS; ++i) {
            store_some(sums + i * shape::WARP_COLUMNS, acc[i]);
            store_some(sums + i * shape::WARP_COLUMNS + shape::WARP_COLUMNS / 2,
                       acc[i] + shape::EACH);
        }
        __syncwarp();
    }

    __device__ static void multiply_stage(const real *rows, const real *columns,
                                          real acc[LANE_ROWS][shape::LANE_COLUMNS]) {
#pragma unroll
        for (int k = 0; k < DEPTH; ++k) {
            real a[LANE_ROWS], b[shape::LANE_COLUMNS];
            load<real, LANE_ROWS>(rows + k * shape::ROWS, a);
            load_some(columns + k * shape::COLUMNS, b);
            load_some(columns + k * shape::COLUMNS + shape::WARP_COLUMNS / 2, b + shape::EACH);
#pragma unroll
            for (int i = 0; i < LANE_ROWS; ++i)
#pragma unroll
                for (int j = 0; j < shape::LANE_COLUMNS; ++j)
                    acc[i][j] = fma(a[i], b[j], acc[i][j]);
        }
    }
};

/* Scale and sample of the columns of a thread's piece. Those beyond the last column repeat it. */
template <typename real> struct piece_columns {
    static constexpr int EACH = per_move<real>();
    real scale[EACH];
    int sample[EACH];

    __device__ piece_columns(const problem &p, const arrays<real> &a, int group, int column) {
        const real *scales = a.scale + group * a.scale_stride;
#pragma unroll
        for (int j = 0; j < EACH; ++j) {
            int const some = column + j < p.columns ? column + j : p.columns - 1;
            scale[j] = scales[some / p.batch];
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

/* h_0, and zeros beyond the last column. Marks all columns as finite. */
template <typename real>
__global__ void start_forward_kernel(problem p, arrays<real> a, step_arrays<real> s) {
    size_t const at = (size_t)blockIdx.x * ELEMENTWISE_THREADS + threadIdx.x;
    size_t const sheet = (size_t)p.hidden * s.pitch;
    if (at >= sheet * p.groups) return;
    int const column = (int)(at % s.pitch);
    size_t const group = at / sheet, row = at % sheet / s.pitch;
    const real *h0 = a.start[0] + group * a.sheet_stride;
    real const h = column < p.columns ? h0[row * p.batch + column % p.batch] : (real)0;
    real *const kept = history_after(p, a, s, 0);
    s.state[0][at] = h;
    if (kept) kept[at] = h;
    if (at < (size_t)p.groups * p.columns) a.nonfinite[at] = NEVER;
}

/* h_t of the warp's rows and the thread's piece. `fault` is NaN afterwards in columns with an h
 * that is not finite. */
template <typename real, typename shape, typename Activation>
__device__ static void activate_piece(const problem &p, const step_arrays<real> &s, shape at,
                                      const piece_columns<real> &columns, Activation phi,
                                      const real *drive, real *state, real *slopes, real *kept,
                                      real fault[shape::EACH]) {
    constexpr int each = shape::EACH;
    const real *sums = shape::sums() + at.piece();
    int const first = at.first_row + at.warp_row;
#pragma unroll 2
    for (int i = at.row(); i < WARP_ROWS; i += LANES_DOWN) {
        if (first + i >= p.hidden) break;
        real h[each], slope[each];
        load_some(sums + i * shape::WARP_COLUMNS, h);
        const real *u = drive + (size_t)(first + i) * p.batch;
#pragma unroll
        for (int j = 0; j < each; ++j) {
            phi(fma(columns.scale[j], h[j], u[columns.sample[j]]), &h[j], &slope[j]);
            fault[j] = add_fault(h[j], fault[j]);
        }
        size_t const to = (size_t)(first + i) * s.pitch + at.column();
        store_some(state + to, h);
        if (kept) store_some(kept + to, h);
        if (p.cell != RS_LINEAR) store_some(slopes + to, slope);
    }
}

/* Ends a step. Recorded: a column that is not finite is noted with its step, counted from 1. */
template <typename real, typename shape>
__device__ static void activate_tile(const problem &p, const arrays<real> &a,
                                     const step_arrays<real> &s, shape at, const real *drive,
                                     int recorded, real *state, real *slopes, real *kept) {
    constexpr int each = shape::EACH;
    if (at.column() >= p.columns) return;
    piece_columns<real> const columns(p, a, at.group, at.column());
    real fault[each];
#pragma unroll
    for (int j = 0; j < each; ++j) fault[j] = 0;
    with_activation(p.cell, p.raw, [&](auto phi) {
        activate_piece<real, shape>(p, s, at, columns, phi, drive, state, slopes, kept, fault);
    });
#pragma unroll
    for (int j = 0; j < each; ++j)
        if (recorded > 0 && isnan(fault[j]) && at.column() + j < p.columns)
            atomicMin(&a.nonfinite[(size_t)at.group * p.columns + at.column() + j],
                      (unsigned)recorded);
}

/* `step` counts from 0 and includes the warm-up; it reads state[step % 2]. */
template <typename real, int TALL, int WIDE>
__global__ void __launch_bounds__(tile<real, TALL, WIDE>::THREADS, tile<real, TALL, WIDE>::RESIDENT)
    stepwise_forward_kernel(problem p, arrays<real> a, step_arrays<real> s, int step) {
    tile<real, TALL, WIDE> const at(p);
    tile_product<real, TALL, WIDE> product(p, s, at, a.forward_w, s.state[step % 2]);
    product.finish(at);

    size_t const sheet = (size_t)p.hidden * s.pitch, group = at.group * sheet;
    int const recorded = step < p.warmup ? 0 : step - p.warmup + 1;
    size_t const row = recorded > 0 ? recorded - 1 : 0; /* the warm-up's is written over */
    real *const kept = history_after(p, a, s, step + 1);
    activate_tile(p, a, s, at, drive_at(p, a, at.group, step), recorded,
                  s.state[(step + 1) % 2] + group, a.kept + row * p.groups * sheet + group,
                  kept ? kept + group : NULL);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Ends step t of a column, whose squares are summed in partial[t % 2]: its range for the step
 * before. The norm goes out where `writes`. */
template <typename real>
__device__ static column_range<real> end_step(const problem &p, const arrays<real> &a,
                                              const step_arrays<real> &s, int group, int column,
                                              int t, bool writes) {
    const double *partial = s.partial[t % 2] + (size_t)group * s.strips * s.pitch + column;
    size_t const flat = (size_t)group * s.pitch + column;
    column_range<real> range =
        t == p.steps ? column_range_start(a.own[group]) : s.range[t % 2][flat];
    double norm2 = 0.0;
#pragma unroll 8
    for (int strip = 0; strip < s.strips; ++strip) norm2 += partial[(size_t)strip * s.pitch];
    if (writes) {
        size_t const out = ((size_t)group * p.steps + t - 1) * p.columns + column;
        a.norm2[out] = norm2;
        a.exponent[out] = range.exponent;
    }
    column_range_update(&range, p.raw, norm2);
    if (writes) s.range[(t + 1) % 2][flat] = range; /* which is that of step t - 1 */
    return range;
}

/* What ends a step needs of the tile's columns, in shared memory. */
template <typename real> struct column_terms {
    double *norm_factor;
    real *factor, *own;

    __device__ column_terms(void *base, int columns) {
        norm_factor = (double *)base;
        factor = (real *)(norm_factor + columns);
        own = factor + columns;
    }
};

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

/* delta_t of the warp's rows and the thread's piece: phi' * delta into `state`, which the next
 * product multiplies, and with gradients in the place of the slopes; and the rows' squares, summed
 * as each lane meets them and then over the lanes of a column. All lanes take part. */
template <typename real, typename shape>
__device__ static void gate_tile(const problem &p, const arrays<real> &a,
                                 const step_arrays<real> &s, shape at,
                                 const column_terms<real> &terms, bool first_step, real *slopes,
                                 real *state, double *partial) {
    constexpr int each = shape::EACH;
    bool const sloped = p.cell != RS_LINEAR, inside = at.column() < p.columns;
    piece_columns<real> const columns(p, a, at.group, at.column());
    const real *sums = shape::sums() + at.piece();
    const real *loss = a.loss + at.group * a.sheet_stride;
    int const first = at.first_row + at.warp_row, local = at.warp_column + at.piece();
    double sum[each];
    real factor[each], own[each];
#pragma unroll
    for (int j = 0; j < each; ++j) {
        bool const is_real = at.column() + j < p.columns;
        factor[j] = is_real ? terms.factor[local + j] : (real)0;
        own[j] = is_real ? terms.own[local + j] : (real)0;
        sum[j] = 0.0;
    }
#pragma unroll 4
    for (int i = at.row(); i < WARP_ROWS; i += LANES_DOWN) {
        if (!inside || first + i >= p.hidden) break;
        size_t const to = (size_t)(first + i) * s.pitch + at.column();
        real delta[each], passed[each];
        if (sloped) load_some(slopes + to, passed);
        if (!first_step) load_some(sums + i * shape::WARP_COLUMNS, delta);
#pragma unroll
        for (int j = 0; j < each; ++j) {
            delta[j] = first_step ? loss[(size_t)(first + i) * p.batch + columns.sample[j]]
                                  : fma(columns.scale[j], delta[j] * factor[j], own[j]);
            double const x =
                p.raw ? (double)delta[j] * terms.norm_factor[local + j] : (double)delta[j];
            sum[j] = fma(x, x, sum[j]);
            passed[j] = sloped ? gated(p.selects(), passed[j], delta[j]) : delta[j];
        }
        store_some(state + to, passed);
        if (p.gradients) store_some(slopes + to, passed);
    }
    int const strip = first / WARP_ROWS;
#pragma unroll
    for (int j = 0; j < each; ++j) {
        sum[j] += __shfl_xor_sync(0xFFFFFFFFu, sum[j], LANES_ACROSS);
        if (at.row() == 0 && at.column() + j < p.columns && strip < s.strips)
            partial[((size_t)at.group * s.strips + strip) * s.pitch + at.column() + j] = sum[j];
    }
}

/* delta_t, from the loss at T and from the product of step t + 1 else. It reads state[(t + 1) % 2]
 * and the sums of step t + 1; its own sums go to partial[t % 2]. */
template <typename real, int TALL, int WIDE>
__global__ void __launch_bounds__(tile<real, TALL, WIDE>::THREADS, tile<real, TALL, WIDE>::RESIDENT)
    stepwise_backward_kernel(problem p, arrays<real> a, step_arrays<real> s, int t) {
    using shape = tile<real, TALL, WIDE>;
    shape const at(p);
    column_terms<real> const terms((real *)rs_shared + shape::NUMBERS, shape::COLUMNS);
    if (t == p.steps) {
        end_step_before(p, a, s, at, t, terms);
        __syncthreads();
    } else {
        tile_product<real, TALL, WIDE> product(p, s, at, a.backward_w, s.state[(t + 1) % 2]);
        end_step_before(p, a, s, at, t, terms);
        product.finish(at);
    }
    size_t const sheet = (size_t)p.hidden * s.pitch, group = at.group * sheet;
    gate_tile(p, a, s, at, terms, t == p.steps, a.kept + (size_t)(t - 1) * p.groups * sheet + group,
              s.state[t % 2] + group, s.partial[t % 2]);
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
    for (int i = 0; i < 2; ++i) {
        s.state[i] = take<real>(block, rs_size_mul(all, shape->hidden));
        s.partial[i] = take<double>(block, rs_size_mul(all, strips));
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

/* The kernels of one tile size. The bits do not depend on it. */
template <typename real> struct step_kernels {
    step_kernel<real> forward, backward;
    unsigned blocks;
    int threads;
    size_t shared;

    template <int TALL, int WIDE> static step_kernels of(const problem &p) {
        using shape = tile<real, TALL, WIDE>;
        return {stepwise_forward_kernel<real, TALL, WIDE>,
                stepwise_backward_kernel<real, TALL, WIDE>,
                (unsigned)(shape::tiles_down(p) * shape::tiles_across(p) * p.groups),
                shape::THREADS, shape::BYTES};
    }
};

/* Large tiles read each number more often once it is in shared memory; small ones give every
 * processor work. */
template <typename real>
static step_kernels<real> choose(const device_limits *limits, const problem &p) {
    auto const large = step_kernels<real>::template of<4, 2>(p);
    return large.blocks >= (unsigned)limits->processors ? large
                                                        : step_kernels<real>::template of<2, 1>(p);
}

template <typename real> struct step_launcher {
    cudaStream_t stream;
    problem p;
    arrays<real> a;
    step_arrays<real> s;
    step_kernels<real> kernels;

    step_launcher(const path_context *context, const rs_shape *shape, const arrays<real> &device)
        : stream(context->stream), p(problem_of(shape)), a(device),
          s(arrays_in<real>(shape, device.scratch)), kernels(choose<real>(&context->limits, p)) {}

    /* The first launch of a kernel loads it, which may not happen while a stream captures; to ask
     * for its attributes, or set one, loads it too. */
    rs_status load() const {
        cudaFuncAttributes unused;
        step_kernel<real> const large[] = {kernels.forward, kernels.backward};
        for (step_kernel<real> kernel : large)
            CUDA_TRY(cudaFuncSetAttribute((const void *)kernel,
                                          cudaFuncAttributeMaxDynamicSharedMemorySize,
                                          (int)kernels.shared));
        CUDA_TRY(cudaFuncGetAttributes(&unused, (const void *)start_forward_kernel<real>));
        CUDA_TRY(cudaFuncGetAttributes(&unused, (const void *)end_backward_kernel<real>));
        return RS_OK;
    }

    static dim3 blocks_for(size_t items) {
        return dim3((unsigned)((items + ELEMENTWISE_THREADS - 1) / ELEMENTWISE_THREADS));
    }
    rs_status step(const char *name, step_kernel<real> kernel, int number) const {
        return launch(name, kernel, dim3(kernels.blocks), dim3(kernels.threads), kernels.shared,
                      stream, p, a, s, number);
    }
    rs_status forward() const {
        RS_TRY(launch("start_forward_kernel", start_forward_kernel<real>,
                      blocks_for((size_t)p.groups * p.hidden * s.pitch), dim3(ELEMENTWISE_THREADS),
                      0, stream, p, a, s));
        for (int i = 0; i < p.warmup + p.steps; ++i)
            RS_TRY(step("stepwise_forward_kernel", kernels.forward, i));
        return RS_OK;
    }
    rs_status backward() const {
        for (int t = p.steps; t > 0; --t)
            RS_TRY(step("stepwise_backward_kernel", kernels.backward, t));
        return launch("end_backward_kernel", end_backward_kernel<real>,
                      blocks_for((size_t)p.groups * p.columns), dim3(ELEMENTWISE_THREADS), 0,
                      stream, p, a, s);
    }
};

/* ---- graphs ---------------------------------------------------------------------------------- */

/* All that the launches of a pass depend on: each array's place follows from these. */
struct pass_key {
    enum { NUMBERS = 14 };
    uint64_t number[NUMBERS];

    pass_key(const rs_shape *s, const void *memory)
        : number{s->groups,
                 s->radii,
                 s->batch,
                 s->hidden,
                 s->steps,
                 s->warmup,
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
static rs_status record(const path_context *context, const step_launcher<real> &launcher, bool back,
                        cudaGraph_t *graph) {
    RS_TRY(launcher.load());
    CUDA_TRY(cudaStreamBeginCapture(context->stream, cudaStreamCaptureModeThreadLocal));
    rs_status const status = back ? launcher.backward() : launcher.forward();
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
    RS_TRY(record(context, step_launcher<real>(context, shape, a), back, &graph));
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

static bool takes(const device_limits *limits, const rs_shape *shape) {
    return is_plain(shape) &&
           tile<double, 4, 2>::BYTES <= limits->shared_most; /* the most of all */
}

static int padded(const device_limits *, const rs_shape *shape, bool) {
    return (int)rs_size_round_up(shape->hidden, per_move<float>());
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
