/* Barriers in shared memory that count arrivals and bytes, and bulk copies that report to them; as
 * PTX has them for compute capability 9.0.
 *
 * A copy takes place as late as may be: when no thread of the block can go on without it. Of
 * several the runner chooses one, in the order that it was told. From its start to that moment the
 * destination holds NaN bits, poisoned for AddressSanitizer: what reads it too early is seen, and
 * what is still to be read there is lost. The runner ends the test for what PTX leaves undefined:
 * more arrivals than were counted on, more bytes than were announced, sizes and addresses that are
 * not multiples of 16 bytes, an object without init, initialised twice or overwritten, a copy that
 * outlives the block. */
#ifndef CUDA_ON_CPU_MBARRIER_H
#define CUDA_ON_CPU_MBARRIER_H

#include "cuda_on_cpu_device.h"

/* What it holds is the runner's: a number that says which object this is. */
typedef unsigned long long mbarrier;

namespace cuda_on_cpu {

struct BulkCopy {
    void *to;
    const void *from;
    unsigned bytes;
    mbarrier *barrier;
    void (*take_place)(const BulkCopy &copy);
    Site at;
};

mbarrier mbarrier_begin(mbarrier *barrier, unsigned count, Site at); /* what it is to hold */
void mbarrier_fence();
void mbarrier_come(mbarrier *barrier, mbarrier held, unsigned bytes, Site at);
void mbarrier_await(mbarrier *barrier, mbarrier held, unsigned parity, Site at);
void bulk_copy_check(const BulkCopy &copy, mbarrier held);
void bulk_copy_begin(const BulkCopy &copy);

/* By plain loads and stores, of the kernel's program: a sanitizer sees them. */
inline void bulk_copy_now(const BulkCopy &copy) {
    auto *const to = static_cast<uint64_t *>(copy.to);
    auto const *const from = static_cast<const uint64_t *>(copy.from);
    for (unsigned i = 0; i < copy.bytes / sizeof *to; ++i) to[i] = from[i];
}

} // namespace cuda_on_cpu

inline void mbarrier_init(mbarrier *barrier, unsigned count,
                          cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    *barrier = cuda_on_cpu::mbarrier_begin(barrier, count, at);
}

inline void mbarrier_fence_init() { cuda_on_cpu::mbarrier_fence(); }

inline void mbarrier_arrive(mbarrier *barrier, cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    cuda_on_cpu::mbarrier_come(barrier, *barrier, 0, at);
}

inline void mbarrier_arrive_expect(mbarrier *barrier, unsigned bytes,
                                   cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    cuda_on_cpu::mbarrier_come(barrier, *barrier, bytes, at);
}

inline void mbarrier_wait(mbarrier *barrier, unsigned parity,
                          cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    cuda_on_cpu::mbarrier_await(barrier, *barrier, parity, at);
}

inline void bulk_copy(void *to, const void *from, unsigned bytes, mbarrier *barrier,
                      cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    cuda_on_cpu::BulkCopy const copy = {to, from, bytes, barrier, cuda_on_cpu::bulk_copy_now, at};
    cuda_on_cpu::bulk_copy_check(copy, *barrier);
    for (unsigned i = 0; i < bytes / sizeof(uint64_t); ++i)
        static_cast<uint64_t *>(to)[i] = UINT64_MAX;
    cuda_on_cpu::bulk_copy_begin(copy);
}

#endif
