#include "cpu.h"

#include "../clock.h"
#include "../host_device.h"
#include "../sizes.h"
#include "kernel.h"

#include <omp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

/* One group's arrays, laid out for the kernel: see rs_cpu_tile. */
typedef struct group_arrays {
    void *forward_w, *backward_w;
    void *scale; /* [R B, padded to whole vectors] */
    void *drive, *h0, *loss;
} group_arrays;

typedef struct cpu {
    const rs_cpu_kernel *kernel[RS_N_PRECISION];
    int threads;
    unsigned char *memory; /* one block, dealt out anew for every job */
    uint64_t size;
} cpu;

/* How a group's columns are cut into tiles: `tiles` of them, widths differing by one vector. */
typedef struct tiling {
    size_t vectors, tiles;
} tiling;

/* Where everything lies in the block, in bytes from its start. */
typedef struct layout {
    tiling tiling;
    size_t period;                        /* see rs_cpu_tile */
    uint64_t packed, scale, drive, start; /* sizes of one array of a group */
    uint64_t group;                       /* of all arrays of a group */
    uint64_t groups;                      /* of all groups */
    uint64_t scratch;                     /* of one thread */
    uint64_t rows;                        /* of one thread: the drive of a step, in double */
    uint64_t total;
    int threads;
} layout;

static uint64_t aligned(uint64_t bytes) {
    uint64_t const up = rs_size_add(bytes, ALIGNMENT - 1);
    return up == UINT64_MAX ? up : up / ALIGNMENT * ALIGNMENT;
}

/* As few tiles as the kernel's width allows, but one for every thread where there are columns
 * enough: no thread should wait for the last tile of another. */
static tiling cut_tiles(const rs_cpu_kernel *kernel, uint64_t columns, int threads) {
    tiling cut;
    size_t const vectors = (size_t)((columns + kernel->lanes - 1) / kernel->lanes);
    size_t const n = (size_t)threads;
    size_t tiles = (vectors + kernel->max_vectors - 1) / kernel->max_vectors;
    tiles = (tiles + n - 1) / n * n;
    cut.vectors = vectors;
    cut.tiles = tiles < vectors ? tiles : vectors;
    return cut;
}

/* Without a drive one step of zeros serves all. */
static uint64_t driven_steps(const rs_shape *shape) {
    return shape->driven ? rs_size_add(shape->warmup, shape->steps) : 1;
}

static layout lay_out(const rs_cpu_kernel *kernel, const rs_shape *shape, int threads) {
    layout l = {0};
    uint64_t const columns = rs_size_mul(shape->radii, shape->batch);
    uint64_t const real = kernel->real_bytes;
    l.tiling = cut_tiles(kernel, columns, threads);
    l.period = shape->batch + kernel->lanes - 1;
    l.packed = aligned(kernel->packed_bytes(shape->hidden));
    l.scale = aligned(rs_size_mul(l.tiling.vectors, kernel->lanes * real));
    l.start = aligned(rs_size_mul(rs_size_mul(shape->hidden, l.period), real));
    l.drive = rs_size_mul(driven_steps(shape), l.start);
    l.group = rs_size_add(rs_size_add(rs_size_mul(2, l.packed), l.scale),
                          rs_size_add(rs_size_mul(2, l.start), l.drive));
    l.groups = rs_size_mul(shape->groups, l.group);
    uint64_t const tiles = rs_size_mul(shape->groups, l.tiling.tiles);
    l.threads = tiles < (uint64_t)threads ? (int)tiles : threads;
    /* Room for the widest tile there may be: bytes must not decrease as columns grow. */
    size_t const widest =
        l.tiling.vectors < kernel->max_vectors ? l.tiling.vectors : kernel->max_vectors;
    l.scratch = aligned(kernel->scratch_bytes(shape, widest));
    l.rows = aligned(rs_size_mul(rs_size_mul(shape->hidden, shape->batch), sizeof(double)));
    l.total = rs_size_add(l.groups, rs_size_mul((uint64_t)l.threads, l.scratch));
    l.total = rs_size_add(l.total, rs_size_mul((uint64_t)threads, l.rows));
    return l;
}

static group_arrays arrays_of(const cpu *self, const layout *l, size_t group) {
    unsigned char *at = self->memory + group * l->group;
    group_arrays a;
    a.forward_w = at;
    a.backward_w = at += l->packed;
    a.scale = at += l->packed;
    a.h0 = at += l->scale;
    a.loss = at += l->start;
    a.drive = at + l->start;
    return a;
}

/* ---- filling ------------------------------------------------------------------------------- */

