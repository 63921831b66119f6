/* Laws that whole sweeps must obey, from spec to database: closed forms, mean-field theory and
 * bounds. Sources stand beside each test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../host/plan/plan.h"
#include "../host/sweep/pipeline.h"
#include "../host/work/spectrum.h"
#include "../host/work/weights.h"
#include "curve_steps.h"
#include "remove_database.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char database[] = "/tmp/rs_test_laws_XXXXXX";

static int start(void **state) {
    (void)state;
    int const file = mkstemp(database);
    return file < 0 ? -1 : close(file);
}

static int finish(void **state) {
    (void)state;
    remove_database(database);
    return 0;
}

static void must(rs_status status) {
    if (status != RS_OK) fail_msg("%s", rs_message());
}

static rs_spec spec_of(const char *settings) {
    rs_spec spec;
    char text[1024];
    snprintf(text, sizeof text, "[sweep]\nquiet = yes\noutput = %s\n%s", database, settings);
    must(rs_spec_init(&spec));
    must(rs_spec_parse(&spec, text, strlen(text), "test"));
    must(rs_spec_check(&spec));
    return spec;
}

/* Runs a sweep into a database of its own and hands each row of a query to `check`. */
typedef void (*row_check)(sqlite3_stmt *row, void *arg);

static size_t sweep(const char *settings, const char *query, row_check check, void *arg) {
    remove_database(database);
    rs_spec spec = spec_of(settings);
    rs_sweep_outcome outcome;
    must(rs_sweep(&spec, "test", &outcome));
    rs_spec_free(&spec);

    sqlite3 *db;
    sqlite3_stmt *row;
    size_t rows = 0;
    assert_int_equal(sqlite3_open(database, &db), SQLITE_OK);
    assert_int_equal(add_curve_steps(db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &row, NULL), SQLITE_OK);
    for (; sqlite3_step(row) == SQLITE_ROW; ++rows) check(row, arg);
    sqlite3_finalize(row);
    sqlite3_close(db);
    assert_true(rows > 0);
    return rows;
}

static void near(double got, double want, double limit, const char *what, double at) {
    if (!(fabs(got - want) <= limit))
        fail_msg("%s at %g: %.17g, not %.17g within %g", what, at, got, want, limit);
}

static const char rates[] = "SELECT rho_asked, rho, g, decay_rate FROM points ORDER BY rho_asked";

/* Orthogonal W and a linear unit: |delta| = rho^k exactly, out to 1e-602. */
static void check_power(sqlite3_stmt *row, void *arg) {
    double const limit = *(const double *)arg, rho = sqlite3_column_double(row, 0);
    double const k = sqlite3_column_double(row, 1), norm = sqlite3_column_double(row, 2);
    near(norm, k * log10(rho), limit * (1.0 + k), "log10 |delta|", rho);
}

static void orthogonal_linear_is_rho_to_the_k(void **state) {
    (void)state;
    static const char query[] = "SELECT rho_asked, c.steps - step, log10_norm_mean FROM profile "
                                "JOIN points p ON p.id = point_id JOIN cases c ON c.id = case_id";
    char settings[256];
    static double const limits[] = {1e-8, 1e-14}; /* a step */
    for (int p = 0; p < 2; ++p) {
        snprintf(settings, sizeof settings,
                 "ensemble = orthogonal\ncell = linear\nhidden = 24\nsteps = 2001\n"
                 "batch = 3\nseeds = 0,1\nloss = random\ninput = zero\nrho = 0.5,1,1.25\n"
                 "precision = %s\n",
                 p ? "f64" : "f32");
        double limit = limits[p];
        assert_int_equal(sweep(settings, query, check_power, &limit), 2 * 3 * 2001);
    }
}

/* W = rho I, tanh, no input: h* = tanh(rho h*), decay -ln[rho (1 - h*^2)]; values from
 * bisection of that equation, checked against the table of SCIENCE D. */
static double identity_decay(double rho) {
    if (rho <= 1.0) return -log(rho);
    double low = 1e-9, high = 1.0; /* of h*, as u = 1 - h to keep digits near saturation */
    for (int i = 0; i < 200; ++i) {
        double const mid = 0.5 * (low + high);
        if (tanh(rho * mid) > mid)
            low = mid;
        else
            high = mid;
    }
    double const c = cosh(rho * low);
    return 2.0 * log(c) - log(rho);
}

