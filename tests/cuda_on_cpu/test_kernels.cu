/* Correct kernels do what CUDA says, in every order of threads and under every sanitizer. */
#include "cmocka_cpp.h"

#include <cooperative_groups.h>
#include <cuda_on_cpu_mbarrier.h>
#include <cuda_pipeline.h>
#include <cuda_runtime.h>

#include <vector>

extern __shared__ __align__(16) unsigned char rs_shared[];

static void must(cudaError_t error) { assert_int_equal(error, cudaSuccess); }

template <class T> static T *device_copy(const std::vector<T> &values) {
    T *memory = nullptr;
    size_t const bytes = values.size() * sizeof(T);
    must(cudaMalloc(&memory, bytes));
    must(cudaMemcpy(memory, values.data(), bytes, cudaMemcpyHostToDevice));
    return memory;
}

template <class T> static std::vector<T> take_back(T *memory, size_t count) {
    std::vector<T> values(count);
    must(cudaMemcpy(values.data(), memory, count * sizeof(T), cudaMemcpyDeviceToHost));
    must(cudaFree(memory));
    return values;
}

template <class... Parameters, class... Arguments>
static void launch_clusters(unsigned blocks, dim3 grid, dim3 block, size_t shared_bytes,
                            void (*kernel)(Parameters...), Arguments... arguments) {
    cudaLaunchAttribute cluster = {cudaLaunchAttributeClusterDimension, {{blocks, 1, 1}}};
    cudaLaunchConfig_t config = {};
    config.attrs = &cluster;
    config.numAttrs = 1;
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    must(cudaLaunchKernelEx(&config, kernel, arguments...));
}

template <class... Parameters, class... Arguments>
static void launch(dim3 grid, dim3 block, size_t shared_bytes, void (*kernel)(Parameters...),
                   Arguments... arguments) {
    launch_clusters(1, grid, block, shared_bytes, kernel, arguments...);
}

/* ---- indices ------------------------------------------------------------------------------------
 */

static __global__ void number_all(unsigned *out) {
    unsigned const block =
        blockIdx.x + gridDim.x * (blockIdx.y + static_cast<unsigned>(gridDim.y) * blockIdx.z);
    unsigned const thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    unsigned const i = block * blockDim.x * blockDim.y * blockDim.z + thread;
    atomicAdd(&out[i], i);
}

static void test_indices(void **) {
    unsigned const count = 2 * 3 * 4 * 5 * 3 * 2;
    unsigned *const out = device_copy(std::vector<unsigned>(count, 7));
    launch(dim3(2, 3, 4), dim3(5, 3, 2), 0, number_all, out);
    std::vector<unsigned> const values = take_back(out, count);
    for (unsigned i = 0; i < count; ++i) assert_int_equal(values[i], i + 7);
}

/* ---- shuffles -----------------------------------------------------------------------------------
 */

template <class T> __global__ void shuffle_all_ways(T *out, int width) {
    int const t = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
    T const mine = static_cast<T>(t + 1);
    unsigned const all = 0xffffffffu;
    out[t] = __shfl_sync(all, mine, 5, width);
    out[n + t] = __shfl_up_sync(all, mine, 3, width);
    out[2 * n + t] = __shfl_down_sync(all, mine, 3, width);
    out[3 * n + t] = __shfl_xor_sync(all, mine, 6, width);
}

/* Lane arithmetic as CUDA's manual words it. */
static int source(int way, int lane, int width) {
    int const first = lane / width * width, end = first + width;
    switch (way) {
    case 0: return first + 5 % width;
    case 1: return lane - 3 >= first ? lane - 3 : lane;
    case 2: return lane + 3 < end ? lane + 3 : lane;
    default: return (lane ^ 6) < end ? lane ^ 6 : lane;
    }
}

template <class T> static void check_shuffles() {
    int const threads = 64;
    for (int width : {2, 4, 8, 16, 32}) {
        T *const out = device_copy(std::vector<T>(4 * threads));
        launch(1, threads, 0, shuffle_all_ways<T>, out, width);
        std::vector<T> const values = take_back(out, 4 * threads);
        for (int i = 0; i < 4 * threads; ++i) {
            int const t = i % threads, from = t / 32 * 32 + source(i / threads, t % 32, width);
            assert_true(values[static_cast<size_t>(i)] == static_cast<T>(from + 1));
        }
    }
}

static void test_shuffles(void **) {
    check_shuffles<int>();
    check_shuffles<unsigned>();
    check_shuffles<float>();
    check_shuffles<double>();
}

