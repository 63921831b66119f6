#include "theory.h"

#include <lapacke.h>
#include <math.h>

/* --- Gauss-Hermite quadrature ----------------------------------------------------------------- */

/* Node z of the rule of all nodes: weight 1 / sum p_k(z)^2 over the orthonormal Hermite polynomials
 * p_0 ... p_(n-1). Unlike the eigenvectors of Golub & Welsch it is right to the last digits for the
 * smallest weights too, which matter below. */
static double christoffel_weight(double z, int n) {
    double before = 0.0, here = 1.0, sum = 1.0;
    for (int k = 1; k < n; ++k) {
        double const next = (z * here - sqrt(k - 1.0) * before) / sqrt((double)k);
        before = here;
        here = next;
        sum += here * here;
    }
    return 1.0 / sum;
}

/* Golub & Welsch 1969: the nodes are the eigenvalues of the Jacobi matrix of the polynomials. */
rs_status rs_theory_make(rs_theory *out) {
    enum { N = 2 * RS_THEORY_NODES };
    double diagonal[N] = {0.0}, beside[N];
    for (int k = 1; k < N; ++k) beside[k - 1] = sqrt((double)k);
    lapack_int const info = LAPACKE_dsterf(N, diagonal, beside);
    if (info != 0)
        return rs_fail(RS_EINPUT, "quadrature: LAPACK did not converge (info %d)", (int)info);
    for (int i = 0; i < RS_THEORY_NODES; ++i) {
        out->node[i] = diagonal[RS_THEORY_NODES + i]; /* ascending: the positive half */
        out->weight[i] = 2.0 * christoffel_weight(out->node[i], N);
    }
    return RS_OK;
}

/* --- mean field ------------------------------------------------------------------------------- */

/* Averages of powers of tanh'(a) over a ~ N(0, q). */
typedef struct moments {
    double first, second, fourth;
} moments;

