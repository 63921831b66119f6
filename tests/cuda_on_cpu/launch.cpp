/* Launches and what limits them: the device and the kernel's attributes. */
#include "api.h"
#include "cuda_on_cpu.h"
#include "grid.h"
#include "memory.h"
#include "settings.h"
#include "stream.h"

#include <algorithm>
#include <cstdio>
#include <map>

using namespace cuda_on_cpu;

static constexpr size_t PLAIN_SHARED_BYTES = 48 << 10; /* without asking for more */
static constexpr size_t RESERVED_SHARED_BYTES = 1 << 10;
static constexpr int SM_THREADS = 2048, SM_BLOCKS = 32;

static void (*watcher)(const rs_cuda_launch *) = nullptr;

void rs_cuda_on_cpu_watch(void (*seen)(const rs_cuda_launch *)) { watcher = seen; }

static bool has_clusters() { return settings().capability >= 90; }
static size_t sm_shared() { return size_t{has_clusters() ? 228u : 164u} << 10; }
static size_t most_shared() { return sm_shared() - RESERVED_SHARED_BYTES; }
static_assert(MOST_SHARED_BYTES == (227 << 10), "of capability 9.0");

/* A kernel on one device: what cudaFuncSetAttribute allowed it. It is loaded by the first call that
 * names it, and so is in the map. */
static std::map<std::pair<int, const void *>, size_t> loaded;

static size_t &shared_limit(const void *kernel) {
    return loaded.emplace(std::pair{current_device(), kernel}, PLAIN_SHARED_BYTES).first->second;
}

static bool is_loaded(const void *kernel) { return loaded.count({current_device(), kernel}) != 0; }

/* ---- launches -----------------------------------------------------------------------------------
 */

static uint64_t volume(const dim3 &size) { return uint64_t{size.x} * size.y * size.z; }

/* The blocks of a cluster, which stand side by side in x. */
static cudaError_t find_cluster(const cudaLaunchConfig_t &config, unsigned *blocks) {
    *blocks = 1;
    for (unsigned i = 0; i < config.numAttrs; ++i) {
        auto const &cluster = config.attrs[i].val.clusterDim;
        if (config.attrs[i].id != cudaLaunchAttributeClusterDimension || cluster.y != 1 ||
            cluster.z != 1)
            return cudaErrorNotSupported;
        *blocks = cluster.x;
    }
    if (*blocks > 1 && !has_clusters()) return cudaErrorNotSupported;
    bool const fits = *blocks > 0 && *blocks <= MOST_CLUSTER_BLOCKS;
    return fits && config.gridDim.x % *blocks == 0 ? cudaSuccess : cudaErrorInvalidClusterSize;
}

static cudaError_t check(const cudaLaunchConfig_t &config, const void *kernel, unsigned *cluster) {
    const dim3 &grid = config.gridDim, &block = config.blockDim;
    if (volume(grid) == 0 || grid.x > 0x7fffffffu || grid.y > 0xffffu || grid.z > 0xffffu ||
        volume(block) == 0 || volume(block) > MOST_BLOCK_THREADS || block.z > 64)
        return cudaErrorInvalidConfiguration;
    if (config.dynamicSmemBytes > shared_limit(kernel)) return cudaErrorInvalidValue;
    return find_cluster(config, cluster);
}

cudaError_t cuda_on_cpu::launch(const cudaLaunchConfig_t &config, const void *kernel,
                                std::function<void()> thread) {
    return call("cudaLaunchKernelEx", [&] {
        unsigned cluster = 1;
        /* A kernel that is loaded as late as this would wait for the device. */
        if (is_capturing(config.stream) && !is_loaded(kernel)) return refuse_in_capture();
        if (cudaError_t const error = check(config, kernel, &cluster)) return error;
        if (watcher) {
            rs_cuda_launch const seen = {
                kernel_symbols(kernel).name.c_str(), volume(config.gridDim),
                static_cast<unsigned>(volume(config.blockDim)), cluster, config.dynamicSmemBytes};
            watcher(&seen);
            return cudaSuccess;
        }
        Launch const launch = {kernel_symbols(kernel),  config.gridDim,   config.blockDim, cluster,
                               config.dynamicSmemBytes, std::move(thread)};
        return submit(config.stream, [launch] { run_grid(launch); });
    });
}

