/* W0 streamed through shared memory where it does not fit: a ring of stages, each with a few rows,
 * which copies fill ahead of the arithmetic. Rows go round and round, H of them for every product,
 * and copies do not stop between products: a step's last work hides the next one's first copies.
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
 * product's last chunk has fewer rows where stage_rows does not divide H.
 *
 * Both streams below have the same use, by all threads of the block:
 *
 *     stream.take()          the next rows, once they have come
 *     stream.give_back()     the thread has read them
 */
#ifndef RS_CUDA_STREAM_CUH
#define RS_CUDA_STREAM_CUH

#include "mbarrier.cuh"
#include "sm90.cuh"
#include "tile.cuh"

/* The rows that are still to be copied. */
template <typename real> struct row_queue {
    const real *weights; /* packed, [hidden][padded] */
    int hidden, padded, stage_rows;
    int row;      /* the next one */
    int products; /* not yet copied to the end; 0: there is nothing to copy */

    __device__ const real *from() const { return weights + (size_t)row * padded; }
    __device__ int count() const {
        return (hidden - row < stage_rows ? hidden - row : stage_rows) * padded;
    }
    __device__ void advance() {
        row += stage_rows;
        if (row < hidden) return;
        row = 0;
        --products;
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
 * Every copy is waited for before the block ends: the queue has the rows of the products and of no
 * more. */
template <typename real> class bulk_stream {
  public:
    /* The kernel synchronises the block before the first take. `products` may be 0. */
    __device__ bulk_stream(const shared_arrays<real> &s, const real *weights, const tiling &t,
                           int hidden, int products)
        : ring_(s.w), filled_((mbarrier *)s.stage_barriers),
          emptied_(filled_ + t.stages), place_{t.stages, 0, 0},
          queue_{weights, hidden, t.padded, t.stage_rows, 0, t.resident ? 0 : products} {
        if (threadIdx.x != 0 || t.resident) return;
        for (int i = 0; i < t.stages; ++i) {
            mbarrier_init(filled_ + i, 1);
            mbarrier_init(emptied_ + i, (blockDim.x + WARP - 1) / WARP);
        }
        mbarrier_fence_init();
        for (int i = 0; i < t.stages - 1; ++i) fill(i);
    }

    __device__ const real *take() {
        if (threadIdx.x == 0) refill();
        mbarrier_wait(filled_ + place_.stage, place_.parity);
        return ring_ + place_.stage * stage_size();
    }

    __device__ void give_back() {
        int const lane = threadIdx.x % WARP, lanes = blockDim.x - (threadIdx.x - lane);
        __syncwarp(lanes < WARP ? (1u << lanes) - 1 : 0xFFFFFFFFu);
        if (lane == 0) mbarrier_arrive(emptied_ + place_.stage);
        place_.advance();
    }

  private:
    __device__ int stage_size() const { return queue_.stage_rows * queue_.padded; }

    /* The stage before this one, whose last round is this one's where this is stage 0's, and else
     * the round before. A new stage is empty: see mbarrier_wait. */
    __device__ void refill() {
        if (queue_.products == 0) return;
        int const stage = place_.before();
        mbarrier_wait(emptied_ + stage, place_.stage == 0 ? place_.parity ^ 1 : place_.parity);
        fill(stage);
    }

    __device__ void fill(int stage) {
        if (queue_.products == 0) return;
        unsigned const bytes = (unsigned)(queue_.count() * sizeof(real));
        mbarrier_arrive_expect(filled_ + stage, bytes);
        bulk_copy(ring_ + stage * stage_size(), queue_.from(), bytes, filled_ + stage);
        queue_.advance();
    }

    real *ring_;
    mbarrier *filled_, *emptied_;
    ring_place place_;
    row_queue<real> queue_; /* thread 0's counts */
};

/* For devices without bulk copies: every thread copies its part of a chunk, and one barrier of the
 * block for each chunk says both that all parts of it have come and that the one before has been
 * read by all. */
template <typename real> class copied_stream {
  public:
    __device__ copied_stream(const shared_arrays<real> &s, const real *weights, const tiling &t,
                             int hidden, int products)
        : ring_(s.w), place_{t.stages, 0, 0}, queue_{weights,      hidden, t.padded,
                                                     t.stage_rows, 0,      products} {
        if (t.resident) return;
        for (int i = 0; i < t.stages - 1; ++i) fill(i);
    }

    __device__ const real *take() {
        __pipeline_wait_prior(place_.stages - 2);
        __syncthreads();
        fill(place_.before());
        return ring_ + place_.stage * stage_size();
    }

    __device__ void give_back() { place_.advance(); }

  private:
    __device__ int stage_size() const { return queue_.stage_rows * queue_.padded; }

    /* Where nothing is left, with an empty batch: the count of those under way stays the same. */
    __device__ void fill(int stage) {
        if (queue_.products == 0) {
            __pipeline_commit();
            return;
        }
        fetch(ring_ + stage * stage_size(), queue_.from(), queue_.count());
        queue_.advance();
    }

    real *ring_;
    ring_place place_;
    row_queue<real> queue_;
};

#if RS_SM90
template <typename real> using weight_stream = bulk_stream<real>;
#else
template <typename real> using weight_stream = copied_stream<real>;
#endif

#endif
