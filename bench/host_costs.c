/* What a sweep costs beside its launches: spectra, weights, and storing what came out. */
#include "../host/plan/plan.h"
#include "../host/store/store.h"
#include "../host/work/spectrum.h"
#include "../host/work/weights.h"
#include "../kernels/base/clock.h"
#include "gbench.h"
#include "scratch.h"
#include "setting.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- a case of a sweep --------------------------------------------------------------------- */

static rs_status plan_case(rs_spec *spec, size_t hidden, size_t steps, rs_case *out) {
    rs_plan plan;
    RS_TRY(rs_spec_init(spec));
    RS_TRY(rs_bench_set(spec, "hidden", "%zu", hidden));
    RS_TRY(rs_bench_set(spec, "steps", "%zu", steps));
    RS_TRY(rs_bench_set(spec, "seeds", "1"));
    RS_TRY(rs_bench_set(spec, "ensemble", "gaussian"));
    RS_TRY(rs_bench_set(spec, "cell", "tanh"));
    RS_TRY(rs_bench_set(spec, "precision", "f64"));
    RS_TRY(rs_spec_check(spec));
    RS_TRY(rs_plan_make(spec, NULL, "cpu", &plan));
    *out = rs_plan_case(&plan, 0);
    return RS_OK;
}

/* One seed of the Gaussian ensemble. */
static rs_status make_case(size_t hidden, size_t steps, rs_case *out) {
    rs_spec spec;
    rs_status const status = plan_case(&spec, hidden, steps, out);
    rs_spec_free(&spec);
    return status;
}

/* ---- spectra and weights ------------------------------------------------------------------- */

typedef struct matrix_cost {
    size_t hidden;
    rs_case one;
    rs_weights weights;
} matrix_cost;

static void close_matrix(void *self) {
    matrix_cost *m = self;
    rs_weights_free(&m->weights);
}

static rs_status make_weights(matrix_cost *m, rs_weights *out) {
    return rs_weights_make(&m->one, NULL, NULL, out);
}

static rs_status open_matrix(void *self) {
    matrix_cost *m = self;
    RS_TRY(make_case(m->hidden, 1, &m->one));
    rs_status const status = make_weights(m, &m->weights);
    if (status != RS_OK) close_matrix(m);
    return status;
}

/* Scaled by its radius, the matrix has radius 1; so has its transpose. */
static rs_status check_matrix(void *self) {
    const matrix_cost *m = self;
    size_t const h = m->hidden;
    double *const transposed = malloc(h * h * sizeof *transposed);
    if (!transposed) return rs_fail(RS_EMEMORY, "check of radii: out of memory");
    for (size_t i = 0; i < h; ++i)
        for (size_t j = 0; j < h; ++j) transposed[j * h + i] = m->weights.weight_hh[i * h + j];
    double radius = NAN;
    rs_status const status = rs_spectral_radius(h, transposed, &radius);
    free(transposed);
    RS_TRY(status);
    if (fabs(radius - 1.0) < 1e-10) return RS_OK;
    return rs_fail(RS_EDEVICE, "wrong result: spectral radius %.15g, not 1", radius);
}

static rs_status run_radius(void *self, int64_t n, rs_bench_report *report) {
    const matrix_cost *m = self;
    double const start = rs_seconds();
    for (int64_t i = 0; i < n; ++i) {
        double radius;
        RS_TRY(rs_spectral_radius(m->hidden, m->weights.weight_hh, &radius));
    }
    report->seconds = rs_seconds() - start;
    return RS_OK;
}

/* By LAPACK: what a radius costs where no faster way is sure. */
static rs_status run_eigenvalues(void *self, int64_t n, rs_bench_report *report) {
    const matrix_cost *m = self;
    double *const re = malloc(2 * m->hidden * sizeof *re);
    if (!re) return rs_fail(RS_EMEMORY, "%zu eigenvalues: out of memory", m->hidden);
    rs_status status = RS_OK;
    double const start = rs_seconds();
    for (int64_t i = 0; i < n && status == RS_OK; ++i)
        status = rs_eigenvalues(m->hidden, m->weights.weight_hh, re, re + m->hidden);
    report->seconds = rs_seconds() - start;
    free(re);
    return status;
}

static rs_status run_weights(void *self, int64_t n, rs_bench_report *report) {
    matrix_cost *m = self;
    for (int64_t i = 0; i < n; ++i) {
        rs_weights weights = {0};
        double const start = rs_seconds();
        rs_status const status = make_weights(m, &weights);
        report->seconds += rs_seconds() - start;
        rs_weights_free(&weights);
        RS_TRY(status);
    }
    return RS_OK;
}

static rs_status add_matrix(const char *what, size_t hidden,
                            rs_status (*run)(void *, int64_t, rs_bench_report *)) {
    rs_bench_body const body = {.open = open_matrix,
                                .check = check_matrix,
                                .run = run,
                                .close = close_matrix,
                                .release = free};
    char name[64];
    snprintf(name, sizeof name, "host/%s/H:%zu", what, hidden);
    matrix_cost *const m = calloc(1, sizeof *m);
    if (!m) return rs_fail(RS_EMEMORY, "%s: out of memory", name);
    m->hidden = hidden;
    return rs_bench_add(name, &body, m);
}

