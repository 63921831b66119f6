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

__device__ inline float power_of_two(float, int n) {
    return __uint_as_float((unsigned)(n + 127) << 23);
}
__device__ inline double power_of_two(double, int n) {
    return __longlong_as_double((long long)((unsigned long long)(n + 1023) << 52));
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

__device__ inline float times_two_log2_e(float y) { return y * RS_TWO_LOG2_E_F32; }
__device__ inline double times_two_log2_e(double y) { return y * RS_TWO_LOG2_E_F64; }
__device__ inline float least_y(float) { return RS_LEAST_Y_F32; }
__device__ inline double least_y(double) { return RS_LEAST_Y_F64; }

/* x rounded to the nearest integer, ties to even, for |x| < 2^22 (f64: 2^31): the sum with 1.5 *
 * 2^23 (1.5 * 2^52) has that integer in its last bits. Of a NaN it is NaN, and *whole is arbitrary.
 */
__device__ inline float nearest(float x, int *whole) {
    float const shifted = x + 0x1.8p23f;
    *whole = __float_as_int(shifted) - __float_as_int(0x1.8p23f);
    return shifted - 0x1.8p23f;
}
__device__ inline double nearest(double x, int *whole) {
    double const shifted = x + 0x1.8p52;
    *whole = (int)(__double_as_longlong(shifted) & 0xFFFFFFFF);
    return shifted - 0x1.8p52;
}

/* One Newton step from an approximation of 1 / d. */
__device__ inline float refine_reciprocal(float d, float approximation) {
    return fmaf(approximation, fmaf(-d, approximation, 1.0f), approximation);
}

/* 1 / d, correctly rounded, for d in [1, 2] or NaN. A compiled division does the same, but branches
 * to take care of other d, and the branches keep independent divisions from overlapping.
 * test_reciprocal.cu goes through all d and all approximations that the instruction may return. */
__device__ inline float reciprocal(float d) {
#ifdef __CUDA_ARCH__
    float approximation;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(approximation) : "f"(d));
    return refine_reciprocal(d, approximation);
#else
    return 1 / d;
#endif
}
__device__ inline double reciprocal(double d) { return 1 / d; }

/* exp(2 y), exp(2 y) - 1 and 1 / (1 + exp(2 y)) of y <= 0, from one exponential: see
 * kernels/cpu/tanh.h. NaN goes through. */
template <typename real> struct decay { real e, minus_one, share; };

template <typename real> __device__ inline decay<real> decay_of(real y) {
    real const one = 1;
    if (y < least_y(one)) y = least_y(one);
    int whole;
    real const n = nearest(times_two_log2_e(y), &whole);
    real const q = expm1_2y(reduce(y, n));
    int const half = whole >> 1; /* both halves of 2^n are normal where n itself is not */
    real const first = power_of_two(one, half), second = power_of_two(one, whole - half);
    real const power = first * second;
    decay<real> d;
    d.e = (q + one) * first * second;
    d.minus_one = fma(q, power, power - one); /* in [-1, 0] */
    d.share = reciprocal(2 + d.minus_one);
    return d;
}

/* tanh and sech^2. */
template <typename real> __device__ inline void tanh_and_slope(real a, real *h, real *slope) {
    decay<real> const d = decay_of(-fabs(a));
    *h = copysign(d.minus_one * d.share, a);
    *slope = d.e * (d.share + d.share) * (d.share + d.share);
}

/* sigma(a) = 1 / (1 + exp(-a)), 1 - sigma(a) and sigma'(a). A difference to 1 would lose its digits
 * as the gate saturates. */
template <typename real> struct gate_values { real open, shut, slope; };

template <typename real> __device__ inline gate_values<real> gate_of(real a) {
    decay<real> const d = decay_of(-fabs(a) / 2);
    real const small = d.e * d.share;
    gate_values<real> g;
    g.open = a < 0 ? small : d.share;
    g.shut = a < 0 ? d.share : small;
    g.slope = small * d.share;
    return g;
}

/* ---- activations: phi(a) and its slope ---------------------------------------------------------
 */

struct tanh_activation {
    template <typename real> __device__ void operator()(real a, real *h, real *slope) const {
        tanh_and_slope(a, h, slope);
    }
};

/* Of a raw pass: the slope is 1 - h^2. */
struct raw_tanh_activation {
    template <typename real> __device__ void operator()(real a, real *h, real *slope) const {
        tanh_and_slope(a, h, slope);
        *slope = 1 - *h * *h;
    }
};

struct relu_activation {
    template <typename real> __device__ void operator()(real a, real *h, real *slope) const {
        *h = a < 0 ? (real)0 : a;
        *slope = a > 0 ? (real)1 : a <= 0 ? (real)0 : a;
    }
};

/* Of a raw pass: of NaN the slope is 1, for it is not at most 0. */
struct raw_relu_activation {
    template <typename real> __device__ void operator()(real a, real *h, real *slope) const {
        *h = a < 0 ? (real)0 : a;
        *slope = a <= 0 ? (real)0 : (real)1;
    }
};

struct linear_activation {
    template <typename real> __device__ void operator()(real a, real *h, real *slope) const {
        *h = a;
        *slope = 1;
    }
};

/* work(activation), with the activation of the pass: chosen once, outside of the loops in `work`.
 */
template <typename Work> __device__ inline void with_activation(rs_cell cell, bool raw, Work work) {
    if (cell == RS_TANH && raw)
        work(raw_tanh_activation());
    else if (cell == RS_TANH)
        work(tanh_activation());
    else if (cell == RS_RELU && raw)
        work(raw_relu_activation());
    else if (cell == RS_RELU)
        work(relu_activation());
    else
        work(linear_activation());
}

/* phi' * delta. A raw relu passes a gradient or not, whatever it is: 0 times inf would be NaN. */
template <typename real> __device__ inline real gated(bool selects, real slope, real delta) {
    return selects && slope == 0 ? (real)0 : slope * delta;
}

/* 0 for finite x, NaN for others; added to `sum`, it stays there. */
template <typename real> __device__ inline real add_fault(real x, real sum) {
    return fma(x, (real)0, sum);
}

/* What the backward pass keeps of a column between steps. */
template <typename real> struct column_range {
    int exponent;       /* of delta, or in a raw pass of the norm alone */
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
