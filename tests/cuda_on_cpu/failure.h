/* The end of a test: one line on stderr, then abort. */
#ifndef CUDA_ON_CPU_FAILURE_H
#define CUDA_ON_CPU_FAILURE_H

#include <string>

namespace cuda_on_cpu {

[[noreturn]] void fail(const std::string &what_why);

} // namespace cuda_on_cpu

#endif
