#include "fit.h"

#include <float.h>
#include <math.h>

static double const pi = 0x1.921fb54442d18p+1;
static double const ln_10 = 0x1.26bb1bbb55516p+1;
static double const log10_2 = 0x1.34413509f79ffp-2;

double rs_log10_norm(double norm2, int32_t exponent) {
    double const norm = sqrt(norm2);
    if (exponent == 0 || norm == 0.0 || !isfinite(norm)) return log10(norm);
    int own;
    double const mantissa = frexp(norm, &own);
    /* Mantissa and sum of exponents do not depend on how the number was split between the two
     * arguments, and neither does anything computed from them. */
    long const total = (long)own + exponent;
    if (total >= DBL_MIN_EXP && total <= DBL_MAX_EXP) return log10(ldexp(mantissa, (int)total));
    return (double)total * log10_2 + log10(mantissa);
}

static double lower(double a, double b) {
    if (isnan(a) || isnan(b)) return NAN;
    return a < b ? a : b;
}

static double value_at(const rs_norm_view *norms, size_t i) {
    double sum = norms->norm2[i * norms->norm_stride];
    for (size_t k = 1; k < norms->states; ++k)
        sum += norms->norm2[i * norms->norm_stride + k * norms->stride];
    return rs_log10_norm(sum, norms->exponent[i * norms->stride]);
}

void rs_profile_add(rs_log_profile *profile, size_t count, size_t steps,
                    const rs_norm_view *norms) {
    for (size_t i = 0; i < steps; ++i) {
        double const value = value_at(norms, i);
        bool const first = count == 0, is_zero = value == -INFINITY;
        double const sum = first ? 0.0 : profile->mean[i], zeros = first ? 0.0 : profile->zero[i];
        profile->mean[i] = is_zero ? sum : sum + value;
        profile->zero[i] = is_zero ? zeros + 1.0 : zeros;
        profile->min[i] = first ? value : lower(profile->min[i], value);
        profile->max[i] = first ? value : -lower(-profile->max[i], -value);
    }
}

void rs_profile_finish(rs_log_profile *profile, size_t count, size_t steps) {
    for (size_t i = 0; i < steps; ++i) {
        double const samples = (double)count - profile->zero[i];
        profile->mean[i] = samples > 0.0 ? profile->mean[i] / samples : -INFINITY;
        profile->zero[i] /= (double)count;
    }
}

double rs_decay_rate(const double *log10_norm, size_t steps, size_t fit_skip) {
    size_t const end = steps > fit_skip ? steps - fit_skip : 0; /* t - 1 of the fitted steps */
    size_t n = 0;
    double sum_x = 0.0, sum_y = 0.0;
    for (size_t i = 0; i < end; ++i) {
        if (!isfinite(log10_norm[i])) continue;
        ++n;
        sum_x += (double)(steps - 1 - i);
        sum_y += log10_norm[i];
    }
    if (n < 2) return NAN;
    double const mean_x = sum_x / (double)n, mean_y = sum_y / (double)n;
    double sum_xx = 0.0, sum_xy = 0.0;
    for (size_t i = 0; i < end; ++i) {
        if (!isfinite(log10_norm[i])) continue;
        double const x = (double)(steps - 1 - i) - mean_x;
        sum_xx += x * x;
        sum_xy += x * (log10_norm[i] - mean_y);
    }
    return 0.0 - sum_xy / sum_xx * ln_10; /* 0 - x: a flat line has the rate 0, not -0 */
}

/* Steps back from T to the first value beyond a limit, sign +1 for above it and -1 for below it;
 * -1 for none. NaN is neither. */
static long steps_back_beyond(const double *value, size_t steps, double sign, double limit) {
    for (size_t k = 0; k < steps; ++k)
        if (sign * value[steps - 1 - k] > sign * limit) return (long)k;
    return -1;
}

static long steps_back_nonfinite(const double *value, size_t steps) {
    for (size_t k = 0; k < steps; ++k)
        if (isnan(value[steps - 1 - k]) || value[steps - 1 - k] == INFINITY) return (long)k;
    return -1;
}

