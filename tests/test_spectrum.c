/* Spectra of matrices whose spectra are known. */
#include "../host/work/spectrum.h"
#include "../kernels/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void expect_near(double actual, double expected, double tolerance) {
    if (!(fabs(actual - expected) <= tolerance))
        fail_msg("%.17g is not within %g of %.17g", actual, tolerance, expected);
}

static double radius_of(size_t n, const double *a) {
    double radius = NAN;
    assert_int_equal(rs_spectral_radius(n, a, &radius), RS_OK);
    return radius;
}

static double *square(size_t n) {
    double *a = calloc(n * n, sizeof *a);
    assert_non_null(a);
    return a;
}

static void fill_gaussian(uint64_t seed, size_t n, double *a) {
    for (size_t i = 0; i < n * n; ++i) {
        double z[2];
        rs_normal_pair(seed, RS_STREAM_WEIGHT_HH, (uint32_t)(i / n), (uint32_t)(i % n), 0, z);
        a[i] = z[0] / sqrt((double)n);
    }
}

static void product(size_t n, const double *a, const double *b, double *out) {
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j) {
            double sum = 0.0;
            for (size_t k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + j];
            out[i * n + j] = sum;
        }
}

/* Q^T Q is the identity to `tolerance`. */
static void expect_orthogonal(size_t n, const double *q, double tolerance) {
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < n; ++j) {
            double dot = 0.0;
            for (size_t k = 0; k < n; ++k) dot += q[k * n + i] * q[k * n + j];
            expect_near(dot, i == j ? 1.0 : 0.0, tolerance);
        }
}

