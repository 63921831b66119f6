#include "baseline.h"

#include "../kernels/base/clock.h"
#include "../kernels/base/sizes.h"
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

/* Where everything lies, in bytes from the start of one block. */
typedef struct layout {
    uint64_t scale, input, state, delta, inner, exponent, row, total;
} layout;

/* Moves *at behind an array of so many numbers and returns where that starts. */
static uint64_t place(uint64_t *at, uint64_t count, uint64_t size) {
    uint64_t const start = *at, bytes = rs_size_add(rs_size_mul(count, size), ALIGNMENT - 1);
    *at = bytes == UINT64_MAX ? bytes : rs_size_add(start, bytes / ALIGNMENT * ALIGNMENT);
    return start;
}

static layout lay_out(const rs_shape *shape, const rs_resources *resources) {
    uint64_t const real = loops[shape->precision]->real_bytes, hidden = shape->hidden;
    uint64_t const columns = rs_size_mul(shape->radii, shape->batch);
    uint64_t const numbers = rs_size_mul(hidden, columns); /* of one state */
    uint64_t const samples = rs_size_mul(shape->steps, shape->batch);
    layout l = {0};
    place(&l.total, rs_size_mul(hidden, hidden), real); /* the weights, at the start */
    l.scale = place(&l.total, columns, real);
    l.input = place(&l.total, rs_size_mul(samples, hidden), real);
    l.state = place(&l.total, rs_size_mul(rs_size_add(shape->steps, 1), numbers), real);
    l.delta = place(&l.total, numbers, real);
    l.inner = place(&l.total, numbers, real);
    l.exponent = place(&l.total, columns, sizeof(int32_t));
    l.row = place(&l.total, rs_size_mul((uint64_t)resources->threads, hidden), sizeof(double));
    return l;
}

static rs_status device(rs_device *out) {
    rs_host_device(out);
    return RS_OK;
}

static rs_status supports(const rs_shape *shape) {
    if (shape->groups != 1 || shape->warmup != 0 || shape->raw || !shape->driven ||
        shape->cell != RS_TANH)
        return rs_fail(RS_EINPUT, "baseline: knows one group of driven tanh units, not raw, "
                                  "without warm-up");
    if (shape->hidden > INT_MAX || rs_size_mul(shape->radii, shape->batch) > INT_MAX)
        return rs_fail(RS_EINPUT, "baseline: too large for BLAS");
    return RS_OK;
}

static uint64_t bytes(const rs_shape *shape, const rs_resources *resources) {
    return lay_out(shape, resources).total;
}

static void close_baseline(void *handle) {
    baseline *self = handle;
    if (!self) return;
    free(self->memory);
    free(self);
}

static rs_status open_baseline(const rs_shape *largest, const rs_resources *resources,
                               void **handle) {
    layout const l = lay_out(largest, resources);
    baseline *const self = calloc(1, sizeof *self);
    unsigned char *const at = l.total < SIZE_MAX ? aligned_alloc(ALIGNMENT, (size_t)l.total) : NULL;
    if (!self || !at) {
        free(self);
        free(at);
        return rs_fail(RS_EMEMORY, "baseline: no memory for %llu bytes",
                       (unsigned long long)l.total);
    }
    self->memory = at;
    self->loops = loops[largest->precision];
    self->threads = resources->threads;
    self->row = (double *)(void *)(at + l.row);
    self->stepwise = (rs_bench_stepwise){.shape = *largest,
                                         .weight = at,
                                         .scale = at + l.scale,
                                         .input = at + l.input,
                                         .state = at + l.state,
                                         .delta = at + l.delta,
                                         .inner = at + l.inner,
                                         .exponent = (int32_t *)(void *)(at + l.exponent)};
    *handle = self;
    return RS_OK;
}

static void load(const baseline *self, const rs_group *group) {
    const rs_bench_stepwise *s = &self->stepwise;
    self->loops->load(s, group);
#pragma omp parallel for num_threads(self->threads)
    for (size_t t = 0; t < s->shape.steps; ++t) {
        double *const row = self->row + (size_t)omp_get_thread_num() * s->shape.hidden;
        self->loops->load_input(s, &group->drive, t, row);
    }
}

/* Each thread has its own columns, and calls BLAS for them alone. With threads of BLAS beside those
 * of OpenMP, one pool spins while the other works: on two cores that is five times slower. */
static rs_status run(void *handle, const rs_job *job, rs_profile *out) {
    const baseline *self = handle;
    const rs_bench_stepwise *s = &self->stepwise;
    size_t const threads = (size_t)self->threads, columns = s->shape.radii * s->shape.batch;
    openblas_set_num_threads(1);
    double const start = rs_seconds();
    load(self, job->group);
#pragma omp parallel for num_threads(self->threads) schedule(static)
    for (size_t part = 0; part < threads; ++part)
        self->loops->forward(s, part * columns / threads, (part + 1) * columns / threads);
    double const middle = rs_seconds();
#pragma omp parallel for num_threads(self->threads) schedule(static)
    for (size_t part = 0; part < threads; ++part)
        self->loops->backward(s, job->group, part * columns / threads,
                              (part + 1) * columns / threads, out);
    out->forward_seconds = middle - start;
    out->backward_seconds = rs_seconds() - middle;
    out->transfer_seconds = 0.0;
    /* tanh of finite numbers is finite. */
    memset(out->nonfinite_step, 0, columns * sizeof(uint32_t));
    return RS_OK;
}

/* An engine for the one shape that it is opened for; in no list of engines. */
static const rs_engine blas_stepwise = {
    .name = "blas_stepwise",
    .device = device,
    .supports = supports,
    .bytes = bytes,
    .open = open_baseline,
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
