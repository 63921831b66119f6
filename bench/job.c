#include "job.h"

#include "../host/work/weights.h"
#include "../kernels/base/random.h"
#include "../kernels/base/sizes.h"
#include "../kernels/record.h"

#include <math.h>
#include <stdlib.h>

enum { SEED = 1 };

/* A few seconds of the reference's plain loops. */
static double const reference_flops = 3e9;

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
    *out = (rs_bench_job){.pass = {.shape = *shape, .of = &out->columns},
                          .reference_flops = reference_flops};
    uint64_t const h = shape->hidden, r = shape->radii, b = shape->batch;
    uint64_t const t = rs_size_add(shape->warmup, shape->steps);
    uint64_t const k = rs_cell_of(shape->cell)->gates, rows = rs_size_mul(k, h);
    uint64_t const weights = rs_size_mul(rows, h), loss = rs_size_mul(b, h), x = rs_size_mul(t, b);
    uint64_t const small = rs_size_add(rs_size_mul(r, k), rs_size_mul(rows, 3));
    uint64_t const count = rs_size_add(rs_size_add(weights, loss), rs_size_add(x, small));
    out->numbers = allocate(count);
    if (!out->numbers) return RS_EMEMORY;
    RS_TRY(rs_record_make(shape, &out->record));

    double const root = 1.0 / sqrt((double)h);
    double *const w = out->numbers, *const delta = w + weights, *const input = delta + loss;
    double *const scale = input + x, *const weight_ih = scale + r * k;
    double *const bias_ih = weight_ih + rows, *const bias_hh = bias_ih + rows;
    draw_normal(RS_STREAM_WEIGHT_HH, rows, h, root, w);
    rs_loss_gradient(RS_RANDOM, SEED, t, b, h, delta);
    draw_normal(RS_STREAM_INPUT, t, b, 1.0, input);
    for (size_t i = 0; i < r * k; ++i) scale[i] = rs_bench_radius(i / k, r);
    draw_uniform(RS_STREAM_WEIGHT_IH, rows, root, weight_ih);
    draw_uniform(RS_STREAM_BIAS_IH, rows, root, bias_ih);
    draw_uniform(RS_STREAM_BIAS_HH, rows, root, bias_hh);
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

rs_status rs_bench_job_run(rs_bench_job *job, const rs_engine *engine, void *state) {
    RS_TRY(engine->load(state, &job->pass.shape, &job->network));
    return engine->run(state, &job->pass, &job->record);
}
