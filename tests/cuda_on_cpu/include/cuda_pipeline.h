/* Asynchronous copies to shared memory. The copy takes place when its thread waits for it, and no
 * sooner; until then the destination holds NaN bits, so that a missing wait is seen. */
#ifndef CUDA_ON_CPU_PIPELINE_H
#define CUDA_ON_CPU_PIPELINE_H

#include "cuda_on_cpu_device.h"

namespace cuda_on_cpu {

struct Copy {
    void *to;
    const void *from;
    size_t bytes;
};

void copy_issue(const Copy &copy, Site at); /* ends the test if size or alignment is not allowed */
void copy_commit();

/* Takes the calling thread's oldest copy that is not in its `prior` latest batches. */
bool copy_take(size_t prior, Copy *copy);

/* By plain loads and stores: ThreadSanitizer may be told to overlook memcpy. */
template <class Word> inline void copy_words(void *to, const void *from, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        Word word;
        __builtin_memcpy(&word, static_cast<const Word *>(from) + i, sizeof word);
        __builtin_memcpy(static_cast<Word *>(to) + i, &word, sizeof word);
    }
}

inline void copy_now(const Copy &copy) {
    if (copy.bytes == 4)
        copy_words<uint32_t>(copy.to, copy.from, 1);
    else
        copy_words<uint64_t>(copy.to, copy.from, copy.bytes == 8 ? 1 : 2);
}

} // namespace cuda_on_cpu

inline void __pipeline_memcpy_async(void *to, const void *from, size_t bytes,
                                    cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    cuda_on_cpu::copy_issue({to, from, bytes}, at);
    static const uint64_t nan_bits[2] = {UINT64_MAX, UINT64_MAX};
    cuda_on_cpu::copy_now({to, nan_bits, bytes});
}

/* With zfill = bytes, nothing is read and zeros are written. */
inline void __pipeline_memcpy_async(void *to, const void *from, size_t bytes, size_t zfill,
                                    cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    alignas(16) static const uint64_t zeros[2] = {};
    __pipeline_memcpy_async(to, zfill < bytes ? from : zeros, bytes, at);
}

inline void __pipeline_commit() { cuda_on_cpu::copy_commit(); }

inline void __pipeline_wait_prior(size_t prior) {
    cuda_on_cpu::Copy copy;
    while (cuda_on_cpu::copy_take(prior, &copy)) cuda_on_cpu::copy_now(copy);
}

#endif