static void check_identity(sqlite3_stmt *row, void *arg) {
    double const rho = sqlite3_column_double(row, 0);
    double const limit = *(double *)arg; /* the radius is rounded to the precision */
    near(sqlite3_column_double(row, 1), rho, limit * rho, "radius", rho);
    near(sqlite3_column_double(row, 2), rho, limit * rho, "coupling", rho);
    near(sqlite3_column_double(row, 3), identity_decay(rho), limit, "decay rate", rho);
}

static void identity_tanh_decays_at_its_fixed_point(void **state) {
    (void)state;
    static double const table[][2] = {{.9, .1054}, {1.1, .1963}, {1.5, .9306}, {2, 1.7935},
                                      {3, 3.4896}, {5, 7.0035},  {10, 16.311}};
    for (size_t i = 0; i < sizeof table / sizeof *table; ++i)
        near(identity_decay(table[i][0]), table[i][1], 6e-4, "oracle", table[i][0]);
    char settings[256];
    for (int p = 0; p < 2; ++p) {
        /* The warm-up lets h reach its fixed point; rho = 0.9 and 1.1 approach it slowest. */
        snprintf(settings, sizeof settings,
                 "ensemble = identity\nhidden = 6\nsteps = 60\nwarmup = 400\nbatch = 4\nseeds = 0\n"
                 "input = zero\nh0 = normal:1\nrho = 0.9,1.1,1.5,2,3,5,10\nprecision = %s\n",
                 p ? "f64" : "f32");
        double limit = p ? 1e-9 : 5e-6;
        assert_int_equal(sweep(settings, rates, check_identity, &limit), 7);
    }
}

/* ReLU with W = rho I: inactive units drop out at the first step, then rate = ln rho exactly. */
static void check_relu(sqlite3_stmt *row, void *arg) {
    (void)arg;
    double const rho = sqlite3_column_double(row, 0);
    near(sqlite3_column_double(row, 3), -log(rho), 1e-12, "decay rate", rho);
}

static void identity_relu_decays_at_ln_rho(void **state) {
    (void)state;
    static const char settings[] =
        "ensemble = identity\ncell = relu\nhidden = 10\nsteps = 40\nseeds = 0\n"
        "input = zero\nh0 = normal:1\nrho = 0.5,0.9,1.5,2\nprecision = f64\nloss = random\n";
    assert_int_equal(sweep(settings, rates, check_relu, NULL), 4);
}

/* ---- mean field ------------------------------------------------------------------------------ */

/* E[f(sqrt(q) z)], z ~ N(0, 1), by the trapezoid rule, which is spectrally accurate here. */
static double gaussian_mean(double (*f)(double), double q) {
    double sum = 0.0;
    for (int i = -400; i <= 400; ++i) {
        double const z = 0.025 * i;
        sum += f(sqrt(q) * z) * exp(-0.5 * z * z);
    }
    return sum * 0.025 / sqrt(2.0 * acos(-1.0));
}

static double tanh2(double x) { return tanh(x) * tanh(x); }
static double slope2(double x) { return pow(cosh(x), -4.0); }
static double slope4(double x) { return pow(cosh(x), -8.0); }

/* Rate of growth of N units: 1/2 ln chi - (3 kappa - 1) / (4 N), chi = g^2 E[phi'^2] at the fixed
 * point q = g^2 E[phi^2] + sigma^2 (Poole et al. 2016; Chen, Pennington & Schoenholz 2018); the
 * correction is SCIENCE A's. */
static double mean_field_rate(double g, double sigma, double n) {
    double q = 1.0;
    for (int i = 0; i < 2000; ++i) q = g * g * gaussian_mean(tanh2, q) + sigma * sigma;
    double const second = gaussian_mean(slope2, q);
    double const kappa = gaussian_mean(slope4, q) / (second * second);
    return 0.5 * log(g * g * second) - (3.0 * kappa - 1.0) / (4.0 * n);
}

typedef struct cells {
    double sigma, units;
    double error[16], rho[16]; /* mean over seeds */
    size_t seeds[16], n;
} cells;

static void collect(sqlite3_stmt *row, void *arg) {
    cells *c = arg;
    double const rho = sqlite3_column_double(row, 0), g = sqlite3_column_double(row, 2);
    if (c->n == 0 || c->rho[c->n - 1] != rho) c->rho[c->n++] = rho;
    c->error[c->n - 1] += -sqlite3_column_double(row, 3) - mean_field_rate(g, c->sigma, c->units);
    ++c->seeds[c->n - 1];
}

