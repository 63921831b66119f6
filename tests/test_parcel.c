/* Launches and results as bytes: what arrives is what was sent, to the bit, and what is cut short
 * or changed is refused. */
#include "../host/sweep/parcel.h"

#include "fake_engine.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS = 2, RADII = 2, N_RHO = 3, STEPS = 5 };

/* A plan of six cases with three radii, whose launches hold two cases. */
typedef struct fixture {
    rs_spec spec;
    rs_plan plan;
    rs_launches launches;
    rs_work sent, got;
} fixture;

static void set(rs_spec *spec, const char *key, const char *value) {
    assert_int_equal(rs_spec_set(spec, key, value, RS_FROM_OPTION), RS_OK);
}

static void make_with(fixture *f, const char *cell, bool tangents) {
    rs_resources const resources = {.threads = 1};
    fake_reset();
    fake.device.columns_wanted = GROUPS * N_RHO;
    assert_int_equal(rs_spec_init(&f->spec), RS_OK);
    set(&f->spec, "cell", cell);
    set(&f->spec, "hidden", "4");
    set(&f->spec, "steps", "5");
    set(&f->spec, "batch", "1");
    set(&f->spec, "rho", "0.5,1,1.5");
    set(&f->spec, "seeds", "1:6");
    if (tangents) {
        set(&f->spec, "lyapunov", "all");
        set(&f->spec, "singular-at", "2,5");
    }
    assert_int_equal(rs_plan_make(&f->spec, NULL, "fake", &f->plan), RS_OK);
    assert_int_equal(rs_launches_make(&fake_engine, 0, &fake.device, &resources, 1 << 30, &f->spec,
                                      &f->plan, &f->launches),
                     RS_OK);
    assert_int_equal(f->launches.groups, GROUPS);
    assert_int_equal(rs_work_make(&f->launches, &f->sent), RS_OK);
    assert_int_equal(rs_work_make(&f->launches, &f->got), RS_OK);
}

static void make(fixture *f) { make_with(f, "tanh", false); }

static void unmake(fixture *f) {
    rs_work_free(&f->sent);
    rs_work_free(&f->got);
    rs_launches_free(&f->launches);
    rs_spec_free(&f->spec);
}

/* Cases 4 and 2 of the plan, without the radius in the middle. */
static void fill_launch(fixture *f) {
    rs_launch *const launch = &f->sent.launch;
    launch->groups = GROUPS;
    launch->index[0] = 4;
    launch->index[1] = 2;
    launch->done[1] = true;
    rs_launch_fill(&f->launches, launch);
}

/* No two numbers are the same, and some of them are none. */
static double number(void) {
    static const double odd[] = {-0.0, INFINITY, -INFINITY, NAN, 5e-324, 1e308};
    static unsigned next;
    unsigned const i = next++;
    return i % 7 == 6 ? odd[i / 7 % 6] : (double)i + 0.1;
}

static void fill_point(rs_point *point) {
    point->rho_asked = number();
    point->rho = number();
    point->g = number();
    point->decay_rate = number();
    point->forward_nonfinite = 3;
    point->range = (rs_range_steps){1, -1, 2, 3, -1, 4, 5};
    point->has_gradients = true;
    for (size_t k = 0; k < RS_N_GRADIENT; ++k) point->gradient[k] = number();
    point->lyapunov.qr_every = 7;
    point->lyapunov.log_slope = number();
    point->lyapunov.sum_rule_residual = number();
}

static void fill_results(fixture *f, bool curves) {
    rs_launch *const launch = &f->sent.launch;
    for (size_t g = 0; g < GROUPS; ++g) {
        rs_task *const task = &f->sent.task[g];
        *task = (rs_task){.one = &launch->one[g],
                          .forward_seconds = number(),
                          .backward_seconds = number(),
                          .transfer_seconds = number()};
        assert_int_equal(rs_task_make_points(launch, curves, task), RS_OK);
        for (size_t r = 0; r < RADII; ++r) fill_point(&task->point[r]);
        size_t const length = curves ? rs_task_curve_length(launch) : 0;
        for (size_t i = 0; i < length; ++i) task->profiles[i] = number();
        for (size_t i = 0; i < rs_task_tangent_length(launch); ++i) task->tangents[i] = number();
    }
}

