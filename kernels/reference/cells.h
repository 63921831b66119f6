/* One step of each cell forward and back, by the formulas of cell.h. */
#ifndef RS_REFERENCE_CELLS_H
#define RS_REFERENCE_CELLS_H

#include "../engine.h"

/* A column at one step. Arrays of gates are [K][H], those of states [S][H]. */
typedef struct rs_reference_step {
    double *p, *u; /* sums of the gates: s_k W_k h, to which a GRU's candidate has its bias_hh
                      added, and the drive; on the way back dL/dp and dL/du */
    const double *before; /* the state that enters */
    double *after;        /* the state that leaves */
} rs_reference_step;

/* Fills `after`. True where all of it is finite. */
bool rs_reference_forward(const rs_shape *shape, const rs_reference_step *step);

/* From dL/d(after), delta [S][H]: dL/dp and dL/du in the place of p and u, and in the place of
 * delta what reaches `before` by other ways than the product. */
void rs_reference_backward(const rs_shape *shape, const rs_reference_step *step, double *delta);

/* How a step that rs_reference_forward has made carries a tangent along: from v [S][H] of `before`,
 * and dp [K][H], what the product makes of its h, to that of `after`, in v's place. It is the
 * transpose of the way back. */
void rs_reference_push(const rs_shape *shape, const rs_reference_step *step, const double *dp,
                       double *v);

/* ln phi'(a) of a unit whose cell has one gate. */
double rs_reference_log_slope(const rs_shape *shape, const rs_reference_step *step, size_t unit);

#endif
