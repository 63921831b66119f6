/* Learning: gradients through read-out and loss against finite differences, for all cells and
 * tasks; what a step of learning does, and that networks learn beside each other as alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../host/train/readout.h"
#include "engine_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HIDDEN = 3, BATCH = 2, GROUPS = 2, MOST_OUTPUTS = 9, MOST_NUMBERS = 4 * HIDDEN * 12 };

/* One network of a problem. */
typedef struct network {
    double number[RS_N_GRADIENT][MOST_NUMBERS];
    double readout_weight[MOST_OUTPUTS * HIDDEN], readout_bias[MOST_OUTPUTS];
    double *input, *target;
    double loss;
} network;

/* Networks that learn a task. */
typedef struct problem {
    rs_task task;
    rs_pass pass;
    rs_columns columns[GROUPS];
    network network[GROUPS];
    double scale[RS_MAX_GATES];
    size_t targets;
} problem;

static size_t numbers_of(const rs_shape *s, int kind) {
    return rs_gate_rows(s) * (kind == RS_WEIGHT_IH   ? s->input_size
                              : kind == RS_WEIGHT_HH ? s->hidden
                                                     : 1);
}

/* The mean loss of a group's batch, in the order of states and targets alike: step by step. */
static void ask(void *arg, size_t group, const double *state, double *delta) {
    problem *p = arg;
    network *n = &p->network[group];
    const rs_task_info *task = rs_task_of(p->task);
    double weight[MOST_OUTPUTS * HIDDEN], bias[MOST_OUTPUTS], y[MOST_OUTPUTS];
    rs_readout const of = {task->criterion, HIDDEN, task->outputs, n->readout_weight,
                           n->readout_bias};
    rs_readout_result out = {.weight = weight, .bias = bias, .state = delta, .y = y};
    rs_readout_run(&of, p->targets * BATCH, state, n->target, &out);
    n->loss = out.loss;
}

static void make_network(problem *p, size_t g, size_t length) {
    const rs_task_info *task = rs_task_of(p->task);
    const rs_shape *s = &p->pass.shape;
    network *n = &p->network[g];
    rs_batch_place const at = {.seed = 5, .number = (uint32_t)g};
    for (int kind = 0; kind < RS_N_GRADIENT; ++kind)
        for (size_t i = 0; i < numbers_of(s, kind); ++i)
            n->number[kind][i] = 0.7 * sin((double)(7 * i + 3 * (size_t)kind + g) + 1.0);
    for (size_t i = 0; i < sizeof n->readout_weight / sizeof *n->readout_weight; ++i)
        n->readout_weight[i] = cos((double)(i * i) + 1.0);
    for (size_t i = 0; i < MOST_OUTPUTS; ++i) n->readout_bias[i] = 0.1 * (double)i;
    n->input = malloc(s->steps * BATCH * task->inputs * sizeof *n->input);
    n->target = malloc(p->targets * BATCH * sizeof *n->target);
    assert_true(n->input && n->target);
    rs_task_fill(p->task, length, &at, BATCH, n->input, n->target);
    p->columns[g] =
        (rs_columns){.scale = p->scale, .drive = {.input = n->input, .input_batch = BATCH}};
}

/* Points into itself. */
static void make(rs_task task, cell_kind kind, rs_precision precision, problem *p) {
    size_t const length = rs_task_of(task)->least_length + (task == RS_COPY ? 1 : 2);
    memset(p, 0, sizeof *p);
    p->task = task;
    p->targets = rs_task_targets(task, length);
    p->pass = (rs_pass){.shape = {.groups = GROUPS,
                                  .radii = 1,
                                  .batch = BATCH,
                                  .hidden = HIDDEN,
                                  .input_size = rs_task_of(task)->inputs,
                                  .steps = rs_task_steps(task, length),
                                  .drive = RS_DRIVE_WEIGHTED,
                                  .cell = kind.cell,
                                  .leak = kind.leak,
                                  .precision = precision,
                                  .gradients = true,
                                  .learns = true,
                                  .every_step = rs_task_of(task)->every_step},
                        .of = p->columns,
                        .loss = ask,
                        .loss_arg = p};
    for (size_t k = 0; k < RS_MAX_GATES; ++k) p->scale[k] = 1.0;
    for (size_t g = 0; g < GROUPS; ++g) make_network(p, g, length);
}

static void problem_free(problem *p) {
    for (size_t g = 0; g < GROUPS; ++g) {
        free(p->network[g].input);
        free(p->network[g].target);
    }
}

/* ---- an engine ------------------------------------------------------------------------------- */

typedef struct learner {
    const rs_engine *engine;
    void *handle;
    rs_record record;
} learner;

static void load(const learner *l, const problem *p) {
    rs_parameters of[GROUPS];
    for (size_t g = 0; g < p->pass.shape.groups; ++g)
        of[g] =
            (rs_parameters){p->network[g].number[RS_WEIGHT_HH], p->network[g].number[RS_WEIGHT_IH],
                            p->network[g].number[RS_BIAS_IH], p->network[g].number[RS_BIAS_HH]};
    assert_int_equal(l->engine->load(l->handle, &p->pass.shape, of), RS_OK);
}

