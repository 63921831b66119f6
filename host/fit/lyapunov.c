#include "lyapunov.h"

#include "../../kernels/tangent/schedule.h"

#include <math.h>

void rs_lyapunov_add(const rs_shape *shape, const rs_record *record, size_t column,
                     rs_stretch_sum *sum) {
    size_t const stretches = RS_STRETCH_BLOCKS * shape->directions;
    size_t const values = shape->n_singular * shape->directions;
    const double *const stretch = record->stretch + column * stretches;
    for (size_t i = 0; i < stretches; ++i) sum->stretch[i] += stretch[i];
    for (size_t i = 0; i < values; ++i) sum->singular[i] += record->singular[column * values + i];
    sum->log_slope += record->log_slope[column];
    if (record->qr_gap[column] > sum->qr_every) sum->qr_every = record->qr_gap[column];
}

/* Of direction i in block b, in nats per step. */
static double rate_of(const rs_shape *shape, size_t batch, const rs_stretch_sum *sum, size_t b,
                      size_t i) {
    size_t const steps = rs_stretch_start(shape->steps, b + 1) - rs_stretch_start(shape->steps, b);
    return sum->stretch[b * shape->directions + i] / ((double)steps * (double)batch);
}

static double exponent_of(const rs_shape *shape, size_t batch, const rs_stretch_sum *sum,
                          size_t i) {
    double total = 0.0;
    for (size_t b = 0; b < rs_stretch_blocks(shape->steps); ++b)
        total += sum->stretch[b * shape->directions + i];
    return total / ((double)shape->steps * (double)batch);
}

/* Method of batch means (Law & Kelton, Simulation Modeling and Analysis, section 9.5.3). Blocks
 * differ by a step at most, and count as equal. */
static double error_of(const rs_shape *shape, size_t batch, const rs_stretch_sum *sum, size_t i) {
    size_t const blocks = rs_stretch_blocks(shape->steps);
    double mean = 0.0, squares = 0.0;
    if (blocks < 2) return NAN;
    for (size_t b = 0; b < blocks; ++b) mean += rate_of(shape, batch, sum, b, i);
    mean /= (double)blocks;
    for (size_t b = 0; b < blocks; ++b) {
        double const away = rate_of(shape, batch, sum, b, i) - mean;
        squares += away * away;
    }
    return sqrt(squares / (double)(blocks - 1) / (double)blocks);
}

/* Whether a stands before b where exponents descend, NaN last. */
static bool is_before(double a, double b) { return a > b || (isnan(b) && !isnan(a)); }

/* QR leaves them nearly in order, so that most stay in their place. */
static void sort_exponents(size_t k, double *exponent, double *error) {
    for (size_t i = 1; i < k; ++i) {
        double const value = exponent[i], its_error = error[i];
        size_t at = i;
        for (; at > 0 && is_before(value, exponent[at - 1]); --at) {
            exponent[at] = exponent[at - 1];
            error[at] = error[at - 1];
        }
        exponent[at] = value;
        error[at] = its_error;
    }
}

static double mean_of(const double *value, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) sum += value[i];
    return sum / (double)n;
}

/* ln |det J_t| = ln |det W_hh| + sum of ln phi'(a_t), added up over the steps: the exponents have
 * the same sum. The slope is NaN for cells without such a rule. */
static double residual_of(const rs_shape *shape, double log_det, const rs_lyapunov *of) {
    if (shape->directions != shape->hidden || !isfinite(log_det)) return NAN;
    return mean_of(of->exponent, shape->directions) - log_det / (double)shape->hidden -
           of->log_slope;
}

void rs_lyapunov_finish(const rs_shape *shape, size_t batch, const rs_stretch_sum *sum,
                        double log_det, rs_lyapunov *out) {
    size_t const k = shape->directions;
    for (size_t i = 0; i < k; ++i) {
        out->exponent[i] = exponent_of(shape, batch, sum, i);
        out->standard_error[i] = error_of(shape, batch, sum, i);
    }
    sort_exponents(k, out->exponent, out->standard_error);
    for (size_t i = 0; i < shape->n_singular * k; ++i)
        out->singular[i] = sum->singular[i] / (double)batch;
    out->qr_every = sum->qr_every;
    out->log_slope = sum->log_slope / (double)batch;
    out->sum_rule_residual = residual_of(shape, log_det, out);
}

static double kaplan_yorke(const double *exponent, size_t k, size_t all) {
    double sum = 0.0;
    for (size_t j = 0; j < k; ++j) {
        if (isnan(exponent[j])) return NAN;
        if (sum + exponent[j] < 0.0) return (double)j + sum / fabs(exponent[j]);
        sum += exponent[j];
    }
    return k == all ? (double)all : NAN;
}

/* fmax would hide a NaN. */
static double entropy_rate(const double *exponent, size_t k, size_t all) {
    double sum = 0.0;
    for (size_t i = 0; i < k && !(exponent[i] <= 0.0); ++i) sum += exponent[i];
    return k < all && exponent[k - 1] > 0.0 ? NAN : sum;
}

rs_spectrum_summary rs_lyapunov_summary(const double *exponent, size_t k, size_t all) {
    return (rs_spectrum_summary){
        .largest = exponent[0],
        .kaplan_yorke = kaplan_yorke(exponent, k, all),
        .entropy_rate = entropy_rate(exponent, k, all),
        .mean = k == all ? mean_of(exponent, k) : NAN,
    };
}
