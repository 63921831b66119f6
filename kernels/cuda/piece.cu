#include "piece.cuh"

#include "check.cuh"
#include "gradient.cuh"
#include "memory.cuh"
#include "move.cuh"
#include "pack.cuh"
#include "tangent.cuh"

#include "../tangent/singular.h"

#include <limits.h>

namespace {

bool sizes_fit(const rs_shape *s) {
    uint64_t const columns = rs_size_mul(s->groups, rs_size_mul(s->radii, s->batch));
    uint64_t const steps = rs_size_add(s->steps, s->warmup);
    uint64_t const rows = rs_size_mul(slots_of(s), s->hidden);
    return columns < INT_MAX / 64 && rows < INT_MAX / 64 && steps < INT_MAX / 64 &&
           rs_size_mul(s->batch, rows) < INT_MAX && s->input_size < INT_MAX / 64 &&
           (!s->gradients || rs_size_mul(s->batch, steps) < INT_MAX / 64) &&
           rs_size_mul(columns, rs_size_add(s->directions, per_move<float>())) < INT_MAX / 64;
}

/* ---- the block of memory --------------------------------------------------------------------- */

#ifndef RS_CUDA_SLAB /* bytes of input that are staged at a time; tests make it small */
#define RS_CUDA_SLAB (64 << 20)
#endif
enum { SLAB = RS_CUDA_SLAB };

/* The arrays of a piece. Those of a kind are neighbours, group after group. */
template <typename real> struct layout {
    int driven_steps; /* 1 where u is the same throughout */
    int slab;         /* steps of input that are staged at a time */
    arrays<real> a;
    gradient_arrays<real> gradient; /* where they are asked for */
    tangent_arrays<real> tangent;   /* likewise */
    double *stage;                  /* what is on its way: a sheet, or a slab of input */
    uint64_t total;
};

/* Numbers from one group's array to the next group's, so that each begins on a boundary. */
template <typename real> size_t stride_of(uint64_t count) {
    return (size_t)(rs_size_round_up(rs_size_mul(count, sizeof(real)), ALIGNMENT) / sizeof(real));
}

/* Steps of input that are staged at a time, and the numbers that the stage has room for. */
uint64_t measure_stage(const rs_shape *s, int driven_steps, int *slab) {
    uint64_t const units = rs_size_mul(s->hidden, s->batch);
    uint64_t const step = rs_size_mul(s->batch, s->input_size), most = SLAB / sizeof(double);
    uint64_t const all = rs_size_mul((uint64_t)driven_steps, step);
    uint64_t const input = all < most ? all : step > most ? step : most;
    uint64_t const scales = rs_size_mul(s->radii, gates_of(s));
    uint64_t const sheet = units > scales ? units : scales;
    *slab = step ? (int)(input / step) : driven_steps;
    return input > sheet ? input : sheet;
}

/* Of so many rows, each of `numbers` in front of its padding. They begin on 16 bytes, as products of
 * tangents read them whatever the path. */
template <typename real>
packed_weights<real> deal_weights(rs_block *block, const rs_shape *s, uint64_t rows,
                                  uint64_t numbers, int padded) {
    packed_weights<real> packed;
    packed.stride =
        stride_of<real>(rs_size_mul(rows, rs_size_add(numbers, (uint64_t)MOST_PADDING)));
    packed.w = take<real>(block, rs_size_mul(s->groups, packed.stride));
    packed.padded = (int)rs_size_round_up((uint64_t)padded, per_move<real>());
    return packed;
}

/* Measures or deals the block. */
template <typename real>
layout<real> lay_out(const device_limits *limits, const cuda_path<real> *path, const rs_shape *s,
                     rs_block block) {
    layout<real> l = {};
    uint64_t const groups = s->groups, h = s->hidden, units = rs_size_mul(h, s->batch);
    uint64_t const columns = rs_size_mul(groups, rs_size_mul(s->radii, s->batch));
    uint64_t const rows = rs_size_mul(gates_of(s), h);
    uint64_t const exponents = rs_size_mul(columns, s->steps);
    uint64_t const states = rs_cell_of(s->cell)->states;
    l.driven_steps = s->drive != RS_DRIVE_ZERO ? (int)(s->warmup + s->steps) : 1;
    l.a.sheet_stride = stride_of<real>(units);
    l.a.drive_stride =
        stride_of<real>(rs_size_mul((uint64_t)l.driven_steps, rs_size_mul(rows, s->batch)));
    l.a.scale_stride = stride_of<real>(rs_size_mul(s->radii, gates_of(s)));
    l.a.leak = (real)s->leak;
    l.a.keep = s->leak > 0.0 ? (real)(1.0 - s->leak) : (real)0;

    l.a.forward_w = deal_weights<real>(&block, s, h, rs_size_mul(slots_of(s), h),
                                       path->padded(limits, s, false));
    l.a.backward_w = deal_weights<real>(&block, s, rows, h, path->padded(limits, s, true));
    for (uint64_t k = 0; k < states; ++k)
        l.a.start[k] = take<real>(&block, rs_size_mul(groups, l.a.sheet_stride));
    l.a.loss = take<real>(&block, rs_size_mul(groups, l.a.sheet_stride));
    l.a.drive = take<real>(&block, rs_size_mul(groups, l.a.drive_stride));
    l.a.scale = take<real>(&block, rs_size_mul(groups, l.a.scale_stride));
    l.a.own = take<real>(&block, groups);
    l.a.inside = take<real>(&block, s->cell == RS_GRU ? rs_size_mul(groups, h) : 0);
    uint64_t const kept = path->sheet(limits, s, kept_of(s) * s->hidden);
    uint64_t const history = path->sheet(limits, s, s->hidden);
    l.a.kept = take<real>(&block, s->gradients || s->cell != RS_LINEAR
                                      ? rs_size_mul(rs_size_add(s->steps, s->transient), kept)
                                      : 0);
    l.a.history = take<real>(&block, s->gradients ? rs_size_mul(s->steps, history) : 0);
    l.a.scratch = take<unsigned char>(&block, path->scratch_bytes(s));
    l.a.norm2 = take<double>(&block, rs_size_mul(exponents, states));
    l.a.exponent = take<int>(&block, exponents);
    l.a.nonfinite = take<unsigned>(&block, columns);
    if (s->gradients) l.gradient = gradient_deal<real>(s, &block);
    if (s->directions > 0) l.tangent = tangent_deal<real>(s, &block);
    l.stage = take<double>(&block, measure_stage(s, l.driven_steps, &l.slab));
    l.total = block.used;
    return l;
}

/* A piece in its lane's memory. */
template <typename real> struct placed {
    const cuda_path<real> *path;
    layout<real> l;
};

template <typename real> rs_status place(const lane *on, const piece *p, placed<real> *out) {
    RS_TRY(choose_path(&on->context.limits, &p->shape, &out->path));
    out->l =
        lay_out(&on->context.limits, out->path, &p->shape, rs_block_deal(on->memory, ALIGNMENT));
    return RS_OK;
}

/* ---- sending --------------------------------------------------------------------------------- */

bool is_packed(const packing *is, const packing *wanted) {
    return is->load == wanted->load && is->precision == wanted->precision &&
           is->forward_padded == wanted->forward_padded &&
           is->backward_padded == wanted->backward_padded && is->memory == wanted->memory;
}

/* Packs the weights unless the piece before has left them as they are wanted. */
template <typename real>
rs_status send_weights(lane *on, const loaded_weights *weights, const rs_shape *s,
                       const arrays<real> *a) {
    packing const wanted = {weights->number, s->precision, a->forward_w.padded,
                            a->backward_w.padded, on->memory};
    if (is_packed(&on->packed, &wanted)) return RS_OK;
    on->packed = packing();
    RS_TRY(pack_weights(on->context.stream, problem_of(s), weights->weight_hh, a->forward_w,
                        a->backward_w));
    on->packed = wanted;
    return RS_OK;
}

/* x of a slab of steps, as the user gave it. */
rs_status send_input(lane *on, const rs_shape *s, const rs_drive *drive, input_steps steps,
                     double *x) {
    size_t const pitch = drive->input_batch * s->input_size;
    const double *from =
        drive->input + (size_t)steps.first * pitch + drive->first_sample * s->input_size;
    return send_rows(&on->host, from, s->batch * s->input_size * sizeof *x, pitch * sizeof *x,
                     (size_t)steps.count, x);
}

/* Keeps those of the steps that are recorded, for gradients. */
template <typename real>
rs_status keep_input(lane *on, const layout<real> *l, const rs_shape *s, input_steps steps,
                     size_t g) {
    int const warmup = (int)s->warmup, left = warmup - steps.first;
    int const skipped = left < 0 ? 0 : left < steps.count ? left : steps.count;
    size_t const sheet = s->batch * s->input_size;
    if (!s->gradients || skipped == steps.count) return RS_OK;
    return gradient_keep_input(on->context.stream, s, steps.first + skipped - warmup,
                               steps.count - skipped, l->stage + skipped * sheet,
                               l->gradient.input + g * s->steps * sheet);
}

template <typename real>
rs_status send_weighted(lane *on, const layout<real> *l, const rs_shape *s, const rs_drive *drive,
                        input_weights w, size_t g) {
    cudaStream_t const stream = on->context.stream;
    size_t const sheet = gates_of(s) * s->hidden * s->batch;
    real *const to = (real *)l->a.drive + g * l->a.drive_stride;
    for (int step = 0; step < l->driven_steps; step += l->slab) {
        int const left = l->driven_steps - step;
        input_steps const steps = {step, left < l->slab ? left : l->slab};
        if (drive->input)
            RS_TRY(send_input(on, s, drive, steps, l->stage));
        else
            RS_TRY(draw_input(stream, s, drive, steps, l->stage));
        RS_TRY(fill_weighted(stream, s, w, steps.count, l->stage, to + (size_t)step * sheet));
        RS_TRY(keep_input(on, l, s, steps, g));
    }
    return RS_OK;
}

input_weights input_weights_of(const loaded_weights *weights, const rs_shape *s, size_t g) {
    size_t const rows = gates_of(s) * s->hidden;
    size_t const inside = s->cell == RS_GRU ? RS_GRU_N * s->hidden : rows;
    bool const weighted = s->drive == RS_DRIVE_WEIGHTED;
    return {weighted ? weights->weight_ih + g * rows * s->input_size : NULL,
            weights->bias_ih + g * rows, weights->bias_hh + g * rows, (int)inside};
}

template <typename real>
rs_status send_drive(lane *on, const layout<real> *l, const loaded_weights *weights, const piece *p,
                     const rs_columns *of, size_t g) {
    const rs_shape *s = &p->shape;
    input_weights const w = input_weights_of(weights, s, g);
    real *const to = (real *)l->a.drive + g * l->a.drive_stride;
    rs_drive drive = of->drive;
    drive.first_sample += p->first_sample;
    switch (s->drive) {
    case RS_DRIVE_NOISE: return fill_noise(on->context.stream, s, w, &drive, to);
    case RS_DRIVE_WEIGHTED: return send_weighted(on, l, s, &drive, w, g);
    default: return fill_biases(on->context.stream, s, w, to);
    }
}

/* [rows][columns], transposed on demand. */
template <typename real>
rs_status send_array(lane *on, const double *from, size_t rows, size_t columns, bool transpose,
                     double *stage, real *to) {
    RS_TRY(send_numbers(&on->host, from, rows * columns, stage));
    return pack_array(on->context.stream, (int)rows, (int)columns, transpose, stage, to);
}

/* [B][H] of the pass's samples, transposed. */
template <typename real>
rs_status send_sheet(lane *on, const piece *p, const double *from, double *stage, real *to) {
    const rs_shape *s = &p->shape;
    if (from)
        return send_array(on, from + p->first_sample * s->hidden, s->batch, s->hidden, true, stage,
                          to);
    CUDA_TRY(cudaMemsetAsync(to, 0, s->batch * s->hidden * sizeof *to, on->context.stream));
    return RS_OK;
}

template <typename real>
rs_status send_group(lane *on, const layout<real> *l, const loaded_weights *weights, const piece *p,
                     const rs_columns *of, size_t g) {
    const arrays<real> *a = &l->a;
    const rs_shape *s = &p->shape;
    size_t const gates = gates_of(s);
    RS_TRY(send_array(on, of->scale + p->first_radius * gates, 1, s->radii * gates, false, l->stage,
                      (real *)a->scale + g * a->scale_stride));
    RS_TRY(send_array(on, &of->step_delta, 1, 1, false, l->stage, (real *)a->own + g));
    if (s->cell == RS_GRU)
        RS_TRY(pack_array(on->context.stream, 1, (int)s->hidden, false,
                          weights->bias_hh + (g * gates + RS_GRU_N) * s->hidden,
                          (real *)a->inside + g * s->hidden));
    for (size_t k = 0; k < rs_cell_of(s->cell)->states; ++k)
        RS_TRY(
            send_sheet(on, p, of->start[k], l->stage, (real *)a->start[k] + g * a->sheet_stride));
    RS_TRY(send_sheet(on, p, of->delta, l->stage, (real *)a->loss + g * a->sheet_stride));
    return send_drive(on, l, weights, p, of, g);
}

template <typename real>
rs_status send_as(lane *on, const loaded_weights *weights, const rs_pass *pass, const piece *p) {
    placed<real> at;
    RS_TRY(place(on, p, &at));
    RS_TRY(send_weights(on, weights, &p->shape, &at.l.a));
    for (size_t g = 0; g < p->shape.groups; ++g)
        RS_TRY(send_group(on, &at.l, weights, p, &pass->of[g], g));
    return p->shape.n_singular > 0 ? tangent_send(&on->host, &p->shape, at.l.tangent) : RS_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

/* Where the path keeps coefficients of a piece, and the arrays of recorded steps alone: those of
 * the transient come before them. */
template <typename real> struct kept_steps {
    trace_strides strides;
    arrays<real> recorded;

    kept_steps(const lane *on, const placed<real> *at, const rs_shape *s)
        : strides(at->path->strides(&on->context.limits, s, kept_of(s) * s->hidden)),
          recorded(at->l.a) {
        recorded.kept += s->transient * strides.step;
    }
};

template <typename real> rs_status run_as(lane *on, const piece *p, bool back) {
    placed<real> at;
    RS_TRY(place(on, p, &at));
    if (!back) return at.path->forward(&on->context, &p->shape, at.l.a);
    kept_steps<real> const kept(on, &at, &p->shape);
    return at.path->backward(&on->context, &p->shape, kept.recorded);
}

template <typename real> rs_status tangents_as(lane *on, const piece *p, double *qr_seconds) {
    placed<real> at;
    RS_TRY(place(on, p, &at));
    kept_steps<real> const kept(on, &at, &p->shape);
    tangent_way const way = {on->context.stream, &on->context.limits, &on->qr, qr_seconds};
    return tangent_run(way, &p->shape, at.l.a, kept.strides, at.l.tangent);
}

template <typename real> rs_status gradients_as(lane *on, const piece *p) {
    placed<real> at;
    RS_TRY(place(on, p, &at));
    const rs_shape *s = &p->shape;
    kept_steps<real> const kept(on, &at, s);
    trace_strides const history = at.path->strides(&on->context.limits, s, s->hidden);
    return gradient_run(on->context.stream, s, kept.recorded, kept.strides, history, at.l.gradient);
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* The piece's numbers into their places among the pass's: its columns, with `each` numbers, are
 * neighbours in each row. */
template <typename T>
rs_status receive_columns(lane *on, const rs_pass *pass, const piece *p, const T *from, size_t rows,
                          T *to, size_t each = 1) {
    size_t const batch = pass->shape.batch, width = each * sizeof *to;
    size_t const first = p->first_radius * batch + p->first_sample;
    return receive_rows(&on->host, from, to + first * each, p->shape.radii * p->shape.batch * width,
                        pass->shape.radii * batch * width, rows);
}

/* Of the piece's columns: 0 for none, as a record has it. */
void put_zeros(const rs_pass *pass, const piece *p, uint32_t *nonfinite_step) {
    size_t const batch = pass->shape.batch, pitch = pass->shape.radii * batch;
    size_t const columns = p->shape.radii * p->shape.batch;
    for (size_t g = 0; g < p->shape.groups; ++g) {
        uint32_t *const row =
            nonfinite_step + g * pitch + p->first_radius * batch + p->first_sample;
        for (size_t c = 0; c < columns; ++c)
            if (row[c] == NEVER) row[c] = 0;
    }
}

/* Likewise, with RS_N_GRADIENT numbers for each radius. */
template <typename real>
rs_status receive_gradients(lane *on, const rs_pass *pass, const piece *p,
                            const gradient_arrays<real> &g, rs_record *out) {
    size_t const first = p->first_radius * RS_N_GRADIENT, pitch = pass->shape.radii * RS_N_GRADIENT;
    size_t const width = p->shape.radii * RS_N_GRADIENT;
    RS_TRY(receive_rows(&on->host, g.norm2, out->gradient2 + first, width * sizeof *g.norm2,
                        pitch * sizeof *g.norm2, p->shape.groups));
    return receive_rows(&on->host, g.exponent, out->gradient_exponent + first,
                        width * sizeof *g.exponent, pitch * sizeof *g.exponent, p->shape.groups);
}

/* The device leaves singular values as it finds them. */
void sort_singular_values(const rs_pass *pass, const piece *p, double *singular) {
    size_t const batch = pass->shape.batch, columns = p->shape.radii * p->shape.batch;
    size_t const values = p->shape.n_singular, k = p->shape.directions;
    for (size_t g = 0; g < p->shape.groups; ++g) {
        size_t const first = (g * pass->shape.radii + p->first_radius) * batch + p->first_sample;
        for (size_t i = 0; i < columns * values; ++i)
            rs_sort_descending(k, singular + (first * values + i) * k);
    }
}

template <typename real>
rs_status receive_tangents(lane *on, const rs_pass *pass, const piece *p,
                           const tangent_arrays<real> &t, rs_record *out) {
    size_t const groups = p->shape.groups, k = p->shape.directions;
    RS_TRY(receive_columns(on, pass, p, t.stretch, groups, out->stretch, RS_STRETCH_BLOCKS * k));
    RS_TRY(receive_columns(on, pass, p, t.qr_gap, groups, out->qr_gap));
    RS_TRY(receive_columns(on, pass, p, t.log_slope, groups, out->log_slope));
    if (p->shape.n_singular == 0) return RS_OK;
    RS_TRY(
        receive_columns(on, pass, p, t.singular, groups, out->singular, p->shape.n_singular * k));
    sort_singular_values(pass, p, out->singular);
    return RS_OK;
}

template <typename real>
rs_status receive_as(lane *on, const rs_pass *pass, const piece *p, rs_record *out) {
    placed<real> at;
    RS_TRY(place(on, p, &at));
    const arrays<real> *a = &at.l.a;
    size_t const groups = p->shape.groups, rows = groups * p->shape.steps;
    size_t const states = rs_cell_of(p->shape.cell)->states;
    RS_TRY(receive_columns(on, pass, p, a->norm2, rows * states, out->norm2));
    RS_TRY(receive_columns(on, pass, p, a->exponent, rows, out->exponent));
    RS_TRY(receive_columns(on, pass, p, a->nonfinite, groups, out->nonfinite_step));
    put_zeros(pass, p, out->nonfinite_step);
    if (p->shape.directions > 0) RS_TRY(receive_tangents(on, pass, p, at.l.tangent, out));
    return p->shape.gradients ? receive_gradients(on, pass, p, at.l.gradient, out) : RS_OK;
}

template <typename real>
rs_status bytes_as(const device_limits *limits, const rs_shape *shape, uint64_t *out) {
    const cuda_path<real> *path = NULL;
    RS_TRY(choose_path(limits, shape, &path));
    *out = lay_out(limits, path, shape, rs_block_measure(ALIGNMENT)).total;
    return RS_OK;
}

} // namespace

rs_status piece_bytes(const device_limits *limits, const rs_shape *shape, uint64_t *out) {
    *out = UINT64_MAX;
    if (!sizes_fit(shape)) return RS_OK;
    return shape->precision == RS_F32 ? bytes_as<float>(limits, shape, out)
                                      : bytes_as<double>(limits, shape, out);
}

rs_status piece_send(lane *on, const loaded_weights *weights, const rs_pass *pass, const piece *p) {
    return p->shape.precision == RS_F32 ? send_as<float>(on, weights, pass, p)
                                        : send_as<double>(on, weights, pass, p);
}

rs_status piece_run(lane *on, const piece *p, bool back) {
    return p->shape.precision == RS_F32 ? run_as<float>(on, p, back) : run_as<double>(on, p, back);
}

rs_status piece_tangents(lane *on, const piece *p, double *qr_seconds) {
    return p->shape.precision == RS_F32 ? tangents_as<float>(on, p, qr_seconds)
                                        : tangents_as<double>(on, p, qr_seconds);
}

rs_status piece_gradients(lane *on, const piece *p) {
    return p->shape.precision == RS_F32 ? gradients_as<float>(on, p) : gradients_as<double>(on, p);
}

rs_status piece_receive(lane *on, const rs_pass *pass, const piece *p, rs_record *out) {
    return p->shape.precision == RS_F32 ? receive_as<float>(on, pass, p, out)
                                        : receive_as<double>(on, pass, p, out);
}
