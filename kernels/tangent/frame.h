/* A frame: the tangents of one column, made orthonormal by QR with a positive diagonal, in double,
 * by LAPACK (Benettin et al. 1980; Geist, Parlitz & Lauterborn 1990). */
#ifndef RS_TANGENT_FRAME_H
#define RS_TANGENT_FRAME_H

#include "../base/block.h"
#include "../base/status.h"

/* Scratch of one thread for frames of k tangents. */
typedef struct rs_frame_work {
    double *work, *tau, *sign;
    size_t size; /* of work */
} rs_frame_work;

/* Measures or deals it. */
rs_frame_work rs_frame_deal(size_t k, rs_block *block);

/* Replaces the tangents q [k][rows], one after the other, by the orthonormal Q of q = Q R with
 * R_ii >= 0, and writes ln R_ii into log_r [k], -inf for 0. R itself goes to r, where that is not
 * NULL: [k][k], column j at r + j k, zeros below the diagonal. Where q is not finite log_r and r
 * are NaN and q is left as it is. Errors of rs_blas_begin. */
rs_status rs_frame_orthonormalise(size_t rows, size_t k, double *q, double *log_r, double *r,
                                  const rs_frame_work *scratch);

#endif
