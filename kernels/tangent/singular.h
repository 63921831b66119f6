/* Singular values of a product of upper triangular matrices R_m .. R_1, whatever their size: right
 * to rounding beyond the range of double, small ones beside large ones.
 *
 * The product is kept as diag(e^(log_scale_i)) U with rows of U near 1: frames line up with the
 * directions of growth, so that rows are graded and no digit of a small one is lost. */
#ifndef RS_TANGENT_SINGULAR_H
#define RS_TANGENT_SINGULAR_H

#include "../base/block.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rs_triangle {
    size_t n;
    double *u;         /* [n][n], row i at u + i n */
    double *log_scale; /* [n]; -inf for a row of zeros */
    double *work;      /* [n + 1][n] */
} rs_triangle;

/* Measures or deals one of n rows. */
rs_triangle rs_triangle_deal(size_t n, rs_block *block);

void rs_triangle_identity(rs_triangle *t);

/* t = r t, r [n][n] as rs_frame_orthonormalise gives it. */
void rs_triangle_multiply(const double *r, rs_triangle *t);

/* ln of its singular values, descending, into out [n]; -inf for 0, NaN where t is not finite. t
 * stays as it is. */
void rs_triangle_singular_values(const rs_triangle *t, double *out);

/* Puts numbers [n] that are not NaN, or are all NaN, into descending order. */
void rs_sort_descending(size_t n, double *x);

#ifdef __cplusplus
}
#endif

#endif
