/* Work that waits on streams until something needs it done. Callers hold the lock of api.h. */
#ifndef CUDA_ON_CPU_STREAM_H
#define CUDA_ON_CPU_STREAM_H

#include "include/cuda_runtime.h"

namespace cuda_on_cpu {

using Work = std::function<void()>;

/* Puts work on a stream, or into the graph that the stream captures; on the default stream it is
 * done at once. */
cudaError_t submit(cudaStream_t stream, Work work);

bool is_capturing(cudaStream_t stream);

/* For calls that wait for the device or change its memory: not allowed while a stream captures (by
 * its mode: in any thread, or in this one), whose graph is then lost. */
cudaError_t refuse_in_capture();

void finish(cudaStream_t stream);
void finish_all();

} // namespace cuda_on_cpu

#endif
