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

#endif
