#include "fake_engine.h"

#include "../kernels/base/sizes.h"
#include "../kernels/tangent/schedule.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

fake_engine_state fake;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the record */

void fake_reset(void) {
    fake = (fake_engine_state){
        .device = {.name = "Abacus",
                   .driver = "beads 1.0",
                   .identity = "fake",
                   .on_host = false,
                   .free_bytes = 1 << 30,
                   .threads = 3,
                   .columns_wanted = 1},
        .devices = 1,
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

static rs_status device(size_t index, rs_device *out) {
    *out = fake.device;
    if (fake.device_status != RS_OK) return rs_fail(fake.device_status, "fake: no device");
    return index < fake.devices ? RS_OK : rs_fail(RS_EDEVICE, "fake: no device %zu", index);
}

static uint64_t count_bytes(const rs_shape *shape, const rs_resources *resources) {
    uint64_t const columns = rs_size_mul(shape->radii, shape->batch);
    uint64_t const profile = rs_size_mul(columns, shape->steps);
    uint64_t const weights = rs_size_mul(shape->hidden, shape->hidden);
    uint64_t const group = rs_size_mul(sizeof(double), rs_size_add(weights, profile));
    return rs_size_add(rs_size_mul(shape->groups, group), (uint64_t)resources->threads);
}

static rs_status bytes(size_t device, const rs_shape *shape, const rs_resources *resources,
                       uint64_t *out) {
    (void)device;
    if (fake.supports_status != RS_OK)
        return rs_fail(fake.supports_status, "fake: %zu units are not supported", shape->hidden);
    *out = count_bytes(shape, resources);
    return RS_OK;
}

static rs_status open_engine(size_t device, const rs_shape *largest, const rs_resources *resources,
                             void **self) {
    if (fake.open_status != RS_OK) return rs_fail(fake.open_status, "fake: does not open");
    ++fake.opened;
    fake.largest = *largest;
    fake.resources = *resources;
    fake.handle[device] = (fake_handle){.device = device};
    *self = &fake.handle[device];
    return RS_OK;
}

/* What a real engine takes for granted. */
static rs_status check_shape(const rs_shape *shape) {
    pthread_mutex_lock(&lock);
    bool const full = fake.launches == FAKE_MAX_LAUNCHES;
    pthread_mutex_unlock(&lock);
    if (full || shape->groups > FAKE_MAX_GROUPS || shape->radii > FAKE_MAX_RADII)
        return rs_fail(RS_EDEVICE, "fake: the record is too small for this test");
    if (count_bytes(shape, &fake.resources) > count_bytes(&fake.largest, &fake.resources))
        return rs_fail(RS_EDEVICE, "fake: a pass larger than what the engine was opened for");
    return RS_OK;
}

/* Of every network the first weight, as a real engine keeps them all. */
static rs_status load(void *self, const rs_shape *shape, const rs_parameters *of) {
    fake_handle *const handle = self;
    RS_TRY(check_shape(shape));
    handle->loaded = *shape;
    handle->weight_hh = of[0].weight_hh;
    for (size_t g = 0; g < shape->groups; ++g) handle->weight[g] = of[g].weight_hh[0];
    return RS_OK;
}

/* The number of the launch, from 1. */
static size_t record_launch(fake_handle *handle, const rs_pass *pass) {
    pthread_mutex_lock(&lock);
    fake_launch *launch = &fake.launch[fake.launches++];
    *launch = (fake_launch){.shape = pass->shape,
                            .device = handle->device,
                            .first_sample = pass->of[0].drive.first_sample,
                            .weight_hh = handle->weight_hh};
    for (size_t g = 0; g < pass->shape.groups; ++g) launch->seed[g] = pass->of[g].drive.seed;
    memcpy(launch->scale, pass->of[0].scale, pass->shape.radii * sizeof *launch->scale);
    size_t const number = fake.launches;
    ++handle->runs;
    pthread_mutex_unlock(&lock);
    return number;
}

static rs_status check_pass(const fake_handle *handle, const rs_pass *pass) {
    RS_TRY(check_shape(&pass->shape));
    if (pass->shape.groups != handle->loaded.groups || pass->shape.radii > handle->loaded.radii ||
        pass->shape.batch > handle->loaded.batch)
        return rs_fail(RS_EDEVICE, "fake: a pass of other networks than those loaded");
    return RS_OK;
}

/* Of the candidate's block. */
static double scale_of(const rs_pass *pass, size_t group, size_t radius) {
    const rs_cell_info *cell = rs_cell_of(pass->shape.cell);
    return pass->of[group].scale[radius * cell->gates + cell->candidate];
}

static rs_status fail_on_demand(const fake_handle *handle, size_t number, const rs_pass *pass) {
    size_t const from = fake.bad_from[handle->device];
    if (from && handle->runs >= from)
        return rs_fail(RS_EDEVICE, "fake: device %zu lost", handle->device);
    for (size_t g = 0; g < pass->shape.groups; ++g) {
        if (pass->of[g].drive.seed == fake.bad_seed) return rs_fail(RS_EDEVICE, "fake: a bad seed");
        for (size_t r = 0; r < pass->shape.radii; ++r)
            if (scale_of(pass, g, r) > fake.rho_limit)
                return rs_fail(RS_EMEMORY, "fake: out of memory");
    }
    return number == fake.lose_at ? rs_fail(RS_EDEVICE, "fake: device lost") : RS_OK;
}

static void fill_column(const rs_pass *pass, double weight, size_t group, size_t column,
                        double *norm2) {
    rs_shape const *s = &pass->shape;
    const rs_columns *of = &pass->of[group];
    size_t const b = column % s->batch, sample = of->drive.first_sample + b;
    double const rho = scale_of(pass, group, column / s->batch);
    size_t const columns = s->radii * s->batch, states = rs_cell_of(s->cell)->states;
    double const h0 = of->start[0] ? of->start[0][b * s->hidden] : 0.0;
    double norm = first_norm(sample, weight, h0, of->delta[b * s->hidden]);
    for (size_t t = s->steps; t >= 1; --t) {
        double *const at = norm2 + (t - 1) * states * columns + column;
        at[0] = (states > 1 ? fake_share_of_h : 1.0) * norm * norm;
        if (states > 1) at[columns] = (1.0 - fake_share_of_h) * norm * norm;
        norm *= rho;
    }
}

double fake_log10_gradient(double weight, double rho, size_t kind) {
    return log10(1.0 + fabs(weight)) + (double)(kind + 1) * log10(rho);
}

static void fill_gradients(const rs_pass *pass, double weight, size_t group, rs_record *out) {
    rs_shape const *s = &pass->shape;
    for (size_t r = 0; r < s->radii; ++r)
        for (size_t k = 0; k < RS_N_GRADIENT; ++k) {
            size_t const at = (group * s->radii + r) * RS_N_GRADIENT + k;
            double const log = fake_log10_gradient(weight, scale_of(pass, group, r), k);
            out->gradient2[at] = pow(10.0, 2.0 * log);
            out->gradient_exponent[at] = 0;
        }
}

double fake_exponent(size_t sample, double rho, size_t direction) {
    return log(rho) - 0.5 * (double)direction + (double)sample / 16.0;
}

double fake_log_slope(size_t sample) { return -0.25 * (double)(sample + 1); }

uint32_t fake_qr_gap(size_t sample) { return (uint32_t)(1 + sample % 4); }

/* Grows at the same rate in all blocks but the first of two or more, which has `fake_first_block`
 * more a step. */
static void fill_tangents(const rs_pass *pass, size_t group, size_t column, rs_record *out) {
    rs_shape const *s = &pass->shape;
    size_t const k = s->directions, at = group * s->radii * s->batch + column;
    size_t const sample = pass->of[group].drive.first_sample + column % s->batch;
    double const rho = scale_of(pass, group, column / s->batch);
    double *const stretch = out->stretch + at * RS_STRETCH_BLOCKS * k;
    memset(stretch, 0, RS_STRETCH_BLOCKS * k * sizeof *stretch);
    for (size_t b = 0; b < rs_stretch_blocks(s->steps); ++b) {
        size_t const steps = rs_stretch_start(s->steps, b + 1) - rs_stretch_start(s->steps, b);
        double const more = b == 0 ? fake_first_block : 0.0;
        for (size_t i = 0; i < k; ++i)
            stretch[b * k + i] = (double)steps * (fake_exponent(sample, rho, i) + more);
    }
    for (size_t v = 0; v < s->n_singular; ++v)
        for (size_t i = 0; i < k; ++i)
            out->singular[(at * s->n_singular + v) * k + i] =
                (double)s->singular_at[v] * fake_exponent(sample, rho, i);
    out->qr_gap[at] = fake_qr_gap(sample);
    out->log_slope[at] = fake_log_slope(sample);
}

static void fill_record(const fake_handle *handle, const rs_pass *pass, rs_record *out) {
    rs_shape const *s = &pass->shape;
    size_t const columns = s->radii * s->batch, states = rs_cell_of(s->cell)->states;
    memset(out->exponent, 0, s->groups * s->steps * columns * sizeof *out->exponent);
    for (size_t g = 0; g < s->groups; ++g) {
        for (size_t c = 0; c < columns; ++c) {
            bool const infinite = scale_of(pass, g, c / s->batch) > fake.infinite_above;
            size_t const sample = pass->of[g].drive.first_sample + c % s->batch;
            out->nonfinite_step[g * columns + c] = infinite ? fake_nonfinite_step(sample) : 0;
            fill_column(pass, handle->weight[g], g, c,
                        out->norm2 + g * s->steps * states * columns);
            if (s->directions > 0) fill_tangents(pass, g, c, out);
        }
        if (s->gradients) fill_gradients(pass, handle->weight[g], g, out);
    }
}

static rs_status tick(const rs_pass *pass, double fraction) {
    if (!pass->tick || pass->tick(pass->tick_arg, fraction)) return RS_OK;
    return rs_fail(RS_EINTERRUPTED, "interrupted");
}

static bool all_have_begun(void) {
    size_t begun = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < FAKE_MAX_DEVICES; ++i) begun += fake.handle[i].runs > 0;
    pthread_mutex_unlock(&lock);
    return begun >= fake.opened - fake.closed;
}

static rs_status run(void *self, const rs_pass *pass, rs_record *out) {
    fake_handle *const handle = self;
    RS_TRY(check_pass(handle, pass));
    size_t const number = record_launch(handle, pass);
    bool const interrupt = number == fake.interrupt_at;
    if (interrupt && !fake.interrupt_late) raise(SIGINT);
    RS_TRY(tick(pass, 0.0));
    RS_TRY(fail_on_demand(handle, number, pass));
    while (fake.together && !all_have_begun()) {
        RS_TRY(tick(pass, 0.5));
        usleep(100);
    }
    fill_record(handle, pass, out);
    out->forward_seconds = fake_forward_seconds;
    out->backward_seconds = fake_backward_seconds;
    out->gradient_seconds = pass->shape.gradients ? fake_gradient_seconds : 0.0;
    out->tangent_seconds = pass->shape.directions > 0 ? fake_tangent_seconds : 0.0;
    out->qr_seconds = pass->shape.directions > 0 ? fake_qr_seconds : 0.0;
    out->transfer_seconds = fake_transfer_seconds;
    RS_TRY(tick(pass, 1.0));
    if (interrupt && fake.interrupt_late) raise(SIGINT);
    return RS_OK;
}

static void close_engine(void *self) {
    if (!self) return;
    ++fake.closed;
    *(fake_handle *)self = (fake_handle){0};
}

const rs_engine fake_engine = {
    .name = "fake",
    .device = device,
    .bytes = bytes,
    .open = open_engine,
    .load = load,
    .run = run,
    .close = close_engine,
};