static void put(void *array, size_t i, double x, rs_precision precision) {
    if (precision == RS_F32)
        ((float *)array)[i] = (float)x;
    else
        ((double *)array)[i] = x;
}

/* A [H][period] array from x [B][H] (or zeros): transposed, the first samples repeated. */
static void put_samples(void *array, const rs_shape *shape, size_t period, const double *x) {
    for (size_t i = 0; i < shape->hidden; ++i)
        for (size_t start = 0; start < period; start += shape->batch)
            for (size_t b = 0; b < shape->batch && start + b < period; ++b)
                put(array, i * period + start + b, x ? x[b * shape->hidden + i] : 0.0,
                    shape->precision);
}

static void fill_scale(const rs_group *group, const rs_shape *shape, const layout *l, size_t lanes,
                       void *scale) {
    size_t const columns = shape->radii * shape->batch;
    for (size_t c = 0; c < l->tiling.vectors * lanes; ++c)
        put(scale, c, c < columns ? group->scale[c / shape->batch] : 0.0, shape->precision);
}

/* All that a tile reads of a group. Steps are independent, so threads share them. */
static void fill_group(const cpu *self, const rs_cpu_kernel *kernel, const rs_group *group,
                       const rs_shape *shape, const layout *l, group_arrays a) {
    size_t const hidden = shape->hidden, batch = shape->batch;
    kernel->pack(hidden, group->weight_hh, a.forward_w, a.backward_w);
    fill_scale(group, shape, l, kernel->lanes, a.scale);
    put_samples(a.h0, shape, l->period, group->h0);
    put_samples(a.loss, shape, l->period, group->loss_gradient);
    size_t const steps = (size_t)driven_steps(shape);
    unsigned char *rows = self->memory + l->total - (uint64_t)self->threads * l->rows;
#pragma omp parallel for num_threads(self->threads) schedule(static)
    for (size_t step = 0; step < steps; ++step) {
        double *u = (double *)(void *)(rows + (uint64_t)omp_get_thread_num() * l->rows);
        for (size_t b = 0; shape->driven && b < batch; ++b)
            kernel->fill_drive(&group->drive, hidden, step, b, u + b * hidden);
        put_samples((unsigned char *)a.drive + step * l->start, shape, l->period,
                    shape->driven ? u : NULL);
    }
}

/* ---- running ------------------------------------------------------------------------------- */

typedef struct run_state {
    const cpu *self;
    const rs_cpu_kernel *kernel;
    const rs_job *job;
    const layout *l;
    rs_profile *out;
    atomic_size_t done;
    atomic_bool stop;
} run_state;

static void run_tile(const run_state *r, size_t index, int thread, double seconds[2]) {
    const rs_shape *shape = &r->job->shape;
    const layout *l = r->l;
    size_t const g = index / l->tiling.tiles, k = index % l->tiling.tiles;
    size_t const first = k * l->tiling.vectors / l->tiling.tiles;
    size_t const end = (k + 1) * l->tiling.vectors / l->tiling.tiles;
    size_t const columns = shape->radii * shape->batch, column = first * r->kernel->lanes;
    group_arrays const a = arrays_of(r->self, l, g);

    size_t sample[8]; /* no kernel is wider */
    for (size_t v = 0; v < end - first; ++v)
        sample[v] = (column + v * r->kernel->lanes) % shape->batch;
    size_t const width = (end - first) * r->kernel->lanes;
    size_t const at = g * shape->steps * columns + column;
    rs_cpu_tile const tile = {
        .shape = shape,
        .vectors = end - first,
        .columns = columns - column < width ? columns - column : width,
        .forward_w = a.forward_w,
        .backward_w = a.backward_w,
        .scale = (unsigned char *)a.scale + column * r->kernel->real_bytes,
        .sample = sample,
        .period = l->period,
        .drive = a.drive,
        .drive_stride = shape->driven ? l->start / r->kernel->real_bytes : 0,
        .h0 = a.h0,
        .loss = a.loss,
        .step_gradient = r->job->group[g].step_gradient,
        .scratch = r->self->memory + l->groups + (uint64_t)thread * l->scratch,
        .norm2 = r->out->norm2 + at,
        .exponent = r->out->exponent + at,
        .profile_stride = columns,
        .nonfinite_step = r->out->nonfinite_step + g * columns + column,
    };
    double const start = rs_seconds();
    r->kernel->forward(&tile);
    double const middle = rs_seconds();
    r->kernel->backward(&tile);
    seconds[0] += middle - start;
    seconds[1] += rs_seconds() - middle;
}

