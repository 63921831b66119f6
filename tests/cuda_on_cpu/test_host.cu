/* The runtime's host side: streams, events, graphs, memory, refusals, failures on demand. */
#include "cmocka_cpp.h"
#include "cuda_on_cpu.h"

#include <cuda_runtime.h>

#include <cmath>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

static void must(cudaError_t error) { assert_int_equal(error, cudaSuccess); }

static __global__ void add(float *x, float value) { x[threadIdx.x] += value; }

static cudaError_t launch_add(float *x, unsigned count, float value, cudaStream_t stream) {
    cudaLaunchConfig_t config = {};
    config.blockDim = count;
    config.stream = stream;
    return cudaLaunchKernelEx(&config, add, x, value);
}

/* COUNT floats on the device and page-locked ones on the host, two streams, an event. */
constexpr unsigned COUNT = 16;
constexpr size_t BYTES = COUNT * sizeof(float);

struct Fixture {
    float *device, *host;
    cudaStream_t first, second;
    cudaEvent_t event;
};

static int setup(void **state) {
    auto *const f = new Fixture();
    rs_cuda_on_cpu_reset();
    must(cudaMalloc(&f->device, BYTES));
    must(cudaMallocHost(&f->host, BYTES));
    must(cudaStreamCreateWithFlags(&f->first, cudaStreamNonBlocking));
    must(cudaStreamCreateWithFlags(&f->second, cudaStreamNonBlocking));
    must(cudaEventCreate(&f->event));
    *state = f;
    return 0;
}

static int teardown(void **state) {
    auto *const f = static_cast<Fixture *>(*state);
    must(cudaFree(f->device));
    must(cudaFreeHost(f->host));
    must(cudaStreamDestroy(f->first));
    must(cudaStreamDestroy(f->second));
    must(cudaEventDestroy(f->event));
    assert_int_equal(rs_cuda_on_cpu_held(), 0);
    delete f;
    return 0;
}

static Fixture *fixture(void **state) { return static_cast<Fixture *>(*state); }

static float first_on_device(const float *device) {
    float value = 0;
    must(cudaMemcpy(&value, device, sizeof value, cudaMemcpyDeviceToHost));
    return value;
}

/* ---- streams and events -------------------------------------------------------------------------
 */

static void test_work_waits_for_a_synchronisation(void **state) {
    Fixture *const f = fixture(state);
    must(cudaMemsetAsync(f->device, 0, BYTES, f->first));
    must(launch_add(f->device, COUNT, 3, f->first));
    must(cudaMemcpyAsync(f->host, f->device, BYTES, cudaMemcpyDeviceToHost, f->first));
    assert_true(std::isnan(f->host[0])); /* fresh */
    must(cudaStreamSynchronize(f->second));
    assert_true(std::isnan(f->host[0]));
    must(cudaStreamSynchronize(f->first));
    assert_true(f->host[0] == 3 && f->host[COUNT - 1] == 3);
}

/* The second stream reads what the first one writes: stale, unless it waits for the event. */
static void test_streams_meet_at_events(void **state) {
    Fixture *const f = fixture(state);
    for (bool waits : {false, true}) {
        must(cudaMemsetAsync(f->device, 0, BYTES, nullptr));
        must(launch_add(f->device, COUNT, 5, f->first));
        must(cudaEventRecord(f->event, f->first));
        if (waits) must(cudaStreamWaitEvent(f->second, f->event));
        must(cudaMemcpyAsync(f->host, f->device, BYTES, cudaMemcpyDeviceToHost, f->second));
        must(cudaStreamSynchronize(f->second));
        assert_true(f->host[0] == (waits ? 5 : 0));
        must(cudaDeviceSynchronize());
    }
}

