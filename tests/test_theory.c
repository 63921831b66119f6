/* Theory against values computed and measured elsewhere (tables of theory to the printed digits),
 * closed forms and limits; and which law applies to which network. */
#include "../host/fit/theory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

static double const pi = 0x1.921fb54442d18p+1;

static rs_theory theory;

static int make_theory(void **state) {
    (void)state;
    return rs_theory_make(&theory) != RS_OK;
}

static void assert_near(double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g is not within %g of %.17g", value, tolerance, expected);
}

/* --- quadrature ------------------------------------------------------------------------------- */

/* E[z^(2k)] = (2k - 1)!!, exactly for degrees below twice the number of nodes. */
static void test_moments_of_the_normal_distribution(void **state) {
    (void)state;
    double expected = 1.0;
    for (int k = 0; k <= 40; ++k) {
        double sum = 0.0;
        for (int i = 0; i < RS_THEORY_NODES; ++i)
            sum += theory.weight[i] * pow(theory.node[i], 2.0 * k);
        assert_near(sum / expected, 1.0, 1e-12);
        expected *= 2.0 * k + 1.0;
    }
}

/* The trapezoidal rule is exact but for rounding where its step is small enough. */
static double average_by_trapezoids(double q, int power) {
    double const step = 0x1p-8 / fmax(1.0, sqrt(q));
    double sum = 0.0;
    for (long i = -40000; i <= 40000; ++i) {
        double const z = step * (double)i, slope = 1.0 / cosh(fmin(300.0, fabs(sqrt(q) * z)));
        sum += step * exp(-0.5 * z * z) * pow(slope, 2.0 * power);
    }
    return sum / sqrt(2.0 * pi);
}

static void test_averages_against_another_rule(void **state) {
    (void)state;
    static double const network[][2] = {{0.3, 0.02}, {0.9, 0.5}, {1.5, 1.0},  {2.0, 0.0},
                                        {3.0, 1.0},  {1.0, 3.0}, {10.0, 0.5}, {200.0, 7.0}};
    for (size_t i = 0; i < sizeof network / sizeof *network; ++i) {
        double const g = network[i][0], sigma = network[i][1];
        rs_mean_field const field = rs_mean_field_tanh(&theory, g, sigma);
        double const first = average_by_trapezoids(field.q, 1);
        double const second = average_by_trapezoids(field.q, 2);
        double const fourth = average_by_trapezoids(field.q, 4);
        assert_near(g * g * (1.0 - first) + sigma * sigma, field.q, 1e-10 * field.q);
        assert_near(field.chi, g * g * second, 1e-10 * field.chi);
        assert_near(field.kappa, fourth / (second * second), 1e-9 * field.kappa);
    }
}

/* --- mean field ------------------------------------------------------------------------------- */

static void test_growth_rates_to_the_printed_digits(void **state) {
    (void)state;
    static double const sigma[] = {0.0, 0.5, 1.0};
    static struct {
        double g, rate[3];
    } const row[] = {
        {0.5, {-.6931, -.8813, -1.0957}}, {0.9, {-.1054, -.3545, -.5506}},
        {1.0, {0, -.2725, -.4595}},       {1.2, {+.0165, -.1454, -.3095}},
        {1.5, {+.0652, -.0167, -.1418}},  {2.0, {+.1547, +.1204, +.0460}},
        {3.0, {+.3102, +.2989, +.2685}},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; ++i)
        for (size_t j = 0; j < 3; ++j)
            assert_near(rs_mean_field_tanh(&theory, row[i].g, sigma[j]).decay_rate, -row[i].rate[j],
                        0.50001e-4);
}

static void test_critical_couplings(void **state) {
    (void)state;
    static double const value[][2] = {
        {0.1, 1.193}, {0.3, 1.396}, {0.5, 1.550}, {1.0, 1.856}, {2.0, 2.325}};
    assert_near(rs_critical_coupling(&theory, 0.0), 1.0, 0.0);
    for (size_t i = 0; i < sizeof value / sizeof *value; ++i)
        assert_near(rs_critical_coupling(&theory, value[i][0]), value[i][1], 0.50001e-3);
    for (double sigma = 1e-3; sigma <= 100.0; sigma *= 10.0) {
        double const g = rs_critical_coupling(&theory, sigma);
        assert_near(rs_mean_field_tanh(&theory, g, sigma).chi, 1.0, 1e-9);
    }
}

