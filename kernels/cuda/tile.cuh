/* A tile of columns, carried through all steps by a block or by a cluster of blocks: what the
 * persistent and the cluster path have in common. A thread holds RM rows x RN columns of the
 * product; TC threads side by side make the tile's width, TR above each other the block's rows. */
#ifndef RS_CUDA_TILE_CUH
#define RS_CUDA_TILE_CUH

#include "check.cuh"
#include "math.cuh"
#include "move.cuh"
#include "path.cuh"

#include "../base/sizes.h"

#include <cuda_pipeline.h>

/* A block's shared memory; its size comes with the launch. */
extern __shared__ __align__(16) unsigned char rs_shared[];

enum { WARP = 32, MOST_THREADS = 512, MOST_WIDTH = 64 };

/* Squares are summed in strips of so many rows, and these from the first row to the last: the same
 * bits, whatever the tiling. */
enum { STRIP = 4 };

/* How a piece is laid over blocks. */
struct tiling {
    int tc, tr, threads, width;
    int tiles;  /* of each group */
    int blocks; /* that share a tile */
    int rows;   /* of a block: TR * RM */
    int padded; /* of all its blocks: H and some zeros */
    int w_rows; /* rows of packed weights that a block has room for */
    int stages; /* of the ring that streams W0; 0 where it is resident */
    int stage_rows;
    int buffers; /* of the states and of what is summed: two where other blocks write them */
    bool resident;
    size_t shared; /* bytes of a block */
};

/* ---- shared memory --------------------------------------------------------------------------- */

/* clang-format off */
/* A block's shared memory, each array behind the one before it:
 *
 *     w               [w_rows][rows]               W0: row k holds what unit k gives to the block's
 *                                                  rows; all of it, or the stages of a stream
 *     stage_barriers  [2][stages]                  of a stream only
 *     state           [buffers][padded][width]     a row for each unit, a column for each of the tile's
 *     partial         [buffers][padded / 4][width] backward only
 *     norm_factor     [width]                      backward only
 *     factor          [width]                      backward; nonfinite on the way forward
 *     own             [width]                      backward only
 *
 * A thread's part of `state` (and of a block of slopes) is RM rows x RN columns of it:
 *
 *              column  0   4   8  ..  60
 *       row 0 .. 7     t0  t2  t4 ..  t30        f32, 8 x 4 a thread, 64 columns: threads 0 to 31
 *       row 8 .. 15    t1  t3  t5 ..  t31
 */
/* clang-format on */
template <typename real> struct shared_arrays {
    real *w;                  /* [w_rows][rows]; of a stream its ring of stages */
    uint64_t *stage_barriers; /* [2][stages]: see stream.cuh */
    real *state;              /* [buffers][padded][width] h, or phi' * delta on the way back */
    double *partial;          /* [buffers][padded / STRIP][width] sums of squares */
    double *norm_factor;      /* [width] */
    real *factor, *own;       /* [width] */
    unsigned *nonfinite;      /* [width], in the room of `factor` */
};

template <typename real> static size_t shared_bytes(const tiling *t) {
    size_t const area = (size_t)t->padded * t->width;
    return (size_t)t->w_rows * t->rows * sizeof(real) + 2 * t->stages * sizeof(uint64_t) +
           t->buffers * (area * sizeof(real) + area / STRIP * sizeof(double)) +
           t->width * (sizeof(double) + 2 * sizeof(real));
}

template <typename real>
__device__ static shared_arrays<real> carve(unsigned char *base, const tiling &t) {
    size_t const area = (size_t)t.padded * t.width;
    shared_arrays<real> s;
    s.w = (real *)base;
    s.stage_barriers = (uint64_t *)(s.w + (size_t)t.w_rows * t.rows);
    s.state = (real *)(s.stage_barriers + 2 * t.stages);
    s.partial = (double *)(s.state + t.buffers * area);
    s.norm_factor = s.partial + t.buffers * (area / STRIP);
    s.factor = (real *)(s.norm_factor + t.width);
    s.own = s.factor + t.width;
    static_assert(sizeof(real) >= sizeof(unsigned), "room for nonfinite");
    s.nonfinite = (unsigned *)s.factor;
    return s;
}

