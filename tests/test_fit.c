/* The fit against exact lines, closed forms and tables. */
#include "../host/fit/fit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double const ln_10 = 2.302585092994046;

static void assert_near(double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g is not within %g of %.17g", value, tolerance, expected);
}

static void assert_same_bits(double a, double b) { assert_memory_equal(&a, &b, sizeof a); }

/* --- log10 of a norm -------------------------------------------------------------------------- */

static void test_log10_leaves_no_trace_of_the_split(void **state) {
    (void)state;
    static double const norms[] = {0.3162, 1.0, 7.25, 1e-100, 3e120, 1e-154, 1e154};
    for (size_t i = 0; i < sizeof norms / sizeof *norms; ++i) {
        double const norm2 = norms[i] * norms[i];
        for (int32_t k = -300; k <= 300; k += 50) {
            double const split = ldexp(norm2, -2 * k);
            if (!isnormal(split)) continue; /* engines rescale long before */
            assert_same_bits(rs_log10_norm(split, k), log10(sqrt(norm2)));
        }
    }
}

static void test_log10_splits_agree_beyond_the_range(void **state) {
    (void)state;
    static int32_t const exponents[] = {-2000, -1074, 1100, 2000, 1000000};
    for (size_t i = 0; i < sizeof exponents / sizeof *exponents; ++i) {
        double const expected = rs_log10_norm(2.5, exponents[i]);
        assert_near(expected, 0.5 * log10(2.5) + exponents[i] * log10(2.0),
                    1e-15 * abs(exponents[i]));
        for (int32_t k = -400; k <= 400; k += 80)
            assert_same_bits(rs_log10_norm(ldexp(2.5, -2 * k), exponents[i] + k), expected);
    }
}

static void test_log10_is_smooth_at_the_edges_of_the_range(void **state) {
    (void)state;
    static int32_t const edges[] = {-1021, 1023};
    for (size_t i = 0; i < 2; ++i)
        for (int32_t e = edges[i] - 4; e < edges[i] + 4; ++e)
            assert_near(rs_log10_norm(1.5, e + 1) - rs_log10_norm(1.5, e), log10(2.0), 2e-13);
}

static void test_log10_of_what_is_no_number(void **state) {
    (void)state;
    assert_true(rs_log10_norm(0.0, 0) == -INFINITY);
    assert_true(rs_log10_norm(0.0, 5000) == -INFINITY);
    assert_true(rs_log10_norm(INFINITY, 0) == INFINITY);
    assert_true(rs_log10_norm(INFINITY, -5000) == INFINITY);
    assert_true(isnan(rs_log10_norm(NAN, 3)));
    assert_true(isfinite(rs_log10_norm(1.0, INT32_MAX)));
    assert_true(isfinite(rs_log10_norm(1.0, INT32_MIN)));
}

/* --- profiles --------------------------------------------------------------------------------- */

enum { STEPS = 4 };
typedef struct arrays {
    double mean[STEPS], min[STEPS], max[STEPS], zero[STEPS];
} arrays;
static rs_log_profile profile_of(arrays *a) {
    return (rs_log_profile){a->mean, a->min, a->max, a->zero};
}

