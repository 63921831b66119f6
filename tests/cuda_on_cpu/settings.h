/* What the environment says, read once:
 *
 *     RHOSWEEP_CUDA_ORDER     ascending (default), descending, shuffled or shuffled:SEED: the order
 *                             in which threads run between meeting points, and blocks
 *     RHOSWEEP_CUDA_THREADS   OS threads that run blocks; default: one for each CPU, 16 at
 *                             most */
#ifndef CUDA_ON_CPU_SETTINGS_H
#define CUDA_ON_CPU_SETTINGS_H

#include <cstdint>

namespace cuda_on_cpu {

enum class Order { ascending, descending, shuffled };

struct Settings {
    Order order;
    uint64_t seed;
    unsigned os_threads;
};

const Settings &settings();

} // namespace cuda_on_cpu

#endif
