/* The gate sigma(a) = 1 / (1 + e^-a), what it leaves out and its slope, from one exponential, for
 * vectors of either precision.
 *
 * With e = exp(-|a|), the larger one of sigma(a) and 1 - sigma(a) is 1 / (1 + e), the smaller one
 * e / (1 + e), and the slope is their product. Nothing cancels, so all three are accurate under
 * saturation, and underflow gradually with the format: f32 from |a| = 87 on, f64 from 708 on. Error
 * bounds: tests/test_tanh.c. */
#ifndef RS_SIGMOID_H
#define RS_SIGMOID_H

#include "tanh.h"

/* sigma(a), 1 - sigma(a) and sigma'(a) of a [count]; NaN goes through all three. */
INLINE void v_sigmoid(size_t count, const vreal *a, vreal *open, vreal *shut, vreal *slope) {
    vreal y[MAX_VECTORS], e[MAX_VECTORS], p[MAX_VECTORS], large[MAX_VECTORS];
    EACH(count) y[v] = v_minus_abs(a[v]) * v_set((real)0.5);
    v_exp_2y(count, y, e, p);
    EACH(count) large[v] = v_set(1) / (v_set(1) + e[v]);
    EACH(count) {
        vint const negative = (vint)a[v] >> (RS_REAL_BITS - 1);
        vreal const small = e[v] * large[v];
        open[v] = v_select(negative, small, large[v]);
        shut[v] = v_select(negative, large[v], small);
        slope[v] = small * large[v];
    }
}

#endif
