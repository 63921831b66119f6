#include "engine_case.h"

#include "../host/fit/fit.h"
#include "../kernels/base/random.h"

#include <stdio.h>
#include <stdlib.h>

enum { INPUT_SIZE = 2 };

/* Without a test library, which a cross compiler need not have: an error ends the program. */
static void must(bool done, const char *what) {
    if (done) return;
    fprintf(stderr, "engine_case: %s\n", what);
    abort();
}

static void draw(uint64_t seed, uint32_t stream, size_t n, double scale, double *out) {
    for (size_t i = 0; i < n; ++i) {
        double pair[2];
        rs_normal_pair(seed, (rs_stream)(100 + stream), 0, 0, (uint32_t)i, pair);
        out[i] = scale * pair[0];
    }
}

static void make_unit(double *x, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) sum += x[i] * x[i];
    for (size_t i = 0; i < n; ++i) x[i] /= sqrt(sum);
}

engine_case engine_case_make(rs_shape shape, double low, double high, uint64_t seed) {
    size_t const h = shape.hidden, b = shape.batch;
    size_t const size = h * h + 2 * b * h + h * INPUT_SIZE + h;
    shape.input_size = INPUT_SIZE;
    engine_case c = {.job.shape = shape};
    c.group = calloc(shape.groups, sizeof *c.group);
    c.numbers = calloc(shape.groups * size, sizeof *c.numbers);
    c.scale = calloc(shape.radii, sizeof *c.scale);
    must(c.group && c.numbers && c.scale, "no memory");
    for (size_t r = 0; r < shape.radii; ++r)
        c.scale[r] =
            shape.radii > 1 ? low + (high - low) * (double)r / (double)(shape.radii - 1) : high;
    for (size_t g = 0; g < shape.groups; ++g) {
        double *at = c.numbers + g * size;
        uint64_t const key = seed * 1000 + g;
        double *w = at, *h0 = w + h * h, *loss = h0 + b * h, *w_ih = loss + b * h;
        double *bias = w_ih + h * INPUT_SIZE;
        draw(key, 1, h * h, 1.0 / sqrt((double)h), w);
        draw(key, 2, b * h, 0.5, h0);
        draw(key, 3, b * h, 1.0, loss);
        draw(key, 4, h * INPUT_SIZE, 0.7, w_ih);
        draw(key, 5, h, 0.3, bias);
        for (size_t s = 0; s < b; ++s) make_unit(loss + s * h, h);
        c.group[g] = (rs_group){.weight_hh = w,
                                .scale = c.scale,
                                .h0 = h0,
                                .loss_gradient = loss,
                                .drive = {.kind = RS_DRIVE_WEIGHTED,
                                          .seed = key,
                                          .input_size = INPUT_SIZE,
                                          .weight_ih = w_ih,
                                          .bias = bias}};
        if (!shape.driven) c.group[g].drive.kind = RS_DRIVE_ZERO;
    }
    c.job.group = c.group;
    return c;
}

void engine_case_free(engine_case *c) {
    free(c->group);
    free(c->numbers);
    free(c->scale);
}

rs_profile profile_make(const rs_shape *shape) {
    size_t const columns = shape->groups * shape->radii * shape->batch;
    rs_profile const p = {.norm2 = calloc(columns * shape->steps, sizeof(double)),
                          .exponent = calloc(columns * shape->steps, sizeof(int32_t)),
                          .nonfinite_step = calloc(columns, sizeof(uint32_t))};
    must(p.norm2 && p.exponent && p.nonfinite_step, "no memory");
    return p;
}

void profile_free(rs_profile *profile) {
    free(profile->norm2);
    free(profile->exponent);
    free(profile->nonfinite_step);
}

rs_profile run_engine(const rs_engine *engine, const rs_job *job, int threads) {
    rs_resources const resources = {.threads = threads};
    rs_profile profile = profile_make(&job->shape);
    void *state = NULL;
    rs_status status = engine->open(&job->shape, &resources, &state);
    if (status == RS_OK) status = engine->run(state, job, &profile);
    engine->close(state);
    must(status == RS_OK, rs_message());
    return profile;
}

double log_norm(const rs_shape *shape, const rs_profile *profile, size_t g, size_t t, size_t c) {
    size_t const columns = shape->radii * shape->batch;
    size_t const i = (g * shape->steps + t - 1) * columns + c;
    return rs_log10_norm(profile->norm2[i], profile->exponent[i]);
}
