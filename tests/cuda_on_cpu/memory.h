/* Memory of the device, which is ordinary heap. Callers hold the lock of api.h. */
#ifndef CUDA_ON_CPU_MEMORY_H
#define CUDA_ON_CPU_MEMORY_H

#include <cstddef>
#include <cstdint>

namespace cuda_on_cpu {

/* Whether all of [memory, memory + bytes) lies in one allocation of the device. */
bool is_on_device(const void *memory, size_t bytes);

uint64_t device_memory(); /* in all */

} // namespace cuda_on_cpu

#endif
