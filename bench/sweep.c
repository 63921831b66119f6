#include "sweep.h"

#include "../host/plan/plan.h"
#include "../host/store/store.h"
#include "../host/sweep/pipeline.h"
#include "../host/work/weights.h"
#include "gbench.h"
#include "idle_engine.h"
#include "job.h"
#include "scratch.h"
#include "setting.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct sweep_cost {
    rs_bench_sweep ask;
    rs_spec spec;
    rs_bench_scratch scratch;
    double seconds, engine_seconds, cpu_seconds; /* of all iterations */
    double database_bytes;                       /* of the latest */
} sweep_cost;

static double points_of(const rs_bench_sweep *ask) {
    return (double)ask->shape.radii * (double)ask->seeds;
}

/* ---- the spec ------------------------------------------------------------------------------ */

static rs_status set_radii(rs_spec *spec, size_t count) {
    char *text = NULL;
    size_t length = 0;
    FILE *const out = open_memstream(&text, &length);
    if (!out) return rs_fail(RS_EMEMORY, "%zu radii: out of memory", count);
    for (size_t r = 0; r < count; ++r)
        fprintf(out, "%s%.17g", r ? "," : "", rs_bench_radius(r, count));
    bool const written = fclose(out) == 0;
    rs_status const status = written ? rs_bench_set(spec, "rho", "%s", text)
                                     : rs_fail(RS_EMEMORY, "%zu radii: out of memory", count);
    free(text);
    return status;
}

static rs_status make_spec(sweep_cost *c) {
    const rs_bench_shape *const shape = &c->ask.shape;
    rs_spec *const spec = &c->spec;
    RS_TRY(rs_spec_init(spec));
    RS_TRY(rs_bench_set(spec, "output", "%s", c->scratch.path));
    RS_TRY(rs_bench_set(spec, "cell", "tanh"));
    RS_TRY(rs_bench_set(spec, "ensemble", "gaussian"));
    RS_TRY(rs_bench_set(spec, "precision", "f32"));
    RS_TRY(rs_bench_set(spec, "hidden", "%zu", shape->hidden));
    RS_TRY(rs_bench_set(spec, "batch", "%zu", shape->batch));
    RS_TRY(rs_bench_set(spec, "steps", "%zu", shape->steps));
    RS_TRY(rs_bench_set(spec, "seeds", "1:%zu", c->ask.seeds));
    RS_TRY(rs_bench_set(spec, "threads", "%d", c->ask.threads));
    RS_TRY(rs_bench_set(spec, "profiles", "%s", c->ask.profiles ? "yes" : "no"));
    RS_TRY(rs_bench_set(spec, "quiet", "yes"));
    RS_TRY(set_radii(spec, shape->radii));
    return rs_spec_check(spec);
}

/* ---- one sweep ----------------------------------------------------------------------------- */

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A sweep catches Ctrl-C and ends; those that would follow it must not begin. */
static rs_status run_once(sweep_cost *c) {
    static bool interrupted;
    rs_sweep_outcome outcome;
    struct stat file;
    if (interrupted) return rs_fail(RS_EINTERRUPTED, "interrupted");
    rs_bench_scratch_clear(&c->scratch);
    rs_idle_set(c->ask.devices ? c->ask.devices : 1, c->ask.launch_seconds);
    double const cpu = cpu_seconds();
    rs_status const status = rs_sweep_on(c->ask.engine, &c->spec, "rhosweep-bench", &outcome);
    c->cpu_seconds += cpu_seconds() - cpu;
    c->seconds += outcome.seconds;
    c->engine_seconds += outcome.engine_seconds;
    free(outcome.finding);
    interrupted = status == RS_EINTERRUPTED;
    if (interrupted) return rs_fail(RS_EINTERRUPTED, "interrupted");
    RS_TRY(status);
    if (stat(c->scratch.path, &file) != 0)
        return rs_fail(RS_EIO, "%s: not there after the sweep", c->scratch.path);
    c->database_bytes = (double)file.st_size;
    return RS_OK;
}

static void close_sweep(void *self) {
    sweep_cost *c = self;
    rs_spec_free(&c->spec);
    rs_bench_scratch_remove(&c->scratch);
}

static rs_status prepare(sweep_cost *c) {
    RS_TRY(rs_bench_scratch_make(&c->scratch));
    RS_TRY(make_spec(c));
    return run_once(c);
}

static rs_status open_sweep(void *self) {
    rs_status const status = prepare(self);
    if (status != RS_OK) close_sweep(self);
    return status;
}

/* ---- judging ------------------------------------------------------------------------------- */

/* The points of one case on their way out of the database. */
typedef struct judging {
    const sweep_cost *cost;
    const rs_case *one;
    bool *seen; /* [n_rho] */
    size_t points, curves;
} judging;

