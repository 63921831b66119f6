/* Thread-block clusters: blocks that run together and reach each other's shared memory. Devices
 * before compute capability 9.0 have none; paths ask device_limits, and there this is never run. */
#ifndef RS_CUDA_CLUSTER_CUH
#define RS_CUDA_CLUSTER_CUH

#include <cooperative_groups.h>

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900

__device__ inline int cluster_rank() { return 0; }
__device__ inline void cluster_sync() { __trap(); }
template <typename T> __device__ inline T *cluster_peer(T *own, int) { return own; }

#else

/* Which of the cluster's blocks this is, from 0. */
__device__ inline int cluster_rank() {
    return (int)cooperative_groups::this_cluster().block_rank();
}

/* Waits for all threads of all blocks; what each has written is then seen by every other. */
__device__ inline void cluster_sync() { cooperative_groups::this_cluster().sync(); }

/* Where `own`, in this block's shared memory, is in that of the block of that rank. */
template <typename T> __device__ inline T *cluster_peer(T *own, int rank) {
    return cooperative_groups::this_cluster().map_shared_rank(own, (unsigned)rank);
}

#endif

#endif
