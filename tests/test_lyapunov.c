/* From stretches to exponents, and from exponents to what a spectrum tells, by hand. */
#include "../host/fit/lyapunov.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { K = 2, SAMPLES = 2, MOST_VALUES = 2 };

/* What an engine recorded of one group at one radius, and what comes of it. */
typedef struct fixture {
    rs_shape shape;
    double stretch[SAMPLES][RS_STRETCH_BLOCKS][K], singular[SAMPLES][MOST_VALUES][K];
    double log_slope[SAMPLES];
    uint32_t qr_gap[SAMPLES];
    double sum_stretch[RS_STRETCH_BLOCKS][K], sum_singular[MOST_VALUES][K];
    double exponent[K], standard_error[K], values[MOST_VALUES][K];
    rs_lyapunov out;
} fixture;

static fixture make(size_t steps, size_t values) {
    return (fixture){.shape = {.groups = 1,
                               .radii = 1,
                               .batch = SAMPLES,
                               .hidden = K,
                               .steps = steps,
                               .cell = RS_TANH,
                               .directions = K,
                               .n_singular = values}};
}

/* The columns are added in the order of the samples. */
static void finish(fixture *f, double log_det) {
    rs_record const record = {.stretch = &f->stretch[0][0][0],
                              .singular = &f->singular[0][0][0],
                              .log_slope = f->log_slope,
                              .qr_gap = f->qr_gap};
    rs_stretch_sum sum = {.stretch = &f->sum_stretch[0][0], .singular = &f->sum_singular[0][0]};
    memset(f->sum_stretch, 0, sizeof f->sum_stretch);
    memset(f->sum_singular, 0, sizeof f->sum_singular);
    f->out = (rs_lyapunov){.exponent = f->exponent,
                           .standard_error = f->standard_error,
                           .singular = f->shape.n_singular ? &f->values[0][0] : NULL};
    for (size_t c = 0; c < SAMPLES; ++c) rs_lyapunov_add(&f->shape, &record, c, &sum);
    rs_lyapunov_finish(&f->shape, SAMPLES, &sum, log_det, &f->out);
}

static void expect_near(double value, double expected) {
    if (!(fabs(value - expected) <= 1e-14)) fail_msg("%.17g, not %.17g", value, expected);
}

static void fill_block(fixture *f, size_t b, double first, double second) {
    for (size_t c = 0; c < SAMPLES; ++c) {
        f->stretch[c][b][0] = first;
        f->stretch[c][b][1] = second;
    }
}

/* Three steps are three blocks: rates 1, 2, 6 and -1, -1, -1. */
static void test_exponents_are_means_over_steps_and_samples(void **state) {
    (void)state;
    fixture f = make(3, 0);
    fill_block(&f, 0, 1.0, -1.0);
    fill_block(&f, 1, 2.0, -1.0);
    fill_block(&f, 2, 6.0, -1.0);
    f.stretch[0][2][0] = 4.0; /* 6 in the mean with that of the other sample */
    f.stretch[1][2][0] = 8.0;
    f.stretch[0][3][0] = 0.0;
    finish(&f, NAN);
    expect_near(f.exponent[0], 3.0);
    expect_near(f.exponent[1], -1.0);
    expect_near(f.standard_error[0], sqrt((4.0 + 1.0 + 9.0) / 2.0 / 3.0));
    expect_near(f.standard_error[1], 0.0);
}

/* 24 steps are blocks of one and of two steps, in turn; an even growth has no error. */
static void test_blocks_differ_by_a_step(void **state) {
    (void)state;
    fixture f = make(24, 0);
    for (size_t b = 0; b < RS_STRETCH_BLOCKS; ++b) {
        double const steps = (double)((b + 1) * 24 / 16 - b * 24 / 16);
        fill_block(&f, b, 0.5 * steps, -0.25 * steps);
    }
    finish(&f, NAN);
    expect_near(f.exponent[0], 0.5);
    expect_near(f.exponent[1], -0.25);
    expect_near(f.standard_error[0], 0.0);
    expect_near(f.standard_error[1], 0.0);
}

static void test_one_step_has_no_error(void **state) {
    (void)state;
    fixture f = make(1, 0);
    fill_block(&f, 0, 0.5, 0.25);
    finish(&f, NAN);
    expect_near(f.exponent[0], 0.5);
    assert_true(isnan(f.standard_error[0]) && isnan(f.standard_error[1]));
}

/* Errors stay with their exponents. */
static void test_exponents_descend(void **state) {
    (void)state;
    fixture f = make(2, 0);
    fill_block(&f, 0, -3.0, 1.0);
    fill_block(&f, 1, -3.0, 2.0);
    finish(&f, NAN);
    expect_near(f.exponent[0], 1.5);
    expect_near(f.standard_error[0], 0.5);
    expect_near(f.exponent[1], -3.0);
    expect_near(f.standard_error[1], 0.0);
    fill_block(&f, 1, NAN, 2.0);
    finish(&f, NAN);
    expect_near(f.exponent[0], 1.5);
    assert_true(isnan(f.exponent[1]) && isnan(f.standard_error[1]));
}

