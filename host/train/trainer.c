#include "trainer.h"

#include "../../kernels/base/block.h"
#include "../../kernels/record.h"
#include "readout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A network's read-out and data; what it needs of a batch. */
typedef struct student {
    double *weight, *bias;     /* [O][H], [O] */
    double *d_weight, *d_bias; /* of the batch's loss */
    double *y;                 /* [O] */
    double *input, *target;    /* of the batch */
    uint64_t seed;
    double rate, limit;
    rs_clipping clipping;
} student;

struct rs_trainer {
    const rs_engine *engine;
    void *handle;
    rs_lesson lesson;
    size_t networks, states; /* states of a batch that are asked about */
    uint64_t updates;
    rs_pass pass;
    rs_record record;
    double scale[RS_MAX_GATES];
    rs_columns *columns; /* [networks] as all below */
    student *student;
    rs_learning_step *step;
    rs_progress_of *progress;
    double *numbers; /* all arrays of all students */
};

static const rs_task_info *task_of(const rs_trainer *t) { return rs_task_of(t->lesson.task); }

/* ---- the loss -------------------------------------------------------------------------------- */

/* States are asked about step by step, as targets stand. */
static void ask(void *arg, size_t network, const double *state, double *delta) {
    rs_trainer *t = arg;
    const student *s = &t->student[network];
    rs_readout const of = {task_of(t)->criterion, t->lesson.hidden, task_of(t)->outputs, s->weight,
                           s->bias};
    rs_readout_result found = {.weight = s->d_weight, .bias = s->d_bias, .y = s->y};
    found.state = delta;
    rs_readout_run(&of, t->states, state, s->target, &found);
    t->progress[network].loss = found.loss;
    t->progress[network].wrong = found.wrong;
}

static rs_status run(rs_trainer *t, bool evaluates, uint32_t number) {
    for (size_t i = 0; i < t->networks; ++i) {
        student *s = &t->student[i];
        rs_batch_place const at = {.seed = s->seed, .evaluates = evaluates, .number = number};
        rs_task_fill(t->lesson.task, t->lesson.length, &at, t->lesson.batch, s->input, s->target);
    }
    return t->engine->run(t->handle, &t->pass, &t->record);
}

/* ---- a step ---------------------------------------------------------------------------------- */

static double square_of(const double *x, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) sum += x[i] * x[i];
    return sum;
}

/* Of all parameters, those of the read-out behind the engine's. */
static double norm_of(const rs_trainer *t, size_t network) {
    const student *s = &t->student[network];
    size_t const outputs = task_of(t)->outputs, first = network * RS_N_GRADIENT;
    double sum = 0.0;
    for (size_t i = first; i < first + RS_N_GRADIENT; ++i)
        sum += ldexp(t->record.gradient2[i], 2 * t->record.gradient_exponent[i]);
    sum += square_of(s->d_weight, outputs * t->lesson.hidden) + square_of(s->d_bias, outputs);
    return sqrt(sum);
}

static void step_down(double *x, const double *gradient, size_t n, const rs_learning_step *step) {
    for (size_t i = 0; i < n; ++i) x[i] -= rs_learning_move(step, gradient[i]);
}

/* What a network's step will be: none once its loss or norm has not been finite. */
static rs_learning_step choose_step(const student *s, uint64_t update, rs_progress_of *p) {
    rs_learning_step const none = {0.0, INFINITY};
    p->coefficient = 1.0;
    if (p->diverged_at == 0 && !(isfinite(p->loss) && isfinite(p->norm))) p->diverged_at = update;
    if (p->diverged_at > 0) return none;
    if (s->clipping == RS_CLIP_VALUE) return (rs_learning_step){s->rate, s->limit};
    if (s->clipping == RS_CLIP_NORM) p->coefficient = fmin(1.0, s->limit / (p->norm + 1e-6));
    return (rs_learning_step){s->rate * p->coefficient, INFINITY};
}

rs_status rs_trainer_update(rs_trainer *t) {
    size_t const outputs = task_of(t)->outputs;
    RS_TRY(run(t, false, (uint32_t)(t->updates + 1)));
    ++t->updates;
    for (size_t i = 0; i < t->networks; ++i) {
        const student *s = &t->student[i];
        t->progress[i].norm = norm_of(t, i);
        t->step[i] = choose_step(s, t->updates, &t->progress[i]);
        if (t->progress[i].diverged_at > 0) continue; /* 0 times inf would be NaN */
        step_down(s->weight, s->d_weight, outputs * t->lesson.hidden, &t->step[i]);
        step_down(s->bias, s->d_bias, outputs, &t->step[i]);
    }
    return t->engine->learn(t->handle, t->step);
}

rs_status rs_trainer_evaluate(rs_trainer *t, uint32_t number) { return run(t, true, number); }

uint64_t rs_trainer_updates(const rs_trainer *t) { return t->updates; }

const rs_progress_of *rs_trainer_progress(const rs_trainer *t) { return t->progress; }

/* ---- opening --------------------------------------------------------------------------------- */

static rs_shape shape_of(const rs_lesson *lesson, size_t networks) {
    const rs_task_info *task = rs_task_of(lesson->task);
    return (rs_shape){.groups = networks,
                      .radii = 1,
                      .batch = lesson->batch,
                      .hidden = lesson->hidden,
                      .input_size = task->inputs,
                      .steps = rs_task_steps(lesson->task, lesson->length),
                      .drive = RS_DRIVE_WEIGHTED,
                      .cell = lesson->cell,
                      .leak = lesson->leak,
                      .precision = lesson->precision,
                      .gradients = true,
                      .learns = true,
                      .every_step = task->every_step};
}