/* ---- the store ----------------------------------------------------------------------------- */

enum { RADII = 21, STEPS = 100, HIDDEN = 64 };

typedef struct store_cost {
    rs_case next; /* every case that is stored has a seed of its own */
    double curve[STEPS];
    rs_point point[RADII];
    rs_bench_scratch scratch;
    rs_store *store;
    int64_t run_id;
} store_cost;

static rs_status open_database(store_cost *c) {
    RS_TRY(rs_bench_scratch_make(&c->scratch));
    RS_TRY(rs_store_open(c->scratch.path, &c->store));
    rs_provenance const provenance = {.version = "",
                                      .commit = "",
                                      .libraries = "",
                                      .system = "",
                                      .engine = "cpu",
                                      .driver = "",
                                      .first = {.host = "", .device = "", .threads = 1},
                                      .workers = 1,
                                      .command_line = "",
                                      .spec = ""};
    return rs_store_begin_run(c->store, &provenance, &c->run_id);
}

static void close_store(void *self) {
    store_cost *c = self;
    rs_store_close(c->store);
    c->store = NULL;
    rs_bench_scratch_remove(&c->scratch);
}

static void fill_points(store_cost *c) {
    for (size_t t = 0; t < STEPS; ++t) c->curve[t] = -0.1 * (double)(STEPS - 1 - t) - 1.0 / 3.0;
    for (size_t i = 0; i < RADII; ++i) {
        double const rho = 0.5 + 0.05 * (double)i;
        c->point[i] = (rs_point){.rho_asked = rho,
                                 .rho = rho,
                                 .g = rho,
                                 .decay_rate = 0.1,
                                 .range = {-1, -1, -1, -1, -1, -1, -1},
                                 .profile = {.mean = c->curve, .min = c->curve, .max = c->curve}};
    }
}

static rs_status put_next(store_cost *c) {
    rs_origin const origin = {.host = "", .device = "", .threads = 1};
    rs_case_result const result = {.one = &c->next,
                                   .status = RS_OK,
                                   .point = c->point,
                                   .n = RADII,
                                   .origin = &origin,
                                   .forward_seconds = 1.0,
                                   .backward_seconds = 1.0};
    RS_TRY(rs_store_put(c->store, c->run_id, &result));
    ++c->next.seed;
    return RS_OK;
}

static rs_status open_store(void *self) {
    store_cost *c = self;
    RS_TRY(make_case(HIDDEN, STEPS, &c->next));
    fill_points(c);
    rs_status status = open_database(c);
    if (status == RS_OK) status = put_next(c);
    if (status != RS_OK) close_store(c);
    return status;
}

static rs_status count_point(void *arg, const rs_stored_point *point) {
    (void)point;
    ++*(size_t *)arg;
    return RS_OK;
}

/* All radii of the latest case are in the database, and none of the next. */
static rs_status check_store(void *self) {
    const store_cost *c = self;
    for (uint64_t ahead = 0; ahead < 2; ++ahead) {
        uint64_t const seed = c->next.seed - 1 + ahead;
        size_t stored = 0;
        RS_TRY(rs_store_points(c->store, &c->next, (uint64_t[]){seed, seed}, true, count_point,
                               &stored));
        if (stored != (ahead == 0 ? RADII : 0))
            return rs_fail(RS_EDEVICE, "wrong result: %zu radii of seed %llu are stored", stored,
                           (unsigned long long)seed);
    }
    return RS_OK;
}

static rs_status run_store(void *self, int64_t n, rs_bench_report *report) {
    store_cost *c = self;
    double const start = rs_seconds();
    for (int64_t i = 0; i < n; ++i) RS_TRY(put_next(c));
    report->seconds = rs_seconds() - start;
    report->counter[0] = (rs_bench_counter){"cases_per_s", 1.0, true};
    report->counter[1] = (rs_bench_counter){"radii", RADII, false};
    report->counter[2] = (rs_bench_counter){"steps", STEPS, false};
    return RS_OK;
}

static rs_status add_store(void) {
    static const rs_bench_body body = {.open = open_store,
                                       .check = check_store,
                                       .run = run_store,
                                       .close = close_store,
                                       .release = free};
    store_cost *const c = calloc(1, sizeof *c);
    if (!c) return rs_fail(RS_EMEMORY, "host/store_commits: out of memory");
    return rs_bench_add("host/store_commits", &body, c);
}

/* ---- the list ------------------------------------------------------------------------------ */

/* True where an earlier shape has the same number of units. */
static bool seen_before(const rs_bench_options *options, size_t i) {
    for (size_t j = 0; j < i; ++j)
        if (options->shape[j].hidden == options->shape[i].hidden) return true;
    return false;
}

rs_status rs_bench_add_host_costs(const rs_bench_options *options) {
    for (size_t i = 0; i < options->n_shapes; ++i) {
        if (seen_before(options, i)) continue;
        RS_TRY(add_matrix("eigenvalues", options->shape[i].hidden, run_eigenvalues));
        RS_TRY(add_matrix("radius", options->shape[i].hidden, run_radius));
        RS_TRY(add_matrix("weights", options->shape[i].hidden, run_weights));
    }
    return add_store();
}
