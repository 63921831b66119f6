#include "baseline.h"

#include "../kernels/base/block.h"
#include "../kernels/base/clock.h"
#include "../kernels/host_device.h"
#include "bptt.h"
#include "job.h"
#include "suite.h"

#include <cblas.h>
#include <limits.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

extern const rs_bench_loops rs_bench_loops_f32, rs_bench_loops_f64;

static const rs_bench_loops *const loops[RS_N_PRECISION] = {
    [RS_F32] = &rs_bench_loops_f32, [RS_F64] = &rs_bench_loops_f64};

typedef struct baseline {
    rs_bench_stepwise stepwise;
    const rs_bench_loops *loops;
    int threads;
    double *row; /* [threads][H] */
    void *memory;
} baseline;

static void lay_out(const rs_shape *shape, const rs_resources *resources, rs_block *block,
                    baseline *out) {
    uint64_t const real = loops[shape->precision]->real_bytes, hidden = shape->hidden;
    uint64_t const columns = rs_size_mul(shape->radii, shape->batch);
    uint64_t const row = rs_size_mul(hidden, real), state = rs_size_mul(columns, row);
    rs_bench_stepwise *const s = &out->stepwise;
    s->weight = rs_block_take(block, hidden, row);
    s->drive = rs_block_take(block, 3 * hidden, sizeof *s->drive);
    s->scale = rs_block_take(block, columns, real);
    s->input = rs_block_take(block, rs_size_mul(shape->steps, shape->batch), row);
    s->state = rs_block_take(block, rs_size_add(shape->steps, 1), state);
    s->delta = rs_block_take(block, 1, state);
    s->inner = rs_block_take(block, 1, state);
    s->exponent = rs_block_take(block, columns, sizeof *s->exponent);
    out->row =
        rs_block_take(block, rs_size_mul((uint64_t)resources->threads, hidden), sizeof *out->row);
}

static rs_status device(size_t index, rs_device *out) {
    if (index > 0) return rs_fail(RS_EDEVICE, "baseline: no device %zu: it has one", index);
    rs_host_device(out);
    return RS_OK;
}

static rs_status bytes(size_t index, const rs_shape *shape, const rs_resources *resources,
                       uint64_t *out) {
    (void)index;
    if (shape->groups != 1 || shape->warmup != 0 || shape->raw || shape->gradients ||
        shape->drive != RS_DRIVE_WEIGHTED || shape->input_size != 1 || shape->cell != RS_TANH ||
        shape->leak != 0.0)
        return rs_fail(RS_EINPUT,
                       "baseline: knows one group of tanh units with a weighted input of size 1, "
                       "not raw, without leak, warm-up and weight gradients");
    if (shape->hidden > INT_MAX || rs_size_mul(shape->radii, shape->batch) > INT_MAX)
        return rs_fail(RS_EINPUT, "baseline: too large for BLAS");
    baseline unused;
    rs_block block = rs_block_measure(ALIGNMENT);
    lay_out(shape, resources, &block, &unused);
    *out = block.used;
    return RS_OK;
}

static void close_baseline(void *handle) {
    baseline *self = handle;
    if (!self) return;
    free(self->memory);
    free(self);
}

static rs_status open_baseline(size_t index, const rs_shape *largest, const rs_resources *resources,
                               void **handle) {
    uint64_t size = 0;
    RS_TRY(bytes(index, largest, resources, &size));
    baseline *const self = calloc(1, sizeof *self);
    void *const memory = size < SIZE_MAX ? aligned_alloc(ALIGNMENT, (size_t)size) : NULL;
    if (!self || !memory) {
        free(self);
        free(memory);
        return rs_fail(RS_EMEMORY, "baseline: no memory for %llu bytes", (unsigned long long)size);
    }
    rs_block block = rs_block_deal(memory, ALIGNMENT);
    lay_out(largest, resources, &block, self);
    self->memory = memory;
    self->loops = loops[largest->precision];
    self->threads = resources->threads;
    self->stepwise.shape = *largest;
    *handle = self;
    return RS_OK;
}

/* The weights of the drive stay as they are, in double. */
static rs_status load(void *handle, const rs_shape *shape, const rs_parameters *of) {
    baseline *const self = handle;
    size_t const hidden = shape->hidden;
    const double *const from[3] = {of->weight_ih, of->bias_ih, of->bias_hh};
    double *to[3];
    for (size_t i = 0; i < 3; ++i) {
        to[i] = self->stepwise.drive + i * hidden;
        for (size_t j = 0; j < hidden; ++j) to[i][j] = from[i] ? from[i][j] : 0.0;
    }
    self->stepwise.network =
        (rs_parameters){.weight_ih = to[0], .bias_ih = to[1], .bias_hh = to[2]};
    self->loops->load(&self->stepwise, of->weight_hh);
    return RS_OK;
}

static void fill_input(const baseline *self, const rs_drive *drive) {
    const rs_bench_stepwise *s = &self->stepwise;
#pragma omp parallel for num_threads(self->threads)
    for (size_t t = 0; t < s->shape.steps; ++t) {
        double *const row = self->row + (size_t)omp_get_thread_num() * s->shape.hidden;
        self->loops->load_input(s, drive, t, row);
    }
}

/* Each thread has its own columns, and calls BLAS for them alone. With threads of BLAS beside those
 * of OpenMP, one pool spins while the other works: on two cores that is five times slower. */
static rs_status run(void *handle, const rs_pass *pass, rs_record *out) {
    const baseline *self = handle;
    const rs_bench_stepwise *s = &self->stepwise;
    size_t const threads = (size_t)self->threads, columns = s->shape.radii * s->shape.batch;
    openblas_set_num_threads(1);
    double const start = rs_seconds();
    self->loops->load_scale(s, pass->of->scale);
    fill_input(self, &pass->of->drive);
#pragma omp parallel for num_threads(self->threads) schedule(static)
    for (size_t part = 0; part < threads; ++part)
        self->loops->forward(s, part * columns / threads, (part + 1) * columns / threads);
    double const middle = rs_seconds();
#pragma omp parallel for num_threads(self->threads) schedule(static)
    for (size_t part = 0; part < threads; ++part)
        self->loops->backward(s, pass->of->delta, part * columns / threads,
                              (part + 1) * columns / threads, out);
    out->forward_seconds = middle - start;
    out->backward_seconds = rs_seconds() - middle;
    out->gradient_seconds = out->transfer_seconds = 0.0;
    /* tanh of finite numbers is finite. */
    memset(out->nonfinite_step, 0, columns * sizeof(uint32_t));
    return RS_OK;
}

/* An engine for the one shape that it is opened for; in no list of engines. */
static const rs_engine blas_stepwise = {
    .name = "blas_stepwise",
    .device = device,
    .bytes = bytes,
    .open = open_baseline,
    .load = load,
    .run = run,
    .close = close_baseline,
};

rs_status rs_bench_add_baseline(const rs_bench_options *options) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (size_t i = 0; i < options->n_shapes; ++i) {
            rs_shape const shape = rs_bench_job_shape(&options->shape[i], p, RS_TANH);
            RS_TRY(rs_bench_add_bptt("baseline/blas_stepwise", &blas_stepwise, &shape,
                                     options->threads, RS_BENCH_BPTT));
        }
    return RS_OK;
}
