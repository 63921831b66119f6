/* W0 streamed through shared memory where it does not fit: a ring of stages, each with a few rows,
 * which copies fill ahead of the arithmetic. Rows go round and round, all of them for every
 * product, and copies do not stop between products: a step's last work hides the next one's first
 * copies.
 *
 *     s.ring                                      s.filled, s.emptied
 *     +-----------------------------------+
 *     | stage 0: stage_rows rows of W0,   |       [0] [0]
 *     |          [stage_rows][padded]     |
 *     +-----------------------------------+
 *     | stage 1                           |       [1] [1]
 *     +-----------------------------------+
 *     | ...                               |       ...
 *     +-----------------------------------+
 *       stages x stage_rows x padded numbers      2 x stages mbarriers
 *
 * Chunk i of the stream, counted over all products, lies in stage i % stages in round i / stages. A
 * product's last chunk has fewer rows where stage_rows does not divide their number.
 *
 * Both streams below have the same use, by all threads of the block:
 *
 *     stream.take(k, another)  the rows from row k on, once they have come; `another`: this product
 *                              is not the last one
 *     stream.give_back()       the thread has read them
 */
#ifndef RS_CUDA_STREAM_CUH
#define RS_CUDA_STREAM_CUH

#include "mbarrier.cuh"
#include "sm90.cuh"
#include "tile.cuh"

/* W0 as it is streamed: chunks of stage_rows rows, a power of two, again and again. */
template <typename real> struct streamed_weights {
    const real *weights; /* packed, [terms][padded] */
    int terms, padded, stage_rows;

    __device__ const real *from(int row) const { return weights + (size_t)row * padded; }
    __device__ int count(int row) const {
        return (terms - row < stage_rows ? terms - row : stage_rows) * padded;
    }
    __device__ int stage_size() const { return stage_rows * padded; }

    /* First row of the chunk that comes so many chunks behind that of row `row`: it may be one of
     * the next product, if there is `another`. -1 where there is none. */
    __device__ int ahead(int row, int chunks, bool another) const {
        int const next = row + chunks * stage_rows;
        if (next < terms) return next;
        return another ? next - ((terms + stage_rows - 1) & -stage_rows) : -1;
    }
};

/* A place that goes round the ring. */
struct ring_place {
    int stages, stage;
    unsigned parity; /* of the round */

    __device__ int before() const { return (stage == 0 ? stages : stage) - 1; }
    __device__ void advance() {
        if (++stage < stages) return;
        stage = 0;
        parity ^= 1;
    }
};

/* Bulk copies, with two mbarriers for each stage:
 *
 *     filled    complete for round r when the rows of round r have come. Thread 0 arrives and
 *               announces their bytes, the copy counts them down, every thread waits.
 *     emptied   complete for round r when every warp has read them. A warp's first lane arrives
 *               once all its lanes have read, thread 0 waits before it fills the stage again.
 *
 * With chunk i at hand, thread 0 fills the stage of chunk i - 1, which comes round again as chunk
 * i + stages - 1; so stages - 1 copies are under way while a chunk is worked on. No barrier of the
 * block: warps drift apart by as much as there are stages.
 *
 * Why a stage is not overwritten too early: a lane's loads have their values before it comes to
 * __syncwarp, which orders them before the first lane's arrival (release), and that before the end
 * of thread 0's wait (acquire), after which it issues the copy. Nobody writes to the ring but the
 * copies, so that no write has to be handed from one proxy to the other, which would take a
 * fence.proxy.async; only the mbarriers' init does.
 *
 * Why a parity is enough: filled cannot be a whole round ahead of a waiting thread, because the
 * next round's copy waits for that thread's warp to arrive at emptied; and emptied not of thread 0,
 * because the next round's arrivals wait for its copy.
 *
 * Every copy is waited for before the block ends: no more rows are copied than the products take.
 */