/* ---- kernels ------------------------------------------------------------------------------------
 */

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value) {
    return call("cudaFuncSetAttribute", [&] {
        if (attribute ==
            cudaFuncAttributePreferredSharedMemoryCarveout) /* a wish, and a percentage */
            return value < cudaSharedmemCarveoutDefault || value > cudaSharedmemCarveoutMaxShared
                       ? cudaErrorInvalidValue
                       : cudaSuccess;
        if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
            static_cast<size_t>(value) > most_shared())
            return cudaErrorInvalidValue;
        shared_limit(kernel) = static_cast<size_t>(value);
        return cudaSuccess;
    });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *kernel) {
    return call("cudaFuncGetAttributes", [&] {
        *attributes = {};
        attributes->maxThreadsPerBlock = MOST_BLOCK_THREADS;
        attributes->ptxVersion = settings().capability;
        attributes->maxDynamicSharedSizeBytes = static_cast<int>(shared_limit(kernel));
        return cudaSuccess;
    });
}

/* Blocks on a processor, by threads and shared memory only: nobody knows of registers here. */
static int blocks_on_sm(const void *kernel, int block_threads, size_t shared_bytes) {
    if (static_cast<size_t>(block_threads) > MOST_BLOCK_THREADS ||
        shared_bytes > shared_limit(kernel))
        return 0;
    size_t const by_shared = sm_shared() / (shared_bytes + RESERVED_SHARED_BYTES);
    int const by_threads = SM_THREADS / ((block_threads + warpSize - 1) / warpSize * warpSize);
    return std::min({SM_BLOCKS, by_threads, static_cast<int>(by_shared)});
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *kernel,
                                                          int block_threads, size_t shared_bytes) {
    return call("cudaOccupancyMaxActiveBlocksPerMultiprocessor", [&] {
        if (block_threads < 1) return cudaErrorInvalidValue;
        *blocks = blocks_on_sm(kernel, block_threads, shared_bytes);
        return cudaSuccess;
    });
}

/* All processors stand in one group, over which a cluster may spread. */
cudaError_t cudaOccupancyMaxActiveClusters(int *clusters, const void *kernel,
                                           const cudaLaunchConfig_t *config) {
    return call("cudaOccupancyMaxActiveClusters", [&] {
        unsigned blocks = 1;
        if (volume(config->blockDim) == 0) return cudaErrorInvalidConfiguration;
        if (cudaError_t const error = find_cluster(*config, &blocks)) return error;
        int const threads = static_cast<int>(volume(config->blockDim));
        int const on_sm = blocks_on_sm(kernel, threads, config->dynamicSmemBytes);
        *clusters = settings().processors * on_sm / static_cast<int>(blocks);
        return cudaSuccess;
    });
}

/* ---- the device ---------------------------------------------------------------------------------
 */

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
    return call("cudaGetDeviceProperties", [&] {
        if (device < 0 || device >= device_count()) return cudaErrorInvalidDevice;
        *properties = {};
        std::snprintf(properties->name, sizeof properties->name, "CUDA on CPU");
        properties->totalGlobalMem = device_memory();
        properties->sharedMemPerBlock = PLAIN_SHARED_BYTES;
        properties->sharedMemPerBlockOptin = most_shared();
        properties->sharedMemPerMultiprocessor = sm_shared();
        properties->reservedSharedMemPerBlock = RESERVED_SHARED_BYTES;
        properties->major = settings().capability / 10;
        properties->minor = settings().capability % 10;
        properties->multiProcessorCount = settings().processors;
        properties->warpSize = warpSize;
        properties->regsPerBlock = properties->regsPerMultiprocessor = 65536;
        properties->maxThreadsPerBlock = MOST_BLOCK_THREADS;
        properties->maxThreadsPerMultiProcessor = SM_THREADS;
        properties->maxBlocksPerMultiProcessor = SM_BLOCKS;
        properties->l2CacheSize = 1 << 20;
        properties->memoryBusWidth = 64;
        properties->integrated = 1;
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    return call("cudaDeviceGetAttribute", [&] {
        if (device < 0 || device >= device_count()) return cudaErrorInvalidDevice;
        switch (attribute) {
        case cudaDevAttrMultiProcessorCount: *value = settings().processors; break;
        case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
            *value = static_cast<int>(sm_shared());
            break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *value = static_cast<int>(most_shared());
            break;
        case cudaDevAttrReservedSharedMemoryPerBlock:
            *value = static_cast<int>(RESERVED_SHARED_BYTES);
            break;
        case cudaDevAttrClusterLaunch: *value = has_clusters(); break;
        }
        return cudaSuccess;
    });
}

static cudaError_t get_version(const char *name, int *version) {
    return call(name, [&] {
        *version = CUDART_VERSION;
        return cudaSuccess;
    });
}

cudaError_t cudaDriverGetVersion(int *version) {
    return get_version("cudaDriverGetVersion", version);
}

cudaError_t cudaRuntimeGetVersion(int *version) {
    return get_version("cudaRuntimeGetVersion", version);
}