static void test_critical_couplings_of_cases(void **state) {
    (void)state;
    rs_theory theory;
    assert_int_equal(rs_theory_make(&theory), RS_OK);
    rs_case const driven = {.cell = RS_TANH,
                            .ensemble.kind = RS_GAUSSIAN,
                            .hidden = 256,
                            .steps = 100,
                            .input = {RS_INPUT_NOISE, 0.5},
                            .loss = RS_RANDOM,
                            .leak = 1.0};
    assert_true(rs_predict_critical(&theory, &driven) == rs_critical_coupling(&theory, 0.5));
    rs_case other[6] = {driven, driven, driven, driven, driven, driven};
    other[0].cell = RS_RELU;
    other[1].input = (rs_input){RS_INPUT_ZERO, 0.0};
    other[2].input = (rs_input){RS_INPUT_PYTORCH, 0.0};
    other[3].ensemble.kind = RS_SYMMETRIC;
    other[4].loss = RS_ALL_MEAN;
    other[5].input.sigma = 1e300;
    for (size_t i = 0; i < 6; ++i) assert_true(isnan(rs_predict_critical(&theory, &other[i])));
}

static void test_onset_of_chaos_and_strong_coupling(void **state) {
    (void)state;
    assert_near(-rs_mean_field_tanh(&theory, 1.01, 0.0).decay_rate / 1e-4, .645, 0.5e-3);
    assert_near(-rs_mean_field_tanh(&theory, 1.0001, 0.0).decay_rate / 1e-8, 2.0 / 3.0, 1e-3);
    double const law = 4.0 / 3.0 / sqrt(2.0 * pi); /* chi / g */
    assert_near(rs_mean_field_tanh(&theory, 10.0, 0.0).chi / (10.0 * law), 1.04, 0.01);
    assert_near(rs_mean_field_tanh(&theory, 1e4, 0.0).chi / (1e4 * law), 1.0, 1e-3);
}

static void test_quiet_subcritical_networks_are_linear(void **state) {
    (void)state;
    for (double g = 0.25; g <= 1.0; g += 0.25) {
        rs_mean_field const field = rs_mean_field_tanh(&theory, g, 0.0);
        assert_true(field.q == 0.0);
        assert_near(field.decay_rate, -log(g), 1e-14);
        assert_near(field.kappa, 1.0, 1e-13);
    }
}

static void test_finite_size(void **state) {
    (void)state;
    rs_mean_field const mild = rs_mean_field_tanh(&theory, 1.0, 1.0);
    rs_mean_field const strong = rs_mean_field_tanh(&theory, 3.0, 1.0);
    assert_near(mild.kappa, 1.81, 0.5e-2);
    assert_near(strong.kappa, 3.65, 0.5e-2);
    assert_near(rs_finite_size_shift(&mild, 1, false), 1.11, 0.5e-2);
    assert_near(rs_finite_size_shift(&strong, 100, false), 2.49e-2, 0.5e-4);
    /* an orthogonal matrix on a linear network changes no norm by chance */
    rs_mean_field const linear = rs_mean_field_tanh(&theory, 1.0, 0.0);
    assert_near(rs_finite_size_shift(&linear, 10, true), 0.0, 1e-14);
    assert_near(rs_finite_size_shift(&linear, 10, false), 0.05, 1e-14);
}

static void test_relu_halves(void **state) {
    (void)state;
    rs_mean_field const field = rs_mean_field_relu(1.2, 0.5);
    assert_near(field.chi, 0.72, 1e-15);
    assert_near(field.decay_rate, -0.5 * log(0.72), 1e-15);
    assert_near(field.q, 1.44 * 0.5 * field.q + 0.25, 1e-14);
    assert_true(field.kappa == 2.0);
}

/* --- closed forms ----------------------------------------------------------------------------- */

