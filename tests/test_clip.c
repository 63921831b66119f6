/* Clipping by the total norm, against PyTorch's formulas in plain double and beyond its range. */
#include "../host/fit/clip.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static rs_clip clip_of(double weight_ih, double weight_hh, double bias_ih, double bias_hh,
                       double max_norm) {
    double const log10_norm[RS_N_GRADIENT] = {weight_ih, weight_hh, bias_ih, bias_hh};
    return rs_clip_find(log10_norm, max_norm);
}

static void assert_near(double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance)) fail_msg("%.17g, not %.17g", value, expected);
}

/* As clip_grad_norm_ computes it, where squares and sums are in range. */
static void assert_as_pytorch(const double norm[RS_N_GRADIENT], double max_norm) {
    double log10_norm[RS_N_GRADIENT], squares = 0.0;
    for (int k = 0; k < RS_N_GRADIENT; ++k) {
        log10_norm[k] = log10(norm[k]);
        squares += norm[k] * norm[k];
    }
    double const total = sqrt(squares), coefficient = fmin(1.0, max_norm / (total + 1e-6));
    rs_clip const clip = rs_clip_find(log10_norm, max_norm);
    assert_near(clip.total, log10(total), 1e-14);
    assert_near(clip.coefficient, log10(coefficient), 1e-14);
    assert_near(clip.total_clipped, log10(total * coefficient), 1e-14);
}

static void test_is_that_of_pytorch(void **state) {
    (void)state;
    static double const norms[][RS_N_GRADIENT] = {
        {3.0, 4.0, 12.0, 84.0}, {0.5, 0.25, 0.125, 0.125}, {1e-7, 2e-7, 3e-7, 3e-7},
        {1e-30, 0.0, 1e-31, 0}, {1e30, 1e-30, 1.0, 1.0},   {0.0, 7.0, 1.0, 1.0},
    };
    static double const max_norms[] = {1e-9, 1e-6, 0.25, 1.0, 5.0, 85.0, 1e20};
    for (size_t i = 0; i < sizeof norms / sizeof *norms; ++i)
        for (size_t k = 0; k < sizeof max_norms / sizeof *max_norms; ++k)
            assert_as_pytorch(norms[i], max_norms[k]);
}

/* Every norm counts, that of either bias too. */
static void test_every_norm_counts(void **state) {
    (void)state;
    for (int k = 0; k < RS_N_GRADIENT; ++k) {
        double norm[RS_N_GRADIENT] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
        norm[k] = 0.75;
        assert_true(rs_clip_find(norm, 1.0).total == 0.75);
        assert_near(clip_of(0.75, 0.75, 0.75, 0.75, 1.0).total, 0.75 + log10(2.0), 1e-15);
    }
}

static void test_small_gradients_stay_as_they_are(void **state) {
    (void)state;
    rs_clip const clip = clip_of(-1.0, -2.0, -INFINITY, -3.0, 1.0);
    assert_true(clip.coefficient == 0.0);
    assert_true(clip.total_clipped == clip.total);
}

static void test_norms_beyond_the_range_of_doubles(void **state) {
    (void)state;
    rs_clip const large = clip_of(-INFINITY, 400.0, 399.0, 0.0, 0.5);
    assert_near(large.total, 400.0 + 0.5 * log10(1.01), 1e-13);
    assert_near(large.coefficient, log10(0.5) - large.total, 1e-13);
    assert_near(large.total_clipped, log10(0.5), 1e-15); /* with all digits */

    rs_clip const small = clip_of(-400.0, -400.0, -400.0, -400.0, 1.0);
    assert_near(small.total, -400.0 + log10(2.0), 1e-13);
    assert_true(small.coefficient == 0.0 && small.total_clipped == small.total);

    /* below 1e-6 a total is divided by 1e-6, as PyTorch has it */
    rs_clip const tiny = clip_of(-400.0, -INFINITY, -INFINITY, -INFINITY, 1e-9);
    assert_near(tiny.coefficient, -3.0, 1e-15);
    assert_near(tiny.total_clipped, -403.0, 1e-13);
}

static void test_what_is_no_plain_number(void **state) {
    (void)state;
    rs_clip const zero = clip_of(-INFINITY, -INFINITY, -INFINITY, -INFINITY, 1.0);
    assert_true(zero.total == -INFINITY && zero.coefficient == 0.0);
    assert_true(zero.total_clipped == -INFINITY);
    rs_clip const zero_clipped = clip_of(-INFINITY, -INFINITY, -INFINITY, -INFINITY, 1e-7);
    assert_near(zero_clipped.coefficient, -1.0, 1e-15);
    assert_true(zero_clipped.total_clipped == -INFINITY);

    rs_clip const infinite = clip_of(0.0, INFINITY, 0.0, -INFINITY, 1.0);
    assert_true(infinite.total == INFINITY && infinite.coefficient == -INFINITY);
    assert_true(isnan(infinite.total_clipped)); /* inf * 0 */

    rs_clip const nan = clip_of(INFINITY, 0.0, NAN, 0.0, 1.0);
    assert_true(isnan(nan.total) && isnan(nan.coefficient) && isnan(nan.total_clipped));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_that_of_pytorch),
        cmocka_unit_test(test_every_norm_counts),
        cmocka_unit_test(test_small_gradients_stay_as_they_are),
        cmocka_unit_test(test_norms_beyond_the_range_of_doubles),
        cmocka_unit_test(test_what_is_no_plain_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
