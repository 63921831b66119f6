/* The judge of the benchmarks: passes what the CPU engine computes, and nothing a little off. */
#include "../bench/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

/* H 12, B 3, R 5 (0.5 .. 1.5), T 40. */
static rs_bench_shape const size = {12, 3, 5, 40};

/* Whose results are made wrong. */
static rs_cell const bent_cell[] = {RS_TANH, RS_LSTM, RS_GRU};
enum { N_BENT = sizeof bent_cell / sizeof *bent_cell };

typedef struct trial {
    rs_bench_job job;
    const rs_engine *engine;
    void *state;
} trial;

static void start(trial *t, rs_precision precision, rs_cell cell, bool gradients) {
    rs_shape shape = rs_bench_job_shape(&size, precision, cell);
    shape.gradients = gradients;
    rs_resources const resources = {.threads = 2};
    t->engine = rs_engine_named("cpu");
    assert_int_equal(rs_bench_job_make(&shape, &t->job), RS_OK);
    assert_int_equal(t->engine->open(0, &shape, &resources, &t->state), RS_OK);
    assert_int_equal(rs_bench_job_run(&t->job, t->engine, t->state), RS_OK);
}

static rs_status judge(const trial *t) { return rs_bench_job_check(&t->job, t->engine, t->state); }

static void finish(trial *t) {
    t->engine->close(t->state);
    rs_bench_job_free(&t->job);
}

static void right_results_pass(void **state) {
    (void)state;
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (rs_cell n = RS_TANH; n < RS_N_CELL; ++n)
            for (int gradients = 0; gradients < 2; ++gradients) {
                trial t;
                start(&t, p, n, gradients);
                if (judge(&t) != RS_OK) fail_msg("%s", rs_message());
                finish(&t);
            }
}

static void radii_are_spread_from_a_half_to_one_and_a_half(void **state) {
    (void)state;
    for (rs_cell n = RS_TANH; n < RS_N_CELL; ++n) {
        rs_bench_job job;
        rs_shape const shape = rs_bench_job_shape(&size, RS_F64, n);
        size_t const gates = rs_cell_of(n)->gates;
        assert_int_equal(rs_bench_job_make(&shape, &job), RS_OK);
        for (size_t i = 0; i < size.radii * gates; ++i)
            assert_true(job.columns.scale[i] == 0.5 + 0.25 * (double)(i / gates));
        rs_bench_job_free(&job);
    }
}

/* Column 0 is the smallest radius and the first sample; the last sample is column 2. States count
 * from 0, h. dL/dc_40 is 0. */
static const struct {
    size_t column, step, state;
    double factor;
} wrong_norm[] = {{0, 1, 0, 1.01}, {0, 40, 0, 0.99}, {2, 20, 0, 1.01}, {0, 7, 0, 0.0},
                  {2, 3, 0, NAN},  {0, 1, 1, 1.01},  {2, 39, 1, 0.99}, {0, 7, 1, 0.0},
                  {2, 3, 1, NAN},  {0, 40, 1, NAN}};

static void wrong_norms_of_a_cell_fail(rs_cell cell) {
    size_t const states = rs_cell_of(cell)->states;
    for (size_t i = 0; i < sizeof wrong_norm / sizeof *wrong_norm; ++i) {
        if (wrong_norm[i].state >= states) continue;
        trial t;
        start(&t, RS_F32, cell, false);
        size_t const row = (wrong_norm[i].step - 1) * states + wrong_norm[i].state;
        t.job.record.norm2[row * 15 + wrong_norm[i].column] *= wrong_norm[i].factor;
        assert_int_equal(judge(&t), RS_EDEVICE);
        assert_non_null(strstr(rs_message(), "engine cpu: wrong result"));
        assert_non_null(strstr(rs_message(), wrong_norm[i].state == 0 ? "dL/dh" : "dL/dc"));
        finish(&t);
    }
}

