#include "planted_bugs.h"

#include <cooperative_groups.h>
#include <cuda_on_cpu_mbarrier.h>
#include <cuda_pipeline.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

constexpr int THREADS = 128;

extern __shared__ __align__(16) unsigned char rs_shared[];

/* ---- the kernels: each has THREADS threads and room for as many floats, unless it says so -------
 */

/* out[t] = t + 32 + t - 32, around the block. */
template <bool planted> __global__ void missing_syncthreads(const float *, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x;
    s[t] = static_cast<float>(t);
    if (!planted) __syncthreads();
    out[t] = s[(t + 32) % THREADS] + s[(t + THREADS - 32) % THREADS];
}

template <bool planted> __global__ void missing_syncwarp(const float *, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x;
    s[t] = static_cast<float>(t);
    if (!planted) __syncwarp();
    out[t] = s[t ^ 1];
}

/* The second half is written for the next round while others may still read this round's. */
template <bool planted> __global__ void overwritten_too_soon(const float *, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x;
    s[t] = static_cast<float>(t);
    __syncthreads();
    float const left = s[(t + 64) % THREADS];
    if (!planted) __syncthreads();
    s[t] = -1;
    out[t] = left;
}

template <bool planted> __global__ void uninitialised_shared(const float *, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    if (!planted) s[threadIdx.x] = 0;
    out[threadIdx.x] = s[threadIdx.x] + 1;
}

template <bool planted> __global__ void uninitialised_static_shared(const float *, float *out) {
    __shared__ float s[THREADS];
    if (!planted) s[threadIdx.x] = 0;
    out[threadIdx.x] = s[threadIdx.x] + 1;
}

template <bool planted> __global__ void uninitialised_global(const float *, float *out) {
    if (!planted) out[threadIdx.x] = 0;
    out[threadIdx.x] += 1;
}

template <bool planted> __global__ void past_the_end(const float *, float *out) {
    out[threadIdx.x + (planted && threadIdx.x == THREADS - 1)] = 1;
}

template <bool planted> __global__ void past_the_end_of_shared(const float *, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    s[threadIdx.x + (planted && threadIdx.x == THREADS - 1)] = 1;
    out[threadIdx.x] = 1;
}

template <bool planted> __global__ void exited_lane(const float *, float *out) {
    unsigned const t = threadIdx.x;
    out[t] = 1;
    if (t % 32 == 31) return;
    out[t] = __shfl_sync(planted ? 0xffffffffu : 0x7fffffffu, 1.0f, 0);
}

template <bool planted> __global__ void lane_outside_the_mask(const float *, float *out) {
    unsigned const t = threadIdx.x;
    out[t] = 1;
    if (t % 32 < 16) out[t] = __shfl_sync(0x0000ffffu, 1.0f, planted ? 20 : 0);
}

template <bool planted> __global__ void caller_outside_the_mask(const float *, float *out) {
    __syncwarp(planted ? 0x0000ffffu : 0xffffffffu);
    out[threadIdx.x] = 1;
}

template <bool planted> __global__ void masks_that_differ(const float *, float *out) {
    __syncwarp(planted && threadIdx.x % 2 ? 0xfffffffeu : 0xffffffffu);
    out[threadIdx.x] = 1;
}

template <bool planted> __global__ void barrier_not_reached_by_all(const float *, float *out) {
    out[threadIdx.x] = 1;
    if (planted && threadIdx.x >= 64) return;
    __syncthreads();
}

template <bool planted> __global__ void diverged_barriers(const float *, float *out) {
    if (planted && threadIdx.x < 64) {
        __syncthreads();
        out[threadIdx.x] = 1;
    } else {
        __syncthreads();
        out[threadIdx.x] = 1;
    }
}

/* The wait comes after the use. */
template <bool planted> __global__ void missing_wait(const float *in, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x;
    __pipeline_memcpy_async(&s[t], &in[t], sizeof *s);
    __pipeline_commit();
    if (!planted) __pipeline_wait_prior(0);
    out[t] = s[t];
    __pipeline_wait_prior(0);
}

template <bool planted> __global__ void never_waited_for(const float *in, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    out[threadIdx.x] = 1;
    __pipeline_memcpy_async(&s[threadIdx.x], &in[threadIdx.x], sizeof *s);
    __pipeline_commit();
    if (!planted) __pipeline_wait_prior(0);
}