static learner learner_open(const problem *p) {
    rs_resources const resources = {.threads = 1};
    learner l = {.engine = rs_engine_named("reference"), .record = record_make(&p->pass.shape)};
    assert_int_equal(l.engine->open(0, &p->pass.shape, &resources, &l.handle), RS_OK);
    load(&l, p);
    return l;
}

static void run(learner *l, const problem *p) {
    assert_int_equal(l->engine->run(l->handle, &p->pass, &l->record), RS_OK);
}

static void learner_close(learner *l) {
    l->engine->close(l->handle);
    rs_record_free(&l->record);
}

/* Into the numbers of a network. */
static void fetch(const learner *l, size_t group, bool gradient, network *out) {
    rs_parameter_arrays const to = {out->number[RS_WEIGHT_HH], out->number[RS_WEIGHT_IH],
                                    out->number[RS_BIAS_IH], out->number[RS_BIAS_HH]};
    assert_int_equal(l->engine->fetch(l->handle, group, gradient, &to), RS_OK);
}

/* ---- gradients ------------------------------------------------------------------------------- */

static double loss_of(learner *l, problem *p, size_t group) {
    load(l, p);
    run(l, p);
    return p->network[group].loss;
}

static void expect_gradients(rs_task task, cell_kind kind) {
    static problem p;
    static network gradient;
    double const h = 1e-5;
    make(task, kind, RS_F64, &p);
    learner l = learner_open(&p);
    run(&l, &p);
    fetch(&l, 1, true, &gradient);
    double norm2[RS_N_GRADIENT];
    for (int k = 0; k < RS_N_GRADIENT; ++k)
        norm2[k] = ldexp(l.record.gradient2[RS_N_GRADIENT + k],
                         2 * l.record.gradient_exponent[RS_N_GRADIENT + k]);
    for (int k = 0; k < RS_N_GRADIENT; ++k) {
        double square = 0.0;
        for (size_t i = 0; i < numbers_of(&p.pass.shape, k); ++i) {
            double *const number = &p.network[1].number[k][i], here = *number;
            *number = here + h;
            double const up = loss_of(&l, &p, 1);
            *number = here - h;
            double const down = loss_of(&l, &p, 1);
            *number = here;
            double const got = gradient.number[k][i];
            if (!(fabs((up - down) / (2.0 * h) - got) < 1e-8))
                fail_msg("%s, %s: gradient %d of number %zu: %.12g, not %.12g",
                         rs_task_of(task)->name, rs_cell_name(kind.cell), k, i, got,
                         (up - down) / (2.0 * h));
            square += got * got;
        }
        assert_true(fabs(norm2[k] - square) <= 1e-12 * square);
    }
    learner_close(&l);
    problem_free(&p);
}

static void gradients_are_those_of_the_loss(void **state) {
    (void)state;
    for (rs_task task = RS_ADDING; task < RS_N_TASK; ++task)
        for (size_t kind = 0; kind < N_CELL_KIND; ++kind)
            expect_gradients(task, cell_kind_at(kind)); /* no difference meets a corner of relu's */
}

/* ---- learning -------------------------------------------------------------------------------- */

static void a_step_is_the_rate_times_the_gradient(void **state) {
    (void)state;
    static problem p;
    static network gradient, after, other;
    rs_learning_step const rate[GROUPS] = {{0.0, INFINITY}, {0.1, INFINITY}};
    make(RS_ADDING, cell_kind_at(RS_GRU), RS_F64, &p);
    learner l = learner_open(&p);
    run(&l, &p);
    double const before = p.network[1].loss;
    fetch(&l, 1, true, &gradient);
    assert_int_equal(l.engine->learn(l.handle, rate), RS_OK);
    fetch(&l, 1, false, &after);
    fetch(&l, 0, false, &other);
    for (int k = 0; k < RS_N_GRADIENT; ++k)
        for (size_t i = 0; i < numbers_of(&p.pass.shape, k); ++i) {
            assert_true(after.number[k][i] ==
                        p.network[1].number[k][i] - 0.1 * gradient.number[k][i]);
            assert_true(other.number[k][i] == p.network[0].number[k][i]);
        }
    run(&l, &p);
    double const learnt = p.network[1].loss;
    assert_true(learnt < before);
    memcpy(p.network[1].number, after.number, sizeof after.number);
    assert_true(loss_of(&l, &p, 1) == learnt);
    learner_close(&l);
    problem_free(&p);
}

