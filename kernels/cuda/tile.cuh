/* A tile of columns, carried through all steps by a block or by a cluster of blocks: what the
 * persistent and the cluster path have in common. A thread holds RM rows x RN columns of the
 * product; TC threads side by side make the tile's width, TR above each other the block's rows. */
#ifndef RS_CUDA_TILE_CUH
#define RS_CUDA_TILE_CUH

#include "cells.cuh"
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
static_assert((int)GATED_SLOTS == (int)STRIP,
              "the gates of a unit are a strip of a product's rows");

/* Threads that a kernel of the way back has registers for: those of cells with several gates need
 * more of them, and have half as many threads as forward, or a quarter. */
__host__ __device__ constexpr int most_back_threads(int gates) {
    return gates > 1 ? MOST_THREADS / 2 : MOST_THREADS;
}

/* How one pass of a piece is laid over blocks. Cells with one gate have the same tiling both ways;
 * of others the product has 4 H rows and H terms forward, H rows and K H terms on the way back. */
struct tiling {
    int tc, tr, threads, width;
    int most_threads; /* that its kernel has registers for */
    int tiles;        /* of each group */
    int blocks;       /* that share a tile */
    int rows;         /* of a block's product: TR * RM */
    int padded;       /* of all its blocks: length of a packed row of weights */
    int units;        /* of all its blocks: H and some padding, in both passes the same */
    int terms;        /* of a sum: packed rows of weights */
    int w_rows;       /* of these, what a block has room for */
    int state_rows;   /* of what the product multiplies: a row for each term, and some padding */
    int sums;         /* of squares, of every column: one for each state, or none */
    int scales;       /* of every column that lie in shared memory: of cells with several gates */
    int stages;       /* of the ring that streams W0; 0 where it is resident */
    int stage_rows;
    int buffers; /* of the states and of what is summed: two where other blocks write them */
    bool resident;
    size_t shared; /* bytes of a block */
};

/* ---- shared memory --------------------------------------------------------------------------- */

/* clang-format off */
/* A block's shared memory, each array behind the one before it:
 *
 *     w               [w_rows][rows]                     W0: row k holds what term k gives to the block's
 *                                                        rows; all of it, or the stages of a stream
 *     stage_barriers  [2][stages]                        of a stream only
 *     state           [buffers][state_rows][width]       a row for each unit, or of q for each gate of a
 *                                                        unit: K u + g; a column for each of the tile's
 *     partial         [buffers][sums][units / 4][width]  backward only
 *     norm_factor     [width]                            backward only
 *     factor          [width]                            backward; nonfinite on the way forward
 *     own             [width]                            backward only
 *     scale           [scales][width]                    of cells with several gates
 *
 * A thread's part of a state of cells with one gate (and of a block of slopes) is RM rows x RN columns:
 *
 *              column  0   4   8  ..  60
 *       row 0 .. 7     t0  t2  t4 ..  t30        f32, 8 x 4 a thread, 64 columns: threads 0 to 31
 *       row 8 .. 15    t1  t3  t5 ..  t31
 */
/* clang-format on */
template <typename real> struct shared_arrays {
    real *w;                  /* [w_rows][rows]; of a stream its ring of stages */
    uint64_t *stage_barriers; /* [2][stages]: see stream.cuh */
    real *state;              /* [buffers][state_rows][width] h, or s q on the way back */
    double *partial;          /* [buffers][sums][units / STRIP][width] sums of squares */
    double *norm_factor;      /* [width] */
    real *factor, *own;       /* [width] */
    real *scale;              /* [scales][width] */
    unsigned *nonfinite;      /* [width], in the room of `factor` */
};

/* Numbers of one buffer of the states, and of the sums of squares. */
__host__ __device__ static inline int state_numbers(const tiling &t) {
    return t.state_rows * t.width;
}
__host__ __device__ static inline int sum_numbers(const tiling &t) {
    return t.sums * (t.units / STRIP) * t.width;
}

template <typename real> static size_t shared_bytes(const tiling *t) {
    size_t const states = (size_t)t->state_rows * t->width;
    size_t const sums = (size_t)t->sums * (t->units / STRIP) * t->width;
    return (size_t)t->w_rows * t->rows * sizeof(real) + 2 * t->stages * sizeof(uint64_t) +
           t->buffers * (states * sizeof(real) + sums * sizeof(double)) +
           t->width * (sizeof(double) + (2 + t->scales) * sizeof(real));
}