static void gaussian_tanh_follows_mean_field(void **state) {
    (void)state;
    /* The oracle itself against SCIENCE A's table of theory. */
    near(mean_field_rate(0.9, 0.5, INFINITY), -.3545, 6e-5, "theory", 0.9);
    near(mean_field_rate(2.0, 1.0, INFINITY), .0460, 6e-5, "theory", 2.0);
    near(mean_field_rate(3.0, 0.5, INFINITY), .2989, 6e-5, "theory", 3.0);
    static double const sigmas[] = {0.5, 1.0};
    for (size_t i = 0; i < 2; ++i) {
        char settings[256];
        snprintf(settings, sizeof settings,
                 "hidden = 256\nsteps = 300\nwarmup = 300\nbatch = 16\nseeds = 0:3\nloss = random\n"
                 "rho = 0.5,0.9,1,1.2,1.5,2,3\ninput = noise:%g\n",
                 sigmas[i]);
        cells c = {.sigma = sigmas[i], .units = 256};
        assert_int_equal(sweep(settings, rates, collect, &c), 28);
        for (size_t k = 0; k < c.n; ++k) {
            assert_int_equal(c.seeds[k], 4);
            near(c.error[k] / 4.0, 0.0, 0.012, "distance from mean field", c.rho[k]);
        }
    }
}

/* ---- bounds ---------------------------------------------------------------------------------- */

typedef struct bound {
    double sigma_max; /* of the base matrix */
    double last, last_rho;
    size_t steps;
} bound;

/* |delta_{t-1}| <= sigma_max |delta_t| for slopes up to 1 (Pascanu et al. 2013, section 2.1). The
 * profile of a batch of one sample is that sample's; rows come in ascending t. */
static void check_bound(sqlite3_stmt *row, void *arg) {
    bound *b = arg;
    double const rho = sqlite3_column_double(row, 0), norm = sqlite3_column_double(row, 1);
    if (rho == b->last_rho && !(b->last - norm <= log10(rho * b->sigma_max) + 1e-12))
        fail_msg("a step grew by %g at rho = %g, sigma_max = %g", pow(10, b->last - norm), rho,
                 rho * b->sigma_max);
    b->last = norm;
    b->last_rho = rho;
    ++b->steps;
}

static void no_step_beats_sigma_max(void **state) {
    (void)state;
    static const char query[] = "SELECT rho_asked, log10_norm_mean FROM profile JOIN points p "
                                "ON p.id = point_id ORDER BY rho_asked, step";
    static const char *const cells[] = {"tanh", "relu", "linear"};
    for (size_t i = 0; i < 3; ++i) {
        char settings[256];
        snprintf(settings, sizeof settings,
                 "cell = %s\nhidden = 32\nsteps = 200\nbatch = 1\nseeds = 5\n"
                 "rho = 0.5:3:0.5\nprecision = f64\nloss = random\n",
                 cells[i]);
        rs_spec spec = spec_of(settings);
        rs_plan plan;
        rs_weights weights;
        double s[32];
        must(rs_plan_make(&spec, NULL, "cpu", &plan));
        rs_case const one = rs_plan_case(&plan, 0);
        must(rs_weights_make(&one, NULL, NULL, &weights));
        must(rs_singular_values(32, weights.weight_hh, s));
        bound b = {.sigma_max = s[0]};
        rs_weights_free(&weights);
        rs_spec_free(&spec);
        sweep(settings, query, check_bound, &b);
        assert_int_equal(b.steps, 6 * 200);
    }
}

/* ---- gated and leaky cells ------------------------------------------------------------------- */

static double sigma(double a) { return 1.0 / (1.0 + exp(-a)); }

static const char gated[] = "SELECT c.gate_bias, c.cell, g, decay_rate, rho_asked FROM points p "
                            "JOIN cases c ON c.id = case_id";

static bool is_lstm(sqlite3_stmt *row) {
    return strcmp((const char *)sqlite3_column_text(row, 1), "lstm") == 0;
}

typedef struct mean_of {
    size_t n;
    double sum, squares;
} mean_of;

static void take(mean_of *m, double x) {
    ++m->n;
    m->sum += x;
    m->squares += x * x;
}

/* Within four standard errors, and `more`. */
static void expect_mean(const mean_of *m, double want, double more, const char *what, double at) {
    double const n = (double)m->n, mean = m->sum / n;
    double const error = sqrt((m->squares / n - mean * mean) / n);
    near(mean, want, 4.0 * error + more, what, at);
}

