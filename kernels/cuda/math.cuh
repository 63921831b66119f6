/* What the kernels compute with, for float and double. */
#ifndef RS_CUDA_MATH_CUH
#define RS_CUDA_MATH_CUH

#include "../engine.h"
#include "../tanh_series.h"

#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>

/* Norms are brought back near 1 when their square leaves [1 / band2, band2], by shifts of at most
 * `most` binary places: the same limits as the CPU engine's. */
template <typename real> struct limits;
template <> struct limits<float> {
    static constexpr double band2 = 0x1p64;
    static constexpr int most = 120;
};
template <> struct limits<double> {
    static constexpr double band2 = 0x1p512;
    static constexpr int most = 1000;
};

__device__ inline float power_of_two(float, int n) { return __int_as_float((n + 127) << 23); }
__device__ inline double power_of_two(double, int n) {
    return __longlong_as_double((long long)(n + 1023) << 52);
}

__device__ inline float reduce(float y, float n) { return fmaf(n, -RS_HALF_LN2_F32, y); }
__device__ inline double reduce(double y, double n) {
    return fma(n, -RS_HALF_LN2_LOW_F64, fma(n, -RS_HALF_LN2_HIGH_F64, y));
}

__device__ inline float expm1_2y(float y) {
    const float c[] = {RS_EXPM1_SERIES_F32};
    float p = c[0];
#pragma unroll
    for (int i = 1; i < (int)(sizeof c / sizeof *c); ++i) p = fmaf(p, y, c[i]);
    return fmaf(p, y * y, y + y);
}
__device__ inline double expm1_2y(double y) {
    const double c[] = {RS_EXPM1_SERIES_F64};
    double p = c[0];
#pragma unroll
    for (int i = 1; i < (int)(sizeof c / sizeof *c); ++i) p = fma(p, y, c[i]);
    return fma(p, y * y, y + y);
}

__device__ inline float halves_of_ln2(float minus_abs) {
    return rintf(minus_abs * RS_TWO_LOG2_E_F32);
}
__device__ inline double halves_of_ln2(double minus_abs) {
    return rint(minus_abs * RS_TWO_LOG2_E_F64);
}
__device__ inline float least_y(float) { return RS_LEAST_Y_F32; }
__device__ inline double least_y(double) { return RS_LEAST_Y_F64; }

/* tanh and sech^2 from one exponential: see kernels/cpu/tanh.h. NaN goes through. */
template <typename real> __device__ inline void tanh_and_slope(real a, real *h, real *slope) {
    real const one = 1;
    real minus_abs = -fabs(a);
    if (minus_abs < least_y(one)) minus_abs = least_y(one);
    real const n = halves_of_ln2(minus_abs);
    real const q = expm1_2y(reduce(minus_abs, n));
    int const whole = isnan(a) ? 0 : (int)n;
    int const half = whole >> 1; /* both halves of 2^n are normal where n itself is not */
    real const first = power_of_two(one, half), second = power_of_two(one, whole - half);
    real const power = first * second;
    real const e = (q + one) * first * second;
    real const p = fma(q, power, power - one);
    real const d = one / (2 + p);
    *h = copysign(p * d, a);
    *slope = e * (d + d) * (d + d);
}

/* h = phi(a) and its slope; in a raw job tanh's slope is 1 - h^2. */
template <typename real>
__device__ inline void activate(rs_nonlinearity nonlinearity, bool raw, real a, real *h,
                                real *slope) {
    if (nonlinearity == RS_TANH) {
        tanh_and_slope(a, h, slope);
        if (raw) *slope = 1 - *h * *h;
    } else if (nonlinearity == RS_RELU) {
        *h = a < 0 ? (real)0 : a;
        *slope = a > 0 ? (real)1 : a <= 0 ? (real)0 : a;
    } else {
        *h = a;
        *slope = 1;
    }
}

/* What the backward pass keeps of a column between steps. */
template <typename real> struct column_range {
    int exponent;       /* of delta, or in a raw job of the norm alone */
    real factor;        /* for the next product: the power of two that has just been taken out */
    real own;           /* the loss's own term, scaled like delta */
    double norm_factor; /* raw: 2^-exponent */
};

template <typename real> __device__ inline column_range<real> column_range_start(real own) {
    column_range<real> r;
    r.exponent = 0;
    r.factor = 1;
    r.own = own;
    r.norm_factor = 1.0;
    return r;
}

/* Takes the norm back near 1 by an exact power of two where it has left the band. */
template <typename real>
__device__ inline void column_range_update(column_range<real> *r, bool raw, double norm2) {
    double const band2 = limits<real>::band2;
    int const most = limits<real>::most;
    r->factor = 1;
    if (!isfinite(norm2) || norm2 == 0.0 || (norm2 >= 1.0 / band2 && norm2 <= band2)) return;
    int shift = ilogb(norm2) / 2;
    shift = shift > most ? most : shift < -most ? -most : shift;
    if (raw) {
        int const sum = r->exponent + shift; /* 2^most must stay finite */
        r->exponent = sum > most ? most : sum < -most ? -most : sum;
        r->norm_factor = ldexp(1.0, -r->exponent);
        return;
    }
    r->exponent += shift;
    r->factor = (real)ldexp(1.0, -shift);
    r->own *= r->factor;
}

#endif
