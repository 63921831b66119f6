/* Numbers as readers see them: rounded to what their interval leaves of them. */
#include "../host/table/reading.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>

static interval known;

static interval interval_of(const table *of, const cell *row, size_t i) {
    (void)of;
    (void)row;
    (void)i;
    return known;
}

static const definition is = {.interval = interval_of};
static const table of = {.is = &is};

static void expect(const char *expected, double value) {
    char buffer[RS_READING_TEXT];
    cell const row = {.kind = REAL, .real = value};
    assert_string_equal(rs_reading_text(&of, &row, 0, buffer), expected);
}

static void expect_half_width(const char *expected, double value, double half_width) {
    known = (interval){.kind = HALF_WIDTH, .half_width = half_width};
    expect(expected, value);
}

static void expect_ends(const char *expected, double value, double low, double high) {
    known = (interval){BOTH_ENDS, 0.5 * (high - low), low, high};
    expect(expected, value);
}

static void expect_digits(const char *expected, double value, double half_width) {
    known = (interval){.kind = DIGITS_ONLY, .half_width = half_width};
    expect(expected, value);
}

static void test_two_digits_of_the_half_width(void **state) {
    (void)state;
    expect_half_width("0.0459(93)", 0.04586, 0.009295);
    expect_half_width("1.5811(38)", 1.58105, 0.003841);
    expect_half_width("-0.259(11)", -0.2587, 0.01107);
    expect_half_width("-0.0288(91)", -0.02876, 0.009111);
    expect_half_width("0.50(62)", 0.5, 0.62);
    expect_half_width("0.000(11)", 0.0, 0.011);
    expect_half_width("0.000(11)", -0.0001, 0.011); /* no minus before a zero */
}

/* 0.00996 has the two digits of 0.010, not the three of 0.0100. */
static void test_a_half_width_that_rounds_up(void **state) {
    (void)state;
    expect_half_width("0.301(10)", 0.301, 0.00996);
    expect_half_width("0.3010(99)", 0.301, 0.00994);
    expect_half_width("12.0(1.0)", 12.0, 0.996);
}

static void test_half_widths_from_one_on(void **state) {
    (void)state;
    expect_half_width("12.3(1.1)", 12.345, 1.13);
    expect_half_width("12(11)", 12.345, 11.3);
    expect_half_width("1230(120)", 1234.5, 123.0);
    expect_half_width("10(120)", 12.0, 123.0);
}

static void test_powers_of_ten(void **state) {
    (void)state;
    expect_half_width("0.000123(45)", 1.23e-4, 4.5e-5);
    expect_half_width("1.58(38)e-07", 1.581e-7, 3.8e-8);
    expect_half_width("-0.1(3.0)e-16", -1.2e-17, 3e-16);
    expect_half_width("999900(100)", 999900.0, 100.0);
    expect_half_width("1.2346(12)e+06", 1234567.0, 1200.0);
    expect_half_width("1.58(38)e-310", 1.58e-310, 3.8e-311);
    expect_half_width("1.58(38)e+300", 1.58e300, 3.8e299);
}

/* Nothing is known of the interval, it has no length, or no digit that could be shown. */
static void test_half_widths_without_digits(void **state) {
    (void)state;
    expect_half_width("0.6931(0)", 0.69314718, 0.0);
    expect_half_width("0.6931(0)", 0.69314718, 1e-17);
    expect_half_width("1.581(inf)", 1.58105, INFINITY);
    expect_half_width("inf", INFINITY, 0.1);
    known = (interval){.kind = NO_INTERVAL};
    expect("1.581", 1.58105);
    expect("1e+06", 1e6);
    expect("-inf", -INFINITY);
}

static void test_intervals_with_ends(void **state) {
    (void)state;
    expect_ends("1.557 [1.553, 1.561]", 1.5574, 1.5531, 1.5612);
    expect_ends("1.5574 [1.5556, 1.5592]", 1.55743, 1.55561, 1.55919); /* half 0.0018 */
    expect_ends("1.75 [1.68, 1.84]", 1.749, 1.682, 1.840);
    expect_ends("1.749 [1.714, 1.784]", 1.749, 1.7141, 1.7842); /* half 0.03505 */
    expect_ends("1.75 [1.71, 1.78]", 1.749, 1.7129, 1.7842);    /* half 0.03565 */
    expect_ends("1.58 [1.44, 1.73]e-07", 1.58e-7, 1.436e-7, 1.734e-7);
    expect_ends("1.580 [1.570, 1.590]", 1.58, 1.570, 1.5898); /* half 0.0099, as 0.010 */
}

/* 0 and inf say that the radii of the sweep do not bound the value. */
static void test_ends_that_are_no_bounds(void **state) {
    (void)state;
    expect_ends("1.749 [1.720, inf]", 1.749, 1.72, INFINITY);
    expect_ends("1.749 [0, 1.769]", 1.749, 0.0, 1.7694);
    expect_ends("1.749 [0, inf]", 1.749, 0.0, INFINITY);
    expect_ends("1.5 [1.5, 1.5]", 1.5, 1.5, 1.5);
}

static void test_numbers_that_share_the_digits(void **state) {
    (void)state;
    expect_digits("0.0328", 0.03282, 0.009295);
    expect_digits("0.0093", 0.009295, 0.009295);
    expect_digits("-0.226", -0.22601, 0.01049);
    expect_digits("0.3333", 1.0 / 3.0, 0.0);
    known = (interval){DIGITS_ONLY, 0.0039, 1.5531, 1.5609}; /* as value [low, high] */
    expect("1.550", 1.54967);
}

static void test_cells_that_are_no_numbers(void **state) {
    (void)state;
    char buffer[RS_READING_TEXT];
    known = (interval){.kind = HALF_WIDTH, .half_width = 0.1};
    cell const row[] = {
        {.kind = MISSING}, {.kind = TEXT, .text = "tanh"}, {.kind = WHOLE, .whole = 7}};
    assert_string_equal(rs_reading_text(&of, row, 0, buffer), "");
    assert_string_equal(rs_reading_text(&of, row, 1, buffer), "tanh");
    assert_string_equal(rs_reading_text(&of, row, 2, buffer), "7");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_digits_of_the_half_width),
        cmocka_unit_test(test_a_half_width_that_rounds_up),
        cmocka_unit_test(test_half_widths_from_one_on),
        cmocka_unit_test(test_powers_of_ten),
        cmocka_unit_test(test_half_widths_without_digits),
        cmocka_unit_test(test_intervals_with_ends),
        cmocka_unit_test(test_ends_that_are_no_bounds),
        cmocka_unit_test(test_numbers_that_share_the_digits),
        cmocka_unit_test(test_cells_that_are_no_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
