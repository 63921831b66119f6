/* tanh and its slope from one exponential, for vectors of either precision.
 *
 * With e = exp(-2|a|) and p = e - 1, tanh |a| = -p / (2 + p) and sech^2 a = 4 e / (2 + p)^2. p is
 * made without cancellation, so tanh is accurate near 0; e is made without p, so the slope is
 * accurate under saturation, where 1 - tanh^2 would be 0. The slope underflows gradually, with
 * the format: f32 from |a| = 44 on, f64 from 355 on. Error bounds: tests/test_tanh.c. */
#ifndef RS_TANH_H
#define RS_TANH_H

#include "simd.h"

/* -|a| = n ln(2) / 2 + y, |y| <= ln(2) / 4, so that e = 2^n exp(2 y). Without fma the high part of
 * ln(2) / 2 is short, so that its product with n is exact. LEAST_Y ends what need be exact. */
#if RS_REAL_BITS == 32
#define TWO_LOG2_E    0x1.715476p+1f
#define HALF_LN2      0x1.62e430p-2f
#define HALF_LN2_HIGH 0x1.62ep-2f
#define HALF_LN2_LOW  0x1.0bfbe8p-16f
#define LEAST_Y       (-87.0f)
#define ROUNDER       0x1.8p23f
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#else
#define TWO_LOG2_E    0x1.71547652b82fep+1
#define HALF_LN2_HIGH 0x1.62e42fefap-2
#define HALF_LN2_LOW  0x1.cf79abc9e3b39p-41
#define LEAST_Y       (-700.0)
#define ROUNDER       0x1.8p52
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#endif

/* exp(2 y) - 1 = 2 y + y^2 P(y). f32: P by least squares, reweighted towards the maximum, error
 * 0.23 ulp; f64: the Taylor series, truncated below half an ulp. */
INLINE void v_expm1_2y(size_t count, const vreal *y, vreal *q) {
#if RS_REAL_BITS == 32
    static const real c[] = {0x1.6d995ap-4f, 0x1.122838p-2f, 0x1.555486p-1f, 0x1.5554b0p+0f, 2};
#else
    static const real c[] = {
        8192.0 / 6227020800, 4096.0 / 479001600, 2048.0 / 39916800, 1024.0 / 3628800,
        512.0 / 362880,      256.0 / 40320,      128.0 / 5040,      64.0 / 720,
        32.0 / 120,          16.0 / 24,          8.0 / 6,           2};
#endif
    EACH(count) q[v] = v_set(c[0]);
    UNROLL
    for (size_t i = 1; i < sizeof c / sizeof *c; ++i)
        EACH(count) q[v] = v_fma(q[v], y[v], v_set(c[i]));
    EACH(count) q[v] = v_fma(q[v], y[v] * y[v], y[v] + y[v]);
}

/* y = -|a| less n halves of ln 2. Where there is fma, f32 takes one constant: its rounding moves
 * the slope no more than the rounding of a does. */
INLINE vreal v_reduce(vreal y, vreal n) {
#if defined(HAS_FMA) && RS_REAL_BITS == 32
    return v_fma(n, v_set(-HALF_LN2), y);
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

/* 1 / x for x in [1, 2]. */
INLINE vreal v_reciprocal(vreal x) {
    vreal const one = v_set(1);
#if defined(__AVX512F__) && RS_REAL_BITS == 32
    vreal const r = (vreal)_mm512_rcp14_ps((__m512)x);
    return v_fma(v_fma(-x, r, one), r, r);
#elif defined(__AVX512F__)
    vreal r = (vreal)_mm512_rcp14_pd((__m512d)x);
    r = v_fma(v_fma(-x, r, one), r, r);
    return v_fma(v_fma(-x, r, one), r, r);
#else
    return one / x;
#endif
}

/* tanh and slope of a [count], stage by stage: a processor sees only so far ahead, so independent
 * chains must stand side by side to overlap. */
INLINE void v_tanh(size_t count, const vreal *a, vreal *h, vreal *slope) {
    vint const sign = (vint)v_set((real)-0.0);
    vreal minus_abs[MAX_VECTORS], shifted[MAX_VECTORS], n[MAX_VECTORS], q[MAX_VECTORS];
    vreal e[MAX_VECTORS], p[MAX_VECTORS], d[MAX_VECTORS];
    EACH(count) {
        minus_abs[v] = v_at_least((vreal)((vint)a[v] | sign), v_set(LEAST_Y));
        shifted[v] = v_fma(minus_abs[v], v_set(TWO_LOG2_E), v_set(ROUNDER));
        n[v] = shifted[v] - v_set(ROUNDER);
        minus_abs[v] = v_reduce(minus_abs[v], n[v]);
    }
    v_expm1_2y(count, minus_abs, q);
    EACH(count) v_assemble(q[v], n[v], shifted[v], &e[v], &p[v]);
    EACH(count) d[v] = v_reciprocal(v_set(2) + p[v]);
    EACH(count) {
        vreal const twice = d[v] + d[v];
        h[v] = v_select(sign, a[v], p[v] * d[v]);
        slope[v] = e[v] * twice * twice;
    }
}

#endif
