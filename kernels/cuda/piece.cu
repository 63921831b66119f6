#include "piece.cuh"

#include "check.cuh"
#include "memory.cuh"
#include "pack.cuh"

#include <limits.h>
#include <string.h>

namespace {

bool sizes_fit(const rs_shape *s) {
    uint64_t const columns = rs_size_mul(s->groups, rs_size_mul(s->radii, s->batch));
    uint64_t const steps = rs_size_add(s->steps, s->warmup);
    return columns < INT_MAX / 64 && s->hidden < INT_MAX / 64 && steps < INT_MAX / 64 &&
           rs_size_mul(s->batch, s->hidden) < INT_MAX && s->input_size < INT_MAX / 64;
}

/* ---- the block of memory --------------------------------------------------------------------- */

#ifndef RS_CUDA_SLAB /* bytes of input that are staged at a time; tests make it small */
#define RS_CUDA_SLAB (64 << 20)
#endif
enum { SLAB = RS_CUDA_SLAB };

/* The arrays of a piece. Those of a kind stand together, group after group. */
template <typename real> struct layout {
    int driven_steps; /* 1 where u = 0 throughout */
    int slab;         /* steps of input that are staged at a time */
    arrays<real> a;
    double *stage; /* what is on its way: weights, or a sheet, or a slab of input */
    uint64_t total;
};

/* Numbers from one group's array to the next group's, so that each begins on a boundary. */
template <typename real> size_t stride_of(uint64_t count) {
    return (size_t)(rs_size_round_up(rs_size_mul(count, sizeof(real)), ALIGNMENT) / sizeof(real));
}

/* Steps of input that are staged at a time, and the numbers that the stage has room for. */
uint64_t measure_stage(const rs_shape *s, int driven_steps, int *slab) {
    uint64_t const h = s->hidden, units = rs_size_mul(h, s->batch);
    uint64_t const step = rs_size_mul(s->batch, s->input_size), most = SLAB / sizeof(double);
    uint64_t const all = rs_size_mul((uint64_t)driven_steps, step);
    uint64_t const some = all < most ? all : step > most ? step : most;
    *slab = step ? (int)(some / step) : driven_steps;
    uint64_t const input = rs_size_add(some, rs_size_mul(h, s->input_size + 1));
    uint64_t const square = rs_size_mul(h, h), sheet = units > s->radii ? units : s->radii;
    uint64_t const arrays = square > sheet ? square : sheet;
    return input > arrays ? input : arrays;
}

/* Measures or deals the block. */
template <typename real>
layout<real> lay_out(const device_limits *limits, const cuda_path *path, const rs_shape *s,
                     rs_block block) {
    layout<real> l = {};
    uint64_t const groups = s->groups, h = s->hidden, units = rs_size_mul(h, s->batch);
    uint64_t const columns = rs_size_mul(groups, rs_size_mul(s->radii, s->batch));
    uint64_t const norms = rs_size_mul(columns, s->steps);
    l.driven_steps = s->driven ? (int)(s->warmup + s->steps) : 1;
    l.a.padded = path->padded(limits, s);
    l.a.weight_stride = stride_of<real>(rs_size_mul(h, rs_size_add(h, MOST_PADDING)));
    l.a.sheet_stride = stride_of<real>(units);
    l.a.drive_stride = stride_of<real>(rs_size_mul((uint64_t)l.driven_steps, units));
    l.a.scale_stride = stride_of<real>(s->radii);

    l.a.forward_w = take<real>(&block, rs_size_mul(groups, l.a.weight_stride));
    l.a.backward_w = take<real>(&block, rs_size_mul(groups, l.a.weight_stride));
    l.a.h0 = take<real>(&block, rs_size_mul(groups, l.a.sheet_stride));
    l.a.loss = take<real>(&block, rs_size_mul(groups, l.a.sheet_stride));
    l.a.drive = take<real>(&block, rs_size_mul(groups, l.a.drive_stride));
    l.a.scale = take<real>(&block, rs_size_mul(groups, l.a.scale_stride));
    l.a.own = take<real>(&block, groups);
    l.a.slope = (real *)rs_block_take(&block, 1, path->trace_bytes(limits, s));
    l.a.norm2 = take<double>(&block, norms);
    l.a.exponent = take<int>(&block, norms);
    l.a.nonfinite = take<unsigned>(&block, columns);
    l.stage = take<double>(&block, measure_stage(s, l.driven_steps, &l.slab));
    l.total = block.used;
    return l;
}

/* A piece in its lane's memory. */
template <typename real> struct placed {
    const cuda_path *path;
    layout<real> l;
};

template <typename real> rs_status place(const lane *on, const piece *p, placed<real> *out) {
    RS_TRY(choose_path(&on->context.limits, &p->shape, &out->path));
    out->l = lay_out<real>(&on->context.limits, out->path, &p->shape,
                           rs_block_deal(on->memory, ALIGNMENT));
    return RS_OK;
}

/* ---- page-locked memory --------------------------------------------------------------------- */

/* Bytes [offset, offset + bytes) of rows of `width` bytes, `pitch` apart, seen as one after the
 * other: between their places and `packed`. */
void move_rows(unsigned char *rows, size_t width, size_t pitch, size_t offset, size_t bytes,
               unsigned char *packed, bool to_rows) {
    while (bytes > 0) {
        size_t const at = offset % width, some = width - at < bytes ? width - at : bytes;
        unsigned char *const row = rows + offset / width * pitch + at;
        memcpy(to_rows ? row : packed, to_rows ? packed : row, some);
        packed += some;
        offset += some;
        bytes -= some;
    }
}

unsigned char *half_of(const pinned *p, size_t half) { return p->memory + half * PINNED_HALF; }

/* The other half, once nothing is copied from it any more. */
rs_status turn_over(pinned *p, cudaStream_t stream) {
    CUDA_TRY(cudaEventRecord(p->copied[p->half], stream));
    p->half ^= 1;
    p->used = 0;
    CUDA_TRY(cudaEventSynchronize(p->copied[p->half]));
    return RS_OK;
}

/* Packs `rows` rows into device memory at `to`. The host's memory is free when this returns. */
rs_status send_rows(lane *on, const void *from, size_t width, size_t pitch, size_t rows, void *to) {
    pinned *const p = &on->host;
    size_t const all = width * rows;
    for (size_t done = 0, some; done < all; done += some) {
        if (p->used == PINNED_HALF) RS_TRY(turn_over(p, on->context.stream));
        size_t const room = PINNED_HALF - p->used;
        some = all - done < room ? all - done : room;
        unsigned char *const here = half_of(p, p->half) + p->used;
        move_rows((unsigned char *)from, width, pitch, done, some, here, false);
        CUDA_TRY(cudaMemcpyAsync((unsigned char *)to + done, here, some, cudaMemcpyHostToDevice,
                                 on->context.stream));
        p->used += some;
    }
    return RS_OK;
}

/* Device memory at `from` into `rows` rows of the host's. Waits for all that the stream holds; one
 * half is emptied while the other is filled. */
rs_status receive_rows(lane *on, const void *from, void *to, size_t width, size_t pitch,
                       size_t rows) {
    pinned *const p = &on->host;
    size_t const all = width * rows, parts = (all + PINNED_HALF - 1) / PINNED_HALF;
    for (size_t part = 0; part <= parts; ++part) {
        size_t const begin = part * PINNED_HALF;
        if (part < parts) {
            size_t const some = all - begin < PINNED_HALF ? all - begin : PINNED_HALF;
            CUDA_TRY(cudaMemcpyAsync(half_of(p, part % 2), (const unsigned char *)from + begin,
                                     some, cudaMemcpyDeviceToHost, on->context.stream));
            CUDA_TRY(cudaEventRecord(p->copied[part % 2], on->context.stream));
        }
        if (part == 0) continue;
        size_t const before = begin - PINNED_HALF;
        size_t const some = all - before < PINNED_HALF ? all - before : PINNED_HALF;
        CUDA_TRY(cudaEventSynchronize(p->copied[(part - 1) % 2]));
        move_rows((unsigned char *)to, width, pitch, before, some, half_of(p, (part - 1) % 2),
                  true);
    }
    return RS_OK;
}

/* ---- sending a group ------------------------------------------------------------------------- */

rs_status stage_in(lane *on, const double *from, size_t count, double *stage) {
    size_t const bytes = count * sizeof *from;
    return send_rows(on, from, bytes, bytes, 1, stage);
}

/* x of a slab of steps, as the user gave it. */
rs_status send_input(lane *on, const rs_drive *drive, size_t step, size_t steps, size_t batch,
                     double *x) {
    size_t const pitch = drive->input_batch * drive->input_size;
    return send_rows(on, drive->input + step * pitch + drive->first_sample * drive->input_size,
                     batch * drive->input_size * sizeof *x, pitch * sizeof *x, steps, x);
}

template <typename real>
rs_status send_drive(lane *on, const layout<real> *l, const rs_shape *s, const rs_drive *drive,
                     real *to) {
    cudaStream_t const stream = on->context.stream;
    size_t const h = s->hidden, sheet = h * s->batch;
    if (drive->kind == RS_DRIVE_NOISE)
        return fill_drive(stream, s->precision, drive, (int)h, l->driven_steps, (int)s->batch, NULL,
                          NULL, NULL, to);
    double *const weight_ih = l->stage, *const bias = weight_ih + h * drive->input_size;
    double *const x = bias + h;
    RS_TRY(stage_in(on, drive->weight_ih, h * drive->input_size, weight_ih));
    RS_TRY(stage_in(on, drive->bias, h, bias));
    for (int step = 0; step < l->driven_steps; step += l->slab) {
        int const steps = l->driven_steps - step < l->slab ? l->driven_steps - step : l->slab;
        if (drive->input)
            RS_TRY(send_input(on, drive, (size_t)step, (size_t)steps, s->batch, x));
        else
            RS_TRY(draw_input(stream, drive, step, steps, (int)s->batch, x));
        RS_TRY(fill_drive(stream, s->precision, drive, (int)h, steps, (int)s->batch, weight_ih,
                          bias, x, to + (size_t)step * sheet));
    }
    return RS_OK;
}

/* [B][H] of the job's samples, transposed. */
template <typename real>
rs_status send_sheet(lane *on, const piece *p, const double *from, double *stage, real *to) {
    const rs_shape *s = &p->shape;
    size_t const count = s->batch * s->hidden;
    if (!from) {
        CUDA_TRY(cudaMemsetAsync(to, 0, count * sizeof *to, on->context.stream));
        return RS_OK;
    }
    RS_TRY(stage_in(on, from + p->first_sample * s->hidden, count, stage));
    return pack_array(on->context.stream, s->precision, (int)s->batch, (int)s->hidden, true, stage,
                      to);
}

template <typename real>
rs_status send_group(lane *on, const layout<real> *l, const piece *p, const rs_group *group,
                     size_t g) {
    const rs_shape *s = &p->shape;
    size_t const h = s->hidden;
    const arrays<real> *a = &l->a;
    cudaStream_t const stream = on->context.stream;
    RS_TRY(stage_in(on, group->weight_hh, h * h, l->stage));
    RS_TRY(pack_weights(stream, s->precision, (int)h, a->padded, l->stage,
                        (real *)a->forward_w + g * a->weight_stride,
                        (real *)a->backward_w + g * a->weight_stride));
    RS_TRY(stage_in(on, group->scale + p->first_radius, s->radii, l->stage));
    RS_TRY(pack_array(stream, s->precision, 1, (int)s->radii, false, l->stage,
                      (real *)a->scale + g * a->scale_stride));
    RS_TRY(stage_in(on, &group->step_gradient, 1, l->stage));
    RS_TRY(pack_array(stream, s->precision, 1, 1, false, l->stage, (real *)a->own + g));
    RS_TRY(send_sheet(on, p, group->h0, l->stage, (real *)a->h0 + g * a->sheet_stride));
    RS_TRY(
        send_sheet(on, p, group->loss_gradient, l->stage, (real *)a->loss + g * a->sheet_stride));
    real *const drive = (real *)a->drive + g * a->drive_stride;
    if (!s->driven) {
        CUDA_TRY(cudaMemsetAsync(drive, 0, a->drive_stride * sizeof *drive, stream));
        return RS_OK;
    }
    rs_drive from = group->drive;
    from.first_sample += p->first_sample;
    return send_drive(on, l, s, &from, drive);
}

template <typename real> rs_status send_as(lane *on, const rs_job *job, const piece *p) {
    placed<real> at;
    RS_TRY(place(on, p, &at));
    for (size_t g = 0; g < p->shape.groups; ++g)
        RS_TRY(send_group(on, &at.l, p, &job->group[g], g));
    return RS_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

template <typename real> rs_status run_as(lane *on, const piece *p, bool back) {
    placed<real> at;
    RS_TRY(place(on, p, &at));
    if (on->last && on->last != at.path && on->last->close) on->last->close(&on->context);
    on->last = at.path;
    return (back ? at.path->backward : at.path->forward)(&on->context, &p->shape, &at.l.a);
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* The piece's norms into their places among the job's: its columns stand together in each row. */
template <typename real>
rs_status receive(lane *on, const rs_shape *whole, const piece *p, const arrays<real> *a,
                  rs_profile *out) {
    size_t const columns = p->shape.radii * p->shape.batch, all = whole->radii * whole->batch;
    size_t const first = p->first_radius * whole->batch + p->first_sample;
    size_t const rows = whole->groups * whole->steps;
    RS_TRY(receive_rows(on, a->norm2, out->norm2 + first, columns * sizeof *out->norm2,
                        all * sizeof *out->norm2, rows));
    RS_TRY(receive_rows(on, a->exponent, out->exponent + first, columns * sizeof *out->exponent,
                        all * sizeof *out->exponent, rows));
    RS_TRY(receive_rows(on, a->nonfinite, out->nonfinite_step + first,
                        columns * sizeof *out->nonfinite_step, all * sizeof *out->nonfinite_step,
                        whole->groups));
    for (size_t g = 0; g < whole->groups; ++g)
        for (size_t c = 0; c < columns; ++c) {
            uint32_t *const step = &out->nonfinite_step[g * all + first + c];
            if (*step == NEVER) *step = 0;
        }
    return RS_OK;
}

template <typename real>
rs_status receive_as(lane *on, const rs_job *job, const piece *p, rs_profile *out) {
    placed<real> at;
    RS_TRY(place(on, p, &at));
    return receive(on, &job->shape, p, &at.l.a, out);
}

} // namespace

rs_status piece_bytes(const device_limits *limits, const rs_shape *shape, uint64_t *out) {
    const cuda_path *path = NULL;
    *out = UINT64_MAX;
    if (!sizes_fit(shape)) return RS_OK;
    RS_TRY(choose_path(limits, shape, &path));
    rs_block const block = rs_block_measure(ALIGNMENT);
    *out = shape->precision == RS_F32 ? lay_out<float>(limits, path, shape, block).total
                                      : lay_out<double>(limits, path, shape, block).total;
    return RS_OK;
}

rs_status piece_send(lane *on, const rs_job *job, const piece *p) {
    return p->shape.precision == RS_F32 ? send_as<float>(on, job, p) : send_as<double>(on, job, p);
}

rs_status piece_run(lane *on, const piece *p, bool back) {
    return p->shape.precision == RS_F32 ? run_as<float>(on, p, back) : run_as<double>(on, p, back);
}

rs_status piece_receive(lane *on, const rs_job *job, const piece *p, rs_profile *out) {
    return p->shape.precision == RS_F32 ? receive_as<float>(on, job, p, out)
                                        : receive_as<double>(on, job, p, out);
}
