/* The reciprocal in tanh: from every approximation that the device's instruction may return, one
 * Newton step gives the quotient, correctly rounded. All denominators are gone through; one of them
 * has one approximation that leads astray. */
#include "cmocka_cpp.h"

#include "../../kernels/cuda/math.cuh"

#include <cmath>

/* Whether it is within a unit in the last place of the true 1 / d: what PTX promises of
 * rcp.approx.ftz.f32. The product is exact, 24 bits times 24, and so is all else. */
static bool may_be_returned(float d, float approximation) {
    double const error = static_cast<double>(approximation) * static_cast<double>(d) - 1.0;
    double const unit = d == 1.0f ? 0x1p-23 : 0x1p-24;
    return std::fabs(error) <= unit * static_cast<double>(d);
}

/* 1 / (2 - 2^-23) lies just above the middle between 1/2 and the next float, and 1/2 is within a
 * unit of it; the step from there ends in the middle, which rounds down. A compiled division takes
 * the same step from the same instruction's result, unguarded, and is correctly rounded: so this is
 * not what the instruction returns. */
static bool leads_astray(float d, float approximation) {
    return d == 0x1.fffffep+0f && approximation == 0.5f;
}

/* Counts approximations of 1 / d, and fails where one does not lead to it. */
static int check_denominator(float d) {
    float const wanted = 1 / d;
    float from = wanted;
    int count = 0;
    for (int i = 0; i < 4; ++i) from = std::nextafter(from, 0.0f);
    for (int i = 0; i < 9; ++i, from = std::nextafter(from, 2.0f)) {
        if (!may_be_returned(d, from)) continue;
        ++count;
        float const got = refine_reciprocal(d, from);
        if ((got == wanted) == leads_astray(d, from))
            fail_msg("1 / %a from %a is %a, correctly rounded %a", static_cast<double>(d),
                     static_cast<double>(from), static_cast<double>(got),
                     static_cast<double>(wanted));
    }
    return count;
}

static void every_denominator(void **) {
    int least = 9;
    for (float d = 1; d <= 2; d = std::nextafter(d, 3.0f)) {
        int const count = check_denominator(d);
        if (count < least) least = count;
    }
    assert_true(least >= 1 && least < 9); /* those to be tried are among those that are tried */
}

static void nan_goes_through(void **) { assert_true(std::isnan(refine_reciprocal(NAN, NAN))); }

/* The sum with 1.5 * 2^23 rounds as rint does, halves of all integers included. */
static void nearest_is_rint(void **) {
    for (int i = -4 * 1200; i <= 4 * 1200; ++i) {
        int whole = 0;
        float const x = static_cast<float>(i) / 4;
        assert_true(nearest(x, &whole) == std::rint(x) && whole == static_cast<int>(std::rint(x)));
        double const y = static_cast<double>(i) / 4;
        assert_true(nearest(y, &whole) == std::rint(y) && whole == static_cast<int>(std::rint(y)));
    }
}

int main() {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_denominator),
        cmocka_unit_test(nan_goes_through),
        cmocka_unit_test(nearest_is_rint),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
