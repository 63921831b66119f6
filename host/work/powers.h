/* The spectral radius of a large matrix by matrix products, several times faster than QR, with the
 * evidence that it is the largest; for the caller to ask LAPACK where the evidence is missing. */
#ifndef RS_POWERS_H
#define RS_POWERS_H

#include "../../kernels/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RS_POWERS_MIN_N = 64 };

/* Spectral radius of a [n][n], n from RS_POWERS_MIN_N, row- or column-major, entries finite and at
 * most 1 in magnitude. `*sure` is false, and *radius unset, where eigenvalues are too sensitive to
 * rounding or too close in modulus for this method: nilpotent, defective, orthogonal matrices.
 * Depends on `a` alone; on one thread. RS_EMEMORY. */
rs_status rs_radius_by_powers(size_t n, const double *a, bool *sure, double *radius);

/* Bytes that it needs beside `a`, those within BLAS apart; UINT64_MAX where the number does not
 * fit. */
uint64_t rs_radius_by_powers_bytes(size_t n);

#endif
