/* fit: from norms to profiles, decay rates and their spread over seeds. */
#ifndef RS_FIT_H
#define RS_FIT_H

#include "../../kernels/engine.h"

/* log10 |delta_t| of one radius over the batch, index t - 1. */
typedef struct rs_log_profile {
    double *mean;      /* [T] over the samples whose gradient is not exactly 0; -inf without one */
    double *min, *max; /* [T] each; -inf for 0, inf for inf, NaN for NaN */
    double *zero;      /* [T] fraction of the samples whose gradient is exactly 0 */
} rs_log_profile;

/* log10 of sqrt(norm2) 2^exponent. Where the norm is in double's range the result is that of
 * log10 applied to it, whatever the exponent: range extension leaves no trace. */
double rs_log10_norm(double norm2, int32_t exponent);

/* One sample's norms as an engine records them, at step 1. */
typedef struct rs_norm_view {
    const double *norm2;     /* sums of squares, of which `states` are added */
    const int32_t *exponent; /* beside them */
    size_t states;           /* `stride` apart */
    size_t stride;           /* between the exponents of steps */
    size_t norm_stride;      /* between the sums of steps */
} rs_norm_view;

/* Adds one sample's log10 norms [T] to a profile; `count` samples went before. Called in the order
 * of the samples, so that the sum never depends on chunks. */
void rs_profile_add(rs_log_profile *profile, size_t count, size_t steps, const rs_norm_view *norms);

/* Turns the sums of `count` samples into means and fractions. */
void rs_profile_finish(rs_log_profile *profile, size_t count, size_t steps);

/* Minus the least-squares slope of ln |delta_t| against T - t, in nats per step, over the finite
 * values at least `fit_skip` steps from the loss. NaN where fewer than two are left. */
double rs_decay_rate(const double *log10_norm, size_t steps, size_t fit_skip);

/* Steps back from T (0 is T itself), or -1 for never, at which gradients would first leave the
 * range of a format. The norm is spread evenly over its elements, H or 2 H of a pair, rms = |delta|
 * / sqrt(elements): underflow is rms of the smallest sample below half the smallest subnormal (it
 * rounds to 0), overflow is rms of the largest sample above the largest finite number. */
typedef struct rs_range_steps {
    long fp32_underflow, fp32_overflow;
    long fp16_underflow, fp16_overflow;
    long bf16_underflow, bf16_overflow;
    long backward_nonfinite; /* first norm that is inf or NaN as computed */
} rs_range_steps;
rs_range_steps rs_range_find(const rs_log_profile *profile, size_t steps, size_t elements);

/* How the tangents of a radius stretched, over recorded steps and in the mean over the samples.
 * Sums until rs_lyapunov_finish (lyapunov.h). */
typedef struct rs_lyapunov {
    double *exponent;       /* [k] nats per step, descending; NaN where a sample is not finite */
    double *standard_error; /* [k] of each, by batch means; NaN where there are fewer than two */
    double *predicted; /* [k] descending, ln |eigenvalue| of a linear cell's Jacobian; NULL where
                          there is none */
    double *singular;  /* [n_singular][k] ln of singular values; NULL without */
    size_t qr_every;   /* most steps between two QRs, of all samples */
    double log_slope;  /* mean of ln phi'(a); NaN where the cell has none */
    double
        sum_rule_residual; /* mean exponent - ln|det W_hh| / H - log_slope; NaN where the rule does
                              not hold: gates, a leak, fewer directions than H, a singular W_hh */
} rs_lyapunov;

/* One radius of a case. */
typedef struct rs_point {
    double rho_asked; /* NaN for native */
    double rho, g;    /* reached: measured radius and coupling times the scale */
    double decay_rate;
    long forward_nonfinite; /* first recorded t whose h_t is not finite in some sample, 0 none */
    rs_range_steps range;
    rs_log_profile profile; /* [T] of the whole state: what the rate is fitted to, and `range` found
                               in; NULL arrays to keep no curve */
    rs_log_profile state[RS_MAX_STATES]; /* [T] of h and of c alone, of cells that have both */
    bool has_gradients;
    double gradient[RS_N_GRADIENT]; /* log10 of the Frobenius norms of the weights' gradients,
                                       -inf for 0, NaN where they are NaN */
    rs_lyapunov lyapunov;           /* NULL arrays without */
} rs_point;

/* Nats per step below which a gradient counts as unchanged: 1 part in 10^6. */
#define RS_STEADY_RATE 1e-6

typedef enum rs_regime {
    RS_REGIME_UNKNOWN, /* no rate */
    RS_VANISHING,
    RS_EXPLODING,
    RS_STEADY, /* |mean rate| <= RS_STEADY_RATE */
    RS_MIXED,  /* the 95% interval includes 0 and is wider than that */
    RS_SLOW,   /* the interval excludes 0, but |mean rate| T < ln 1000: less than a factor of 1000
                  over all T steps */
    RS_N_REGIME
} rs_regime;

typedef struct rs_seed_summary {
    size_t seeds; /* with a rate */
    double mean;
    double ci95; /* half width, Student t; NaN for one seed */
    double min, max;
    double gain;             /* exp(-mean) */
    double growing_fraction; /* of seeds with a rate below 0 */
    rs_regime regime;
} rs_seed_summary;

/* Of a mean rate over T = `steps` with the half width of its 95% interval, NaN where there is
 * none. */
rs_regime rs_regime_of(double mean, double ci95, size_t steps);

/* Summary of rates [n] over T = `steps`; NaN entries are left out. All but `seeds` NaN where none
 * is left. */
rs_seed_summary rs_fit_seeds(const double *rates, size_t n, size_t steps);

/* 97.5% quantile of Student's t with `dof` >= 1 degrees of freedom, to 1e-10. */
double rs_student_t975(size_t dof);

/* "", "vanishing", "exploding", "steady", "mixed", "slow". */
const char *rs_regime_name(rs_regime regime);

#endif
