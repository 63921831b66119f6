/* clip: what torch.nn.utils.clip_grad_norm_ makes of the norms of the weights' gradients. */
#ifndef RS_CLIP_H
#define RS_CLIP_H

#include "../../kernels/engine.h"

/* log10 of every number, which may be beyond double's range; -inf for 0, inf for inf, NaN for NaN.
 */
typedef struct rs_clip {
    double total;         /* norm of all gradients together */
    double coefficient;   /* that each of them is multiplied by, at most 1 */
    double total_clipped; /* norm of all gradients after that */
} rs_clip;

/* Of gradients with the norms 10^log10_norm, clipped to max_norm > 0. As in PyTorch, a total of inf
 * has the coefficient 0, after which the norm is NaN, and NaN makes all three NaN. */
rs_clip rs_clip_find(const double log10_norm[RS_N_GRADIENT], double max_norm);

#endif