static void wrong_norms_fail(void **state) {
    (void)state;
    for (size_t i = 0; i < N_BENT; ++i) wrong_norms_of_a_cell_fail(bent_cell[i]);
}

static void wrong_exponents_and_states_fail(void **state) {
    (void)state;
    trial t;
    start(&t, RS_F64, RS_TANH, false);
    ++t.job.record.exponent[0];
    assert_int_equal(judge(&t), RS_EDEVICE);
    --t.job.record.exponent[0];
    assert_int_equal(judge(&t), RS_OK);
    t.job.record.nonfinite_step[2] = 3;
    assert_int_equal(judge(&t), RS_EDEVICE);
    finish(&t);
}

/* Of the smallest radius, which is always compared. */
static void wrong_gradients_of_a_cell_fail(rs_cell cell) {
    static const char *const name[RS_N_GRADIENT] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    static double const off[RS_N_PRECISION] = {[RS_F32] = 1e-4, [RS_F64] = 1e-10};
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) {
        trial t;
        start(&t, p, cell, true);
        for (size_t k = 0; k < RS_N_GRADIENT; ++k) {
            double *const norm2 = &t.job.record.gradient2[k], right = *norm2;
            double const wrong[] = {right * (1.0 + off[p]), right * (1.0 - off[p]), 0.0, NAN};
            for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
                *norm2 = wrong[i];
                assert_int_equal(judge(&t), RS_EDEVICE);
                assert_non_null(strstr(rs_message(), "engine cpu: wrong result"));
                assert_non_null(strstr(rs_message(), name[k]));
            }
            *norm2 = right;
            ++t.job.record.gradient_exponent[k];
            assert_int_equal(judge(&t), RS_EDEVICE);
            --t.job.record.gradient_exponent[k];
        }
        assert_int_equal(judge(&t), RS_OK);
        finish(&t);
    }
}

static void wrong_gradients_fail(void **state) {
    (void)state;
    for (size_t i = 0; i < N_BENT; ++i) wrong_gradients_of_a_cell_fail(bent_cell[i]);
}

/* The engine cpu, but for one gradient. */
static rs_status run_bent(void *self, const rs_pass *pass, rs_record *out) {
    RS_TRY(rs_engine_named("cpu")->run(self, pass, out));
    out->gradient2[RS_WEIGHT_HH] *= 1.001;
    return RS_OK;
}

static void some_samples_are_run_by_themselves(void **state) {
    (void)state;
    for (size_t i = 0; i < N_BENT; ++i) {
        trial t;
        start(&t, RS_F32, bent_cell[i], true);
        t.job.reference_flops = 1.0;
        assert_int_equal(judge(&t), RS_OK);
        rs_engine bent = *t.engine;
        bent.run = run_bent;
        assert_int_equal(rs_bench_job_check(&t.job, &bent, t.state), RS_EDEVICE);
        assert_non_null(strstr(rs_message(), "weight_hh"));
        finish(&t);
    }
}

/* relu at rho 4 and above grows in every column: nothing can be compared, and that is said. */
static void what_cannot_be_checked_is_no_success(void **state) {
    (void)state;
    trial t;
    start(&t, RS_F64, RS_RELU, false);
    double *const scale = t.job.numbers + (t.job.columns.scale - t.job.numbers);
    for (size_t r = 0; r < size.radii; ++r) scale[r] = 4.0;
    assert_int_equal(judge(&t), RS_EINPUT);
    assert_non_null(strstr(rs_message(), "unchecked"));
    finish(&t);
}

/* ---- tangents ------------------------------------------------------------------------------- */

static rs_cell const tangent_cell[] = {RS_TANH, RS_LSTM, RS_GRU};
enum { N_TANGENT_CELLS = sizeof tangent_cell / sizeof *tangent_cell };