/* Without recurrent weights each unit has its memory alone: the gradient of c_t of an LSTM, and of
 * h_t of a GRU, decays at -ln sigma(b). */
static void check_memory(sqlite3_stmt *row, void *arg) {
    double const b = strtod((const char *)sqlite3_column_text(row, 0), NULL);
    near(sqlite3_column_double(row, 3), log1p(exp(-b)), *(double *)arg, "decay rate", b);
}

static void memory_decays_at_its_gate(void **state) {
    (void)state;
    char settings[256];
    for (int p = 0; p < 2; ++p) {
        snprintf(settings, sizeof settings,
                 "cell = lstm,gru\nhidden = 6\nsteps = 100\nbatch = 2\nseeds = 0\nh0 = normal:1\n"
                 "input = zero\nrho = 1e-18\ngate-bias = -1,0,1,2,5,30\nprecision = %s\n",
                 p ? "f64" : "f32");
        double limit = p ? 1e-14 : 1e-6;
        assert_int_equal(sweep(settings, gated, check_memory, &limit), 12);
    }
}

/* At the zero state a step back is f + i o W of an LSTM, z + (1 - z) r W of a GRU, where open gates
 * are sigma(b) of the memory's and 1/2 of the others (Gilboa 2019; Can, Krishnamurthy & Schwab
 * 2020). Finite networks and steps fall short of it by about .003. */
enum { RADII = 3, BIASES = 2 };

/* Distance of the growth from theory, by cell, bias and radius. */
static void collect_gain(sqlite3_stmt *row, void *arg) {
    double const b = strtod((const char *)sqlite3_column_text(row, 0), NULL), memory = sigma(b);
    double const g = sqlite3_column_double(row, 2), radius = sqlite3_column_double(row, 4);
    double const theory = log(memory + (is_lstm(row) ? 0.25 : 0.5 * (1.0 - memory)) * g);
    mean_of(*all)[BIASES][RADII] = arg;
    take(&all[is_lstm(row)][(size_t)b][(size_t)(radius + 0.5) - 1],
         -sqlite3_column_double(row, 3) - theory);
}

static void zero_states_grow_by_their_gates(void **state) {
    (void)state;
    static const char settings[] =
        "cell = lstm,gru\nhidden = 256\nsteps = 200\nbatch = 2\nseeds = 1:8\nloss = random\n"
        "fit-skip = 50\ninput = zero\nrho = 1,2,3\ngate-bias = 0,1\n";
    mean_of distance[2][BIASES][RADII] = {{{{0}}}};
    assert_int_equal(sweep(settings, gated, collect_gain, distance), 8 * 2 * BIASES * RADII);
    for (size_t i = 0; i < (size_t)2 * BIASES * RADII; ++i) {
        const mean_of *m = &distance[0][0][0] + i;
        bool const lstm = i >= (size_t)BIASES * RADII;
        assert_int_equal(m->n, 8);
        near(m->sum / 8.0, 0.0, lstm ? .005 : .012, lstm ? "gain of lstm" : "gain of gru",
             (double)(i % RADII + 1));
    }
}

/* |delta_{T-k}|^2 of a batch of one sample. */
enum { MOST_STEPS = 12 };

static void collect_squares(sqlite3_stmt *row, void *arg) {
    mean_of *of = arg;
    take(&of[sqlite3_column_int(row, 0)], pow(10.0, 2.0 * sqlite3_column_double(row, 1)));
}

static void mean_squares(const char *settings, mean_of of[MOST_STEPS]) {
    static const char query[] = "SELECT c.steps - step, log10_norm_mean FROM profile "
                                "JOIN points p ON p.id = point_id JOIN cases c ON c.id = case_id";
    char text[512];
    snprintf(text, sizeof text,
             "cell = linear\nhidden = 128\nsteps = %d\nbatch = 1\nseeds = 1:150\nloss = random\n"
             "rho = native\ninput = zero\nprecision = f64\n%s",
             MOST_STEPS, settings);
    sweep(text, query, collect_squares, of);
}

static double choose(int n, int k) {
    double out = 1.0;
    for (int i = 1; i <= k; ++i) out = out * (n - k + i) / i;
    return out;
}

/* E|delta_{T-k}|^2 through a I + b W, W Ginibre: sum_j C(k,j)^2 a^(2(k-j)) b^(2j) for k well below
 * sqrt(N). */
