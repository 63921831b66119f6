/* What the program's symbol table says of a kernel. Kernels are often static, which the dynamic
 * linker does not know by name; so the file is read. */
#ifndef CUDA_ON_CPU_SYMBOLS_H
#define CUDA_ON_CPU_SYMBOLS_H

#include <cstddef>
#include <string>
#include <vector>

namespace cuda_on_cpu {

struct SharedVariable {
    size_t offset, bytes; /* in the program's thread-local storage */
};

struct KernelSymbols {
    std::string name;                   /* demangled; the address if the table is gone */
    std::vector<SharedVariable> shared; /* what the kernel's body declares __shared__ */
};

/* Kept: asking again costs little. */
const KernelSymbols &kernel_symbols(const void *kernel);

/* The calling thread's instance of the program's thread-local storage. */
char *thread_local_storage();

} // namespace cuda_on_cpu

#endif
