#include "idle_engine.h"

#include "../kernels/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

double rs_idle_rate(double scale) { return -log(scale); }

static size_t devices = 1;
static double launch_seconds;

void rs_idle_set(size_t n, double seconds) {
    devices = n;
    launch_seconds = seconds;
}

static rs_status device(size_t index, rs_device *out) {
    if (index >= devices) return rs_fail(RS_EDEVICE, "engine idle: no device %zu", index);
    RS_TRY(rs_engine_named("cpu")->device(0, out));
    if (launch_seconds > 0.0) out->columns_wanted = 1;
    snprintf(out->name, sizeof out->name, "none");
    out->abilities[0] = '\0';
    return RS_OK;
}

static rs_status bytes(size_t device, const rs_shape *shape, const rs_resources *resources,
                       uint64_t *out) {
    (void)device;
    (void)resources;
    *out = 0;
    if (shape->gradients) return rs_fail(RS_EINPUT, "engine idle: has no gradients of weights");
    if (rs_cell_of(shape->cell)->gates == 1) return RS_OK;
    return rs_fail(RS_EINPUT, "engine idle: has no cells with gates");
}

static rs_status open_nothing(size_t device, const rs_shape *largest, const rs_resources *resources,
                              void **self) {
    static char handle;
    (void)device;
    (void)largest;
    (void)resources;
    *self = &handle;
    return RS_OK;
}

static rs_status load(void *self, const rs_shape *shape, const rs_parameters *of) {
    (void)self;
    (void)shape;
    (void)of;
    return RS_OK;
}

/* norm2 [T][R * B] of one group, from the last step to the first. */
static void fill_group(const rs_shape *s, const double *scale, double *norm2) {
    size_t const columns = s->radii * s->batch;
    double *at = norm2 + s->steps * columns;
    for (size_t c = columns; c-- > 0;) *--at = 1.0;
    while (at > norm2)
        for (size_t r = s->radii; r-- > 0;)
            for (size_t b = 0; b < s->batch; ++b, --at)
                at[-1] = at[(ptrdiff_t)columns - 1] * (scale[r] * scale[r]);
}

static void sleep_until(double when) {
    double const left = when - rs_seconds();
    if (left <= 0.0) return;
    struct timespec const time = {.tv_sec = (time_t)left,
                                  .tv_nsec = (long)(1e9 * (left - floor(left)))};
    nanosleep(&time, NULL);
}

static rs_status run(void *self, const rs_pass *pass, rs_record *out) {
    const rs_shape *const s = &pass->shape;
    size_t const columns = s->radii * s->batch;
    double const start = rs_seconds();
    (void)self;
    for (size_t g = 0; g < s->groups; ++g)
        fill_group(s, pass->of[g].scale, out->norm2 + g * s->steps * columns);
    memset(out->exponent, 0, s->groups * s->steps * columns * sizeof *out->exponent);
    memset(out->nonfinite_step, 0, s->groups * columns * sizeof *out->nonfinite_step);
    if (launch_seconds > 0.0) sleep_until(start + launch_seconds);
    out->forward_seconds = out->backward_seconds = 0.0;
    out->gradient_seconds = out->transfer_seconds = 0.0;
    if (!pass->tick || pass->tick(pass->tick_arg, 1.0)) return RS_OK;
    return rs_fail(RS_EINTERRUPTED, "interrupted");
}

static void close_nothing(void *self) { (void)self; }

const rs_engine rs_idle_engine = {
    .name = "idle",
    .device = device,
    .bytes = bytes,
    .open = open_nothing,
    .load = load,
    .run = run,
    .close = close_nothing,
};
