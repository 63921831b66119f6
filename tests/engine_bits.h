/* Jobs over sizes, cells and precisions, and a digest of all bits of their results, which every
 * instruction set with fma must give: tests/golden/engine_bits.txt. */
#ifndef ENGINE_BITS_H
#define ENGINE_BITS_H

#include "../kernels/engine.h"

size_t engine_bits_cases(void);

/* Runs case i on the engine cpu and writes "f32 tanh raw H=37 R=5 B=7 T=20: 0123456789abcdef". */
void engine_bits_line(size_t i, char line[128]);

#endif
