/* All blocks of a grid, spread over OS threads. */
#ifndef CUDA_ON_CPU_GRID_H
#define CUDA_ON_CPU_GRID_H

#include "block.h"

namespace cuda_on_cpu {

void run_grid(const Launch &launch);

} // namespace cuda_on_cpu

#endif
