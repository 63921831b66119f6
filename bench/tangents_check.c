#include "../kernels/record.h"
#include "job.h"

#include <float.h>
#include <math.h>

/* What the reference may spend on tangents: about a second of its plain loops. */
static double const budget = 2e9;

/* Steps: rounding errors of the states grow along them where the largest exponent is positive. */
enum { FEW_RADII = 3, FEWEST_STEPS = 4, MOST_STEPS = 40 };

/* Some radii of a job, and its first steps. Points into itself. */
typedef struct part {
    rs_bench_job job;
    double scale[FEW_RADII * RS_MAX_GATES];
    size_t radius[FEW_RADII]; /* index in the whole job */
} part;

/* ---- few steps beside the reference -------------------------------------------------------- */

/* Of a column: products with k tangents, and their QR with Q made (4 S H k^2 at most, Golub & Van
 * Loan 2013, section 5.2). */
static double step_flops(const rs_shape *s) {
    const rs_cell_info *cell = rs_cell_of(s->cell);
    double const h = (double)s->hidden, k = (double)s->directions;
    return 2.0 * (double)cell->gates * h * h * k + 4.0 * (double)cell->states * h * k * k;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* As many as the reference can afford, within limits. */
static size_t few_steps(const rs_shape *s, size_t columns) {
    double const number = budget / (step_flops(s) * (double)columns);
    size_t const most = smaller(s->steps, MOST_STEPS), least = smaller(s->steps, FEWEST_STEPS);
    if (number >= (double)most) return most;
    return number > (double)least ? (size_t)number : least;
}

static void choose(const rs_bench_job *whole, part *out) {
    const rs_shape *const shape = &whole->pass.shape;
    size_t const gates = rs_cell_of(shape->cell)->gates;
    size_t const radii = smaller(shape->radii, FEW_RADII);
    *out = (part){.job = {.network = whole->network,
                          .columns = whole->columns,
                          .pass = {.shape = *shape, .of = &out->job.columns}}};
    for (size_t i = 0; i < radii; ++i) {
        out->radius[i] = radii > 1 ? i * (shape->radii - 1) / (radii - 1) : 0;
        for (size_t k = 0; k < gates; ++k)
            out->scale[i * gates + k] = whole->columns.scale[out->radius[i] * gates + k];
    }
    out->job.columns.scale = out->scale;
    rs_shape *const few = &out->job.pass.shape;
    few->radii = radii;
    few->batch = 1;
    few->steps = few_steps(shape, radii);
    few->transient = few->warmup = smaller(shape->transient, few->steps);
}

/* Leaves the record, made, to the caller in any case. */
static rs_status run_on(const rs_engine *engine, int threads, rs_bench_job *job) {
    rs_resources const resources = {.threads = threads};
    void *state = NULL;
    RS_TRY(rs_record_make(&job->pass.shape, &job->record));
    RS_TRY(engine->open(0, &job->pass.shape, &resources, &state));
    rs_status const status = rs_bench_job_run(job, engine, state);
    engine->close(state);
    return status;
}

/* Of direction i of a column: nats per step. */
static double exponent(const rs_bench_job *job, size_t column, size_t i) {
    size_t const k = job->pass.shape.directions;
    const double *const stretch = job->record.stretch + column * RS_STRETCH_BLOCKS * k;
    double sum = 0.0;
    for (size_t b = 0; b < RS_STRETCH_BLOCKS; ++b) sum += stretch[b * k + i];
    return sum / (double)job->pass.shape.steps;
}

/* Rounding grows between two QRs by the spread of what stretches (tangent/schedule.h). The spread
 * of one way may be larger than the mean; of chosen gaps the schedule says how large at most. */
static double tolerance(double spread, uint32_t gap, bool is_chosen) {
    double const rounding = 50.0 * DBL_EPSILON * exp((double)gap * fmax(spread, 0.0));
    return 1e-11 + (is_chosen ? fmax(rounding, 1e-7) : rounding);
}

static rs_status compare_direction(const part *got, const part *want, size_t column, size_t i,
                                   const char *engine) {
    double const mine = exponent(&got->job, column, i), right = exponent(&want->job, column, i);
    double const spread = exponent(&want->job, column, 0) - right;
    double const error = mine == right ? 0.0 : fabs(mine - right);
    bool const is_chosen = want->job.pass.shape.qr_every == 0;
    if (error <= tolerance(spread, want->job.record.qr_gap[column], is_chosen)) return RS_OK;
    return rs_fail(RS_EDEVICE,
                   "engine %s: wrong result: direction %zu at scale %g stretches by %.12g nats per "
                   "step, in the reference by %.12g",
                   engine, i + 1,
                   want->scale[column * rs_cell_of(want->job.pass.shape.cell)->gates], mine, right);
}

static rs_status compare_column(const part *got, const part *want, size_t column,
                                const char *engine) {
    uint32_t const mine = got->job.record.qr_gap[column], right = want->job.record.qr_gap[column];
    if (mine != right)
        return rs_fail(RS_EDEVICE,
                       "engine %s: wrong result: %u steps between QRs, in the reference %u", engine,
                       mine, right);
    for (size_t i = 0; i < want->job.pass.shape.directions; ++i)
        RS_TRY(compare_direction(got, want, column, i, engine));
    return RS_OK;
}

static rs_status compare_with_reference(const rs_bench_job *job, const rs_engine *engine,
                                        int threads) {
    part got, want;
    choose(job, &got);
    choose(job, &want);
    rs_status status = run_on(engine, threads, &got.job);
    if (status == RS_OK) status = run_on(rs_engine_named("reference"), 1, &want.job);
    for (size_t c = 0; c < want.job.pass.shape.radii && status == RS_OK; ++c)
        status = compare_column(&got, &want, c, engine->name);
    rs_record_free(&got.job.record);
    rs_record_free(&want.job.record);
    return status;
}

/* ---- the whole record ---------------------------------------------------------------------- */

/* ln |det W0| / H as a column has it: ln |det J_t| is H ln s + ln |det W0| + the sum of ln phi'. */
static double log_det(const rs_bench_job *job, size_t column) {
    const rs_shape *const shape = &job->pass.shape;
    double sum = 0.0;
    for (size_t i = 0; i < shape->directions; ++i) sum += exponent(job, column, i);
    return sum / (double)shape->hidden - job->record.log_slope[column] -
           log(job->columns.scale[column / shape->batch]);
}

static bool has_sum_rule(const rs_shape *shape) {
    return rs_has_slopes(shape) && shape->directions == shape->hidden;
}

/* The mean is free of how directions were told apart, and so of most of their rounding. */
static rs_status keep_sum_rule(const rs_bench_job *job, const char *engine) {
    double const first = log_det(job, 0);
    for (size_t c = 0; c < job->pass.shape.radii * job->pass.shape.batch; ++c) {
        double const error = fabs(log_det(job, c) - first);
        if (!(error <= 1e-6))
            return rs_fail(RS_EDEVICE,
                           "engine %s: wrong result: mean exponent of column %zu breaks the sum "
                           "rule by %.3g",
                           engine, c, error);
    }
    return RS_OK;
}

rs_status rs_bench_tangents_check(const rs_bench_job *job, const rs_engine *engine, int threads) {
    RS_TRY(compare_with_reference(job, engine, threads));
    return has_sum_rule(&job->pass.shape) ? keep_sum_rule(job, engine->name) : RS_OK;
}