/* All directions, after some steps of transient. */
static void start_tangents(trial *t, rs_cell cell, size_t qr_every) {
    rs_shape shape = rs_bench_job_shape(&size, RS_F64, cell);
    shape.directions = rs_cell_of(cell)->states * shape.hidden;
    shape.transient = shape.warmup = 6;
    shape.qr_every = qr_every;
    rs_resources const resources = {.threads = 2};
    t->engine = rs_engine_named("cpu");
    assert_int_equal(rs_bench_job_make(&shape, &t->job), RS_OK);
    assert_int_equal(t->engine->open(0, &shape, &resources, &t->state), RS_OK);
    assert_int_equal(rs_bench_job_run(&t->job, t->engine, t->state), RS_OK);
}

static void right_tangents_pass(void **state) {
    (void)state;
    for (size_t i = 0; i < N_TANGENT_CELLS; ++i)
        for (size_t qr_every = 0; qr_every < 3; ++qr_every) {
            trial t;
            start_tangents(&t, tangent_cell[i], qr_every);
            if (judge(&t) != RS_OK || rs_bench_tangents_check(&t.job, t.engine, 2) != RS_OK)
                fail_msg("%s", rs_message());
            finish(&t);
        }
}

/* The engine cpu, but for the first column. */
static rs_status run_stretched(void *self, const rs_pass *pass, rs_record *out) {
    RS_TRY(rs_engine_named("cpu")->run(self, pass, out));
    out->stretch[3] += 1e-6;
    return RS_OK;
}

static rs_status run_swapped(void *self, const rs_pass *pass, rs_record *out) {
    RS_TRY(rs_engine_named("cpu")->run(self, pass, out));
    double const first = out->stretch[0];
    out->stretch[0] = out->stretch[1];
    out->stretch[1] = first;
    return RS_OK;
}

static rs_status run_undefined(void *self, const rs_pass *pass, rs_record *out) {
    RS_TRY(rs_engine_named("cpu")->run(self, pass, out));
    out->stretch[0] = NAN;
    return RS_OK;
}

static rs_status run_gapped(void *self, const rs_pass *pass, rs_record *out) {
    RS_TRY(rs_engine_named("cpu")->run(self, pass, out));
    ++out->qr_gap[0];
    return RS_OK;
}

static void wrong_tangents_fail(void **state) {
    (void)state;
    rs_status (*const wrong[])(void *, const rs_pass *, rs_record *) = {run_stretched, run_swapped,
                                                                        run_undefined, run_gapped};
    for (size_t i = 0; i < N_TANGENT_CELLS; ++i) {
        trial t;
        start_tangents(&t, tangent_cell[i], 1);
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; ++k) {
            rs_engine bent = *t.engine;
            bent.run = wrong[k];
            assert_int_equal(rs_bench_tangents_check(&t.job, &bent, 2), RS_EDEVICE);
            assert_non_null(strstr(rs_message(), "engine cpu: wrong result"));
        }
        finish(&t);
    }
}

/* In the middle sample of the last radius, which the reference is not asked for. */
static void a_broken_sum_rule_fails(void **state) {
    (void)state;
    trial t;
    start_tangents(&t, RS_TANH, 1);
    size_t const column = 13;
    t.job.record.stretch[column * RS_STRETCH_BLOCKS * size.hidden] += 1e-2;
    assert_int_equal(rs_bench_tangents_check(&t.job, t.engine, 2), RS_EDEVICE);
    assert_non_null(strstr(rs_message(), "column 13 breaks the sum rule"));
    finish(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_results_pass),
        cmocka_unit_test(radii_are_spread_from_a_half_to_one_and_a_half),
        cmocka_unit_test(wrong_norms_fail),
        cmocka_unit_test(wrong_exponents_and_states_fail),
        cmocka_unit_test(wrong_gradients_fail),
        cmocka_unit_test(some_samples_are_run_by_themselves),
        cmocka_unit_test(what_cannot_be_checked_is_no_success),
        cmocka_unit_test(right_tangents_pass),
        cmocka_unit_test(wrong_tangents_fail),
        cmocka_unit_test(a_broken_sum_rule_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