/* Measures or deals the arrays of one student. */
static void deal(const rs_trainer *t, rs_block *block, student *s) {
    uint64_t const number = sizeof(double), outputs = task_of(t)->outputs;
    uint64_t const input = rs_size_mul(t->lesson.batch, task_of(t)->inputs);
    for (int i = 0; i < 2; ++i) {
        *(i ? &s->d_weight : &s->weight) =
            rs_block_take(block, outputs, rs_size_mul(t->lesson.hidden, number));
        *(i ? &s->d_bias : &s->bias) = rs_block_take(block, outputs, number);
    }
    s->y = rs_block_take(block, outputs, number);
    s->input = rs_block_take(block, t->pass.shape.steps, rs_size_mul(input, number));
    s->target = rs_block_take(block, t->states, number);
}

static rs_status allocate(rs_trainer *t) {
    rs_block block = rs_block_measure(sizeof(double));
    student unused;
    for (size_t i = 0; i < t->networks; ++i) deal(t, &block, &unused);
    t->columns = calloc(t->networks, sizeof *t->columns);
    t->student = calloc(t->networks, sizeof *t->student);
    t->step = calloc(t->networks, sizeof *t->step);
    t->progress = calloc(t->networks, sizeof *t->progress);
    t->numbers = block.used < SIZE_MAX ? malloc((size_t)block.used) : NULL;
    if (t->columns && t->student && t->step && t->progress && t->numbers) return RS_OK;
    return rs_fail(RS_EMEMORY, "no memory to train %zu networks of %zu units", t->networks,
                   t->lesson.hidden);
}

static void begin(rs_trainer *t, const rs_novice *of) {
    rs_block block = rs_block_deal(t->numbers, sizeof(double));
    size_t const outputs = task_of(t)->outputs, weights = outputs * t->lesson.hidden;
    for (size_t i = 0; i < t->networks; ++i) {
        student *s = &t->student[i];
        deal(t, &block, s);
        memcpy(s->weight, of[i].readout_weight, weights * sizeof *s->weight);
        memcpy(s->bias, of[i].readout_bias, outputs * sizeof *s->bias);
        s->seed = of[i].seed;
        s->rate = of[i].rate;
        s->clipping = of[i].clipping;
        s->limit = of[i].limit;
        t->columns[i] = (rs_columns){.scale = t->scale,
                                     .drive = {.input = s->input, .input_batch = t->lesson.batch}};
        t->progress[i].coefficient = 1.0;
    }
}

static rs_status load(rs_trainer *t, const rs_novice *of) {
    rs_parameters *const all = calloc(t->networks, sizeof *all);
    if (!all) return rs_fail(RS_EMEMORY, "no memory to train %zu networks", t->networks);
    for (size_t i = 0; i < t->networks; ++i) all[i] = of[i].recurrent;
    rs_status const status = t->engine->load(t->handle, &t->pass.shape, all);
    free(all);
    return status;
}

static rs_status fill(rs_trainer *t, size_t device, const rs_resources *resources,
                      const rs_novice *of) {
    RS_TRY(rs_task_allows(t->lesson.task, t->lesson.length));
    t->states = rs_task_targets(t->lesson.task, t->lesson.length) * t->lesson.batch;
    t->pass.shape = shape_of(&t->lesson, t->networks);
    RS_TRY(allocate(t));
    begin(t, of);
    t->pass.of = t->columns;
    t->pass.loss = ask;
    t->pass.loss_arg = t;
    for (size_t k = 0; k < RS_MAX_GATES; ++k) t->scale[k] = 1.0;
    uint64_t unused;
    RS_TRY(t->engine->bytes(device, &t->pass.shape, resources, &unused)); /* it may not learn */
    RS_TRY(rs_record_make(&t->pass.shape, &t->record));
    RS_TRY(t->engine->open(device, &t->pass.shape, resources, &t->handle));
    return load(t, of);
}

rs_status rs_trainer_open(const rs_engine *engine, size_t device, const rs_resources *resources,
                          const rs_lesson *lesson, size_t networks, const rs_novice *of,
                          rs_trainer **out) {
    rs_trainer *const t = calloc(1, sizeof *t);
    if (!t) return rs_fail(RS_EMEMORY, "no memory to train %zu networks", networks);
    t->engine = engine;
    t->lesson = *lesson;
    t->networks = networks;
    rs_status const status = fill(t, device, resources, of);
    if (status != RS_OK) {
        rs_trainer_close(t);
        return status;
    }
    *out = t;
    return RS_OK;
}

rs_status rs_trainer_fetch(rs_trainer *t, size_t network, const rs_parameter_arrays *recurrent,
                           double *readout_weight, double *readout_bias) {
    const student *s = &t->student[network];
    size_t const outputs = task_of(t)->outputs;
    if (readout_weight)
        memcpy(readout_weight, s->weight, outputs * t->lesson.hidden * sizeof *s->weight);
    if (readout_bias) memcpy(readout_bias, s->bias, outputs * sizeof *s->bias);
    return t->engine->fetch(t->handle, network, false, recurrent);
}

void rs_trainer_close(rs_trainer *t) {
    if (!t) return;
    t->engine->close(t->handle);
    rs_record_free(&t->record);
    free(t->columns);
    free(t->student);
    free(t->step);
    free(t->progress);
    free(t->numbers);
    free(t);
}