static void test_identity_tanh(void **state) {
    (void)state;
    static double const value[][2] = {{0.9, 0.1053605156578263},  {1.1, 0.19631194035210834},
                                      {1.5, 0.93061020415622257}, {2.0, 1.7935285065422281},
                                      {3.0, 3.4896075021436475},  {5.0, 7.0034498239478802},
                                      {10.0, 16.31112046756222}}; /* with 40 digits */
    for (size_t i = 0; i < sizeof value / sizeof *value; ++i)
        assert_near(rs_identity_tanh_decay(value[i][0]), value[i][1], 4e-15 * value[i][0]);
    assert_true(rs_identity_tanh_decay(1.0) == 0.0);
    assert_near(rs_identity_tanh_decay(1.0 + 1e-6), 2e-6, 1e-11);
    for (double rho = 50.0; rho < 1e7; rho *= 10.0)
        assert_near(rs_identity_tanh_decay(rho), 2.0 * rho - log(4.0 * rho), 1e-15 * rho);
}

/* --- which law applies to a network ----------------------------------------------------------- */

/* A case at one radius. */
typedef struct query {
    rs_case one;
    double rho, g;
} query;

static rs_prediction predict(const query *of) {
    return rs_predict(&theory, &of->one, of->rho, of->g);
}

static query driven_tanh(rs_ensemble_kind ensemble) {
    return (query){.one = {.cell = RS_TANH,
                           .ensemble.kind = ensemble,
                           .input = {RS_INPUT_NOISE, 1.0},
                           .loss = RS_RANDOM,
                           .hidden = 512,
                           .steps = 300,
                           .leak = 1.0},
                   .rho = 1.25,
                   .g = 1.2};
}

static query linear_of(rs_ensemble_kind ensemble, size_t steps) {
    query q = driven_tanh(ensemble);
    q.one.cell = RS_LINEAR;
    q.one.input.kind = RS_INPUT_PYTORCH;
    q.one.steps = steps;
    return q;
}

static void assert_law(const query *of, const char *law, double decay_rate) {
    rs_prediction const prediction = predict(of);
    if (!prediction.law) fail_msg("no law, expected %s", law);
    assert_string_equal(prediction.law, law);
    assert_near(prediction.decay_rate, decay_rate, 1e-12);
}

static void assert_no_law(const query *of) {
    rs_prediction const prediction = predict(of);
    if (prediction.law) fail_msg("%s: %g, expected none", prediction.law, prediction.decay_rate);
    assert_true(isnan(prediction.decay_rate));
}

static void test_linear_networks(void **state) {
    (void)state;
    static rs_ensemble_kind const isometry[] = {RS_ORTHOGONAL, RS_IDENTITY};
    static rs_ensemble_kind const iid[] = {RS_GAUSSIAN, RS_UNIFORM};
    for (size_t i = 0; i < 2; ++i) {
        query q = linear_of(isometry[i], 2);
        assert_law(&q, "ln rho", -log(1.25));
        q = linear_of(iid[i], 22); /* sqrt(512) = 22.6 */
        assert_law(&q, "ln g", -log(1.2));
        q = linear_of(iid[i], 60);
        assert_no_law(&q);
        q = linear_of(iid[i], 113); /* 5 sqrt(512) = 113.1 */
        assert_no_law(&q);
        q = linear_of(iid[i], 114);
        assert_law(&q, "ln rho", -log(1.25));
    }
    query q = linear_of(RS_SYMMETRIC, 114);
    assert_law(&q, "ln rho", -log(1.25));
    q.one.steps = 22;
    assert_no_law(&q);
    q = linear_of(RS_MODEL, 1000);
    assert_no_law(&q);
}

static void test_driven_tanh_networks(void **state) {
    (void)state;
    rs_mean_field const field = rs_mean_field_tanh(&theory, 1.2, 1.0);
    query q = driven_tanh(RS_GAUSSIAN);
    assert_law(&q, "mean field", field.decay_rate + rs_finite_size_shift(&field, 512, false));
    q = driven_tanh(RS_UNIFORM);
    assert_law(&q, "mean field", field.decay_rate + rs_finite_size_shift(&field, 512, false));
    q = driven_tanh(RS_ORTHOGONAL);
    assert_law(&q, "mean field", field.decay_rate + rs_finite_size_shift(&field, 512, true));
    q = driven_tanh(RS_SYMMETRIC);
    assert_no_law(&q);
    q = driven_tanh(RS_IDENTITY);
    assert_no_law(&q);
    q = driven_tanh(RS_MODEL);
    assert_no_law(&q);
    q = driven_tanh(RS_GAUSSIAN);
    q.one.input.kind = RS_INPUT_PYTORCH;
    assert_no_law(&q);
}

