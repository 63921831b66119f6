/* Memory of the device, which is ordinary heap. Callers hold the lock of api.h. */
#ifndef CUDA_ON_CPU_MEMORY_H
#define CUDA_ON_CPU_MEMORY_H

#include <cstddef>
#include <cstdint>

namespace cuda_on_cpu {

uint64_t device_memory(); /* in all */

} // namespace cuda_on_cpu

#endif