rs_range_steps rs_range_find(const rs_log_profile *profile, size_t steps, size_t elements) {
    /* IEEE 754 binary32 and binary16, and bfloat16: half the smallest subnormal, largest finite */
    double const spread = 0.5 * log10((double)elements);
    double const fp32_tiny = log10(0x1p-150) + spread, fp32_huge = log10(0x1.fffffep127) + spread;
    double const fp16_tiny = log10(0x1p-25) + spread, fp16_huge = log10(65504.0) + spread;
    double const bf16_tiny = log10(0x1p-134) + spread, bf16_huge = log10(0x1.fep127) + spread;
    return (rs_range_steps){
        .fp32_underflow = steps_back_beyond(profile->min, steps, -1.0, fp32_tiny),
        .fp32_overflow = steps_back_beyond(profile->max, steps, 1.0, fp32_huge),
        .fp16_underflow = steps_back_beyond(profile->min, steps, -1.0, fp16_tiny),
        .fp16_overflow = steps_back_beyond(profile->max, steps, 1.0, fp16_huge),
        .bf16_underflow = steps_back_beyond(profile->min, steps, -1.0, bf16_tiny),
        .bf16_overflow = steps_back_beyond(profile->max, steps, 1.0, bf16_huge),
        .backward_nonfinite = steps_back_nonfinite(profile->max, steps),
    };
}

/* P(|t| < sqrt(dof) tan(theta)) for Student's t, a finite sum for whole dof: Abramowitz & Stegun,
 * Handbook of Mathematical Functions, 26.7.3 (odd) and 26.7.4 (even). All terms are positive. */
static double student_central(size_t dof, double theta) {
    bool const odd = dof % 2 == 1;
    double const cosine = cos(theta);
    double term = odd ? cosine : 1.0, sum = 0.0;
    for (size_t j = odd ? 1 : 0; j + 2 <= dof; j += 2) {
        sum += term;
        term *= cosine * cosine * (double)(j + 1) / (double)(j + 2);
    }
    return odd ? 2.0 / pi * (theta + sin(theta) * sum) : sin(theta) * sum;
}

double rs_student_t975(size_t dof) {
    double low = 0.0, high = pi / 2.0;
    for (;;) { /* bisection down to neighbouring numbers */
        double const middle = 0.5 * (low + high);
        if (middle <= low || middle >= high) break;
        if (student_central(dof, middle) < 0.95)
            low = middle;
        else
            high = middle;
    }
    return sqrt((double)dof) * tan(low);
}

rs_regime rs_regime_of(double mean, double ci95, size_t steps) {
    double const size = fabs(mean), clear = 3.0 * ln_10;        /* ln 1000 */
    if (ci95 > RS_STEADY_RATE && size <= ci95) return RS_MIXED; /* never for one seed: NaN */
    if (size <= RS_STEADY_RATE) return RS_STEADY;
    if (size * (double)steps < clear) return RS_SLOW;
    return mean > 0.0 ? RS_VANISHING : RS_EXPLODING;
}

rs_seed_summary rs_fit_seeds(const double *rates, size_t n, size_t steps) {
    rs_seed_summary s = {0, NAN, NAN, NAN, NAN, NAN, NAN, RS_REGIME_UNKNOWN};
    double sum = 0.0;
    size_t growing = 0;
    for (size_t i = 0; i < n; ++i) {
        if (isnan(rates[i])) continue;
        ++s.seeds;
        sum += rates[i];
        s.min = fmin(s.min, rates[i]);
        s.max = fmax(s.max, rates[i]);
        if (rates[i] < 0.0) ++growing;
    }
    if (s.seeds == 0) return s;
    double const count = (double)s.seeds;
    s.mean = sum / count;
    s.gain = exp(-s.mean);
    s.growing_fraction = (double)growing / count;
    if (s.seeds > 1) {
        double squares = 0.0;
        for (size_t i = 0; i < n; ++i)
            if (!isnan(rates[i])) squares += (rates[i] - s.mean) * (rates[i] - s.mean);
        s.ci95 = rs_student_t975(s.seeds - 1) * sqrt(squares / (count - 1.0) / count);
    }
    s.regime = rs_regime_of(s.mean, s.ci95, steps);
    return s;
}

const char *rs_regime_name(rs_regime regime) {
    static const char *const name[] = {
        [RS_REGIME_UNKNOWN] = "", [RS_VANISHING] = "vanishing", [RS_EXPLODING] = "exploding",
        [RS_STEADY] = "steady",   [RS_MIXED] = "mixed",         [RS_SLOW] = "slow",
    };
    return name[regime];
}
