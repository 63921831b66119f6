#include "job.h"

#include "../host/fit/fit.h"
#include "../host/work/weights.h"
#include "../kernels/base/random.h"
#include "../kernels/base/sizes.h"
#include "../kernels/record.h"

#include <math.h>
#include <stdlib.h>

enum { SEED = 1 };

/* Zeros; NULL, with the failure recorded, where there is no memory. */
static double *allocate(uint64_t count) {
    uint64_t const bytes = rs_size_mul(count, sizeof(double));
    double *const memory = bytes < SIZE_MAX ? calloc((size_t)count, sizeof *memory) : NULL;
    if (!memory) rs_fail(RS_EMEMORY, "no memory for %llu bytes", (unsigned long long)bytes);
    return memory;
}

/* ---- drawing ------------------------------------------------------------------------------- */

static void draw_normal(rs_stream stream, size_t rows, size_t columns, double scale, double *out) {
    for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < columns; ++j) {
            double pair[2];
            rs_normal_pair(SEED, stream, (uint32_t)i, (uint32_t)j, 0, pair);
            *out++ = scale * pair[0];
        }
}

static void draw_uniform(rs_stream stream, size_t count, double limit, double *out) {
    for (size_t i = 0; i < count; ++i) {
        double pair[2];
        rs_uniform_pair(SEED, stream, (uint32_t)i, 0, 0, pair);
        out[i] = limit * (2.0 * pair[0] - 1.0);
    }
}

double rs_bench_radius(size_t r, size_t count) {
    return 0.5 + (r > 0 ? (double)r / (double)(count - 1) : 0.0);
}

rs_shape rs_bench_job_shape(const rs_bench_shape *shape, rs_precision precision, rs_cell cell) {
    return (rs_shape){.groups = 1,
                      .radii = shape->radii,
                      .batch = shape->batch,
                      .hidden = shape->hidden,
                      .input_size = 1,
                      .steps = shape->steps,
                      .cell = cell,
                      .precision = precision,
                      .drive = RS_DRIVE_WEIGHTED};
}

rs_status rs_bench_job_make(const rs_shape *shape, rs_bench_job *out) {
    *out = (rs_bench_job){.pass = {.shape = *shape, .of = &out->columns}};
    uint64_t const h = shape->hidden, r = shape->radii, b = shape->batch, t = shape->steps;
    uint64_t const weights = rs_size_mul(h, h), loss = rs_size_mul(b, h), x = rs_size_mul(t, b);
    uint64_t const count =
        rs_size_add(rs_size_add(weights, loss), rs_size_add(x, rs_size_add(r, 3 * h)));
    out->numbers = allocate(count);
    if (!out->numbers) return RS_EMEMORY;
    RS_TRY(rs_record_make(shape, &out->record));

    double const root = 1.0 / sqrt((double)h);
    double *const w = out->numbers, *const delta = w + weights, *const input = delta + loss;
    double *const scale = input + x, *const weight_ih = scale + r;
    double *const bias_ih = weight_ih + h, *const bias_hh = bias_ih + h;
    draw_normal(RS_STREAM_WEIGHT_HH, h, h, root, w);
    rs_loss_gradient(RS_RANDOM, SEED, t, b, h, delta);
    draw_normal(RS_STREAM_INPUT, t, b, 1.0, input);
    for (size_t i = 0; i < r; ++i) scale[i] = rs_bench_radius(i, r);
    draw_uniform(RS_STREAM_WEIGHT_IH, h, root, weight_ih);
    draw_uniform(RS_STREAM_BIAS_IH, h, root, bias_ih);
    draw_uniform(RS_STREAM_BIAS_HH, h, root, bias_hh);
    out->network = (rs_parameters){
        .weight_hh = w, .weight_ih = weight_ih, .bias_ih = bias_ih, .bias_hh = bias_hh};
    out->columns =
        (rs_columns){.scale = scale, .delta = delta, .drive = {.input = input, .input_batch = b}};
    return RS_OK;
}

void rs_bench_job_free(rs_bench_job *job) {
    free(job->numbers);
    rs_record_free(&job->record);
    *job = (rs_bench_job){0};
}

static rs_status load_and_run(const rs_engine *engine, void *state, const rs_parameters *network,
                              const rs_pass *pass, rs_record *out) {
    RS_TRY(engine->load(state, &pass->shape, network));
    return engine->run(state, pass, out);
}

rs_status rs_bench_job_run(rs_bench_job *job, const rs_engine *engine, void *state) {
    return load_and_run(engine, state, &job->network, &job->pass, &job->record);
}

/* ---- judging ------------------------------------------------------------------------------- */

/* As in the tests of the engines: of log10 norms, for each decade that the gradient has decayed
 * and one more. */
static double const tolerance[RS_N_PRECISION] = {[RS_F32] = 2e-5, [RS_F64] = 2e-12};