/* Each waits for its own copy, but reads another's. */
template <bool planted> __global__ void missing_barrier_after_wait(const float *in, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x;
    __pipeline_memcpy_async(&s[t], &in[t], sizeof *s);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    if (!planted) __syncthreads();
    out[t] = s[(t + 32) % THREADS];
}

/* Each round's number is fetched a round ahead; there is none after the last. */
template <bool planted> __global__ void prefetched_past_the_end(const float *in, float *out) {
    float next = in[threadIdx.x / 4], sum = 0;
    for (int round = 0; round < 4; ++round) {
        sum += next;
        unsigned const ahead = static_cast<unsigned>(round + 1) * (THREADS / 4) + threadIdx.x / 4;
        if (planted || round + 1 < 4) next = in[ahead];
    }
    out[threadIdx.x] = sum - 4.0f * static_cast<float>(threadIdx.x / 4) - 6.0f * (THREADS / 4) + 1;
}

/* Four numbers at once are read where rows of them begin on a boundary, and only there. */
template <bool planted> __global__ void misaligned_row(const float *in, float *out) {
    unsigned const row = threadIdx.x / 4 % 8 * (planted ? 5 : 4);
    float const first = reinterpret_cast<const float4 *>(in + row)->x;
    out[threadIdx.x] = first - static_cast<float>(row) + 1;
}

/* Threads of two rows take turns from lane to lane; an odd last row has none to take turns with. */
template <bool planted> __global__ void odd_row_paired(const float *, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    constexpr unsigned COLUMNS = 8, ROWS = 15;
    unsigned const t = threadIdx.x, first = t / (2 * COLUMNS) * 2, within = t % (2 * COLUMNS);
    bool const paired = planted || first + 1 < ROWS;
    unsigned const row = paired ? first + within % 2 : first;
    unsigned const column = paired ? within / 2 : within;
    out[t] = 1;
    if (t < ROWS * COLUMNS) s[row * COLUMNS + column] = 1;
    __syncthreads();
    if (t < ROWS * COLUMNS) out[t] = s[t];
}

/* Threads of all rows lower their column's number. */
template <bool planted> __global__ void minimum_without_atomic(const float *, float *out) {
    auto *const s = reinterpret_cast<unsigned *>(rs_shared);
    unsigned const t = threadIdx.x, column = t % 32, mine = (t / 32 + t) % 4 + 1;
    if (t < 32) s[t] = 1000;
    __syncthreads();
    if (planted)
        s[column] = mine; /* whoever comes last */
    else
        atomicMin(&s[column], mine);
    __syncthreads();
    out[t] = static_cast<float>(s[column]);
}

/* Two arrays have the same room, one after the other. */
template <bool planted> __global__ void room_shared_too_soon(const float *, float *out) {
    auto *const first = reinterpret_cast<unsigned *>(rs_shared);
    auto *const second = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x;
    first[t] = t;
    __syncthreads();
    auto const found = static_cast<float>(first[(t + 64) % THREADS]);
    if (!planted) __syncthreads();
    second[t] = -1;
    out[t] = found;
}

/* ---- bulk copies through a ring of two stages ---------------------------------------------------
 */

enum class Ring {
    correct,
    read_before_wait,
    wrong_phase,
    refilled_too_soon,
    copied_too_little,
    copied_too_much,
    odd_size,
    odd_address,
    past_the_ring,
    without_fence,
    without_init,
    used_before_init,
    initialised_twice,
    overwritten,
    too_many_arrivals,
    too_many_bytes,
    left_under_way,
};

constexpr unsigned CHUNK = 32, CHUNKS = THREADS / CHUNK, STAGES = 2, PRODUCER = 96;

/* Two stages of CHUNK floats, then for each stage the mbarrier that says that it is filled and the
 * one that says that it is emptied. In every order some threads run before the one that fills, and
 * some after it. */
struct RingMemory {
    float *stage[STAGES];
    mbarrier *filled, *emptied;
};

template <Ring bug> static void fill(const RingMemory &ring, const float *in, unsigned chunk) {
    constexpr unsigned bytes = CHUNK * sizeof(float);
    unsigned const stage = chunk % STAGES;
    if (bug != Ring::refilled_too_soon) mbarrier_wait(ring.emptied + stage, chunk / STAGES % 2 ^ 1);
    mbarrier_arrive_expect(ring.filled + stage, bug == Ring::copied_too_much  ? bytes / 2
                                                : bug == Ring::too_many_bytes ? 1u << 20
                                                                              : bytes);
    if (bug == Ring::too_many_arrivals) mbarrier_arrive(ring.filled + stage);
    float *const to = ring.stage[stage] + (bug == Ring::past_the_ring ? THREADS - 4 : 0);
    bulk_copy(to, in + chunk * CHUNK + (bug == Ring::odd_address),
              bug == Ring::copied_too_little ? bytes / 2
              : bug == Ring::odd_size        ? bytes - 8
                                             : bytes,
              ring.filled + stage);
}

