/* tanh and its slope from one exponential, for vectors of either precision.
 *
 * With e = exp(-2|a|) and p = e - 1, tanh |a| = -p / (2 + p) and sech^2 a = 4 e / (2 + p)^2. p is
 * made without subtracting from e, so tanh is accurate near 0; e is made without p, so the slope
 * is accurate under saturation, where 1 - tanh^2 would be 0. The slope underflows gradually, with
 * the format: f32 from |a| = 44 on, f64 from 355 on. Error bounds are tested in test_simd. */
#ifndef RS_TANH_H
#define RS_TANH_H

#include "simd.h"

#if RS_REAL_BITS == 32
#define LOG2_E        0x1.715476p+0f
#define LN2_HIGH      0x1.62ep-1f /* few bits: n * LN2_HIGH is exact without fma */
#define LN2_LOW       0x1.0bfbe8p-15f
#define LEAST_X       (-174.0f) /* exp of it is 0 in two halves, each of them normal */
#define ROUNDER       0x1.8p23f
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#else
#define LOG2_E        0x1.71547652b82fep+0
#define LN2_HIGH      0x1.62e42fefap-1
#define LN2_LOW       0x1.cf79abc9e3b39p-40
#define LEAST_X       (-1400.0)
#define ROUNDER       0x1.8p52
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#endif

/* exp(r) - 1 for |r| <= ln(2) / 2 by its series, truncated below half an ulp. */
INLINE vreal v_expm1_small(vreal r) {
#if RS_REAL_BITS == 32
    static const real c[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f};
#else
    static const real c[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                             1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
                             1.0 / 120,        1.0 / 24,        1.0 / 6,        0.5};
#endif
    vreal p = v_set(c[0]);
    UNROLL
    for (size_t i = 1; i < sizeof c / sizeof *c; ++i) p = v_fma(p, r, v_set(c[i]));
    return v_fma(p * r, r, r);
}

/* 2^n for whole n in the exponent's range. */
INLINE vreal v_power_of_two(vint n) { return (vreal)((n + EXPONENT_BIAS) << MANTISSA_BITS); }

/* 1 / x for x in [1, 2]. */
INLINE vreal v_reciprocal(vreal x) {
#if defined(__AVX512F__) && RS_REAL_BITS == 32
    vreal const r = (vreal)_mm512_rcp14_ps((__m512)x);
    return v_fma(v_fma(-x, r, v_set(1)), r, r);
#else
    return v_set(1) / x;
#endif
}

INLINE void v_tanh(vreal a, vreal *h, vreal *slope) {
    vreal x = v_set(-2) * v_abs(a);
    x = v_select((vint)(x < v_set(LEAST_X)), v_set(LEAST_X), x);
    vreal const shifted = v_fma(x, v_set(LOG2_E), v_set(ROUNDER));
    vreal const n = shifted - v_set(ROUNDER);
    vreal const r = v_fma(n, v_set(-LN2_LOW), v_fma(n, v_set(-LN2_HIGH), x));
    vreal const q = v_expm1_small(r);
#if defined(__AVX512F__) && RS_REAL_BITS == 32
    vreal const s = (vreal)_mm512_scalef_ps((__m512)v_set(1), (__m512)n);
    vreal const e = (vreal)_mm512_scalef_ps((__m512)(q + v_set(1)), (__m512)n);
#elif defined(__AVX512F__)
    vreal const s = (vreal)_mm512_scalef_pd((__m512d)v_set(1), (__m512d)n);
    vreal const e = (vreal)_mm512_scalef_pd((__m512d)(q + v_set(1)), (__m512d)n);
#else
    vint const whole = (vint)shifted - (vint)v_set(ROUNDER);
    vint const half = whole >> 1;
    vreal const s1 = v_power_of_two(half), s2 = v_power_of_two(whole - half);
    vreal const s = s1 * s2;
    vreal const e = (q + v_set(1)) * s1 * s2;
#endif
    vreal const p = v_fma(q, s, s - v_set(1));
    vreal const d = v_reciprocal(v_set(2) + p);
    *h = v_or(-p * d, v_sign_of(a));
    *slope = v_set(4) * e * d * d;
}

#endif