static void test_profile_of_three_samples(void **state) {
    (void)state;
    /* [step][sample]: log10 norms of columns 0, 1, 2 */
    static double const log_norm[STEPS][3] = {
        {1.0, 2.0, 6.0}, {-3.0, 0.0, 0.0}, {-2.0, -4.0, -6.0}, {0.0, 0.0, 0.0}};
    double norm2[STEPS][3];
    int32_t exponent[STEPS][3] = {{0}};
    for (size_t t = 0; t < STEPS; ++t)
        for (size_t c = 0; c < 3; ++c) norm2[t][c] = pow(10.0, 2.0 * log_norm[t][c]);
    exponent[3][1] = 3;
    norm2[3][1] = 0x1p-6; /* 1 in all */
    arrays a;
    rs_log_profile profile = profile_of(&a);
    for (size_t c = 0; c < 3; ++c)
        rs_profile_add(&profile, c, STEPS, &(rs_norm_view){&norm2[0][c], &exponent[0][c], 1, 3, 3});
    rs_profile_finish(&profile, 3, STEPS);
    static arrays const expected = {{3, -1, -4, 0}, {1, -3, -6, 0}, {6, 0, -2, 0}, {0}};
    for (size_t t = 0; t < STEPS; ++t) {
        assert_near(a.mean[t], expected.mean[t], 1e-14);
        assert_near(a.min[t], expected.min[t], 1e-14);
        assert_near(a.max[t], expected.max[t], 1e-14);
        assert_true(a.zero[t] == 0.0);
    }
}

/* A sample without a gradient takes no part in the mean, wherever it comes in the batch. */
static void test_profile_of_dead_samples(void **state) {
    (void)state;
    static double const norm2[3][STEPS] = {
        {0.0, 1e4, 0.0, 0.0}, {1e4, 0.0, 0.0, INFINITY}, {1e8, 1e8, 0.0, 1.0}};
    static int32_t const exponent[STEPS] = {0};
    arrays a;
    rs_log_profile profile = profile_of(&a);
    for (size_t c = 0; c < 3; ++c)
        rs_profile_add(&profile, c, STEPS, &(rs_norm_view){norm2[c], exponent, 1, 1, 1});
    rs_profile_finish(&profile, 3, STEPS);
    static double const mean[STEPS] = {3.0, 3.0, -INFINITY, INFINITY};
    static double const zero[STEPS] = {1.0 / 3.0, 1.0 / 3.0, 1.0, 1.0 / 3.0};
    for (size_t t = 0; t < STEPS; ++t) {
        assert_true(a.mean[t] == mean[t]);
        assert_true(a.zero[t] == zero[t]);
        assert_true(a.min[t] == -INFINITY);
    }
}

static void test_profile_of_zero_inf_and_nan(void **state) {
    (void)state;
    static double const norm2[2][STEPS] = {{0.0, 1.0, NAN, 1.0}, {1.0, INFINITY, 1.0, NAN}};
    static int32_t const exponent[STEPS] = {0};
    arrays a;
    rs_log_profile profile = profile_of(&a);
    for (size_t c = 0; c < 2; ++c)
        rs_profile_add(&profile, c, STEPS, &(rs_norm_view){norm2[c], exponent, 1, 1, 1});
    rs_profile_finish(&profile, 2, STEPS);
    assert_true(a.mean[0] == 0.0 && a.zero[0] == 0.5 && a.min[0] == -INFINITY && a.max[0] == 0.0);
    assert_true(a.mean[1] == INFINITY && a.min[1] == 0.0 && a.max[1] == INFINITY);
    for (size_t t = 2; t < STEPS; ++t)
        assert_true(isnan(a.mean[t]) && isnan(a.min[t]) && isnan(a.max[t]));
}

/* --- decay rates ------------------------------------------------------------------------------ */

enum { LONG = 2000 };

/* log10 norms of |delta_t| = e^(-rate (T - t)). */
static void fill_line(double *log10_norm, size_t steps, double rate) {
    for (size_t i = 0; i < steps; ++i) log10_norm[i] = -rate * (double)(steps - 1 - i) / ln_10;
}

static void test_rate_of_exact_lines(void **state) {
    (void)state;
    static double const rates[] = {0.6931471805599453, -0.05, 16.311, 1e-9};
    static double line[LONG];
    for (size_t i = 0; i < sizeof rates / sizeof *rates; ++i) {
        fill_line(line, LONG, rates[i]);
        assert_near(rs_decay_rate(line, LONG, 20), rates[i], 4e-15 * fabs(rates[i]) + 1e-20);
    }
    fill_line(line, LONG, 0.0);
    assert_same_bits(rs_decay_rate(line, LONG, 20), 0.0); /* and not -0 */
}