static void test_mean_field_needs_many_units_and_noise(void **state) {
    (void)state;
    query q = driven_tanh(RS_GAUSSIAN);
    q.one.hidden = 64;
    assert_non_null(predict(&q).law);
    q.one.hidden = 16; /* the correction is no longer small */
    assert_no_law(&q);
    q.one.hidden = 128;
    q.one.input.sigma = 0.3; /* small networks freeze */
    assert_no_law(&q);
    q.one.hidden = 256;
    assert_non_null(predict(&q).law);
    q.g = 0.5; /* nearly linear: the largest eigenvalues win */
    assert_no_law(&q);
    q.one.ensemble.kind = RS_ORTHOGONAL; /* whose eigenvalues are all alike */
    assert_non_null(predict(&q).law);
}

/* The coupling at which the spread of phi' mixes directions this much: (kappa - 1) sqrt(H). */
static double coupling_that_mixes(double mixing, size_t hidden) {
    double low = 0.01, high = 3.0;
    while (high - low > 1e-12) {
        double const g = 0.5 * (low + high);
        double const kappa = rs_mean_field_tanh(&theory, g, 0.5).kappa;
        if ((kappa - 1.0) * sqrt((double)hidden) < mixing)
            low = g;
        else
            high = g;
    }
    return low;
}

static void test_mean_field_needs_a_spread_of_slopes(void **state) {
    (void)state;
    query q = driven_tanh(RS_GAUSSIAN);
    q.one.input.sigma = 0.5;
    for (double mixing = 3.0; mixing < 4.3; mixing += 0.2) {
        q.g = coupling_that_mixes(mixing, q.one.hidden);
        assert_no_law(&q);
    }
    q.g = coupling_that_mixes(4.4, q.one.hidden);
    assert_non_null(predict(&q).law);
}

static void test_quiet_tanh_networks(void **state) {
    (void)state;
    query q = driven_tanh(RS_GAUSSIAN);
    q.one.input.kind = RS_INPUT_ZERO;
    q.one.input.sigma = 0.0;
    assert_law(&q, "ln rho", -log(1.25)); /* h stays 0: a linear network */
    q.one.h0 = (rs_start){RS_START_NORMAL, 1.0};
    assert_no_law(&q);
    q.g = 2.0;
    rs_mean_field const field = rs_mean_field_tanh(&theory, 2.0, 0.0);
    assert_law(&q, "mean field", field.decay_rate + rs_finite_size_shift(&field, 512, false));
    q.one.ensemble.kind = RS_IDENTITY;
    q.rho = q.g;
    assert_law(&q, "identity fixed point", rs_identity_tanh_decay(2.0));
    q.one.h0 = (rs_start){RS_START_ZERO, 0.0};
    assert_law(&q, "ln rho", -log(2.0));
}

static void test_relu_networks(void **state) {
    (void)state;
    query q = driven_tanh(RS_GAUSSIAN);
    q.one.cell = RS_RELU;
    assert_law(&q, "mean field", -0.5 * log(0.72) + 1.25 / 512);
    q.one.hidden = 25; /* the shift is 0.05 */
    assert_law(&q, "mean field", -0.5 * log(0.72) + 0.05);
    q.one.hidden = 24;
    assert_no_law(&q);
    q.one.hidden = 512;
    q.g = 1.21;
    assert_no_law(&q);
    q.g = 1.0;
    q.one.input.kind = RS_INPUT_PYTORCH;
    assert_no_law(&q);
    q.one.ensemble.kind = RS_IDENTITY;
    q.one.input.kind = RS_INPUT_ZERO;
    assert_no_law(&q); /* relu'(0) is 0 */
    q.one.h0 = (rs_start){RS_START_NORMAL, 0.5};
    assert_law(&q, "ln rho", -log(1.25));
    q.one.ensemble.kind = RS_GAUSSIAN;
    assert_no_law(&q);
    q.one.ensemble.kind = RS_SYMMETRIC;
    q.one.input.kind = RS_INPUT_NOISE;
    assert_no_law(&q);
}