template <typename real>
__device__ static shared_arrays<real> carve(unsigned char *base, const tiling &t) {
    shared_arrays<real> s;
    s.w = (real *)base;
    s.stage_barriers = (uint64_t *)(s.w + (size_t)t.w_rows * t.rows);
    s.state = (real *)(s.stage_barriers + 2 * t.stages);
    s.partial = (double *)(s.state + t.buffers * state_numbers(t));
    s.norm_factor = s.partial + t.buffers * sum_numbers(t);
    s.factor = (real *)(s.norm_factor + t.width);
    s.own = s.factor + t.width;
    s.scale = s.own + t.width;
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

/* UNITS x RN of the tile's units and columns. */
template <int UNITS, int RN> struct place {
    int group, tile;
    int row;          /* its first unit of the tile */
    int local_row;    /* that, counted from the block's first one */
    int local;        /* its first column of the tile */
    int column;       /* that, counted from the group's first column */
    int first_sample; /* of its first column */
    int columns, batch;

    __device__ place(const problem &p, const tiling &t, int rank) {
        int const number = blockIdx.x / t.blocks;
        thread_place const thread(t);
        group = number / t.tiles;
        tile = number % t.tiles;
        local_row = thread.row * UNITS;
        row = rank * (t.units / t.blocks) + local_row;
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

    /* Start of the thread's part of a [units][width] array. */
    __device__ int part(const tiling &t) const { return row * t.width + local; }

    /* Start of the thread's part of step t (from 0) of the coefficients or the history, whose
     * sheets are [G][tiles][trace_rows()][width]. */
    __device__ size_t trace_at(const problem &p, const tiling &t, int rows, int step) const {
        unsigned const sheet = (unsigned)step * p.groups + group; /* memory holds no 2^32 of them */
        size_t const block = (size_t)sheet * t.tiles + tile;
        return (block * rows + row) * t.width + local;
    }

    /* Numbers from there to the next step's. */
    __device__ static size_t trace_step(const problem &p, const tiling &t, int rows) {
        return (size_t)p.groups * t.tiles * rows * t.width;
    }
};

/* Rows of a tile that keeps so many numbers of every unit. Those of a kind have H rows, the last
 * ones some padding behind. */
template <int NUMBERS> __device__ static int trace_rows(const problem &p, const tiling &t) {
    return NUMBERS == 1 ? t.units : (NUMBERS - 1) * p.hidden + t.units;
}

/* Copies the thread's part of a [units][width] array of shared memory, from its start on, to the
 * same place of a step's slopes or history. */
template <typename real, int UNITS, int RN>
__device__ static void keep_part(const real *part, int width, real *to) {
#pragma unroll
    for (int i = 0; i < UNITS; ++i) {
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
 * fma each. Of each four rows of acc only the first GATES are used. */
template <typename real, int RM, int RN, int GATES = STRIP>
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
            for (int j = 0; j < RN && i % STRIP < GATES; ++j)
                acc[i][j] = fma(a[i], b[j], acc[i][j]);
    }
}

/* Drive of a step, counted from the first of the warm-up. */
template <typename real>
__device__ static const real *drive_at(const problem &p, const arrays<real> &a, int group,
                                       int step) {
    size_t const sheet = (size_t)p.gates * p.hidden * p.batch;
    return a.drive + group * a.drive_stride + (p.driven ? step : 0) * sheet;
}

/* ---- launching ------------------------------------------------------------------------------- */

static inline size_t columns_in_all(const rs_shape *shape) {
    return shape->groups * shape->radii * shape->batch;
}

/* H from which on the stepwise path takes over: cells with several gates have the product of one
 * with twice the units. */
static inline size_t many_units(const rs_shape *shape) { return gates_of(shape) > 1 ? 256 : 512; }

/* Columns of the product that a thread holds. */
template <typename real> constexpr int columns_of() { return 16 / (int)sizeof(real); }

/* Room for any tiling there may be: bytes must not decrease as columns grow. */
static inline uint64_t tile_sheet(const device_limits *, const rs_shape *shape, size_t rows) {
    uint64_t const columns = rs_size_mul(shape->radii, shape->batch);
    uint64_t const most = rs_size_mul(shape->groups, rs_size_add(columns, MOST_WIDTH));
    return rs_size_mul(most, rs_size_add(rows, MOST_PADDING));
}

/* `rows`: H for each kind of number; the last ones have the padding behind. */
static inline trace_strides tile_strides(const rs_shape *shape, const tiling *t, size_t rows) {
    size_t const row = (size_t)t->width, tile = (rows - shape->hidden + t->units) * row,
                 group = t->tiles * tile;
    return {shape->groups * group, group, tile, row, t->width};
}

/* Both passes of a piece. */
struct tilings {
    tiling forward, back;
};

/* Sizes of a pass's tiling, all but the room for W0, from units, and from rows and columns of a
 * thread. */
template <typename real>
static tiling tiling_of(const rs_shape *shape, bool back, int units, int blocks, int rm, int tc) {
    int const gates = (int)gates_of(shape), states = (int)rs_cell_of(shape->cell)->states;
    tiling t = {};
    t.units = units;
    t.padded = back ? units : units * (int)slots_of(shape);
    t.rows = t.padded / blocks;
    t.tr = t.rows / rm;
    t.tc = tc;
    t.threads = t.tr * tc;
    t.most_threads = back ? most_back_threads(gates) : (int)MOST_THREADS;
    t.width = tc * columns_of<real>();
    t.tiles = (int)((shape->radii * shape->batch + t.width - 1) / t.width);
    t.blocks = blocks;
    t.terms = t.w_rows = (int)shape->hidden * (back ? gates : 1);
    t.state_rows = units * (back ? gates : 1);
    t.sums = back || gates == 1 ? states : 0;
    t.scales = gates == 1 ? 0 : gates;
    return t;
}

/* Units of all blocks of a tiling whose threads have `part` of them each: at least a thread for
 * every column of the tile. */
template <typename real> static int padded_units(const rs_shape *shape, int part, int blocks) {
    int const parts = ((int)shape->hidden + part - 1) / part, least = columns_of<real>();
    int const each = (parts + blocks - 1) / blocks;
    return (each < least ? least : each) * part * blocks;
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