static void test_an_event_is_its_last_record(void **state) {
    Fixture *const f = fixture(state);
    must(cudaMemsetAsync(f->device, 0, BYTES, f->first));
    must(cudaEventRecord(f->event, f->first));
    must(launch_add(f->device, COUNT, 1, f->first));
    must(cudaEventRecord(f->event, f->first));
    must(launch_add(f->device, COUNT, 1, f->first));
    must(cudaEventSynchronize(f->event));
    assert_true(first_on_device(f->device) == 1);
}

static void test_events_measure_time(void **state) {
    Fixture *const f = fixture(state);
    cudaEvent_t end = nullptr, untimed = nullptr;
    float milliseconds = -1;
    must(cudaEventCreate(&end));
    must(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
    must(cudaEventRecord(f->event, f->first));
    must(cudaMemsetAsync(f->device, 0, BYTES, f->first));
    must(cudaEventRecord(end, f->first));
    must(cudaEventRecord(untimed, f->first));
    assert_int_equal(cudaEventElapsedTime(&milliseconds, f->event, end), cudaErrorNotReady);
    must(cudaEventSynchronize(end));
    must(cudaEventElapsedTime(&milliseconds, f->event, end));
    assert_true(milliseconds >= 0);
    assert_int_equal(cudaEventElapsedTime(&milliseconds, f->event, untimed),
                     cudaErrorInvalidResourceHandle);
    must(cudaEventDestroy(end));
    must(cudaEventDestroy(untimed));
}

/* Blocking streams are done before the default stream's work, non-blocking ones need not be. */
static void test_default_stream(void **state) {
    Fixture *const f = fixture(state);
    cudaStream_t blocking = nullptr;
    must(cudaStreamCreate(&blocking));
    must(cudaMemsetAsync(f->device, 0, BYTES, blocking));
    must(launch_add(f->device, COUNT, 1, blocking));
    assert_true(first_on_device(f->device) == 1);
    must(launch_add(f->device, COUNT, 1, f->first));
    assert_true(first_on_device(f->device) == 1);
    must(cudaStreamDestroy(blocking));
}

/* Pageable memory may be used again as soon as the call is back; page-locked memory may not. */
static void test_pageable_and_page_locked(void **state) {
    Fixture *const f = fixture(state);
    std::vector<float> pageable(COUNT, 1);
    must(cudaMemcpyAsync(f->device, pageable.data(), BYTES, cudaMemcpyHostToDevice, f->first));
    pageable[0] = 2;
    must(cudaMemcpyAsync(pageable.data(), f->device, BYTES, cudaMemcpyDeviceToHost, f->first));
    assert_true(pageable[0] == 1);
    f->host[0] = 1;
    must(cudaMemcpyAsync(f->device, f->host, BYTES, cudaMemcpyHostToDevice, f->first));
    f->host[0] = 2;
    must(cudaStreamSynchronize(f->first));
    assert_true(first_on_device(f->device) == 2);
}

static void test_stale_handles(void **state) {
    Fixture *const f = fixture(state);
    cudaStream_t stream = nullptr;
    must(cudaStreamCreate(&stream));
    must(cudaStreamDestroy(stream));
    assert_int_equal(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
    assert_int_equal(launch_add(f->device, COUNT, 1, stream), cudaErrorInvalidResourceHandle);
    assert_int_equal(cudaStreamDestroy(stream), cudaErrorInvalidResourceHandle);
    assert_int_equal(cudaEventRecord(f->event, stream), cudaErrorInvalidResourceHandle);
    assert_int_equal(cudaStreamWaitEvent(stream, f->event), cudaErrorInvalidResourceHandle);
}

/* ---- graphs -------------------------------------------------------------------------------------
 */

static void test_graph(void **state) {
    Fixture *const f = fixture(state);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    must(cudaMemsetAsync(f->device, 0, BYTES, nullptr));
    must(cudaStreamBeginCapture(f->first, cudaStreamCaptureModeThreadLocal));
    must(launch_add(f->device, COUNT, 2, f->first));
    must(cudaMemcpyAsync(f->host, f->device, BYTES, cudaMemcpyDeviceToHost, f->first));
    must(cudaStreamEndCapture(f->first, &graph));
    must(cudaGraphInstantiate(&exec, graph, 0));
    must(cudaGraphDestroy(graph));
    must(cudaDeviceSynchronize());
    assert_true(std::isnan(f->host[0])); /* nothing has run */
    for (int i = 1; i <= 3; ++i) {
        must(cudaGraphLaunch(exec, f->second));
        must(cudaStreamSynchronize(f->second));
        assert_true(f->host[0] == static_cast<float>(2 * i));
    }
    must(cudaGraphExecDestroy(exec));
}

static void test_waiting_spoils_a_capture(void **state) {
    Fixture *const f = fixture(state);
    void *memory = nullptr;
    const std::function<cudaError_t()> refused[] = {
        [&] { return cudaMalloc(&memory, 1); },
        [&] { return cudaStreamSynchronize(f->first); },
        [&] { return cudaDeviceSynchronize(); },
        [&] { return cudaEventRecord(f->event, f->first); },
        [&] { return launch_add(f->device, COUNT, 1, nullptr); },
    };
    for (const auto &call : refused) {
        cudaGraph_t graph = nullptr;
        must(cudaStreamBeginCapture(f->first, cudaStreamCaptureModeGlobal));
        assert_int_equal(call(), cudaErrorStreamCaptureUnsupported);
        assert_int_equal(cudaStreamEndCapture(f->first, &graph), cudaErrorStreamCaptureInvalidated);
        assert_null(graph);
    }
}

/* A kernel is loaded by the first call that names it, which waits for the device. */
static __global__ void late(float *x) { x[threadIdx.x] = 1; }

static void test_kernels_are_loaded_before_a_capture(void **state) {
    Fixture *const f = fixture(state);
    cudaGraph_t graph = nullptr;
    cudaFuncAttributes attributes;
    cudaLaunchConfig_t config = {};
    config.blockDim = COUNT;
    config.stream = f->first;
    must(cudaStreamBeginCapture(f->first, cudaStreamCaptureModeThreadLocal));
    assert_int_equal(cudaLaunchKernelEx(&config, late, f->device),
                     cudaErrorStreamCaptureUnsupported);
    assert_int_equal(cudaStreamEndCapture(f->first, &graph), cudaErrorStreamCaptureInvalidated);
    must(cudaFuncGetAttributes(&attributes, late));
    must(cudaStreamBeginCapture(f->first, cudaStreamCaptureModeThreadLocal));
    must(cudaLaunchKernelEx(&config, late, f->device));
    must(cudaStreamEndCapture(f->first, &graph));
    must(cudaGraphDestroy(graph));
}

/* Of a mode that spoils nothing for other threads. */
static void test_other_threads_may_wait_during_a_capture(void **state) {
    Fixture *const f = fixture(state);
    for (cudaStreamCaptureMode mode :
         {cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeGlobal}) {
        cudaGraph_t graph = nullptr;
        cudaError_t waited = cudaSuccess;
        must(cudaStreamBeginCapture(f->first, mode));
        std::thread([&] { waited = cudaStreamSynchronize(f->second); }).join();
        cudaError_t const ended = cudaStreamEndCapture(f->first, &graph);
        bool const local = mode == cudaStreamCaptureModeThreadLocal;
        assert_int_equal(waited, local ? cudaSuccess : cudaErrorStreamCaptureUnsupported);
        assert_int_equal(ended, local ? cudaSuccess : cudaErrorStreamCaptureInvalidated);
        if (graph) must(cudaGraphDestroy(graph));
    }
}

/* ---- launches -----------------------------------------------------------------------------------
 */

static __global__ void nothing() {}

static cudaError_t launch_nothing(dim3 grid, dim3 block, size_t shared_bytes) {
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    return cudaLaunchKernelEx(&config, nothing);
}

static void test_launches_refused(void **) {
    assert_int_equal(launch_nothing(1, 1025, 0), cudaErrorInvalidConfiguration);
    assert_int_equal(launch_nothing(1, dim3(1, 1, 65), 0), cudaErrorInvalidConfiguration);
    assert_int_equal(launch_nothing(0, 1, 0), cudaErrorInvalidConfiguration);
    assert_int_equal(launch_nothing(dim3(1, 65536), 1, 0), cudaErrorInvalidConfiguration);
    assert_int_equal(cudaPeekAtLastError(), cudaErrorInvalidConfiguration);
    assert_int_equal(cudaGetLastError(), cudaErrorInvalidConfiguration);
    assert_int_equal(cudaGetLastError(), cudaSuccess);
}

static void test_shared_memory_must_be_asked_for(void **) {
    constexpr int MOST = 232448;
    cudaFuncAttributes attributes;
    must(launch_nothing(1, 1, 48 << 10));
    assert_int_equal(launch_nothing(1, 1, (48 << 10) + 1), cudaErrorInvalidValue);
    must(cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, MOST));
    must(launch_nothing(1, 1, MOST));
    assert_int_equal(launch_nothing(1, 1, MOST + 1), cudaErrorInvalidValue);
    must(cudaFuncGetAttributes(&attributes, nothing));
    assert_int_equal(attributes.maxDynamicSharedSizeBytes, MOST);
    assert_int_equal(
        cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, MOST + 1),
        cudaErrorInvalidValue);
}