static rs_message_in reader(const rs_message_out *message) {
    return (rs_message_in){.at = message->data, .left = message->size};
}

static void assert_same_bits(const void *a, const void *b, size_t size) {
    assert_memory_equal(a, b, size);
}

static void assert_same_point(const rs_point *a, const rs_point *b) {
    assert_same_bits(&a->rho_asked, &b->rho_asked, sizeof a->rho_asked);
    assert_same_bits(&a->rho, &b->rho, sizeof a->rho);
    assert_same_bits(&a->g, &b->g, sizeof a->g);
    assert_same_bits(&a->decay_rate, &b->decay_rate, sizeof a->decay_rate);
    assert_int_equal(a->forward_nonfinite, b->forward_nonfinite);
    assert_same_bits(&a->range, &b->range, sizeof a->range);
    assert_int_equal(a->has_gradients, b->has_gradients);
    assert_same_bits(a->gradient, b->gradient, sizeof a->gradient);
    assert_int_equal(a->lyapunov.qr_every, b->lyapunov.qr_every);
    assert_same_bits(&a->lyapunov.log_slope, &b->lyapunov.log_slope, sizeof(double));
    assert_same_bits(&a->lyapunov.sum_rule_residual, &b->lyapunov.sum_rule_residual,
                     sizeof(double));
}

static void assert_same_launch(const rs_launch *a, const rs_launch *b) {
    assert_int_equal(a->groups, b->groups);
    assert_int_equal(a->radii, b->radii);
    assert_ptr_equal(a->cut, b->cut);
    assert_int_equal(a->host_bytes, b->host_bytes);
    for (size_t g = 0; g < a->groups; ++g) assert_int_equal(a->one[g].seed, b->one[g].seed);
    assert_same_bits(a->rho, b->rho, a->radii * sizeof *a->rho);
    assert_same_bits(a->scale, b->scale, a->radii * sizeof *a->scale);
}

static void test_launch(void **state) {
    (void)state;
    fixture f = {0};
    rs_message_out message = {0};
    make(&f);
    fill_launch(&f);
    assert_int_equal(f.sent.launch.radii, RADII);
    assert_int_equal(f.sent.launch.one[0].seed, 5);
    rs_put_launch(&message, &f.sent.launch, N_RHO);
    rs_message_in in = reader(&message);
    assert_int_equal(rs_get_launch(&in, &f.launches, &f.got.launch), RS_OK);
    assert_int_equal(rs_get_end(&in), RS_OK);
    assert_same_launch(&f.sent.launch, &f.got.launch);
    free(message.data);
    unmake(&f);
}

static void test_no_launch_is_left(void **state) {
    (void)state;
    fixture f = {0};
    rs_message_out message = {0};
    make(&f);
    rs_put_launch(&message, &f.sent.launch, N_RHO);
    rs_message_in in = reader(&message);
    assert_int_equal(rs_get_launch(&in, &f.launches, &f.got.launch), RS_OK);
    assert_int_equal(rs_get_end(&in), RS_OK);
    assert_int_equal(f.got.launch.groups, 0);
    free(message.data);
    unmake(&f);
}

/* Every array of a point lies in its task's, where the other's does; all of them together fill it.
 */
