/* The critical radius: crossings by hand, and the bootstrap against an independent computation. */
#include "../host/fit/critical.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { RADII = 4, SEEDS = 5 };

static void assert_near(double value, double expected) {
    if (value == expected || fabs(value - expected) <= 1e-13 * fabs(expected)) return;
    fail_msg("%.17g, not %.17g", value, expected);
}

static void assert_estimate(const rs_estimate *found, double value, double low, double high) {
    assert_near(found->value, value);
    assert_near(found->low, low);
    assert_near(found->high, high);
}

static void assert_none(const rs_estimate *found) {
    assert_true(isnan(found->value) && isnan(found->low) && isnan(found->high));
}

/* Rates [radii][seeds], NaN for none, of radii 1, 2, 3, ...; coupling half of them, and a tenth of
 * the seed's index more. */
static rs_critical find(const double *rate, size_t radii, size_t seeds) {
    rs_rate_sample sample[RADII * SEEDS];
    size_t n = 0;
    for (size_t r = 0; r < radii; ++r)
        for (size_t s = 0; s < seeds; ++s) {
            double const rho = (double)(r + 1), one = rate[r * seeds + s];
            if (isnan(one)) continue;
            sample[n++] = (rs_rate_sample){.radius = r,
                                           .seed = s,
                                           .rho = rho,
                                           .g = 0.5 * rho + 0.1 * (double)s,
                                           .decay_rate = one};
        }
    rs_critical found;
    assert_int_equal(rs_critical_find(sample, n, seeds, &found), RS_OK);
    return found;
}

static void test_interpolates_between_neighbours(void **state) {
    (void)state;
    double const rates[] = {0.75, 0.25, -0.75};
    rs_critical const found = find(rates, 3, 1);
    assert_near(found.rho.value, 2.25);
    assert_near(found.g.value, 1.125);
    assert_int_equal(found.seeds, 1);
    assert_int_equal(found.radii, 3);
}

static void test_one_seed_has_no_interval(void **state) {
    (void)state;
    double const rates[] = {0.5, -0.5};
    rs_critical const found = find(rates, 2, 1);
    assert_near(found.rho.value, 1.5);
    assert_true(isnan(found.rho.low) && isnan(found.rho.high));
    assert_true(isnan(found.g.low) && isnan(found.g.high));
}

static void test_a_rate_of_zero_is_the_crossing(void **state) {
    (void)state;
    double const rates[] = {0.5, 0.0, 0.0};
    assert_near(find(rates, 3, 1).rho.value, 2.0);
}

static void test_the_first_crossing_counts(void **state) {
    (void)state;
    double const rates[] = {-0.5, 0.5, -0.5, -1.0}, twice[] = {0.5, -0.5, 0.5, -0.5};
    assert_near(find(rates, 4, 1).rho.value, 2.5);
    assert_near(find(twice, 4, 1).rho.value, 1.5);
}

static void test_no_crossing(void **state) {
    (void)state;
    static double const rates[][2] = {{0.5, 0.25}, {-0.25, -0.5}, {-0.5, 0.5}, {0.0, 0.0}};
    for (size_t i = 0; i < 4; ++i) {
        rs_critical const found = find(rates[i], 1, 2), other = find(rates[i], 2, 1);
        assert_none(&found.rho);
        assert_none(&other.rho);
        assert_none(&other.g);
        assert_int_equal(other.radii, 2);
    }
    rs_critical const empty = find(NULL, 0, 0);
    assert_none(&empty.rho);
    assert_int_equal(empty.seeds, 0);
}

/* Resamples of one seed alone do not cross, a quarter each: beyond the largest radius, and below
 * the smallest. */
static void test_resamples_without_a_crossing(void **state) {
    (void)state;
    double const vanishing[] = {0.3, 0.3, -0.2, 0.1}, exploding[] = {0.3, -0.1, -0.2, -0.2};
    rs_critical const up = find(vanishing, 2, 2), down = find(exploding, 2, 2);
    assert_estimate(&up.rho, 1.0 + 6.0 / 7.0, 1.6, INFINITY);
    assert_true(up.g.high == INFINITY);
    assert_estimate(&down.rho, 4.0 / 3.0, 0.0, 1.6);
    assert_true(down.g.low == 0.0);
}

/* Computed in Python 3.11: Philox4x32-10 written out with whole numbers, seed floor(u n) for the
 * two uniforms u of the counter (pair, 0, resample, stream 10) and key 0, numpy.percentile(...,
 * [2.5, 97.5]) of 2,000 crossings. 40,000 resamples drawn by numpy.random.default_rng(1) have
 * [2.5538, 2.8837] and [1.3936, 1.7519]. */
static void test_interval_of_an_independent_computation(void **state) {
    (void)state;
    double rates[RADII][SEEDS];
    for (size_t r = 0; r < RADII; ++r)
        for (size_t s = 0; s < SEEDS; ++s)
            rates[r][s] = 0.42 - 0.3 * (double)r + 0.04 * (double)((3 * s + r) % 5);
    rates[2][1] = rates[1][4] = NAN;
    rs_critical const found = find(&rates[0][0], RADII, SEEDS);
    assert_int_equal(found.seeds, SEEDS);
    assert_estimate(&found.rho, 2.7037037037037037, 2.5538461538461537, 2.8666666666666667);
    assert_estimate(&found.g, 1.5546296296296296, 1.393617021276596, 1.7400000000000002);
}

/* Seeds without a rate are not drawn. */
static void test_seeds_without_a_rate_change_nothing(void **state) {
    (void)state;
    double const rates[] = {0.5, 0.25, 0.75, -0.5, -0.25, -0.125};
    double const gaps[] = {NAN, 0.5, 0.25, NAN, 0.75, NAN, -0.5, -0.25, NAN, -0.125};
    rs_critical const found = find(rates, 2, 3), same = find(gaps, 2, 5);
    assert_int_equal(same.seeds, 3);
    assert_estimate(&same.rho, found.rho.value, found.rho.low, found.rho.high);
    assert_true(found.rho.low < found.rho.value && found.rho.value < found.rho.high);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interpolates_between_neighbours),
        cmocka_unit_test(test_one_seed_has_no_interval),
        cmocka_unit_test(test_a_rate_of_zero_is_the_crossing),
        cmocka_unit_test(test_the_first_crossing_counts),
        cmocka_unit_test(test_no_crossing),
        cmocka_unit_test(test_resamples_without_a_crossing),
        cmocka_unit_test(test_interval_of_an_independent_computation),
        cmocka_unit_test(test_seeds_without_a_rate_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