static void test_cluster_sizes(void **) {
    cudaLaunchAttribute cluster = {cudaLaunchAttributeClusterDimension, {{1, 1, 1}}};
    cudaLaunchConfig_t config = {};
    config.gridDim = 12;
    config.attrs = &cluster;
    config.numAttrs = 1;
    for (unsigned blocks : {1u, 2u, 3u, 4u, 6u}) {
        cluster.val.clusterDim.x = blocks;
        must(cudaLaunchKernelEx(&config, nothing));
    }
    for (unsigned blocks : {0u, 5u, 8u, 12u}) { /* 12 would divide the grid, but are too many */
        cluster.val.clusterDim.x = blocks;
        assert_int_equal(cudaLaunchKernelEx(&config, nothing), cudaErrorInvalidClusterSize);
    }
    cluster.val.clusterDim = {1, 2, 1};
    assert_int_equal(cudaLaunchKernelEx(&config, nothing), cudaErrorNotSupported);
    int clusters = 0;
    must(cudaDeviceGetAttribute(&clusters, cudaDevAttrClusterLaunch, 0));
    assert_int_equal(clusters, 1);
}

static __global__ void asking() {} /* for more shared memory than others */

static rs_cuda_launch seen;
static void see(const rs_cuda_launch *launch) { seen = *launch; }