static void assert_same_tangents(const rs_launch *launch, const rs_task *a, const rs_task *b) {
    size_t const length = rs_task_tangent_length(launch);
    size_t const h = launch->whole.hidden, values = launch->whole.n_singular * h;
    bool const predicted = launch->whole.cell == RS_LINEAR;
    assert_int_equal(length, launch->whole.directions
                                 ? launch->radii * (2 * h + values + (predicted ? h : 0))
                                 : 0);
    assert_int_equal(b->tangents != NULL, length > 0);
    if (length == 0) return;
    assert_same_bits(a->tangents, b->tangents, length * sizeof *a->tangents);
    for (size_t r = 0; r < launch->radii; ++r) {
        const rs_lyapunov *const x = &a->point[r].lyapunov, *const y = &b->point[r].lyapunov;
        const double *const at = b->tangents + r * (length / launch->radii);
        assert_ptr_equal(y->exponent, at);
        assert_ptr_equal(y->standard_error, at + h);
        assert_ptr_equal(y->singular, at + 2 * h);
        assert_ptr_equal(y->predicted, predicted ? at + 2 * h + values : NULL);
        assert_int_equal(x->exponent - a->tangents, y->exponent - b->tangents);
    }
}

static void check_results(const char *cell, bool curves, bool tangents) {
    fixture f = {0};
    rs_message_out message = {0};
    make_with(&f, cell, tangents);
    fill_launch(&f);
    fill_results(&f, curves);
    rs_put_work(&message, &f.sent, N_RHO, curves);
    rs_message_in in = reader(&message);
    assert_int_equal(rs_get_work(&in, &f.launches, curves, &f.got), RS_OK);
    assert_int_equal(rs_get_end(&in), RS_OK);
    for (size_t g = 0; g < GROUPS; ++g) {
        const rs_task *a = &f.sent.task[g], *b = &f.got.task[g];
        assert_int_equal(b->status, RS_OK);
        assert_int_equal(b->one->seed, a->one->seed);
        assert_true(b->forward_seconds == a->forward_seconds);
        assert_true(b->backward_seconds == a->backward_seconds);
        assert_true(b->transfer_seconds == a->transfer_seconds);
        for (size_t r = 0; r < RADII; ++r) {
            assert_same_point(&a->point[r], &b->point[r]);
            assert_int_equal(b->point[r].profile.mean != NULL, curves);
            for (size_t k = 0; k < RS_MAX_STATES; ++k)
                assert_int_equal(b->point[r].state[k].mean != NULL,
                                 a->point[r].state[k].mean != NULL);
        }
        assert_same_tangents(&f.sent.launch, a, b);
        if (!curves) continue;
        assert_same_bits(a->profiles, b->profiles,
                         rs_task_curve_length(&f.sent.launch) * sizeof *a->profiles);
        assert_ptr_equal(b->point[1].profile.zero - b->profiles,
                         a->point[1].profile.zero - a->profiles);
    }
    free(message.data);
    unmake(&f);
}

static void test_results(void **state) {
    (void)state;
    check_results("tanh", true, false);
    check_results("lstm", true, false);
}

static void test_results_without_curves(void **state) {
    (void)state;
    check_results("tanh", false, false);
}

static void test_results_with_exponents(void **state) {
    (void)state;
    check_results("tanh", true, true);
    check_results("linear", false, true);
}

static void test_failed_cases_keep_their_reason(void **state) {
    (void)state;
    fixture f = {0};
    rs_message_out message = {0};
    make(&f);
    fill_launch(&f);
    fill_results(&f, true);
    f.sent.task[0].status = RS_EDEVICE;
    f.sent.task[0].reason = strdup("device lost");
    f.sent.task[1].status = RS_EINTERRUPTED;
    rs_put_work(&message, &f.sent, N_RHO, true);
    rs_message_in in = reader(&message);
    assert_int_equal(rs_get_work(&in, &f.launches, true, &f.got), RS_OK);
    assert_int_equal(rs_get_end(&in), RS_OK);
    assert_int_equal(f.got.task[0].status, RS_EDEVICE);
    assert_string_equal(f.got.task[0].reason, "device lost");
    assert_null(f.got.task[0].point);
    assert_int_equal(f.got.task[1].status, RS_EINTERRUPTED);
    assert_null(f.got.task[1].reason);
    free(message.data);
    unmake(&f);
}

