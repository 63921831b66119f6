/* One block of a grid, run to its end on the calling OS thread: a fiber for each CUDA thread, which
 * runs until it must wait for others. Then the same warp goes on as far as it can before the next
 * one: threads drift as far apart as the barriers let them. */
#ifndef CUDA_ON_CPU_BLOCK_H
#define CUDA_ON_CPU_BLOCK_H

#include "cluster.h"
#include "include/cuda_on_cpu_device.h"
#include "symbols.h"

#include <functional>

namespace cuda_on_cpu {

constexpr size_t MOST_BLOCK_THREADS = 1024, MOST_SHARED_BYTES = 232448;

struct Launch {
    const KernelSymbols &symbols;
    dim3 grid, block;
    unsigned cluster; /* blocks, side by side */
    size_t shared_bytes;
    std::function<void()> thread; /* what one CUDA thread does */
};

/* `cluster` is the block's, which may have it alone. */
void run_block(const Launch &launch, uint3 index, Cluster *cluster);

} // namespace cuda_on_cpu

#endif
