/* What the CUDA engine does when the device fails it: every call in turn, too little memory, a lost
 * device. On the CPU runner, which fails on demand and counts what is not given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../cuda_on_cpu/cuda_on_cpu.h"
#include "../engine_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_OF_MEMORY = 2, LAUNCH_FAILURE = 719 }; /* of cudaError_t */
enum { PLENTY = 1 << 30 };

static rs_shape const shape = {
    .groups = 1, .radii = 6, .batch = 5, .hidden = 10, .steps = 3, .warmup = 1, .driven = true};

/* Enough columns that a quarter of the memory holds some of them. */
static rs_shape const many = {
    .groups = 1, .radii = 13, .batch = 20, .hidden = 10, .steps = 3, .warmup = 1, .driven = true};

static const rs_engine *cuda(void) { return rs_engine_named("cuda"); }

/* One whole use of the engine; the status of its first failure. */
static rs_status use(const rs_job *job, rs_profile *out) {
    rs_resources const resources = {.threads = 1};
    rs_device device;
    void *engine = NULL;
    rs_status status = cuda()->device(&device);
    if (status == RS_OK) status = cuda()->supports(&job->shape);
    if (status == RS_OK) status = cuda()->open(&job->shape, &resources, &engine);
    if (status == RS_OK) status = cuda()->run(engine, job, out);
    cuda()->close(engine);
    return status;
}

/* The device has memory for the whole job divided by `pieces`. Of many calls, every third: pieces
 * are alike. */
static void every_failed_call_is_reported(const char *path, int error, uint64_t pieces) {
    setenv("RHOSWEEP_CUDA_PATH", path, 1);
    const rs_shape *all = pieces > 1 ? &many : &shape;
    engine_case c = engine_case_make(*all, 0.5, 0.9, 3);
    rs_profile profile = profile_make(all);
    rs_resources const resources = {.threads = 1};
    rs_cuda_on_cpu_reset();
    rs_cuda_on_cpu_set_memory(cuda()->bytes(all, &resources) / pieces + 4096);
    assert_int_equal(use(&c.job, &profile), RS_OK);
    uint64_t const calls = rs_cuda_on_cpu_calls();
    assert_true(calls > 10);
    for (uint64_t n = 1; n <= calls; n += pieces > 1 ? 3 : 1) {
        rs_cuda_on_cpu_reset();
        uint64_t const held = rs_cuda_on_cpu_held();
        rs_cuda_on_cpu_fail(NULL, n, error);
        rs_status const status = use(&c.job, &profile);
        /* Memory that is there at the second try, and calls that give something back, fail
         * without harm; what such a call should have given back may stay. */
        if (status != RS_OK) {
            assert_true(status == RS_EDEVICE || status == RS_EMEMORY);
            assert_non_null(strstr(rs_message(), "engine cuda: "));
        }
        uint64_t const left = rs_cuda_on_cpu_held() - held;
        if (error == OUT_OF_MEMORY && left > 1)
            fail_msg("%s: call %d: %d things not given back: %s", path, (int)n, (int)left,
                     rs_message());
        rs_cuda_on_cpu_reset();
        assert_int_equal(use(&c.job, &profile), RS_OK); /* and the next use is none the worse */
    }
    rs_cuda_on_cpu_set_memory(PLENTY);
    profile_free(&profile);
    engine_case_free(&c);
    unsetenv("RHOSWEEP_CUDA_PATH");
}

static void failures_in_turn(void **state) {
    (void)state;
    every_failed_call_is_reported("small", OUT_OF_MEMORY, 1);
    every_failed_call_is_reported("cluster", OUT_OF_MEMORY, 1);
    every_failed_call_is_reported("persistent", OUT_OF_MEMORY, 1);
    every_failed_call_is_reported("persistent", OUT_OF_MEMORY, 2);
    every_failed_call_is_reported("stepwise", OUT_OF_MEMORY, 1);
    every_failed_call_is_reported("persistent", LAUNCH_FAILURE, 1);
}

/* A lost device names the call, and is an error of the device, not of the input. */
static void lost_device_fails_the_run(void **state) {
    (void)state;
    engine_case c = engine_case_make(shape, 0.5, 0.9, 3);
    rs_profile profile = profile_make(&shape);
    rs_cuda_on_cpu_reset();
    rs_cuda_on_cpu_fail("cudaLaunchKernelEx", 3, LAUNCH_FAILURE);
    assert_int_equal(use(&c.job, &profile), RS_EDEVICE);
    assert_int_equal(rs_exit_code(RS_EDEVICE), 1);
    rs_cuda_on_cpu_reset();
    profile_free(&profile);
    engine_case_free(&c);
}