/* Whether all of it was understood. */
static bool is_understood(fixture *f, const unsigned char *data, size_t size) {
    rs_message_in in = {.at = data, .left = size};
    bool const got = rs_get_work(&in, &f->launches, true, &f->got) == RS_OK;
    bool const whole = got && rs_get_end(&in) == RS_OK;
    rs_work_clear(&f->got);
    return whole;
}

static void check_cuts(bool tangents) {
    fixture f = {0};
    rs_message_out message = {0};
    make_with(&f, "tanh", tangents);
    fill_launch(&f);
    fill_results(&f, true);
    rs_put_work(&message, &f.sent, N_RHO, true);
    assert_true(is_understood(&f, message.data, message.size));
    for (size_t size = 0; size < message.size; ++size) {
        unsigned char *const part = malloc(size + 1); /* so that reading on is seen */
        memcpy(part, message.data, size);
        unsigned char *const exact = realloc(part, size ? size : 1);
        assert_false(is_understood(&f, exact, size));
        free(exact);
    }
    rs_put_whole(&message, 1);
    assert_false(is_understood(&f, message.data, message.size));
    free(message.data);
    unmake(&f);
}

static void test_what_is_cut_short_is_refused(void **state) {
    (void)state;
    check_cuts(false);
    check_cuts(true);
}

/* Writes `value` over the whole number at `at` of a launch, which must then be refused. */
static void expect_refused(fixture *f, size_t at, uint64_t value) {
    rs_message_out message = {0};
    rs_put_launch(&message, &f->sent.launch, N_RHO);
    memcpy(message.data + at, &value, sizeof value);
    rs_message_in in = reader(&message);
    assert_int_equal(rs_get_launch(&in, &f->launches, &f->got.launch), RS_EIO);
    assert_int_equal(f->got.launch.groups, 0);
    free(message.data);
}

static void test_a_launch_that_cannot_be_is_refused(void **state) {
    (void)state;
    fixture f = {0};
    make(&f);
    fill_launch(&f);
    expect_refused(&f, 0, GROUPS + 1);
    expect_refused(&f, 0, UINT64_MAX);
    expect_refused(&f, 8, f.plan.n);
    expect_refused(&f, 16, UINT64_MAX);
    f.launches.cut[0].groups = 1; /* as another rank may have asked for */
    expect_refused(&f, 8, 4);
    unmake(&f);
}

static void test_text_ends_within_the_message(void **state) {
    (void)state;
    rs_message_out message = {0};
    rs_put_text(&message, "one");
    rs_put_text(&message, NULL);
    rs_message_in in = reader(&message);
    assert_string_equal(rs_get_text(&in), "one");
    assert_string_equal(rs_get_text(&in), "");
    assert_int_equal(rs_get_end(&in), RS_OK);
    assert_string_equal(rs_get_text(&in), "");
    assert_int_equal(rs_get_end(&in), RS_EIO);
    in = (rs_message_in){.at = message.data, .left = 3};
    assert_string_equal(rs_get_text(&in), "");
    assert_true(in.failed);
    free(message.data);
}

static void test_beyond_the_end_there_are_zeros(void **state) {
    (void)state;
    rs_message_in in = {.at = (const unsigned char *)"1234567", .left = 7};
    assert_int_equal(rs_get_whole(&in), 0);
    assert_true(in.failed);
    in = (rs_message_in){0};
    assert_true(rs_get_real(&in) == 0.0);
    assert_int_equal(rs_get_end(&in), RS_EIO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_launch),
        cmocka_unit_test(test_no_launch_is_left),
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_results_without_curves),
        cmocka_unit_test(test_results_with_exponents),
        cmocka_unit_test(test_failed_cases_keep_their_reason),
        cmocka_unit_test(test_what_is_cut_short_is_refused),
        cmocka_unit_test(test_a_launch_that_cannot_be_is_refused),
        cmocka_unit_test(test_text_ends_within_the_message),
        cmocka_unit_test(test_beyond_the_end_there_are_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
