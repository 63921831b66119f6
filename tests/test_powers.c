/* The spectral radius by powers against LAPACK's, on matrices of many kinds: where it is sure, it
 * must be right. By default a few of each; `test_powers all` takes a thousand of every kind and
 * writes how far the two were apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../host/work/powers.h"
#include "../host/work/spectrum.h"
#include "../kernels/base/clock.h"
#include "../kernels/base/random.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Of the difference, relative to LAPACK's. */
static const double tolerance = 1e-12;

/* ---- matrices ------------------------------------------------------------------------------ */

typedef void (*fill)(uint64_t seed, size_t n, double *a);

static double normal(uint64_t seed, size_t i, size_t j) {
    double z[2];
    rs_normal_pair(seed, RS_STREAM_WEIGHT_HH, (uint32_t)i, (uint32_t)j, 0, z);
    return z[0];
}

static double uniform(uint64_t seed, size_t i, size_t j) {
    double u[2];
    rs_uniform_pair(seed, RS_STREAM_WEIGHT_IH, (uint32_t)i, (uint32_t)j, 0, u);
    return u[1];
}

static void gaussian(uint64_t seed, size_t n, double *a) {
    for (size_t i = 0; i < n * n; ++i) a[i] = normal(seed, i / n, i % n) / sqrt((double)n);
}

static void uniform_square(uint64_t seed, size_t n, double *a) {
    for (size_t i = 0; i < n * n; ++i)
        a[i] = (2.0 * uniform(seed, i / n, i % n) - 1.0) / sqrt((double)n);
}

static void symmetric(uint64_t seed, size_t n, double *a) {
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j <= i; ++j)
            a[i * n + j] = a[j * n + i] = normal(seed, i, j) / sqrt((double)n);
}

static void orthogonal(uint64_t seed, size_t n, double *a) {
    gaussian(seed, n, a);
    assert_int_equal(rs_orthogonal_factor(n, a), RS_OK);
}

static void orthogonal_f32(uint64_t seed, size_t n, double *a) {
    orthogonal(seed, n, a);
    for (size_t i = 0; i < n * n; ++i) a[i] = (double)(float)a[i];
}

/* One element in ten, as of a pruned network. */
static void sparse(uint64_t seed, size_t n, double *a) {
    gaussian(seed, n, a);
    for (size_t i = 0; i < n * n; ++i)
        if (uniform(seed, i / n, i % n) > 0.1) a[i] = 0.0;
}

/* As of a trained network: noise and one strong direction, of rank one. */
static void outlier(uint64_t seed, size_t n, double *a) {
    gaussian(seed, n, a);
    double const size = 0.5 + 3.0 * uniform(seed, n, 0);
    for (size_t i = 0; i < n * n; ++i)
        a[i] += size * normal(seed, n, i / n) * normal(seed, n, i % n) / (double)n;
}

/* Rank five. */
static void low_rank(uint64_t seed, size_t n, double *a) {
    for (size_t i = 0; i < n * n; ++i)
        for (size_t k = 0; k < 5; ++k)
            a[i] += normal(seed, k, i / n) * normal(seed, k + 5, i % n) / (double)n;
}

static void positive(uint64_t seed, size_t n, double *a) {
    for (size_t i = 0; i < n * n; ++i) a[i] = uniform(seed, i / n, i % n);
}

/* Row and column scales up to 2^+-20, the spectrum of a Gaussian matrix. */
static void badly_scaled(uint64_t seed, size_t n, double *a) {
    gaussian(seed, n, a);
    for (size_t i = 0; i < n * n; ++i)
        a[i] = ldexp(a[i], (int)(40.0 * (uniform(seed, n, i / n) - uniform(seed, n, i % n))));
}

/* i -> i + 1 mod n, with weights that have a product: n eigenvalues of one modulus. */
static void cyclic(uint64_t seed, size_t n, double *a) {
    for (size_t i = 0; i < n; ++i) a[i * n + (i + 1) % n] = 0.5 + uniform(seed, i, 0);
}

/* +-lambda: two blocks that map into each other. */
static void bipartite(uint64_t seed, size_t n, double *a) {
    gaussian(seed, n, a);
    for (size_t i = 0; i < n * n; ++i)
        if ((i / n < n / 2) == (i % n < n / 2)) a[i] = 0.0;
}

