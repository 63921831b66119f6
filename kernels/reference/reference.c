#include "reference.h"

#include "../base/block.h"
#include "../base/clock.h"
#include "../base/sizes.h"
#include "../drive.h"
#include "../host_device.h"
#include "gradient.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Everything in one block, dealt out anew for every pass. */
typedef struct reference {
    void *memory;
    double *weight_hh;              /* [G][H][H] as loaded; the other three are not rounded: */
    double *weight_ih;              /* [G][H][I] */
    double *bias_ih, *bias_hh;      /* [G][H] */
    double *a, *delta;              /* [H] */
    double *h;                      /* [T + 1][H] from h_0 on; without gradients [H] */
    double *slope;                  /* [T][H] phi'(a_t), and on the way back q_t */
    int32_t *shift;                 /* [T] of q_t, which is 2^shift times what is kept */
    double *x;                      /* [T][I] of a weighted drive, for gradients */
    rs_reference_gradient gradient; /* of one radius */
} reference;

/* One column of a pass: its network, scale and sample. */
typedef struct column {
    const rs_shape *shape;
    const rs_parameters *network;
    const rs_columns *given;
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
static void preactivate(const reference *self, const column *c, const double *h) {
    size_t const hidden = c->shape->hidden;
    for (size_t i = 0; i < hidden; ++i) {
        double sum = 0.0;
        for (size_t j = 0; j < hidden; ++j) sum += c->network->weight_hh[i * hidden + j] * h[j];
        self->a[i] = c->scale * sum + self->a[i];
    }
}

static void drive(const reference *self, const column *c, size_t step) {
    const rs_shape *shape = c->shape;
    rs_drive_fill(shape, c->network, &c->given->drive, step, c->sample, self->a);
    for (size_t i = 0; i < shape->hidden; ++i) self->a[i] = rounded(self->a[i], shape->precision);
}

static void start(const reference *self, const column *c) {
    size_t const hidden = c->shape->hidden;
    const double *from = c->given->start ? c->given->start + c->sample * hidden : NULL;
    for (size_t i = 0; i < hidden; ++i)
        self->h[i] = from ? rounded(from[i], c->shape->precision) : 0.0;
}

/* h_{t-1} of recorded step t0 + 1, and where h_t goes: one state after the other where they are
 * kept, else in place. */
static double *state_at(const reference *self, const rs_shape *shape, size_t t0) {
    return self->h + (shape->gradients ? t0 * shape->hidden : 0);
}

/* One step; true where all of h_t is finite. The warm-up writes its slopes to row 0, which step 1
 * overwrites, and its states to h_0. */
static bool advance(const reference *self, const column *c, size_t step) {
    const rs_shape *shape = c->shape;
    bool const recorded = step >= shape->warmup;
    size_t const hidden = shape->hidden, t0 = recorded ? step - shape->warmup : 0;
    double *const to = state_at(self, shape, recorded ? t0 + 1 : 0);
    drive(self, c, step);
    preactivate(self, c, state_at(self, shape, t0));
    bool finite = true;
    for (size_t i = 0; i < hidden; ++i) {
        self->slope[t0 * hidden + i] = activate(shape, self->a[i], &to[i]);
        finite = finite && isfinite(to[i]);
    }
    return finite;
}

/* Returns the first recorded step whose h is not finite, or 0. */
static uint32_t forward(const reference *self, const column *c) {
    const rs_shape *shape = c->shape;
    uint32_t nonfinite = 0;
    start(self, c);
    for (size_t step = 0; step < shape->warmup + shape->steps; ++step) {
        bool const finite = advance(self, c, step);
        if (step >= shape->warmup && !finite && nonfinite == 0)
            nonfinite = (uint32_t)(step - shape->warmup + 1);
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

/* q_t = phi'(a_t) * delta_t in the place of phi'. */
static void gate(const reference *self, const rs_shape *shape, size_t t, int shift) {
    double *const slope = self->slope + (t - 1) * shape->hidden;
    for (size_t i = 0; i < shape->hidden; ++i) slope[i] = gated(shape, slope[i], self->delta[i]);
    self->shift[t - 1] = shape->raw ? 0 : shift;
}

/* delta_{t-1} = s W^T q_t + c */
static void step_back(const reference *self, const column *c, size_t t, double own) {
    size_t const hidden = c->shape->hidden;
    const double *q = self->slope + (t - 1) * hidden;
    for (size_t j = 0; j < hidden; ++j) {
        double sum = 0.0;
        for (size_t i = 0; i < hidden; ++i) sum += c->network->weight_hh[i * hidden + j] * q[i];
        self->delta[j] = c->scale * sum + own;
    }
}

static void backward(const reference *self, const column *c, double *norm2, int32_t *exponent,
                     size_t stride) {
    const rs_shape *shape = c->shape;
    size_t const hidden = shape->hidden;
    for (size_t i = 0; i < hidden; ++i)
        self->delta[i] = rounded(c->given->delta[c->sample * hidden + i], shape->precision);
    double const own = rounded(c->given->step_delta, shape->precision);

    int shift = 0; /* of the norm; delta itself is scaled by it too unless the pass is raw */
    for (size_t t = shape->steps; t > 0; --t) {
        double const sum = sum_of_squares(self->delta, hidden, shape->raw ? shift : 0);
        norm2[(t - 1) * stride] = sum;
        exponent[(t - 1) * stride] = shift;
        int const more = excess(sum);
        shift += more;
        if (!shape->raw)
            for (size_t i = 0; i < hidden; ++i) self->delta[i] = ldexp(self->delta[i], -more);
        gate(self, shape, t, shift);
        if (t > 1) step_back(self, c, t, shape->raw ? own : ldexp(own, -shift));
    }
}

/* ---- gradients ------------------------------------------------------------------------------- */

static void add_gradients(reference *self, const column *c) {
    const rs_shape *shape = c->shape;
    size_t const inputs = shape->input_size;
    if (c->sample == 0) rs_reference_gradient_start(shape, &self->gradient);
    for (size_t t = 0; shape->drive == RS_DRIVE_WEIGHTED && t < shape->steps; ++t) {
        double *const x = self->x + t * inputs;
        rs_drive_input(shape, &c->given->drive, shape->warmup + t, c->sample, x);
        for (size_t i = 0; i < inputs; ++i) x[i] = rounded(x[i], shape->precision);
    }
    rs_reference_trace const trace = {self->slope, self->shift, self->h, self->x};
    rs_reference_gradient_add(shape, &trace, &self->gradient);
}

/* ---- running --------------------------------------------------------------------------------- */

static void run_column(reference *self, const column *c, size_t g, size_t n, rs_record *out) {
    const rs_shape *shape = c->shape;
    size_t const columns = shape->radii * shape->batch, first = g * shape->steps * columns + n;
    double const start = rs_seconds();
    out->nonfinite_step[g * columns + n] = forward(self, c);
    double const middle = rs_seconds();
    backward(self, c, out->norm2 + first, out->exponent + first, columns);
    double const end = rs_seconds();
    out->forward_seconds += middle - start;
    out->backward_seconds += end - middle;
    if (!shape->gradients) return;
    add_gradients(self, c);
    size_t const at = (g * shape->radii + n / shape->batch) * RS_N_GRADIENT;
    if (c->sample == shape->batch - 1)
        rs_reference_gradient_norms(shape, &self->gradient, out->gradient2 + at,
                                    out->gradient_exponent + at);
    out->gradient_seconds += rs_seconds() - end;
}

static void lay_out(const rs_shape *shape, rs_block *block, reference *self) {
    uint64_t const row = rs_size_mul(shape->hidden, sizeof(double)), groups = shape->groups;
    uint64_t const inputs = rs_size_mul(shape->input_size, sizeof(double));
    self->weight_hh = rs_block_take(block, groups, rs_size_mul(shape->hidden, row));
    self->weight_ih = rs_block_take(block, groups, rs_size_mul(shape->hidden, inputs));
    self->bias_ih = rs_block_take(block, groups, row);
    self->bias_hh = rs_block_take(block, groups, row);
    self->a = rs_block_take(block, 1, row);
    self->delta = rs_block_take(block, 1, row);
    self->slope = rs_block_take(block, shape->steps, row);
    self->shift = rs_block_take(block, shape->steps, sizeof *self->shift);
    self->h = rs_block_take(block, shape->gradients ? rs_size_add(shape->steps, 1) : 1, row);
    if (!shape->gradients) return;
    self->x = rs_block_take(block, shape->steps, inputs);
    rs_reference_gradient_deal(shape, block, &self->gradient);
}

static rs_parameters network_at(const reference *self, const rs_shape *shape, size_t g) {
    size_t const hidden = shape->hidden;
    return (rs_parameters){.weight_hh = self->weight_hh + g * hidden * hidden,
                           .weight_ih = self->weight_ih + g * hidden * shape->input_size,
                           .bias_ih = self->bias_ih + g * hidden,
                           .bias_hh = self->bias_hh + g * hidden};
}

static rs_status run(void *handle, const rs_pass *pass, rs_record *out) {
    reference *self = handle;
    const rs_shape *shape = &pass->shape;
    size_t const columns = shape->radii * shape->batch;
    rs_block block = rs_block_deal(self->memory, sizeof(double));
    lay_out(shape, &block, self);
    out->forward_seconds = out->backward_seconds = 0.0;
    out->gradient_seconds = out->transfer_seconds = 0.0;
    for (size_t g = 0; g < shape->groups; ++g) {
        rs_parameters const network = network_at(self, shape, g);
        for (size_t n = 0; n < columns; ++n) {
            double const scale = rounded(pass->of[g].scale[n / shape->batch], shape->precision);
            column const c = {shape, &network, &pass->of[g], scale, n % shape->batch};
            run_column(self, &c, g, n, out);
            double const part = (double)(g * columns + n + 1) / (double)(shape->groups * columns);
            if (pass->tick && !pass->tick(pass->tick_arg, part))
                return rs_fail(RS_EINTERRUPTED, "reference engine: interrupted");
        }
    }
    return RS_OK;
}

/* ---- the table ------------------------------------------------------------------------------- */

static void copy_or_clear(size_t n, const double *from, double *to) {
    for (size_t i = 0; i < n; ++i) to[i] = from ? from[i] : 0.0;
}

static rs_status load(void *handle, const rs_shape *shape, const rs_parameters *of) {
    reference *self = handle;
    size_t const hidden = shape->hidden, inputs = shape->input_size;
    rs_block block = rs_block_deal(self->memory, sizeof(double));
    lay_out(shape, &block, self);
    for (size_t g = 0; g < shape->groups; ++g) {
        for (size_t i = 0; i < hidden * hidden; ++i)
            self->weight_hh[g * hidden * hidden + i] =
                rounded(of[g].weight_hh[i], shape->precision);
        if (shape->drive != RS_DRIVE_WEIGHTED) continue;
        copy_or_clear(hidden * inputs, of[g].weight_ih, self->weight_ih + g * hidden * inputs);
        copy_or_clear(hidden, of[g].bias_ih, self->bias_ih + g * hidden);
        copy_or_clear(hidden, of[g].bias_hh, self->bias_hh + g * hidden);
    }
    return RS_OK;
}

static rs_status device(size_t index, rs_device *out) {
    if (index > 0) return rs_fail(RS_EDEVICE, "engine reference: no device %zu: it has one", index);
    rs_host_device(out);
    out->threads = 1;
    snprintf(out->identity, sizeof out->identity, "reference");
    return RS_OK;
}

static rs_status bytes(size_t device, const rs_shape *shape, const rs_resources *resources,
                       uint64_t *out) {
    (void)device;
    (void)resources;
    if (shape->raw && shape->precision == RS_F32)
        return rs_fail(RS_EINPUT, "engine reference: works in double, so it cannot show raw f32 "
                                  "arithmetic: use --engine cpu, or --precision f64");
    reference self;
    rs_block block = rs_block_measure(sizeof(double));
    lay_out(shape, &block, &self);
    *out = block.used;
    return RS_OK;
}

static void close_reference(void *handle) {
    reference *self = handle;
    if (!self) return;
    free(self->memory);
    free(self);
}

static rs_status open_reference(size_t device, const rs_shape *largest,
                                const rs_resources *resources, void **handle) {
    uint64_t size;
    RS_TRY(bytes(device, largest, resources, &size));
    reference *self = calloc(1, sizeof *self);
    void *memory = size < SIZE_MAX ? malloc((size_t)size) : NULL;
    if (!self || !memory) {
        free(self);
        free(memory);
        return rs_fail(RS_EMEMORY, "engine reference: no memory for %zu units and %zu steps",
                       largest->hidden, largest->steps);
    }
    self->memory = memory;
    *handle = self;
    return RS_OK;
}

const rs_engine rs_engine_reference = {
    .name = "reference",
    .device = device,
    .bytes = bytes,
    .open = open_reference,
    .load = load,
    .run = run,
    .close = close_reference,
};
