/* The engine table: chooses the path, owns the device's memory, and carries a job through it. */
#include "cuda.h"

#include "check.cuh"
#include "pack.cuh"
#include "path.cuh"

#include "../sizes.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace {

/* In the order in which they are asked. */
const cuda_path *const paths[] = {&path_small, &path_cluster, &path_persistent, &path_stepwise};

struct cuda_engine {
    path_context context;
    const cuda_path *last; /* whose state the context holds */
    cudaEvent_t mark[3];
    unsigned char *memory; /* one block, dealt out anew for every piece */
    uint64_t size;
};

/* ---- devices and paths ----------------------------------------------------------------------- */

rs_status ask_limits(device_limits *out) {
    int device, processors, shared, clusters;
    CUDA_TRY(cudaGetDevice(&device));
    CUDA_TRY(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    CUDA_TRY(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    CUDA_TRY(cudaDeviceGetAttribute(&clusters, cudaDevAttrClusterLaunch, device));
    out->processors = processors;
    out->shared_most = (size_t)shared;
    out->clusters = clusters != 0;
    return RS_OK;
}

/* The path that RHOSWEEP_CUDA_PATH names, or the first that suits the shape. */
rs_status choose_path(const device_limits *limits, const rs_shape *shape, const cuda_path **out) {
    const char *wanted = getenv("RHOSWEEP_CUDA_PATH");
    bool const free_choice = !wanted || !*wanted;
    for (const cuda_path *candidate : paths) {
        if (free_choice ? !candidate->suits(limits, shape) : strcmp(candidate->name, wanted) != 0)
            continue;
        if (!candidate->takes(limits, shape)) continue;
        *out = candidate;
        return RS_OK;
    }
    return rs_fail(
        RS_EINPUT,
        "RHOSWEEP_CUDA_PATH: %s does not take %zu units in %s on this device: use small, "
        "cluster, persistent or stepwise, or unset it",
        wanted, shape->hidden, rs_precision_name(shape->precision));
}

bool sizes_fit(const rs_shape *s) {
    uint64_t const columns = rs_size_mul(s->groups, rs_size_mul(s->radii, s->batch));
    uint64_t const steps = rs_size_add(s->steps, s->warmup);
    return columns < INT_MAX / 64 && s->hidden < INT_MAX / 64 && steps < INT_MAX / 64 &&
           rs_size_mul(s->batch, s->hidden) < INT_MAX && s->input_size < INT_MAX / 64;
}

/* ---- the block of memory --------------------------------------------------------------------- */

enum { ALIGNMENT = 256, SLAB = 64 << 20 };

uint64_t align(uint64_t bytes) {
    uint64_t const up = rs_size_add(bytes, ALIGNMENT - 1);
    return up == UINT64_MAX ? up : up / ALIGNMENT * ALIGNMENT;
}

/* Bytes of each array of a piece; the per-group ones are for one group. */
struct layout {
    int padded;
    int driven_steps;                      /* 1 where u = 0 throughout */
    int slab;                              /* steps of input that are staged at a time */
    uint64_t weights, sheet, drive, scale; /* of one group */
    uint64_t own, trace, norms, exponents, nonfinite, stage;
    uint64_t total;
};

layout lay_out(const device_limits *limits, const cuda_path *path, const rs_shape *s) {
    layout l = {};
    uint64_t const real = s->precision == RS_F32 ? sizeof(float) : sizeof(double);
    uint64_t const h = s->hidden, columns = rs_size_mul(s->radii, s->batch);
    uint64_t const units = rs_size_mul(h, s->batch);
    l.padded = path->padded(limits, s);
    l.driven_steps = s->driven ? (int)(s->warmup + s->steps) : 1;
    l.weights = align(rs_size_mul(rs_size_mul(h, l.padded ? h + MOST_PADDING : h), real));
    l.sheet = align(rs_size_mul(units, real));
    l.drive = align(rs_size_mul((uint64_t)l.driven_steps, rs_size_mul(units, real)));
    l.scale = align(rs_size_mul(s->radii, real));
    uint64_t const group = rs_size_add(rs_size_add(rs_size_mul(2, l.weights), l.drive),
                                       rs_size_add(rs_size_mul(2, l.sheet), l.scale));
    l.own = align(rs_size_mul(s->groups, real));
    l.trace = align(path->trace_bytes(limits, s));
    uint64_t const norms = rs_size_mul(rs_size_mul(s->groups, columns), s->steps);
    l.norms = align(rs_size_mul(norms, sizeof(double)));
    l.exponents = align(rs_size_mul(norms, sizeof(int)));
    l.nonfinite = align(rs_size_mul(rs_size_mul(s->groups, columns), sizeof(unsigned)));

    uint64_t const step = rs_size_mul(rs_size_mul(s->batch, s->input_size), sizeof(double));
    uint64_t const slab = SLAB, all = rs_size_mul((uint64_t)l.driven_steps, step);
    uint64_t const some = all < slab ? all : step > slab ? step : slab;
    l.slab = step ? (int)(some / step) : l.driven_steps;
    uint64_t const input = rs_size_add(some, rs_size_mul(rs_size_mul(h, s->input_size + 1), 8));
    uint64_t const square = rs_size_mul(rs_size_mul(h, h), sizeof(double));
    uint64_t const sheet = rs_size_mul(units > s->radii ? units : s->radii, sizeof(double));
    uint64_t const arrays = square > sheet ? square : sheet;
    l.stage = align(input > arrays ? input : arrays);

    l.total = rs_size_mul(s->groups, group);
    uint64_t const rest[] = {l.own, l.trace, l.norms, l.exponents, l.nonfinite, l.stage};
    for (uint64_t part : rest) l.total = rs_size_add(l.total, part);
    return l;
}

rs_status bytes_of(const rs_shape *shape, const device_limits *limits, uint64_t *out) {
    const cuda_path *path = NULL;
    *out = UINT64_MAX;
    if (!sizes_fit(shape)) return RS_OK;
    RS_TRY(choose_path(limits, shape, &path));
    *out = lay_out(limits, path, shape).total;
    return RS_OK;
}

/* Deals the block out. Arrays of a kind stand together, group after group. */
struct dealer {
    unsigned char *at;

    template <typename T> T *take(uint64_t bytes) {
        T *const here = (T *)at;
        at += bytes;
        return here;
    }
};

template <typename real> struct piece_arrays {
    arrays<real> a;
    double *stage;
};

/* ---- sending a group ------------------------------------------------------------------------- */

/* Where a piece stands in its job. */
struct piece {
    rs_shape shape;
    size_t first_radius, first_sample;
};

rs_status stage_in(cudaStream_t stream, const double *from, size_t count, double *stage) {
    CUDA_TRY(cudaMemcpyAsync(stage, from, count * sizeof *from, cudaMemcpyHostToDevice, stream));
    return RS_OK;
}

/* x of a slab of steps, drawn or copied from what the user gave. */
rs_status bring_input(cudaStream_t stream, const rs_drive *drive, size_t step, size_t steps,
                      size_t batch, double *x) {
    size_t const row = batch * drive->input_size * sizeof *x;
    size_t const pitch = drive->input_batch * drive->input_size * sizeof *x;
    const double *from =
        drive->input + (step * drive->input_batch + drive->first_sample) * drive->input_size;
    CUDA_TRY(cudaMemcpy2DAsync(x, row, from, pitch, row, steps, cudaMemcpyHostToDevice, stream));
    return RS_OK;
}

template <typename real>
rs_status send_drive(const path_context *context, const cuda_path *path, const layout *l,
                     const rs_shape *s, const rs_drive *drive, double *stage, real *to) {
    cudaStream_t const stream = context->stream;
    size_t const h = s->hidden, sheet = h * s->batch;
    if (drive->kind == RS_DRIVE_NOISE)
        return fill_drive(stream, s->precision, drive, (int)h, l->driven_steps, (int)s->batch,
                          path->units_last, NULL, NULL, NULL, to);
    double *const weight_ih = stage, *const bias = stage + h * drive->input_size;
    double *const x = bias + h;
    RS_TRY(stage_in(stream, drive->weight_ih, h * drive->input_size, weight_ih));
    RS_TRY(stage_in(stream, drive->bias, h, bias));
    for (int step = 0; step < l->driven_steps; step += l->slab) {
        int const steps = l->driven_steps - step < l->slab ? l->driven_steps - step : l->slab;
        if (drive->input)
            RS_TRY(bring_input(stream, drive, (size_t)step, (size_t)steps, s->batch, x));
        else
            RS_TRY(draw_input(stream, drive, step, steps, (int)s->batch, x));
        RS_TRY(fill_drive(stream, s->precision, drive, (int)h, steps, (int)s->batch,
                          path->units_last, weight_ih, bias, x, to + (size_t)step * sheet));
    }
    return RS_OK;
}

/* [B][H] of the job's samples to the path's layout. */
template <typename real>
rs_status send_sheet(const path_context *context, const cuda_path *path, const piece *p,
                     const double *from, double *stage, real *to) {
    const rs_shape *s = &p->shape;
    size_t const count = s->batch * s->hidden;
    if (!from) {
        CUDA_TRY(cudaMemsetAsync(to, 0, count * sizeof *to, context->stream));
        return RS_OK;
    }
    RS_TRY(stage_in(context->stream, from + p->first_sample * s->hidden, count, stage));
    return pack_array(context->stream, s->precision, (int)s->batch, (int)s->hidden,
                      !path->units_last, stage, to);
}

template <typename real>
rs_status send_group(const path_context *context, const cuda_path *path, const layout *l,
                     const piece *p, const rs_group *group, size_t g,
                     const piece_arrays<real> *out) {
    const rs_shape *s = &p->shape;
    size_t const h = s->hidden, w = l->weights / sizeof(real), sheet = l->sheet / sizeof(real);
    const arrays<real> *a = &out->a;
    cudaStream_t const stream = context->stream;
    real *const rows = (real *)a->backward_w + g * w;
    real *const transposed = (real *)a->forward_w + g * w;
    RS_TRY(stage_in(stream, group->weight_hh, h * h, out->stage));
    RS_TRY(pack_weights(stream, s->precision, (int)h, l->padded, out->stage, transposed, rows));
    if (!l->padded) /* the path multiplies by W0 both ways */
        CUDA_TRY(cudaMemcpyAsync(transposed, rows, h * h * sizeof(real), cudaMemcpyDeviceToDevice,
                                 stream));
    RS_TRY(stage_in(stream, group->scale + p->first_radius, s->radii, out->stage));
    RS_TRY(pack_array(stream, s->precision, 1, (int)s->radii, false, out->stage,
                      (real *)a->scale + g * (l->scale / sizeof(real))));
    RS_TRY(stage_in(stream, &group->step_gradient, 1, out->stage));
    RS_TRY(pack_array(stream, s->precision, 1, 1, false, out->stage, (real *)a->own + g));
    RS_TRY(send_sheet(context, path, p, group->h0, out->stage, (real *)a->h0 + g * sheet));
    RS_TRY(send_sheet(context, path, p, group->loss_gradient, out->stage,
                      (real *)a->loss + g * sheet));
    real *const drive = (real *)a->drive + g * (l->drive / sizeof(real));
    if (!s->driven) {
        CUDA_TRY(cudaMemsetAsync(drive, 0, l->drive, stream));
        return RS_OK;
    }
    rs_drive from = group->drive;
    from.first_sample += p->first_sample;
    return send_drive(context, path, l, s, &from, out->stage, drive);
}

/* ---- one piece ------------------------------------------------------------------------------- */

template <typename real>
piece_arrays<real> deal(unsigned char *memory, const layout *l, const rs_shape *s) {
    dealer d = {memory};
    piece_arrays<real> p;
    p.a.padded = l->padded;
    p.a.forward_w = d.take<real>(s->groups * l->weights);
    p.a.backward_w = d.take<real>(s->groups * l->weights);
    p.a.h0 = d.take<real>(s->groups * l->sheet);
    p.a.loss = d.take<real>(s->groups * l->sheet);
    p.a.drive = d.take<real>(s->groups * l->drive);
    p.a.scale = d.take<real>(s->groups * l->scale);
    p.a.own = d.take<real>(l->own);
    p.a.slope = d.take<real>(l->trace);
    p.a.norm2 = d.take<double>(l->norms);
    p.a.exponent = d.take<int>(l->exponents);
    p.a.nonfinite = d.take<unsigned>(l->nonfinite);
    p.a.weight_stride = l->weights / sizeof(real);
    p.a.sheet_stride = l->sheet / sizeof(real);
    p.a.drive_stride = l->drive / sizeof(real);
    p.a.scale_stride = l->scale / sizeof(real);
    p.stage = d.take<double>(l->stage);
    return p;
}

/* The piece's norms into their places among the job's: its columns stand together in each row. */
template <typename real>
rs_status receive(const path_context *context, const rs_shape *whole, const piece *p,
                  const arrays<real> *a, rs_profile *out) {
    size_t const columns = p->shape.radii * p->shape.batch, all = whole->radii * whole->batch;
    size_t const first = p->first_radius * whole->batch + p->first_sample;
    for (size_t g = 0; g < whole->groups; ++g) {
        size_t const from = g * whole->steps * columns, to = g * whole->steps * all + first;
        CUDA_TRY(cudaMemcpy2DAsync(out->norm2 + to, all * sizeof(double), a->norm2 + from,
                                   columns * sizeof(double), columns * sizeof(double), whole->steps,
                                   cudaMemcpyDeviceToHost, context->stream));
        CUDA_TRY(cudaMemcpy2DAsync(out->exponent + to, all * sizeof(int), a->exponent + from,
                                   columns * sizeof(int), columns * sizeof(int), whole->steps,
                                   cudaMemcpyDeviceToHost, context->stream));
        CUDA_TRY(cudaMemcpyAsync(out->nonfinite_step + g * all + first, a->nonfinite + g * columns,
                                 columns * sizeof(unsigned), cudaMemcpyDeviceToHost,
                                 context->stream));
    }
    CUDA_TRY(cudaStreamSynchronize(context->stream));
    for (size_t g = 0; g < whole->groups; ++g)
        for (size_t c = 0; c < columns; ++c) {
            uint32_t *const step = &out->nonfinite_step[g * all + first + c];
            if (*step == NEVER) *step = 0;
        }
    return RS_OK;
}

rs_status add_times(const cuda_engine *self, rs_profile *out) {
    float forward, backward; /* milliseconds */
    CUDA_TRY(cudaEventElapsedTime(&forward, self->mark[0], self->mark[1]));
    CUDA_TRY(cudaEventElapsedTime(&backward, self->mark[1], self->mark[2]));
    out->forward_seconds += 1e-3 * (double)forward;
    out->backward_seconds += 1e-3 * (double)backward;
    return RS_OK;
}

template <typename real>
rs_status run_piece_as(cuda_engine *self, const cuda_path *path, const rs_job *job, const piece *p,
                       rs_profile *out) {
    path_context *context = &self->context;
    layout const l = lay_out(&context->limits, path, &p->shape);
    piece_arrays<real> const arrays = deal<real>(self->memory, &l, &p->shape);
    CUDA_TRY(cudaEventRecord(self->mark[0], context->stream));
    for (size_t g = 0; g < p->shape.groups; ++g)
        RS_TRY(send_group(context, path, &l, p, &job->group[g], g, &arrays));
    RS_TRY(path->forward(context, &p->shape, &arrays.a));
    CUDA_TRY(cudaEventRecord(self->mark[1], context->stream));
    RS_TRY(path->backward(context, &p->shape, &arrays.a));
    CUDA_TRY(cudaEventRecord(self->mark[2], context->stream));
    RS_TRY(receive(context, &job->shape, p, &arrays.a, out));
    return add_times(self, out);
}

rs_status run_piece(cuda_engine *self, const rs_job *job, const piece *p, rs_profile *out) {
    const cuda_path *path = NULL;
    RS_TRY(choose_path(&self->context.limits, &p->shape, &path));
    if (self->last && self->last != path && self->last->close) self->last->close(&self->context);
    self->last = path;
    return p->shape.precision == RS_F32 ? run_piece_as<float>(self, path, job, p, out)
                                        : run_piece_as<double>(self, path, job, p, out);
}

/* Runs the piece, or its halves where it does not fit the block: radii first, then samples of a
 * single radius, so that a piece's columns always stand together. */
rs_status run_within(cuda_engine *self, const rs_job *job, const piece *p, rs_profile *out) {
    uint64_t needed;
    RS_TRY(bytes_of(&p->shape, &self->context.limits, &needed));
    if (needed <= self->size) {
        RS_TRY(run_piece(self, job, p, out));
        size_t const done =
            p->first_radius * job->shape.batch + p->first_sample + p->shape.radii * p->shape.batch;
        double const part = (double)done / (double)(job->shape.radii * job->shape.batch);
        if (job->tick && !job->tick(job->tick_arg, part))
            return rs_fail(RS_EINTERRUPTED, "engine cuda: interrupted");
        return RS_OK;
    }
    piece first = *p, second = *p;
    bool const by_radius = p->shape.radii > 1;
    auto const size = by_radius ? &rs_shape::radii : &rs_shape::batch;
    auto const start = by_radius ? &piece::first_radius : &piece::first_sample;
    if (p->shape.*size == 1)
        return rs_fail(RS_EMEMORY,
                       "engine cuda: one column of %zu units and %zu steps needs %llu bytes, the "
                       "device gave %llu",
                       p->shape.hidden, p->shape.steps, (unsigned long long)needed,
                       (unsigned long long)self->size);
    first.shape.*size = p->shape.*size / 2;
    second.shape.*size = p->shape.*size - first.shape.*size;
    second.*start += first.shape.*size;
    RS_TRY(run_within(self, job, &first, out));
    return run_within(self, job, &second, out);
}

rs_status run(void *handle, const rs_job *job, rs_profile *out) {
    cuda_engine *self = (cuda_engine *)handle;
    if (!sizes_fit(&job->shape))
        return rs_fail(RS_EMEMORY, "engine cuda: the job is too large for one launch");
    out->forward_seconds = out->backward_seconds = 0.0;
    piece const whole = {job->shape, 0, 0};
    return run_within(self, job, &whole, out);
}

/* ---- the table ------------------------------------------------------------------------------- */

rs_status device(rs_device *out) {
    int count = 0, id, driver, runtime;
    cudaError_t const error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0) {
        (void)cudaGetLastError();
        return rs_fail(RS_EDEVICE, "engine cuda: no device: %s: use --engine cpu",
                       error != cudaSuccess ? cudaGetErrorString(error) : "none is visible");
    }
    cudaDeviceProp properties;
    size_t free_bytes, total_bytes;
    CUDA_TRY(cudaGetDevice(&id));
    CUDA_TRY(cudaGetDeviceProperties(&properties, id));
    CUDA_TRY(cudaMemGetInfo(&free_bytes, &total_bytes));
    CUDA_TRY(cudaDriverGetVersion(&driver));
    CUDA_TRY(cudaRuntimeGetVersion(&runtime));
    *out = rs_device();
    snprintf(out->name, sizeof out->name, "%.*s", (int)sizeof out->name - 1, properties.name);
    snprintf(out->driver, sizeof out->driver, "CUDA driver %d.%d, runtime %d.%d", driver / 1000,
             driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    snprintf(out->abilities, sizeof out->abilities,
             "compute capability %d.%d, %d processors, %zu KiB shared memory a block",
             properties.major, properties.minor, properties.multiProcessorCount,
             properties.sharedMemPerBlockOptin / 1024);
    out->free_bytes = free_bytes;
    out->threads = 1;
    /* Two tiles of 64 columns for every processor. */
    out->columns_wanted = (size_t)properties.multiProcessorCount * 128;
    return RS_OK;
}

rs_status supports(const rs_shape *shape) {
    device_limits limits;
    const cuda_path *path = NULL;
    RS_TRY(ask_limits(&limits));
    return choose_path(&limits, shape, &path);
}

uint64_t bytes(const rs_shape *shape, const rs_resources *) {
    device_limits limits;
    uint64_t total;
    if (ask_limits(&limits) != RS_OK) return UINT64_MAX;
    return bytes_of(shape, &limits, &total) == RS_OK ? total : UINT64_MAX;
}

/* A device that was lost cannot be tidied: what closing says is of no use to anyone. */
void close_cuda(void *handle) {
    cuda_engine *self = (cuda_engine *)handle;
    if (!self) return;
    if (self->last && self->last->close) self->last->close(&self->context);
    if (self->memory) (void)cudaFree(self->memory);
    for (cudaEvent_t mark : self->mark)
        if (mark) (void)cudaEventDestroy(mark);
    if (self->context.stream) (void)cudaStreamDestroy(self->context.stream);
    free(self);
}

/* Takes `bytes`, or half, or a quarter, ...: run() cuts its work to what there is. */
rs_status allocate(cuda_engine *self, uint64_t bytes) {
    for (;; bytes /= 2) {
        cudaError_t const error = cudaMalloc((void **)&self->memory, (size_t)bytes);
        self->size = bytes;
        if (error == cudaSuccess) return RS_OK;
        self->memory = NULL;
        if (error != cudaErrorMemoryAllocation || bytes < 2 * ALIGNMENT)
            return cuda_fail(error, "cudaMalloc");
        (void)cudaGetLastError();
    }
}

rs_status fill_engine(cuda_engine *self, const rs_shape *largest) {
    uint64_t needed;
    RS_TRY(ask_limits(&self->context.limits));
    RS_TRY(bytes_of(largest, &self->context.limits, &needed));
    if (needed >= SIZE_MAX) return rs_fail(RS_EMEMORY, "engine cuda: the job is too large");
    CUDA_TRY(cudaStreamCreateWithFlags(&self->context.stream, cudaStreamNonBlocking));
    for (cudaEvent_t &mark : self->mark) CUDA_TRY(cudaEventCreate(&mark));
    return allocate(self, needed);
}

rs_status open_cuda(const rs_shape *largest, const rs_resources *, void **handle) {
    cuda_engine *self = (cuda_engine *)calloc(1, sizeof *self);
    if (!self) return rs_fail(RS_EMEMORY, "engine cuda: no memory");
    rs_status const status = fill_engine(self, largest);
    if (status != RS_OK) {
        close_cuda(self);
        return status;
    }
    *handle = self;
    return RS_OK;
}

} // namespace

problem problem_of(const rs_shape *shape) {
    problem p;
    p.groups = (int)shape->groups;
    p.radii = (int)shape->radii;
    p.batch = (int)shape->batch;
    p.hidden = (int)shape->hidden;
    p.steps = (int)shape->steps;
    p.warmup = (int)shape->warmup;
    p.columns = p.radii * p.batch;
    p.nonlinearity = shape->nonlinearity;
    p.raw = shape->raw;
    p.driven = shape->driven;
    return p;
}

const rs_engine rs_engine_cuda = {
    "cuda", device, supports, bytes, open_cuda, run, close_cuda,
};
