#include "task.h"

#include "../../kernels/base/random.h"

#include <string.h>

static const rs_task_info tasks[RS_N_TASK] = {
    [RS_ADDING] = {"adding", 2, 1, RS_SQUARED_ERROR, false, 2, 0},
    [RS_TEMPORAL_ORDER] = {"temporal-order", 6, 4, RS_CROSS_ENTROPY, false, 10, 0},
    [RS_COPY] = {"copy", 10, 9, RS_CROSS_ENTROPY, true, 1, 20},
};

const rs_task_info *rs_task_of(rs_task task) { return &tasks[task]; }

rs_status rs_task_named(const char *name, rs_task *out) {
    for (size_t i = 0; i < RS_N_TASK; ++i) {
        if (strcmp(name, tasks[i].name) != 0) continue;
        *out = (rs_task)i;
        return RS_OK;
    }
    return rs_fail(RS_EINPUT, "%s: must be adding, temporal-order or copy", name);
}

rs_status rs_task_allows(rs_task task, size_t length) {
    const rs_task_info *info = &tasks[task];
    if (length >= info->least_length) return RS_OK;
    return rs_fail(RS_EINPUT, "%zu: must be at least %zu for the task %s", length,
                   info->least_length, info->name);
}

size_t rs_task_steps(rs_task task, size_t length) { return length + tasks[task].more_steps; }

size_t rs_task_targets(rs_task task, size_t length) {
    return tasks[task].every_step ? rs_task_steps(task, length) : 1;
}

/* ---- random choices ------------------------------------------------------------------------- */

/* Number `index` of a sample: two uniforms in [0, 1). */
static void draw(const rs_batch_place *at, size_t sample, size_t index, double out[2]) {
    rs_stream const stream = at->evaluates ? RS_STREAM_EVALUATION : RS_STREAM_TASK;
    rs_uniform_pair(at->seed, stream, at->number, at->first_sample + (uint32_t)sample,
                    (uint32_t)index, out);
    out[0] = 1.0 - out[0];
}

/* One of `count` that are equally likely; a product below 1 times the count can round up to it. */
static size_t choose(double uniform, size_t count) {
    size_t const chosen = (size_t)(uniform * (double)count);
    return chosen < count ? chosen : count - 1;
}

/* A batch that is being filled. */
typedef struct filling {
    size_t length, batch, inputs;
    double *input, *target;
} filling;

static double *input_at(const filling *f, size_t step, size_t sample) {
    return f->input + (step * f->batch + sample) * f->inputs;
}

static void put_symbol(const filling *f, size_t step, size_t sample, size_t symbol) {
    input_at(f, step, sample)[symbol] = 1.0;
}

/* ---- tasks ---------------------------------------------------------------------------------- */

/* Number 0 has the marked places, number 1 + t what stands at step t. */
static void fill_adding(const filling *f, const rs_batch_place *at, size_t sample) {
    double place[2], value[2], sum = 0.0;
    size_t const half = f->length / 2;
    draw(at, sample, 0, place);
    size_t const first = choose(place[0], half);
    size_t const second = half + choose(place[1], f->length - half);
    for (size_t t = 0; t < f->length; ++t) {
        bool const is_marked = t == first || t == second;
        double *const input = input_at(f, t, sample);
        draw(at, sample, 1 + t, value);
        input[0] = value[0];
        input[1] = is_marked ? 1.0 : 0.0;
        if (is_marked) sum += value[0];
    }
    f->target[sample] = sum;
}

/* Number 0 has the two places, number 1 the two symbols, number 2 + t what stands at step t. */
static void fill_temporal_order(const filling *f, const rs_batch_place *at, size_t sample) {
    double place[2], symbol[2], other[2];
    size_t const tenth = f->length / 10;
    draw(at, sample, 0, place);
    draw(at, sample, 1, symbol);
    size_t const first = tenth + choose(place[0], tenth);
    size_t const second = f->length / 2 + choose(place[1], tenth);
    size_t const a = choose(symbol[0], 2), b = choose(symbol[1], 2);
    for (size_t t = 0; t < f->length; ++t) {
        draw(at, sample, 2 + t, other);
        put_symbol(f, t, sample, t == first ? a : t == second ? b : 2 + choose(other[0], 4));
    }
    f->target[sample] = (double)(a + 2 * b);
}

enum { COPIED = 10, COPY_SYMBOLS = 8, BLANK = COPY_SYMBOLS, MARK };

static void fill_copy(const filling *f, const rs_batch_place *at, size_t sample) {
    size_t const steps = rs_task_steps(RS_COPY, f->length), asked = steps - COPIED;
    for (size_t t = COPIED; t < steps; ++t)
        put_symbol(f, t, sample, t == COPIED + f->length - 1 ? MARK : BLANK);
    for (size_t t = 0; t < asked; ++t) f->target[t * f->batch + sample] = BLANK;
    for (size_t i = 0; i < COPIED; ++i) {
        double uniform[2];
        draw(at, sample, i, uniform);
        size_t const symbol = choose(uniform[0], COPY_SYMBOLS);
        put_symbol(f, i, sample, symbol);
        f->target[(asked + i) * f->batch + sample] = (double)symbol;
    }
}

void rs_task_fill(rs_task task, size_t length, const rs_batch_place *at, size_t batch,
                  double *input, double *target) {
    static void (*const fill[RS_N_TASK])(const filling *, const rs_batch_place *, size_t) = {
        [RS_ADDING] = fill_adding,
        [RS_TEMPORAL_ORDER] = fill_temporal_order,
        [RS_COPY] = fill_copy,
    };
    filling f = {.length = length, .batch = batch, .inputs = tasks[task].inputs};
    f.input = input;
    f.target = target;
    memset(input, 0, rs_task_steps(task, length) * batch * f.inputs * sizeof *input);
    for (size_t sample = 0; sample < batch; ++sample) fill[task](&f, at, sample);
}
