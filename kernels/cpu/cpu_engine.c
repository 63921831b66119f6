#include "cpu.h"

#include "../base/block.h"
#include "../base/clock.h"
#include "../host_device.h"
#include "kernel.h"
#include "pool.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20 };

/* Tiles of a launch, or whole groups, for each thread, from which on a last one that one thread
 * alone still has costs little. */
enum { MANY_TILES = 8 };

/* Numbers that an item of filling lays out: a microsecond's worth. */
enum { FILL_NUMBERS = 1024 };

/* Weights that an item of loading packs, and those from which on threads share them. */
enum { LOAD_NUMBERS = 1 << 14, MANY_WEIGHTS = 1 << 16 };

/* A pass below this, in the units of cost_of(), is done by the time that another thread is awake.
 */
static double const SMALL_COST = 0x1p18;

/* Columns and multiply-adds that a launch should hold for each thread, whichever it reaches first:
 * a millisecond's worth of small networks, or ten of larger ones. Packing more would gain nothing
 * and would put off storing what is done. */
enum { COLUMNS_A_THREAD = 2048 };
static double const WORK_A_THREAD = 5e8;

/* One group's weights, as load() leaves them. */
typedef struct network {
    void *forward_w, *backward_w; /* packed: see rs_cpu_tile */
    double *weight_ih;            /* [K H][I] */
    double *bias;                 /* [K H] of the drive */
    void *product_bias;           /* real [H] of a GRU's candidate */
} network;

/* What the columns of one group are given, laid out for the kernel: see rs_cpu_tile. */
typedef struct group_arrays {
    void *drive, *start[RS_MAX_STATES], *delta, *input;
} group_arrays;

/* Seconds that a thread spent in each part of a pass; forward has the filling of groups it has
 * whole. */
typedef struct passes {
    double forward, backward, gradient;
    rs_cpu_tangent_seconds tangent;
} passes;

typedef struct cpu {
    const rs_cpu_kernel *kernel[RS_N_PRECISION];
    int threads;
    rs_pool *pool;
    passes *passes;        /* [threads] */
    unsigned char *memory; /* one block: the weights first, the rest dealt out anew by every run */
    uint64_t size;
} cpu;

/* How a group's columns are cut into items of work, which differ by one unit: a vector of columns,
 * or for gradients a radius, whose samples are added up by one thread, or else for tangents a
 * column, as each costs the same whatever is beside it. An item that is wider than a tile, as a
 * radius can be, is run tile after tile. */
typedef struct tiling {
    size_t unit;  /* columns */
    size_t units; /* the last one of vectors may be short */
    size_t items;
} tiling;

/* Where everything lies in the block. The place of the networks depends on sizes alone that load()
 * and run() have in common. */
typedef struct layout {
    tiling tiling;
    size_t period;                           /* see rs_cpu_tile */
    uint64_t packed, weight_ih, bias, units; /* bytes of one array of a network */
    uint64_t samples, input, inputs;         /* of one array of a group; one step's x, all */
    uint64_t drive_step, drive;              /* one step's u; all */
    uint64_t network, group, scratch, sums, tangent, rows; /* bytes of a part of each of these: */
    unsigned char *networks;                               /* the weights of each group */
    unsigned char *groups;                                 /* all other arrays of each group */
    unsigned char *scratches;                              /* of each thread that runs tiles */
    unsigned char *all_sums;                               /* of each such thread, of gradients */
    unsigned char *all_tangents;                           /* likewise */
    unsigned char *all_rows; /* of each thread: the drive of a step, in double */
    uint64_t total;
    int threads; /* that run tiles */
} layout;

static size_t unit_of(const rs_cpu_kernel *kernel, const rs_shape *shape) {
    if (shape->gradients) return shape->batch;
    return shape->directions > 0 ? 1 : kernel->lanes;
}

/* As few items as the tiles' width allows. Where that makes few of them, as many for every thread,
 * if there are units enough: no thread should wait for the last item of another. */
