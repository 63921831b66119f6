/* The vector tanh and gate of the CPU kernels, one function each for each instruction set and
 * precision. */
#ifndef TANH_PROBE_H
#define TANH_PROBE_H

#include <stddef.h>

/* h = tanh(a) and slope = sech^2(a) for arrays [n] of float or double, n a multiple of 16. */
typedef void tanh_probe(size_t n, const void *a, void *h, void *slope);

tanh_probe tanh_baseline_f32, tanh_baseline_f64;
tanh_probe tanh_avx2_f32, tanh_avx2_f64;
tanh_probe tanh_avx512_f32, tanh_avx512_f64;
tanh_probe tanh_neon_f32, tanh_neon_f64;

/* open = sigma(a), shut = 1 - sigma(a) and slope = sigma'(a), likewise. */
typedef void sigmoid_probe(size_t n, const void *a, void *open, void *shut, void *slope);

sigmoid_probe tanh_baseline_f32_sigmoid, tanh_baseline_f64_sigmoid;
sigmoid_probe tanh_avx2_f32_sigmoid, tanh_avx2_f64_sigmoid;
sigmoid_probe tanh_avx512_f32_sigmoid, tanh_avx512_f64_sigmoid;
sigmoid_probe tanh_neon_f32_sigmoid, tanh_neon_f64_sigmoid;

#endif
