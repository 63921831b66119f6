/* Tangents of one column, carried along its forward pass. */
#ifndef RS_REFERENCE_TANGENT_H
#define RS_REFERENCE_TANGENT_H

#include "../tangent/frame.h"
#include "../tangent/schedule.h"
#include "../tangent/singular.h"
#include "cells.h"

/* Where a column's results go: its parts of the record's arrays. */
typedef struct rs_tangent_place {
    double *stretch;  /* [RS_STRETCH_BLOCKS][k] */
    double *singular; /* [n_singular][k] */
    double *log_slope;
    uint32_t *qr_gap;
} rs_tangent_place;

typedef struct rs_reference_tangent {
    double *v;             /* [k][S H] */
    double *log_r;         /* [k] */
    double *r;             /* [k][k]; with singular values only, as the triangle */
    rs_triangle triangle;  /* of the recorded steps so far */
    rs_frame_work scratch; /* of QR */
    rs_qr_schedule schedule;
    double slopes; /* sum of ln phi' */
    double qr_seconds;
    rs_tangent_place to;
} rs_reference_tangent;

/* Measures or deals the arrays. */
void rs_reference_tangent_deal(const rs_shape *shape, rs_block *block, rs_reference_tangent *out);

/* Before a column's first step of the transient. */
void rs_reference_tangent_start(const rs_shape *shape, rs_tangent_place to,
                                rs_reference_tangent *t);

/* Tangent j [S H], to be pushed. */
double *rs_reference_tangent_at(const rs_shape *shape, const rs_reference_tangent *t, size_t j);

/* Once all tangents are pushed through step `number`, from 1 at the first of the transient: QR
 * where it is due, and the sums. Errors of QR. */
rs_status rs_reference_tangent_end(const rs_shape *shape, const rs_reference_step *step,
                                   size_t number, rs_reference_tangent *t);

/* After the last step. */
void rs_reference_tangent_finish(const rs_shape *shape, const rs_reference_tangent *t);

#endif