/* With a device too small for the job, the engine takes what there is and cuts the work; the bits
 * are those of the whole. With room for not even a column it says how much it would take. */
static void little_memory_means_smaller_pieces(void **state) {
    (void)state;
    static const char *const paths[] = {"cluster", "persistent", "stepwise"};
    rs_resources const resources = {.threads = 1};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; ++i) {
        setenv("RHOSWEEP_CUDA_PATH", paths[i], 1);
        rs_shape large = many;
        large.radii = 40;
        large.steps = 30;
        engine_case c = engine_case_make(large, 0.5, 0.9, 3);
        rs_cuda_on_cpu_reset();
        rs_profile whole = run_engine(cuda(), &c.job, 1), pieces = profile_make(&large);
        uint64_t const bytes = cuda()->bytes(&c.job.shape, &resources);
        for (uint64_t part = 2; part <= 8; part *= 2) {
            rs_cuda_on_cpu_set_memory(bytes / part + 4096);
            assert_int_equal(use(&c.job, &pieces), RS_OK);
            size_t const norms = large.groups * large.steps * large.radii * large.batch;
            assert_memory_equal(whole.norm2, pieces.norm2, norms * sizeof *whole.norm2);
            assert_memory_equal(whole.exponent, pieces.exponent, norms * sizeof *whole.exponent);
        }
        rs_cuda_on_cpu_set_memory(8192);
        assert_int_equal(use(&c.job, &pieces), RS_EMEMORY);
        assert_non_null(strstr(rs_message(), "bytes"));
        rs_cuda_on_cpu_set_memory(PLENTY);
        profile_free(&whole);
        profile_free(&pieces);
        engine_case_free(&c);
    }
    unsetenv("RHOSWEEP_CUDA_PATH");
}

static bool none_is_written(const rs_profile *p, size_t norms) {
    for (size_t i = 0; i < norms; ++i)
        if (!isnan(p->norm2[i])) return false;
    return true;
}

/* Where a job takes several pieces, the second one is on its way before the first one's results are
 * waited for: its only wait for another stream comes while nothing has been received. */
static void pieces_travel_while_others_are_worked_on(void **state) {
    (void)state;
    setenv("RHOSWEEP_CUDA_PATH", "persistent", 1);
    rs_shape large = many;
    large.radii = 40;
    large.steps = 30;
    rs_resources const resources = {.threads = 1};
    engine_case c = engine_case_make(large, 0.5, 0.9, 3);
    rs_profile profile = profile_make(&large);
    size_t const norms = large.steps * large.radii * large.batch;
    for (int second = 0; second < 2; ++second) {
        for (size_t i = 0; i < norms; ++i) profile.norm2[i] = NAN;
        rs_cuda_on_cpu_reset();
        rs_cuda_on_cpu_set_memory(cuda()->bytes(&large, &resources) / 2);
        rs_cuda_on_cpu_fail("cudaStreamWaitEvent", second ? 2 : 1, LAUNCH_FAILURE);
        assert_int_equal(use(&c.job, &profile), RS_EDEVICE);
        assert_int_equal(none_is_written(&profile, norms), !second);
    }
    rs_cuda_on_cpu_reset();
    rs_cuda_on_cpu_set_memory(PLENTY);
    rs_cuda_on_cpu_fail("cudaStreamWaitEvent", 1, LAUNCH_FAILURE);
    assert_int_equal(use(&c.job, &profile), RS_OK); /* in one piece there is no wait */
    assert_true(profile.forward_seconds > 0.0 && profile.backward_seconds > 0.0);
    assert_true(profile.transfer_seconds > 0.0);
    rs_cuda_on_cpu_reset();
    profile_free(&profile);
    engine_case_free(&c);
    unsetenv("RHOSWEEP_CUDA_PATH");
}

static void path_that_does_not_fit_is_refused(void **state) {
    (void)state;
    setenv("RHOSWEEP_CUDA_PATH", "small", 1);
    rs_shape large = shape;
    large.hidden = 100;
    assert_int_equal(cuda()->supports(&large), RS_EINPUT);
    assert_non_null(strstr(rs_message(), "small"));
    setenv("RHOSWEEP_CUDA_PATH", "warp-drive", 1);
    assert_int_equal(cuda()->supports(&shape), RS_EINPUT);
    unsetenv("RHOSWEEP_CUDA_PATH");
    assert_int_equal(cuda()->supports(&large), RS_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_turn),
        cmocka_unit_test(lost_device_fails_the_run),
        cmocka_unit_test(little_memory_means_smaller_pieces),
        cmocka_unit_test(pieces_travel_while_others_are_worked_on),
        cmocka_unit_test(path_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