template <typename real> class bulk_stream {
  public:
    /* The kernel synchronises the block before the first take. `any`: there is a product. */
    __device__ bulk_stream(const shared_arrays<real> &s, const real *weights, const tiling &t,
                           bool any)
        : ring_(s.w), filled_((mbarrier *)s.stage_barriers),
          emptied_(filled_ + t.stages), place_{t.stages, 0, 0}, w_{weights, t.terms, t.padded,
                                                                   t.stage_rows} {
        if (threadIdx.x != 0 || t.resident || !any) return;
#pragma unroll 1
        for (int i = 0; i < t.stages; ++i) {
            mbarrier_init(filled_ + i, 1);
            mbarrier_init(emptied_ + i, (blockDim.x + WARP - 1) / WARP);
        }
        mbarrier_fence_init();
#pragma unroll 1
        for (int i = 0; i < t.stages - 1; ++i) fill(i, i * t.stage_rows);
    }

    __device__ const real *take(int k, bool another) {
        if (threadIdx.x == 0) refill(w_.ahead(k, place_.stages - 1, another));
        mbarrier_wait(filled_ + place_.stage, place_.parity);
        return ring_ + place_.stage * w_.stage_size();
    }

    __device__ void give_back() {
        int const lane = threadIdx.x % WARP, lanes = blockDim.x - (threadIdx.x - lane);
        __syncwarp(lanes < WARP ? (1u << lanes) - 1 : 0xFFFFFFFFu);
        if (lane == 0) mbarrier_arrive(emptied_ + place_.stage);
        place_.advance();
    }

  private:
    /* The stage before this one, whose last round is this one's where this is stage 0's, and else
     * the round before. A new stage is empty: see mbarrier_wait. */
    __device__ void refill(int row) {
        if (row < 0) return;
        int const stage = place_.before();
        mbarrier_wait(emptied_ + stage, place_.stage == 0 ? place_.parity ^ 1 : place_.parity);
        fill(stage, row);
    }

    __device__ void fill(int stage, int row) {
        unsigned const bytes = (unsigned)(w_.count(row) * sizeof(real));
        mbarrier_arrive_expect(filled_ + stage, bytes);
        bulk_copy(ring_ + stage * w_.stage_size(), w_.from(row), bytes, filled_ + stage);
    }

    real *ring_;
    mbarrier *filled_, *emptied_;
    ring_place place_;
    streamed_weights<real> w_;
};

/* For devices without bulk copies: every thread copies its part of a chunk, and one barrier of the
 * block for each chunk says both that all parts of it have come and that the one before has been
 * read by all. */
template <typename real> class copied_stream {
  public:
    __device__ copied_stream(const shared_arrays<real> &s, const real *weights, const tiling &t,
                             bool any)
        : ring_(s.w), place_{t.stages, 0, 0}, w_{weights, t.terms, t.padded, t.stage_rows} {
        if (t.resident || !any) return;
#pragma unroll 1
        for (int i = 0; i < t.stages - 1; ++i) fill(i, i * t.stage_rows);
    }

    __device__ const real *take(int k, bool another) {
        __pipeline_wait_prior(place_.stages - 2);
        __syncthreads();
        fill(place_.before(), w_.ahead(k, place_.stages - 1, another));
        return ring_ + place_.stage * w_.stage_size();
    }

    __device__ void give_back() { place_.advance(); }

  private:
    /* Where no row is left, with an empty batch: the count of those under way stays the same. */
    __device__ void fill(int stage, int row) {
        if (row < 0)
            __pipeline_commit();
        else
            fetch(ring_ + stage * w_.stage_size(), w_.from(row), w_.count(row));
    }

    real *ring_;
    ring_place place_;
    streamed_weights<real> w_;
};

#if RS_SM90
template <typename real> using weight_stream = bulk_stream<real>;
#else
template <typename real> using weight_stream = copied_stream<real>;
#endif

#endif