template <Ring bug> static void begin(const RingMemory &ring, const float *in) {
    for (unsigned i = 0; i < STAGES; ++i) {
        if (bug != Ring::without_init) mbarrier_init(ring.filled + i, 1);
        mbarrier_init(ring.emptied + i, THREADS / 32);
        if (bug == Ring::initialised_twice) mbarrier_init(ring.filled + i, 1);
    }
    if (bug != Ring::without_fence) mbarrier_fence_init();
    if (bug == Ring::overwritten) ring.filled[0] = 0;
    for (unsigned i = 0; i < STAGES; ++i) fill<bug>(ring, in, i);
}

/* out[t] = the sum of number t % CHUNK of every chunk. */
template <Ring bug> static void sum_chunks(const float *in, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    auto *const barriers = reinterpret_cast<mbarrier *>(s + STAGES * CHUNK);
    RingMemory const ring = {{s, s + CHUNK}, barriers, barriers + STAGES};
    unsigned const t = threadIdx.x;
    if (t == PRODUCER) begin<bug>(ring, in);
    if (bug != Ring::used_before_init) __syncthreads();
    float sum = 0;
    for (unsigned chunk = 0; chunk < CHUNKS; ++chunk) {
        unsigned const stage = chunk % STAGES, parity = chunk / STAGES % 2;
        if (bug == Ring::left_under_way && chunk == STAGES) break;
        if (bug != Ring::read_before_wait)
            mbarrier_wait(ring.filled + stage, bug == Ring::wrong_phase ? parity ^ 1 : parity);
        sum += ring.stage[stage][t % CHUNK];
        if (bug == Ring::read_before_wait) mbarrier_wait(ring.filled + stage, parity);
        __syncwarp();
        if (t % 32 == 0) mbarrier_arrive(ring.emptied + stage);
        if (t == PRODUCER && chunk + STAGES < CHUNKS) fill<bug>(ring, in, chunk + STAGES);
    }
    out[t] = sum;
}

#define RING_KERNEL(name)                                                                          \
    template <bool planted> __global__ void bulk_##name(const float *in, float *out) {             \
        sum_chunks<planted ? Ring::name : Ring::correct>(in, out);                                 \
    }
RING_KERNEL(read_before_wait)
RING_KERNEL(wrong_phase)
RING_KERNEL(refilled_too_soon)
RING_KERNEL(copied_too_little)
RING_KERNEL(copied_too_much)
RING_KERNEL(odd_size)
RING_KERNEL(odd_address)
RING_KERNEL(past_the_ring)
RING_KERNEL(without_fence)
RING_KERNEL(without_init)
RING_KERNEL(used_before_init)
RING_KERNEL(initialised_twice)
RING_KERNEL(overwritten)
RING_KERNEL(too_many_arrivals)
RING_KERNEL(too_many_bytes)
RING_KERNEL(left_under_way)
#undef RING_KERNEL

/* A ring of two stages, as the stepwise path's product has it: a stage is filled again while others
 * may still read it. */
template <bool planted> __global__ void stage_filled_too_soon(const float *in, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x % (THREADS / 2), half = THREADS / 2;
    bool const copies = threadIdx.x < half;
    float sum = 0;
    if (copies) __pipeline_memcpy_async(&s[t], &in[t], sizeof *s);
    __pipeline_commit();
    for (unsigned turn = 0; turn < 4; ++turn) {
        if (copies && !planted)
            __pipeline_memcpy_async(&s[(turn + 1) % 2 * half + t], &in[t], sizeof *s);
        if (copies && planted) __pipeline_memcpy_async(&s[turn % 2 * half + t], &in[t], sizeof *s);
        __pipeline_commit();
        __pipeline_wait_prior(1);
        __syncthreads();
        sum += s[turn % 2 * half + (t + 1) % half];
        __syncthreads();
    }
    __pipeline_wait_prior(0);
    out[threadIdx.x] = sum;
}

