#include "spectrum.h"

#include "../../kernels/base/blas.h"
#include "../../kernels/base/sizes.h"
#include "powers.h"

#include <cblas.h>
#include <float.h>
#include <lapacke.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_N = 46340,    /* LAPACK counts the elements of its work arrays in an int. */
    POWERS_FROM = 256 /* Smaller matrices keep the bits that dgeev gives them. */
};

/* Of |a'a / c^2 - 1|_F: where every |eigenvalue| is c to rounding, and where they are too close to
 * each other for powers to separate them. */
static const double orthogonal = 4e-13, nearly_orthogonal = 0.01;

static const double ln_2 = 0x1.62e42fefa39efp-1;

/* A square matrix for LAPACK to overwrite, beside room for its spectrum. Scaled by an exact power
 * of two to entries of at most 1, so that nothing overflows or underflows on the way. */
typedef struct work {
    lapack_int n;
    int exponent; /* the matrix is 2^exponent times a */
    double *a;    /* [n][n] */
    double *re, *im;
    bool uses_blas;
} work;

static double largest(size_t count, const double *a) {
    double max = 0.0;
    for (size_t i = 0; i < count; ++i)
        if (fabs(a[i]) > max) max = fabs(a[i]);
    return max;
}

/* The exponent that takes the largest entry into [1/2, 1). */
static int exponent_of(size_t count, const double *a) {
    int exponent = 0;
    (void)frexp(largest(count, a), &exponent);
    return exponent;
}

/* A power of two as two factors, for it may itself be beyond double's range. */
typedef struct power_of_two {
    double first, second;
} power_of_two;

static power_of_two two_to(int exponent) {
    int const half = exponent / 2;
    return (power_of_two){ldexp(1.0, half), ldexp(1.0, exponent - half)};
}

/* Frobenius norm of 2^-exponent a. */
static double frobenius(size_t count, const double *a, int exponent) {
    power_of_two const scale = two_to(-exponent);
    double sum = 0.0;
    for (size_t i = 0; i < count; ++i) {
        double const x = a[i] * scale.first * scale.second;
        sum += x * x;
    }
    return sqrt(sum);
}

static rs_status check_finite(size_t n, const double *a) {
    for (size_t i = 0; i < n * n; ++i)
        if (!isfinite(a[i]))
            return rs_fail(RS_EINPUT, "matrix: element [%zu][%zu] is %g, must be finite", i / n,
                           i % n, a[i]);
    return RS_OK;
}

static void work_free(work *w) {
    if (w->uses_blas) rs_blas_end();
    free(w->a);
    free(w->re);
    free(w->im);
}

static rs_status work_make(size_t n, const double *a, work *w) {
    *w = (work){.n = (lapack_int)n};
    if (n > MAX_N) return rs_fail(RS_EINPUT, "matrix: %zu rows, LAPACK takes at most %d", n, MAX_N);
    size_t const count = n * n;
    if (count == 0) return rs_fail(RS_EINPUT, "matrix: is empty");
    RS_TRY(check_finite(n, a));
    RS_TRY(rs_blas_begin());
    w->uses_blas = true;
    w->exponent = exponent_of(count, a);
    w->a = malloc(count * sizeof *w->a);
    w->re = malloc(n * sizeof *w->re);
    w->im = calloc(n, sizeof *w->im);
    if (!w->a || !w->re || !w->im)
        return rs_fail(RS_EMEMORY, "no memory for the spectrum of a matrix of %zu rows", n);
    power_of_two const scale = two_to(-w->exponent);
    for (size_t i = 0; i < count; ++i) w->a[i] = a[i] * scale.first * scale.second;
    return RS_OK;
}

static rs_status lapack_status(lapack_int info, const char *what) {
    if (info == 0) return RS_OK;
    if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
        return rs_fail(RS_EMEMORY, "no memory for the %s", what);
    return rs_fail(RS_EINPUT, "%s: LAPACK did not converge (info %d)", what, (int)info);
}

static bool is_symmetric(const work *w) {
    size_t const n = (size_t)w->n;
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < i; ++j)
            if (w->a[i * n + j] != w->a[j * n + i]) return false;
    return true;
}

/* Row-major storage is the transpose in LAPACK's eyes; the eigenvalues are the same. */
static rs_status eigenvalues(work *w) {
    lapack_int const n = w->n;
    lapack_int const info =
        is_symmetric(w)
            ? LAPACKE_dsyev(LAPACK_COL_MAJOR, 'N', 'U', n, w->a, n, w->re)
            : LAPACKE_dgeev(LAPACK_COL_MAJOR, 'N', 'N', n, w->a, n, w->re, w->im, NULL, 1, NULL, 1);
    return lapack_status(info, "eigenvalues");
}

static bool is_diagonal(const work *w) {
    size_t const n = (size_t)w->n;
    for (size_t i = 0; i < n * n; ++i)
        if (i % (n + 1) != 0 && w->a[i] != 0.0) return false;
    return true;
}

