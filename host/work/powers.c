#include "powers.h"

#include "../../kernels/base/blas.h"
#include "../../kernels/base/block.h"
#include "../../kernels/base/random.h"
#include "../../kernels/base/sizes.h"

#include <cblas.h>
#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

/* The range of a high power of a matrix is spanned by the eigenvectors of its largest eigenvalues.
 *
 *   1. Square a: a^2, a^4, ..., power, each scaled by an exact power of two.
 *   2. Subspace iteration: orthonormal columns q of the range of power^rounds.
 *   3. Rayleigh-Ritz: the eigenvalues of q'aq, with the residuals of their vectors in a.
 *
 * A small residual shows that an eigenvalue is near, not that it is the largest. So:
 *
 *   4. The leading Ritz vectors that have converged span an invariant space v. The remaining
 *      eigenvalues are those of a on its complement, c = (1 - vv')a(1 - vv'), and no larger than
 *      |c^k|^(1/k), which is estimated from random vectors (Halko, Martinsson & Tropp 2011,
 *      "Finding structure with randomness", lemma 4.1).
 *   5. No power of a is so much larger than that power of the radius that its rounding errors
 *      could hide an eigenvalue.
 *   6. The condition of the largest eigenvalue, 1 / |cos| of the angle between its left and right
 *      vector, says how far rounding can move it, here and in LAPACK. */

enum {
    LEAST_SQUARINGS = 6,
    MOST_SQUARINGS = 10,
    COLUMNS = 48, /* of the subspace */
    PROBES = 16,  /* random vectors of step 4, which fails to notice with probability 10^-PROBES */
    FIRST_ROUNDS = 8,
    MORE_ROUNDS = 4,
    MOST_ROUNDS = 16,
    WORK = 64 * COLUMNS, /* doubles of LAPACK's workspace */
};

/* Relative to |a|_F: the residual of a Ritz vector that has converged, and that of their space,
 * which may be larger where they are nearly parallel. */
static const double vector_tolerance = 1e-11, space_tolerance = 1e-9;
/* Step 5: log2 of |power of a|_F over that power of the radius. */
static const double max_log_excess = 10.0;
/* Moduli closer than this (relative) could swap places, and only one's condition is known. */
static const double tie = 1e-9;
/* Relative error of the radius, estimated. */
static const double max_error = 2.5e-13;

typedef struct ritz {
    double modulus, residual;
    size_t column; /* of the first of its vectors: re, or re and im of a pair */
    bool is_pair;
} ritz;

/* All matrices are column-major; a comes as it is, or transposed, which has the same spectrum. */
typedef struct finder {
    int n, m; /* rows, columns of the subspace */
    const double *a;
    double norm;                         /* |a|_F */
    double *power, *spare;               /* [n][n] */
    int squarings, exponent;             /* a^(2^squarings) is 2^exponent power */
    double log_norm[MOST_SQUARINGS + 1]; /* log2 of |a^(2^i)|_F */
    double *q, *image, *residual;        /* [n][m]: the subspace; a q; a q - q small */
    double *block;                       /* [n][m]: scratch */
    double *v;                           /* [n][m]: the leading Ritz vectors, orthonormal */
    double *small, *schur;               /* [m][m]: q'aq, and what dgeev leaves of it */
    double *left, *right;                /* [m][m]: eigenvectors of q'aq */
    double *re, *im, *tau;               /* [m] */
    double *work;                        /* [WORK] */
    ritz value[COLUMNS];
    size_t n_values;
    double *memory; /* of all of the above */
} finder;

typedef enum verdict { SURE, NOT_YET, NEVER } verdict;

/* ---- memory -------------------------------------------------------------------------------- */

/* The moduli of a random matrix lie closer as n grows, by 1 / n, and take powers of about n / 8 to
 * separate them in FIRST_ROUNDS. */
static int squarings_for(size_t n) {
    int squarings = LEAST_SQUARINGS;
    while (squarings < MOST_SQUARINGS && (size_t)12 << squarings < n) ++squarings;
    return squarings;
}

/* Parts follow each other closely: bits may depend on where BLAS finds its operands. */
static void deal(finder *f, rs_block *block) {
    uint64_t const n = (uint64_t)f->n, m = (uint64_t)f->m;
    struct {
        double **at;
        uint64_t count;
    } const part[] = {
        {&f->power, n * n},    {&f->spare, n * n}, {&f->q, n * m},     {&f->image, n * m},
        {&f->residual, n * m}, {&f->block, n * m}, {&f->v, n * m},     {&f->small, m * m},
        {&f->schur, m * m},    {&f->left, m * m},  {&f->right, m * m}, {&f->re, m},
        {&f->im, m},           {&f->tau, m},       {&f->work, WORK},
    };
    for (size_t i = 0; i < sizeof part / sizeof *part; ++i)
        *part[i].at = rs_block_take(block, part[i].count, sizeof(double));
}