/* What lies beyond the array is not read, and becomes zeros. */
template <bool planted> __global__ void past_the_end_of_a_copy(const float *in, float *out) {
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x;
    bool const inside = t < THREADS - 1;
    __pipeline_memcpy_async(&s[t], &in[t + !inside], sizeof *s, inside || planted ? 0 : sizeof *s);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    out[t] = s[t] == (inside ? static_cast<float>(t) : 0.0f);
}

/* ---- clusters of two blocks, each with THREADS threads ------------------------------------------
 */

/* What both blocks have found goes to out: the second one's where it is not what it should be. */
static void report(bool first, float found, float wanted, float *out) {
    if (first) out[threadIdx.x] = found;
    cooperative_groups::this_cluster().sync();
    if (!first && found != wanted) out[threadIdx.x] = found;
}

/* Each block writes t into the other's memory. */
template <bool planted> __global__ void missing_cluster_sync(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x, rank = cluster.block_rank(), next = (t + 32) % THREADS;
    cluster.sync();
    cluster.map_shared_rank(s, rank ^ 1)[t] = static_cast<float>(t);
    if (planted)
        __syncthreads();
    else
        cluster.sync();
    report(rank == 0, s[next], static_cast<float>(next), out);
}

/* Each block reads the other's memory, and overwrites its own. */
template <bool planted> __global__ void overwritten_in_peer(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x, rank = cluster.block_rank(), next = (t + 32) % THREADS;
    s[t] = static_cast<float>(t);
    cluster.sync();
    float const found = cluster.map_shared_rank(s, rank ^ 1)[next];
    if (!planted) cluster.sync();
    s[t] = -1;
    report(rank == 0, found, static_cast<float>(next), out);
}

/* A block may reach for another only when that has begun. */
template <bool planted> __global__ void written_before_begun(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x, rank = cluster.block_rank();
    if (!planted) cluster.sync();
    cluster.map_shared_rank(s, rank ^ 1)[t] = static_cast<float>(t);
    cluster.sync();
    report(rank == 0, s[t], static_cast<float>(t), out);
}

template <bool planted> __global__ void written_after_end(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    auto *const s = reinterpret_cast<float *>(rs_shared);
    report(cluster.block_rank() == 0, 1, 1, out);
    cluster.map_shared_rank(s, cluster.block_rank() ^ 1)[threadIdx.x] = 1;
    if (!planted) cluster.sync();
}

template <bool planted> __global__ void cluster_sync_not_reached(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    if (planted && cluster.block_rank() == 1) return;
    report(cluster.block_rank() == 0, 1, 1, out);
}

template <bool planted> __global__ void past_the_end_of_peer(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    auto *const s = reinterpret_cast<float *>(rs_shared);
    float *const peer = cluster.map_shared_rank(s, cluster.block_rank() ^ 1);
    cluster.sync();
    peer[threadIdx.x + (planted && threadIdx.x == THREADS - 1)] = 1;
    report(cluster.block_rank() == 0, 1, 1, out);
}

template <bool planted> __global__ void no_such_peer(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    auto *const s = reinterpret_cast<float *>(rs_shared);
    cluster.sync();
    cluster.map_shared_rank(s, planted ? 2 : cluster.block_rank() ^ 1)[threadIdx.x] = 1;
    report(cluster.block_rank() == 0, 1, 1, out);
}

/* Between arrival and wait, a block may neither read what the other has sent ... */
template <bool planted> __global__ void read_before_cluster_wait(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x, rank = cluster.block_rank(), next = (t + 32) % THREADS;
    cluster.sync();
    cluster.map_shared_rank(s, rank ^ 1)[t] = static_cast<float>(t);
    (void)cluster.barrier_arrive();
    float const early = planted ? s[next] : 0;
    cluster.barrier_wait();
    report(rank == 0, planted ? early : s[next], static_cast<float>(next), out);
}

/* ... nor send it. */
template <bool planted> __global__ void sent_after_cluster_arrive(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    auto *const s = reinterpret_cast<float *>(rs_shared);
    unsigned const t = threadIdx.x, rank = cluster.block_rank(), next = (t + 32) % THREADS;
    cluster.sync();
    float *const peer = cluster.map_shared_rank(s, rank ^ 1);
    if (!planted) peer[t] = static_cast<float>(t);
    (void)cluster.barrier_arrive();
    if (planted) peer[t] = static_cast<float>(t);
    cluster.barrier_wait();
    report(rank == 0, s[next], static_cast<float>(next), out);
}

