#include "singular.h"

#include "../base/sizes.h"
#include "rotation.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

rs_triangle rs_triangle_deal(size_t n, rs_block *block) {
    uint64_t const row = rs_size_mul(n, sizeof(double));
    rs_triangle t = {.n = n};
    t.u = rs_block_take(block, n, row);
    t.log_scale = rs_block_take(block, 1, row);
    t.work = rs_block_take(block, rs_size_add(n, 1), row);
    return t;
}

void rs_triangle_identity(rs_triangle *t) {
    memset(t->u, 0, t->n * t->n * sizeof *t->u);
    for (size_t i = 0; i < t->n; ++i) {
        t->u[i * t->n + i] = 1.0;
        t->log_scale[i] = 0.0;
    }
}

/* ---- products -------------------------------------------------------------------------------- */

static double norm_of(size_t n, const double *x) {
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) sum += x[i] * x[i];
    return sqrt(sum);
}

/* Brings row i, of numbers that are far from either end of double's range, to the norm 1. */
static void normalise(size_t n, double *row, double *log_scale) {
    double const norm = norm_of(n, row);
    *log_scale += log(norm); /* -inf for a row of zeros */
    if (norm == 0.0) return;
    for (size_t j = 0; j < n; ++j) row[j] /= norm;
}

/* ln |r_il e^(log_scale_l)| of row l in the sum that is row i of r t. */
static double log_term(const double *r, const rs_triangle *t, size_t i, size_t l) {
    double const entry = fabs(r[l * t->n + i]);
    return entry == 0.0 ? -INFINITY : log(entry) + t->log_scale[l];
}

/* That of the largest one; -inf where all are 0, NaN where one is NaN. */
static double largest_term(const double *r, const rs_triangle *t, size_t i) {
    double most = -INFINITY;
    for (size_t l = i; l < t->n; ++l) {
        double const term = log_term(r, t, i, l);
        if (isnan(term)) return term;
        if (term > most) most = term;
    }
    return most;
}

/* Row i of r t, in its place: rows above it are not read any more once those below are needed. */
static void multiply_row(const double *r, rs_triangle *t, size_t i) {
    size_t const n = t->n;
    double *const sum = t->work;
    double const scale = largest_term(r, t, i);
    memset(sum, 0, n * sizeof *sum);
    for (size_t l = i; l < n && scale > -INFINITY; ++l) {
        double const factor = copysign(exp(log_term(r, t, i, l) - scale), r[l * n + i]);
        for (size_t j = 0; j < n && factor != 0.0; ++j) sum[j] += factor * t->u[l * n + j];
    }
    memcpy(t->u + i * n, sum, n * sizeof *sum);
    t->log_scale[i] = scale;
    if (scale > -INFINITY) normalise(n, t->u + i * n, &t->log_scale[i]);
}

void rs_triangle_multiply(const double *r, rs_triangle *t) {
    for (size_t i = 0; i < t->n; ++i) multiply_row(r, t, i);
}

/* ---- singular values ------------------------------------------------------------------------- */

/* Two rows a and b of the triangle, unit vectors and the logarithms of their sizes; a is the larger
 * one. */
typedef struct row_pair {
    double *a, *b, *log_a, *log_b;
} row_pair;

/* Rotates two rows until they are orthogonal; false where they are so already. */
static bool rotate(size_t n, const row_pair *p) {
    double dot = 0.0;
    for (size_t j = 0; j < n; ++j) dot += p->a[j] * p->b[j];
    if (rs_is_orthogonal(n, dot)) return false;
    rs_rotation const r = rs_rotation_of(dot, exp(*p->log_b - *p->log_a));
    for (size_t j = 0; j < n; ++j) {
        double const a = p->a[j], b = p->b[j];
        p->a[j] = r.cosine * (a + r.small * b);
        p->b[j] = r.cosine * (b - r.slope * a);
    }
    normalise(n, p->a, p->log_a);
    normalise(n, p->b, p->log_b);
    return true;
}

static bool rotate_rows(size_t n, double *u, double *log_scale, size_t i, size_t j) {
    if (log_scale[i] == -INFINITY || log_scale[j] == -INFINITY) return false;
    size_t const large = log_scale[i] >= log_scale[j] ? i : j, small = i + j - large;
    double *const a = u + large * n, *const b = u + small * n;
    double *const log_a = log_scale + large, *const log_b = log_scale + small;
    row_pair const p = {a, b, log_a, log_b};
    return rotate(n, &p);
}

static int by_descending(const void *left, const void *right) {
    double const l = *(const double *)left, r = *(const double *)right;
    return (l < r) - (l > r);
}

void rs_sort_descending(size_t n, double *x) { qsort(x, n, sizeof *x, by_descending); }

static bool is_number(const rs_triangle *t) {
    for (size_t i = 0; i < t->n; ++i)
        if (isnan(t->log_scale[i]) || t->log_scale[i] == INFINITY) return false;
    return true;
}

/* One-sided Jacobi on the rows: with scales of their own the values come out right to rounding,
 * each for itself (Demmel & Veselic 1992; Drmac 1997). Converges quadratically; the bound is never
 * met. */
void rs_triangle_singular_values(const rs_triangle *t, double *out) {
    enum { MOST_SWEEPS = 60 };
    size_t const n = t->n;
    double *const u = t->work + n;
    bool moved = is_number(t);
    memcpy(u, t->u, n * n * sizeof *u);
    for (size_t i = 0; i < n; ++i) out[i] = moved ? t->log_scale[i] : NAN;
    for (int sweep = 0; moved && sweep < MOST_SWEEPS; ++sweep) {
        moved = false;
        for (size_t i = 0; i < n; ++i)
            for (size_t j = i + 1; j < n; ++j) moved = rotate_rows(n, u, out, i, j) || moved;
    }
    rs_sort_descending(n, out);
}
