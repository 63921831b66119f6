/* One tile of columns through all steps, forward and backward. This file is compiled once for each
 * instruction set and precision; RS_KERNEL names the kernel that it then defines.
 *
 * The product of a panel of rows with the tile is kept in registers over all of k. Whatever the
 * panel's height or the tile's width, an element's sum runs over k = 0 .. H - 1 in that order with
 * one fma each, so a column's bits do not depend on which tile it is in. Nothing is summed across
 * the lanes of a vector either: instruction sets that have fma give the same bits. */
#include "cells.h"
#include "kernel.h"
#include "product.h"

#include <math.h>
#include <stdbool.h>

/* ---- packing ------------------------------------------------------------------------------- */

static uint64_t packed_bytes(const rs_shape *shape) {
    uint64_t const row = rs_size_mul(shape->hidden, sizeof(real));
    return rs_size_mul(rs_size_mul(rs_cell_of(shape->cell)->gates, shape->hidden), row);
}

static void pack_forward(size_t hidden, size_t gates, const double *w, size_t first, size_t end,
                         real *to) {
    to += first * gates * hidden;
    for (size_t k = 0; k < hidden; ++k)
        for (size_t i = first; i < end; ++i)
            for (size_t gate = 0; gate < gates; ++gate)
                *to++ = (real)w[(gate * hidden + i) * hidden + k];
}

static void pack_backward(size_t hidden, size_t gates, const double *w, size_t first, size_t end,
                          real *to) {
    to += first * gates * hidden;
    for (size_t k = 0; k < gates * hidden; ++k)
        for (size_t i = first; i < end; ++i) *to++ = (real)w[k * hidden + i];
}

static void pack(const rs_shape *shape, const double *w, size_t part, size_t parts, void *forward_w,
                 void *backward_w) {
    size_t const hidden = shape->hidden, gates = rs_cell_of(shape->cell)->gates;
    panels const f = forward_panels(shape), b = backward_panels(shape);
    for (size_t p = part * f.count / parts; p < (part + 1) * f.count / parts; ++p)
        pack_forward(hidden, gates, w, panel_start(&f, p), panel_start(&f, p + 1), forward_w);
    for (size_t p = part * b.count / parts; p < (part + 1) * b.count / parts; ++p)
        pack_backward(hidden, gates, w, panel_start(&b, p), panel_start(&b, p + 1), backward_w);
}

/* ---- samples ------------------------------------------------------------------------------- */

static void put_samples(size_t rows, size_t batch, const double *x, void *out) {
    size_t const period = batch + LANES - 1;
    real *row = out;
    for (size_t i = 0; i < rows; ++i, row += period)
        for (size_t b = 0; b < batch; ++b) {
            real const value = x ? (real)x[b * rows + i] : 0;
            for (size_t at = b; at < period; at += batch) row[at] = value;
        }
}

/* ---- scratch ------------------------------------------------------------------------------- */

static uint64_t scratch_bytes(const rs_shape *shape, size_t vectors) {
    rs_block block = rs_block_measure(VECTOR_BYTES);
    (void)deal_trace(shape, vectors, &block);
    return block.used;
}

/* ---- factors ------------------------------------------------------------------------------- */

/* Copies x [count][width] of a step to blocks of `rows` rows, `size` reals a vector of columns, and
 * notes the largest magnitude of each column in the first `noted` rows. The step after it goes to
 * t + next. */
INLINE void keep(const rs_cpu_tile *tile, const real *x, size_t count, size_t noted, size_t t,
                 ptrdiff_t next, size_t rows, size_t size, real *blocks, real *largest) {
    size_t const row = tile->vectors * LANES;
    size_t const stride = block_steps(tile->shape) * rows * LANES;
    for (size_t v = 0; v < tile->vectors; ++v) {
        real *to = blocks + v * size + t * rows * LANES;
        vreal most = v_set(0);
        for (size_t i = 0; i < count; i += rows, to += stride)
            for (size_t n = 0; n < rows && i + n < count; ++n) {
                vreal const a = v_load(x + (i + n) * row + v * LANES);
                if (i + n < noted) most = v_at_least(v_abs(a), most);
                v_store(to + n * LANES, a);
                __builtin_prefetch(to + (next * (ptrdiff_t)rows + (ptrdiff_t)n) * (ptrdiff_t)LANES,
                                   1);
            }
        v_store(largest + t * row + v * LANES, most);
    }
}