template <bool planted> __global__ void cluster_wait_without_arrive(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    if (!planted) (void)cluster.barrier_arrive();
    cluster.barrier_wait();
    report(cluster.block_rank() == 0, 1, 1, out);
}

template <bool planted> __global__ void cluster_arrive_twice(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    (void)cluster.barrier_arrive();
    if (planted) (void)cluster.barrier_arrive();
    cluster.barrier_wait();
    report(cluster.block_rank() == 0, 1, 1, out);
}

template <bool planted> __global__ void cluster_arrive_without_wait(const float *, float *out) {
    auto const cluster = cooperative_groups::this_cluster();
    report(cluster.block_rank() == 0, 1, 1, out);
    (void)cluster.barrier_arrive();
    if (!planted) cluster.barrier_wait();
}

/* ---- the host's part ----------------------------------------------------------------------------
 */

static void must(cudaError_t error) {
    if (error == cudaSuccess) return;
    std::fprintf(stderr, "%s\n", cudaGetErrorName(error));
    std::exit(1);
}

using Kernel = void (*)(const float *, float *);

/* Runs it on in[t] = t, in a cluster of so many blocks. */
static std::vector<float> results(Kernel kernel, unsigned blocks) {
    std::vector<float> values(THREADS);
    size_t const bytes = THREADS * sizeof values[0];
    for (int t = 0; t < THREADS; ++t) values[static_cast<size_t>(t)] = static_cast<float>(t);
    float *in = nullptr, *out = nullptr;
    must(cudaMalloc(&in, bytes));
    must(cudaMalloc(&out, bytes));
    must(cudaMemcpy(in, values.data(), bytes, cudaMemcpyHostToDevice));
    cudaLaunchAttribute cluster = {cudaLaunchAttributeClusterDimension, {{blocks, 1, 1}}};
    cudaLaunchConfig_t config = {};
    config.attrs = &cluster;
    config.numAttrs = 1;
    config.gridDim = blocks;
    config.blockDim = THREADS;
    config.dynamicSmemBytes = bytes;
    must(cudaLaunchKernelEx(&config, kernel, in, out));
    must(cudaMemcpy(values.data(), out, bytes, cudaMemcpyDeviceToHost));
    must(cudaFree(in));
    must(cudaFree(out));
    return values;
}

static int neighbours(int t) { return (t + 32) % THREADS + (t + THREADS - 32) % THREADS; }
static int partner(int t) { return t ^ 1; }
static int opposite(int t) { return (t + 64) % THREADS; }
static int neighbour(int t) { return (t + 32) % THREADS; }
static int same(int t) { return t; }
static int one(int) { return 1; }
static int column(int t) { return 4 * (t % 32) + 32 * (0 + 1 + 2 + 3); } /* of chunks */
static int four_of_the_next(int t) { return 4 * ((t + 1) % (THREADS / 2)); }

template <Kernel correct, Kernel wrong, int (*expected)(int), unsigned blocks>
static bool run(bool planted) {
    std::vector<float> const values = results(planted ? wrong : correct, blocks);
    for (int t = 0; t < THREADS; ++t)
        if (!(values[static_cast<size_t>(t)] == static_cast<float>(expected(t)))) return false;
    return true;
}

#define BUG(kernel, expected)    #kernel, run < kernel < false>, kernel < true>, expected, 1>
#define IN_TWO(kernel, expected) #kernel, run < kernel < false>, kernel < true>, expected, 2>

static const char WRONG[] = "wrong results", RACE[] = "data race", ENDED[] = "after the block had";
static const char POISON[] = "use-after-poison";