static rs_status finder_make(size_t n, const double *a, finder *f) {
    enum { ALIGNMENT = 64 }; /* so that no kernel of BLAS meets other remainders in another run */
    size_t const m = n < 2 * COLUMNS ? n / 2 : COLUMNS;
    *f = (finder){.n = (int)n, .m = (int)m, .a = a, .squarings = squarings_for(n)};
    rs_block block = rs_block_measure(sizeof(double));
    deal(f, &block);
    f->memory = aligned_alloc(ALIGNMENT, rs_size_round_up(block.used, ALIGNMENT));
    if (!f->memory)
        return rs_fail(RS_EMEMORY, "no memory for the powers of a matrix of %zu rows", n);
    block = rs_block_deal(f->memory, sizeof(double));
    deal(f, &block);
    return RS_OK;
}

uint64_t rs_radius_by_powers_bytes(size_t n) {
    uint64_t const of_n = rs_size_mul(n, rs_size_add(rs_size_mul(2, n), 5 * COLUMNS));
    uint64_t const of_columns = 4 * COLUMNS * COLUMNS + 3 * COLUMNS + WORK;
    return rs_size_mul(rs_size_add(of_n, of_columns), sizeof(double));
}

/* ---- products ------------------------------------------------------------------------------ */

/* out [n][columns] = matrix [n][n], or its transpose, times in [n][columns] */
static void apply(const finder *f, CBLAS_TRANSPOSE transpose, const double *matrix, int columns,
                  const double *in, double *out) {
    cblas_dgemm(CblasColMajor, transpose, CblasNoTrans, f->n, columns, f->n, 1.0, matrix, f->n, in,
                f->n, 0.0, out, f->n);
}

/* out [k][columns] = basis [n][k]' times in [n][columns] */
static void coefficients(const finder *f, int k, const double *basis, int columns, const double *in,
                         double *out) {
    cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, k, columns, f->n, 1.0, basis, f->n, in,
                f->n, 0.0, out, k);
}

/* out [n][columns] = beta out + alpha basis [n][k] times in [k][columns] */
static void combine(const finder *f, double alpha, int k, const double *basis, int columns,
                    const double *in, double beta, double *out) {
    cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, f->n, columns, k, alpha, basis, f->n, in,
                k, beta, out, f->n);
}

static double norm_of(size_t count, const double *x) { return cblas_dnrm2((int)count, x, 1); }

/* Replaces x [rows][columns] by an orthonormal basis of its range. */
static void orthonormalise(const finder *f, int rows, int columns, double *x) {
    (void)LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, rows, columns, x, rows, f->tau, f->work, WORK);
    (void)LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, rows, columns, columns, x, rows, f->tau, f->work,
                              WORK);
}

/* Takes a power of two out of x, so that its largest magnitude is in [1/2, 1), and adds it to
 * `exponent`. False where x is zero or so small that its products underflow. */
static bool normalise(size_t count, double *x, int *exponent) {
    double const max = fabs(x[cblas_idamax((int)count, x, 1)]);
    int taken = 0;
    if (max < 0x1p-500) return false;
    (void)frexp(max, &taken);
    double const factor = ldexp(1.0, -taken);
    for (size_t i = 0; i < count; ++i) x[i] *= factor;
    *exponent += taken;
    return true;
}

/* ---- steps 1 and 2 ------------------------------------------------------------------------- */

static void swap(double **one, double **other) {
    double *const kept = *one;
    *one = *other;
    *other = kept;
}

static bool square_repeatedly(finder *f) {
    size_t const count = (size_t)f->n * (size_t)f->n;
    for (size_t i = 0; i < count; ++i) f->power[i] = f->a[i];
    for (int i = 0;; ++i) {
        if (!normalise(count, f->power, &f->exponent)) return false;
        f->log_norm[i] = log2(norm_of(count, f->power)) + f->exponent;
        if (i == f->squarings) return true;
        apply(f, CblasNoTrans, f->power, f->n, f->power, f->spare);
        swap(&f->power, &f->spare);
        f->exponent *= 2;
    }
}

/* Step 5, for a radius of 2^log_radius. */
static bool powers_are_moderate(const finder *f, double log_radius) {
    for (int i = 0; i <= f->squarings; ++i)
        if (!(f->log_norm[i] - ldexp(log_radius, i) <= max_log_excess)) return false;
    return true;
}

