#include "fake_engine.h"

#include "../kernels/base/sizes.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

fake_engine_state fake;

void fake_reset(void) {
    fake = (fake_engine_state){
        .device = {.name = "Abacus",
                   .driver = "beads 1.0",
                   .identity = "fake",
                   .on_host = false,
                   .free_bytes = 1 << 30,
                   .threads = 3,
                   .columns_wanted = 1},
        .rho_limit = INFINITY,
        .bad_seed = UINT64_MAX,
        .infinite_above = INFINITY,
    };
}

static double first_norm(size_t sample, double weight, double h0, double gradient) {
    return 1.0 + (double)sample / 7.0 + fabs(weight) + fabs(h0) + fabs(gradient);
}

double fake_log10_norm(size_t sample, double weight, double h0, double gradient, double rho,
                       size_t steps_back) {
    return log10(first_norm(sample, weight, h0, gradient)) + (double)steps_back * log10(rho);
}

uint32_t fake_nonfinite_step(size_t sample) { return sample < 8 ? 9 - (uint32_t)sample : 1; }

static rs_status device(rs_device *out) {
    *out = fake.device;
    return fake.device_status == RS_OK ? RS_OK : rs_fail(fake.device_status, "fake: no device");
}

static rs_status supports(const rs_shape *shape) {
    if (fake.supports_status == RS_OK) return RS_OK;
    return rs_fail(fake.supports_status, "fake: %zu units are not supported", shape->hidden);
}

static uint64_t bytes(const rs_shape *shape, const rs_resources *resources) {
    uint64_t const columns = rs_size_mul(shape->radii, shape->batch);
    uint64_t const profile = rs_size_mul(columns, shape->steps);
    uint64_t const weights = rs_size_mul(shape->hidden, shape->hidden);
    uint64_t const group = rs_size_mul(sizeof(double), rs_size_add(weights, profile));
    return rs_size_add(rs_size_mul(shape->groups, group), (uint64_t)resources->threads);
}

static rs_status open_engine(const rs_shape *largest, const rs_resources *resources, void **self) {
    if (fake.open_status != RS_OK) return rs_fail(fake.open_status, "fake: does not open");
    ++fake.opened;
    fake.largest = *largest;
    fake.resources = *resources;
    *self = &fake;
    return RS_OK;
}

static void record(const rs_job *job) {
    fake_launch *launch = &fake.launch[fake.launches++];
    *launch = (fake_launch){.shape = job->shape,
                            .first_sample = job->group[0].drive.first_sample,
                            .weight_hh = job->group[0].weight_hh};
    for (size_t g = 0; g < job->shape.groups; ++g) launch->seed[g] = job->group[g].drive.seed;
    memcpy(launch->scale, job->group[0].scale, job->shape.radii * sizeof *launch->scale);
}

/* What a real engine takes for granted. */
static rs_status check_job(const rs_job *job) {
    if (fake.launches == FAKE_MAX_LAUNCHES || job->shape.groups > FAKE_MAX_GROUPS ||
        job->shape.radii > FAKE_MAX_RADII)
        return rs_fail(RS_EDEVICE, "fake: the record is too small for this test");
    if (bytes(&job->shape, &fake.resources) > bytes(&fake.largest, &fake.resources))
        return rs_fail(RS_EDEVICE, "fake: a job larger than what the engine was opened for");
    return RS_OK;
}

static rs_status fail_on_demand(const rs_job *job) {
    for (size_t g = 0; g < job->shape.groups; ++g) {
        if (job->group[g].drive.seed == fake.bad_seed)
            return rs_fail(RS_EDEVICE, "fake: a bad seed");
        for (size_t r = 0; r < job->shape.radii; ++r)
            if (job->group[g].scale[r] > fake.rho_limit)
                return rs_fail(RS_EMEMORY, "fake: out of memory");
    }
    return fake.launches == fake.lose_at ? rs_fail(RS_EDEVICE, "fake: device lost") : RS_OK;
}

static void fill_column(const rs_job *job, const rs_group *group, size_t column, double *norm2) {
    rs_shape const *s = &job->shape;
    size_t const b = column % s->batch, sample = group->drive.first_sample + b;
    double const rho = group->scale[column / s->batch];
    double const h0 = group->h0 ? group->h0[b * s->hidden] : 0.0;
    double norm = first_norm(sample, group->weight_hh[0], h0, group->loss_gradient[b * s->hidden]);
    for (size_t t = s->steps; t >= 1; --t) {
        norm2[(t - 1) * s->radii * s->batch + column] = norm * norm;
        norm *= rho;
    }
}

static void fill_profile(const rs_job *job, rs_profile *out) {
    rs_shape const *s = &job->shape;
    size_t const columns = s->radii * s->batch;
    memset(out->exponent, 0, s->groups * s->steps * columns * sizeof *out->exponent);
    for (size_t g = 0; g < s->groups; ++g)
        for (size_t c = 0; c < columns; ++c) {
            const rs_group *group = &job->group[g];
            bool const infinite = group->scale[c / s->batch] > fake.infinite_above;
            size_t const sample = group->drive.first_sample + c % s->batch;
            out->nonfinite_step[g * columns + c] = infinite ? fake_nonfinite_step(sample) : 0;
            fill_column(job, group, c, out->norm2 + g * s->steps * columns);
        }
}

static rs_status tick(const rs_job *job, double fraction) {
    if (!job->tick || job->tick(job->tick_arg, fraction)) return RS_OK;
    return rs_fail(RS_EINTERRUPTED, "interrupted");
}

static rs_status run(void *self, const rs_job *job, rs_profile *out) {
    (void)self;
    RS_TRY(check_job(job));
    record(job);
    bool const interrupt = fake.launches == fake.interrupt_at;
    if (interrupt && !fake.interrupt_late) raise(SIGINT);
    RS_TRY(tick(job, 0.0));
    RS_TRY(fail_on_demand(job));
    fill_profile(job, out);
    out->forward_seconds = fake_forward_seconds;
    out->backward_seconds = fake_backward_seconds;
    out->transfer_seconds = fake_transfer_seconds;
    RS_TRY(tick(job, 1.0));
    if (interrupt && fake.interrupt_late) raise(SIGINT);
    return RS_OK;
}

static void close_engine(void *self) {
    if (self) ++fake.closed;
}

const rs_engine fake_engine = {
    .name = "fake",
    .device = device,
    .supports = supports,
    .bytes = bytes,
    .open = open_engine,
    .run = run,
    .close = close_engine,
};
