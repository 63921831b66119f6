/* The trainer: steps as plain SGD takes them, clipping, divergence, fresh data, and that tasks are
 * learnt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../host/train/trainer.h"
#include "../kernels/base/random.h"

#include <math.h>
#include <string.h>

enum { HIDDEN = 8, MOST_NUMBERS = HIDDEN * 10, MOST_OUTPUTS = 9, MOST_NETWORKS = 3 };

typedef struct weights {
    double hh[HIDDEN * HIDDEN], ih[MOST_NUMBERS], bias_ih[HIDDEN], bias_hh[HIDDEN];
    double readout[MOST_OUTPUTS * HIDDEN], readout_bias[MOST_OUTPUTS];
} weights;

/* N(0, size^2) throughout. */
static void draw(uint64_t seed, double size, weights *w) {
    double *const all = (double *)w;
    for (size_t i = 0; i < sizeof *w / sizeof(double); ++i) {
        double pair[2];
        rs_normal_pair(seed, (rs_stream)99, 0, 0, (uint32_t)i, pair);
        all[i] = size * pair[0];
    }
}

static rs_novice novice_of(const weights *w, double rate) {
    return (rs_novice){.recurrent = {w->hh, w->ih, w->bias_ih, w->bias_hh},
                       .readout_weight = w->readout,
                       .readout_bias = w->readout_bias,
                       .seed = 3,
                       .rate = rate};
}

static rs_lesson lesson_of(rs_task task, size_t length) {
    return (rs_lesson){.task = task,
                       .length = length,
                       .batch = 6,
                       .hidden = HIDDEN,
                       .cell = RS_TANH,
                       .precision = RS_F64};
}

static rs_trainer *start(const rs_lesson *lesson, size_t networks, const rs_novice *of) {
    rs_resources const resources = {.threads = 1};
    rs_trainer *t = NULL;
    if (rs_trainer_open(rs_engine_named("reference"), 0, &resources, lesson, networks, of, &t) !=
        RS_OK)
        fail_msg("%s", rs_message());
    return t;
}

static void update(rs_trainer *t, size_t times) {
    for (size_t i = 0; i < times; ++i) assert_int_equal(rs_trainer_update(t), RS_OK);
}

static void fetch(rs_trainer *t, size_t network, weights *out) {
    rs_parameter_arrays const to = {out->hh, out->ih, out->bias_ih, out->bias_hh};
    memset(out, 0, sizeof *out);
    assert_int_equal(rs_trainer_fetch(t, network, &to, out->readout, out->readout_bias), RS_OK);
}