static void test_rate_is_least_squares(void **state) {
    (void)state;
    /* ln |delta| = 0, 1, 1, 4 at T - t = 3, 2, 1, 0: slope -1.2 against T - t */
    double const log10_norm[] = {0.0, 1.0 / ln_10, 1.0 / ln_10, 4.0 / ln_10};
    assert_near(rs_decay_rate(log10_norm, 4, 0), 1.2, 1e-15);
}

static void test_rate_skips_the_steps_next_to_the_loss(void **state) {
    (void)state;
    double line[50];
    fill_line(line, 50, 0.25);
    for (size_t i = 40; i < 50; ++i) line[i] += 3.0; /* T - t = 0 .. 9 */
    assert_near(rs_decay_rate(line, 50, 10), 0.25, 1e-14);
    assert_true(fabs(rs_decay_rate(line, 50, 9) - 0.25) > 1e-3);
}

static void test_rate_takes_finite_values_only(void **state) {
    (void)state;
    double line[50];
    fill_line(line, 50, 0.25);
    line[0] = -INFINITY;
    line[7] = NAN;
    line[20] = INFINITY;
    assert_near(rs_decay_rate(line, 50, 5), 0.25, 1e-14);
}

static void test_no_rate_of_fewer_than_two(void **state) {
    (void)state;
    double line[5];
    fill_line(line, 5, 0.25);
    assert_near(rs_decay_rate(line, 5, 3), 0.25, 1e-14);
    assert_true(isnan(rs_decay_rate(line, 5, 4)));
    assert_true(isnan(rs_decay_rate(line, 5, 5)));
    assert_true(isnan(rs_decay_rate(line, 5, SIZE_MAX)));
    for (size_t i = 0; i < 4; ++i) line[i] = -INFINITY;
    assert_true(isnan(rs_decay_rate(line, 5, 0)));
}

/* --- ranges of formats ------------------------------------------------------------------------ */

typedef struct format_case {
    double half_smallest, largest;
    size_t underflow, overflow; /* offsets in rs_range_steps */
} format_case;
static format_case const formats[] = {
    {7.006492321624085e-46, 3.4028234663852886e38, offsetof(rs_range_steps, fp32_underflow),
     offsetof(rs_range_steps, fp32_overflow)},
    {2.9802322387695312e-08, 65504.0, offsetof(rs_range_steps, fp16_underflow),
     offsetof(rs_range_steps, fp16_overflow)},
    {4.591774807899561e-41, 3.3895313892515355e38, offsetof(rs_range_steps, bf16_underflow),
     offsetof(rs_range_steps, bf16_overflow)},
};

static long step_at(const rs_range_steps *steps, size_t offset) {
    long step;
    memcpy(&step, (const char *)steps + offset, sizeof step);
    return step;
}

/* A profile whose rms over `hidden` elements is given, its three curves alike. */
static rs_range_steps range_of(const double rms[STEPS], size_t hidden) {
    arrays a;
    for (size_t t = 0; t < STEPS; ++t)
        a.mean[t] = a.min[t] = a.max[t] = log10(rms[t]) + 0.5 * log10((double)hidden);
    rs_log_profile const profile = profile_of(&a);
    return rs_range_find(&profile, STEPS, hidden);
}

static void test_range_of_every_format(void **state) {
    (void)state;
    static size_t const hidden[] = {1, 10, 1024};
    for (size_t f = 0; f < 3; ++f)
        for (size_t h = 0; h < 3; ++h) {
            double const low = formats[f].half_smallest, high = formats[f].largest;
            double const vanish[STEPS] = {0.0, 0.999 * low, 1.001 * low, 1.0};
            rs_range_steps found = range_of(vanish, hidden[h]);
            assert_int_equal(step_at(&found, formats[f].underflow), 2);
            assert_int_equal(step_at(&found, formats[f].overflow), -1);
            double const explode[STEPS] = {1.001 * high, 0.999 * high, 1.0, 1.0};
            found = range_of(explode, hidden[h]);
            assert_int_equal(step_at(&found, formats[f].overflow), 3);
            assert_int_equal(step_at(&found, formats[f].underflow), -1);
            assert_int_equal(found.backward_nonfinite, -1);
        }
}