/* h_t, which step t + 1 begins with. */
static void keep_h(const rs_cpu_tile *tile, const trace *s, size_t t, const real *h) {
    size_t const rows = tile->shape->hidden, size = (size_t)v_size(tile->shape);
    keep(tile, h, rows, rows, t, 1, V_ROWS, size, s->factors.v, s->factors.largest_h);
}

/* q of step t, and its exponents. */
static void keep_q(const rs_cpu_tile *tile, const trace *s, size_t t, const real *q,
                   const int32_t *exponent) {
    size_t const width = tile->vectors * LANES, size = (size_t)q_size(tile->shape);
    keep(tile, q, (size_t)q_rows_of(tile->shape), (size_t)gate_rows(tile->shape), t - 1, -1, Q_ROWS,
         size, s->factors.q, s->factors.largest_q);
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): scratch, as in simd.h
    memcpy(s->factors.exponent + (t - 1) * width, exponent, width * sizeof *exponent);
}

/* ---- forward ------------------------------------------------------------------------------- */

static void note_nonfinite(const rs_cpu_tile *tile, const vreal *bad, uint32_t step) {
    for (size_t v = 0; v < tile->vectors; ++v) {
        if (!v_any_nan(bad[v])) continue;
        for (size_t lane = 0; lane < LANES; ++lane) {
            size_t const column = v * LANES + lane;
            if (column < tile->columns && isnan(bad[v][lane]) && tile->nonfinite_step[column] == 0)
                tile->nonfinite_step[column] = step;
        }
    }
}

/* A tile's columns of x [rows][period], one vector after the other. */
static void load_samples(const rs_cpu_tile *tile, const void *x, size_t rows, real *to) {
    for (size_t i = 0; i < rows; ++i)
        for (size_t v = 0; v < tile->vectors; ++v, to += LANES)
            v_store(to, v_load_unaligned((const real *)x + i * tile->period + tile->sample[v]));
}

/* Steps every unit, panel by panel. */
static void forward_step(const rs_cpu_tile *tile, const trace *s, const real *drive, const real *in,
                         real *out, real *kept, vreal *bad) {
    const rs_shape *shape = tile->shape;
    size_t const hidden = shape->hidden, gates = rs_cell_of(shape->cell)->gates;
    size_t const width = tile->vectors * LANES;
    panels const all = forward_panels(shape);
    for (size_t p = 0, first = 0; first < hidden; ++p) {
        size_t const end = panel_start(&all, p + 1), count = end - first;
        const real *panel = (const real *)tile->forward_w + first * gates * hidden;
        real *const h = out + first * width, *const to = kept + first * kept_of(shape) * width;
        products[tile->vectors - 1][gates * count - 1](hidden, panel, in, s->z);
        forward_units const units = {.count = count,
                                     .z = s->z,
                                     .drive = drive + first * tile->period,
                                     .bias = (const real *)tile->product_bias + first,
                                     .before = in + first * width,
                                     .h = h,
                                     .c = s->carry + first * width,
                                     .kept = to};
        steps[tile->vectors - 1][shape->cell].forward(tile, &units, bad);
        first = end;
    }
}

static void forward(const rs_cpu_tile *tile) {
    const rs_shape *shape = tile->shape;
    size_t const kept = shape->hidden * kept_of(shape) * tile->vectors * LANES;
    size_t const before = shape->warmup - shape->transient;
    trace const s = trace_of(tile);
    for (size_t column = 0; column < tile->columns; ++column) tile->nonfinite_step[column] = 0;

    load_samples(tile, tile->start[0], shape->hidden, s.h[0]);
    if (shape->cell == RS_LSTM) load_samples(tile, tile->start[1], shape->hidden, s.carry);
    for (size_t step = 0; step < shape->warmup + shape->steps; ++step) {
        bool const recorded = step >= shape->warmup;
        size_t const t0 = recorded ? step - shape->warmup : 0;
        /* Later steps overwrite what is kept of those before the transient. */
        size_t const place = step > before ? step - before : 0;
        const real *in = s.h[step % 2];
        const real *drive = (const real *)tile->drive + step * tile->drive_stride;
        vreal bad[MAX_VECTORS] = {{0}};
        if (recorded && shape->gradients) keep_h(tile, &s, t0, in);
        forward_step(tile, &s, drive, in, s.h[(step + 1) % 2], s.kept + place * kept, bad);
        if (recorded) note_nonfinite(tile, bad, (uint32_t)(t0 + 1));
    }
}

/* ---- backward ------------------------------------------------------------------------------ */

