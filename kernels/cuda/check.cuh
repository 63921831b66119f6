/* Every return code of CUDA becomes the one status, with the call's name. */
#ifndef RS_CUDA_CHECK_CUH
#define RS_CUDA_CHECK_CUH

#include "../base/status.h"

#include <cuda_runtime.h>

/* RS_EMEMORY where memory is out, else RS_EDEVICE. Clears the error that CUDA keeps. */
rs_status cuda_fail(cudaError_t error, const char *call);

#define CUDA_TRY(call)                                                                             \
    do {                                                                                           \
        cudaError_t cuda_try_ = (call);                                                            \
        if (cuda_try_ != cudaSuccess) return cuda_fail(cuda_try_, #call);                          \
    } while (0)

/* A launch in clusters of so many blocks, or without where it is 1. `config` points into the
 * object, which is not to be copied. */
struct launch_config {
    cudaLaunchAttribute cluster = {};
    cudaLaunchConfig_t config = {};

    launch_config(dim3 grid, dim3 block, int blocks, size_t shared, cudaStream_t stream) {
        cluster.id = cudaLaunchAttributeClusterDimension;
        cluster.val.clusterDim.x = (unsigned)blocks;
        cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
        config.attrs = &cluster;
        config.numAttrs = blocks > 1;
        config.gridDim = grid;
        config.blockDim = block;
        config.dynamicSmemBytes = shared;
        config.stream = stream;
    }
    launch_config(const launch_config &) = delete;
};

/* kernel<<<grid, block, shared, stream>>>(args...) in clusters of so many blocks, checked. `name`
 * is for the message. */
template <typename... Parameter, typename... Argument>
rs_status launch_clusters(const char *name, void (*kernel)(Parameter...), dim3 grid, dim3 block,
                          int blocks, size_t shared, cudaStream_t stream, Argument... args) {
    launch_config const how(grid, block, blocks, shared, stream);
    cudaError_t const error =
        cudaLaunchKernelEx(&how.config, kernel, static_cast<Parameter>(args)...);
    return error == cudaSuccess ? RS_OK : cuda_fail(error, name);
}

/* The same without clusters. */
template <typename... Parameter, typename... Argument>
rs_status launch(const char *name, void (*kernel)(Parameter...), dim3 grid, dim3 block,
                 size_t shared, cudaStream_t stream, Argument... args) {
    return launch_clusters(name, kernel, grid, block, 1, shared, stream, args...);
}

#endif