/* What the reference may spend on a check: about 0.1 s of its plain loops. */
static double const max_flops = 1e8;

enum { MAX_RADII = 8 };

/* Some radii of the job, with one sample: what the reference engine runs. */
typedef struct sample_job {
    rs_pass pass;
    rs_columns columns;
    double scale[MAX_RADII];
    size_t radius[MAX_RADII]; /* index in the whole job */
    size_t sample;
    rs_record record;
} sample_job;

static size_t choose_radii(const rs_shape *shape) {
    double const h = (double)shape->hidden;
    double const affordable = max_flops / (4.0 * h * h * (double)shape->steps);
    size_t const most = shape->radii < MAX_RADII ? shape->radii : MAX_RADII;
    if (affordable < 1.0) return 1;
    return affordable < (double)most ? (size_t)affordable : most;
}

/* Radii from first to last, one sample. */
static void choose_columns(const rs_bench_job *whole, size_t sample, sample_job *out) {
    const rs_shape *shape = &whole->pass.shape;
    *out = (sample_job){.pass = {.shape = *shape, .of = &out->columns},
                        .columns = whole->columns,
                        .sample = sample};
    size_t const radii = choose_radii(shape);
    for (size_t i = 0; i < radii; ++i) {
        out->radius[i] = radii > 1 ? i * (shape->radii - 1) / (radii - 1) : 0;
        out->scale[i] = whole->columns.scale[out->radius[i]];
    }
    out->pass.shape.radii = radii;
    out->pass.shape.batch = 1;
    out->columns.scale = out->scale;
    out->columns.delta += sample * shape->hidden;
    out->columns.drive.first_sample = sample;
}

static rs_status run_reference(const rs_parameters *network, sample_job *some) {
    const rs_engine *const reference = rs_engine_named("reference");
    rs_resources const resources = {.threads = 1};
    void *state = NULL;
    RS_TRY(rs_record_make(&some->pass.shape, &some->record));
    RS_TRY(reference->open(0, &some->pass.shape, &resources, &state));
    rs_status const status = load_and_run(reference, state, network, &some->pass, &some->record);
    reference->close(state);
    return status;
}

static double log_norm(const rs_record *record, size_t columns, size_t t, size_t column) {
    size_t const i = (t - 1) * columns + column;
    return rs_log10_norm(record->norm2[i], record->exponent[i]);
}

/* Whether rounding errors stay small. Unless all is linear they grow as gradients do, and in their
 * own direction at times more: this one may not grow by half, from whichever step on. */
static bool comparable(const sample_job *some, size_t i) {
    const rs_shape *shape = &some->pass.shape;
    double least = INFINITY;
    for (size_t t = shape->steps; t > 0 && shape->cell != RS_LINEAR; --t) {
        double const now = log_norm(&some->record, shape->radii, t, i);
        least = fmin(least, now);
        if (now - least > log10(1.5)) return false;
    }
    return true;
}

static rs_status compare_column(const rs_bench_job *whole, const sample_job *some, size_t i,
                                const char *engine) {
    const rs_shape *shape = &whole->pass.shape;
    size_t const columns = shape->radii * shape->batch;
    size_t const column = some->radius[i] * shape->batch + some->sample;
    if (whole->record.nonfinite_step[column] != some->record.nonfinite_step[i])
        return rs_fail(RS_EDEVICE,
                       "engine %s: wrong result: column %zu is first not finite at "
                       "step %u, in the reference at %u",
                       engine, column, whole->record.nonfinite_step[column],
                       some->record.nonfinite_step[i]);
    for (size_t t = 1; t <= shape->steps; ++t) {
        double const got = log_norm(&whole->record, columns, t, column);
        double const want = log_norm(&some->record, some->pass.shape.radii, t, i);
        double const error = got == want ? 0.0 : fabs(got - want) / (1.0 + fabs(want));
        if (!(error <= tolerance[shape->precision])) /* NaN is wrong, too */
            return rs_fail(RS_EDEVICE,
                           "engine %s: wrong result: log10 norm %.10g at step %zu of "
                           "column %zu, reference %.10g",
                           engine, got, t, column, want);
    }
    return RS_OK;
}

static rs_status check_sample(const rs_bench_job *whole, size_t sample, const char *engine,
                              size_t *compared) {
    sample_job some;
    choose_columns(whole, sample, &some);
    rs_status status = run_reference(&whole->network, &some);
    for (size_t i = 0; i < some.pass.shape.radii && status == RS_OK; ++i) {
        if (!comparable(&some, i)) continue;
        status = compare_column(whole, &some, i, engine);
        ++*compared;
    }
    rs_record_free(&some.record);
    return status;
}

rs_status rs_bench_job_check(const rs_bench_job *job, const char *engine) {
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
