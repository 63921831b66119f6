/* The thin layer over SIMD registers: what tile.c needs and no more. `vreal` is a vector of
 * `LANES` reals; + - * and / work on it. RS_REAL_BITS chooses the precision; the instruction set
 * is what the file is compiled for. */
#ifndef RS_SIMD_H
#define RS_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__FMA__) || defined(__aarch64__)
#define FUSED 1
#else
#define FUSED 0
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define MAX_ROWS     8
#define MAX_VECTORS  3
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#define MAX_ROWS     4
#define MAX_VECTORS  3
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define MAX_ROWS     8
#define MAX_VECTORS  3
#else
#define VECTOR_BYTES 16
#define MAX_ROWS     4
#define MAX_VECTORS  2
#endif

#if RS_REAL_BITS == 32
typedef float real;
typedef int32_t ireal;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#else
typedef double real;
typedef int64_t ireal;
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#endif

#define LANES (VECTOR_BYTES / sizeof(real))

typedef real vreal __attribute__((vector_size(VECTOR_BYTES)));
typedef ireal vint __attribute__((vector_size(VECTOR_BYTES)));
typedef double vdouble __attribute__((vector_size(VECTOR_BYTES)));

/* Doubles that hold the LANES of a vreal. */
#define WIDE (RS_REAL_BITS == 32 ? 2 : 1)
typedef struct vwide {
    vdouble part[WIDE];
} vwide;

#define INLINE static inline __attribute__((always_inline))
#define APART  static __attribute__((noinline)) /* keeps the registers to itself */

/* Moves control of the loop to the compiler: all trips at once. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

INLINE vreal v_set(real x) { return x - (vreal){0}; }
/* NOLINTBEGIN(clang-analyzer-core.NullDereference): they take scratch, which it sees set nowhere */
INLINE vreal v_load(const real *p) { return *(const vreal *)p; }
INLINE void v_store(real *p, vreal x) { *(vreal *)p = x; }
/* NOLINTEND(clang-analyzer-core.NullDereference) */
INLINE vreal v_load_unaligned(const real *p) {
    vreal x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* mask ? a : b, lane by lane; mask lanes are all ones or all zeros. */
INLINE vreal v_select(vint mask, vreal a, vreal b) {
    return (vreal)(((vint)a & mask) | ((vint)b & ~mask));
}

INLINE vint v_select_int(vint mask, vint a, vint b) { return (a & mask) | (b & ~mask); }
INLINE vint v_set_int(ireal x) { return x - (vint){0}; }
INLINE vint v_larger(vint a, vint b) { return v_select_int((vint)(a > b), a, b); }
INLINE vint v_smaller(vint a, vint b) { return v_select_int((vint)(a < b), a, b); }

INLINE vreal v_abs(vreal x) { return (vreal)((vint)x & ~(vint)v_set((real)-0.0)); }

/* 2^n of a normal number. */
INLINE vreal v_power(vint n) { return (vreal)((n + EXPONENT_BIAS) << MANTISSA_BITS); }

/* The larger one; NaN where x is. */
INLINE vreal v_at_least(vreal x, vreal least) {
#if defined(__AVX512F__) && RS_REAL_BITS == 32
    return (vreal)_mm512_max_ps((__m512)least, (__m512)x);
#elif defined(__AVX512F__)
    return (vreal)_mm512_max_pd((__m512d)least, (__m512d)x);
#else
    return v_select((vint)(x < least), least, x);
#endif
}

/* a * b + c, rounded once where the machine can. */
INLINE vreal v_fma(vreal a, vreal b, vreal c) {
#if defined(__AVX512F__) && RS_REAL_BITS == 32
    return (vreal)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX512F__)
    return (vreal)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__) && RS_REAL_BITS == 32
    return (vreal)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FMA__)
    return (vreal)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__) && RS_REAL_BITS == 32
    return (vreal)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#elif defined(__aarch64__)
    return (vreal)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    return a * b + c;
#endif
}

/* True where any lane is NaN. */
INLINE int v_any_nan(vreal x) {
#if defined(__AVX512F__) && RS_REAL_BITS == 32
    return _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q) != 0;
#elif defined(__AVX512F__)
    return _mm512_cmp_pd_mask((__m512d)x, (__m512d)x, _CMP_UNORD_Q) != 0;
#else
    vint const nan = x != x; // NOLINT(misc-redundant-expression)
    ireal any = 0;
    for (size_t i = 0; i < LANES; ++i) any |= nan[i];
    return any != 0;
#endif
}

/* True where every lane lies in [low, high]. */
INLINE int v_all_within(vdouble x, double low, double high) {
#if defined(__AVX512F__)
    __mmask8 const in = _mm512_cmp_pd_mask((__m512d)x, _mm512_set1_pd(low), _CMP_GE_OQ);
    return _mm512_mask_cmp_pd_mask(in, (__m512d)x, _mm512_set1_pd(high), _CMP_LE_OQ) == 0xFF;
#else
    int in = 1;
    for (size_t i = 0; i < VECTOR_BYTES / sizeof(double); ++i) in &= x[i] >= low && x[i] <= high;
    return in;
#endif
}

/* The lanes as doubles. */
INLINE vwide v_widen(vreal x) {
    vwide w;
#if RS_REAL_BITS == 64
    w.part[0] = (vdouble)x;
#elif defined(__AVX512F__)
    w.part[0] = (vdouble)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)x));
    w.part[1] = (vdouble)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)x, 1));
#elif defined(__AVX2__)
    w.part[0] = (vdouble)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)x));
    w.part[1] = (vdouble)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)x, 1));
#else
    size_t const half = LANES / WIDE;
    for (size_t i = 0; i < LANES; ++i) w.part[i / half][i % half] = x[i];
#endif
    return w;
}

/* Lanes of a and b by turns: of their lower halves, of their upper halves. */
#define LANE_COUNT (VECTOR_BYTES * 8 / RS_REAL_BITS)
#if LANE_COUNT == 16
#define LOWER_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define UPPER_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANE_COUNT == 8
#define LOWER_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define UPPER_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#elif LANE_COUNT == 4
#define LOWER_HALVES 0, 4, 1, 5
#define UPPER_HALVES 2, 6, 3, 7
#else
#define LOWER_HALVES 0, 2
#define UPPER_HALVES 1, 3
#endif

/* Turns LANES vectors, the rows of a square, into its columns. */
INLINE void v_transpose(vreal *x) {
    vreal y[LANES];
    UNROLL
    for (size_t done = 1; done < LANES; done *= 2) {
        UNROLL
        for (size_t i = 0; i < LANES / 2; ++i) {
            y[2 * i] = __builtin_shufflevector(x[i], x[i + LANES / 2], LOWER_HALVES);
            y[2 * i + 1] = __builtin_shufflevector(x[i], x[i + LANES / 2], UPPER_HALVES);
        }
        UNROLL
        for (size_t i = 0; i < LANES; ++i) x[i] = y[i];
    }
}

/* The vectors v = 0 .. count - 1 of a tile's row, count known when compiling. */
#define EACH(count) UNROLL for (size_t v = 0; v < (count); ++v)

#endif
