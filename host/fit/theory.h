/* theory: the decay rates that theory predicts, for comparison with measured ones. All are minus
 * the mean growth of ln |delta| per step back, in nats: positive vanishes. */
#ifndef RS_THEORY_H
#define RS_THEORY_H

#include "../plan/case.h"

#include <stdbool.h>

/* --- mean-field theory, H to infinity ----------------------------------------------------------
 */

enum { RS_THEORY_NODES = 128 };

/* The positive half of a Gauss-Hermite rule: averages over z ~ N(0, 1) of even functions. */
typedef struct rs_theory {
    double node[RS_THEORY_NODES], weight[RS_THEORY_NODES]; /* weights sum to 1 */
} rs_theory;

rs_status rs_theory_make(rs_theory *out);

/* The stationary state of h_t = tanh(W h_{t-1} + x_t), W_ij ~ N(0, g^2 / H), x_t ~ N(0, sigma^2)
 * per unit; sigma may be 0. Poole et al. 2016; Chen, Pennington & Schoenholz 2018. */
typedef struct rs_mean_field {
    double q;          /* variance of the pre-activations, g^2 E[phi^2] + sigma^2 */
    double chi;        /* g^2 E[phi'^2]: mean growth of |delta|^2 per step back */
    double kappa;      /* E[phi'^4] / E[phi'^2]^2 */
    double decay_rate; /* -ln(chi) / 2 */
} rs_mean_field;

rs_mean_field rs_mean_field_tanh(const rs_theory *theory, double g, double sigma);

/* The same for relu with sigma > 0, g below sqrt(2): half of the units are on, whatever sigma is.
 */
rs_mean_field rs_mean_field_relu(double g, double sigma);

/* What `hidden` units, not infinitely many, add to the decay rate, to first order: the ln of a mean
 * over units is on average less than the ln of its average. Less for an isometry, W = g Q with Q
 * orthogonal, which adds no fluctuations of its own. */
double rs_finite_size_shift(const rs_mean_field *field, size_t hidden, bool isometry);

/* The coupling at which chi is 1, so that gradients keep their norm; sigma from 0 to 100. */
double rs_critical_coupling(const rs_theory *theory, double sigma);

/* --- closed forms ----------------------------------------------------------------------------- */

/* tanh, W = rho I, no input, h0 not 0: the slope of tanh(rho h) at its stable fixed point. */
double rs_identity_tanh_decay(double rho);

/* --- which law applies to a network ----------------------------------------------------------- */

/* Cells that keep a part of their state have laws that are named by their formulas. At the zero
 * state, with neither input nor start state, all biases are 0 but the given one of the memory gate,
 * and a step's Jacobian is
 *
 *     LSTM   c: f + W/4              f = sigma(b_f), the other gates at 1/2
 *     GRU    h: z + (1 - z) W/2      z = sigma(b_z), r = 1/2
 *     leaky  h: 1 - A + A W          linear cells everywhere, tanh at the zero state
 *
 * with W the candidate's block, whatever scales the others. So the gain is that with rho in the
 * place of W, exactly, where W is the identity; with rho, for orthogonal matrices, and with g, for
 * iid entries, up to a remaining k^(-1/4) after k steps, sum_j C(k, j)^2 a^(2 (k - j)) b^(2 j)
 * ~ (a + b)^(2 k) / sqrt(k) being the mean of |delta|^2, and for iid entries up to the scatter of
 * the eigenvalues next to the largest a + b lambda. Measured, for the mean over seeds: within 0.03
 * (iid) and 0.015 (orthogonal) from 32 units and 50 steps on where the kept part is at least a
 * tenth of the gain; elsewhere no law is given. Where W is 0 the kept part is the gain, exactly. No
 * law is given for chrono biases: units decay at rates of their own, and the slowest win over time.
 * The formulas follow from the cells' (kernels/cell.h); mean-field theory of gated cells away from
 * the zero state (Gilboa et al. 2019; Can, Krishnamurthy & Schwab 2020) takes other limits and is
 * not used. */
typedef struct rs_prediction {
    const char *law;   /* "ln rho", "ln g", "identity fixed point", "mean field", "ln(f + g/4)" and
                          the like; NULL for none */
    double decay_rate; /* NaN for none */
} rs_prediction;

/* The prediction for a case at radius `rho` and coupling `g`, for stationary states, after a
 * warm-up and some steps away from the loss; none where no law applies. Reads cell,
 * ensemble, hidden, steps, input, h0, loss, gate bias and leak of the case. */
rs_prediction rs_predict(const rs_theory *theory, const rs_case *one, double rho, double g);

/* The coupling at which theory has the case's gradients keep their norm, in the limit of infinitely
 * many units: that of tanh networks driven by noise, of leaky ones, 1, and of gates at the zero
 * state, 4 (1 - sigma(b_f)) for an LSTM and 2 for a GRU, wherever rs_predict() knows their rate
 * there; NaN for others. */
double rs_predict_critical(const rs_theory *theory, const rs_case *one);

/* The least decay rate that |phi'| <= 1 leaves, -ln of the largest singular value s (Pascanu,
 * Mikolov & Bengio 2013), or -ln(1 - A + A s) of a leaky cell. That is rho for normal matrices and
 * tends to 2 g for iid entries. NaN where neither holds, where the loss feeds every step, and for
 * cells with gates. */
double rs_decay_bound(const rs_case *one, double rho, double g);

#endif
