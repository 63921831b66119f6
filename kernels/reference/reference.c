#include "reference.h"

#include "../base/block.h"
#include "../base/clock.h"
#include "../base/sizes.h"
#include "../drive.h"
#include "../host_device.h"
#include "cells.h"
#include "gradient.h"
#include "learn.h"
#include "tangent.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Everything in one block, dealt out anew for every pass. */
typedef struct reference {
    void *memory;
    double carry_seconds;           /* of a column's tangents, without their QRs */
    double *weight_hh;              /* [G][K H][H] as loaded; the other three are not rounded: */
    double *weight_ih;              /* [G][K H][I] */
    double *bias_ih, *bias_hh;      /* [G][K H] */
    double *delta;                  /* [S][H] */
    double *state;                  /* [T + 1][S][H] from (h, c)_0 on */
    double *p, *u;                  /* [T][K][H] each: see rs_reference_step */
    int32_t *shift;                 /* [T] of dL/dp and dL/du, which are 2^shift times those */
    double *x;                      /* [T][I] of a weighted drive, for gradients */
    double *dp;                     /* [K][H] of one tangent */
    rs_reference_gradient gradient; /* of one radius */
    rs_reference_tangent tangent;   /* of one column */
    rs_reference_learner learner;
    rs_shape learnt;   /* as loaded or of the last pass, where it learns */
    bool has_gradient; /* a pass has learnt since */
    /* Of all samples that are kept at once: those of a group that learns, else one. */
    double *all_states, *all_p, *all_u;
    int32_t *all_shifts;
} reference;

/* One column of a pass: its network, scale and sample. */
typedef struct column {
    const rs_shape *shape;
    const rs_parameters *network;
    const rs_columns *given;
    double scale[RS_MAX_GATES];
    size_t sample;
} column;

static double rounded(double x, rs_precision precision) {
    return precision == RS_F32 ? (double)(float)x : x;
}

/* S H */
static size_t state_rows(const rs_shape *shape) {
    return rs_cell_of(shape->cell)->states * shape->hidden;
}

/* Makes a sample's arrays the ones at hand. */
static void point_at(reference *self, const rs_shape *shape, size_t sample) {
    size_t const kept = shape->learns ? sample : 0, gates = shape->steps * rs_gate_rows(shape);
    self->state = self->all_states + kept * (shape->steps + 1) * state_rows(shape);
    self->p = self->all_p + kept * gates;
    self->u = self->all_u + kept * gates;
    self->shift = self->all_shifts + kept * shape->steps;
}

/* Recorded step t0 + 1. */
static rs_reference_step step_at(const reference *self, const rs_shape *shape, size_t t0) {
    size_t const gates = rs_gate_rows(shape), states = state_rows(shape);
    return (rs_reference_step){.p = self->p + t0 * gates,
                               .u = self->u + t0 * gates,
                               .before = self->state + t0 * states,
                               .after = self->state + (t0 + 1) * states};
}

/* p = s (W h), for each gate with its own s. */
static void multiply_plainly(const column *c, const double *h, double *p) {
    size_t const hidden = c->shape->hidden;
    for (size_t k = 0; k < rs_cell_of(c->shape->cell)->gates; ++k)
        for (size_t i = k * hidden; i < (k + 1) * hidden; ++i) {
            double sum = 0.0;
            for (size_t j = 0; j < hidden; ++j) sum += c->network->weight_hh[i * hidden + j] * h[j];
            p[i] = c->scale[k] * sum;
        }
}

/* The same with what a GRU's candidate adds. */
static void multiply(const column *c, const double *h, double *p) {
    size_t const hidden = c->shape->hidden;
    multiply_plainly(c, h, p);
    if (c->shape->cell != RS_GRU) return;
    for (size_t i = RS_GRU_N * hidden; i < (RS_GRU_N + 1) * hidden; ++i)
        p[i] += rounded(c->network->bias_hh[i], c->shape->precision);
}

static void drive(const column *c, size_t step, double *u) {
    const rs_shape *shape = c->shape;
    rs_drive_fill(shape, c->network, &c->given->drive, step, c->sample, u);
    for (size_t i = 0; i < rs_gate_rows(shape); ++i) u[i] = rounded(u[i], shape->precision);
}

