/* Products of W0 and many columns, where both lie in global memory: the engine's own, for columns
 * of all groups. Each sum runs over k ascending in one accumulator, one fma each, so a column's
 * bits do not depend on the tile, on the columns beside it or on their number. A BLAS picks
 * kernels, and with them the order of its sums, by the number of columns.
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
 *       (k first)    |  warp 2  |  warp 3  |
 *                    +----------+----------+
 *
 * A warp has 32 rows x 64 columns (f64: 32). In the product its lanes are 4 down x 8 across, each
 * with 8 rows and two pieces of 16 bytes, one in each half of the columns. The sums then go through
 * shared memory to lanes that are 2 down x 16 across, a row of a piece at a time: few registers,
 * and whole rows in global memory. */
#ifndef RS_CUDA_PRODUCT_CUH
#define RS_CUDA_PRODUCT_CUH

#include "tile.cuh"

enum { LANE_ROWS = 8, WARP_ROWS = 32, DEPTH = 16 };
enum { LANES_DOWN = 2, LANES_ACROSS = 16 }; /* once the product is done */

/* Sizes of a tile of TALL x WIDE warps, and where the thread is in it. */
template <typename real, int TALL, int WIDE> struct tile {
    static constexpr int EACH = per_move<real>(), LANE_COLUMNS = 2 * EACH;
    static constexpr int WARP_COLUMNS = LANES_ACROSS * EACH;
    static constexpr int ROWS = TALL * WARP_ROWS, COLUMNS = WIDE * WARP_COLUMNS;
    static constexpr int THREADS = WARP * TALL * WIDE;
    static constexpr int STAGE = DEPTH * (ROWS + COLUMNS), SUMS = ROWS * COLUMNS;
    static constexpr int STAGES = sizeof(real) == 4 ? 4 : 3;
    static constexpr int NUMBERS = STAGES * STAGE > SUMS ? STAGES *STAGE : SUMS;
    static constexpr size_t BYTES = NUMBERS * sizeof(real);
    static constexpr int RESIDENT = THREADS > 64 ? 512 / THREADS : 6; /* blocks, by registers */

    int group, row_tile;
    int first_row, first_column; /* of the tile */
    int warp_row, warp_column;   /* of the warp, within the tile */

    /* Tiles of the same columns are neighbours. */
    __device__ tile(int columns, int rows) {
        int const down = tiles_down(rows), across = tiles_across(columns);
        int const warp = threadIdx.x / WARP;
        row_tile = blockIdx.x % down;
        group = blockIdx.x / down / across;
        first_row = row_tile * ROWS;
        first_column = blockIdx.x / down % across * COLUMNS;
        warp_row = warp / WIDE * WARP_ROWS;
        warp_column = warp % WIDE * WARP_COLUMNS;
    }

    __host__ __device__ static int tiles_down(int rows) { return (rows + ROWS - 1) / ROWS; }
    __host__ __device__ static int tiles_across(int columns) {
        return (columns + COLUMNS - 1) / COLUMNS;
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
    int depth;

    /* Of states [G][terms][pitch]. */
    __device__ tile_product(shape at, const packed_weights<real> &weights, const real *states,
                            int pitch, int terms)
        : w(weights.of(at.group), terms, weights.padded, at.first_row),
          state(states + (size_t)at.group * terms * pitch, terms, pitch, at.first_column),
          depth(terms) {
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
        for (int k = 0; k < depth; k += DEPTH) {
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

#endif
