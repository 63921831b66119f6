#include "failure.h"

#include <cstdio>
#include <cstdlib>

namespace cuda_on_cpu {

void fail(const std::string &what_why) {
    std::fprintf(stderr, "cuda_on_cpu: %s\n", what_why.c_str());
    std::abort();
}

} // namespace cuda_on_cpu