static tiling cut_items(const rs_cpu_kernel *kernel, const rs_shape *shape, int threads) {
    size_t const n = (size_t)threads, unit = unit_of(kernel, shape);
    uint64_t const columns = rs_size_mul(shape->radii, shape->batch);
    tiling cut = {.unit = unit, .units = (size_t)(columns / unit + (columns % unit != 0))};
    size_t const width = kernel->max_vectors * kernel->lanes,
                 most = unit < width ? width / unit : 1;
    size_t items = cut.units / most + (cut.units % most != 0);
    if (rs_size_mul(shape->groups, items) < rs_size_mul(MANY_TILES, n))
        items = (items + n - 1) / n * n;
    cut.items = items < cut.units ? items : cut.units;
    return cut;
}

static bool driven(const rs_shape *shape) { return shape->drive != RS_DRIVE_ZERO; }

/* Without a drive one step of biases serves all. */
static uint64_t driven_steps(const rs_shape *shape) {
    return driven(shape) ? rs_size_add(shape->warmup, shape->steps) : 1;
}

static network deal_network(const layout *l, rs_block *block) {
    network n;
    n.forward_w = rs_block_take(block, 1, l->packed);
    n.backward_w = rs_block_take(block, 1, l->packed);
    n.weight_ih = rs_block_take(block, 1, l->weight_ih);
    n.bias = rs_block_take(block, 1, l->bias);
    n.product_bias = rs_block_take(block, 1, l->units);
    return n;
}

static network network_of(const layout *l, size_t group) {
    rs_block block = rs_block_deal(l->networks + group * l->network, ALIGNMENT);
    return deal_network(l, &block);
}

static group_arrays deal_group(const layout *l, rs_block *block) {
    group_arrays a;
    for (size_t state = 0; state < RS_MAX_STATES; ++state)
        a.start[state] = rs_block_take(block, 1, l->samples);
    a.delta = rs_block_take(block, 1, l->samples);
    a.drive = rs_block_take(block, 1, l->drive);
    a.input = rs_block_take(block, 1, l->inputs);
    return a;
}

static group_arrays arrays_of(const layout *l, size_t group) {
    rs_block block = rs_block_deal(l->groups + group * l->group, ALIGNMENT);
    return deal_group(l, &block);
}

static void measure_network(const rs_cpu_kernel *kernel, const rs_shape *shape, layout *l) {
    rs_block block = rs_block_measure(ALIGNMENT);
    l->packed = kernel->packed_bytes(shape);
    l->bias = rs_size_mul(gate_rows(shape), sizeof(double));
    l->units = rs_size_mul(shape->hidden, kernel->real_bytes);
    l->weight_ih = rs_size_mul(l->bias, shape->input_size);
    (void)deal_network(l, &block);
    l->network = block.used;
}

/* Gradients need x, not the drive that is made of it alone. */
static bool keeps_input(const rs_shape *shape) {
    return shape->gradients && shape->drive == RS_DRIVE_WEIGHTED;
}

static void measure_group(const rs_cpu_kernel *kernel, const rs_shape *shape, layout *l) {
    uint64_t const row = rs_size_mul(l->period, kernel->real_bytes);
    rs_block block = rs_block_measure(ALIGNMENT);
    l->samples = rs_size_round_up(rs_size_mul(shape->hidden, row), ALIGNMENT);
    l->drive_step = rs_size_round_up(rs_size_mul(gate_rows(shape), row), ALIGNMENT);
    l->drive = rs_size_mul(driven_steps(shape), l->drive_step);
    l->input = rs_size_mul(keeps_input(shape) ? shape->input_size : 0, row);
    l->inputs = rs_size_mul(shape->steps, l->input);
    (void)deal_group(l, &block);
    l->group = block.used;
}

/* Vectors of the widest tile there may be: bytes must not decrease as columns grow. */
static size_t widest(const rs_cpu_kernel *kernel, const rs_shape *shape) {
    uint64_t const columns = rs_size_mul(shape->radii, shape->batch);
    uint64_t const vectors = columns / kernel->lanes + (columns % kernel->lanes != 0);
    return vectors < kernel->max_vectors ? (size_t)vectors : kernel->max_vectors;
}

