/* What is said at the end of a sweep, from rates that are made up. */
#include "../host/fit/finding.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RADII = 4 };

/* One case's rates; the list ends with hidden = 0. */
typedef struct entry {
    rs_cell cell;
    rs_ensemble_kind ensemble;
    size_t hidden;
    double rates[MAX_RADII];
} entry;

/* What is printed; the caller frees it. */
static char *printed(const rs_finding *finding) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    rs_finding_print(finding, out);
    fclose(out);
    return text;
}

static char *said(double *rho, size_t n_rho, bool native, const entry *entries) {
    rs_spec const spec = {.rho = rho, .n_rho = n_rho, .native = native};
    rs_finding finding;
    assert_int_equal(rs_finding_make(&spec, &finding), RS_OK);
    for (const entry *e = entries; e->hidden; ++e) {
        rs_case const one = {.cell = e->cell,
                             .ensemble.kind = e->ensemble,
                             .hidden = e->hidden,
                             .seed = (uint64_t)(e - entries),
                             .steps = 20};
        assert_int_equal(rs_finding_add(&finding, &one, e->rates), RS_OK);
    }
    char *text = printed(&finding);
    rs_finding_free(&finding);
    return text;
}

static void expect(const char *expected, double *rho, size_t n_rho, const entry *entries) {
    char *text = said(rho, n_rho, false, entries);
    assert_string_equal(text, expected);
    free(text);
}

static double rho[] = {0.5, 1.0, 1.5, 2.0};

/* Seeds are averaged first: the means are 3, 1, -1, -3, of which the outer two are clear. */
static void test_the_turn_is_where_the_mean_changes_its_sign(void **state) {
    (void)state;
    expect("tanh, gaussian: gradients stop vanishing at rho = 1.25\n", rho, 4,
           (const entry[]){{RS_TANH, RS_GAUSSIAN, 8, {2.8, 0.8, -1.2, -3.2}},
                           {RS_TANH, RS_GAUSSIAN, 8, {3.2, 1.2, -0.8, -2.8}},
                           {0}});
}

static void test_radii_may_come_in_any_order(void **state) {
    (void)state;
    static double mixed[] = {1.5, 0.5, 2.0, 1.0};
    expect("tanh, gaussian: gradients stop vanishing at rho = 1.25\n", mixed, 4,
           (const entry[]){{RS_TANH, RS_GAUSSIAN, 8, {-1.0, 3.0, -3.0, 1.0}}, {0}});
}

static void test_sizes_give_a_range(void **state) {
    (void)state;
    expect("tanh, gaussian: gradients stop vanishing at rho = 1.25 to 1.75\n", rho, 4,
           (const entry[]){{RS_TANH, RS_GAUSSIAN, 8, {3.0, 1.0, -1.0, -3.0}},
                           {RS_TANH, RS_GAUSSIAN, 16, {3.0, 2.0, 1.0, -1.0}},
                           {0}});
}

static void test_inputs_are_not_averaged(void **state) {
    (void)state;
    static double const rates[2][4] = {{3.0, 1.0, -1.0, -3.0}, {3.0, 2.0, 1.0, -1.0}};
    rs_spec const spec = {.rho = rho, .n_rho = 4};
    rs_finding finding;
    assert_int_equal(rs_finding_make(&spec, &finding), RS_OK);
    for (int i = 0; i < 2; ++i) {
        rs_case const one = {.hidden = 8, .steps = 20, .input = {RS_INPUT_NOISE, 0.1 + 0.4 * i}};
        assert_int_equal(rs_finding_add(&finding, &one, rates[i]), RS_OK);
    }
    char *text = printed(&finding);
    assert_string_equal(text, "tanh, gaussian: gradients stop vanishing at rho = 1.25 to 1.75\n");
    free(text);
    rs_finding_free(&finding);
}

