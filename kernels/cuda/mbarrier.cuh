/* Barriers in shared memory that count arrivals and bytes, and copies that report to them: PTX, for
 * compute capability 9.0 on. The CPU runner has functions of the same names. */
#ifndef RS_CUDA_MBARRIER_CUH
#define RS_CUDA_MBARRIER_CUH

#ifdef __CUDACC__

/* Phases are numbered from 0. One is complete once `count` threads have arrived and all bytes that
 * they announced have come; the next one begins at once. */
typedef unsigned long long mbarrier;

__device__ inline unsigned shared_address(const void *in_shared) {
    return (unsigned)__cvta_generic_to_shared(in_shared);
}

/* By one thread. Others use it after mbarrier_fence_init and a barrier of the block. */
__device__ inline void mbarrier_init(mbarrier *barrier, unsigned count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
                 "r"(count)
                 : "memory");
}

/* After the calling thread's inits and before its first bulk copy: copies are done by another
 * proxy, which must see them. */
__device__ inline void mbarrier_fence_init() {
    asm volatile("fence.mbarrier_init.release.cluster;\n\t"
                 "fence.proxy.async.shared::cta;" ::
                     : "memory");
}

/* What the thread has read and written before is done for whoever waits. */
__device__ inline void mbarrier_arrive(mbarrier *barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
                 : "memory");
}

/* The same, and announces so many bytes of copies: at most 2^20 - 1 in a phase. */
__device__ inline void mbarrier_arrive_expect(mbarrier *barrier, unsigned bytes) {
    asm volatile(
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
        "r"(bytes)
        : "memory");
}

/* Returns once the phase of that parity is complete: the current one, or the one before, when it
 * returns at once. On a new barrier parity 1 names a phase that was complete before the first. */
__device__ inline void mbarrier_wait(mbarrier *barrier, unsigned parity) {
    unsigned complete;
    do
        asm volatile("{\n\t"
                     ".reg .pred complete;\n\t"
                     "mbarrier.try_wait.parity.shared::cta.b64 complete, [%1], %2;\n\t"
                     "selp.u32 %0, 1, 0, complete;\n\t"
                     "}"
                     : "=r"(complete)
                     : "r"(shared_address(barrier)), "r"(parity)
                     : "memory");
    while (!complete);
}

/* Copies from global to shared memory and counts the bytes down at the barrier. Addresses and size
 * are multiples of 16 bytes. */
__device__ inline void bulk_copy(void *to, const void *from, unsigned bytes, mbarrier *barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1], %2, [%3];" ::"r"(shared_address(to)),
                 "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
}

#else
#include <cuda_on_cpu_mbarrier.h>
#endif

#endif