/* a -> (1 - 2vv') a (1 - 2vv') for a few random unit vectors: an orthogonal change of basis. */
static void turn(uint64_t seed, size_t n, double *a) {
    double *const v = malloc(n * sizeof *v);
    assert_non_null(v);
    for (size_t turns = 0; turns < 3; ++turns) {
        double square = 0.0;
        for (size_t i = 0; i < n; ++i) v[i] = normal(seed + 7, turns, i);
        for (size_t i = 0; i < n; ++i) square += v[i] * v[i];
        for (size_t i = 0; i < n; ++i) {
            double dot = 0.0;
            for (size_t j = 0; j < n; ++j) dot += a[i * n + j] * v[j];
            for (size_t j = 0; j < n; ++j) a[i * n + j] -= 2.0 / square * dot * v[j];
        }
        double *const dots = calloc(n, sizeof *dots);
        assert_non_null(dots);
        for (size_t i = 0; i < n; ++i)
            for (size_t j = 0; j < n; ++j) dots[j] += v[i] * a[i * n + j];
        for (size_t i = 0; i < n; ++i)
            for (size_t j = 0; j < n; ++j) a[i * n + j] -= 2.0 / square * v[i] * dots[j];
        free(dots);
    }
    free(v);
}

/* Strictly upper triangular, with rows and columns permuted alike. */
static void nilpotent(uint64_t seed, size_t n, double *a) {
    for (size_t i = 0; i < n; ++i)
        for (size_t j = i + 1; j < n; ++j)
            a[(5 * i + 3) % n * n + (5 * j + 3) % n] = normal(seed, i, j) / sqrt((double)n);
}

static void nilpotent_turned(uint64_t seed, size_t n, double *a) {
    nilpotent(seed, n, a);
    turn(seed, n, a);
}

/* Eigenvalues on the diagonal, far from normal. */
static void triangular(uint64_t seed, size_t n, double *a) {
    for (size_t i = 0; i < n; ++i)
        for (size_t j = i; j < n; ++j) a[i * n + j] = normal(seed, i, j) / sqrt((double)n);
}

/* Between normal and defective: eigenvalues in the unit disc above a weak upper triangle. */
static void triangular_turned(uint64_t seed, size_t n, double *a) {
    double const coupling = pow(10.0, -3.0 * uniform(seed, n, 0));
    for (size_t i = 0; i < n; ++i) {
        a[i * n + i] = 2.0 * uniform(seed, i, n) - 1.0;
        for (size_t j = i + 1; j < n; ++j)
            a[i * n + j] = coupling * normal(seed, i, j) / sqrt((double)n);
    }
    turn(seed, n, a);
}

/* The two largest eigenvalues of a normal matrix `gap` apart and joined: defective for 0. */
static void pair_with_gap(uint64_t seed, size_t n, double gap, double *a) {
    for (size_t i = 0; i < n; ++i) a[i * n + i] = 2.0 * uniform(seed, i, n) - 1.0;
    a[0] = 1.1;
    a[n + 1] = 1.1 - gap;
    a[1] = 1.0;
    turn(seed, n, a);
}

static void defective(uint64_t seed, size_t n, double *a) { pair_with_gap(seed, n, 0.0, a); }

static void nearly_defective(uint64_t seed, size_t n, double *a) {
    pair_with_gap(seed, n, pow(10.0, -12.0 * uniform(seed, n, 0)), a);
}

/* A Jordan block of three among Gaussian noise of about its radius. */
static void jordan_in_noise(uint64_t seed, size_t n, double *a) {
    gaussian(seed, n, a);
    for (size_t i = 0; i < 3; ++i) {
        for (size_t j = 0; j < n; ++j) a[i * n + j] = j == i + 1 && i < 2 ? 1.0 : 0.0;
        a[i * n + i] = 0.9 + 0.2 * uniform(seed, n, 0);
    }
    turn(seed, n, a);
}

/* The larger radius is that of a block far from normal, whose powers grow long before they show it,
 * beside a quiet one whose eigenvalues are easy to find: what a small residual does not notice. */
static void hidden_block(uint64_t seed, size_t n, double *a) {
    size_t const half = n / 2;
    double const shear = pow(10.0, 3.0 * uniform(seed, n, 0));
    for (size_t i = 0; i < half; ++i) a[i * n + i] = 1.0 - 0.3 * uniform(seed, i, n);
    for (size_t i = half; i < n; ++i) {
        a[i * n + i] = 1.01 - 0.5 * uniform(seed, i, n);
        if (i + 1 < n) a[i * n + i + 1] = shear;
    }
    turn(seed, n, a);
}