static void small_matrices(void **state) {
    static const struct {
        size_t n;
        double a[9], radius;
    } known[] = {
        {1, {-3.0}, 3.0},
        {2, {0.6, -0.8, 0.8, 0.6}, 1.0},                           /* rotation */
        {2, {0.0, -4.0, 1.0, 0.0}, 2.0},                           /* +-2i */
        {2, {2.0, 1.0, 1.0, 2.0}, 3.0},                            /* symmetric */
        {2, {-3.0, 1.0, 1.0, -3.0}, 4.0},                          /* symmetric, negative */
        {3, {2.0, 1.0, 0.0, 0.0, 2.0, 1.0, 0.0, 0.0, 2.0}, 2.0},   /* Jordan block */
        {3, {6.0, -11.0, 6.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0}, 3.0}, /* (x-1)(x-2)(x-3) */
        {3, {0.0, 0.0, 8.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0}, 2.0},   /* x^3 = 8 */
        {3, {0.0}, 0.0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(known); ++i)
        expect_near(radius_of(known[i].n, known[i].a), known[i].radius, 1e-13);
}

/* Strictly upper triangular, then with rows and columns permuted alike, and its transpose. */
static void nilpotent_matrices_have_radius_zero(void **state) {
    enum { N = 12 };
    double *a = square(N), *permuted = square(N), *transposed = square(N);
    (void)state;
    fill_gaussian(1, N, a);
    for (size_t i = 0; i < N; ++i)
        for (size_t j = 0; j <= i; ++j) a[i * N + j] = 0.0;
    for (size_t i = 0; i < N; ++i)
        for (size_t j = 0; j < N; ++j) {
            permuted[(5 * i + 3) % N * N + (5 * j + 3) % N] = a[i * N + j];
            transposed[j * N + i] = a[i * N + j];
        }
    assert_true(radius_of(N, a) == 0.0);
    assert_true(radius_of(N, permuted) == 0.0);
    assert_true(radius_of(N, transposed) == 0.0);
    assert_true(radius_of(2, (const double[]){1e-3, -1e-3, 1e-3, -1e-3}) == 0.0);
    free(a);
    free(permuted);
    free(transposed);
}

/* What is below rounding is 0, what is clearly above it is not. */
static void the_threshold_is_rounding(void **state) {
    (void)state;
    assert_true(radius_of(2, (const double[]){1e-17, 1.0, 0.0, 1e-17}) == 0.0);
    assert_true(radius_of(2, (const double[]){3e-16, 1.0, 0.0, 3e-16}) == 0.0); /* 2 epsilon */
    expect_near(radius_of(2, (const double[]){1e-14, 1.0, 0.0, 1e-14}), 1e-14, 1e-20);
}

static void sizes_near_the_ends_of_double(void **state) {
    static const double scale[] = {1e300, 1e-300, 0x1p1020, 0x1p-1000};
    static const double rotation[] = {0.6, -0.8, 0.8, 0.6}, even[] = {2.0, 1.0, 1.0, 2.0};
    (void)state;
    for (size_t s = 0; s < COUNT(scale); ++s) {
        double a[4], b[4], values[2];
        for (size_t i = 0; i < 4; ++i) {
            a[i] = scale[s] * rotation[i];
            b[i] = scale[s] * even[i];
        }
        expect_near(radius_of(2, a) / scale[s], 1.0, 1e-14);
        expect_near(radius_of(2, b) / scale[s], 3.0, 1e-14);
        expect_near(rs_coupling(2, a) / scale[s], 1.0, 1e-14);
        assert_int_equal(rs_singular_values(2, b, values), RS_OK);
        expect_near(values[0] / scale[s], 3.0, 1e-14);
        expect_near(values[1] / scale[s], 1.0, 1e-14);
    }
}

/* A power of two more is one more in the exponent, and no other bit. */
static void powers_of_two_are_exact(void **state) {
    enum { N = 17 };
    double *a = square(N), *b = square(N);
    (void)state;
    fill_gaussian(3, N, a);
    for (size_t i = 0; i < N * N; ++i) b[i] = 0x1p-700 * a[i];
    assert_true(radius_of(N, b) == 0x1p-700 * radius_of(N, a));
    assert_true(rs_coupling(N, b) == 0x1p-700 * rs_coupling(N, a));
    free(a);
    free(b);
}

static void a_radius_beyond_double_is_refused(void **state) {
    double const huge[] = {1e308, 1e308, 1e308, 1e308};
    double radius;
    (void)state;
    assert_int_equal(rs_spectral_radius(2, huge, &radius), RS_EINPUT);
    assert_non_null(strstr(rs_message(), "beyond the range"));
}

static void bad_matrices_are_refused(void **state) {
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    double out[2], im[2];
    (void)state;
    for (size_t i = 0; i < COUNT(bad); ++i) {
        double a[] = {1.0, 0.0, bad[i], 1.0};
        assert_int_equal(rs_spectral_radius(2, a, out), RS_EINPUT);
        assert_non_null(strstr(rs_message(), "[1][0]"));
        assert_int_equal(rs_singular_values(2, a, out), RS_EINPUT);
        assert_int_equal(rs_eigenvalues(2, a, out, im), RS_EINPUT);
        assert_int_equal(rs_orthogonal_factor(2, a), RS_EINPUT);
    }
    assert_int_equal(rs_spectral_radius(0, bad, out), RS_EINPUT);
    assert_int_equal(rs_spectral_radius((size_t)1 << 40, bad, out), RS_EINPUT);
}

static void coupling_is_the_scaled_frobenius_norm(void **state) {
    double const a[] = {3.0, 0.0, 0.0, 4.0};
    (void)state;
    expect_near(rs_coupling(2, a), 5.0 / sqrt(2.0), 1e-15);
    assert_true(rs_coupling(1, (const double[]){0.0}) == 0.0);
}

/* SCIENCE B: mean 1.054, standard deviation 0.047 at N = 64. */
static void ginibre_radius_has_the_known_mean(void **state) {
    enum { N = 64, DRAWS = 200 };
    double *a = square(N), sum = 0.0, squares = 0.0;
    (void)state;
    for (uint64_t seed = 0; seed < DRAWS; ++seed) {
        fill_gaussian(seed, N, a);
        double const radius = radius_of(N, a);
        sum += radius;
        squares += radius * radius;
    }
    double const mean = sum / DRAWS;
    expect_near(mean, 1.054, 5.0 * 0.047 / sqrt(DRAWS));
    expect_near(sqrt(squares / DRAWS - mean * mean), 0.047, 0.012);
    free(a);
}

static void eigenvalues_come_by_modulus(void **state) {
    /* blocks 1, 2 +- 3i and -5 */
    double const a[] = {1.0, 9.0, 9.0, 9.0, 0.0, 2.0, -3.0, 9.0,
                        0.0, 3.0, 2.0, 9.0, 0.0, 0.0, 0.0,  -5.0};
    static const double expected[4][2] = {{-5.0, 0.0}, {2.0, 3.0}, {2.0, -3.0}, {1.0, 0.0}};
    double re[4], im[4];
    (void)state;
    assert_int_equal(rs_eigenvalues(4, a, re, im), RS_OK);
    for (size_t i = 0; i < 4; ++i) {
        expect_near(re[i], expected[i][0], 1e-13);
        expect_near(im[i], expected[i][1], 1e-13);
    }
}

/* Of one modulus, the larger one comes first, wherever it stands. */
static void eigenvalues_of_one_modulus_have_an_order(void **state) {
    static double const a[2][4] = {{-1.0, 0.0, 0.0, 1.0}, {1.0, 0.0, 0.0, -1.0}};
    double re[2], im[2];
    (void)state;
    for (size_t i = 0; i < 2; ++i) {
        assert_int_equal(rs_eigenvalues(2, a[i], re, im), RS_OK);
        assert_true(re[0] == 1.0 && re[1] == -1.0);
    }
}

/* Q D P with orthogonal Q and P has the singular values D. */
static void singular_values_are_found(void **state) {
    enum { N = 20 };
    double *q = square(N), *p = square(N), *a = square(N), s[N];
    (void)state;
    fill_gaussian(5, N, q);
    fill_gaussian(6, N, p);
    assert_int_equal(rs_orthogonal_factor(N, q), RS_OK);
    assert_int_equal(rs_orthogonal_factor(N, p), RS_OK);
    for (size_t i = 0; i < N; ++i)
        for (size_t j = 0; j < N; ++j) q[i * N + j] *= (double)(j + 1);
    product(N, q, p, a);
    assert_int_equal(rs_singular_values(N, a, s), RS_OK);
    for (size_t i = 0; i < N; ++i) expect_near(s[i], (double)(N - i), 1e-12);
    assert_true(radius_of(N, a) <= s[0]);
    free(q);
    free(p);
    free(a);
}

/* a = L Q: Q is orthogonal, and L = a Q^T lower triangular with a positive diagonal. */
static void the_orthogonal_factor_is_that_of_lq(void **state) {
    enum { N = 33 };
    double *a = square(N), *q = square(N), *transposed = square(N), *l = square(N);
    (void)state;
    fill_gaussian(7, N, a);
    memcpy(q, a, N * N * sizeof *a);
    assert_int_equal(rs_orthogonal_factor(N, q), RS_OK);
    expect_orthogonal(N, q, 1e-14);
    for (size_t i = 0; i < N * N; ++i) transposed[i] = q[i % N * N + i / N];
    product(N, a, transposed, l);
    for (size_t i = 0; i < N; ++i) {
        assert_true(l[i * N + i] > 0.0);
        for (size_t j = i + 1; j < N; ++j) expect_near(l[i * N + j], 0.0, 1e-14);
    }
    expect_near(radius_of(N, q), 1.0, 1e-13);
    free(a);
    free(q);
    free(transposed);
    free(l);
}

static double lapack_radius(size_t n, const double *a) {
    double *const re = malloc(2 * n * sizeof *re);
    assert_non_null(re);
    assert_int_equal(rs_eigenvalues(n, a, re, re + n), RS_OK);
    double const radius = hypot(re[0], re[n]);
    free(re);
    return radius;
}

static void below_256_rows_every_bit_is_lapacks(void **state) {
    enum { N = 255 };
    double *a = square(N);
    (void)state;
    fill_gaussian(8, N, a);
    assert_true(radius_of(N, a) == lapack_radius(N, a));
    assert_int_equal(rs_orthogonal_factor(N, a), RS_OK);
    assert_true(radius_of(N, a) == lapack_radius(N, a));
    free(a);
}

static void so_is_that_of_a_diagonal_matrix(void **state) {
    static const size_t size[] = {7, 300};
    (void)state;
    for (size_t s = 0; s < COUNT(size); ++s) {
        size_t const n = size[s];
        double *a = square(n), *random = square(n), max = 0.0;
        fill_gaussian(9, n, random);
        for (size_t i = 0; i < n; ++i) {
            a[i * n + i] = random[i];
            max = fmax(max, fabs(random[i]));
        }
        assert_true(radius_of(n, a) == max);
        assert_true(lapack_radius(n, a) == max);
        free(a);
        free(random);
    }
}

/* From 256 rows on the faster ways, which may differ from LAPACK's in the last bits. */
static void large_matrices_keep_lapacks_radius(void **state) {
    enum { N = 256 };
    double *a = square(N), *scaled = square(N);
    (void)state;
    fill_gaussian(10, N, a);
    double const radius = radius_of(N, a);
    expect_near(radius / lapack_radius(N, a), 1.0, 1e-12);
    for (size_t i = 0; i < N * N; ++i) scaled[i] = 0x1p+700 * a[i];
    assert_true(radius_of(N, scaled) == 0x1p+700 * radius);
    for (size_t i = 0; i < N; ++i)
        for (size_t j = 0; j <= i; ++j) a[i * N + j] = 0.0;
    assert_true(radius_of(N, a) == 0.0);
    free(a);
    free(scaled);
}

/* A multiple of an orthogonal matrix has the multiple as its radius. Rounded to single precision it
 * is only near one, its eigenvalues are all of nearly one modulus, and LAPACK finds the largest. */
static void large_orthogonal_matrices_have_the_radius_of_their_scale(void **state) {
    enum { N = 256 };
    double *a = square(N);
    (void)state;
    fill_gaussian(11, N, a);
    assert_int_equal(rs_orthogonal_factor(N, a), RS_OK);
    expect_near(radius_of(N, a), 1.0, 1e-14);
    expect_near(radius_of(N, a) / lapack_radius(N, a), 1.0, 1e-12);
    for (size_t i = 0; i < N * N; ++i) a[i] *= 3.7e-200;
    expect_near(radius_of(N, a) / 3.7e-200, 1.0, 1e-14);
    for (size_t i = 0; i < N * N; ++i) a[i] = (double)(float)(a[i] * 1e200);
    assert_true(radius_of(N, a) == lapack_radius(N, a));
    free(a);
}

static double log_det_of(size_t n, const double *a) {
    double log_det = NAN;
    assert_int_equal(rs_log_abs_determinant(n, a, &log_det), RS_OK);
    return log_det;
}

static void determinants_by_hand(void **state) {
    (void)state;
    expect_near(log_det_of(1, (double[]){-3.0}), log(3.0), 1e-15);
    expect_near(log_det_of(2, (double[]){1.0, 2.0, 3.0, 4.0}), log(2.0), 1e-15);
    expect_near(log_det_of(2, (double[]){0.0, 5.0, 7.0, 1.0}), log(35.0), 1e-15);
    expect_near(log_det_of(3, (double[]){2.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0x1p-9}),
                -8.0 * log(2.0), 1e-14);
    assert_true(log_det_of(2, (double[]){1.0, 2.0, 2.0, 4.0}) == -INFINITY);
    assert_true(log_det_of(2, (double[]){0.0, 0.0, 0.0, 0.0}) == -INFINITY);
    double log_det;
    assert_int_equal(rs_log_abs_determinant(1, (double[]){INFINITY}, &log_det), RS_EINPUT);
}

/* The product of the singular values, far beyond the range of double. */
static void determinants_of_any_size(void **state) {
    enum { N = 60 };
    double *a = square(N), s[N], sum = 0.0;
    (void)state;
    fill_gaussian(12, N, a);
    for (size_t i = 0; i < N * N; ++i) a[i] *= 0x1p-900;
    assert_int_equal(rs_singular_values(N, a, s), RS_OK);
    for (size_t i = 0; i < N; ++i) sum += log(s[i]);
    expect_near(log_det_of(N, a) / sum, 1.0, 1e-14);
    assert_int_equal(rs_orthogonal_factor(N, a), RS_OK);
    expect_near(log_det_of(N, a), 0.0, 1e-13);
    free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_matrices),
        cmocka_unit_test(nilpotent_matrices_have_radius_zero),
        cmocka_unit_test(the_threshold_is_rounding),
        cmocka_unit_test(sizes_near_the_ends_of_double),
        cmocka_unit_test(powers_of_two_are_exact),
        cmocka_unit_test(a_radius_beyond_double_is_refused),
        cmocka_unit_test(bad_matrices_are_refused),
        cmocka_unit_test(coupling_is_the_scaled_frobenius_norm),
        cmocka_unit_test(ginibre_radius_has_the_known_mean),
        cmocka_unit_test(eigenvalues_come_by_modulus),
        cmocka_unit_test(eigenvalues_of_one_modulus_have_an_order),
        cmocka_unit_test(singular_values_are_found),
        cmocka_unit_test(the_orthogonal_factor_is_that_of_lq),
        cmocka_unit_test(below_256_rows_every_bit_is_lapacks),
        cmocka_unit_test(so_is_that_of_a_diagonal_matrix),
        cmocka_unit_test(large_matrices_keep_lapacks_radius),
        cmocka_unit_test(determinants_by_hand),
        cmocka_unit_test(determinants_of_any_size),
        cmocka_unit_test(large_orthogonal_matrices_have_the_radius_of_their_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