/* Elements beyond the limit count as that. */
static void large_elements_are_limited(void **state) {
    (void)state;
    static problem p;
    static network gradient, after;
    double const most = 0.1;
    rs_learning_step const step[GROUPS] = {{0.5, most}, {0.5, INFINITY}};
    size_t limited = 0, all = 0;
    make(RS_ADDING, cell_kind_at(RS_TANH), RS_F64, &p);
    learner l = learner_open(&p);
    run(&l, &p);
    fetch(&l, 0, true, &gradient);
    assert_int_equal(l.engine->learn(l.handle, step), RS_OK);
    fetch(&l, 0, false, &after);
    for (int k = 0; k < RS_N_GRADIENT; ++k)
        for (size_t i = 0; i < numbers_of(&p.pass.shape, k); ++i, ++all) {
            double const g = fmax(-most, fmin(gradient.number[k][i], most));
            limited += g != gradient.number[k][i];
            assert_true(after.number[k][i] == p.network[0].number[k][i] - 0.5 * g);
        }
    assert_true(limited > 0 && limited < all);
    learner_close(&l);
    problem_free(&p);
}

/* In f32 the pass has rounded weights, and what is learnt is not lost in them. */
static void small_steps_add_up_in_f32(void **state) {
    (void)state;
    static problem p;
    static network gradient, after;
    rs_learning_step const rate[GROUPS] = {{1e-10, INFINITY}, {1e-10, INFINITY}};
    make(RS_TEMPORAL_ORDER, cell_kind_at(RS_TANH), RS_F32, &p);
    learner l = learner_open(&p);
    run(&l, &p);
    fetch(&l, 0, true, &gradient);
    for (int i = 0; i < 10; ++i) assert_int_equal(l.engine->learn(l.handle, rate), RS_OK);
    fetch(&l, 0, false, &after);
    for (size_t i = 0; i < numbers_of(&p.pass.shape, RS_WEIGHT_HH); ++i) {
        double const moved = p.network[0].number[RS_WEIGHT_HH][i] - after.number[RS_WEIGHT_HH][i];
        assert_true(fabs(moved - 1e-9 * gradient.number[RS_WEIGHT_HH][i]) < 1e-15);
    }
    learner_close(&l);
    problem_free(&p);
}

static void networks_learn_as_alone(void **state) {
    (void)state;
    static problem p, alone;
    static network together, single;
    rs_learning_step const rate[GROUPS] = {{0.05, INFINITY}, {0.2, 0.01}};
    make(RS_COPY, cell_kind_at(RS_LSTM), RS_F32, &p);
    make(RS_COPY, cell_kind_at(RS_LSTM), RS_F32, &alone);
    alone.pass.shape.groups = 1;
    learner l = learner_open(&p), one = learner_open(&alone);
    for (int i = 0; i < 3; ++i) {
        run(&l, &p);
        run(&one, &alone);
        assert_true(p.network[0].loss == alone.network[0].loss);
        assert_int_equal(l.engine->learn(l.handle, rate), RS_OK);
        assert_int_equal(one.engine->learn(one.handle, rate), RS_OK);
    }
    fetch(&l, 0, false, &together);
    fetch(&one, 0, false, &single);
    assert_memory_equal(together.number, single.number, sizeof single.number);
    learner_close(&l);
    learner_close(&one);
    problem_free(&p);
    problem_free(&alone);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void nothing_is_learnt_before_a_pass(void **state) {
    (void)state;
    static problem p;
    rs_learning_step const rate[GROUPS] = {{1.0, INFINITY}, {1.0, INFINITY}};
    make(RS_ADDING, cell_kind_at(RS_TANH), RS_F64, &p);
    learner l = learner_open(&p);
    rs_parameter_arrays const to = {NULL, NULL, NULL, NULL};
    assert_int_equal(l.engine->learn(l.handle, rate), RS_EINPUT);
    assert_int_equal(l.engine->fetch(l.handle, 0, true, &to), RS_EINPUT);
    assert_string_equal(rs_message(), "engine reference: no pass has learnt yet");
    learner_close(&l);
    problem_free(&p);
}

static void other_engines_say_that_they_do_not(void **state) {
    (void)state;
    static problem p;
    rs_resources const resources = {.threads = 1};
    make(RS_ADDING, cell_kind_at(RS_TANH), RS_F64, &p);
    for (const rs_engine *const *e = rs_engines(); *e; ++e) {
        uint64_t bytes;
        rs_device device;
        if ((*e)->learn || (*e)->device(0, &device) != RS_OK) continue;
        assert_null((*e)->fetch);
        assert_int_equal((*e)->bytes(0, &p.pass.shape, &resources, &bytes), RS_EINPUT);
        assert_non_null(strstr(rs_message(), "does not learn yet: use --engine reference"));
    }
    problem_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test(a_step_is_the_rate_times_the_gradient),
        cmocka_unit_test(large_elements_are_limited),
        cmocka_unit_test(small_steps_add_up_in_f32),
        cmocka_unit_test(networks_learn_as_alone),
        cmocka_unit_test(nothing_is_learnt_before_a_pass),
        cmocka_unit_test(other_engines_say_that_they_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
