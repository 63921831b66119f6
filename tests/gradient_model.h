/* Norms of the weights' gradients by other ways than the engines': differences of the loss, and
 * plain loops in float. Of one radius of one group of a pass. */
#ifndef GRADIENT_MODEL_H
#define GRADIENT_MODEL_H

#include "../kernels/engine.h"

/* By central differences of every element, in long double, of the loss whose gradient at h_T is
 * delta and at every earlier h_t is step_delta. The warm-up keeps the weights as they are: no
 * gradient goes through it. Returns the least |a| of all units and steps of a cell of one gate: a
 * relu has no derivative at 0. */
double differenced_gradients(const rs_pass *pass, const rs_parameters *of, size_t group,
                             size_t radius, long double norm[RS_N_GRADIENT]);

/* By the usual loops in float, without any care for range, as training with PyTorch has them;
 * squares are summed in double. For tanh and linear cells without a leak, and drives that are zero
 * or given. */
void plain_float_gradients(const rs_pass *pass, const rs_parameters *of, size_t group,
                           size_t radius, long double norm[RS_N_GRADIENT]);

#endif