static void test_watched_launches_run_nothing(void **) {
    rs_cuda_on_cpu_watch(see);
    must(launch_nothing(dim3(3, 2), 40, 500));
    assert_int_equal(launch_nothing(1, 1025, 0), cudaErrorInvalidConfiguration);
    must(launch_add(NULL, 7, 1.0f, NULL)); /* would write through NULL */
    rs_cuda_on_cpu_watch(NULL);
    assert_non_null(strstr(seen.kernel, "add"));
    assert_int_equal(seen.threads, 7);
    must(launch_nothing(1, 9, 0));
    assert_int_equal(seen.threads, 7);
}

static void test_occupancy(void **) {
    int blocks = -1;
    must(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 33, 0));
    assert_int_equal(blocks, 32);
    must(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 1000, 0));
    assert_int_equal(blocks, 2);
    must(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 32, 48 << 10));
    assert_int_equal(blocks, 4);
    must(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, add, 32, 100 << 10));
    assert_int_equal(blocks, 0);
}

/* Two processors, over which a cluster spreads. */
static void test_occupancy_of_clusters(void **) {
    cudaLaunchAttribute cluster = {cudaLaunchAttributeClusterDimension, {{2, 1, 1}}};
    cudaLaunchConfig_t config = {};
    config.gridDim = 2;
    config.blockDim = 512;
    config.attrs = &cluster;
    config.numAttrs = 1;
    auto const clusters = [&](unsigned blocks, size_t shared_bytes) {
        int found = -1;
        cluster.val.clusterDim.x = config.gridDim.x = blocks;
        config.dynamicSmemBytes = shared_bytes;
        must(cudaOccupancyMaxActiveClusters(&found, asking, &config));
        return found;
    };
    must(cudaFuncSetAttribute(asking, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 << 10));
    assert_int_equal(clusters(2, 227 << 10), 1);
    assert_int_equal(clusters(4, 227 << 10), 0);
    assert_int_equal(clusters(4, 100 << 10), 1);
    assert_int_equal(clusters(8, 1 << 10), 1);
    assert_int_equal(clusters(2, 228 << 10), 0);
    int found = 0;
    cluster.val.clusterDim.x = 16;
    assert_int_equal(cudaOccupancyMaxActiveClusters(&found, asking, &config),
                     cudaErrorInvalidClusterSize);
}

