#include "reference.h"

#include "../base/block.h"
#include "../base/clock.h"
#include "../base/sizes.h"
#include "../host_device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct reference {
    double *weight;    /* [H][H] rounded to the job's precision */
    double *a, *h;     /* [H] */
    double *slope;     /* [T][H] phi'(a_t) */
    double *delta, *q; /* [H] */
} reference;

/* One column of a job: its group, scale and sample. */
typedef struct column {
    const rs_shape *shape;
    const rs_group *group;
    double scale;
    size_t sample;
} column;

static double rounded(double x, rs_precision precision) {
    return precision == RS_F32 ? (double)(float)x : x;
}

/* sech^2 from exp(-2|a|): 1 - tanh^2 would cancel as the unit saturates. */
static double tanh_slope(double a, double h, bool raw) {
    if (raw) return 1.0 - h * h;
    double const e = exp(-2.0 * fabs(a));
    return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

/* NaN has the slope NaN, in raw jobs 1: there it is "not at most 0" that lets a gradient through.
 */
static double relu_slope(double a, bool raw) {
    if (a <= 0.0) return 0.0;
    return raw || a > 0.0 ? 1.0 : a;
}

/* h = phi(a); returns phi'(a). NaN goes through. */
static double activate(const rs_shape *shape, double a, double *h) {
    switch (shape->cell) {
    case RS_TANH: *h = tanh(a); return tanh_slope(a, *h, shape->raw);
    case RS_RELU: *h = a < 0.0 ? 0.0 : a; return relu_slope(a, shape->raw);
    default: *h = a; return 1.0;
    }
}

/* a = s (W h) + u; the caller has put u into a. */
static void preactivate(const reference *self, size_t hidden, double scale) {
    for (size_t i = 0; i < hidden; ++i) {
        double sum = 0.0;
        for (size_t j = 0; j < hidden; ++j) sum += self->weight[i * hidden + j] * self->h[j];
        self->a[i] = scale * sum + self->a[i];
    }
}

/* Returns the first recorded step whose h is not finite, or 0. */
static uint32_t forward(const reference *self, const column *c) {
    const rs_shape *shape = c->shape;
    size_t const hidden = shape->hidden;
    const double *h0 = c->group->h0 ? c->group->h0 + c->sample * hidden : NULL;
    for (size_t i = 0; i < hidden; ++i) self->h[i] = h0 ? rounded(h0[i], shape->precision) : 0.0;

    uint32_t nonfinite = 0;
    for (size_t step = 0; step < shape->warmup + shape->steps; ++step) {
        if (shape->driven) rs_drive_fill(&c->group->drive, hidden, step, c->sample, self->a);
        for (size_t i = 0; i < hidden; ++i)
            self->a[i] = shape->driven ? rounded(self->a[i], shape->precision) : 0.0;
        preactivate(self, hidden, c->scale);
        bool finite = true;
        /* The warm-up writes its slopes to row 0, which step 1 overwrites. */
        size_t const t0 = step < shape->warmup ? 0 : step - shape->warmup;
        for (size_t i = 0; i < hidden; ++i) {
            self->slope[t0 * hidden + i] = activate(shape, self->a[i], &self->h[i]);
            finite = finite && isfinite(self->h[i]);
        }
        if (step >= shape->warmup && !finite && nonfinite == 0) nonfinite = (uint32_t)(t0 + 1);
    }
    return nonfinite;
}

/* Sum of squares of 2^-shift x. */
static double sum_of_squares(const double *x, size_t n, int shift) {
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) {
        double const scaled = ldexp(x[i], -shift);
        sum += scaled * scaled;
    }
    return sum;
}

/* The power of two that brings a norm back near 1 when it leaves [2^-256, 2^256]; else 0. */
static int excess(double norm2) {
    if (!isfinite(norm2) || norm2 == 0.0 || (norm2 >= 0x1p-512 && norm2 <= 0x1p512)) return 0;
    return ilogb(norm2) / 2;
}

/* phi' * delta. A raw relu passes a gradient or not, whatever it is: 0 times inf would be NaN. */
static double gated(const rs_shape *shape, double slope, double delta) {
    bool const selects = shape->raw && shape->cell == RS_RELU;
    return selects && slope == 0.0 ? 0.0 : slope * delta;
}

/* delta_{t-1} = s W^T (phi'(a_t) * delta_t) + c */
static void step_back(const reference *self, const rs_shape *shape, double scale,
                      const double *slope, double c) {
    size_t const hidden = shape->hidden;
    for (size_t i = 0; i < hidden; ++i) self->q[i] = gated(shape, slope[i], self->delta[i]);
    for (size_t j = 0; j < hidden; ++j) {
        double sum = 0.0;
        for (size_t i = 0; i < hidden; ++i) sum += self->weight[i * hidden + j] * self->q[i];
        self->delta[j] = scale * sum + c;
    }
}