/* The loss's gradient as what the first gate's product brings. */
static void load_loss(const rs_cpu_tile *tile, size_t first, size_t count, real *z) {
    size_t const gates = rs_cell_of(tile->shape->cell)->gates;
    memset(z, 0, gates * count * tile->vectors * VECTOR_BYTES);
    load_samples(tile, (const real *)tile->delta + first * tile->period, count, z);
}

/* Makes q of step t from that of the step after, panel by panel, or from the loss where that is
 * NULL. */
static void backward_step(const rs_cpu_tile *tile, const trace *s, ranges *range, const real *scale,
                          size_t t, const real *after, real *q) {
    const rs_shape *shape = tile->shape;
    size_t const hidden = shape->hidden, gates = rs_cell_of(shape->cell)->gates;
    size_t const width = tile->vectors * LANES, kept = kept_of(shape) * width;
    size_t const place = shape->transient + t - 1; /* among the steps that are kept */
    panels const all = backward_panels(shape);
    for (size_t p = 0, first = 0; first < hidden; ++p) {
        size_t const end = panel_start(&all, p + 1), count = end - first;
        const real *panel = (const real *)tile->backward_w + first * gates * hidden;
        for (size_t k = 0; after && k < gates; ++k)
            products[tile->vectors - 1][count - 1](hidden, panel + k * hidden * count,
                                                   after + k * hidden * width,
                                                   s->z + k * count * width);
        if (!after) load_loss(tile, first, count, s->z);
        real *const to = q + first * width;
        backward_units const units = {.count = count,
                                      .scale = scale,
                                      .z = s->z,
                                      .kept = s->kept + (place * hidden + first) * kept,
                                      .carry = s->carry + first * width,
                                      .q = to};
        steps[tile->vectors - 1][shape->cell].backward(tile, &units, range);
        first = end;
    }
}

static void finish_step(const rs_cpu_tile *tile, const trace *s, ranges *range, size_t t, real *q) {
    end_step(tile, range, t, q, s->carry);
    if (tile->shape->gradients) keep_q(tile, s, t, q, range->exponent);
}

/* Step T, with a scale of 1 and no term of its own, as if there had been a step after it. */
static void backward_last(const rs_cpu_tile *tile, const trace *s, ranges *range) {
    _Alignas(VECTOR_BYTES) real one[RS_MAX_GATES * MAX_VECTORS * LANES];
    const rs_shape *shape = tile->shape;
    real *const q = s->q[shape->steps % 2];
    for (size_t i = 0; i < sizeof one / sizeof *one; ++i) one[i] = 1;
    memset(s->carry, 0, shape->hidden * tile->vectors * VECTOR_BYTES);
    for (size_t v = 0; v < tile->vectors; ++v)
        for (size_t p = 0; p < WIDE; ++p) range->norm_factor[v].part[p] += 1.0;
    backward_step(tile, s, range, one, shape->steps, NULL, q);
    for (size_t v = 0; v < tile->vectors; ++v) range->own[v] = v_set((real)tile->step_delta);
    finish_step(tile, s, range, shape->steps, q);
}

static void backward(const rs_cpu_tile *tile) {
    trace const s = trace_of(tile);
    ranges range = {0};
    backward_last(tile, &s, &range);
    for (size_t t = tile->shape->steps - 1; t > 0; --t) {
        backward_step(tile, &s, &range, tile->scale, t, s.q[(t + 1) % 2], s.q[t % 2]);
        finish_step(tile, &s, &range, t, s.q[t % 2]);
    }
}

rs_drive_filler RS_DRIVE_FILL;
extern const rs_cpu_gradient RS_CPU_GRADIENT_OF(RS_KERNEL);
extern const rs_cpu_tangent RS_CPU_TANGENT_OF(RS_KERNEL);

const rs_cpu_kernel RS_KERNEL = {
    .isa = RS_ISA,
    .fused = FUSED,
    .precision = RS_REAL_BITS == 32 ? RS_F32 : RS_F64,
    .lanes = LANES,
    .max_vectors = MAX_VECTORS,
    .real_bytes = sizeof(real),
    .packed_bytes = packed_bytes,
    .pack = pack,
    .put_samples = put_samples,
    .fill_drive = RS_DRIVE_FILL,
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward = backward,
    .gradient = &RS_CPU_GRADIENT_OF(RS_KERNEL),
    .tangent = &RS_CPU_TANGENT_OF(RS_KERNEL),
};