/* Columns `first` and on of a random matrix that is the same for every a. */
static void fill_normal(const finder *f, size_t first, size_t columns, double *out) {
    size_t const n = (size_t)f->n;
    for (size_t j = 0; j < columns; ++j)
        for (size_t i = 0; i < n; i += 2) {
            double pair[2];
            rs_normal_pair(0, RS_STREAM_SPECTRUM, 0, (uint32_t)(first + j), (uint32_t)(i / 2),
                           pair);
            out[j * n + i] = pair[0];
            if (i + 1 < n) out[j * n + i + 1] = pair[1];
        }
}

static void iterate(finder *f, int rounds) {
    for (int i = 0; i < rounds; ++i) {
        apply(f, CblasNoTrans, f->power, f->m, f->q, f->block);
        swap(&f->q, &f->block);
        orthonormalise(f, f->n, f->m, f->q);
    }
}

/* ---- step 3 -------------------------------------------------------------------------------- */

static int by_modulus(const void *left, const void *right) {
    const ritz *l = left, *r = right;
    if (l->modulus != r->modulus) return l->modulus < r->modulus ? 1 : -1;
    return l->column < r->column ? -1 : 1;
}

/* Descending modulus, a conjugate pair as one. `block` holds the residuals of the columns of
 * `right`. */
static void list_values(finder *f) {
    size_t const n = (size_t)f->n, m = (size_t)f->m;
    f->n_values = 0;
    for (size_t j = 0; j < m; ++j) {
        ritz const one = {.modulus = hypot(f->re[j], f->im[j]),
                          .residual = norm_of((f->im[j] != 0.0 ? 2 : 1) * n, f->block + j * n),
                          .column = j,
                          .is_pair = f->im[j] != 0.0};
        f->value[f->n_values++] = one;
        if (one.is_pair) ++j;
    }
    qsort(f->value, f->n_values, sizeof *f->value, by_modulus);
}

static bool rayleigh_ritz(finder *f) {
    int const m = f->m;
    size_t const mm = (size_t)m * (size_t)m, nm = (size_t)f->n * (size_t)m;
    apply(f, CblasNoTrans, f->a, m, f->q, f->image);
    coefficients(f, m, f->q, m, f->image, f->small);
    for (size_t i = 0; i < nm; ++i) f->residual[i] = f->image[i];
    combine(f, -1.0, m, f->q, m, f->small, 1.0, f->residual);
    for (size_t i = 0; i < mm; ++i) f->schur[i] = f->small[i];
    if (LAPACKE_dgeev_work(LAPACK_COL_MAJOR, 'V', 'V', m, f->schur, m, f->re, f->im, f->left, m,
                           f->right, m, f->work, WORK) != 0)
        return false;
    combine(f, 1.0, m, f->residual, m, f->right, 0.0, f->block);
    list_values(f);
    return true;
}

/* ---- step 4 -------------------------------------------------------------------------------- */

static size_t count_converged(const finder *f) {
    size_t k = 0;
    while (k < f->n_values && f->value[k].residual <= vector_tolerance * f->norm) ++k;
    return k;
}

/* Copies the vectors of the leading values from `right` to the front of `schur`; their number. */
static int gather(finder *f, size_t values) {
    size_t const m = (size_t)f->m;
    int columns = 0;
    for (size_t i = 0; i < values; ++i)
        for (size_t part = 0; part < (f->value[i].is_pair ? 2 : 1); ++part, ++columns)
            for (size_t row = 0; row < m; ++row)
                f->schur[(size_t)columns * m + row] =
                    f->right[(f->value[i].column + part) * m + row];
    return columns;
}

/* Makes v from the leading values; false where it is not invariant. */
static bool make_space(finder *f, size_t values, int *columns) {
    int const k = gather(f, values);
    *columns = k;
    orthonormalise(f, f->m, k, f->schur);
    combine(f, 1.0, f->m, f->q, k, f->schur, 0.0, f->v);
    combine(f, 1.0, f->m, f->image, k, f->schur, 0.0, f->block);
    coefficients(f, k, f->v, k, f->block, f->schur);
    combine(f, -1.0, k, f->v, k, f->schur, 1.0, f->block);
    return norm_of((size_t)f->n * (size_t)k, f->block) <= space_tolerance * f->norm;
}

/* Takes the part in v out of x [n][PROBES]. */
static void project(finder *f, int k, double *x) {
    coefficients(f, k, f->v, PROBES, x, f->schur);
    combine(f, -1.0, k, f->v, PROBES, f->schur, 1.0, x);
}