/* Measures or deals the block, whose parts are aligned to ALIGNMENT. */
static layout lay_out(const rs_cpu_kernel *kernel, const rs_shape *shape, int threads,
                      rs_block block) {
    layout l = {0};
    l.tiling = cut_items(kernel, shape, threads);
    l.period = shape->batch + kernel->lanes - 1;
    uint64_t const items = rs_size_mul(shape->groups, l.tiling.items);
    l.threads = items < (uint64_t)threads ? (int)items : threads;
    measure_network(kernel, shape, &l);
    measure_group(kernel, shape, &l);
    l.scratch = rs_size_round_up(kernel->scratch_bytes(shape, widest(kernel, shape)), ALIGNMENT);
    l.sums = shape->gradients ? rs_size_round_up(kernel->gradient->bytes(shape), ALIGNMENT) : 0;
    l.tangent =
        shape->directions > 0 ? rs_size_round_up(kernel->tangent->bytes(shape), ALIGNMENT) : 0;
    uint64_t const rows = gate_rows(shape);
    uint64_t const wider = shape->input_size > rows ? shape->input_size : rows;
    l.rows =
        rs_size_round_up(rs_size_mul(rs_size_mul(wider, shape->batch), sizeof(double)), ALIGNMENT);

    l.networks = rs_block_take(&block, shape->groups, l.network);
    l.groups = rs_block_take(&block, shape->groups, l.group);
    l.scratches = rs_block_take(&block, (uint64_t)l.threads, l.scratch);
    l.all_sums = rs_block_take(&block, (uint64_t)l.threads, l.sums);
    l.all_tangents = rs_block_take(&block, (uint64_t)l.threads, l.tangent);
    l.all_rows = rs_block_take(&block, (uint64_t)threads, l.rows);
    l.total = block.used;
    return l;
}

/* One run, as its threads share it. */
typedef struct run_state {
    const cpu *self;
    const rs_cpu_kernel *kernel;
    const rs_pass *pass;
    const layout *l;
    rs_record *out;
    size_t items;
    size_t fill_steps;  /* steps that one item of filling lays out */
    size_t parts;       /* that the driver is told of: items, or with tangents columns */
    atomic_size_t done; /* finished parts */
    atomic_bool stop;
} run_state;

/* ---- loading ------------------------------------------------------------------------------- */

/* One load, as its threads share it. */
typedef struct load_state {
    const rs_cpu_kernel *kernel;
    const rs_shape *shape;
    const rs_parameters *of;
    const layout *l;
    size_t parts; /* that the packing of one network is cut into */
} load_state;

static void put(void *array, size_t i, double x, rs_precision precision) {
    if (precision == RS_F32)
        ((float *)array)[i] = (float)x;
    else
        ((double *)array)[i] = x;
}

static double bias_at(const double *bias, size_t i) { return bias ? bias[i] : 0.0; }

static void load_biases(const rs_shape *shape, const rs_parameters *of, network to) {
    size_t const rows = gate_rows(shape);
    size_t const candidate = shape->cell == RS_GRU ? RS_GRU_N * shape->hidden : rows;
    for (size_t i = 0; i < rows; ++i)
        to.bias[i] = bias_at(of->bias_ih, i) + (i < candidate ? bias_at(of->bias_hh, i) : 0.0);
    for (size_t i = candidate; i < rows; ++i)
        put(to.product_bias, i - candidate, bias_at(of->bias_hh, i), shape->precision);
}

static void load_drive(const rs_shape *shape, const rs_parameters *of, network to) {
    load_biases(shape, of, to);
    if (shape->drive != RS_DRIVE_WEIGHTED) return;
    memcpy(to.weight_ih, of->weight_ih,
           gate_rows(shape) * shape->input_size * sizeof *of->weight_ih);
}

static void load_item(void *arg, size_t item, int thread) {
    const load_state *s = arg;
    (void)thread;
    size_t const g = item / s->parts, part = item % s->parts;
    network const to = network_of(s->l, g);
    s->kernel->pack(s->shape, s->of[g].weight_hh, part, s->parts, to.forward_w, to.backward_w);
    if (part == 0) load_drive(s->shape, &s->of[g], to);
}

/* ---- filling ------------------------------------------------------------------------------- */

static void fill_constants(const run_state *r, const rs_columns *of, group_arrays a) {
    const rs_shape *shape = &r->pass->shape;
    const rs_cpu_kernel *kernel = r->kernel;
    for (size_t state = 0; state < rs_cell_of(shape->cell)->states; ++state)
        kernel->put_samples(shape->hidden, shape->batch, of->start[state], a.start[state]);
    kernel->put_samples(shape->hidden, shape->batch, of->delta, a.delta);
}