/* 1 - tanh(a)^2 without cancellation, a >= 0. */
static double tanh_slope(double a) {
    double const e = exp(-2.0 * a);
    return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

/* tanh' has its mass within a few units of 0 and poles at +-i pi/2. For wide distributions of a the
 * nodes would lie too far apart for that; there they are drawn from a narrower one, and the ratio
 * of the densities joins the integrand. */
static moments slope_moments(const rs_theory *theory, double q) {
    double const widest = 1.0, width = sqrt(q), scale = fmin(width, widest);
    double const ratio = scale < width ? scale / width : 1.0;
    moments m = {0.0, 0.0, 0.0};
    for (int i = 0; i < RS_THEORY_NODES; ++i) {
        double const z = theory->node[i], slope = tanh_slope(scale * z);
        double const density = ratio * exp(0.5 * z * z * (1.0 - ratio * ratio));
        double const weighted = theory->weight[i] * density * slope;
        m.first += weighted;
        m.second += weighted * slope;
        m.fourth += weighted * slope * slope * slope;
    }
    return m;
}

/* Newton's method for F(q) = g^2 E[tanh^2] + sigma^2 - q = 0, with tanh^2 = 1 - tanh' and
 * dE[tanh^2]/dq = E[3 tanh'^2 - 2 tanh'] (Stein's lemma). F is concave and negative at the start,
 * so that q falls to the largest root without ever passing it. */
static double stationary_variance(const rs_theory *theory, double g, double sigma) {
    double const g2 = g * g, noise = sigma * sigma;
    if (noise == 0.0 && g <= 1.0) return 0.0;
    double q = g2 + noise;
    for (;;) {
        moments const m = slope_moments(theory, q);
        double const f = g2 * (1.0 - m.first) + noise - q;
        double const next = q - f / (g2 * (3.0 * m.second - 2.0 * m.first) - 1.0);
        if (!(next < q)) return q;
        q = next;
    }
}

rs_mean_field rs_mean_field_tanh(const rs_theory *theory, double g, double sigma) {
    double const q = stationary_variance(theory, g, sigma);
    moments const m = slope_moments(theory, q);
    double const chi = g * g * m.second;
    return (rs_mean_field){.q = q,
                           .chi = chi,
                           .kappa = m.fourth / (m.second * m.second),
                           .decay_rate = -0.5 * log(chi)};
}

rs_mean_field rs_mean_field_relu(double g, double sigma) {
    double const chi = 0.5 * g * g;
    return (rs_mean_field){
        .q = sigma * sigma / (1.0 - chi), .chi = chi, .kappa = 2.0, .decay_rate = -0.5 * log(chi)};
}

/* One step back multiplies |delta|^2 by a mean over units, whose variance relative to its square is
 * (3 kappa - 3) / H from phi'^2 delta^2 at a given |delta|, plus 2 / H from the weights; a quarter
 * of it is lost from half the ln. */
double rs_finite_size_shift(const rs_mean_field *field, size_t hidden, bool isometry) {
    double const from_weights = isometry ? 0.0 : 2.0;
    return (3.0 * field->kappa - 3.0 + from_weights) / (4.0 * (double)hidden);
}

/* The noise variance for which a network of variance q is critical: chi = 1 gives g, and then the
 * fixed point gives sigma^2. It grows with q. */
static double critical_noise(const rs_theory *theory, double q, double *g) {
    moments const m = slope_moments(theory, q);
    *g = 1.0 / sqrt(m.second);
    return q - (1.0 - m.first) / m.second;
}

double rs_critical_coupling(const rs_theory *theory, double sigma) {
    double const noise = sigma * sigma;
    double low = 0.0, high = 1.0, g = 1.0;
    if (noise == 0.0) return g;
    while (critical_noise(theory, high, &g) < noise) high *= 2.0;
    for (;;) { /* bisection down to neighbouring numbers */
        double const middle = 0.5 * (low + high);
        if (middle <= low || middle >= high) return g;
        if (critical_noise(theory, middle, &g) < noise)
            low = middle;
        else
            high = middle;
    }
}

/* --- closed forms ----------------------------------------------------------------------------- */

/* Newton's method for a = rho tanh(a), a > 0, concave as above; then rho tanh'(a), whose ln is
 * right where tanh'(a) is far below the last digit of tanh(a). */
double rs_identity_tanh_decay(double rho) {
    if (rho <= 1.0) return -log(rho);
    double a = rho;
    for (;;) {
        double const next = a - (rho * tanh(a) - a) / (rho * tanh_slope(a) - 1.0);
        if (!(next < a)) break;
        a = next;
    }
    double const ln_cosh = a + log1p(exp(-2.0 * a)) - log(2.0);
    return 2.0 * ln_cosh - log(rho);
}

/* --- which law applies to a network ----------------------------------------------------------- */

static rs_prediction const none = {NULL, NAN};

static bool has_iid_entries(rs_ensemble ensemble) {
    return ensemble.kind == RS_GAUSSIAN || ensemble.kind == RS_UNIFORM;
}

/* Up to its scale. */
static bool is_isometry(rs_ensemble ensemble) {
    return ensemble.kind == RS_ORTHOGONAL || ensemble.kind == RS_RING;
}

/* A state that never leaves 0. */
static bool is_at_rest(const rs_case *one) {
    return one->input.kind == RS_INPUT_ZERO && one->h0.kind == RS_START_ZERO;
}

static rs_prediction predict_linear(const rs_case *one, double rho, double g) {
    /* 0 - x, not -x: no rate is a negative zero */
    rs_prediction const ln_rho = {"ln rho", 0.0 - log(rho)}, ln_g = {"ln g", 0.0 - log(g)};
    double const root = sqrt((double)one->hidden), steps = (double)one->steps;
    bool const soon = steps <= root, late = steps >= 5.0 * root;
    switch (one->ensemble.kind) {
    case RS_ORTHOGONAL:
    case RS_RING:
    case RS_IDENTITY: return ln_rho; /* exactly */
    case RS_SYMMETRIC: return late ? ln_rho : none;
    case RS_GAUSSIAN:
    case RS_UNIFORM:
        /* A random direction grows like the root mean square singular value for sqrt(H) steps, and
         * like the largest eigenvalue long after: measured to be within 0.02 from 5 sqrt(H) steps
         * on. */
        return late ? ln_rho : soon ? ln_g : none;
    default: return none;
    }
}

/* Where a network with iid entries behaves like an infinite one: bounds that were measured, with
 * errors of at most 0.02 at 64 units, 0.012 at 256 and 0.008 at 512. The spread of phi' over units
 * must mix the directions before the largest eigenvalues, which exceed g, win: kappa - 1 against
 * 1 / sqrt(H). And small networks with little noise freeze where large ones are chaotic. */
static bool mixes(const rs_case *one, const rs_mean_field *field) {
    if (!has_iid_entries(one->ensemble)) return true;
    bool const is_driven = one->input.kind == RS_INPUT_NOISE && one->input.sigma >= 0.5;
    return (is_driven || one->hidden >= 256) &&
           (field->kappa - 1.0) * sqrt((double)one->hidden) >= 4.3;
}

static rs_prediction predict_mean_field(const rs_case *one, const rs_mean_field *field) {
    static double const largest_shift = 0.05; /* of a first order that is to be trusted */
    double const shift =
        rs_finite_size_shift(field, one->hidden, one->ensemble.kind == RS_ORTHOGONAL);
    double const decay_rate = field->decay_rate + shift;
    if (!isfinite(decay_rate) || shift > largest_shift) return none;
    return (rs_prediction){"mean field", decay_rate};
}

/* --- cells that keep a part of their state ---------------------------------------------------- */

/* The Jacobian of a step is keep I + pass W_hh, of the candidate: that of leaky cells whose
 * slope is 1, and of gated ones at the zero state. The laws are named by their formulas. */
typedef struct mixture {
    double keep, lose, pass;             /* lose = 1 - keep, to all its digits */
    const char *of_none, *of_rho, *of_g; /* where W_hh is 0, normal, or of iid entries */
} mixture;

static mixture leaky_mixture(double leak) {
    return (mixture){1.0 - leak, leak, leak, "ln(1 - A)", "ln(1 - A + A rho)", "ln(1 - A + A g)"};
}

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

/* All biases are 0 but that of the memory gate, and all sums of gates without input and state. */
static mixture gated_mixture(const rs_case *one) {
    double const keep = sigmoid(one->gate_bias.value), lose = sigmoid(-one->gate_bias.value);
    if (one->cell == RS_LSTM)
        return (mixture){keep, lose, 0.25, "ln f", "ln(f + rho/4)", "ln(f + g/4)"};
    return (mixture){
        keep, lose, 0.5 * lose, "ln z", "ln(z + (1 - z) rho/2)", "ln(z + (1 - z) g/2)"};
}

/* -ln(keep + pass x), with all digits also where next to nothing is kept, or lost. */
static double mixture_decay(const mixture *of, double x) {
    bool const near_1 = of->lose < 0.5;
    return 0.0 - (near_1 ? log1p(of->pass * x - of->lose) : log(of->keep + of->pass * x));
}

/* Bounds that were measured for the mean over seeds: see theory.h. */
static bool mixes_evenly(const rs_case *one, const mixture *of, double x) {
    bool const keeps_enough = of->pass * x <= 9.0 * of->keep;
    return one->hidden >= 32 && one->steps >= 50 && keeps_enough;
}

static rs_prediction predict_mixture(const rs_case *one, const mixture *of, double rho, double g) {
    rs_prediction const of_rho = {of->of_rho, mixture_decay(of, rho)};
    if (one->ensemble.kind == RS_IDENTITY) return of_rho; /* exactly */
    if (!mixes_evenly(one, of, g)) return none;
    if (is_isometry(one->ensemble)) return of_rho;
    if (!has_iid_entries(one->ensemble)) return none;
    return (rs_prediction){of->of_g, mixture_decay(of, g)};
}

static bool is_leaky(const rs_case *one) { return !rs_cell_is_gated(one->cell) && one->leak < 1.0; }

static rs_prediction predict_leaky(const rs_case *one, double rho, double g) {
    mixture const leaky = leaky_mixture(one->leak);
    bool const has_fixed_point = one->cell == RS_TANH && one->input.kind == RS_INPUT_ZERO &&
                                 one->ensemble.kind == RS_IDENTITY;
    if (g == 0.0) return (rs_prediction){leaky.of_none, mixture_decay(&leaky, 0.0)};
    if (one->cell == RS_LINEAR || (one->cell == RS_TANH && is_at_rest(one)))
        return predict_mixture(one, &leaky, rho, g);
    if (!has_fixed_point) return none;
    double const slope = exp(-rs_identity_tanh_decay(rho)); /* in the place of rho */
    return (rs_prediction){"identity fixed point", mixture_decay(&leaky, slope)};
}

/* At the zero state only the candidate's block counts, whatever the others are. Units of different
 * biases decay at rates of their own, of which no one exponential comes. */
static rs_prediction predict_gated(const rs_case *one, double rho, double g) {
    mixture const gated = gated_mixture(one);
    if (!is_at_rest(one) || one->gate_bias.kind == RS_BIAS_CHRONO) return none;
    if (g == 0.0) return (rs_prediction){gated.of_none, mixture_decay(&gated, 0.0)};
    return predict_mixture(one, &gated, rho, g);
}

/* --- all of them ------------------------------------------------------------------------------ */

static rs_prediction predict_tanh(const rs_theory *theory, const rs_case *one, double rho,
                                  double g) {
    bool const is_quiet = one->input.kind == RS_INPUT_ZERO;
    if (is_at_rest(one)) return predict_linear(one, rho, g);
    if (is_quiet && one->ensemble.kind == RS_IDENTITY)
        return (rs_prediction){"identity fixed point", rs_identity_tanh_decay(rho)};
    if (one->ensemble.kind != RS_ORTHOGONAL && !has_iid_entries(one->ensemble)) return none;
    /* Without noise the transients are slow up to here, and the largest eigenvalues matter. */
    if (one->input.kind == RS_INPUT_PYTORCH || (is_quiet && g <= 1.2)) return none;
    rs_mean_field const field = rs_mean_field_tanh(theory, g, is_quiet ? 0.0 : one->input.sigma);
    return mixes(one, &field) ? predict_mean_field(one, &field) : none;
}

static rs_prediction predict_relu(const rs_case *one, double rho, double g) {
    if (one->ensemble.kind == RS_IDENTITY) /* units that are on stay on */
        return one->input.kind == RS_INPUT_ZERO && one->h0.kind == RS_START_NORMAL
                   ? (rs_prediction){"ln rho", 0.0 - log(rho)}
                   : none;
    if (one->ensemble.kind != RS_ORTHOGONAL && !has_iid_entries(one->ensemble)) return none;
    /* From g of about 1.3 on finite networks diverge, long before sqrt(2). */
    if (one->input.kind != RS_INPUT_NOISE || g > 1.2) return none;
    rs_mean_field const field = rs_mean_field_relu(g, one->input.sigma);
    return predict_mean_field(one, &field);
}

rs_prediction rs_predict(const rs_theory *theory, const rs_case *one, double rho, double g) {
    if (one->loss == RS_ALL_MEAN) return none; /* what every step adds does not decay */
    if (rs_cell_is_gated(one->cell)) return predict_gated(one, rho, g);
    if (is_leaky(one)) return predict_leaky(one, rho, g);
    switch (one->cell) {
    case RS_TANH: return predict_tanh(theory, one, rho, g);
    case RS_RELU: return predict_relu(one, rho, g);
    default: return predict_linear(one, rho, g);
    }
}

/* Where the law of the case, whichever it is, would have its rate 0. */
static double critical_coupling(const rs_theory *theory, const rs_case *one) {
    static double const most_noise = 100.0; /* of rs_critical_coupling() */
    if (rs_cell_is_gated(one->cell)) {
        mixture const gated = gated_mixture(one);
        return gated.lose / gated.pass;
    }
    if (is_leaky(one)) return 1.0;
    bool const is_driven = one->cell == RS_TANH && one->input.kind == RS_INPUT_NOISE;
    if (!is_driven || one->input.sigma > most_noise) return NAN;
    return rs_critical_coupling(theory, one->input.sigma);
}

double rs_predict_critical(const rs_theory *theory, const rs_case *one) {
    double const g = critical_coupling(theory, one);
    return isfinite(g) && rs_predict(theory, one, g, g).law ? g : NAN;
}

/* Of W_hh; NaN where it is not known. */
static double largest_singular_value(const rs_case *one, double rho, double g) {
    switch (one->ensemble.kind) {
    case RS_ORTHOGONAL:
    case RS_RING:
    case RS_IDENTITY:
    case RS_NORMAL:
    case RS_SYMMETRIC: return rho;
    case RS_GAUSSIAN:
    case RS_UNIFORM: return 2.0 * g;
    default: return NAN;
    }
}

double rs_decay_bound(const rs_case *one, double rho, double g) {
    if (one->loss == RS_ALL_MEAN || rs_cell_is_gated(one->cell)) return NAN;
    double const largest = largest_singular_value(one, rho, g);
    mixture const leaky = leaky_mixture(one->leak);
    return is_leaky(one) ? mixture_decay(&leaky, largest) : 0.0 - log(largest);
}