const PlantedBug planted_bugs[] = {
    {BUG(missing_syncthreads, neighbours), WRONG, RACE, WRONG},
    {BUG(missing_syncwarp, partner), WRONG, RACE, WRONG},
    {BUG(overwritten_too_soon, opposite), WRONG, RACE, WRONG},
    {BUG(uninitialised_shared, one), WRONG, WRONG, WRONG},
    {BUG(uninitialised_static_shared, one), WRONG, WRONG, WRONG},
    {BUG(uninitialised_global, one), WRONG, WRONG, WRONG},
    {BUG(past_the_end, one), nullptr, nullptr, "heap-buffer-overflow"},
    {BUG(past_the_end_of_shared, one), nullptr, nullptr, "use-after-poison"},
    {BUG(exited_lane, one), "thread (31, 0, 0) has exited", "has exited", "has exited"},
    {BUG(lane_outside_the_mask, one), "reads lane 20, not in the mask", "reads lane", "reads lane"},
    {BUG(caller_outside_the_mask, one), "does not name the caller", "does not name",
     "does not name"},
    {BUG(masks_that_differ, one), "waits in __syncwarp with mask", "waits in", "waits in"},
    {BUG(barrier_not_reached_by_all, one), "reached by 64 of 128 threads", "reached by",
     "reached by"},
    {BUG(diverged_barriers, one), "diverged", "diverged", "diverged"},
    {BUG(missing_wait, same), WRONG, WRONG, WRONG},
    {BUG(never_waited_for, one), "unwaited for", "unwaited for", "unwaited for"},
    {BUG(missing_barrier_after_wait, neighbour), WRONG, RACE, WRONG},
    {BUG(prefetched_past_the_end, one), nullptr, nullptr, "heap-buffer-overflow"},
    {BUG(misaligned_row, one), nullptr, nullptr, "misaligned address"},
    {BUG(odd_row_paired, one), WRONG, WRONG, WRONG},
    {BUG(minimum_without_atomic, one), WRONG, RACE, WRONG},
    {BUG(room_shared_too_soon, opposite), WRONG, RACE, WRONG},
    {BUG(bulk_read_before_wait, column), WRONG, RACE, POISON},
    {BUG(bulk_wrong_phase, column), "more than 1 arrivals", "more than 1", POISON},
    {BUG(bulk_refilled_too_soon, column), WRONG, RACE, POISON},
    {BUG(bulk_copied_too_little, column), "never ends", "wants 0 of 1 arrivals and 64 bytes",
     "64 bytes"},
    {BUG(bulk_copied_too_much, column), "64 bytes more have come", "more have come", "more have"},
    {BUG(bulk_odd_size, column), "120 bytes are not a multiple", "not a multiple",
     "not a multiple"},
    {BUG(bulk_odd_address, column), "not aligned to 16", "not aligned", "not aligned"},
    {BUG(bulk_past_the_ring, column), "not all to the block's", "not all to", "not all to"},
    {BUG(bulk_without_fence, column), "no mbarrier_fence_init", "no mbarrier_fence",
     "no mbarrier_"},
    {BUG(bulk_without_init, column), "no mbarrier was initialised there", "no mbarrier was", "was"},
    {BUG(bulk_used_before_init, column), "no mbarrier was", "no mbarrier was", "no mbarrier was"},
    {BUG(bulk_initialised_twice, column), "initialised before", "initialised before", "before"},
    {BUG(bulk_overwritten, column), "was overwritten", "was overwritten", "was overwritten"},
    {BUG(bulk_too_many_arrivals, column), "more than 1 arrivals", "more than 1", "more than 1"},
    {BUG(bulk_too_many_bytes, column), "more than 2^20 - 1 bytes", "2^20 - 1 bytes", "2^20 - 1"},
    {BUG(bulk_left_under_way, column), "the block ends before it has", "ends before",
     "ends before"},
    {IN_TWO(read_before_cluster_wait, neighbour), WRONG, RACE, WRONG},
    {IN_TWO(sent_after_cluster_arrive, neighbour), WRONG, RACE, WRONG},
    {IN_TWO(cluster_wait_without_arrive, one), "has not arrived", "has not arrived", "not arrived"},
    {IN_TWO(cluster_arrive_twice, one), "arrives twice", "arrives twice", "arrives twice"},
    {IN_TWO(cluster_arrive_without_wait, one), "has not waited", "has not waited", "not waited"},
    {BUG(stage_filled_too_soon, four_of_the_next), WRONG, WRONG, WRONG},
    {BUG(past_the_end_of_a_copy, one), nullptr, nullptr, "heap-buffer-overflow"},
    {IN_TWO(missing_cluster_sync, neighbour), WRONG, RACE, WRONG},
    {IN_TWO(overwritten_in_peer, neighbour), WRONG, RACE, WRONG},
    {IN_TWO(written_before_begun, same), WRONG, WRONG, WRONG},
    {IN_TWO(written_after_end, one), ENDED, ENDED, ENDED},
    {IN_TWO(cluster_sync_not_reached, one), "not reached by a block", "not reached", "not reached"},
    {IN_TWO(past_the_end_of_peer, one), nullptr, nullptr, "use-after-poison"},
    {IN_TWO(no_such_peer, one), "no block of rank 2 among 2", "no block of rank", "no block"},
};

const size_t planted_bug_count = sizeof planted_bugs / sizeof planted_bugs[0];