/* ---- memory -------------------------------------------------------------------------------------
 */

static void test_memory_is_limited(void **) {
    size_t free_bytes = 0, total = 0;
    void *memory = nullptr, *more = nullptr;
    rs_cuda_on_cpu_set_memory(4096);
    must(cudaMemGetInfo(&free_bytes, &total));
    assert_int_equal(total, 4096);
    assert_int_equal(free_bytes, 4096 - BYTES); /* the fixture's */
    assert_int_equal(cudaMalloc(&memory, 4096), cudaErrorMemoryAllocation);
    must(cudaMalloc(&memory, free_bytes));
    assert_int_equal(cudaMalloc(&more, 1), cudaErrorMemoryAllocation);
    must(cudaFree(memory));
    must(cudaMemGetInfo(&free_bytes, &total));
    assert_int_equal(free_bytes, 4096 - BYTES);
    rs_cuda_on_cpu_set_memory(uint64_t{1} << 30);
}

static void test_copies_are_checked(void **state) {
    Fixture *const f = fixture(state);
    auto const copy = [](float *to, const float *from, size_t bytes, cudaMemcpyKind kind) {
        return cudaMemcpy(to, from, bytes, kind);
    };
    assert_int_equal(copy(f->device, f->host, BYTES + 1, cudaMemcpyHostToDevice),
                     cudaErrorInvalidValue);
    assert_int_equal(copy(f->device + 1, f->host, BYTES, cudaMemcpyHostToDevice),
                     cudaErrorInvalidValue);
    assert_int_equal(copy(f->host, f->device, BYTES, cudaMemcpyHostToDevice),
                     cudaErrorInvalidValue);
    assert_int_equal(copy(f->host, f->host, BYTES, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    assert_int_equal(cudaMemsetAsync(f->host, 0, BYTES), cudaErrorInvalidValue);
    assert_int_equal(cudaMemsetAsync(f->device, 0, BYTES + 1), cudaErrorInvalidValue);
    assert_int_equal(cudaFree(f->host), cudaErrorInvalidValue);
}

static void test_copy_in_two_dimensions(void **state) {
    Fixture *const f = fixture(state);
    for (unsigned i = 0; i < COUNT; ++i) f->host[i] = static_cast<float>(i);
    must(cudaMemsetAsync(f->device, 0, BYTES, f->first));
    must(cudaMemcpy2DAsync(f->device, 16, f->host, 12, 8, 4, cudaMemcpyHostToDevice, f->first));
    must(cudaMemcpyAsync(f->host, f->device, BYTES, cudaMemcpyDeviceToHost, f->first));
    must(cudaStreamSynchronize(f->first));
    for (unsigned i = 0; i < COUNT; ++i)
        assert_true(f->host[i] == (i % 4 < 2 ? static_cast<float>(i / 4 * 3 + i % 4) : 0));
    assert_int_equal(
        cudaMemcpy2DAsync(f->device, 16, f->host, 12, 8, 5, cudaMemcpyHostToDevice, f->first),
        cudaErrorInvalidValue);
    assert_int_equal(
        cudaMemcpy2DAsync(f->device, 16, f->host, 4, 8, 2, cudaMemcpyHostToDevice, f->first),
        cudaErrorInvalidValue);
}

/* ---- failures on demand -------------------------------------------------------------------------
 */

static void test_nth_call_fails(void **) {
    void *memory[3] = {};
    rs_cuda_on_cpu_fail("cudaMalloc", 2, cudaErrorMemoryAllocation);
    must(cudaMalloc(&memory[0], 8));
    must(cudaDeviceSynchronize());
    assert_int_equal(cudaMalloc(&memory[1], 8), cudaErrorMemoryAllocation);
    must(cudaMalloc(&memory[2], 8));
    must(cudaFree(memory[0]));
    must(cudaFree(memory[2]));
}

/* Everything fails from then on; what is given back is given back all the same. */
static void test_lost_device(void **state) {
    Fixture *const f = fixture(state);
    void *memory = nullptr;
    must(cudaMalloc(&memory, 8));
    uint64_t const held = rs_cuda_on_cpu_held();
    rs_cuda_on_cpu_fail("cudaStreamSynchronize", 1, cudaErrorLaunchFailure);
    must(launch_add(f->device, COUNT, 1, f->first));
    assert_int_equal(cudaStreamSynchronize(f->first), cudaErrorLaunchFailure);
    assert_int_equal(launch_add(f->device, COUNT, 1, f->first), cudaErrorLaunchFailure);
    assert_int_equal(cudaGetLastError(), cudaErrorLaunchFailure);
    assert_int_equal(cudaGetLastError(), cudaErrorLaunchFailure);
    assert_int_equal(cudaFree(memory), cudaErrorLaunchFailure);
    assert_int_equal(rs_cuda_on_cpu_held(), held - 1);
    rs_cuda_on_cpu_reset();
    must(cudaGetLastError());
    must(cudaDeviceSynchronize());
}

/* A small use of the device that stops at the first error and gives everything back. */
static bool use_device() {
    void *memory = nullptr;
    bool good = cudaMalloc(&memory, 64) == cudaSuccess;
    good = good && cudaMemsetAsync(memory, 0, 64) == cudaSuccess;
    good = good && launch_add(static_cast<float *>(memory), COUNT, 1, nullptr) == cudaSuccess;
    return cudaFree(memory) == cudaSuccess && good;
}

static void test_any_call_can_fail(void **) {
    rs_cuda_on_cpu_reset();
    uint64_t const held = rs_cuda_on_cpu_held();
    assert_true(use_device());
    uint64_t const calls = rs_cuda_on_cpu_calls();
    assert_int_equal(calls, 4);
    for (cudaError_t error : {cudaErrorMemoryAllocation, cudaErrorECCUncorrectable})
        for (uint64_t nth = 1; nth <= calls; ++nth) {
            rs_cuda_on_cpu_reset();
            rs_cuda_on_cpu_fail(nullptr, nth, error);
            assert_false(use_device());
            assert_int_equal(rs_cuda_on_cpu_held(), held);
        }
    rs_cuda_on_cpu_reset();
}

/* ---- the device ---------------------------------------------------------------------------------
 */

static void test_device(void **) {
    int count = 0, driver = 0, runtime = 0;
    cudaDeviceProp properties;
    must(cudaGetDeviceCount(&count));
    assert_int_equal(count, 1);
    must(cudaGetDeviceProperties(&properties, 0));
    assert_string_equal(properties.name, "CUDA on CPU");
    assert_int_equal(properties.sharedMemPerBlockOptin, 232448);
    assert_int_equal(properties.totalGlobalMem, uint64_t{1} << 30);
    assert_int_equal(cudaGetDeviceProperties(&properties, 1), cudaErrorInvalidDevice);
    assert_int_equal(cudaSetDevice(1), cudaErrorInvalidDevice);
    must(cudaDriverGetVersion(&driver));
    must(cudaRuntimeGetVersion(&runtime));
    assert_int_equal(driver, runtime);
    assert_string_equal(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation");
    assert_string_equal(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
}

/* Each thread begins on the first device; nothing of one device can be used on another. */
static void test_devices(void **state) {
    Fixture *const f = fixture(state);
    constexpr int MORE = 100 << 10;
    int count = 0, device = -1;
    float *there = nullptr;
    cudaFuncAttributes attributes;
    rs_cuda_on_cpu_set_devices(2);
    must(cudaGetDeviceCount(&count));
    assert_int_equal(count, 2);
    must(cudaFuncSetAttribute(add, cudaFuncAttributeMaxDynamicSharedMemorySize, MORE));
    must(cudaSetDevice(1));
    assert_int_equal(cudaSetDevice(2), cudaErrorInvalidDevice);
    must(cudaMalloc(&there, BYTES));
    assert_int_equal(cudaMemsetAsync(f->device, 0, BYTES), cudaErrorInvalidValue);
    assert_int_equal(cudaMemcpy(there, f->device, BYTES, cudaMemcpyHostToDevice),
                     cudaErrorInvalidValue);
    assert_int_equal(cudaFree(f->device), cudaErrorInvalidValue);
    assert_int_equal(cudaMemsetAsync(there, 0, BYTES, f->first), cudaErrorInvalidResourceHandle);
    assert_int_equal(launch_add(there, COUNT, 1, f->first), cudaErrorInvalidResourceHandle);
    assert_int_equal(cudaEventRecord(f->event, nullptr), cudaErrorInvalidResourceHandle);
    assert_int_equal(cudaStreamDestroy(f->first), cudaErrorInvalidResourceHandle);
    must(cudaFuncGetAttributes(&attributes, add)); /* those of the other device are its own */
    assert_int_equal(attributes.maxDynamicSharedSizeBytes, 48 << 10);
    std::thread([&] { must(cudaGetDevice(&device)); }).join();
    assert_int_equal(device, 0);
    must(cudaFree(there));
    must(cudaSetDevice(0));
    rs_cuda_on_cpu_set_devices(1);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main() {
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_work_waits_for_a_synchronisation),
        WITH_FIXTURE(test_streams_meet_at_events),
        WITH_FIXTURE(test_an_event_is_its_last_record),
        WITH_FIXTURE(test_events_measure_time),
        WITH_FIXTURE(test_default_stream),
        WITH_FIXTURE(test_pageable_and_page_locked),
        WITH_FIXTURE(test_stale_handles),
        WITH_FIXTURE(test_graph),
        WITH_FIXTURE(test_waiting_spoils_a_capture),
        WITH_FIXTURE(test_kernels_are_loaded_before_a_capture),
        WITH_FIXTURE(test_other_threads_may_wait_during_a_capture),
        cmocka_unit_test(test_launches_refused),
        cmocka_unit_test(test_shared_memory_must_be_asked_for),
        cmocka_unit_test(test_cluster_sizes),
        cmocka_unit_test(test_occupancy_of_clusters),
        cmocka_unit_test(test_watched_launches_run_nothing),
        cmocka_unit_test(test_occupancy),
        WITH_FIXTURE(test_memory_is_limited),
        WITH_FIXTURE(test_copies_are_checked),
        WITH_FIXTURE(test_copy_in_two_dimensions),
        WITH_FIXTURE(test_nth_call_fails),
        WITH_FIXTURE(test_lost_device),
        cmocka_unit_test(test_any_call_can_fail),
        cmocka_unit_test(test_device),
        WITH_FIXTURE(test_devices),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