static double through_a_leak(double leak, int k) {
    double sum = 0.0;
    for (int j = 0; j <= k; ++j)
        sum += pow(choose(k, j) * pow(1.0 - leak, k - j) * pow(leak, j), 2.0);
    return sum;
}

static void leaky_gradients_spread_as_binomials(void **state) {
    (void)state;
    static double const leaks[] = {0.5, 0.25};
    near(through_a_leak(0.5, 1), .500, 5e-4, "oracle", 1);
    near(through_a_leak(0.5, 5), .2461, 5e-5, "oracle", 5);
    near(through_a_leak(0.5, 10), .1762, 5e-5, "oracle", 10);
    for (size_t i = 0; i < sizeof leaks / sizeof *leaks; ++i) {
        char settings[64];
        mean_of squares[MOST_STEPS] = {{0}};
        snprintf(settings, sizeof settings, "ensemble = gaussian\nleak = %g\n", leaks[i]);
        mean_squares(settings, squares);
        for (int k = 0; k <= 10; ++k)
            expect_mean(&squares[k], through_a_leak(leaks[i], k), 2e-3, "leaky |delta|^2", k);
    }
}

/* Of the same eigenvalues, those of orthogonal eigenvectors lose it as 1 / (k + 1), the mean of
 * |z|^2k over the disk; Gaussian ones, whose eigenvectors are far from it, hold the gradient. */
static void normal_matrices_lose_what_gaussian_ones_hold(void **state) {
    (void)state;
    mean_of normal[MOST_STEPS] = {{0}}, gaussian[MOST_STEPS] = {{0}};
    mean_squares("ensemble = normal\n", normal);
    mean_squares("ensemble = gaussian\n", gaussian);
    for (int k = 0; k < 10; ++k) {
        expect_mean(&normal[k], 1.0 / (k + 1), 2e-3, "normal |delta|^2", k);
        expect_mean(&gaussian[k], 1.0, 5e-3 * k, "gaussian |delta|^2", k);
    }
}

/* One unit without recurrence decays at -ln sigma(b_f): over biases ln U(1, TMAX - 1) (Tallec &
 * Ollivier 2018) at E ln(1 + 1 / u). */
static double chrono_rate(double most) {
    double const u = most - 1.0;
    return ((u + 1.0) * log(u + 1.0) - u * log(u) - 2.0 * log(2.0)) / (most - 2.0);
}

static void collect_rates(sqlite3_stmt *row, void *arg) {
    take((mean_of *)arg + is_lstm(row), sqlite3_column_double(row, 3));
}

static void chrono_biases_decay_as_long_as_they_are_made_for(void **state) {
    (void)state;
    static double const table[][2] = {{10, .2331}, {100, .0430}, {1000, .00653}};
    for (size_t i = 0; i < sizeof table / sizeof *table; ++i) {
        char settings[256];
        mean_of rate[2] = {{0}};
        near(chrono_rate(table[i][0]), table[i][1], 5.1e-5, "oracle", table[i][0]);
        snprintf(
            settings, sizeof settings,
            "cell = lstm,gru\nhidden = 1\nsteps = 60\nbatch = 1\nseeds = 1:1000\n"
            "h0 = normal:1\ninput = zero\nrho = 1e-18\nprecision = f64\ngate-bias = chrono:%g\n",
            table[i][0]);
        assert_int_equal(sweep(settings, gated, collect_rates, rate), 2000);
        for (int lstm = 0; lstm < 2; ++lstm)
            expect_mean(&rate[lstm], chrono_rate(table[i][0]), 0.0, "chrono rate", table[i][0]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orthogonal_linear_is_rho_to_the_k),
        cmocka_unit_test(identity_tanh_decays_at_its_fixed_point),
        cmocka_unit_test(identity_relu_decays_at_ln_rho),
        cmocka_unit_test(gaussian_tanh_follows_mean_field),
        cmocka_unit_test(no_step_beats_sigma_max),
        cmocka_unit_test(memory_decays_at_its_gate),
        cmocka_unit_test(zero_states_grow_by_their_gates),
        cmocka_unit_test(leaky_gradients_spread_as_binomials),
        cmocka_unit_test(normal_matrices_lose_what_gaussian_ones_hold),
        cmocka_unit_test(chrono_biases_decay_as_long_as_they_are_made_for),
    };
    return cmocka_run_group_tests(tests, start, finish);
}