static void test_range_of_smallest_and_largest_sample(void **state) {
    (void)state;
    arrays a = {{0, 0, 0, 0}, {-400, -9, 0, 0}, {0, 5, 0, 0}, {0}};
    rs_log_profile const profile = profile_of(&a);
    rs_range_steps const found = rs_range_find(&profile, STEPS, 1);
    assert_int_equal(found.fp16_underflow, 2);
    assert_int_equal(found.fp16_overflow, 2);
    assert_int_equal(found.fp32_underflow, 3);
    assert_int_equal(found.fp32_overflow, -1);
}

static void test_range_of_nonfinite_norms(void **state) {
    (void)state;
    double const rms[STEPS] = {NAN, INFINITY, 1.0, 1.0};
    rs_range_steps found = range_of(rms, 4);
    assert_int_equal(found.backward_nonfinite, 2);
    assert_int_equal(found.fp32_overflow, 2);
    assert_int_equal(found.fp32_underflow, -1);
    double const nan_first[STEPS] = {INFINITY, 1.0, NAN, 1.0};
    found = range_of(nan_first, 4);
    assert_int_equal(found.backward_nonfinite, 1);
    assert_int_equal(found.bf16_overflow, 3);
    double const zero[STEPS] = {0.0, 0.0, 0.0, 1.0};
    found = range_of(zero, 4);
    assert_int_equal(found.backward_nonfinite, -1); /* 0 is finite */
    assert_int_equal(found.fp32_underflow, 1);
}

/* --- seeds ------------------------------------------------------------------------------------ */

static void test_student_against_tables(void **state) {
    (void)state;
    static struct {
        size_t dof;
        double t;
    } const known[] = {
        {1, 12.706204736174705},   {2, 4.302652729749464},       {3, 3.182446305283710},
        {4, 2.776445105197793},    {9, 2.262157162798204},       {30, 2.042272456301238},
        {1000, 1.962339080826408}, {1000000, 1.959966356814107},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i)
        assert_near(rs_student_t975(known[i].dof), known[i].t, 1e-10);
}

static void test_summary_of_seeds(void **state) {
    (void)state;
    double const rates[] = {0.1, NAN, 0.3, -0.1, 0.5};
    rs_seed_summary const s = rs_fit_seeds(rates, 5, 100);
    assert_int_equal(s.seeds, 4);
    assert_near(s.mean, 0.2, 1e-16);
    assert_near(s.ci95, 3.182446305283710 * sqrt(0.2 / 3.0 / 4.0), 1e-12);
    assert_near(s.min, -0.1, 0.0);
    assert_near(s.max, 0.5, 0.0);
    assert_near(s.gain, exp(-0.2), 1e-15);
    assert_near(s.growing_fraction, 0.25, 0.0);
    assert_int_equal(s.regime, RS_MIXED);
}

static void test_a_steady_seed_does_not_grow(void **state) {
    (void)state;
    double const rates[] = {0.0, -0.5};
    assert_near(rs_fit_seeds(rates, 2, 100).growing_fraction, 0.5, 0.0);
}

static void test_summary_of_one_seed(void **state) {
    (void)state;
    double const rates[] = {NAN, -0.25};
    rs_seed_summary const s = rs_fit_seeds(rates, 2, 100);
    assert_int_equal(s.seeds, 1);
    assert_near(s.mean, -0.25, 0.0);
    assert_true(isnan(s.ci95));
    assert_near(s.growing_fraction, 1.0, 0.0);
    assert_int_equal(s.regime, RS_EXPLODING);
}

