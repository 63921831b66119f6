/* What the environment says, read once:
 *
 *     RHOSWEEP_CUDA_ORDER     ascending (default), descending, shuffled or shuffled:SEED: the order
 *                             in which threads run between meeting points, and blocks
 *     RHOSWEEP_CUDA_PROCESSORS  streaming multiprocessors that the device has (default 2)
 *     RHOSWEEP_CUDA_CAPABILITY  its compute capability: 9.0 (default) or 8.0, without clusters and
 *                             bulk copies and with less shared memory
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
    int processors;
    int capability; /* 90 or 80 */
};

const Settings &settings();

} // namespace cuda_on_cpu

#endif