/* x of a step; `rows` is room for [B][I] in double. */
static void fill_input(const run_state *r, size_t group, size_t step, double *rows, void *inputs) {
    const rs_shape *shape = &r->pass->shape;
    size_t const size = shape->input_size;
    if (!keeps_input(shape) || step < shape->warmup) return;
    for (size_t b = 0; b < shape->batch; ++b)
        rs_drive_input(shape, &r->pass->of[group].drive, step, b, rows + b * size);
    r->kernel->put_samples(size, shape->batch, rows,
                           (unsigned char *)inputs + (step - shape->warmup) * r->l->input);
}

/* `rows` is room for the drive of one step, [B][K H] in double. */
static void fill_step(const run_state *r, size_t group, size_t step, double *rows, void *out) {
    const rs_shape *shape = &r->pass->shape;
    size_t const count = gate_rows(shape);
    network const n = network_of(r->l, group);
    rs_parameters const of = {.weight_ih = n.weight_ih, .bias_ih = n.bias};
    for (size_t b = 0; b < shape->batch; ++b)
        r->kernel->fill_drive(shape, &of, &r->pass->of[group].drive, step, b, rows + b * count);
    r->kernel->put_samples(count, shape->batch, rows, out);
}

/* Items of filling: of each group its constants first, and then its steps. */
static size_t fills_of_group(const run_state *r) {
    size_t const steps = (size_t)driven_steps(&r->pass->shape);
    return 1 + (steps + r->fill_steps - 1) / r->fill_steps;
}

/* A part of what tiles read; the parts are independent. */
static void fill_item(void *arg, size_t item, int thread) {
    const run_state *r = arg;
    const layout *l = r->l;
    size_t const fills = fills_of_group(r), group = item / fills, part = item % fills;
    group_arrays const a = arrays_of(l, group);
    if (part == 0) {
        fill_constants(r, &r->pass->of[group], a);
        return;
    }
    size_t const all = (size_t)driven_steps(&r->pass->shape), first = (part - 1) * r->fill_steps;
    size_t const end = all - first < r->fill_steps ? all : first + r->fill_steps;
    double *rows = (double *)(void *)(l->all_rows + (uint64_t)thread * l->rows);
    for (size_t step = first; step < end; ++step) {
        fill_step(r, group, step, rows, (unsigned char *)a.drive + step * l->drive_step);
        fill_input(r, group, step, rows, a.input);
    }
}

/* ---- running ------------------------------------------------------------------------------- */

/* No kernel's tile is wider. */
enum { MOST_VECTORS = 8, MOST_COLUMNS = 64 };

/* Counts a finished part; the calling thread alone may ask the driver whether to go on. */
static void report(run_state *r, int thread) {
    size_t const done = atomic_fetch_add(&r->done, 1) + 1;
    if (thread != 0 || !r->pass->tick) return;
    if (!r->pass->tick(r->pass->tick_arg, (double)done / (double)r->parts))
        atomic_store(&r->stop, true);
}

/* Column by column, each of which may take seconds. */
static void carry_tangents(run_state *r, const rs_cpu_tile *tile, int thread) {
    rs_cpu_tangent_seconds *seconds = &r->self->passes[thread].tangent;
    for (size_t column = 0; column < tile->columns && !atomic_load(&r->stop); ++column) {
        r->kernel->tangent->carry(tile, column, seconds);
        report(r, thread);
    }
}

static void count_seconds(run_state *r, const rs_cpu_tile *tile, int thread) {
    passes *seconds = &r->self->passes[thread];
    double const start = rs_seconds();
    r->kernel->forward(tile);
    double const middle = rs_seconds();
    r->kernel->backward(tile);
    double const end = rs_seconds();
    seconds->forward += middle - start;
    seconds->backward += end - middle;
    if (tile->shape->gradients) {
        r->kernel->gradient->add(tile);
        seconds->gradient += rs_seconds() - end;
    }
    if (tile->shape->directions > 0) carry_tangents(r, tile, thread);
}

