/* Spectra and factors of square matrices, by LAPACK and for large matrices by faster ways that
 * check themselves; always on one thread so that no bit depends on threads. */
#ifndef RS_SPECTRUM_H
#define RS_SPECTRUM_H

#include "../../kernels/base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Spectral radius, the largest |eigenvalue|, of a [n][n]: dsyev for an exactly symmetric matrix,
 * dgeev (balanced QR) for any other. From n = 256 on, an orthogonal matrix and its multiples have
 * the radius of their definition, and other matrices that of powers.h where that is sure: both
 * within 1e-12 of dgeev's. A radius that cannot be told from 0 in double, below n eps |a|_F, is
 * returned as 0. RS_EMEMORY; RS_EINPUT where QR does not converge, a is not finite, or the radius
 * is beyond double's range. */
rs_status rs_spectral_radius(size_t n, const double *a, double *radius);

/* Bytes that it needs at most beside `a`, those of the libraries included; UINT64_MAX where the
 * number does not fit. */
uint64_t rs_spectral_radius_bytes(size_t n);

/* Coupling g = |a|_F / sqrt(n), the g of mean-field theory (SCIENCE: Sompolinsky et al. 1988).
 * Scaled, so that it neither overflows nor underflows. */
double rs_coupling(size_t n, const double *a);

/* Singular values of a [n][n], descending, into s [n] (dgesdd). Errors as above. */
rs_status rs_singular_values(size_t n, const double *a, double *s);

/* Eigenvalues of a [n][n] into re [n] and im [n], by descending modulus. Errors as above. */
rs_status rs_eigenvalues(size_t n, const double *a, double *re, double *im);

/* Bytes that it, or rs_log_abs_determinant, needs beside its arguments, as above. */
uint64_t rs_eigenvalues_bytes(size_t n);

/* ln |det a| of a [n][n] (dgetrf), -inf where a is singular. Errors as above, but that nothing
 * needs to converge. */
rs_status rs_log_abs_determinant(size_t n, const double *a, double *log_det);

/* Replaces a [n][n] by its orthogonal factor Q in a = L Q, L lower triangular with a positive
 * diagonal: Haar distributed where a is Gaussian (Mezzadri 2007). Errors as above. */
rs_status rs_orthogonal_factor(size_t n, double *a);

/* Replaces a [n][n], orthogonal, by a' D a: a normal matrix whose eigenvalues are the pairs
 * re[j] +- i im[j], j < n / 2, and for odd n the real one re[n / 2]. D has a block of 2 x 2, a
 * rotation and a scale, for each pair. On one thread. RS_EMEMORY; errors as above. */
rs_status rs_normal_matrix(size_t n, const double *re, const double *im, double *a);

#endif
