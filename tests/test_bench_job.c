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

static void run(rs_precision precision, rs_cell cell, rs_bench_job *job) {
    rs_shape const shape = rs_bench_job_shape(&size, precision, cell);
    const rs_engine *const cpu = rs_engine_named("cpu");
    rs_resources const resources = {.threads = 2};
    void *state;
    assert_int_equal(rs_bench_job_make(&shape, job), RS_OK);
    assert_int_equal(cpu->open(0, &shape, &resources, &state), RS_OK);
    assert_int_equal(rs_bench_job_run(job, cpu, state), RS_OK);
    cpu->close(state);
}

static void right_results_pass(void **state) {
    (void)state;
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (rs_cell n = RS_TANH; n < RS_N_CELL; ++n) {
            rs_bench_job job;
            run(p, n, &job);
            if (rs_bench_job_check(&job, "cpu") != RS_OK) fail_msg("%s", rs_message());
            rs_bench_job_free(&job);
        }
}

static void radii_are_spread_from_a_half_to_one_and_a_half(void **state) {
    (void)state;
    rs_bench_job job;
    rs_shape const shape = rs_bench_job_shape(&size, RS_F64, RS_TANH);
    assert_int_equal(rs_bench_job_make(&shape, &job), RS_OK);
    for (size_t r = 0; r < size.radii; ++r)
        assert_true(job.columns.scale[r] == 0.5 + 0.25 * (double)r);
    rs_bench_job_free(&job);
}

/* Column 0 is the smallest radius and the first sample; the last sample is column 2. */
static void wrong_norms_fail(void **state) {
    (void)state;
    static const struct {
        size_t column, step;
        double factor;
    } wrong[] = {{0, 1, 1.01}, {0, 40, 0.99}, {2, 20, 1.01}, {0, 7, 0.0}, {2, 3, NAN}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        rs_bench_job job;
        run(RS_F32, RS_TANH, &job);
        job.record.norm2[(wrong[i].step - 1) * 15 + wrong[i].column] *= wrong[i].factor;
        assert_int_equal(rs_bench_job_check(&job, "cpu"), RS_EDEVICE);
        assert_non_null(strstr(rs_message(), "engine cpu: wrong result"));
        rs_bench_job_free(&job);
    }
}

static void wrong_exponents_and_states_fail(void **state) {
    (void)state;
    rs_bench_job job;
    run(RS_F64, RS_TANH, &job);
    ++job.record.exponent[0];
    assert_int_equal(rs_bench_job_check(&job, "cpu"), RS_EDEVICE);
    --job.record.exponent[0];
    assert_int_equal(rs_bench_job_check(&job, "cpu"), RS_OK);
    job.record.nonfinite_step[2] = 3;
    assert_int_equal(rs_bench_job_check(&job, "cpu"), RS_EDEVICE);
    rs_bench_job_free(&job);
}

/* relu at rho 4 and above grows in every column: nothing can be compared, and that is said. */
static void what_cannot_be_checked_is_no_success(void **state) {
    (void)state;
    rs_bench_job job;
    run(RS_F64, RS_RELU, &job);
    double *const scale = job.numbers + (job.columns.scale - job.numbers);
    for (size_t r = 0; r < size.radii; ++r) scale[r] = 4.0;
    assert_int_equal(rs_bench_job_check(&job, "cpu"), RS_EINPUT);
    assert_non_null(strstr(rs_message(), "unchecked"));
    rs_bench_job_free(&job);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_results_pass),
        cmocka_unit_test(radii_are_spread_from_a_half_to_one_and_a_half),
        cmocka_unit_test(wrong_norms_fail),
        cmocka_unit_test(wrong_exponents_and_states_fail),
        cmocka_unit_test(what_cannot_be_checked_is_no_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