/* s_k of columns first .. end, [K][width]. */
static void fill_scale(const rs_shape *shape, const rs_columns *of, size_t first, size_t end,
                       size_t width, void *scale) {
    size_t const gates = rs_cell_of(shape->cell)->gates;
    size_t radius = first / shape->batch, sample = first % shape->batch;
    for (size_t c = 0; c < end - first; ++c) {
        for (size_t k = 0; k < gates; ++k)
            put(scale, k * width + c, of->scale[radius * gates + k], shape->precision);
        if (++sample < shape->batch) continue;
        sample = 0;
        ++radius;
    }
}

/* Where the tangents of a tile go, whose first column is `at` of all groups' ones. */
static void point_tangents(const run_state *r, size_t at, int thread, rs_cpu_tile *tile) {
    const rs_shape *shape = tile->shape;
    const rs_record *out = r->out;
    size_t const k = shape->directions;
    tile->tangents = r->l->all_tangents + (uint64_t)thread * r->l->tangent;
    tile->stretch = out->stretch + at * RS_STRETCH_BLOCKS * k;
    tile->qr_gap = out->qr_gap + at;
    tile->log_slope = out->log_slope + at;
    tile->singular = shape->n_singular > 0 ? out->singular + at * shape->n_singular * k : NULL;
}

/* Columns first .. end of group g. */
static void run_tile(run_state *r, size_t g, size_t first, size_t end, int thread) {
    const rs_shape *shape = &r->pass->shape;
    const rs_columns *of = &r->pass->of[g];
    const rs_cpu_kernel *kernel = r->kernel;
    const layout *l = r->l;
    size_t const columns = shape->radii * shape->batch, lanes = kernel->lanes;
    size_t const vectors = (end - first + lanes - 1) / lanes, radius = first / shape->batch;
    network const n = network_of(l, g);
    group_arrays const a = arrays_of(l, g);

    size_t sample[MOST_VECTORS];
    for (size_t v = 0; v < vectors; ++v) sample[v] = (first + v * lanes) % shape->batch;
    _Alignas(ALIGNMENT) unsigned char scale[RS_MAX_GATES * MOST_COLUMNS * sizeof(double)] = {0};
    fill_scale(shape, of, first, end, vectors * lanes, scale);
    size_t const at = g * shape->steps * columns, states = rs_cell_of(shape->cell)->states;
    size_t const gradient = (g * shape->radii + radius) * RS_N_GRADIENT;
    rs_cpu_tile tile = {
        .shape = shape,
        .vectors = vectors,
        .columns = end - first,
        .forward_w = n.forward_w,
        .backward_w = n.backward_w,
        .product_bias = n.product_bias,
        .scale = scale,
        .sample = sample,
        .period = l->period,
        .drive = a.drive,
        .drive_stride = driven(shape) ? l->drive_step / kernel->real_bytes : 0,
        .start = {a.start[0], a.start[1]},
        .delta = a.delta,
        .input = keeps_input(shape) ? a.input : NULL,
        .step_delta = of->step_delta,
        .scratch = l->scratches + (uint64_t)thread * l->scratch,
        .sums = l->all_sums + (uint64_t)thread * l->sums,
        .norm2 = r->out->norm2 + states * at + first,
        .exponent = r->out->exponent + at + first,
        .record_stride = columns,
        .nonfinite_step = r->out->nonfinite_step + g * columns + first,
        .gradient2 = shape->gradients ? r->out->gradient2 + gradient : NULL,
        .gradient_exponent = shape->gradients ? r->out->gradient_exponent + gradient : NULL,
    };
    if (shape->directions > 0) point_tangents(r, g * columns + first, thread, &tile);
    count_seconds(r, &tile, thread);
}

/* Where item k of a group begins. */
static size_t item_start(const run_state *r, size_t k) {
    const tiling *cut = &r->l->tiling;
    size_t const columns = r->pass->shape.radii * r->pass->shape.batch;
    size_t const start = k * cut->units / cut->items * cut->unit;
    return start < columns ? start : columns;
}

static void run_item(run_state *r, size_t index, int thread) {
    size_t const g = index / r->l->tiling.items, k = index % r->l->tiling.items;
    size_t const first = item_start(r, k), end = item_start(r, k + 1);
    size_t const lanes = r->kernel->lanes, most = r->kernel->max_vectors;
    size_t const vectors = (end - first + lanes - 1) / lanes, tiles = (vectors + most - 1) / most;
    for (size_t i = 0; i < tiles; ++i) {
        size_t const from = first + i * vectors / tiles * lanes;
        size_t const to = first + (i + 1) * vectors / tiles * lanes;
        run_tile(r, g, from, to < end ? to : end, thread);
    }
}

