#include "check.cuh"

#include <string.h>

/* "cudaMalloc(&p, n)" without its arguments */
static int name_length(const char *call) { return (int)strcspn(call, "("); }

rs_status cuda_fail(cudaError_t error, const char *call) {
    (void)cudaGetLastError();
    return rs_fail(error == cudaErrorMemoryAllocation ? RS_EMEMORY : RS_EDEVICE,
                   "engine cuda: %.*s: %s", name_length(call), call, cudaGetErrorString(error));
}