/* --- cells that keep a part of their state ---------------------------------------------------- */

static query at_rest(rs_cell cell, rs_ensemble_kind ensemble) {
    query q = driven_tanh(ensemble);
    q.one.cell = cell;
    q.one.input = (rs_input){.kind = RS_INPUT_ZERO};
    return q;
}

static query gated(rs_cell cell, rs_ensemble_kind ensemble, double bias) {
    query q = at_rest(cell, ensemble);
    q.one.gate_bias = (rs_gate_bias){RS_BIAS_GIVEN, bias};
    return q;
}

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

/* -ln sigma(b): SCIENCE.md, section G, and the digits of large biases. */
static void test_memory_gates_alone(void **state) {
    (void)state;
    static double const value[][2] = {
        {-1, 1.3133}, {0, .6931}, {1, .3133}, {2, .1269}, {5, .00672}};
    for (size_t i = 0; i < sizeof value / sizeof *value; ++i)
        for (rs_cell cell = RS_LSTM; cell <= RS_GRU; ++cell) {
            query q = gated(cell, RS_MODEL, value[i][0]); /* no other W_hh is 0 */
            q.rho = q.g = 0.0;
            assert_near(predict(&q).decay_rate, value[i][1], 0.50001e-4);
            assert_law(&q, cell == RS_LSTM ? "ln f" : "ln z", -log(sigmoid(value[i][0])));
        }
    query q = gated(RS_LSTM, RS_MODEL, 30.0);
    q.rho = q.g = 0.0;
    assert_near(predict(&q).decay_rate / 9.3576229688397e-14, 1.0, 1e-12);
    q.one.gate_bias.value = -50.0;
    assert_law(&q, "ln f", 50.0);
    q.one.gate_bias = (rs_gate_bias){.kind = RS_BIAS_DRAWN}; /* 0 without input */
    assert_law(&q, "ln f", log(2.0));
    q.one.gate_bias = (rs_gate_bias){RS_BIAS_CHRONO, 50.0};
    assert_no_law(&q);
    q = gated(RS_GRU, RS_MODEL, 1.0);
    q.rho = q.g = 0.0;
    q.one.h0.kind = RS_START_MODEL; /* the other blocks need not be 0 */
    assert_no_law(&q);
    q.one.h0.kind = RS_START_ZERO;
    q.one.input.kind = RS_INPUT_NOISE; /* the gate moves */
    assert_no_law(&q);
}

static void test_gated_cells_at_the_zero_state(void **state) {
    (void)state;
    static rs_ensemble_kind const iid[] = {RS_GAUSSIAN, RS_UNIFORM};
    static rs_ensemble_kind const normal[] = {RS_ORTHOGONAL, RS_RING, RS_IDENTITY};
    double const f = sigmoid(1.0);
    for (size_t i = 0; i < 2; ++i) {
        query q = gated(RS_LSTM, iid[i], 1.0);
        assert_law(&q, "ln(f + g/4)", -log(f + 0.3));
        q.one.gate_scale = RS_SCALE_NATIVE; /* of blocks that count for nothing */
        assert_law(&q, "ln(f + g/4)", -log(f + 0.3));
        q = gated(RS_GRU, iid[i], 1.0);
        assert_law(&q, "ln(z + (1 - z) g/2)", -log(f + (1.0 - f) * 0.6));
    }
    for (size_t i = 0; i < 3; ++i) {
        query q = gated(RS_LSTM, normal[i], 1.0);
        assert_law(&q, "ln(f + rho/4)", -log(f + 1.25 / 4.0));
        q = gated(RS_GRU, normal[i], 1.0);
        assert_law(&q, "ln(z + (1 - z) rho/2)", -log(f + (1.0 - f) * 0.625));
    }
    query q = gated(RS_LSTM, RS_SYMMETRIC, 1.0);
    assert_no_law(&q);
    q = gated(RS_GRU, RS_GAUSSIAN, 1.0);
    q.one.gate_bias.kind = RS_BIAS_CHRONO;
    assert_no_law(&q);
    q = gated(RS_GRU, RS_GAUSSIAN, 1.0);
    q.one.h0 = (rs_start){RS_START_NORMAL, 1.0};
    assert_no_law(&q);
    q = gated(RS_GRU, RS_GAUSSIAN, 1.0);
    q.one.loss = RS_ALL_MEAN;
    assert_no_law(&q);
    q = gated(RS_LSTM, RS_GAUSSIAN, 1.0);
    assert_true(isnan(rs_decay_bound(&q.one, q.rho, q.g)));
}