/* Named where the sweep has several of them; a leak is that of cells without gates alone. */
static void test_gate_biases_and_leaks_have_their_lines(void **state) {
    (void)state;
    static double const rates[2][2] = {{1.0, 0.5}, {-1.0, -0.5}};
    rs_gate_bias const bias[] = {{RS_BIAS_DRAWN, 0.0}, {RS_BIAS_GIVEN, 1.0}, {RS_BIAS_CHRONO, 50}};
    rs_case const one[] = {
        {.cell = RS_LSTM, .hidden = 8, .steps = 20, .gate_bias = bias[0], .leak = 1.0},
        {.cell = RS_LSTM, .hidden = 8, .steps = 20, .gate_bias = bias[1], .leak = 1.0},
        {.cell = RS_GRU, .hidden = 8, .steps = 20, .gate_bias = bias[2], .leak = 1.0},
        {.cell = RS_GRU, .hidden = 8, .steps = 20, .gate_bias = {RS_BIAS_CHRONO, 100}, .leak = 1.0},
        {.cell = RS_TANH, .hidden = 8, .steps = 20, .leak = 0.5},
        {.cell = RS_TANH, .hidden = 8, .steps = 20, .leak = 1.0},
    };
    rs_spec spec = {.rho = rho, .n_rho = 2, .n_gate_bias = 4, .n_leak = 2};
    rs_finding finding;
    assert_int_equal(rs_finding_make(&spec, &finding), RS_OK);
    for (size_t i = 0; i < sizeof one / sizeof *one; ++i)
        assert_int_equal(rs_finding_add(&finding, &one[i], rates[i % 2]), RS_OK);
    char *several = printed(&finding);
    assert_string_equal(several,
                        "lstm, gaussian, gate bias drawn: gradients vanish at every radius, by at "
                        "least 0.5 nats per "
                        "step\n"
                        "lstm, gaussian, gate bias 1: gradients explode at every radius\n"
                        "gru, gaussian, gate bias chrono:50: gradients vanish at every radius, by "
                        "at least 0.5 nats "
                        "per step\n"
                        "gru, gaussian, gate bias chrono:100: gradients explode at every radius\n"
                        "tanh, gaussian, leak 0.5: gradients vanish at every radius, by at least "
                        "0.5 nats per step\n"
                        "tanh, gaussian, leak 1: gradients explode at every radius\n");
    free(several);
    spec.n_gate_bias = spec.n_leak = 1;
    char *single = printed(&finding);
    assert_null(strstr(single, "leak"));
    assert_null(strstr(single, "bias"));
    free(single);
    rs_finding_free(&finding);
}

static void test_every_cell_and_ensemble_has_its_line(void **state) {
    (void)state;
    expect("tanh, gaussian: gradients vanish at every radius, by at least 0.5 nats per step\n"
           "relu, gaussian: gradients explode at every radius\n"
           "linear, orthogonal: gradients keep their norm at every radius\n",
           rho, 2,
           (const entry[]){{RS_TANH, RS_GAUSSIAN, 8, {1.0, 0.5}},
                           {RS_RELU, RS_GAUSSIAN, 8, {-1.0, -0.5}},
                           {RS_LINEAR, RS_ORTHOGONAL, 8, {1e-9, -1e-9}},
                           {0}});
}

static void test_a_steady_radius_is_where_vanishing_stops(void **state) {
    (void)state;
    expect("linear, orthogonal: gradients stop vanishing at rho = 1\n", rho, 3,
           (const entry[]){{RS_LINEAR, RS_ORTHOGONAL, 8, {0.7, 1e-15, -0.4}}, {0}});
}

static void test_shapes_that_differ_are_counted(void **state) {
    (void)state;
    expect("tanh, gaussian: gradients vanish at every radius, by at least 0.5 nats per step "
           "(1 of 3 shapes); "
           "they stop vanishing at rho = 0.75 (2 of 3 shapes)\n",
           rho, 2,
           (const entry[]){{RS_TANH, RS_GAUSSIAN, 8, {1.0, -1.0}},
                           {RS_TANH, RS_GAUSSIAN, 9, {1.0, -1.0}},
                           {RS_TANH, RS_GAUSSIAN, 10, {1.0, 0.5}},
                           {0}});
}

static void test_growth_that_ends_is_no_turn(void **state) {
    (void)state;
    expect("tanh, gaussian: gradients vanish at some radii and explode at others\n", rho, 2,
           (const entry[]){{RS_TANH, RS_GAUSSIAN, 8, {-1.0, 1.0}}, {0}});
}

/* Two seeds of rates m - 0.1 and m + 0.1 have an interval of m - 1.27 to m + 1.27. */
static void expect_of_pairs(const char *expected, const double means[MAX_RADII]) {
    entry pair[3] = {{.ensemble = RS_SYMMETRIC, .hidden = 8},
                     {.ensemble = RS_SYMMETRIC, .hidden = 8}};
    for (size_t r = 0; r < MAX_RADII; ++r)
        for (int i = 0; i < 2; ++i) pair[i].rates[r] = means[r] + (i ? 0.1 : -0.1);
    expect(expected, rho, MAX_RADII, pair);
}

