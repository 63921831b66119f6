#include "../host/fit/fit.h"
#include "../kernels/record.h"
#include "job.h"

#include <math.h>
#include <stdio.h>

/* As in the tests of the engines: of log10 norms, for each decade that the gradient has decayed
 * and one more; and of the norms of the weights' gradients, relative. */
static double const tolerance[RS_N_PRECISION] = {[RS_F32] = 2e-5, [RS_F64] = 2e-12};
static double const gradient_tolerance[RS_N_PRECISION] = {[RS_F32] = 2e-5, [RS_F64] = 1e-11};

/* What the reference may spend on the norms of a sample: about 0.1 s of its plain loops. */
static double const sample_flops = 1e8;

enum { MAX_RADII = 8, GRADIENT_RADII = 3 };

/* ---- what the reference runs --------------------------------------------------------------- */

/* Some radii of a job, and its samples from `first` on. Points into itself. */
typedef struct part {
    rs_bench_job job;
    double scale[MAX_RADII * RS_MAX_GATES];
    size_t radius[MAX_RADII]; /* index in the whole job */
    size_t first;
} part;

/* How many things that cost so much each; at least one. */
static size_t affordable(double flops, double cost, size_t most) {
    double const number = flops / cost;
    if (number < 1.0) return 1;
    return number < (double)most ? (size_t)number : most;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static size_t gates_of(const rs_shape *shape) { return rs_cell_of(shape->cell)->gates; }

static size_t states_of(const rs_shape *shape) { return rs_cell_of(shape->cell)->states; }

/* Products with W0: of a column, forward and back, with its share of the weights' gradients. */
static double column_flops(const rs_shape *shape, bool gradients) {
    double const h = (double)shape->hidden, gates = (double)gates_of(shape);
    return (gradients ? 6.0 : 4.0) * gates * h * h * (double)shape->steps;
}

/* So many radii from the first to the last. Leaves the record to be made. */
static void choose(const rs_bench_job *whole, size_t radii, size_t first, size_t samples,
                   bool gradients, part *out) {
    const rs_shape *shape = &whole->pass.shape;
    size_t const gates = gates_of(shape);
    *out = (part){.job = {.network = whole->network,
                          .columns = whole->columns,
                          .pass = {.shape = *shape, .of = &out->job.columns}},
                  .first = first};
    for (size_t i = 0; i < radii; ++i) {
        out->radius[i] = radii > 1 ? i * (shape->radii - 1) / (radii - 1) : 0;
        for (size_t k = 0; k < gates; ++k)
            out->scale[i * gates + k] = whole->columns.scale[out->radius[i] * gates + k];
    }
    out->job.pass.shape.radii = radii;
    out->job.pass.shape.batch = samples;
    out->job.pass.shape.gradients = gradients;
    out->job.pass.shape.directions = 0; /* rs_bench_tangents_check has its own part */
    out->job.pass.shape.transient = out->job.pass.shape.qr_every = 0;
    out->job.columns.scale = out->scale;
    out->job.columns.delta += first * shape->hidden;
    out->job.columns.drive.first_sample = first;
}

static rs_status run_reference(part *some) {
    const rs_engine *const reference = rs_engine_named("reference");
    const rs_shape *shape = &some->job.pass.shape;
    rs_resources const resources = {.threads = 1};
    void *state = NULL;
    RS_TRY(rs_record_make(shape, &some->job.record));
    RS_TRY(reference->open(0, shape, &resources, &state));
    rs_status const status = rs_bench_job_run(&some->job, reference, state);
    reference->close(state);
    return status;
}

/* ---- columns ------------------------------------------------------------------------------- */

/* Squared norms of the states of a column, and the exponent that they share. */
typedef struct norms {
    double square[RS_MAX_STATES];
    int32_t exponent;
} norms;

static norms norms_at(const rs_bench_job *job, size_t t, size_t column) {
    const rs_shape *shape = &job->pass.shape;
    size_t const columns = shape->radii * shape->batch, states = states_of(shape);
    norms out = {.exponent = job->record.exponent[(t - 1) * columns + column]};
    for (size_t s = 0; s < states; ++s)
        out.square[s] = job->record.norm2[((t - 1) * states + s) * columns + column];
    return out;
}

/* Of all states together. */
static double log_norm(const rs_bench_job *job, size_t t, size_t column) {
    norms const n = norms_at(job, t, column);
    double sum = 0.0;
    for (size_t s = 0; s < RS_MAX_STATES; ++s) sum += n.square[s];
    return rs_log10_norm(sum, n.exponent);
}

/* Whether rounding errors stay small. Unless all is linear they grow as gradients do, and in their
 * own direction at times more: this one may not grow by half, from whichever step on. */
static bool comparable(const part *some, size_t column) {
    const rs_shape *shape = &some->job.pass.shape;
    double least = INFINITY;
    for (size_t t = shape->steps; t > 0 && shape->cell != RS_LINEAR; --t) {
        double const now = log_norm(&some->job, t, column);
        least = fmin(least, now);
        if (now - least > log10(1.5)) return false;
    }
    return true;
}

static rs_status compare_norms(const rs_shape *shape, norms of_engine, norms of_reference,
                               const char *where) {
    static const char *const name[RS_MAX_STATES] = {"h", "c"};
    for (size_t s = 0; s < RS_MAX_STATES && s < states_of(shape); ++s) {
        double const got = rs_log10_norm(of_engine.square[s], of_engine.exponent);
        double const want = rs_log10_norm(of_reference.square[s], of_reference.exponent);
        double const error = got == want ? 0.0 : fabs(got - want) / (1.0 + fabs(want));
        if (!(error <= tolerance[shape->precision])) /* NaN is wrong, too */
            return rs_fail(RS_EDEVICE, "%s: log10 norm of dL/d%s %.10g, reference %.10g", where,
                           name[s], got, want);
    }
    return RS_OK;
}

static rs_status compare_column(const rs_bench_job *whole, const part *some, size_t i,
                                const char *engine) {
    const rs_shape *shape = &whole->pass.shape;
    size_t const samples = some->job.pass.shape.batch;
    size_t const column = some->radius[i / samples] * shape->batch + some->first + i % samples;
    uint32_t const *const nonfinite = some->job.record.nonfinite_step;
    if (whole->record.nonfinite_step[column] != nonfinite[i])
        return rs_fail(RS_EDEVICE,
                       "engine %s: wrong result: column %zu is first not finite at "
                       "step %u, in the reference at %u",
                       engine, column, whole->record.nonfinite_step[column], nonfinite[i]);
    for (size_t t = 1; t <= shape->steps; ++t) {
        char where[128];
        snprintf(where, sizeof where, "engine %s: wrong result: step %zu of column %zu", engine, t,
                 column);
        RS_TRY(compare_norms(shape, norms_at(whole, t, column), norms_at(&some->job, t, i), where));
    }
    return RS_OK;
}

static rs_status check_sample(const rs_bench_job *whole, size_t sample, const char *engine,
                              size_t *compared) {
    const rs_shape *shape = &whole->pass.shape;
    size_t const most = smaller(shape->radii, MAX_RADII);
    part some;
    choose(whole, affordable(sample_flops, column_flops(shape, false), most), sample, 1, false,
           &some);
    rs_status status = run_reference(&some);
    for (size_t i = 0; i < some.job.pass.shape.radii && status == RS_OK; ++i) {
        if (!comparable(&some, i)) continue;
        status = compare_column(whole, &some, i, engine);
        ++*compared;
    }
    rs_record_free(&some.job.record);
    return status;
}

static rs_status check_norms(const rs_bench_job *job, const char *engine) {
    size_t const last = job->pass.shape.batch - 1;
    size_t compared = 0;
    RS_TRY(check_sample(job, 0, engine, &compared));
    if (last > 0) RS_TRY(check_sample(job, last, engine, &compared));
    if (compared > 0) return RS_OK;
    return rs_fail(RS_EINPUT,
                   "engine %s: result unchecked, the gradient grows in all columns: "
                   "choose more radii or fewer steps",
                   engine);
}

/* ---- the weights' gradients ---------------------------------------------------------------- */

static const char *const gradient_name[RS_N_GRADIENT] = {[RS_WEIGHT_IH] = "weight_ih",
                                                         [RS_WEIGHT_HH] = "weight_hh",
                                                         [RS_BIAS_IH] = "bias_ih",
                                                         [RS_BIAS_HH] = "bias_hh"};

/* Relative difference of two norms, whatever their size. */
static double difference(double got2, int32_t got_exponent, double want2, int32_t want_exponent) {
    if (got2 == 0.0 && want2 == 0.0) return 0.0;
    return fabs(ldexp(sqrt(got2 / want2), got_exponent - want_exponent) - 1.0);
}

/* Radius i of the part. */
static rs_status compare_gradients(const rs_bench_job *whole, const part *some, size_t i,
                                   const char *engine) {
    const rs_record *got = &whole->record, *want = &some->job.record;
    for (size_t k = 0; k < RS_N_GRADIENT; ++k) {
        size_t const at = some->radius[i] * RS_N_GRADIENT + k, from = i * RS_N_GRADIENT + k;
        double const error = difference(got->gradient2[at], got->gradient_exponent[at],
                                        want->gradient2[from], want->gradient_exponent[from]);
        if (!(error <= gradient_tolerance[whole->pass.shape.precision]))
            return rs_fail(RS_EDEVICE,
                           "engine %s: wrong result: norm of dL/d%s at scale %g is off by %.3g "
                           "of the reference's",
                           engine, gradient_name[k], some->scale[i * gates_of(&whole->pass.shape)],
                           error);
    }
    return RS_OK;
}

/* A sum over samples can be compared where each of them can. */
static bool all_comparable(const part *some, size_t i) {
    size_t const samples = some->job.pass.shape.batch;
    for (size_t b = 0; b < samples; ++b)
        if (!comparable(some, i * samples + b)) return false;
    return true;
}

/* All samples of some radii. */
static rs_status compare_radii(const rs_bench_job *whole, const char *engine) {
    const rs_shape *shape = &whole->pass.shape;
    double const cost = column_flops(shape, true) * (double)shape->batch;
    size_t const most = smaller(shape->radii, GRADIENT_RADII);
    size_t compared = 0;
    part some;
    choose(whole, affordable(whole->reference_flops, cost, most), 0, shape->batch, true, &some);
    rs_status status = run_reference(&some);
    for (size_t i = 0; i < some.job.pass.shape.radii && status == RS_OK; ++i) {
        if (!all_comparable(&some, i)) continue;
        status = compare_gradients(whole, &some, i, engine);
        ++compared;
    }
    rs_record_free(&some.job.record);
    RS_TRY(status);
    if (compared > 0) return RS_OK;
    return rs_fail(RS_EINPUT,
                   "engine %s: weight gradients unchecked, dL/dh grows in a sample of every "
                   "radius: choose more radii, or fewer steps or samples",
                   engine);
}

/* The engine runs the first samples by themselves. */
static rs_status compare_some_samples(const rs_bench_job *whole, size_t samples,
                                      const rs_engine *engine, void *state) {
    rs_bench_job few = *whole;
    few.pass.of = &few.columns;
    few.pass.shape.batch = samples;
    rs_status status = rs_record_make(&few.pass.shape, &few.record);
    if (status == RS_OK) status = rs_bench_job_run(&few, engine, state);
    if (status == RS_OK) status = compare_radii(&few, engine->name);
    rs_record_free(&few.record);
    return status;
}

static rs_status check_gradients(const rs_bench_job *job, const rs_engine *engine, void *state) {
    const rs_shape *shape = &job->pass.shape;
    size_t const samples =
        affordable(job->reference_flops, column_flops(shape, true), shape->batch);
    if (samples == shape->batch) return compare_radii(job, engine->name);
    return compare_some_samples(job, samples, engine, state);
}

rs_status rs_bench_job_check(const rs_bench_job *job, const rs_engine *engine, void *state) {
    RS_TRY(check_norms(job, engine->name));
    return job->pass.shape.gradients ? check_gradients(job, engine, state) : RS_OK;
}