/* Where the stated tolerance was measured, and the identity everywhere. */
static void test_zero_states_need_many_units_and_steps(void **state) {
    (void)state;
    static rs_ensemble_kind const ensemble[] = {RS_GAUSSIAN, RS_ORTHOGONAL};
    for (size_t i = 0; i < 2; ++i) {
        query q = gated(RS_LSTM, ensemble[i], 0.0);
        q.one.hidden = 32;
        q.one.steps = 50;
        q.g = q.rho = 18.0; /* a tenth of the gain is kept */
        assert_non_null(predict(&q).law);
        q.g = q.rho = 18.1;
        assert_no_law(&q);
        q.g = q.rho = 1.0;
        q.one.hidden = 31;
        assert_no_law(&q);
        q.one.hidden = 32;
        q.one.steps = 49;
        assert_no_law(&q);
    }
    query q = gated(RS_LSTM, RS_IDENTITY, 0.0);
    q.one.hidden = 1;
    q.one.steps = 2;
    q.rho = 100.0;
    assert_law(&q, "ln(f + rho/4)", -log(25.5));
}

static void test_leaky_cells(void **state) {
    (void)state;
    query q = driven_tanh(RS_GAUSSIAN);
    q.one.leak = 0.25;
    assert_no_law(&q); /* in motion */
    q.one.cell = RS_LINEAR;
    assert_law(&q, "ln(1 - A + A g)", -log(0.75 + 0.25 * 1.2));
    assert_near(rs_decay_bound(&q.one, q.rho, q.g), -log(0.75 + 0.25 * 2.4), 1e-15);
    q.one.ensemble.kind = RS_ORTHOGONAL;
    assert_law(&q, "ln(1 - A + A rho)", -log(0.75 + 0.25 * 1.25));
    assert_near(rs_decay_bound(&q.one, q.rho, q.g), -log(0.75 + 0.25 * 1.25), 1e-15);
    q.g = q.rho = 0.0;
    assert_law(&q, "ln(1 - A)", -log(0.75));
    q.one.cell = RS_RELU;
    assert_law(&q, "ln(1 - A)", -log(0.75));
    q = at_rest(RS_TANH, RS_UNIFORM);
    q.one.leak = 0.25;
    assert_law(&q, "ln(1 - A + A g)", -log(0.75 + 0.25 * 1.2));
    q.one.cell = RS_RELU; /* relu'(0) is 0 */
    assert_no_law(&q);
    q = at_rest(RS_TANH, RS_IDENTITY);
    q.one.leak = 0.25;
    q.one.h0 = (rs_start){RS_START_NORMAL, 1.0};
    double const slope = exp(-rs_identity_tanh_decay(1.25));
    assert_law(&q, "identity fixed point", -log(0.75 + 0.25 * slope));
}

static void test_critical_couplings_at_the_zero_state(void **state) {
    (void)state;
    static double const forget[][2] = {{0.0, 2.0}, {1.0, 1.0758}};
    for (size_t i = 0; i < 2; ++i) {
        query const lstm = gated(RS_LSTM, RS_GAUSSIAN, forget[i][0]);
        assert_near(rs_predict_critical(&theory, &lstm.one), forget[i][1], 0.50001e-4);
    }
    for (double bias = -2.0; bias <= 3.0; bias += 0.5) { /* whatever is kept */
        query const gru = gated(RS_GRU, RS_UNIFORM, bias);
        assert_near(rs_predict_critical(&theory, &gru.one), 2.0, 1e-14);
    }
    query q = at_rest(RS_TANH, RS_GAUSSIAN);
    assert_true(isnan(rs_predict_critical(&theory, &q.one)));
    q.one.leak = 0.5;
    assert_true(rs_predict_critical(&theory, &q.one) == 1.0);
    q.one.input = (rs_input){RS_INPUT_NOISE, 1.0};
    assert_true(isnan(rs_predict_critical(&theory, &q.one)));
    q = gated(RS_GRU, RS_GAUSSIAN, 1.0);
    q.one.hidden = 10;
    assert_true(isnan(rs_predict_critical(&theory, &q.one)));
    q = gated(RS_LSTM, RS_SYMMETRIC, 1.0);
    assert_true(isnan(rs_predict_critical(&theory, &q.one)));
}