static void test_a_mean_within_its_interval_says_nothing(void **state) {
    (void)state;
    static const struct {
        double means[MAX_RADII];
        const char *said;
    } known[] = {
        {{1.3, 1.3, 1.3, 1.3}, "vanish at every radius, by at least 1.3 nats per step"},
        {{1.2, 1.2, 1.2, 1.2}, "neither clearly vanish nor explode at any radius"},
        {{-1.3, -1.3, -1.3, -1.3}, "explode at every radius"},
        {{1.2, -1.2, -1.2, 1.2}, "neither clearly vanish nor explode at any radius"},
        {{3.0, 1.3, 1.2, 0.1},
         "vanish up to rho = 1, beyond that they neither clearly vanish nor explode"},
        {{3.0, -1.0, -1.0, -1.0},
         "vanish up to rho = 0.5, beyond that they neither clearly vanish nor explode"},
        {{3.0, 1.0, -1.0, -3.0}, "stop vanishing at rho = 1.25"},
        {{3.0, -1.0, 1.0, -3.0}, "stop vanishing at rho = 0.875"},
        {{3.0, 1.0, 3.0, 1.0}, "vanish at some radii and not at others"},
        {{-3.0, 1.0, 3.0, 1.0}, "vanish at some radii and explode at others"},
        {{1.0, 1.0, -3.0, -3.0}, "explode at some radii and not at others"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        char line[128];
        snprintf(line, sizeof line, "tanh, symmetric: gradients %s\n", known[i].said);
        expect_of_pairs(line, known[i].means);
    }
}

/* Over 20 steps a rate of 0.34 is slow, one of 0.35 is not. */
static void test_slow_change_is_neither_vanishing_nor_exploding(void **state) {
    (void)state;
    static const struct {
        double rates[MAX_RADII];
        const char *said;
    } known[] = {
        {{0.34, 0.34, 0.34, 0.34}, "change by less than a factor of 1000 at every radius"},
        {{0.34, 0.2, -0.2, -0.34}, "change by less than a factor of 1000 at every radius"},
        {{0.35, 0.35, 0.35, 0.35}, "vanish at every radius, by at least 0.35 nats per step"},
        {{3.0, 1.0, 0.2, 0.1},
         "vanish up to rho = 1, beyond that they neither clearly vanish nor explode"},
        {{3.0, 0.1, -0.1, -3.0}, "stop vanishing at rho = 1.25"},
        {{3.0, 0.1, -0.1, -0.2}, "stop vanishing at rho = 1.25"},
        {{0.2, 0.1, -0.1, -3.0}, "explode at some radii and not at others"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        entry one[2] = {{RS_TANH, RS_GAUSSIAN, 8, {0}}, {0}};
        memcpy(one[0].rates, known[i].rates, sizeof one[0].rates);
        char line[128];
        snprintf(line, sizeof line, "tanh, gaussian: gradients %s\n", known[i].said);
        expect(line, rho, MAX_RADII, one);
    }
}

static void test_missing_rates_are_left_out(void **state) {
    (void)state;
    expect("tanh, gaussian: gradients stop vanishing at rho = 1\n", rho, 4,
           (const entry[]){{RS_TANH, RS_GAUSSIAN, 8, {1.0, NAN, -1.0, NAN}}, {0}});
    expect("", rho, 2, (const entry[]){{RS_TANH, RS_GAUSSIAN, 8, {NAN, NAN}}, {0}});
    expect("", rho, 2, (const entry[]){{0}});
}

static void test_one_radius_or_the_native_one(void **state) {
    (void)state;
    static const entry one[] = {{RS_TANH, RS_GAUSSIAN, 8, {1.0}}, {0}};
    expect("tanh, gaussian: gradients vanish\n", rho, 1, one);
    char *text = said(NULL, 1, true, one);
    assert_string_equal(text, "tanh, gaussian: gradients vanish\n");
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_turn_is_where_the_mean_changes_its_sign),
        cmocka_unit_test(test_radii_may_come_in_any_order),
        cmocka_unit_test(test_sizes_give_a_range),
        cmocka_unit_test(test_inputs_are_not_averaged),
        cmocka_unit_test(test_gate_biases_and_leaks_have_their_lines),
        cmocka_unit_test(test_every_cell_and_ensemble_has_its_line),
        cmocka_unit_test(test_a_steady_radius_is_where_vanishing_stops),
        cmocka_unit_test(test_shapes_that_differ_are_counted),
        cmocka_unit_test(test_growth_that_ends_is_no_turn),
        cmocka_unit_test(test_a_mean_within_its_interval_says_nothing),
        cmocka_unit_test(test_slow_change_is_neither_vanishing_nor_exploding),
        cmocka_unit_test(test_missing_rates_are_left_out),
        cmocka_unit_test(test_one_radius_or_the_native_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