/* The largest eigenvalue's vectors are coordinates that nothing else touches. */
static void lone_entry(uint64_t seed, size_t n, double *a) {
    gaussian(seed, n, a);
    size_t const at = n / 3;
    for (size_t i = 0; i < n; ++i) a[at * n + i] = a[i * n + at] = 0.0;
    a[at * n + at] = 0.8 + 0.6 * uniform(seed, n, 0);
}

/* Seldom: at most one in ten may be left to LAPACK. Always: all must be. */
typedef enum fallback { ANY, SELDOM, ALWAYS } fallback;

static const struct {
    const char *name;
    fill fill;
    fallback fallback;
} kinds[] = {
    {"gaussian", gaussian, SELDOM},
    {"uniform", uniform_square, SELDOM},
    {"symmetric", symmetric, SELDOM},
    {"orthogonal", orthogonal, ALWAYS},
    {"orthogonal, f32", orthogonal_f32, ALWAYS},
    {"sparse", sparse, SELDOM},
    {"outlier", outlier, SELDOM},
    {"low rank", low_rank, ANY},
    {"positive", positive, SELDOM},
    {"badly scaled", badly_scaled, ANY},
    {"cyclic", cyclic, ALWAYS},
    {"bipartite", bipartite, ANY},
    {"nilpotent", nilpotent, ALWAYS},
    {"nilpotent, turned", nilpotent_turned, ALWAYS},
    {"triangular", triangular, ANY},
    {"triangular, turned", triangular_turned, ANY},
    {"defective", defective, ALWAYS},
    {"nearly defective", nearly_defective, ANY},
    {"Jordan in noise", jordan_in_noise, ANY},
    {"hidden block", hidden_block, ANY},
    {"lone entry", lone_entry, SELDOM},
};

/* ---- the comparison ------------------------------------------------------------------------ */

typedef struct tally {
    size_t sure, unsure;
    double worst, powers_seconds, lapack_seconds;
} tally;

static double lapack_radius(size_t n, const double *a) {
    double *const re = malloc(2 * n * sizeof *re);
    assert_non_null(re);
    assert_int_equal(rs_eigenvalues(n, a, re, re + n), RS_OK);
    double const radius = hypot(re[0], re[n]);
    free(re);
    return radius;
}

/* Powers of two: entries of at most 1. */
static void scale_down(size_t n, double *a) {
    int exponent;
    double max = 0.0;
    for (size_t i = 0; i < n * n; ++i) max = fmax(max, fabs(a[i]));
    frexp(max, &exponent);
    for (size_t i = 0; i < n * n; ++i) a[i] = ldexp(a[i], -exponent);
}

static void compare(const char *name, uint64_t seed, size_t n, const double *a, tally *t) {
    bool sure = false;
    double radius = NAN, start = rs_seconds();
    assert_int_equal(rs_radius_by_powers(n, a, &sure, &radius), RS_OK);
    t->powers_seconds += rs_seconds() - start;
    start = rs_seconds();
    double const expected = lapack_radius(n, a);
    t->lapack_seconds += rs_seconds() - start;
    ++*(sure ? &t->sure : &t->unsure);
    if (!sure) return;
    double const difference = fabs(radius - expected) / expected;
    t->worst = fmax(t->worst, difference);
    if (!(difference <= tolerance))
        fail_msg("%s, H = %zu, seed %llu: %.17g, LAPACK has %.17g (%.2g)", name, n,
                 (unsigned long long)seed, radius, expected, difference);
}

static tally compare_many(size_t kind, size_t n, size_t matrices) {
    tally t = {0};
    double *const a = malloc(n * n * sizeof *a);
    assert_non_null(a);
    for (uint64_t seed = 0; seed < matrices; ++seed) {
        memset(a, 0, n * n * sizeof *a);
        kinds[kind].fill(seed, n, a);
        scale_down(n, a);
        compare(kinds[kind].name, seed, n, a, &t);
    }
    free(a);
    if (kinds[kind].fallback == ALWAYS && t.sure > 0)
        fail_msg("%s, H = %zu: %zu of %zu were found, none can be", kinds[kind].name, n, t.sure,
                 matrices);
    if (kinds[kind].fallback == SELDOM && 10 * t.unsure > matrices)
        fail_msg("%s, H = %zu: %zu of %zu were left to LAPACK", kinds[kind].name, n, t.unsure,
                 matrices);
    return t;
}

/* How many of each size. */
static struct {
    size_t n, matrices;
} sizes[] = {{64, 10}, {101, 10}, {256, 1}, {512, 0}, {1024, 0}};