/* Overwrites a. */
static rs_status lapack_radius(work *w, double *radius) {
    RS_TRY(eigenvalues(w));
    *radius = 0.0;
    for (lapack_int i = 0; i < w->n; ++i) *radius = fmax(*radius, hypot(w->re[i], w->im[i]));
    return RS_OK;
}

static bool has_equal_columns(const work *w, double length) {
    for (lapack_int j = 0; j < w->n; ++j) {
        double const column = cblas_dnrm2(w->n, w->a + (size_t)j * (size_t)w->n, 1);
        if (fabs(column - length) > nearly_orthogonal * length) return false;
    }
    return true;
}

/* |a'a / c^2 - 1|_F. Every |eigenvalue| is between the least and the largest singular value, and so
 * within half of it of c, relatively. */
static rs_status distance_from_orthogonal(const work *w, double c, double *distance) {
    size_t const n = (size_t)w->n;
    double sum = 0.0, *const gram = malloc(n * n * sizeof *gram);
    if (!gram) return rs_fail(RS_EMEMORY, "no memory for the product of %zu columns", n);
    cblas_dsyrk(CblasColMajor, CblasUpper, CblasTrans, w->n, w->n, 1.0 / (c * c), w->a, w->n, 0.0,
                gram, w->n);
    for (size_t j = 0; j < n; ++j) {
        double const diagonal = gram[j * n + j] - 1.0;
        for (size_t i = 0; i < j; ++i) sum += 2.0 * gram[j * n + i] * gram[j * n + i];
        sum += diagonal * diagonal;
    }
    free(gram);
    *distance = sqrt(sum);
    return RS_OK;
}

/* The ways of large matrices without symmetry. */
static rs_status fast_radius(const work *w, bool *sure, double *radius) {
    size_t const n = (size_t)w->n;
    double const c = rs_coupling(n, w->a);
    double distance = INFINITY;
    if (has_equal_columns(w, c)) RS_TRY(distance_from_orthogonal(w, c, &distance));
    *sure = distance <= orthogonal;
    *radius = c;
    return distance <= nearly_orthogonal ? RS_OK : rs_radius_by_powers(n, w->a, sure, radius);
}

static rs_status largest_modulus(work *w, double *radius) {
    size_t const n = (size_t)w->n;
    bool sure = is_diagonal(w);
    *radius = largest(n * n, w->a);
    if (!sure && n >= POWERS_FROM && !is_symmetric(w)) RS_TRY(fast_radius(w, &sure, radius));
    return sure ? RS_OK : lapack_radius(w, radius);
}

static rs_status work_radius(work *w, double *radius) {
    size_t const n = (size_t)w->n;
    double const noise = (double)n * DBL_EPSILON * frobenius(n * n, w->a, 0);
    double modulus;
    RS_TRY(largest_modulus(w, &modulus));
    *radius = modulus < noise ? 0.0 : ldexp(modulus, w->exponent);
    return isfinite(*radius) ? RS_OK
                             : rs_fail(RS_EINPUT, "spectral radius: beyond the range of double");
}

static uint64_t lapack_bytes(size_t n) {
    /* From about 128 rows on LAPACK works in blocks, and OpenBLAS packs panels of both factors: on
     * AVX-512 it takes 2.1, 4.2 and 5.6 MiB a thread for 512, 1024 and 1536 rows. */
    enum { BLOCKS_FROM = 128, PACKED_ROWS = 512 };
    uint64_t const packed = n < BLOCKS_FROM ? 0 : rs_size_mul(PACKED_ROWS, n);
    uint64_t const copy = rs_size_mul(n, rs_size_add(n, 2)); /* and room for its spectrum */
    return rs_size_mul(rs_size_add(copy, packed), sizeof(double));
}

uint64_t rs_spectral_radius_bytes(size_t n) {
    uint64_t const bytes = lapack_bytes(n);
    return n < POWERS_FROM ? bytes : rs_size_add(bytes, rs_radius_by_powers_bytes(n));
}

rs_status rs_spectral_radius(size_t n, const double *a, double *radius) {
    work w;
    rs_status status = work_make(n, a, &w);
    if (status == RS_OK) status = work_radius(&w, radius);
    work_free(&w);
    return status;
}

double rs_coupling(size_t n, const double *a) {
    int const exponent = exponent_of(n * n, a);
    return ldexp(frobenius(n * n, a, exponent) / sqrt((double)n), exponent);
}

rs_status rs_singular_values(size_t n, const double *a, double *s) {
    work w;
    rs_status status = work_make(n, a, &w);
    if (status == RS_OK)
        status = lapack_status(
            LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'N', w.n, w.n, w.a, w.n, w.re, NULL, 1, NULL, 1),
            "singular values");
    if (status == RS_OK)
        for (size_t i = 0; i < n; ++i) s[i] = ldexp(w.re[i], w.exponent);
    work_free(&w);
    return status;
}

typedef struct eigenvalue {
    double modulus, re, im;
} eigenvalue;