static void test_rings_are_isometries(void **state) {
    (void)state;
    query q = linear_of(RS_RING, 60);
    assert_law(&q, "ln rho", -log(1.25));
    assert_near(rs_decay_bound(&q.one, q.rho, q.g), -log(1.25), 1e-15);
    q = linear_of(RS_NORMAL, 60);
    assert_no_law(&q);
    assert_near(rs_decay_bound(&q.one, q.rho, q.g), -log(1.25), 1e-15);
    q = linear_of(RS_SPARSE, 60);
    assert_no_law(&q);
    assert_true(isnan(rs_decay_bound(&q.one, q.rho, q.g)));
}

static void test_a_loss_at_every_step_has_no_law(void **state) {
    (void)state;
    query q = linear_of(RS_ORTHOGONAL, 100);
    q.one.loss = RS_ALL_MEAN;
    assert_no_law(&q);
    assert_true(isnan(rs_decay_bound(&q.one, q.rho, q.g)));
    q.one.loss = RS_LAST_MEAN;
    assert_law(&q, "ln rho", -log(1.25));
}

static void test_bound(void **state) {
    (void)state;
    static rs_ensemble_kind const normal[] = {RS_ORTHOGONAL, RS_IDENTITY, RS_SYMMETRIC};
    static rs_ensemble_kind const iid[] = {RS_GAUSSIAN, RS_UNIFORM};
    for (size_t i = 0; i < 3; ++i) {
        query const q = driven_tanh(normal[i]);
        assert_near(rs_decay_bound(&q.one, q.rho, q.g), -log(1.25), 1e-15);
    }
    for (size_t i = 0; i < 2; ++i) {
        query const q = driven_tanh(iid[i]);
        assert_near(rs_decay_bound(&q.one, q.rho, q.g), -log(2.4), 1e-15);
    }
    query const q = driven_tanh(RS_MODEL);
    assert_true(isnan(rs_decay_bound(&q.one, q.rho, q.g)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments_of_the_normal_distribution),
        cmocka_unit_test(test_averages_against_another_rule),
        cmocka_unit_test(test_growth_rates_to_the_printed_digits),
        cmocka_unit_test(test_critical_couplings),
        cmocka_unit_test(test_critical_couplings_of_cases),
        cmocka_unit_test(test_onset_of_chaos_and_strong_coupling),
        cmocka_unit_test(test_quiet_subcritical_networks_are_linear),
        cmocka_unit_test(test_finite_size),
        cmocka_unit_test(test_relu_halves),
        cmocka_unit_test(test_identity_tanh),
        cmocka_unit_test(test_linear_networks),
        cmocka_unit_test(test_driven_tanh_networks),
        cmocka_unit_test(test_mean_field_needs_many_units_and_noise),
        cmocka_unit_test(test_mean_field_needs_a_spread_of_slopes),
        cmocka_unit_test(test_quiet_tanh_networks),
        cmocka_unit_test(test_relu_networks),
        cmocka_unit_test(test_memory_gates_alone),
        cmocka_unit_test(test_gated_cells_at_the_zero_state),
        cmocka_unit_test(test_zero_states_need_many_units_and_steps),
        cmocka_unit_test(test_leaky_cells),
        cmocka_unit_test(test_critical_couplings_at_the_zero_state),
        cmocka_unit_test(test_rings_are_isometries),
        cmocka_unit_test(test_a_loss_at_every_step_has_no_law),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, make_theory, NULL);
}