static bool studies; /* writes figures */

static void where_it_is_sure_it_is_right(void **state) {
    size_t const kind = *(const size_t *)*state;
    for (size_t i = 0; i < COUNT(sizes); ++i) {
        if (sizes[i].matrices == 0) continue;
        tally const t = compare_many(kind, sizes[i].n, sizes[i].matrices);
        if (studies)
            print_message("| %s | %zu | %zu | %zu | %.1e | %.3f | %.3f |\n", kinds[kind].name,
                          sizes[i].n, t.sure + t.unsure, t.unsure, t.worst, t.powers_seconds,
                          t.lapack_seconds);
    }
}

/* A symmetric matrix whose largest eigenvalue, 1.01, has a vector at right angles to all columns
 * that the search starts from, so that it finds 1 with no residual: the rest of the spectrum alone
 * tells. */
static void an_eigenvalue_that_the_start_does_not_see(void **state) {
    enum { N = 64, START = 32 };
    double *const q = malloc(N * N * sizeof *q), *const a = calloc(N * N, sizeof *a);
    double value[N], radius = NAN;
    bool sure = false;
    (void)state;
    assert_non_null(q);
    assert_non_null(a);
    gaussian(0, N, q);
    for (size_t row = 0; row < START; ++row)
        for (size_t i = 0; i < N; i += 2)
            rs_normal_pair(0, RS_STREAM_SPECTRUM, 0, (uint32_t)row, (uint32_t)(i / 2),
                           q + row * N + i);
    assert_int_equal(rs_orthogonal_factor(N, q), RS_OK); /* row by row, as Gram-Schmidt */
    for (size_t k = 0; k < N; ++k) value[k] = k < START ? 0.985 + 0.005 * (double)k / START : 0.5;
    value[0] = 1.0;
    value[START] = 1.01;
    for (size_t k = 0; k < N; ++k)
        for (size_t i = 0; i < N; ++i)
            for (size_t j = 0; j < N; ++j) a[i * N + j] += value[k] * q[k * N + i] * q[k * N + j];
    scale_down(N, a);
    double const expected = lapack_radius(N, a);
    assert_int_equal(rs_radius_by_powers(N, a, &sure, &radius), RS_OK);
    if (sure && !(fabs(radius - expected) <= tolerance * expected))
        fail_msg("%.17g, LAPACK has %.17g", radius, expected);
    free(q);
    free(a);
}

/* 1 and -1: which of them is the largest, and so whose condition counts, is rounding. */
static void a_tie_is_left_to_lapack(void **state) {
    enum { N = 64 };
    double *const q = malloc(N * N * sizeof *q), *const a = calloc(N * N, sizeof *a);
    double radius = NAN;
    bool sure = true;
    (void)state;
    assert_non_null(q);
    assert_non_null(a);
    gaussian(0, N, q);
    assert_int_equal(rs_orthogonal_factor(N, q), RS_OK);
    for (size_t k = 0; k < N; ++k)
        for (size_t i = 0; i < N; ++i)
            for (size_t j = 0; j < N; ++j)
                a[i * N + j] += (k == 0 ? 1.0 : k == 1 ? -1.0 : 0.25) * q[k * N + i] * q[k * N + j];
    scale_down(N, a);
    assert_int_equal(rs_radius_by_powers(N, a, &sure, &radius), RS_OK);
    assert_false(sure);
    free(q);
    free(a);
}

/* The columns of what is written for each kind and size. */
static void study(void) {
    static const size_t all[] = {500, 300, 160, 30, 10};
    studies = true;
    for (size_t i = 0; i < COUNT(sizes); ++i) sizes[i].matrices = all[i];
    print_message("| matrices | H | number | left to LAPACK | largest difference | s, powers | "
                  "s, LAPACK |\n");
}

int main(int argc, char **argv) {
    static size_t number[COUNT(kinds)];
    struct CMUnitTest tests[COUNT(kinds) + 2] = {
        [COUNT(kinds)] = cmocka_unit_test(an_eigenvalue_that_the_start_does_not_see),
        [COUNT(kinds) + 1] = cmocka_unit_test(a_tie_is_left_to_lapack)};
    if (argc > 1 && strcmp(argv[1], "all") == 0) study();
    for (size_t i = 0; i < COUNT(kinds); ++i) {
        number[i] = i;
        tests[i] = (struct CMUnitTest){kinds[i].name, where_it_is_sure_it_is_right, NULL, NULL,
                                       &number[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