/* Two halves of each warp that never meet: the lower shuffles five times, the upper once. */
static __global__ void halves_apart(unsigned *out) {
    unsigned const lane = threadIdx.x % 32;
    unsigned sum = lane;
    if (lane < 16) {
        for (int i = 0; i < 5; ++i) sum += __shfl_xor_sync(0x0000ffffu, sum, 1);
    } else {
        sum += __shfl_xor_sync(0xffff0000u, sum, 1);
    }
    out[threadIdx.x] = sum;
}

static void test_halves(void **) {
    unsigned *const out = device_copy(std::vector<unsigned>(64));
    launch(1, 64, 0, halves_apart, out);
    std::vector<unsigned> const values = take_back(out, 64);
    for (unsigned t = 0; t < 64; ++t) {
        unsigned const lane = t % 32, pair = lane + (lane ^ 1);
        assert_int_equal(values[t], lane < 16 ? 16 * pair : pair);
    }
}

static __global__ void vote(unsigned *out) {
    unsigned const t = threadIdx.x;
    out[t] = __ballot_sync(0xffffffffu, t % 3 == 0);
    out[32 + t] = __any_sync(0xffffffffu, t == 31) ? 1 : 0;
    out[64 + t] = __all_sync(0xffffffffu, t != 31) ? 1 : 0;
}

static void test_votes(void **) {
    unsigned *const out = device_copy(std::vector<unsigned>(96));
    launch(1, 32, 0, vote, out);
    std::vector<unsigned> const values = take_back(out, 96);
    for (size_t t = 0; t < 32; ++t) {
        assert_int_equal(values[t], 0x49249249u);
        assert_int_equal(values[32 + t], 1);
        assert_int_equal(values[64 + t], 0);
    }
}

/* ---- blocks -------------------------------------------------------------------------------------
 */

/* Sums 0 .. threads - 1; the last warp may be a partial one. */
static __global__ void block_sum(unsigned *out) {
    __shared__ unsigned of_warp[32];
    unsigned const t = threadIdx.x, lane = t % 32, rest = blockDim.x - (t - lane);
    unsigned const lanes = rest < 32 ? rest : 32, mask = 0xffffffffu >> (32 - lanes);
    unsigned sum = t;
    for (unsigned step = 16; step > 0; step /= 2) {
        bool const has_other = lane + step < lanes;
        unsigned const other =
            __shfl_sync(mask, sum, static_cast<int>(has_other ? lane + step : 0));
        if (has_other) sum += other;
    }
    if (lane == 0) of_warp[t / 32] = sum;
    __syncthreads();
    if (t > 0) return;
    sum = 0;
    for (unsigned w = 0; w < (blockDim.x + 31) / 32; ++w) sum += of_warp[w];
    out[blockIdx.x] = sum;
}

static void test_partial_warps(void **) {
    for (unsigned threads : {1u, 2u, 31u, 32u, 33u, 100u, 1023u, 1024u}) {
        unsigned *const out = device_copy(std::vector<unsigned>(3));
        launch(3, threads, 0, block_sum, out);
        for (unsigned sum : take_back(out, 3)) assert_int_equal(sum, threads * (threads - 1) / 2);
    }
}

static __global__ void count_and_bound(unsigned *counts, int *bounds) {
    int const i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    atomicAdd(&counts[i % 3], 1u);
    atomicMin(&bounds[0], 100 - i);
    atomicMax(&bounds[1], i);
}

static void test_atomics(void **) {
    unsigned *const counts = device_copy(std::vector<unsigned>(3));
    int *const bounds = device_copy(std::vector<int>(2));
    launch(40, 96, 0, count_and_bound, counts, bounds);
    for (unsigned count : take_back(counts, 3)) assert_int_equal(count, 40 * 96 / 3);
    std::vector<int> const reached = take_back(bounds, 2);
    assert_int_equal(reached[0], 101 - 40 * 96);
    assert_int_equal(reached[1], 40 * 96 - 1);
}

/* Tiles come to shared memory one ahead of their use; float4 wide. */
static __global__ void double_buffered(const float4 *in, float4 *out, unsigned tiles) {
    auto *const buffer = reinterpret_cast<float4 *>(rs_shared);
    unsigned const t = threadIdx.x, n = blockDim.x;
    auto const fetch = [&](unsigned tile) {
        if (tile < tiles)
            __pipeline_memcpy_async(&buffer[tile % 2 * n + t], &in[tile * n + t], sizeof *in);
        __pipeline_commit();
    };
    fetch(0);
    for (unsigned tile = 0; tile < tiles; ++tile) {
        fetch(tile + 1);
        __pipeline_wait_prior(1);
        __syncthreads();
        out[tile * n + t] = buffer[tile % 2 * n + (n - 1 - t)];
        __syncthreads();
    }
}

