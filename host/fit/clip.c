#include "clip.h"

#include <math.h>

static double const log10_epsilon = -6.0; /* clip_grad_norm_ adds 1e-6 to the total */
static double const ln_10 = 0x1.26bb1bbb55516p+1;

/* The squares are added relative to the largest, so that they neither overflow nor underflow. */
static double add_norms(const double log10_norm[RS_N_GRADIENT]) {
    double largest = -INFINITY, sum = 0.0;
    for (int k = 0; k < RS_N_GRADIENT; ++k) {
        if (isnan(log10_norm[k])) return NAN;
        largest = fmax(largest, log10_norm[k]);
    }
    if (isinf(largest)) return largest;
    for (int k = 0; k < RS_N_GRADIENT; ++k) sum += pow(10.0, 2.0 * (log10_norm[k] - largest));
    return largest + 0.5 * log10(sum);
}

/* coefficient = max_norm / (total + epsilon), total * coefficient: both without a sum or product
 * that could leave double's range, or digits that cancel. */
rs_clip rs_clip_find(const double log10_norm[RS_N_GRADIENT], double max_norm) {
    double const total = add_norms(log10_norm), limit = log10(max_norm);
    if (isnan(total)) return (rs_clip){NAN, NAN, NAN};
    double const above = total - log10_epsilon;
    double const more =
        log1p(pow(10.0, -fabs(above))) / ln_10; /* 1 + smaller / larger of the two */
    double const coefficient = limit - (fmax(total, log10_epsilon) + more);
    if (coefficient >= 0.0) return (rs_clip){total, 0.0, total};
    if (total == INFINITY) return (rs_clip){total, coefficient, NAN}; /* inf * 0 */
    return (rs_clip){total, coefficient, limit + fmin(above, 0.0) - more};
}
