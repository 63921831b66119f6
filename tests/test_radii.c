/* Known radii: used where the matrix is the same in every bit, found and handed on where not. */
#include "../host/work/radii.h"

#include "../host/work/spectrum.h"
#include "../kernels/base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

enum { N = RS_RADII_FROM };

static void draw(uint64_t seed, size_t n, double *a) {
    for (size_t i = 0; i < n * n; ++i) {
        double pair[2];
        rs_normal_pair(seed, RS_STREAM_WEIGHT_HH, (uint32_t)i, 0, 0, pair);
        a[i] = pair[0];
    }
}

static double find(rs_radii *radii, size_t n, const double *a) {
    double radius = NAN;
    assert_int_equal(rs_radii_find(radii, n, a, &radius), RS_OK);
    return radius;
}

static double computed(size_t n, const double *a) {
    double radius = NAN;
    assert_int_equal(rs_spectral_radius(n, a, &radius), RS_OK);
    return radius;
}

static rs_radii make(void) {
    rs_radii radii;
    assert_int_equal(rs_radii_make(&radii), RS_OK);
    return radii;
}

/* What was found since the last time: at most one. */
static rs_kept_radius take(rs_radii *radii) {
    size_t n;
    rs_kept_radius *const found = rs_radii_take_found(radii, &n);
    assert_true(n <= 1);
    rs_kept_radius const one = n ? *found : (rs_kept_radius){0};
    free(found);
    return one;
}

static void test_a_radius_is_found_once(void **state) {
    rs_radii radii = make();
    double a[N * N];
    (void)state;
    draw(1, N, a);
    double const radius = computed(N, a);
    assert_true(find(&radii, N, a) == radius);
    rs_kept_radius const found = take(&radii);
    assert_true(found.n == N && found.radius == radius);
    assert_true(find(&radii, N, a) == radius);
    assert_int_equal(take(&radii).n, 0);
    rs_radii_free(&radii);
}

static void test_a_known_radius_is_not_computed(void **state) {
    rs_radii radii = make(), others = make();
    double a[N * N];
    (void)state;
    draw(1, N, a);
    find(&others, N, a);
    rs_kept_radius kept = take(&others);
    kept.radius = 123.0;
    assert_true(rs_radii_add(&radii, &kept));
    assert_true(find(&radii, N, a) == 123.0);
    assert_int_equal(take(&radii).n, 0);
    rs_radii_free(&radii);
    rs_radii_free(&others);
}

static void test_one_bit_makes_another_matrix(void **state) {
    rs_radii radii = make();
    double a[N * N];
    (void)state;
    draw(1, N, a);
    find(&radii, N, a);
    uint64_t const matrix = take(&radii).matrix;
    static size_t const places[] = {0, 1, N, N * N - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
        double *const at = &a[places[i]], was = *at;
        *at = nextafter(was, INFINITY);
        assert_true(find(&radii, N, a) == computed(N, a));
        rs_kept_radius const found = take(&radii);
        assert_true(found.n == N && found.matrix != matrix);
        *at = was;
    }
    rs_radii_free(&radii);
}

static void test_small_matrices_are_not_kept(void **state) {
    rs_radii radii = make();
    double a[(N - 1) * (N - 1)];
    (void)state;
    draw(1, N - 1, a);
    assert_true(find(&radii, N - 1, a) == computed(N - 1, a));
    assert_int_equal(take(&radii).n, 0);
    assert_true(find(NULL, N - 1, a) == computed(N - 1, a));
    rs_radii_free(&radii);
}

static void test_an_error_is_not_kept(void **state) {
    rs_radii radii = make();
    double a[N * N] = {NAN}, radius;
    (void)state;
    assert_int_equal(rs_radii_find(&radii, N, a, &radius), RS_EINPUT);
    assert_int_equal(rs_radii_find(&radii, N, a, &radius), RS_EINPUT);
    assert_int_equal(take(&radii).n, 0);
    rs_radii_free(&radii);
}

/* Up to the bound of memory; what does not fit any more is computed. */
static void test_as_many_as_fit(void **state) {
    enum { MOST = 1 << 20 };
    rs_radii radii = make();
    double a[N * N];
    (void)state;
    draw(2, N, a);
    for (uint64_t i = 0; i < MOST; ++i) {
        rs_kept_radius const kept = {.n = N + i % 2, .matrix = i, .radius = (double)i};
        assert_true(rs_radii_add(&radii, &kept));
    }
    assert_false(rs_radii_add(&radii, &(rs_kept_radius){.n = N, .matrix = MOST}));
    assert_true(find(&radii, N, a) == computed(N, a));
    assert_true(find(&radii, N, a) == computed(N, a));
    size_t n;
    free(rs_radii_take_found(&radii, &n));
    assert_int_equal(n, 2);
    rs_radii_free(&radii);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_radius_is_found_once),
        cmocka_unit_test(test_a_known_radius_is_not_computed),
        cmocka_unit_test(test_one_bit_makes_another_matrix),
        cmocka_unit_test(test_small_matrices_are_not_kept),
        cmocka_unit_test(test_an_error_is_not_kept),
        cmocka_unit_test(test_as_many_as_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