static void test_pipeline(void **) {
    unsigned const threads = 64, tiles = 7;
    std::vector<float4> values(threads * tiles);
    for (size_t i = 0; i < values.size(); ++i) {
        float const x = static_cast<float>(i);
        values[i] = make_float4(x, -x, 2 * x, 1);
    }
    float4 *const in = device_copy(values), *const out = device_copy(values);
    launch(1, threads, 2 * threads * sizeof *in, double_buffered, in, out, tiles);
    std::vector<float4> const turned = take_back(out, values.size());
    must(cudaFree(in));
    for (size_t i = 0; i < turned.size(); ++i) {
        const float4 &from = values[i / threads * threads + (threads - 1 - i % threads)];
        assert_memory_equal(&turned[i], &from, sizeof from);
    }
}

/* Chunks of up to `size` numbers go through a ring of stages by bulk copies. Warps drift apart. */
static __global__ void ring(const float *in, float *out, unsigned count, unsigned size,
                            unsigned stages) {
    auto *const buffer = reinterpret_cast<float *>(rs_shared);
    auto *const filled = reinterpret_cast<mbarrier *>(buffer + stages * size);
    mbarrier *const emptied = filled + stages;
    unsigned const t = threadIdx.x, first = t / 32 * 32, chunks = (count + size - 1) / size;
    unsigned const lanes = blockDim.x - first < 32 ? blockDim.x - first : 32;
    auto const fill = [&](unsigned chunk) {
        unsigned const rest = count - chunk * size, stage = chunk % stages;
        unsigned const bytes = (rest < size ? rest : size) * static_cast<unsigned>(sizeof *in);
        mbarrier_wait(emptied + stage, chunk / stages % 2 ^ 1);
        mbarrier_arrive_expect(filled + stage, bytes);
        bulk_copy(buffer + stage * size, in + chunk * size, bytes, filled + stage);
    };
    if (t == 0) {
        for (unsigned i = 0; i < stages; ++i) mbarrier_init(filled + i, 1);
        for (unsigned i = 0; i < stages; ++i) mbarrier_init(emptied + i, (blockDim.x + 31) / 32);
        mbarrier_fence_init();
        for (unsigned i = 0; i < stages - 1 && i < chunks; ++i) fill(i);
    }
    __syncthreads();
    float sum = 0;
    for (unsigned chunk = 0; chunk < chunks; ++chunk) {
        unsigned const stage = chunk % stages, rest = count - chunk * size;
        if (t == 0 && chunk + stages - 1 < chunks) fill(chunk + stages - 1);
        mbarrier_wait(filled + stage, chunk / stages % 2);
        for (unsigned i = 0; i < size && i < rest; ++i) sum += buffer[stage * size + i];
        __syncwarp(0xffffffffu >> (32 - lanes));
        if (t == first) mbarrier_arrive(emptied + stage);
    }
    out[t] = sum;
}

static void test_bulk_copies(void **) {
    for (unsigned stages : {2u, 3u, 4u})
        for (unsigned threads : {1u, 64u, 100u})
            for (unsigned count : {4u, 16u, 60u, 256u}) {
                unsigned const size = 16;
                std::vector<float> values(count);
                for (unsigned i = 0; i < count; ++i) values[i] = static_cast<float>(i + 1);
                float *const in = device_copy(values);
                float *const out = device_copy(std::vector<float>(threads));
                launch(1, threads, stages * (size * sizeof *in + 2 * sizeof(mbarrier)), ring, in,
                       out, count, size, stages);
                must(cudaFree(in));
                for (float sum : take_back(out, threads))
                    assert_true(sum == static_cast<float>(count * (count + 1) / 2));
            }
}

/* ---- a recurrence, as the engine runs them ------------------------------------------------------
 */

constexpr unsigned H = 32, COLUMNS = 8;

static __global__ void unroll(const float *w, float *states, int steps) {
    auto *const h = reinterpret_cast<float *>(rs_shared); /* [COLUMNS][H] */
    unsigned const i = threadIdx.x % H, column = threadIdx.x / H;
    h[column * H + i] = static_cast<float>(column + 1) / static_cast<float>(i + 1);
    __syncthreads();
    for (int step = 0; step < steps; ++step) {
        float sum = 0;
        for (unsigned k = 0; k < H; ++k) sum = fmaf(w[i * H + k], h[column * H + k], sum);
        __syncthreads();
        h[column * H + i] = tanhf(sum);
        __syncthreads();
    }
    states[(blockIdx.x * COLUMNS + column) * H + i] = h[column * H + i];
}

