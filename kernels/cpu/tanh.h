/* tanh and its slope from one exponential, for vectors of either precision.
 *
 * With e = exp(-2|a|) and p = e - 1, tanh |a| = -p / (2 + p) and sech^2 a = 4 e / (2 + p)^2. p is
 * made without cancellation, so tanh is accurate near 0; e is made without p, so the slope is
 * accurate under saturation, where 1 - tanh^2 would be 0. The slope underflows gradually, with
 * the format: f32 from |a| = 44 on, f64 from 355 on. Error bounds: tests/test_tanh.c. */
#ifndef RS_TANH_H
#define RS_TANH_H

#include "../tanh_series.h"
#include "simd.h"

/* Without fma the high part of ln(2) / 2 is short, so that its product with n is exact. */
#if RS_REAL_BITS == 32
#define TWO_LOG2_E    RS_TWO_LOG2_E_F32
#define HALF_LN2_HIGH 0x1.62ep-2f
#define HALF_LN2_LOW  0x1.0bfbe8p-16f
#define LEAST_Y       RS_LEAST_Y_F32
#define ROUNDER       0x1.8p23f
#define EXPM1_SERIES  RS_EXPM1_SERIES_F32
#else
#define TWO_LOG2_E    RS_TWO_LOG2_E_F64
#define HALF_LN2_HIGH RS_HALF_LN2_HIGH_F64
#define HALF_LN2_LOW  RS_HALF_LN2_LOW_F64
#define LEAST_Y       RS_LEAST_Y_F64
#define ROUNDER       0x1.8p52
#define EXPM1_SERIES  RS_EXPM1_SERIES_F64
#endif

/* q = exp(2 y) - 1 */
INLINE void v_expm1_2y(size_t count, const vreal *y, vreal *q) {
    static const real c[] = {EXPM1_SERIES};
    EACH(count) q[v] = v_set(c[0]);
    UNROLL
    for (size_t i = 1; i < sizeof c / sizeof *c; ++i)
        EACH(count) q[v] = v_fma(q[v], y[v], v_set(c[i]));
    EACH(count) q[v] = v_fma(q[v], y[v] * y[v], y[v] + y[v]);
}

/* y = -|a| less n halves of ln 2. */
INLINE vreal v_reduce(vreal y, vreal n) {
#if FUSED && RS_REAL_BITS == 32
    return v_fma(n, v_set(-RS_HALF_LN2_F32), y);
#else
    return v_fma(n, v_set(-HALF_LN2_LOW), v_fma(n, v_set(-HALF_LN2_HIGH), y));
#endif
}

/* From q = exp(2 y) - 1: e = 2^n (1 + q), underflowing gradually, and p = e - 1. `shifted` is n
 * plus ROUNDER. */
INLINE void v_assemble(vreal q, vreal n, vreal shifted, vreal *e, vreal *p) {
    vreal const one = v_set(1);
#if defined(__AVX512F__) && RS_REAL_BITS == 32
    (void)shifted;
    vreal const power = (vreal)_mm512_scalef_ps((__m512)one, (__m512)n);
    *e = (vreal)_mm512_scalef_ps((__m512)(q + one), (__m512)n);
#elif defined(__AVX512F__)
    (void)shifted;
    vreal const power = (vreal)_mm512_scalef_pd((__m512d)one, (__m512d)n);
    *e = (vreal)_mm512_scalef_pd((__m512d)(q + one), (__m512d)n);
#else
    (void)n;
    vint const whole = (vint)shifted - (vint)v_set(ROUNDER);
    vint const half = whole >> 1; /* both halves of 2^n are normal where n itself is not */
    vreal const first = (vreal)((half + EXPONENT_BIAS) << MANTISSA_BITS);
    vreal const second = (vreal)((whole - half + EXPONENT_BIAS) << MANTISSA_BITS);
    vreal const power = first * second;
    *e = (q + one) * first * second;
#endif
    *p = v_fma(q, power, power - one); /* power - 1 is exact for all n that matter */
}

/* e = exp(2 y) and p = e - 1 of y [count] <= 0, stage by stage: a processor sees only so far ahead,
 * so independent chains must stand side by side to overlap. */
INLINE void v_exp_2y(size_t count, const vreal *y, vreal *e, vreal *p) {
    vreal rest[MAX_VECTORS], shifted[MAX_VECTORS], n[MAX_VECTORS], q[MAX_VECTORS];
    EACH(count) {
        vreal const bounded = v_at_least(y[v], v_set(LEAST_Y));
        shifted[v] = v_fma(bounded, v_set(TWO_LOG2_E), v_set(ROUNDER));
        n[v] = shifted[v] - v_set(ROUNDER);
        rest[v] = v_reduce(bounded, n[v]);
    }
    v_expm1_2y(count, rest, q);
    EACH(count) v_assemble(q[v], n[v], shifted[v], &e[v], &p[v]);
}

/* -|a| */
INLINE vreal v_minus_abs(vreal a) { return (vreal)((vint)a | (vint)v_set((real)-0.0)); }

/* tanh and slope of a [count]. */
INLINE void v_tanh(size_t count, const vreal *a, vreal *h, vreal *slope) {
    vint const sign = (vint)v_set((real)-0.0);
    vreal y[MAX_VECTORS], e[MAX_VECTORS], p[MAX_VECTORS], d[MAX_VECTORS];
    EACH(count) y[v] = v_minus_abs(a[v]);
    v_exp_2y(count, y, e, p);
    /* A division is rounded correctly, so it has the same bits everywhere. Approximate reciprocals
     * differ between makers of processors, and one more step of Newton's does not end that; and
     * other instructions overlap with a division. */
    EACH(count) d[v] = v_set(1) / (v_set(2) + p[v]);
    EACH(count) {
        vreal const twice = d[v] + d[v];
        h[v] = v_select(sign, a[v], p[v] * d[v]);
        slope[v] = e[v] * twice * twice;
    }
}

#endif