/* Copies so many numbers to shared memory, without waiting. */
template <typename real> __device__ static void fetch(real *to, const real *from, int count) {
    int const each = per_move<real>();
    for (int i = threadIdx.x * each; i < count; i += blockDim.x * each)
        __pipeline_memcpy_async(to + i, from + i, 16);
    __pipeline_commit();
}

/* ---- a thread's place ------------------------------------------------------------------------ */

/* A thread's row and column in the block's TR x TC threads. Lanes 2 i and 2 i + 1 have the same
 * column in neighbouring rows, and lanes i and i + 2 mostly the same row: only where one of these
 * holds throughout does a warp's load of 16 bytes a lane take two cycles of shared memory and not
 * four. An odd last row has nobody to pair with. */
struct thread_place {
    int row, column;

    __device__ explicit thread_place(const tiling &t) {
        int const number = threadIdx.x, first = number / (2 * t.tc) * 2,
                  within = number % (2 * t.tc);
        bool const paired = first + 1 < t.tr;
        row = paired ? first + within % 2 : first;
        column = paired ? within / 2 : within;
    }
};

template <int RM, int RN> struct place {
    int group, tile;
    int row;          /* its first row of the tile */
    int local_row;    /* that, counted from the block's first row */
    int local;        /* its first column of the tile */
    int column;       /* that, counted from the group's first column */
    int first_sample; /* of its first column */
    int columns, batch;

    __device__ place(const problem &p, const tiling &t, int rank) {
        int const number = blockIdx.x / t.blocks;
        thread_place const thread(t);
        group = number / t.tiles;
        tile = number % t.tiles;
        local_row = thread.row * RM;
        row = rank * t.rows + local_row;
        local = thread.column * RN;
        column = tile * t.width + local;
        columns = p.columns;
        batch = p.batch;
        first_sample = column % p.batch;
    }

    /* Whether column j is one of the group's, or beyond its last. */
    __device__ bool is_real(int j) const { return column + j < columns; }

    /* Made anew where it is used: registers are short during the product. */
    __device__ int sample(int j) const {
        int s = first_sample;
#pragma unroll
        for (int i = 0; i < j; ++i) s = s + 1 < batch ? s + 1 : 0;
        return s;
    }

    template <typename real>
    __device__ void scales(const problem &p, const real *scale, real out[RN]) const {
#pragma unroll
        for (int j = 0; j < RN; ++j) out[j] = is_real(j) ? scale[(column + j) / p.batch] : (real)0;
    }

    /* Element (row + i, sample of column j) of a [H][B] array, 0 beyond it. */
    template <typename real>
    __device__ real sample_value(const problem &p, const real *array, int i, int j) const {
        return row + i < p.hidden && is_real(j) ? array[(row + i) * p.batch + sample(j)] : (real)0;
    }

    /* Start of the thread's part of a [padded][width] array. */
    __device__ int part(const tiling &t) const { return row * t.width + local; }

    /* Start of the thread's part of the slopes of step t (from 0): [T][G][tiles][padded][width]. So
     * is the history. */
    __device__ size_t slope_at(const problem &p, const tiling &t, int step) const {
        size_t const block = ((size_t)step * p.groups + group) * t.tiles + tile;
        return (block * t.padded + row) * t.width + local;
    }

    /* Numbers from there to the next step's. */
    __device__ static size_t slope_step(const problem &p, const tiling &t) {
        return (size_t)p.groups * t.tiles * t.padded * t.width;
    }
};

/* Copies the thread's part of a [padded][width] array of shared memory, from its start on, to the
 * same place of a step's slopes or history. */
