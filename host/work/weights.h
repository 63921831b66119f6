/* weights: the arrays of one case, drawn from the seed or taken from the model. */
#ifndef RS_WEIGHTS_H
#define RS_WEIGHTS_H

#include "../plan/case.h"
#include "../plan/model.h"
#include "radii.h"

/* What is computed of a case before its launch. */
typedef struct rs_weights {
    size_t hidden;
    double *weight_hh; /* [K H][H] W0: its candidate block is of spectral radius 1, or as drawn with
                        * --rho native; rounded to the precision of the engine */
    double radius;     /* spectral radius of that block, measured again after scaling */
    double coupling;   /* g of that block */
    double drawn_radius; /* spectral radius before scaling */
    double *weight_ih;   /* [K H][I], NULL where the input needs none */
    double *bias_ih;     /* [K H], NULL likewise, but where the gate bias is given */
    double *bias_hh;     /* [K H], NULL likewise */
    double *h0, *c0;     /* [B][H], NULL for zeros; c0 of cells that have c */
    double log_det;      /* ln |det W0|, -inf where it is singular; NaN but where
                          * rs_case_has_determinant */
    double *eigenvalue;  /* [2][H] of W0, real and imaginary parts; NULL but where
                          * rs_case_has_eigenvalues */
} rs_weights;

/* Draws (Philox, see kernels/base/random.h) or takes the arrays of `one` and scales weight_hh.
 * A model without weight_ih has weight_ih and biases drawn as an ensemble's are; one with
 * weight_ih and without biases has none. RS_EINPUT where the radius is 0, or lost in rounding,
 * and must be scaled, or a value overflows the precision. Spectral radii that `radii` (NULL
 * allowed) has are not computed anew. The caller frees with rs_weights_free in any case. */
rs_status rs_weights_make(const rs_case *one, const rs_model *model, rs_radii *radii,
                          rs_weights *out);

/* Bytes that rs_weights_make needs while it runs beside those of the arrays it makes. */
uint64_t rs_weights_making_bytes(const rs_case *one);

void rs_weights_free(rs_weights *weights);

/* True where rs_weights_make gives both cases, of one model or of none, the same arrays. */
bool rs_weights_shared(const rs_case *a, const rs_case *b);

/* The scale of a gate at a radius: rho itself, or 1 with --rho native, and where the gates keep
 * their own scale, for all but the candidate; rounded to the precision. */
double rs_weights_scale(const rs_case *one, double rho, size_t gate);

/* The exponents of a case with eigenvalues at a scale s of W0, descending, into out [H]: ln |1 - A
 * + A s lambda_i| of W0's eigenvalues lambda_i, which are those of the one Jacobian (1 - A) 1 + A s
 * W0 of all steps. */
void rs_weights_predict(const rs_case *one, const rs_weights *weights, double scale, double *out);

/* delta_T of every sample of the batch for a case of `steps`, into gradient [B][H]; returns the
 * loss's term at every earlier step. last-mean: 1 / (B H); all-mean: 1 / (T B H), at every step;
 * random: a unit vector of each sample, uniform on the sphere. */
double rs_loss_gradient(rs_loss loss, uint64_t seed, size_t steps, size_t batch, size_t hidden,
                        double *gradient);

/* The arrays as an engine loads them; borrows `weights`. */
rs_parameters rs_weights_parameters(const rs_weights *weights);

/* u_t of the case for a pass of an engine, from sample `first_sample` on; borrows `model`. */
rs_drive rs_weights_drive(const rs_case *one, const rs_model *model, size_t first_sample);

#endif
