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

static void remove_database(void) {
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; ++i) {
        char path[64];
        snprintf(path, sizeof path, "%s%s", database, endings[i]);
        unlink(path);
    }
}

static int finish(void **state) {
    (void)state;
    remove_database();
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
    remove_database();
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orthogonal_linear_is_rho_to_the_k),
        cmocka_unit_test(identity_tanh_decays_at_its_fixed_point),
        cmocka_unit_test(identity_relu_decays_at_ln_rho),
        cmocka_unit_test(gaussian_tanh_follows_mean_field),
        cmocka_unit_test(no_step_beats_sigma_max),
    };
    return cmocka_run_group_tests(tests, start, finish);
}