template <typename real, int RM, int RN>
__device__ static void keep_part(const real *part, int width, real *to) {
#pragma unroll
    for (int i = 0; i < RM; ++i) {
        real row[RN];
        load<real, RN>(part + i * width, row);
        store<real, RN>(to + i * width, row);
    }
}

/* ---- the product ----------------------------------------------------------------------------- */

template <typename real, int RM, int RN> __device__ static void clear(real acc[RM][RN]) {
#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j) acc[i][j] = 0;
}

/* acc += `count` rows of w, `pitch` apart, times those of state [count][width]: k ascending, one
 * fma each. */
template <typename real, int RM, int RN>
__device__ static void multiply(const real *w, const real *state, int count, int pitch, int width,
                                real acc[RM][RN]) {
#pragma unroll 4
    for (int k = 0; k < count; ++k) {
        real a[RM], b[RN];
        load<real, RM>(w + k * pitch, a);
        load<real, RN>(state + k * width, b);
#pragma unroll
        for (int i = 0; i < RM; ++i)
#pragma unroll
            for (int j = 0; j < RN; ++j) acc[i][j] = fma(a[i], b[j], acc[i][j]);
    }
}

/* ---- forward --------------------------------------------------------------------------------- */

/* Of the thread's part of u, a step's drive [H][B], the strip whose first row is its row `first`: 0
 * beyond the drive. Whole rows at a time where B allows: then the RN columns of a thread are
 * neighbouring samples, all of them real or none. */
template <typename real, int RM, int RN>
__device__ static void load_drive(const problem &p, const place<RM, RN> &at, const real *drive,
                                  int first, real u[STRIP][RN]) {
    bool const whole_rows = p.batch % RN == 0;
    const real *row = drive + (at.row + first) * p.batch;
#pragma unroll
    for (int i = 0; i < STRIP; ++i, row += p.batch) {
        bool const is_real = at.row + first + i < p.hidden;
#pragma unroll
        for (int j = 0; j < RN; ++j)
            u[i][j] = !whole_rows && is_real && at.is_real(j) ? row[at.sample(j)] : (real)0;
        if (whole_rows && is_real && at.is_real(0)) load<real, RN>(row + at.sample(0), u[i]);
    }
}

/* h = phi(a) in place of a, and phi' to `slope`. `fault` is NaN afterwards in columns with an h
 * that is not finite. */
template <typename real, int RM, int RN, typename Activation>
__device__ static void activate_rows(Activation phi, int width, bool sloped, real *state,
                                     real *slope, real fault[RN]) {
#pragma unroll 1
    for (int i = 0; i < RM; ++i) {
        real h[RN], gain[RN];
        load<real, RN>(state + i * width, h);
#pragma unroll
        for (int j = 0; j < RN; ++j) {
            phi(h[j], &h[j], &gain[j]);
            fault[j] = add_fault(h[j], fault[j]);
        }
        store<real, RN>(state + i * width, h);
        if (sloped) store<real, RN>(slope + i * width, gain);
    }
}

/* Ends a step: the thread's part of h = phi(s acc + u) into `state`, and of phi' into `slope`. What
 * phi takes goes through `state`, so that a row at a time is in registers and not all of them. `u`
 * is the first strip of the drive, which was on its way during the product. */
template <typename real, int RM, int RN>
__device__ static void activate_part(const problem &p, const place<RM, RN> &at,
                                     const real scale[RN], const real *drive, real u[STRIP][RN],
                                     const real acc[RM][RN], int step, int width, real *state,
                                     real *slope, unsigned *nonfinite) {
#pragma unroll
    for (int i = 0; i < RM; ++i) {
        if (i > 0 && i % STRIP == 0) load_drive<real, RM, RN>(p, at, drive, i, u);
        real a[RN];
#pragma unroll
        for (int j = 0; j < RN; ++j) a[j] = fma(scale[j], acc[i][j], u[i % STRIP][j]);
        store<real, RN>(state + i * width, a);
    }
    real fault[RN];
#pragma unroll
    for (int j = 0; j < RN; ++j) fault[j] = 0;
    with_activation(p.cell, p.raw, [&](auto phi) {
        activate_rows<real, RM, RN>(phi, width, p.cell != RS_LINEAR, state, slope, fault);
    });
    if (step < p.warmup) return;
#pragma unroll
    for (int j = 0; j < RN; ++j)
        if (isnan(fault[j])) atomicMin(&nonfinite[at.local + j], (unsigned)(step - p.warmup + 1));
}

