/* What the reference engine keeps to learn: weights before they are rounded to the precision, the
 * gradients themselves, and what the loss is asked about. */
#ifndef RS_REFERENCE_LEARN_H
#define RS_REFERENCE_LEARN_H

#include "../base/block.h"
#include "gradient.h"

typedef struct rs_reference_learner {
    double *weight_hh;               /* [G][K H][H] as loaded and learnt */
    double *gradient[RS_N_GRADIENT]; /* [G] of each, as in rs_parameters, from the last pass */
    double *state, *delta;           /* [asked][B][H] of the group at hand, see rs_pass.loss */
} rs_reference_learner;

/* Numbers of a kind of gradient, and of the parameter that it is of. */
size_t rs_reference_parameter_size(const rs_shape *shape, rs_gradient kind);

/* Measures or deals it. */
void rs_reference_learner_deal(const rs_shape *shape, rs_block *block, rs_reference_learner *out);

/* Takes a group's sums, whatever they are scaled by; what leaves double's range is inf or 0. */
void rs_reference_learner_take(const rs_shape *shape, const rs_reference_gradient *sums,
                               size_t group, rs_reference_learner *out);

/* Step t's states of a sample, to be asked about; and the loss's own gradient of them. */
void rs_reference_learner_ask(const rs_shape *shape, size_t t, size_t sample, const double *h,
                              rs_reference_learner *out);
const double *rs_reference_learner_told(const rs_shape *shape, size_t t, size_t sample,
                                        const rs_reference_learner *from);

#endif