/* log2 of the bound of |c^(2^squarings FIRST_ROUNDS)|: 10 sqrt(2 / pi) times the longest of its
 * products with PROBES normal vectors. */
static double log_rest(finder *f, int k) {
    size_t const n = (size_t)f->n;
    double longest = 0.0;
    int exponent = 0;
    double *x = f->block, *next = f->residual;
    fill_normal(f, COLUMNS, PROBES, x);
    project(f, k, x);
    for (int i = 0; i < FIRST_ROUNDS; ++i) {
        apply(f, CblasNoTrans, f->power, PROBES, x, next);
        swap(&x, &next);
        project(f, k, x);
        if (!normalise(n * PROBES, x, &exponent)) return -INFINITY;
        exponent += f->exponent;
    }
    for (size_t j = 0; j < PROBES; ++j) longest = fmax(longest, norm_of(n, x + j * n));
    return log2(10.0 * sqrt(2.0 / acos(-1.0)) * longest) + exponent;
}

static bool the_rest_is_smaller(finder *f, size_t values) {
    int k;
    if (!make_space(f, values, &k)) return false;
    return log_rest(f, k) < ldexp(FIRST_ROUNDS * log2(f->value[0].modulus), f->squarings);
}

/* ---- step 6 -------------------------------------------------------------------------------- */

/* out [n][2] = q times the real and imaginary part of the largest value's vector, `sign` times its
 * imaginary part */
static void expand(const finder *f, const double *vectors, double sign, double *out) {
    size_t const n = (size_t)f->n, first = f->value[0].column * (size_t)f->m;
    bool const is_pair = f->value[0].is_pair;
    combine(f, 1.0, f->m, f->q, is_pair ? 2 : 1, vectors + first, 0.0, out);
    for (size_t i = 0; i < n; ++i) out[n + i] = is_pair ? sign * out[n + i] : 0.0;
}

/* |x| |z| / |z'x| of the right vector x and of z, the conjugate of the left one. That of q'aq is z
 * and a part in the vectors that the subspace leaves out; powers of a' let it vanish. */
static double condition(finder *f) {
    size_t const n = (size_t)f->n;
    int ignored = 0;
    double *z = f->block, *next = f->residual, dot[4];
    expand(f, f->left, -1.0, z);
    for (int i = 0; i < FIRST_ROUNDS; ++i) {
        apply(f, CblasTrans, f->power, 2, z, next);
        swap(&z, &next);
        if (!normalise(2 * n, z, &ignored)) return INFINITY;
    }
    expand(f, f->right, 1.0, next);
    coefficients(f, 2, z, 2, next, dot);
    return norm_of(2 * n, z) * norm_of(2 * n, next) / hypot(dot[0] - dot[3], dot[1] + dot[2]);
}

/* ---- the verdict --------------------------------------------------------------------------- */

static bool is_tied(const finder *f) {
    return f->n_values > 1 && f->value[1].modulus > (1.0 - tie) * f->value[0].modulus;
}

static verdict judge(finder *f) {
    if (!rayleigh_ritz(f)) return NEVER;
    size_t const converged = count_converged(f);
    ritz const top = f->value[0];
    if (converged == 0) return NOT_YET;
    if (is_tied(f) || !powers_are_moderate(f, log2(top.modulus))) return NEVER;
    double const sensitivity = condition(f) / top.modulus, rounding = DBL_EPSILON * f->norm;
    if (!(sensitivity * rounding <= max_error)) return NEVER;
    if (sensitivity * (rounding + top.residual) > max_error) return NOT_YET;
    return the_rest_is_smaller(f, converged) ? SURE : NOT_YET;
}

static verdict find(finder *f) {
    f->norm = norm_of((size_t)f->n * (size_t)f->n, f->a);
    if (!square_repeatedly(f)) return NEVER;
    if (!powers_are_moderate(f, ldexp(f->log_norm[f->squarings], -f->squarings))) return NEVER;
    fill_normal(f, 0, (size_t)f->m, f->q);
    iterate(f, FIRST_ROUNDS);
    verdict result = judge(f);
    for (int rounds = FIRST_ROUNDS; result == NOT_YET && rounds < MOST_ROUNDS;
         rounds += MORE_ROUNDS) {
        iterate(f, MORE_ROUNDS);
        result = judge(f);
    }
    return result;
}

rs_status rs_radius_by_powers(size_t n, const double *a, bool *sure, double *radius) {
    finder f;
    rs_blas_on_one_thread();
    RS_TRY(finder_make(n, a, &f));
    *sure = find(&f) == SURE;
    if (*sure) *radius = f.value[0].modulus;
    free(f.memory);
    return RS_OK;
}