static void test_summary_of_none(void **state) {
    (void)state;
    double const rates[] = {NAN, NAN};
    for (size_t n = 0; n <= 2; n += 2) {
        rs_seed_summary const s = rs_fit_seeds(rates, n, 100);
        assert_int_equal(s.seeds, 0);
        assert_true(isnan(s.mean) && isnan(s.ci95) && isnan(s.min) && isnan(s.max));
        assert_true(isnan(s.gain) && isnan(s.growing_fraction));
        assert_int_equal(s.regime, RS_REGIME_UNKNOWN);
    }
}

static void test_regimes(void **state) {
    (void)state;
    static struct {
        double rates[2];
        size_t steps;
        rs_regime regime;
        const char *name;
    } const known[] = {
        {{0.50, 0.51}, 100, RS_VANISHING, "vanishing"},
        {{-0.50, -0.51}, 100, RS_EXPLODING, "exploding"},
        {{-0.50, 0.51}, 100, RS_MIXED, "mixed"},
        {{-0.50, 0.50}, 100, RS_MIXED, "mixed"}, /* a mean of 0 by chance is not steady */
        {{1e-15, -2e-15}, 100, RS_STEADY, "steady"},
        {{9e-7, 9e-7}, 1000000000, RS_STEADY, "steady"},
        {{1.1e-6, 1.1e-6}, 10000000, RS_VANISHING, "vanishing"},
        {{1.1e-6, 1.1e-6}, 100, RS_SLOW, "slow"},
        /* ln 1000 = 6.90776 over all steps */
        {{0.0690, 0.0690}, 100, RS_SLOW, "slow"},
        {{0.0691, 0.0691}, 100, RS_VANISHING, "vanishing"},
        {{-0.0690, -0.0690}, 100, RS_SLOW, "slow"},
        {{-0.0691, -0.0691}, 100, RS_EXPLODING, "exploding"},
        {{0.0690, NAN}, 100, RS_SLOW, "slow"}, /* one seed */
        {{0.0691, NAN}, 100, RS_VANISHING, "vanishing"},
        {{-0.0100, 0.0300}, 100, RS_MIXED, "mixed"}, /* of slow ones too */
        {{NAN, NAN}, 100, RS_REGIME_UNKNOWN, ""},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        rs_regime const regime = rs_fit_seeds(known[i].rates, 2, known[i].steps).regime;
        assert_int_equal(regime, known[i].regime);
        assert_string_equal(rs_regime_name(regime), known[i].name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log10_leaves_no_trace_of_the_split),
        cmocka_unit_test(test_log10_splits_agree_beyond_the_range),
        cmocka_unit_test(test_log10_is_smooth_at_the_edges_of_the_range),
        cmocka_unit_test(test_log10_of_what_is_no_number),
        cmocka_unit_test(test_profile_of_three_samples),
        cmocka_unit_test(test_profile_of_dead_samples),
        cmocka_unit_test(test_profile_of_zero_inf_and_nan),
        cmocka_unit_test(test_rate_of_exact_lines),
        cmocka_unit_test(test_rate_is_least_squares),
        cmocka_unit_test(test_rate_skips_the_steps_next_to_the_loss),
        cmocka_unit_test(test_rate_takes_finite_values_only),
        cmocka_unit_test(test_no_rate_of_fewer_than_two),
        cmocka_unit_test(test_range_of_every_format),
        cmocka_unit_test(test_range_of_smallest_and_largest_sample),
        cmocka_unit_test(test_range_of_nonfinite_norms),
        cmocka_unit_test(test_student_against_tables),
        cmocka_unit_test(test_summary_of_seeds),
        cmocka_unit_test(test_a_steady_seed_does_not_grow),
        cmocka_unit_test(test_summary_of_one_seed),
        cmocka_unit_test(test_summary_of_none),
        cmocka_unit_test(test_regimes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
