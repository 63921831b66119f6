/* Thread-block clusters: blocks that run together and reach each other's shared memory. Devices
 * before compute capability 9.0 have none; paths ask device_limits, and there this is never run. */
#ifndef RS_CUDA_CLUSTER_CUH
#define RS_CUDA_CLUSTER_CUH

#include "sm90.cuh"

#include <cooperative_groups.h>

#if !RS_SM90

__device__ inline int cluster_rank() { return 0; }
__device__ inline void cluster_arrive() { __trap(); }
__device__ inline void cluster_wait() { __trap(); }
template <typename T> __device__ inline T *cluster_peer(T *own, int) { return own; }

#else

/* Which of the cluster's blocks this is, from 0. */
__device__ inline int cluster_rank() {
    return (int)cooperative_groups::this_cluster().block_rank();
}

/* The halves of a barrier of all threads of all blocks: what each has written before it arrives is
 * seen by every other after its wait. What a thread writes in between nobody waits for. */
__device__ inline void cluster_arrive() {
    (void)cooperative_groups::this_cluster().barrier_arrive(); /* releases */
}
__device__ inline void cluster_wait() { cooperative_groups::this_cluster().barrier_wait(); }

/* Where `own`, in this block's shared memory, is in that of the block of that rank. */
template <typename T> __device__ inline T *cluster_peer(T *own, int rank) {
    return cooperative_groups::this_cluster().map_shared_rank(own, (unsigned)rank);
}

#endif

__device__ inline void cluster_sync() {
    cluster_arrive();
    cluster_wait();
}

#endif