/* Counts a finished tile; the calling thread alone may ask the driver whether to go on. */
static void report(run_state *r, size_t tiles) {
    size_t const done = atomic_fetch_add(&r->done, 1) + 1;
    if (omp_get_thread_num() != 0 || !r->job->tick) return;
    if (!r->job->tick(r->job->tick_arg, (double)done / (double)tiles)) atomic_store(&r->stop, true);
}

static rs_status run(void *handle, const rs_job *job, rs_profile *out) {
    const cpu *self = handle;
    const rs_cpu_kernel *kernel = self->kernel[job->shape.precision];
    layout const l = lay_out(kernel, &job->shape, self->threads);
    if (l.total > self->size)
        return rs_fail(RS_EMEMORY, "engine cpu: the job needs more memory than it was opened for");

    double const start = rs_seconds();
    for (size_t g = 0; g < job->shape.groups; ++g)
        fill_group(self, kernel, &job->group[g], &job->shape, &l, arrays_of(self, &l, g));
    double const filled = rs_seconds();

    run_state r = {.self = self, .kernel = kernel, .job = job, .l = &l, .out = out};
    size_t const tiles = job->shape.groups * l.tiling.tiles;
    double forward = 0.0, backward = 0.0; /* summed over threads */
#pragma omp parallel for num_threads(l.threads) schedule(dynamic, 1)                               \
    reduction(+ : forward, backward)
    for (size_t index = 0; index < tiles; ++index) {
        if (atomic_load(&r.stop)) continue;
        double seconds[2] = {0.0, 0.0};
        run_tile(&r, index, omp_get_thread_num(), seconds);
        forward += seconds[0];
        backward += seconds[1];
        report(&r, tiles);
    }
    /* A tile goes forward and back in one go: the wall time is shared out by the threads' sums. */
    double const wall = rs_seconds() - filled, both = forward + backward;
    out->forward_seconds = filled - start + (both > 0.0 ? wall * (forward / both) : 0.0);
    out->backward_seconds = both > 0.0 ? wall * (backward / both) : 0.0;
    if (atomic_load(&r.stop)) return rs_fail(RS_EINTERRUPTED, "engine cpu: interrupted");
    return RS_OK;
}

/* ---- the table ----------------------------------------------------------------------------- */

static rs_status device(rs_device *out) {
    const rs_cpu_kernel *chosen;
    RS_TRY(rs_cpu_kernel_choose(RS_F32, &chosen));
    rs_host_device(out);
    snprintf(out->abilities, sizeof out->abilities, "%d threads, %s (f32 x %zu, f64 x %zu)",
             out->threads, chosen->isa, chosen->lanes, chosen->lanes / 2);
    return RS_OK;
}

static rs_status supports(const rs_shape *shape) {
    const rs_cpu_kernel *chosen;
    return rs_cpu_kernel_choose(shape->precision, &chosen);
}

static uint64_t bytes(const rs_shape *shape, const rs_resources *resources) {
    const rs_cpu_kernel *kernel;
    if (rs_cpu_kernel_choose(shape->precision, &kernel) != RS_OK) return UINT64_MAX;
    return lay_out(kernel, shape, resources->threads).total;
}

static void close_cpu(void *handle) {
    cpu *self = handle;
    if (!self) return;
    free(self->memory);
    free(self);
}

/* One block, on huge pages where the system has them: a tile's trace spans many small ones. */
static void *allocate_block(uint64_t size) {
    if (size > SIZE_MAX - HUGE_PAGE) return NULL;
    bool const large = size >= HUGE_PAGE;
    void *block;
    if (posix_memalign(&block, large ? HUGE_PAGE : ALIGNMENT, (size_t)size) != 0) return NULL;
    if (large) madvise(block, (size_t)size, MADV_HUGEPAGE);
    return block;
}

static rs_status open_cpu(const rs_shape *largest, const rs_resources *resources, void **handle) {
    cpu *self = calloc(1, sizeof *self);
    if (!self) return rs_fail(RS_EMEMORY, "engine cpu: no memory");
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) {
        rs_status const status = rs_cpu_kernel_choose(p, &self->kernel[p]);
        if (status != RS_OK) {
            close_cpu(self);
            return status;
        }
    }
    self->threads = resources->threads;
    self->size = bytes(largest, resources);
    self->memory = allocate_block(self->size);
    if (!self->memory) {
        unsigned long long const size = self->size;
        close_cpu(self);
        return rs_fail(RS_EMEMORY, "engine cpu: no memory for %llu bytes: use a smaller --memory",
                       size);
    }
    *handle = self;
    return RS_OK;
}

const rs_engine rs_engine_cpu = {
    .name = "cpu",
    .device = device,
    .supports = supports,
    .bytes = bytes,
    .open = open_cpu,
    .run = run,
    .close = close_cpu,
};
