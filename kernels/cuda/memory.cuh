/* How device memory is dealt out. */
#ifndef RS_CUDA_MEMORY_CUH
#define RS_CUDA_MEMORY_CUH

#include "../base/block.h"

/* Of every array, and of what cudaMalloc returns. */
enum { ALIGNMENT = 256 };

template <typename T> static T *take(rs_block *block, uint64_t count) {
    return (T *)rs_block_take(block, count, sizeof(T));
}

#endif
