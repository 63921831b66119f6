/* Compiled like kernels/cpu/tile.c, once for each instruction set and precision. */
#include "tanh_probe.h"

#include "../kernels/cpu/kernel.h"
#include "../kernels/cpu/sigmoid.h"

void RS_KERNEL(size_t n, const void *a, void *h, void *slope) {
    for (size_t i = 0; i < n; i += LANES) {
        vreal const x = v_load_unaligned((const real *)a + i);
        vreal y, s;
        v_tanh(1, &x, &y, &s);
        memcpy((real *)h + i, &y, sizeof y);
        memcpy((real *)slope + i, &s, sizeof s);
    }
}

#define SIGMOID_OF(kernel) RS_CPU_JOIN(kernel, _sigmoid)

void SIGMOID_OF(RS_KERNEL)(size_t n, const void *a, void *open, void *shut, void *slope) {
    for (size_t i = 0; i < n; i += LANES) {
        vreal const x = v_load_unaligned((const real *)a + i);
        vreal y, rest, s;
        v_sigmoid(1, &x, &y, &rest, &s);
        memcpy((real *)open + i, &y, sizeof y);
        memcpy((real *)shut + i, &rest, sizeof rest);
        memcpy((real *)slope + i, &s, sizeof s);
    }
}
