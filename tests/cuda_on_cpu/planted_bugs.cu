#include "planted_bugs.h"

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

/* ---- the host's part ----------------------------------------------------------------------------
 */

static void must(cudaError_t error) {
    if (error == cudaSuccess) return;
    std::fprintf(stderr, "%s\n", cudaGetErrorName(error));
    std::exit(1);
}

using Kernel = void (*)(const float *, float *);

/* Runs it on in[t] = t. */
static std::vector<float> results(Kernel kernel) {
    std::vector<float> values(THREADS);
    size_t const bytes = THREADS * sizeof values[0];
    for (int t = 0; t < THREADS; ++t) values[static_cast<size_t>(t)] = static_cast<float>(t);
    float *in = nullptr, *out = nullptr;
    must(cudaMalloc(&in, bytes));
    must(cudaMalloc(&out, bytes));
    must(cudaMemcpy(in, values.data(), bytes, cudaMemcpyHostToDevice));
    cudaLaunchConfig_t config = {};
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

template <Kernel correct, Kernel wrong, int (*expected)(int)> static bool run(bool planted) {
    std::vector<float> const values = results(planted ? wrong : correct);
    for (int t = 0; t < THREADS; ++t)
        if (!(values[static_cast<size_t>(t)] == static_cast<float>(expected(t)))) return false;
    return true;
}

#define BUG(kernel, expected) #kernel, run < kernel < false>, kernel < true>, expected>

static const char WRONG[] = "wrong results", RACE[] = "data race";

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
};

const size_t planted_bug_count = sizeof planted_bugs / sizeof planted_bugs[0];