static void start(const reference *self, const column *c) {
    size_t const hidden = c->shape->hidden;
    for (size_t i = 0; i < state_rows(c->shape); ++i) {
        const double *from = c->given->start[i / hidden];
        self->state[i] =
            from ? rounded(from[c->sample * hidden + i % hidden], c->shape->precision) : 0.0;
    }
}

/* One step; true where all of the new state is finite. */
static bool advance(const column *c, size_t step, const rs_reference_step *s) {
    drive(c, step, s->u);
    multiply(c, s->before, s->p);
    return rs_reference_forward(c->shape, s);
}

/* Carries all tangents through the step that has just been made, `step` counted from the first of
 * the warm-up. */
static rs_status carry(reference *self, const column *c, size_t step, const rs_reference_step *s) {
    const rs_shape *shape = c->shape;
    size_t const before = shape->warmup - shape->transient;
    if (shape->directions == 0 || step < before) return RS_OK;
    double const begin = rs_seconds();
    for (size_t j = 0; j < shape->directions; ++j) {
        double *const v = rs_reference_tangent_at(shape, &self->tangent, j);
        multiply_plainly(c, v, self->dp);
        rs_reference_push(shape, s, self->dp, v);
    }
    self->carry_seconds += rs_seconds() - begin;
    return rs_reference_tangent_end(shape, s, step - before + 1, &self->tangent);
}

