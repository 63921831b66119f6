/* Thread-block clusters, of cooperative groups: blocks that run together and reach each other's
 * dynamic shared memory. A launch without a cluster has clusters of one block. */
#ifndef CUDA_ON_CPU_COOPERATIVE_GROUPS_H
#define CUDA_ON_CPU_COOPERATIVE_GROUPS_H

#include "cuda_on_cpu_device.h"

namespace cuda_on_cpu {

unsigned cluster_rank();
unsigned cluster_blocks();

/* Where `own`, in the caller's dynamic shared memory, is in that of the block of that rank. */
void *cluster_peer(const void *own, unsigned rank, Site at);

} // namespace cuda_on_cpu

namespace cooperative_groups {

class cluster_group {
  public:
    unsigned block_rank() const { return cuda_on_cpu::cluster_rank(); }
    unsigned num_blocks() const { return cuda_on_cpu::cluster_blocks(); }
    struct arrival_token {};
    arrival_token barrier_arrive(cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) const {
        cuda_on_cpu::cluster_arrive(cuda_on_cpu::CLUSTER_ARRIVE, at);
        return {};
    }
    void barrier_wait(cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) const {
        cuda_on_cpu::cluster_wait(cuda_on_cpu::CLUSTER_WAIT, at);
    }
    void sync(cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) const {
        cuda_on_cpu::cluster_arrive(cuda_on_cpu::CLUSTER_SYNC, at);
        cuda_on_cpu::cluster_wait(cuda_on_cpu::CLUSTER_SYNC, at);
    }
    template <class T>
    T *map_shared_rank(T *own, unsigned rank,
                       cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) const {
        return static_cast<T *>(cuda_on_cpu::cluster_peer(own, rank, at));
    }
};

inline cluster_group this_cluster() { return {}; }

} // namespace cooperative_groups

#endif