static void tile_item(void *arg, size_t item, int thread) {
    run_state *r = arg;
    if (atomic_load(&r->stop)) return;
    run_item(r, item, thread);
    if (r->pass->shape.directions == 0) report(r, thread);
}

/* A group by itself: the thread that lays it out finds it in its cache. */
static void group_item(void *arg, size_t group, int thread) {
    run_state *r = arg;
    if (atomic_load(&r->stop)) return;
    size_t const fills = fills_of_group(r), items = r->l->tiling.items;
    double const start = rs_seconds();
    for (size_t i = 0; i < fills; ++i) fill_item(r, group * fills + i, thread);
    r->self->passes[thread].forward += rs_seconds() - start;
    for (size_t i = 0; i < items; ++i) tile_item(r, group * items + i, thread);
}

/* Runs a pass on at most so many threads and returns the seconds until its tiles were begun. Groups
 * are dealt whole where there are many of them, else in parts, which all threads lay out first. */
static double deal(run_state *r, int threads) {
    size_t const groups = r->pass->shape.groups;
    if (groups >= MANY_TILES * (size_t)threads) {
        rs_pool_run(r->self->pool, threads, groups, group_item, r);
        return 0.0;
    }
    double const start = rs_seconds();
    rs_pool_run(r->self->pool, threads, groups * fills_of_group(r), fill_item, r);
    double const filling = rs_seconds() - start;
    int const most = threads < r->l->threads ? threads : r->l->threads;
    rs_pool_run(r->self->pool, most, r->items, tile_item, r);
    return filling;
}

/* Roughly what a pass costs; an activation counts as so many multiply-adds. */
static double cost_of(const rs_shape *shape) {
    enum { ACTIVATION = 16 };
    double const columns = (double)(shape->groups * shape->radii * shape->batch);
    double const steps = (double)(shape->warmup + shape->steps);
    double const cost =
        columns * steps * (double)gate_rows(shape) * (double)(shape->hidden + ACTIVATION);
    double const tangents = columns * (double)(shape->transient + shape->steps) *
                            (double)gate_rows(shape) * (double)shape->hidden *
                            (double)shape->directions;
    return (shape->gradients ? 2.0 * cost : cost) + tangents;
}

/* A tile goes forward and back in one go: the wall time is shared out by the threads' sums. */
static void share_out(const cpu *self, double filling, double wall, rs_record *out) {
    passes sum = {0};
    for (int i = 0; i < self->threads; ++i) {
        sum.forward += self->passes[i].forward;
        sum.backward += self->passes[i].backward;
        sum.gradient += self->passes[i].gradient;
        sum.tangent.carrying += self->passes[i].tangent.carrying;
        sum.tangent.qr += self->passes[i].tangent.qr;
    }
    double const all =
        sum.forward + sum.backward + sum.gradient + sum.tangent.carrying + sum.tangent.qr;
    double const share = all > 0.0 ? wall / all : 0.0;
    out->forward_seconds = filling + share * sum.forward;
    out->backward_seconds = share * sum.backward;
    out->gradient_seconds = share * sum.gradient;
    out->tangent_seconds = share * sum.tangent.carrying;
    out->qr_seconds = share * sum.tangent.qr;
    out->transfer_seconds = 0.0;
}

static rs_status lay_out_handle(const cpu *self, const rs_shape *shape, layout *out) {
    *out = lay_out(self->kernel[shape->precision], shape, self->threads,
                   rs_block_deal(self->memory, ALIGNMENT));
    if (out->total <= self->size) return RS_OK;
    return rs_fail(RS_EMEMORY, "engine cpu: the pass needs more memory than it was opened for");
}

static rs_status load(void *handle, const rs_shape *shape, const rs_parameters *of) {
    const cpu *self = handle;
    layout l;
    RS_TRY(lay_out_handle(self, shape, &l));
    size_t const weights = gate_rows(shape) * shape->hidden;
    load_state s = {self->kernel[shape->precision], shape, of, &l, 1 + weights / LOAD_NUMBERS};
    int const threads = shape->groups * weights < MANY_WEIGHTS ? 1 : self->threads;
    rs_pool_run(self->pool, threads, shape->groups * s.parts, load_item, &s);
    return RS_OK;
}

