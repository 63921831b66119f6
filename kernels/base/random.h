/* Random numbers as a pure function of where they are used: Philox4x32-10 (Salmon et al. 2011,
 * "Parallel random numbers: as easy as 1, 2, 3") keyed by the seed, counted by position.
 *
 * The transforms use only +, *, fma, /, sqrt and integers, each rounded once by IEEE 754, so that
 * every machine and every compiler draws the same bits. No product is followed by a bare sum: a
 * compiler that contracts a * b + c would change them. Usable from C and from CUDA. */
#ifndef RS_RANDOM_H
#define RS_RANDOM_H

#include "both.h"

#include <Random123/philox.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define RS_RANDOM_FN RS_BOTH static inline

/* Which quantity a number belongs to; part of the counter. The values are fixed for all time:
 * changing one changes every result. */
typedef enum rs_stream {
    RS_STREAM_WEIGHT_HH = 1,
    RS_STREAM_WEIGHT_IH = 2,
    RS_STREAM_BIAS_IH = 3,
    RS_STREAM_BIAS_HH = 4,
    RS_STREAM_INPUT = 5,
    RS_STREAM_NOISE = 6,
    RS_STREAM_H0 = 7,
    RS_STREAM_LOSS = 8,
    RS_STREAM_SPECTRUM = 9,
    RS_STREAM_BOOTSTRAP = 10,
    RS_STREAM_GATE_BIAS = 11,
    RS_STREAM_EIGENVALUE = 12,
    RS_STREAM_DENSITY = 13,
    RS_STREAM_TASK = 14,
    RS_STREAM_EVALUATION = 15
} rs_stream;

/* Two uniforms with 53 random bits each, out[0] in (0, 1], out[1] in [0, 1).
 * Position: `row` and `column` below 2^32, `pair` below 2^28. */
RS_RANDOM_FN void rs_uniform_pair(uint64_t seed, rs_stream stream, uint32_t row, uint32_t column,
                                  uint32_t pair, double out[2]) {
    philox4x32_key_t key;
    philox4x32_ctr_t counter;
    key.v[0] = (uint32_t)seed;
    key.v[1] = (uint32_t)(seed >> 32);
    counter.v[0] = pair;
    counter.v[1] = column;
    counter.v[2] = row;
    counter.v[3] = (uint32_t)stream;
    philox4x32_ctr_t const bits = philox4x32(counter, key);
    uint64_t const first = ((uint64_t)bits.v[1] << 32 | bits.v[0]) >> 11;
    uint64_t const second = ((uint64_t)bits.v[3] << 32 | bits.v[2]) >> 11;
    out[0] = (double)(first + 1) * 0x1p-53;
    out[1] = (double)second * 0x1p-53;
}

/* ln x for normal x in (0, 1]: x = 2^e m, ln m = 2 atanh((m - 1) / (m + 1)), |error| < 1e-15. */
RS_RANDOM_FN double rs_random_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    /* Take m from [sqrt(1/2), sqrt(2)): subtracting its bits leaves the exponent of x / m. */
    uint64_t const sqrt_half = 0x3FE6A09E667F3BCDu;
    int64_t const e = (int64_t)(bits - sqrt_half) >> 52;
    bits -= (uint64_t)e << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    double const f = (m - 1.0) / (m + 1.0);
    double const f2 = f * f;
    double p = 1.0 / 23.0;
    p = fma(p, f2, 1.0 / 21.0);
    p = fma(p, f2, 1.0 / 19.0);
    p = fma(p, f2, 1.0 / 17.0);
    p = fma(p, f2, 1.0 / 15.0);
    p = fma(p, f2, 1.0 / 13.0);
    p = fma(p, f2, 1.0 / 11.0);
    p = fma(p, f2, 1.0 / 9.0);
    p = fma(p, f2, 1.0 / 7.0);
    p = fma(p, f2, 1.0 / 5.0);
    p = fma(p, f2, 1.0 / 3.0);
    p = fma(p, f2, 1.0);
    return fma((double)e, 0x1.62e42fefa39efp-1, (2.0 * f) * p);
}

/* cos and sin of 2 pi x for x in [0, 1): reduced to |r| <= 1/8 turn, Taylor series beyond 1 ulp. */
RS_RANDOM_FN void rs_random_cos_sin(double x, double *cosine, double *sine) {
    int const quarter = (int)fma(4.0, x, 0.5);       /* nearest quarter turn, 0 .. 4 */
    double const r = fma(-0.25, (double)quarter, x); /* exact */
    double const a = r * 0x1.921fb54442d18p+2;       /* 2 pi r, |a| <= pi / 4 */
    double const a2 = a * a;
    double s = -1.0 / 1307674368000.0;
    s = fma(s, a2, 1.0 / 6227020800.0);
    s = fma(s, a2, -1.0 / 39916800.0);
    s = fma(s, a2, 1.0 / 362880.0);
    s = fma(s, a2, -1.0 / 5040.0);
    s = fma(s, a2, 1.0 / 120.0);
    s = fma(s, a2, -1.0 / 6.0);
    s = fma(s * a2, a, a);
    double c = 1.0 / 20922789888000.0;
    c = fma(c, a2, -1.0 / 87178291200.0);
    c = fma(c, a2, 1.0 / 479001600.0);
    c = fma(c, a2, -1.0 / 3628800.0);
    c = fma(c, a2, 1.0 / 40320.0);
    c = fma(c, a2, -1.0 / 720.0);
    c = fma(c, a2, 1.0 / 24.0);
    c = fma(c, a2, -0.5);
    c = fma(c, a2, 1.0);
    double const swapped = (quarter & 1) ? 1.0 : 0.0;
    double const c0 = swapped != 0.0 ? -s : c;
    double const s0 = swapped != 0.0 ? c : s;
    *cosine = (quarter & 2) ? -c0 : c0;
    *sine = (quarter & 2) ? -s0 : s0;
}

/* Length of a pair of normals from the logarithm of a uniform. */
RS_RANDOM_FN double rs_normal_radius(double log_uniform) { return sqrt(-2.0 * log_uniform); }

/* Two independent N(0, 1) numbers by Box & Muller (1958). Same position limits as above. */
RS_RANDOM_FN void rs_normal_pair(uint64_t seed, rs_stream stream, uint32_t row, uint32_t column,
                                 uint32_t pair, double out[2]) {
    double u[2], cosine, sine;
    rs_uniform_pair(seed, stream, row, column, pair, u);
    double const radius = rs_normal_radius(rs_random_log(u[0]));
    rs_random_cos_sin(u[1], &cosine, &sine);
    out[0] = radius * cosine;
    out[1] = radius * sine;
}

#endif
