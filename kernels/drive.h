/* The input u_t that drives a sample, made where it is needed: any part in any order, on any
 * thread, and any chunk of the work sees the same inputs. */
#ifndef RS_DRIVE_H
#define RS_DRIVE_H

#include "engine.h"

/* Fills u[0 .. K H), gate by gate, for one step and one sample of a pass of this shape. `step`
 * counts from 0 and includes the warm-up. Sums run over i = 0 .. I - 1 in that order, the biases'
 * sum last; bias_hh of a GRU's candidate is left to the product. Cannot fail. */
typedef void rs_drive_filler(const rs_shape *shape, const rs_parameters *of, const rs_drive *drive,
                             size_t step, size_t sample, double *u);
rs_drive_filler rs_drive_fill;

/* Fills x[0 .. I) of a weighted drive, likewise. */
void rs_drive_input(const rs_shape *shape, const rs_drive *drive, size_t step, size_t sample,
                    double *x);

#endif