static rs_status run(void *handle, const rs_pass *pass, rs_record *out) {
    const cpu *self = handle;
    const rs_shape *shape = &pass->shape;
    const rs_cpu_kernel *kernel = self->kernel[shape->precision];
    layout l;
    RS_TRY(lay_out_handle(self, shape, &l));

    size_t const items = shape->groups * l.tiling.items;
    size_t const columns = shape->groups * shape->radii * shape->batch;
    run_state r = {.self = self,
                   .kernel = kernel,
                   .pass = pass,
                   .l = &l,
                   .out = out,
                   .items = items,
                   .parts = shape->directions > 0 ? columns : items,
                   .fill_steps = 1 + FILL_NUMBERS / (1 + gate_rows(shape) * l.period)};
    memset(self->passes, 0, (size_t)self->threads * sizeof *self->passes);
    double const start = rs_seconds();
    double const filling = deal(&r, cost_of(shape) < SMALL_COST ? 1 : self->threads);
    share_out(self, filling, rs_seconds() - start - filling, out);
    if (atomic_load(&r.stop)) return rs_fail(RS_EINTERRUPTED, "engine cpu: interrupted");
    return RS_OK;
}

/* ---- the table ----------------------------------------------------------------------------- */

static rs_status device(size_t index, rs_device *out) {
    if (index > 0) return rs_fail(RS_EDEVICE, "engine cpu: no device %zu: it has one", index);
    const rs_cpu_kernel *chosen;
    RS_TRY(rs_cpu_kernel_choose(RS_F32, &chosen));
    rs_host_device(out);
    snprintf(out->isa, sizeof out->isa, "%s", chosen->isa);
    snprintf(out->identity, sizeof out->identity, "cpu%s%s", chosen->fused ? "" : "-",
             chosen->fused ? "" : chosen->isa);
    out->columns_wanted = COLUMNS_A_THREAD * (size_t)out->threads;
    out->work_wanted = WORK_A_THREAD * out->threads;
    snprintf(out->abilities, sizeof out->abilities, "%d threads, %s (f32 x %zu, f64 x %zu)",
             out->threads, chosen->isa, chosen->lanes, chosen->lanes / 2);
    return RS_OK;
}

static rs_status bytes(size_t device, const rs_shape *shape, const rs_resources *resources,
                       uint64_t *out) {
    (void)device;
    const rs_cpu_kernel *kernel;
    if (shape->learns)
        return rs_fail(RS_EINPUT, "engine cpu: does not learn yet: use --engine reference");
    RS_TRY(rs_cpu_kernel_choose(shape->precision, &kernel));
    *out = lay_out(kernel, shape, resources->threads, rs_block_measure(ALIGNMENT)).total;
    return RS_OK;
}

static void close_cpu(void *handle) {
    cpu *self = handle;
    if (!self) return;
    rs_pool_close(self->pool);
    free(self->passes);
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

static rs_status fill_handle(cpu *self, const rs_shape *largest, const rs_resources *resources) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        RS_TRY(rs_cpu_kernel_choose(p, &self->kernel[p]));
    self->threads = resources->threads;
    RS_TRY(bytes(0, largest, resources, &self->size));
    self->passes = calloc((size_t)self->threads, sizeof *self->passes);
    self->memory = allocate_block(self->size);
    if (!self->memory || !self->passes)
        return rs_fail(RS_EMEMORY, "engine cpu: no memory for %llu bytes: use a smaller --memory",
                       (unsigned long long)self->size);
    return rs_fail_in(rs_pool_open(self->threads, &self->pool), "engine cpu");
}

static rs_status open_cpu(size_t device, const rs_shape *largest, const rs_resources *resources,
                          void **handle) {
    (void)device;
    cpu *self = calloc(1, sizeof *self);
    if (!self) return rs_fail(RS_EMEMORY, "engine cpu: no memory");
    rs_status const status = fill_handle(self, largest, resources);
    if (status == RS_OK)
        *handle = self;
    else
        close_cpu(self);
    return status;
}

const rs_engine rs_engine_cpu = {
    .name = "cpu",
    .device = device,
    .bytes = bytes,
    .open = open_cpu,
    .load = load,
    .run = run,
    .close = close_cpu,
};