static rs_status judge_point(void *arg, const rs_stored_point *point) {
    judging *j = arg;
    const rs_spec *const spec = &j->cost->spec;
    size_t r = 0;
    while (r < spec->n_rho && spec->rho[r] != point->rho_asked) ++r;
    if (r == spec->n_rho || j->seen[r])
        return rs_fail(RS_EDEVICE, "wrong result: radius %g is stored unasked", point->rho_asked);
    j->seen[r] = true;
    ++j->points;
    if (!j->cost->ask.rate) return RS_OK;
    double const right = j->cost->ask.rate(rs_weights_scale(j->one, spec->rho[r], 0));
    if (fabs(point->decay_rate - right) < 1e-9) return RS_OK;
    return rs_fail(RS_EDEVICE, "wrong result: decay rate %.12g at radius %g, not %.12g",
                   point->decay_rate, spec->rho[r], right);
}

static rs_status count_curve(void *arg, const rs_stored_point *point) {
    judging *j = arg;
    (void)point;
    ++j->curves;
    return RS_OK;
}

/* `seen` is room for every radius. */
static rs_status check_case(const sweep_cost *c, rs_store *store, const rs_case *one, bool *seen) {
    size_t const n_rho = c->spec.n_rho;
    uint64_t const seeds[2] = {one->seed, one->seed};
    judging j = {.cost = c, .one = one, .seen = seen};
    memset(seen, 0, n_rho * sizeof *seen);
    RS_TRY(rs_store_points(store, one, seeds, false, judge_point, &j));
    RS_TRY(rs_store_points(store, one, seeds, true, count_curve, &j));
    if (j.points == n_rho && j.curves == (c->spec.profiles ? n_rho : 0)) return RS_OK;
    return rs_fail(RS_EDEVICE,
                   "wrong result: %zu points and %zu curves of seed %llu are stored, of %zu",
                   j.points, j.curves, (unsigned long long)one->seed, n_rho);
}

static rs_status check_cases(const sweep_cost *c, rs_store *store, bool *seen) {
    rs_plan plan;
    rs_device device;
    RS_TRY(c->ask.engine->device(0, &device));
    RS_TRY(rs_plan_make(&c->spec, NULL, device.identity, &plan));
    for (size_t i = 0; i < plan.n; ++i) {
        rs_case const one = rs_plan_case(&plan, i);
        RS_TRY(check_case(c, store, &one, seen));
    }
    return RS_OK;
}

static rs_status check_sweep(void *self) {
    const sweep_cost *c = self;
    rs_store *store;
    bool *const seen = calloc(c->spec.n_rho, sizeof *seen);
    if (!seen) return rs_fail(RS_EMEMORY, "check of a sweep: out of memory");
    rs_status status = rs_store_open_readonly(c->scratch.path, &store);
    if (status == RS_OK) {
        status = check_cases(c, store, seen);
        rs_store_close(store);
    }
    free(seen);
    return status;
}

/* ---- timing -------------------------------------------------------------------------------- */

/* Launches of one case each, in as many turns as it takes. */
static double ideal_seconds(const rs_bench_sweep *ask) {
    return ask->launch_seconds * ceil((double)ask->seeds / (double)ask->devices);
}

static rs_status run_sweep(void *self, int64_t n, rs_bench_report *report) {
    sweep_cost *c = self;
    double const points = points_of(&c->ask);
    c->seconds = c->engine_seconds = c->cpu_seconds = 0.0;
    for (int64_t i = 0; i < n; ++i) RS_TRY(run_once(c));
    report->seconds = c->seconds;
    double const engine_share =
        c->engine_seconds / c->seconds / (double)(c->ask.devices ? c->ask.devices : 1);
    rs_bench_counter *counter = report->counter;
    *counter++ = (rs_bench_counter){"points_per_s", points, true};
    *counter++ = (rs_bench_counter){"cases_per_s", (double)c->ask.seeds, true};
    *counter++ = (rs_bench_counter){"engine_share", engine_share, false};
    *counter++ =
        (rs_bench_counter){"cpu_us_per_point", 1e6 * c->cpu_seconds / ((double)n * points), false};
    *counter++ = (rs_bench_counter){"bytes_per_point", c->database_bytes / points, false};
    if (c->ask.launch_seconds > 0.0)
        *counter = (rs_bench_counter){"ideal_share",
                                      (double)n * ideal_seconds(&c->ask) / c->seconds, false};
    return RS_OK;
}

rs_status rs_bench_add_sweep(const char *name, const rs_bench_sweep *sweep) {
    static const rs_bench_body body = {.open = open_sweep,
                                       .check = check_sweep,
                                       .run = run_sweep,
                                       .close = close_sweep,
                                       .release = free};
    sweep_cost *const c = calloc(1, sizeof *c);
    if (!c) return rs_fail(RS_EMEMORY, "%s: out of memory", name);
    c->ask = *sweep;
    return rs_bench_add(name, &body, c);
}