/* *nonfinite receives the first recorded step whose state is not finite, or 0. */
static rs_status forward(reference *self, const column *c, uint32_t *nonfinite) {
    const rs_shape *shape = c->shape;
    *nonfinite = 0;
    start(self, c);
    for (size_t step = 0; step < shape->warmup; ++step) {
        rs_reference_step const s = step_at(self, shape, 0);
        advance(c, step, &s);
        RS_TRY(carry(self, c, step, &s));
        for (size_t i = 0; i < state_rows(shape); ++i) self->state[i] = s.after[i];
    }
    for (size_t t0 = 0; t0 < shape->steps; ++t0) {
        rs_reference_step const s = step_at(self, shape, t0);
        bool const finite = advance(c, shape->warmup + t0, &s);
        if (!finite && *nonfinite == 0) *nonfinite = (uint32_t)(t0 + 1);
        if (shape->learns)
            rs_reference_learner_ask(shape, t0 + 1, c->sample, s.after, &self->learner);
        RS_TRY(carry(self, c, shape->warmup + t0, &s));
    }
    return RS_OK;
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

/* The loss's own part of dL/dh_t of unit j. */
static double own_delta(const reference *self, const column *c, size_t t, size_t j) {
    const rs_shape *shape = c->shape;
    if (shape->learns) {
        const double *told = rs_reference_learner_told(shape, t, c->sample, &self->learner);
        return told ? rounded(told[j], shape->precision) : 0.0;
    }
    double const given =
        t < shape->steps ? c->given->step_delta : c->given->delta[c->sample * shape->hidden + j];
    return rounded(given, shape->precision);
}

/* dL/dh_{t-1} += sum_k s_k W_k^T q_k + c */
static void step_back(const reference *self, const column *c, size_t t, int shift, const double *q,
                      double *delta) {
    size_t const hidden = c->shape->hidden;
    for (size_t j = 0; j < hidden; ++j) {
        double through = 0.0;
        for (size_t k = 0; k < rs_cell_of(c->shape->cell)->gates; ++k) {
            double sum = 0.0;
            for (size_t i = k * hidden; i < (k + 1) * hidden; ++i)
                sum += c->network->weight_hh[i * hidden + j] * q[i];
            through += c->scale[k] * sum;
        }
        delta[j] = through + delta[j] + ldexp(own_delta(self, c, t - 1, j), -shift);
    }
}

/* Where a column's numbers go. */
typedef struct place {
    double *norm2;     /* of step 1 and the first state */
    int32_t *exponent; /* of step 1 */
    size_t stride;     /* entries between states, and between exponents of steps */
} place;

/* Writes the norms of step t; returns the square of that of the pair. */
static double put_norms(const reference *self, const rs_shape *shape, size_t t, int shift,
                        const place *to) {
    size_t const states = rs_cell_of(shape->cell)->states;
    double pair = 0.0;
    for (size_t k = 0; k < states; ++k) {
        double const sum =
            sum_of_squares(self->delta + k * shape->hidden, shape->hidden, shape->raw ? shift : 0);
        to->norm2[((t - 1) * states + k) * to->stride] = sum;
        pair += sum;
    }
    to->exponent[(t - 1) * to->stride] = shift;
    return pair;
}

static void begin_backward(const reference *self, const column *c) {
    size_t const hidden = c->shape->hidden;
    for (size_t i = 0; i < state_rows(c->shape); ++i)
        self->delta[i] = i < hidden ? own_delta(self, c, c->shape->steps, i) : 0.0;
}

static void backward(const reference *self, const column *c, const place *to) {
    const rs_shape *shape = c->shape;
    int shift = 0; /* of the norm; delta itself is scaled by it too unless the pass is raw */
    begin_backward(self, c);
    for (size_t t = shape->steps; t > 0; --t) {
        int const more = excess(put_norms(self, shape, t, shift, to));
        shift += more;
        for (size_t i = 0; !shape->raw && i < state_rows(shape); ++i)
            self->delta[i] = ldexp(self->delta[i], -more);
        self->shift[t - 1] = shape->raw ? 0 : shift;
        rs_reference_step const s = step_at(self, shape, t - 1);
        rs_reference_backward(shape, &s, self->delta);
        if (t > 1) step_back(self, c, t, shape->raw ? 0 : shift, s.p, self->delta);
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
    rs_reference_trace const trace = {self->p, self->u, self->shift, self->state, self->x};
    rs_reference_gradient_add(shape, &trace, &self->gradient);
}

/* ---- running --------------------------------------------------------------------------------- */

/* Where the tangents of column `at` of all put their results. */
static rs_tangent_place tangent_place(const rs_shape *shape, const rs_record *out, size_t at) {
    size_t const k = shape->directions;
    return (rs_tangent_place){.stretch = out->stretch + at * RS_STRETCH_BLOCKS * k,
                              .singular =
                                  out->singular ? out->singular + at * shape->n_singular * k : NULL,
                              .log_slope = out->log_slope + at,
                              .qr_gap = out->qr_gap + at};
}

/* The forward pass with its tangents. */
static rs_status run_forward(reference *self, const column *c, size_t at, rs_record *out) {
    const rs_shape *shape = c->shape;
    double const start = rs_seconds();
    self->carry_seconds = self->tangent.qr_seconds = 0.0;
    if (shape->directions > 0)
        rs_reference_tangent_start(shape, tangent_place(shape, out, at), &self->tangent);
    RS_TRY(forward(self, c, &out->nonfinite_step[at]));
    if (shape->directions > 0)
        rs_reference_tangent_finish(shape, out->nonfinite_step[at] == 0, &self->tangent);
    double const tangents = self->carry_seconds + self->tangent.qr_seconds;
    out->tangent_seconds += self->carry_seconds;
    out->qr_seconds += self->tangent.qr_seconds;
    out->forward_seconds += rs_seconds() - start - tangents;
    return RS_OK;
}

/* The way back, and the gradients: with the last sample those of a radius are whole. */
static void run_back(reference *self, const column *c, size_t g, size_t n, rs_record *out) {
    const rs_shape *shape = c->shape;
    size_t const columns = shape->radii * shape->batch, first = g * shape->steps * columns;
    size_t const states = rs_cell_of(shape->cell)->states;
    place const to = {out->norm2 + states * first + n, out->exponent + first + n, columns};
    double const middle = rs_seconds();
    backward(self, c, &to);
    double const end = rs_seconds();
    out->backward_seconds += end - middle;
    if (!shape->gradients) return;
    add_gradients(self, c);
    size_t const at = (g * shape->radii + n / shape->batch) * RS_N_GRADIENT;
    if (c->sample == shape->batch - 1) {
        rs_reference_gradient_norms(shape, &self->gradient, out->gradient2 + at,
                                    out->gradient_exponent + at);
        if (shape->learns) rs_reference_learner_take(shape, &self->gradient, g, &self->learner);
    }
    out->gradient_seconds += rs_seconds() - end;
}

static void lay_out(const rs_shape *shape, rs_block *block, reference *self) {
    const rs_cell_info *cell = rs_cell_of(shape->cell);
    uint64_t const row = rs_size_mul(shape->hidden, sizeof(double)), groups = shape->groups;
    uint64_t const gates = rs_size_mul(cell->gates, row), states = rs_size_mul(cell->states, row);
    uint64_t const inputs = rs_size_mul(shape->input_size, sizeof(double));
    self->weight_hh = rs_block_take(block, groups, rs_size_mul(shape->hidden, gates));
    self->weight_ih = rs_block_take(block, groups, rs_size_mul(shape->input_size, gates));
    self->bias_ih = rs_block_take(block, groups, gates);
    self->bias_hh = rs_block_take(block, groups, gates);
    self->delta = rs_block_take(block, 1, states);
    uint64_t const samples = shape->learns ? shape->batch : 1;
    uint64_t const kept = rs_size_mul(samples, shape->steps);
    if (shape->learns) rs_reference_learner_deal(shape, block, &self->learner);
    self->all_states = rs_block_take(block, rs_size_add(kept, samples), states);
    self->all_p = rs_block_take(block, kept, gates);
    self->all_u = rs_block_take(block, kept, gates);
    self->all_shifts = rs_block_take(block, kept, sizeof *self->all_shifts);
    if (shape->directions > 0) {
        self->dp = rs_block_take(block, 1, gates);
        rs_reference_tangent_deal(shape, block, &self->tangent);
    }
    if (!shape->gradients) return;
    self->x = rs_block_take(block, shape->steps, inputs);
    rs_reference_gradient_deal(shape, block, &self->gradient);
}

static rs_parameters network_at(const reference *self, const rs_shape *shape, size_t g) {
    size_t const rows = rs_gate_rows(shape);
    return (rs_parameters){.weight_hh = self->weight_hh + g * rows * shape->hidden,
                           .weight_ih = self->weight_ih + g * rows * shape->input_size,
                           .bias_ih = self->bias_ih + g * rows,
                           .bias_hh = self->bias_hh + g * rows};
}

static column column_of(const rs_pass *pass, size_t g, size_t n, const rs_parameters *network) {
    const rs_shape *shape = &pass->shape;
    size_t const gates = rs_cell_of(shape->cell)->gates;
    column c = {
        .shape = shape, .network = network, .given = &pass->of[g], .sample = n % shape->batch};
    for (size_t k = 0; k < gates; ++k)
        c.scale[k] = rounded(pass->of[g].scale[n / shape->batch * gates + k], shape->precision);
    return c;
}

/* All forward passes of a group that learns, and then the loss. */
static rs_status ask(reference *self, const rs_pass *pass, size_t g, const rs_parameters *network,
                     rs_record *out) {
    const rs_shape *shape = &pass->shape;
    for (size_t n = 0; n < shape->batch; ++n) {
        column const c = column_of(pass, g, n, network);
        point_at(self, shape, n);
        RS_TRY(run_forward(self, &c, g * shape->batch + n, out));
    }
    pass->loss(pass->loss_arg, g, self->learner.state, self->learner.delta);
    return RS_OK;
}

static rs_status run(void *handle, const rs_pass *pass, rs_record *out) {
    reference *self = handle;
    const rs_shape *shape = &pass->shape;
    size_t const columns = shape->radii * shape->batch;
    rs_block block = rs_block_deal(self->memory, sizeof(double));
    lay_out(shape, &block, self);
    out->forward_seconds = out->backward_seconds = 0.0;
    out->gradient_seconds = out->transfer_seconds = 0.0;
    out->tangent_seconds = out->qr_seconds = 0.0;
    if (shape->learns) self->learnt = *shape;
    self->has_gradient = false;
    for (size_t g = 0; g < shape->groups; ++g) {
        rs_parameters const network = network_at(self, shape, g);
        if (shape->learns) RS_TRY(ask(self, pass, g, &network, out));
        for (size_t n = 0; n < columns; ++n) {
            column const c = column_of(pass, g, n, &network);
            point_at(self, shape, c.sample);
            if (!shape->learns) RS_TRY(run_forward(self, &c, g * columns + n, out));
            run_back(self, &c, g, n, out);
            double const part = (double)(g * columns + n + 1) / (double)(shape->groups * columns);
            if (pass->tick && !pass->tick(pass->tick_arg, part))
                return rs_fail(RS_EINTERRUPTED, "engine reference: interrupted");
        }
    }
    self->has_gradient = shape->learns;
    return RS_OK;
}

/* ---- the table ------------------------------------------------------------------------------- */

static void copy_or_clear(size_t n, const double *from, double *to) {
    for (size_t i = 0; i < n; ++i) to[i] = from ? from[i] : 0.0;
}

static rs_status load(void *handle, const rs_shape *shape, const rs_parameters *of) {
    reference *self = handle;
    size_t const hidden = shape->hidden, inputs = shape->input_size, rows = rs_gate_rows(shape);
    rs_block block = rs_block_deal(self->memory, sizeof(double));
    lay_out(shape, &block, self);
    self->learnt = *shape;
    self->has_gradient = false;
    for (size_t g = 0; g < shape->groups; ++g) {
        for (size_t i = 0; i < rows * hidden; ++i)
            self->weight_hh[g * rows * hidden + i] = rounded(of[g].weight_hh[i], shape->precision);
        if (shape->learns)
            copy_or_clear(rows * hidden, of[g].weight_hh,
                          self->learner.weight_hh + g * rows * hidden);
        copy_or_clear(rows, of[g].bias_ih, self->bias_ih + g * rows);
        copy_or_clear(rows, of[g].bias_hh, self->bias_hh + g * rows);
        if (shape->drive != RS_DRIVE_WEIGHTED) continue;
        copy_or_clear(rows * inputs, of[g].weight_ih, self->weight_ih + g * rows * inputs);
    }
    return RS_OK;
}

/* The parameters that gradients are of, of all groups. */
static void parameters_of(reference *self, double *out[RS_N_GRADIENT]) {
    out[RS_WEIGHT_IH] = self->weight_ih;
    out[RS_WEIGHT_HH] = self->learner.weight_hh;
    out[RS_BIAS_IH] = self->bias_ih;
    out[RS_BIAS_HH] = self->bias_hh;
}

static rs_status fail_unlearnt(void) {
    return rs_fail(RS_EINPUT, "engine reference: no pass has learnt yet");
}

static rs_status learn(void *handle, const rs_learning_step *of) {
    reference *self = handle;
    const rs_shape *shape = &self->learnt;
    double *parameter[RS_N_GRADIENT];
    if (!self->has_gradient) return fail_unlearnt();
    parameters_of(self, parameter);
    for (int kind = 0; kind < RS_N_GRADIENT; ++kind) {
        size_t const n = rs_reference_parameter_size(shape, (rs_gradient)kind);
        for (size_t g = 0; g < shape->groups; ++g)
            for (size_t i = g * n; of[g].rate != 0.0 && i < (g + 1) * n; ++i)
                parameter[kind][i] -= rs_learning_move(&of[g], self->learner.gradient[kind][i]);
    }
    size_t const all = shape->groups * rs_reference_parameter_size(shape, RS_WEIGHT_HH);
    for (size_t i = 0; i < all; ++i)
        self->weight_hh[i] = rounded(self->learner.weight_hh[i], shape->precision);
    return RS_OK;
}

static rs_status fetch(void *handle, size_t group, bool gradient, const rs_parameter_arrays *out) {
    reference *self = handle;
    double *parameter[RS_N_GRADIENT];
    double *const to[RS_N_GRADIENT] = {[RS_WEIGHT_IH] = out->weight_ih,
                                       [RS_WEIGHT_HH] = out->weight_hh,
                                       [RS_BIAS_IH] = out->bias_ih,
                                       [RS_BIAS_HH] = out->bias_hh};
    if (gradient ? !self->has_gradient : !self->learnt.learns) return fail_unlearnt();
    parameters_of(self, parameter);
    for (int kind = 0; kind < RS_N_GRADIENT; ++kind) {
        size_t const n = rs_reference_parameter_size(&self->learnt, (rs_gradient)kind);
        const double *from = gradient ? self->learner.gradient[kind] : parameter[kind];
        if (to[kind]) memcpy(to[kind], from + group * n, n * sizeof *from);
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
    .learn = learn,
    .fetch = fetch,
    .close = close_reference,
};