/* Descending modulus; a conjugate pair has the positive imaginary part first. */
static int by_modulus(const void *left, const void *right) {
    const eigenvalue *l = left, *r = right;
    if (l->modulus != r->modulus) return l->modulus < r->modulus ? 1 : -1;
    if (l->re != r->re) return l->re < r->re ? 1 : -1;
    return (l->im < r->im) - (l->im > r->im);
}

static rs_status sorted_eigenvalues(work *w, double *re, double *im) {
    size_t const n = (size_t)w->n;
    RS_TRY(eigenvalues(w));
    eigenvalue *list = malloc(n * sizeof *list);
    if (!list) return rs_fail(RS_EMEMORY, "no memory for %zu eigenvalues", n);
    for (size_t i = 0; i < n; ++i)
        list[i] = (eigenvalue){hypot(w->re[i], w->im[i]), w->re[i], w->im[i]};
    qsort(list, n, sizeof *list, by_modulus);
    for (size_t i = 0; i < n; ++i) {
        re[i] = ldexp(list[i].re, w->exponent);
        im[i] = ldexp(list[i].im, w->exponent);
    }
    free(list);
    return RS_OK;
}

rs_status rs_eigenvalues(size_t n, const double *a, double *re, double *im) {
    work w;
    rs_status status = work_make(n, a, &w);
    if (status == RS_OK) status = sorted_eigenvalues(&w, re, im);
    work_free(&w);
    return status;
}

uint64_t rs_eigenvalues_bytes(size_t n) {
    return rs_size_add(lapack_bytes(n), rs_size_mul(n, sizeof(eigenvalue)));
}

/* The product of the pivots; an exact zero among them is no failure here. */
static rs_status log_abs_determinant(work *w, double *log_det) {
    size_t const n = (size_t)w->n;
    lapack_int *const pivot = malloc(n * sizeof *pivot);
    if (!pivot) return rs_fail(RS_EMEMORY, "no memory for %zu pivots", n);
    lapack_int const info = LAPACKE_dgetrf(LAPACK_COL_MAJOR, w->n, w->n, w->a, w->n, pivot);
    free(pivot);
    if (info < 0) return lapack_status(info, "determinant");
    *log_det = (double)n * (double)w->exponent * ln_2;
    for (size_t i = 0; i < n; ++i) *log_det += log(fabs(w->a[i * (n + 1)]));
    return RS_OK;
}

rs_status rs_log_abs_determinant(size_t n, const double *a, double *log_det) {
    work w;
    rs_status status = work_make(n, a, &w);
    if (status == RS_OK) status = log_abs_determinant(&w, log_det);
    work_free(&w);
    return status;
}

static rs_status orthogonal_factor(work *w) {
    lapack_int const n = w->n;
    RS_TRY(
        lapack_status(LAPACKE_dgeqrf(LAPACK_COL_MAJOR, n, n, w->a, n, w->re), "QR factorisation"));
    for (lapack_int k = 0; k < n; ++k) w->im[k] = w->a[(size_t)k * (size_t)(n + 1)];
    RS_TRY(lapack_status(LAPACKE_dorgqr(LAPACK_COL_MAJOR, n, n, n, w->a, n, w->re),
                         "orthogonal factor"));
    return RS_OK;
}

rs_status rs_orthogonal_factor(size_t n, double *a) {
    work w;
    rs_status status = work_make(n, a, &w);
    if (status == RS_OK) status = orthogonal_factor(&w);
    if (status == RS_OK)
        for (size_t i = 0; i < n * n; ++i) a[i] = w.im[i / n] < 0.0 ? -w.a[i] : w.a[i];
    work_free(&w);
    return status;
}

/* D a: row by row. */
static void turn_rows(const work *w, const double *re, const double *im, const double *a) {
    size_t const n = (size_t)w->n;
    for (size_t j = 0; j < n / 2; ++j)
        for (size_t i = 0; i < n; ++i) {
            double const x = a[2 * j * n + i], y = a[(2 * j + 1) * n + i];
            w->a[2 * j * n + i] = re[j] * x - im[j] * y;
            w->a[(2 * j + 1) * n + i] = im[j] * x + re[j] * y;
        }
    for (size_t i = 0; n % 2 == 1 && i < n; ++i)
        w->a[(n - 1) * n + i] = re[n / 2] * a[(n - 1) * n + i];
}

rs_status rs_normal_matrix(size_t n, const double *re, const double *im, double *a) {
    work w;
    double *const q = malloc(n * n * sizeof *q);
    if (!q) return rs_fail(RS_EMEMORY, "no memory for a matrix of %zu rows", n);
    memcpy(q, a, n * n * sizeof *q);
    rs_status const status = work_make(n, a, &w);
    if (status == RS_OK) {
        turn_rows(&w, re, im, q);
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, w.n, w.n, w.n, 1.0, q, w.n, w.a, w.n,
                    0.0, a, w.n);
    }
    work_free(&w);
    free(q);
    return status;
}