static std::vector<float> some_weights() {
    std::vector<float> weights(H * H);
    for (unsigned i = 0; i < H * H; ++i)
        weights[i] = static_cast<float>(i * 7919 % 101) / 101 - 0.5f;
    return weights;
}

static std::vector<float> unroll_on_host(const std::vector<float> &w, unsigned column, int steps) {
    std::vector<float> h(H), next(H);
    for (unsigned i = 0; i < H; ++i)
        h[i] = static_cast<float>(column + 1) / static_cast<float>(i + 1);
    for (int step = 0; step < steps; ++step) {
        for (unsigned i = 0; i < H; ++i) {
            float sum = 0;
            for (unsigned k = 0; k < H; ++k) sum = fmaf(w[i * H + k], h[k], sum);
            next[i] = tanhf(sum);
        }
        h = next;
    }
    return h;
}

static void test_recurrence(void **) {
    unsigned const blocks = 6;
    std::vector<float> const weights = some_weights();
    float *const w = device_copy(weights);
    float *const states = device_copy(std::vector<float>(blocks * COLUMNS * H));
    launch(blocks, COLUMNS * H, COLUMNS * H * sizeof *w, unroll, w, states, 20);
    std::vector<float> const values = take_back(states, blocks * COLUMNS * H);
    must(cudaFree(w));
    for (unsigned c = 0; c < blocks * COLUMNS; ++c) {
        std::vector<float> const h = unroll_on_host(weights, c % COLUMNS, 20);
        assert_memory_equal(&values[c * H], h.data(), H * sizeof h[0]);
    }
}

/* The same, each block of a cluster with its rows of w; states go round by two buffers. */
static __global__ void unroll_in_cluster(const float *w, float *states, float *last, int steps) {
    auto const cluster = cooperative_groups::this_cluster();
    auto *const h = reinterpret_cast<float *>(rs_shared); /* two of [COLUMNS][H] */
    unsigned const rows = H / cluster.num_blocks(), column = threadIdx.x / rows;
    unsigned const i = cluster.block_rank() * rows + threadIdx.x % rows;
    unsigned const place = column * H + i, buffer = COLUMNS * H;
    unsigned const number = blockIdx.x / cluster.num_blocks();
    auto const send = [&](unsigned to, float value) {
        for (unsigned rank = 0; rank < cluster.num_blocks(); ++rank)
            cluster.map_shared_rank(h, rank)[to * buffer + place] = value;
        (void)cluster.barrier_arrive();
        last[number * buffer + place] = value; /* nobody waits for it */
        cluster.barrier_wait();
    };
    cluster.sync();
    send(0, static_cast<float>(column + 1) / static_cast<float>(i + 1));
    for (int step = 0; step < steps; ++step) {
        const float *const now = h + static_cast<unsigned>(step) % 2 * buffer;
        float sum = 0;
        for (unsigned k = 0; k < H; ++k) sum = fmaf(w[i * H + k], now[column * H + k], sum);
        send(static_cast<unsigned>(step + 1) % 2, tanhf(sum));
    }
    states[number * buffer + place] = h[static_cast<unsigned>(steps) % 2 * buffer + place];
}

static void test_clusters(void **) {
    unsigned const clusters = 3;
    std::vector<float> const weights = some_weights();
    for (unsigned blocks : {1u, 2u, 4u, 8u}) {
        float *const w = device_copy(weights);
        float *const states = device_copy(std::vector<float>(clusters * COLUMNS * H));
        float *const last = device_copy(std::vector<float>(clusters * COLUMNS * H));
        launch_clusters(blocks, clusters * blocks, COLUMNS * H / blocks,
                        2 * COLUMNS * H * sizeof *w, unroll_in_cluster, w, states, last, 7);
        std::vector<float> const values = take_back(states, clusters * COLUMNS * H);
        std::vector<float> const kept = take_back(last, clusters * COLUMNS * H);
        assert_memory_equal(values.data(), kept.data(), values.size() * sizeof values[0]);
        must(cudaFree(w));
        for (unsigned c = 0; c < clusters * COLUMNS; ++c) {
            std::vector<float> const h = unroll_on_host(weights, c % COLUMNS, 7);
            assert_memory_equal(&values[c * H], h.data(), H * sizeof h[0]);
        }
    }
}

int main() {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_indices),       cmocka_unit_test(test_shuffles),
        cmocka_unit_test(test_halves),        cmocka_unit_test(test_votes),
        cmocka_unit_test(test_partial_warps), cmocka_unit_test(test_atomics),
        cmocka_unit_test(test_pipeline),      cmocka_unit_test(test_recurrence),
        cmocka_unit_test(test_clusters),      cmocka_unit_test(test_bulk_copies),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