static void backward(const reference *self, const column *c, double *norm2, int32_t *exponent,
                     size_t stride) {
    const rs_shape *shape = c->shape;
    size_t const hidden = shape->hidden;
    for (size_t i = 0; i < hidden; ++i)
        self->delta[i] = rounded(c->group->loss_gradient[c->sample * hidden + i], shape->precision);
    double const own = rounded(c->group->step_gradient, shape->precision);

    int shift = 0; /* of the norm; delta itself is scaled by it too unless the job is raw */
    for (size_t t = shape->steps;; --t) {
        double const sum = sum_of_squares(self->delta, hidden, shape->raw ? shift : 0);
        norm2[(t - 1) * stride] = sum;
        exponent[(t - 1) * stride] = shift;
        if (t == 1) break;
        int const more = excess(sum);
        shift += more;
        if (!shape->raw)
            for (size_t i = 0; i < hidden; ++i) self->delta[i] = ldexp(self->delta[i], -more);
        step_back(self, shape, c->scale, self->slope + (t - 1) * hidden,
                  shape->raw ? own : ldexp(own, -shift));
    }
}

static rs_status run(void *handle, const rs_job *job, rs_profile *out) {
    const reference *self = handle;
    const rs_shape *shape = &job->shape;
    size_t const hidden = shape->hidden, columns = shape->radii * shape->batch;
    out->forward_seconds = out->backward_seconds = out->transfer_seconds = 0.0;
    for (size_t g = 0; g < shape->groups; ++g) {
        const rs_group *group = &job->group[g];
        for (size_t i = 0; i < hidden * hidden; ++i)
            self->weight[i] = rounded(group->weight_hh[i], shape->precision);
        for (size_t n = 0; n < columns; ++n) {
            column const c = {shape, group,
                              rounded(group->scale[n / shape->batch], shape->precision),
                              n % shape->batch};
            size_t const first = g * shape->steps * columns + n;
            double const start = rs_seconds();
            out->nonfinite_step[g * columns + n] = forward(self, &c);
            double const middle = rs_seconds();
            backward(self, &c, out->norm2 + first, out->exponent + first, columns);
            out->forward_seconds += middle - start;
            out->backward_seconds += rs_seconds() - middle;
            double const part = (double)(g * columns + n + 1) / (double)(shape->groups * columns);
            if (job->tick && !job->tick(job->tick_arg, part))
                return rs_fail(RS_EINTERRUPTED, "reference engine: interrupted");
        }
    }
    return RS_OK;
}

static rs_status supports(const rs_shape *shape) {
    if (shape->raw && shape->precision == RS_F32)
        return rs_fail(RS_EINPUT, "engine reference: works in double, so it cannot show raw f32 "
                                  "arithmetic: use --engine cpu, or --precision f64");
    return RS_OK;
}

static void lay_out(const rs_shape *shape, rs_block *block, reference *self) {
    uint64_t const row = rs_size_mul(shape->hidden, sizeof(double));
    self->weight = rs_block_take(block, shape->hidden, row);
    self->a = rs_block_take(block, 1, row);
    self->h = rs_block_take(block, 1, row);
    self->delta = rs_block_take(block, 1, row);
    self->q = rs_block_take(block, 1, row);
    self->slope = rs_block_take(block, shape->steps, row);
}

static uint64_t bytes(const rs_shape *shape, const rs_resources *resources) {
    (void)resources;
    reference self;
    rs_block block = rs_block_measure(sizeof(double));
    lay_out(shape, &block, &self);
    return block.used;
}

static void close_reference(void *handle) {
    reference *self = handle;
    if (!self) return;
    free(self->weight);
    free(self);
}

static rs_status open_reference(const rs_shape *largest, const rs_resources *resources,
                                void **handle) {
    uint64_t const size = bytes(largest, resources);
    reference *self = malloc(sizeof *self);
    void *memory = size < SIZE_MAX ? malloc((size_t)size) : NULL;
    if (!self || !memory) {
        free(self);
        free(memory);
        return rs_fail(RS_EMEMORY, "engine reference: no memory for %zu units and %zu steps",
                       largest->hidden, largest->steps);
    }
    rs_block block = rs_block_deal(memory, sizeof(double));
    lay_out(largest, &block, self);
    *handle = self;
    return RS_OK;
}

static rs_status device(rs_device *out) {
    rs_host_device(out);
    out->threads = 1;
    snprintf(out->identity, sizeof out->identity, "reference");
    return RS_OK;
}

const rs_engine rs_engine_reference = {
    .name = "reference",
    .device = device,
    .supports = supports,
    .bytes = bytes,
    .open = open_reference,
    .run = run,
    .close = close_reference,
};