/* Drive of a step, counted from the first of the warm-up. */
template <typename real>
__device__ static const real *drive_at(const problem &p, const arrays<real> &a, int group,
                                       int step) {
    size_t const sheet = (size_t)p.gates * p.hidden * p.batch;
    return a.drive + group * a.drive_stride + (p.driven ? step : 0) * sheet;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* The thread's part of phi', to multiply delta with: 1 where phi is linear. */
template <typename real, int RM, int RN>
__device__ static void load_slopes(const problem &p, const real *slope, int width,
                                   real out[RM][RN]) {
#pragma unroll
    for (int i = 0; i < RM; ++i)
        if (p.cell != RS_LINEAR)
            load<real, RN>(slope + i * width, out[i]);
        else
#pragma unroll
            for (int j = 0; j < RN; ++j) out[i][j] = 1;
}

/* Sums the thread's squares, a strip at a time, into partial [padded / STRIP][width]. */
template <typename real, int RM, int RN>
__device__ static void add_squares(const real delta[RM][RN], bool raw, const double *norm_factor,
                                   const place<RM, RN> &at, int width, double *partial) {
    double factor[RN];
#pragma unroll
    for (int j = 0; j < RN; ++j) factor[j] = raw ? norm_factor[at.local + j] : 1.0;
#pragma unroll
    for (int strip = 0; strip < RM / STRIP; ++strip) {
        double sum[RN];
#pragma unroll
        for (int j = 0; j < RN; ++j) {
            sum[j] = 0.0;
#pragma unroll
            for (int i = strip * STRIP; i < (strip + 1) * STRIP; ++i) {
                double const x = raw ? (double)delta[i][j] * factor[j] : (double)delta[i][j];
                sum[j] = fma(x, x, sum[j]);
            }
        }
        store<double, RN>(partial + (at.row / STRIP + strip) * width + at.local, sum);
    }
}

/* phi' * delta, which the next product multiplies; to `kept` too where it `keeps` them. */
template <typename real, int RM, int RN>
__device__ static void gate(bool selects, const real slope[RM][RN], const real delta[RM][RN],
                            int width, real *state, bool keeps, real *kept) {
#pragma unroll
    for (int i = 0; i < RM; ++i) {
        real passed[RN];
#pragma unroll
        for (int j = 0; j < RN; ++j) passed[j] = gated(selects, slope[i][j], delta[i][j]);
        store<real, RN>(state + i * width, passed);
        if (keeps) store<real, RN>(kept + i * width, passed);
    }
}

/* What every step back begins with: the thread's squares into `partial`, and its part of
 * phi' * delta into `state`, and into the slopes' place where it `keeps` them. `slope` is the
 * step's, from the thread's part on; slopes are under way while squares are summed. */
template <typename real, int RM, int RN>
__device__ static void begin_step(const problem &p, const place<RM, RN> &at, const tiling &t,
                                  real *slope, const double *norm_factor, const real delta[RM][RN],
                                  bool keeps, double *partial, real *state) {
    real slopes[RM][RN];
    load_slopes<real, RM, RN>(p, slope, t.width, slopes);
    add_squares<real, RM, RN>(delta, p.raw, norm_factor, at, t.width, partial);
    gate<real, RM, RN>(p.selects(), slopes, delta, t.width, state, keeps, slope);
}

/* Ends a step of column threadIdx.x of the tile: its norm goes out, and its range is looked after.
 */
template <typename real>
__device__ static void end_column(const problem &p, const arrays<real> &a, const tiling &t,
                                  const shared_arrays<real> &s, const double *partial, int group,
                                  int column, bool writes, int step, column_range<real> *range) {
    double norm2 = 0.0;
    for (int i = 0; i < t.padded / STRIP; ++i) norm2 += partial[i * t.width + threadIdx.x];
    if (writes && column < p.columns) {
        size_t const out = ((size_t)group * p.steps + step - 1) * p.columns + column;
        a.norm2[out] = norm2;
        a.exponent[out] = range->exponent;
    }
    column_range_update(range, p.raw, norm2);
    s.factor[threadIdx.x] = range->factor;
    s.own[threadIdx.x] = range->own;
    s.norm_factor[threadIdx.x] = range->norm_factor;
}

/* delta of the step before, from the product. Rows beyond H stay 0, and so do columns beyond the
 * tile's last, whose scale is 0. */
template <typename real, int RM, int RN>
__device__ static void finish_delta(const problem &p, const place<RM, RN> &at,
                                    const shared_arrays<real> &s, const real scale[RN],
                                    real delta[RM][RN]) {
    real factor[RN], term[RN];
    load<real, RN>(s.factor + at.local, factor);
    load<real, RN>(s.own + at.local, term);
#pragma unroll
    for (int j = 0; j < RN; ++j) {
        if (!at.is_real(j)) term[j] = 0;
#pragma unroll
        for (int i = 0; i < RM; ++i) delta[i][j] = fma(scale[j], delta[i][j] * factor[j], term[j]);
    }
    if (at.row + RM <= p.hidden) return;
#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j)
            if (at.row + i >= p.hidden) delta[i][j] = 0;
}

/* ---- launching ------------------------------------------------------------------------------- */

static inline size_t columns_in_all(const rs_shape *shape) {
    return shape->groups * shape->radii * shape->batch;
}

/* Columns of the product that a thread holds. */
template <typename real> constexpr int columns_of() { return 16 / (int)sizeof(real); }

/* Room for any tiling there may be: bytes must not decrease as columns grow. */
static inline uint64_t tile_sheet(const device_limits *, const rs_shape *shape, size_t rows) {
    uint64_t const columns = rs_size_mul(shape->radii, shape->batch);
    uint64_t const most = rs_size_mul(shape->groups, rs_size_add(columns, MOST_WIDTH));
    return rs_size_mul(most, rs_size_add(rows, MOST_PADDING));
}

/* Cells that these paths know. */
static inline bool is_plain(const rs_shape *shape) {
    return gates_of(shape) == 1 && !(shape->leak > 0.0);
}

static inline trace_strides tile_strides(const rs_shape *shape, const tiling *t) {
    size_t const row = (size_t)t->width, tile = t->padded * row, group = t->tiles * tile;
    return {shape->groups * group, group, tile, row, t->width};
}

template <typename real> using tile_kernel = void (*)(problem, arrays<real>, tiling);

template <typename real>
static rs_status run_tiles(path_context *context, const rs_shape *shape, const arrays<real> &a,
                           const tiling &t, const char *name, tile_kernel<real> kernel) {
    const void *const function = (const void *)kernel;
    CUDA_TRY(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  (int)context->limits.shared_most));
    /* As many blocks a processor as its shared memory holds: nothing else needs its L1 cache. */
    CUDA_TRY(cudaFuncSetAttribute(function, cudaFuncAttributePreferredSharedMemoryCarveout,
                                  cudaSharedmemCarveoutMaxShared));
    dim3 const grid((unsigned)(t.blocks * t.tiles * shape->groups));
    return launch_clusters(name, kernel, grid, dim3(t.threads), t.blocks, t.shared, context->stream,
                           problem_of(shape), a, t);
}

#endif
