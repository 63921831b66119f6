/* Tasks: what they ask, how often, and that any process makes the same numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../host/train/task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 4000 };

typedef struct batch {
    rs_task task;
    size_t length, size, steps, targets, inputs;
    double *input, *target;
} batch;

static batch batch_at(rs_task task, size_t length, size_t size, rs_batch_place at) {
    batch b = {.task = task, .length = length, .size = size};
    b.steps = rs_task_steps(task, length);
    b.targets = rs_task_targets(task, length);
    b.inputs = rs_task_of(task)->inputs;
    b.input = malloc(b.steps * size * b.inputs * sizeof *b.input);
    b.target = malloc(b.targets * size * sizeof *b.target);
    assert_true(b.input && b.target);
    rs_task_fill(task, length, &at, size, b.input, b.target);
    return b;
}

static batch batch_make(rs_task task, size_t length, size_t size) {
    return batch_at(task, length, size, (rs_batch_place){.seed = 7, .number = 3});
}

static void batch_free(batch *b) {
    free(b->input);
    free(b->target);
}

static const double *input_at(const batch *b, size_t step, size_t sample) {
    return b->input + (step * b->size + sample) * b->inputs;
}

/* The symbol of a step; all other inputs are 0. */
static size_t symbol_at(const batch *b, size_t step, size_t sample) {
    const double *input = input_at(b, step, sample);
    size_t symbol = b->inputs;
    for (size_t i = 0; i < b->inputs; ++i) {
        assert_true(input[i] == 0.0 || input[i] == 1.0);
        if (input[i] == 1.0) {
            assert_int_equal(symbol, b->inputs);
            symbol = i;
        }
    }
    assert_true(symbol < b->inputs);
    return symbol;
}

/* Counts of `cases` that are equally likely: within five standard deviations. */
static void expect_even(const size_t *count, size_t cases, size_t all) {
    double const mean = (double)all / (double)cases;
    for (size_t i = 0; i < cases; ++i)
        assert_true(fabs((double)count[i] - mean) < 5.0 * sqrt(mean));
}

/* ---- tasks ----------------------------------------------------------------------------------- */

static void adding_asks_for_the_sum(void **state) {
    (void)state;
    enum { LENGTH = 7 };
    size_t place[LENGTH] = {0};
    double of_one = 0.0, mean = 0.0;
    batch b = batch_make(RS_ADDING, LENGTH, MANY);
    for (size_t s = 0; s < MANY; ++s) {
        double sum = 0.0;
        size_t marks[2] = {0};
        for (size_t t = 0; t < LENGTH; ++t) {
            const double *input = input_at(&b, t, s);
            assert_true(input[0] >= 0.0 && input[0] < 1.0);
            assert_true(input[1] == 0.0 || input[1] == 1.0);
            mean += input[0] / (LENGTH * MANY);
            if (input[1] == 0.0) continue;
            sum += input[0];
            ++place[t];
            ++marks[t >= LENGTH / 2];
        }
        assert_true(marks[0] == 1 && marks[1] == 1);
        assert_true(b.target[s] == sum);
        of_one += (sum - 1.0) * (sum - 1.0) / MANY;
    }
    expect_even(place, LENGTH / 2, MANY);
    expect_even(place + LENGTH / 2, LENGTH - LENGTH / 2, MANY);
    assert_true(fabs(mean - 0.5) < 0.01);
    assert_true(fabs(of_one - 1.0 / 6.0) < 0.01); /* that of a sample is .19 */
    batch_free(&b);
}

static void temporal_order_asks_for_the_order(void **state) {
    (void)state;
    enum { LENGTH = 35, TENTH = 3, HALF = 17 };
    size_t first[TENTH] = {0}, second[TENTH] = {0}, class[4] = {0}, other[4] = {0};
    batch b = batch_make(RS_TEMPORAL_ORDER, LENGTH, MANY);
    for (size_t s = 0; s < MANY; ++s) {
        size_t found = 0, symbol[2] = {0};
        for (size_t t = 0; t < LENGTH; ++t) {
            size_t const here = symbol_at(&b, t, s);
            if (here >= 2) {
                ++other[here - 2];
                continue;
            }
            assert_true(found < 2);
            size_t const from = found == 0 ? TENTH : HALF;
            assert_true(t >= from && t < from + TENTH);
            ++(found == 0 ? first : second)[t - from];
            symbol[found++] = here;
        }
        assert_int_equal(found, 2);
        assert_true(b.target[s] == (double)(symbol[0] + 2 * symbol[1]));
        ++class[(size_t)b.target[s]];
    }
    expect_even(first, TENTH, MANY);
    expect_even(second, TENTH, MANY);
    expect_even(class, 4, MANY);
    expect_even(other, 4, (size_t)MANY * (LENGTH - 2));
    batch_free(&b);
}