static void test_what_is_not_finite_stays_so(void **state) {
    (void)state;
    fixture f = make(2, 2);
    fill_block(&f, 0, 1.0, -INFINITY);
    fill_block(&f, 1, 1.0, -1.0);
    f.singular[0][0][1] = -INFINITY;
    finish(&f, 1.0);
    expect_near(f.exponent[0], 1.0);
    assert_true(f.exponent[1] == -INFINITY && isnan(f.standard_error[1]));
    assert_true(f.values[0][0] == 0.0 && f.values[0][1] == -INFINITY);
    f.stretch[1][0][0] = NAN; /* of one sample */
    f.singular[1][0][0] = NAN;
    f.log_slope[1] = NAN;
    finish(&f, 1.0);
    assert_true(isnan(f.exponent[1]) && isnan(f.values[0][0]));
    assert_true(isnan(f.out.log_slope) && isnan(f.out.sum_rule_residual));
}

static void test_singular_values_are_means_over_samples(void **state) {
    (void)state;
    fixture f = make(4, 2);
    f.singular[0][0][0] = 3.0;
    f.singular[1][0][0] = 5.0;
    f.singular[0][1][1] = -7.0;
    f.singular[1][1][1] = -8.0;
    finish(&f, NAN);
    expect_near(f.values[0][0], 4.0);
    expect_near(f.values[0][1], 0.0);
    expect_near(f.values[1][0], 0.0);
    expect_near(f.values[1][1], -7.5);
}

static void test_the_longest_way_between_two_qrs(void **state) {
    (void)state;
    fixture f = make(4, 0);
    f.qr_gap[0] = 5;
    f.qr_gap[1] = 3;
    finish(&f, NAN);
    assert_int_equal(f.out.qr_every, 5);
    f.qr_gap[1] = 8;
    finish(&f, NAN);
    assert_int_equal(f.out.qr_every, 8);
}

/* Mean exponent -.25, slope -.75, ln |det| / 2 of .125. */
static void test_sum_rule(void **state) {
    (void)state;
    fixture f = make(2, 0);
    fill_block(&f, 0, 0.5, -1.0);
    fill_block(&f, 1, 0.5, -1.0);
    f.log_slope[0] = -0.5;
    f.log_slope[1] = -1.0;
    finish(&f, 0.25);
    expect_near(f.out.log_slope, -0.75);
    expect_near(f.out.sum_rule_residual, -0.25 - 0.125 + 0.75);
    finish(&f, NAN);
    assert_true(isnan(f.out.sum_rule_residual));
    finish(&f, -INFINITY);
    assert_true(isnan(f.out.sum_rule_residual));
    f.shape.hidden = K + 1; /* some directions do not have the whole sum */
    finish(&f, 0.25);
    assert_true(isnan(f.out.sum_rule_residual));
}

/* ---- summaries ------------------------------------------------------------------------------- */

static void expect_same(double value, double expected) {
    if (isnan(expected) ? isnan(value) : value == expected) return;
    if (!(fabs(value - expected) <= 1e-14)) fail_msg("%.17g, not %.17g", value, expected);
}

static void test_summaries_by_hand(void **state) {
    (void)state;
    static const struct {
        double exponent[4];
        size_t k, all;
        double kaplan_yorke, entropy_rate, mean;
    } known[] = {
        {{0.5, 0.1, -0.2, -1.0}, 4, 4, 3.4, 0.6, -0.15},
        {{0.5, 0.1, -0.2}, 3, 4, NAN, 0.6, NAN},
        {{0.5, 0.1}, 2, 4, NAN, NAN, NAN},
        {{0.5, -1.0}, 2, 4, 1.5, 0.5, NAN},
        {{0.5, 0.25}, 2, 2, 2.0, 0.75, 0.375},
        {{-0.5, -1.0}, 2, 2, 0.0, 0.0, -0.75},
        {{-0.5}, 1, 9, 0.0, 0.0, NAN},
        {{0.0, 0.0}, 2, 2, 2.0, 0.0, 0.0},
        {{0.0, -1.0}, 2, 2, 1.0, 0.0, -0.5},
        {{0.0}, 1, 2, NAN, 0.0, NAN},
        {{0.5, -0.5, -1.0}, 3, 3, 2.0, 0.5, -1.0 / 3.0},
        {{0.5, -INFINITY}, 2, 2, 1.0, 0.5, -INFINITY},
        {{-INFINITY, -INFINITY}, 2, 2, 0.0, 0.0, -INFINITY},
        {{NAN, NAN}, 2, 2, NAN, NAN, NAN},
        {{NAN, NAN}, 2, 4, NAN, NAN, NAN},
        {{0.5, NAN}, 2, 2, NAN, NAN, NAN},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        rs_spectrum_summary const s =
            rs_lyapunov_summary(known[i].exponent, known[i].k, known[i].all);
        expect_same(s.largest, known[i].exponent[0]);
        expect_same(s.kaplan_yorke, known[i].kaplan_yorke);
        expect_same(s.entropy_rate, known[i].entropy_rate);
        expect_same(s.mean, known[i].mean);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exponents_are_means_over_steps_and_samples),
        cmocka_unit_test(test_blocks_differ_by_a_step),
        cmocka_unit_test(test_one_step_has_no_error),
        cmocka_unit_test(test_exponents_descend),
        cmocka_unit_test(test_what_is_not_finite_stays_so),
        cmocka_unit_test(test_singular_values_are_means_over_samples),
        cmocka_unit_test(test_the_longest_way_between_two_qrs),
        cmocka_unit_test(test_sum_rule),
        cmocka_unit_test(test_summaries_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
