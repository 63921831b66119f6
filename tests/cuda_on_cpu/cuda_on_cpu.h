/* What a test may do to the device that the runner plays. For C and C++. */
#ifndef CUDA_ON_CPU_H
#define CUDA_ON_CPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A device as at the start of the program: healthy, no failures planned, calls counted from 0.
 * Memory stays allocated. */
void rs_cuda_on_cpu_reset(void);

/* The nth call from now (1: the next) of the CUDA function `call` fails with `error`, a cudaError_t
 * value; call NULL: of any function. After an error that loses a real device (ECC, illegal address,
 * launch failure) every later call fails with it, until reset. */
void rs_cuda_on_cpu_fail(const char *call, uint64_t nth, int error);

/* Calls that could have been made to fail, since the reset. */
uint64_t rs_cuda_on_cpu_calls(void);

/* Each device's memory: 1 GiB unless told. */
void rs_cuda_on_cpu_set_memory(uint64_t bytes);

/* How many devices there are, 1 to 8: 1 unless told. All are alike. A thread has one of them as its
 * own, the first unless it calls cudaSetDevice, and may use no stream, event, graph or memory of
 * another; CUDA itself allows some of that. */
void rs_cuda_on_cpu_set_devices(int count);

/* The calling thread's. */
int rs_cuda_on_cpu_device(void);

/* A launch as the engine asked for it. */
typedef struct rs_cuda_launch {
    const char *kernel; /* demangled; the same pointer every time, until the program ends */
    uint64_t blocks;    /* of the grid */
    unsigned threads;   /* of a block */
    unsigned cluster;   /* blocks of a cluster */
    size_t shared;      /* dynamic shared memory of a block, bytes */
} rs_cuda_launch;

/* From now on valid launches are passed to `seen` and run nothing; NULL: they run again. */
void rs_cuda_on_cpu_watch(void (*seen)(const rs_cuda_launch *));

/* Device and page-locked memory, streams, events and graphs not given back. */
uint64_t rs_cuda_on_cpu_held(void);

#ifdef __cplusplus
}
#endif

#endif