static void copy_asks_for_the_first_ten(void **state) {
    (void)state;
    enum { LENGTH = 5, STEPS = LENGTH + 20 };
    size_t count[8] = {0};
    batch b = batch_make(RS_COPY, LENGTH, MANY);
    assert_true(b.steps == STEPS && b.targets == STEPS);
    for (size_t s = 0; s < MANY; ++s)
        for (size_t t = 0; t < STEPS; ++t) {
            size_t const symbol = symbol_at(&b, t, s);
            double const wanted = b.target[t * MANY + s];
            if (t < 10) {
                assert_true(symbol < 8);
                assert_true(b.target[(t + LENGTH + 10) * MANY + s] == (double)symbol);
                ++count[symbol];
            } else {
                assert_int_equal(symbol, t == 10 + LENGTH - 1 ? 9 : 8);
            }
            if (t < LENGTH + 10) assert_true(wanted == 8.0);
        }
    expect_even(count, 8, (size_t)10 * MANY);
    batch_free(&b);
}

/* ---- positions ------------------------------------------------------------------------------- */

/* Samples 2 and on of five, made for themselves. */
static void any_part_of_a_batch_is_the_same(void **state) {
    (void)state;
    for (rs_task task = RS_ADDING; task < RS_N_TASK; ++task) {
        rs_batch_place at = {.seed = 11, .number = 9, .evaluates = task == RS_COPY};
        batch whole = batch_at(task, 20, 5, at);
        at.first_sample = 2;
        batch part = batch_at(task, 20, 3, at);
        for (size_t t = 0; t < whole.steps; ++t)
            assert_memory_equal(input_at(&whole, t, 2), input_at(&part, t, 0),
                                3 * whole.inputs * sizeof(double));
        for (size_t t = 0; t < whole.targets; ++t)
            assert_memory_equal(whole.target + t * 5 + 2, part.target + t * 3, 3 * sizeof(double));
        batch_free(&whole);
        batch_free(&part);
    }
}

static void other_places_have_other_batches(void **state) {
    (void)state;
    static const rs_batch_place at[] = {{.seed = 1, .number = 1},
                                        {.seed = 2, .number = 1},
                                        {.seed = 1, .number = 2},
                                        {.seed = 1, .number = 1, .evaluates = true},
                                        {.seed = 1, .number = 1, .first_sample = 50}};
    enum { PLACES = sizeof at / sizeof *at };
    for (rs_task task = RS_ADDING; task < RS_N_TASK; ++task) {
        batch made[PLACES];
        for (size_t i = 0; i < PLACES; ++i) {
            made[i] = batch_at(task, 20, 50, at[i]);
            size_t const bytes = made[i].steps * 50 * made[i].inputs * sizeof(double);
            for (size_t j = 0; j < i; ++j)
                assert_true(memcmp(made[i].input, made[j].input, bytes) != 0);
        }
        for (size_t i = 0; i < PLACES; ++i) batch_free(&made[i]);
    }
}

/* ---- names and lengths ----------------------------------------------------------------------- */

static void names_are_understood_or_refused(void **state) {
    (void)state;
    for (rs_task task = RS_ADDING; task < RS_N_TASK; ++task) {
        rs_task found;
        assert_int_equal(rs_task_named(rs_task_of(task)->name, &found), RS_OK);
        assert_int_equal(found, task);
    }
    rs_task same = RS_COPY;
    assert_int_equal(rs_task_named("add", &same), RS_EINPUT);
    assert_string_equal(rs_message(), "add: must be adding, temporal-order or copy");
    assert_int_equal(same, RS_COPY);
}

static void lengths_are_those_the_task_allows(void **state) {
    (void)state;
    assert_int_equal(rs_task_allows(RS_ADDING, 2), RS_OK);
    assert_int_equal(rs_task_allows(RS_ADDING, 1), RS_EINPUT);
    assert_int_equal(rs_task_allows(RS_TEMPORAL_ORDER, 10), RS_OK);
    assert_int_equal(rs_task_allows(RS_TEMPORAL_ORDER, 9), RS_EINPUT);
    assert_string_equal(rs_message(), "9: must be at least 10 for the task temporal-order");
    assert_int_equal(rs_task_allows(RS_COPY, 1), RS_OK);
    assert_int_equal(rs_task_allows(RS_COPY, 0), RS_EINPUT);
    for (rs_task task = RS_ADDING; task < RS_N_TASK; ++task) {
        batch b = batch_make(task, rs_task_of(task)->least_length, 3);
        batch_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adding_asks_for_the_sum),
        cmocka_unit_test(temporal_order_asks_for_the_order),
        cmocka_unit_test(copy_asks_for_the_first_ten),
        cmocka_unit_test(any_part_of_a_batch_is_the_same),
        cmocka_unit_test(other_places_have_other_batches),
        cmocka_unit_test(names_are_understood_or_refused),
        cmocka_unit_test(lengths_are_those_the_task_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