/* Of the numbers that a task uses: others are 0 in both. */
static double distance(const weights *a, const weights *b, size_t outputs, size_t inputs) {
    double sum = 0.0;
    for (size_t i = 0; i < (size_t)HIDDEN * HIDDEN; ++i) sum += pow(a->hh[i] - b->hh[i], 2.0);
    for (size_t i = 0; i < HIDDEN * inputs; ++i) sum += pow(a->ih[i] - b->ih[i], 2.0);
    for (size_t i = 0; i < HIDDEN; ++i)
        sum += pow(a->bias_ih[i] - b->bias_ih[i], 2.0) + pow(a->bias_hh[i] - b->bias_hh[i], 2.0);
    for (size_t i = 0; i < outputs * HIDDEN; ++i) sum += pow(a->readout[i] - b->readout[i], 2.0);
    for (size_t i = 0; i < outputs; ++i) sum += pow(a->readout_bias[i] - b->readout_bias[i], 2.0);
    return sqrt(sum);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* The way of one step is the rate times the norm of all gradients, of the read-out's too; clipped,
 * times the coefficient of PyTorch. */
static void steps_are_as_long_as_they_should(void **state) {
    (void)state;
    rs_lesson const lesson = lesson_of(RS_TEMPORAL_ORDER, 10);
    weights before, after;
    draw(1, 0.6, &before);
    rs_novice of[MOST_NETWORKS] = {novice_of(&before, 0.1), novice_of(&before, 0.1),
                                   novice_of(&before, 0.1)};
    of[1].clipping = of[2].clipping = RS_CLIP_NORM;
    of[1].limit = 1e-3;
    of[2].limit = 1e3;
    rs_trainer *t = start(&lesson, MOST_NETWORKS, of);
    update(t, 1);
    const rs_progress_of *p = rs_trainer_progress(t);
    assert_true(rs_trainer_updates(t) == 1 && p[0].norm > 0.01);
    assert_true(p[1].norm == p[0].norm && p[1].loss == p[0].loss);
    assert_true(p[0].coefficient == 1.0 && p[2].coefficient == 1.0);
    assert_true(p[1].coefficient == 1e-3 / (p[0].norm + 1e-6));
    for (size_t i = 0; i < MOST_NETWORKS; ++i) {
        fetch(t, i, &after);
        double const way = distance(&before, &after, 4, 6);
        assert_true(fabs(way / (0.1 * p[i].norm * p[i].coefficient) - 1.0) < 1e-10);
    }
    rs_trainer_close(t);
}

/* Each element of the gradient, those of the read-out too, counts as the limit at most. */
static void values_are_clipped_one_by_one(void **state) {
    (void)state;
    rs_lesson const lesson = lesson_of(RS_ADDING, 5);
    weights before, plain, clipped;
    draw(2, 0.6, &before);
    rs_novice of[2] = {novice_of(&before, 1.0), novice_of(&before, 1.0)};
    of[1].clipping = RS_CLIP_VALUE;
    of[1].limit = 0.05;
    rs_trainer *t = start(&lesson, 2, of);
    update(t, 1);
    fetch(t, 0, &plain);
    fetch(t, 1, &clipped);
    size_t limited = 0;
    for (size_t i = 0; i < HIDDEN; ++i) {
        double const free_step = plain.readout[i] - before.readout[i];
        double const step = clipped.readout[i] - before.readout[i];
        limited += fabs(free_step) > 0.05;
        assert_true(fabs(step - fmax(-0.05, fmin(free_step, 0.05))) < 1e-14);
    }
    for (size_t i = 0; i < (size_t)HIDDEN * HIDDEN; ++i) {
        double const free_step = plain.hh[i] - before.hh[i];
        double const step = clipped.hh[i] - before.hh[i];
        limited += fabs(free_step) > 0.05;
        assert_true(fabs(step - fmax(-0.05, fmin(free_step, 0.05))) < 1e-14);
    }
    assert_true(limited > 0 && rs_trainer_progress(t)[1].coefficient == 1.0);
    rs_trainer_close(t);
}

/* ---- beside each other ----------------------------------------------------------------------- */

/* A network that leaves double's range stops, with the update that it happened at; others go on as
 * they would alone, to the bit. */
static void a_diverged_network_disturbs_nobody(void **state) {
    (void)state;
    rs_lesson lesson = lesson_of(RS_ADDING, 6);
    weights good, wild, beside, alone, stopped, later;
    lesson.cell = RS_LINEAR;
    draw(3, 0.2, &good);
    draw(4, 0.2, &wild);
    rs_novice of[2] = {novice_of(&wild, 1e40), novice_of(&good, 0.05)};
    rs_trainer *both = start(&lesson, 2, of), *one = start(&lesson, 1, &of[1]);
    update(both, 10);
    const rs_progress_of *p = rs_trainer_progress(both);
    uint64_t const at = p[0].diverged_at;
    assert_true(at > 1 && at <= 10 && p[1].diverged_at == 0);
    fetch(both, 0, &stopped);
    for (size_t i = 0; i < (size_t)HIDDEN * HIDDEN; ++i) assert_true(isfinite(stopped.hh[i]));
    update(both, 10);
    assert_true(p[0].diverged_at == at);
    fetch(both, 0, &later);
    assert_memory_equal(&stopped, &later, sizeof later);
    update(one, 20);
    fetch(both, 1, &beside);
    fetch(one, 0, &alone);
    assert_memory_equal(&beside, &alone, sizeof alone);
    assert_true(p[1].loss == rs_trainer_progress(one)[0].loss);
    rs_trainer_close(both);
    rs_trainer_close(one);
}

/* It changes no weight, and is of data that no update sees; the same number is the same data. */
static void evaluations_are_of_fresh_data(void **state) {
    (void)state;
    rs_lesson const lesson = lesson_of(RS_COPY, 2);
    weights w, before, after;
    draw(5, 0.3, &w);
    rs_novice const of = novice_of(&w, 0.01);
    rs_trainer *t = start(&lesson, 1, &of), *same = start(&lesson, 1, &of);
    const rs_progress_of *p = rs_trainer_progress(t);
    fetch(t, 0, &before);
    assert_int_equal(rs_trainer_evaluate(t, 1), RS_OK);
    double const first = p->loss;
    assert_int_equal(rs_trainer_evaluate(t, 2), RS_OK);
    assert_true(p->loss != first);
    assert_int_equal(rs_trainer_evaluate(t, 1), RS_OK);
    assert_true(p->loss == first && rs_trainer_updates(t) == 0);
    fetch(t, 0, &after);
    assert_memory_equal(&before, &after, sizeof after);
    update(same, 1);
    assert_true(rs_trainer_progress(same)->loss != first);
    rs_trainer_close(t);
    rs_trainer_close(same);
}

/* ---- learning -------------------------------------------------------------------------------- */

/* Mean loss of fresh data. */
static double loss_of(rs_trainer *t) {
    double sum = 0.0;
    for (uint32_t i = 1; i <= 20; ++i) {
        assert_int_equal(rs_trainer_evaluate(t, i), RS_OK);
        sum += rs_trainer_progress(t)->loss / 20.0;
    }
    return sum;
}

static void tasks_are_learnt(void **state) {
    (void)state;
    rs_lesson const adding = lesson_of(RS_ADDING, 3), order = lesson_of(RS_TEMPORAL_ORDER, 10);
    weights w;
    draw(6, 0.35, &w);
    rs_novice const of[2] = {novice_of(&w, 0.05), novice_of(&w, 0.2)};
    rs_trainer *sum = start(&adding, 1, &of[0]), *class = start(&order, 1, &of[1]);
    update(sum, 1500);
    update(class, 1500);
    assert_true(loss_of(sum) < 0.5 / 6.0);        /* half of what 1 for everything costs */
    assert_true(loss_of(class) < 0.5 * log(4.0)); /* and of what nothing known costs */
    rs_trainer_close(sum);
    rs_trainer_close(class);
}

static void what_cannot_be_trained_is_refused(void **state) {
    (void)state;
    rs_resources const resources = {.threads = 1};
    rs_lesson const lesson = lesson_of(RS_TEMPORAL_ORDER, 9);
    rs_lesson const good = lesson_of(RS_TEMPORAL_ORDER, 10);
    weights w;
    draw(7, 0.3, &w);
    rs_novice const of = novice_of(&w, 0.1);
    rs_trainer *t = NULL;
    assert_int_equal(
        rs_trainer_open(rs_engine_named("reference"), 0, &resources, &lesson, 1, &of, &t),
        RS_EINPUT);
    assert_non_null(strstr(rs_message(), "at least 10"));
    assert_int_equal(rs_trainer_open(rs_engine_named("cpu"), 0, &resources, &good, 1, &of, &t),
                     RS_EINPUT);
    assert_non_null(strstr(rs_message(), "engine cpu: does not learn yet"));
    assert_null(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_as_long_as_they_should),
        cmocka_unit_test(values_are_clipped_one_by_one),
        cmocka_unit_test(a_diverged_network_disturbs_nobody),
        cmocka_unit_test(evaluations_are_of_fresh_data),
        cmocka_unit_test(tasks_are_learnt),
        cmocka_unit_test(what_cannot_be_trained_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
