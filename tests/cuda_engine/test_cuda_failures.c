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

static rs_shape const shape = {.groups = 1,
                               .radii = 6,
                               .batch = 5,
                               .hidden = 10,
                               .steps = 3,
                               .warmup = 1,
                               .drive = RS_DRIVE_WEIGHTED,
                               .input_size = 2,
                               .gradients = true};

/* Enough columns that a quarter of the memory holds some of them. */
static rs_shape const many = {.groups = 1,
                              .radii = 13,
                              .batch = 20,
                              .hidden = 10,
                              .steps = 3,
                              .warmup = 1,
                              .drive = RS_DRIVE_WEIGHTED,
                              .input_size = 2};

static size_t const singular_at[] = {2};

/* All that a pass can record. */
static rs_shape const everything = {.groups = 1,
                                    .radii = 2,
                                    .batch = 1,
                                    .hidden = 3,
                                    .steps = 2,
                                    .warmup = 1,
                                    .gradients = true,
                                    .directions = 3,
                                    .transient = 1,
                                    .n_singular = 1,
                                    .singular_at = singular_at};

static const rs_engine *cuda(void) { return rs_engine_named("cuda"); }

static uint64_t bytes_of(const rs_shape *s) {
    uint64_t bytes;
    assert_int_equal(cuda()->bytes(0, s, &(rs_resources){.threads = 1}, &bytes), RS_OK);
    return bytes;
}

/* One whole use of the engine; the status of its first failure. */
static rs_status use(const engine_case *c, rs_record *out) {
    const rs_shape *s = &c->pass.shape;
    rs_resources const resources = {.threads = 1};
    rs_device device;
    uint64_t bytes;
    void *engine = NULL;
    rs_status status = cuda()->device(0, &device);
    if (status == RS_OK) status = cuda()->bytes(0, s, &resources, &bytes);
    if (status == RS_OK) status = cuda()->open(0, s, &resources, &engine);
    if (status == RS_OK) status = cuda()->load(engine, s, c->parameters);
    if (status == RS_OK) status = cuda()->run(engine, &c->pass, out);
    cuda()->close(engine);
    return status;
}

/* The device has memory for the whole pass divided by `pieces`. Of many calls, every third: pieces
 * are alike, and so are the four calls of each step of tangents. */
static void every_failed_call_of(const char *path, rs_shape all, int error, uint64_t pieces) {
    setenv("RHOSWEEP_CUDA_PATH", path, 1);
    engine_case c = engine_case_make(all, 0.5, 0.9, 3);
    rs_record record = record_make(&all);
    rs_cuda_on_cpu_reset();
    rs_cuda_on_cpu_set_memory(bytes_of(&all) / pieces + 4096);
    assert_int_equal(use(&c, &record), RS_OK);
    uint64_t const calls = rs_cuda_on_cpu_calls();
    assert_true(calls > 10);
    for (uint64_t n = 1; n <= calls; n += pieces > 1 || all.directions > 0 ? 3 : 1) {
        rs_cuda_on_cpu_reset();
        uint64_t const held = rs_cuda_on_cpu_held();
        rs_cuda_on_cpu_fail(NULL, n, error);
        rs_status const status = use(&c, &record);
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
        assert_int_equal(use(&c, &record), RS_OK); /* and the next use is none the worse */
    }
    rs_cuda_on_cpu_set_memory(PLENTY);
    rs_record_free(&record);
    engine_case_free(&c);
    unsetenv("RHOSWEEP_CUDA_PATH");
}

static void every_failed_call_is_reported(const char *path, rs_cell cell, int error,
                                          uint64_t pieces) {
    rs_shape all = pieces > 1 ? many : shape;
    all.cell = cell;
    every_failed_call_of(path, all, error, pieces);
}

static void failures_in_turn(void **state) {
    (void)state;
    every_failed_call_is_reported("small", RS_TANH, OUT_OF_MEMORY, 1);
    every_failed_call_is_reported("cluster", RS_TANH, OUT_OF_MEMORY, 1);
    every_failed_call_is_reported("persistent", RS_TANH, OUT_OF_MEMORY, 1);
    every_failed_call_is_reported("persistent", RS_TANH, OUT_OF_MEMORY, 2);
    every_failed_call_is_reported("stepwise", RS_TANH, OUT_OF_MEMORY, 1);
    every_failed_call_is_reported("persistent", RS_TANH, LAUNCH_FAILURE, 1);
    every_failed_call_is_reported("small", RS_LSTM, OUT_OF_MEMORY, 1);
    every_failed_call_is_reported("persistent", RS_LSTM, OUT_OF_MEMORY, 1);
    every_failed_call_is_reported("stepwise", RS_GRU, OUT_OF_MEMORY, 1);
    every_failed_call_of("small", everything, OUT_OF_MEMORY, 1);
}

/* A lost device names the call, and is an error of the device, not of the input. */
static void lost_device_fails_the_run(void **state) {
    (void)state;
    engine_case c = engine_case_make(shape, 0.5, 0.9, 3);
    rs_record record = record_make(&shape);
    rs_cuda_on_cpu_reset();
    rs_cuda_on_cpu_fail("cudaLaunchKernelEx", 3, LAUNCH_FAILURE);
    assert_int_equal(use(&c, &record), RS_EDEVICE);
    assert_int_equal(rs_exit_code(RS_EDEVICE), 1);
    rs_cuda_on_cpu_reset();
    rs_record_free(&record);
    engine_case_free(&c);
}

static rs_shape cut_shape(bool gradients) {
    rs_shape large = many;
    large.radii = 40;
    large.steps = 30;
    large.gradients = gradients;
    return large;
}

static void expect_same_tangents(const rs_shape *s, const rs_record *a, const rs_record *b) {
    size_t const columns = s->groups * s->radii * s->batch, each = columns * s->directions;
    if (s->directions == 0) return;
    assert_memory_equal(a->stretch, b->stretch, each * RS_STRETCH_BLOCKS * sizeof *a->stretch);
    assert_memory_equal(a->qr_gap, b->qr_gap, columns * sizeof *a->qr_gap);
    assert_memory_equal(a->log_slope, b->log_slope, columns * sizeof *a->log_slope);
    assert_memory_equal(a->singular, b->singular, each * s->n_singular * sizeof *a->singular);
}

static void expect_same(const rs_shape *s, const rs_record *a, const rs_record *b) {
    size_t const norms = s->groups * s->steps * s->radii * s->batch;
    size_t const gradients = s->gradients ? s->groups * s->radii * RS_N_GRADIENT : 0;
    size_t const states = rs_cell_of(s->cell)->states;
    assert_memory_equal(a->norm2, b->norm2, states * norms * sizeof *a->norm2);
    assert_memory_equal(a->exponent, b->exponent, norms * sizeof *a->exponent);
    expect_same_tangents(s, a, b);
    if (gradients == 0) return;
    assert_memory_equal(a->gradient2, b->gradient2, gradients * sizeof *a->gradient2);
    assert_memory_equal(a->gradient_exponent, b->gradient_exponent,
                        gradients * sizeof *a->gradient_exponent);
}

/* With a device too small for the pass, the engine takes what there is and cuts the work; the bits
 * are those of the whole. With room for not even a column it says how much it would take. */
static void expect_pieces(rs_shape large) {
    engine_case c = engine_case_make(large, 0.5, 0.9, 3);
    rs_cuda_on_cpu_reset();
    rs_record whole = run_case(cuda(), &c, 1), pieces = record_make(&large);
    uint64_t const bytes = bytes_of(&c.pass.shape);
    for (uint64_t part = 2; part <= 8; part *= 2) {
        rs_cuda_on_cpu_set_memory(bytes / part + 4096);
        if (use(&c, &pieces) != RS_OK) fail_msg("an %d-th: %s", (int)part, rs_message());
        expect_same(&large, &whole, &pieces);
    }
    assert_true((pieces.gradient_seconds > 0.0) == large.gradients);
    rs_cuda_on_cpu_set_memory(8192);
    assert_int_equal(use(&c, &pieces), RS_EMEMORY);
    assert_non_null(strstr(rs_message(), "bytes"));
    rs_cuda_on_cpu_set_memory(PLENTY);
    rs_record_free(&whole);
    rs_record_free(&pieces);
    engine_case_free(&c);
}

static void little_memory_means_smaller_pieces(void **state) {
    (void)state;
    static const char *const paths[] = {"cluster", "persistent", "stepwise"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; ++i) {
        setenv("RHOSWEEP_CUDA_PATH", paths[i], 1);
        expect_pieces(cut_shape(false));
        expect_pieces(cut_shape(true));
        rs_shape gated = cut_shape(true);
        gated.cell = i % 2 ? RS_GRU : RS_LSTM;
        gated.hidden = 24; /* that a cluster takes, too */
        gated.steps = 8;
        expect_pieces(gated);
    }
    unsetenv("RHOSWEEP_CUDA_PATH");
}

/* Of a tangent its column is the only one that matters, too. */
static void tangents_do_not_depend_on_the_cut(void **state) {
    (void)state;
    rs_shape large = everything;
    large.radii = 16;
    large.batch = 3;
    large.hidden = large.directions = 8;
    large.gradients = false;
    expect_pieces(large);
    large.precision = RS_F64;
    large.cell = RS_LSTM;
    large.hidden = 4;
    expect_pieces(large);
}

/* Samples are cut apart unless their gradients are to be added up. */
static void gradients_take_all_samples_at_once(void **state) {
    (void)state;
    rs_shape one = cut_shape(false);
    one.radii = 1;
    one.batch = 800;
    engine_case c = engine_case_make(one, 0.9, 0.9, 3);
    one.gradients = true;
    rs_record record = record_make(&one);
    rs_cuda_on_cpu_reset();
    rs_cuda_on_cpu_set_memory(bytes_of(&c.pass.shape) / 3);
    assert_int_equal(use(&c, &record), RS_OK);
    c.pass.shape.gradients = true;
    assert_int_equal(use(&c, &record), RS_EMEMORY);
    assert_non_null(strstr(rs_message(), "one radius with weight gradients"));
    rs_cuda_on_cpu_set_memory(PLENTY);
    assert_int_equal(use(&c, &record), RS_OK);
    rs_record_free(&record);
    engine_case_free(&c);
}

static bool none_is_written(const rs_record *p, size_t norms) {
    for (size_t i = 0; i < norms; ++i)
        if (!isnan(p->norm2[i])) return false;
    return true;
}

/* Where a pass takes several pieces, the second one is on its way before the first one's results
 * are waited for: its only wait for another stream comes while nothing has been received. */
static void pieces_travel_while_others_are_worked_on(void **state) {
    (void)state;
    setenv("RHOSWEEP_CUDA_PATH", "persistent", 1);
    rs_shape large = many;
    large.radii = 40;
    large.steps = 30;
    engine_case c = engine_case_make(large, 0.5, 0.9, 3);
    rs_record record = record_make(&large);
    size_t const norms = large.steps * large.radii * large.batch;
    for (int second = 0; second < 2; ++second) {
        for (size_t i = 0; i < norms; ++i) record.norm2[i] = NAN;
        rs_cuda_on_cpu_reset();
        rs_cuda_on_cpu_set_memory(bytes_of(&large) / 2);
        rs_cuda_on_cpu_fail("cudaStreamWaitEvent", second ? 2 : 1, LAUNCH_FAILURE);
        assert_int_equal(use(&c, &record), RS_EDEVICE);
        assert_int_equal(none_is_written(&record, norms), !second);
    }
    rs_cuda_on_cpu_reset();
    rs_cuda_on_cpu_set_memory(PLENTY);
    rs_cuda_on_cpu_fail("cudaStreamWaitEvent", 1, LAUNCH_FAILURE);
    assert_int_equal(use(&c, &record), RS_OK); /* in one piece there is no wait */
    assert_true(record.forward_seconds > 0.0 && record.backward_seconds > 0.0);
    assert_true(record.transfer_seconds > 0.0);
    rs_cuda_on_cpu_reset();
    rs_record_free(&record);
    engine_case_free(&c);
    unsetenv("RHOSWEEP_CUDA_PATH");
}

static void path_that_does_not_fit_is_refused(void **state) {
    (void)state;
    setenv("RHOSWEEP_CUDA_PATH", "small", 1);
    rs_shape large = shape;
    large.hidden = 100;
    assert_false(engine_takes(cuda(), &large));
    assert_non_null(strstr(rs_message(), "small"));
    setenv("RHOSWEEP_CUDA_PATH", "warp-drive", 1);
    assert_false(engine_takes(cuda(), &shape));
    unsetenv("RHOSWEEP_CUDA_PATH");
    assert_true(engine_takes(cuda(), &large));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_turn),
        cmocka_unit_test(lost_device_fails_the_run),
        cmocka_unit_test(little_memory_means_smaller_pieces),
        cmocka_unit_test(tangents_do_not_depend_on_the_cut),
        cmocka_unit_test(gradients_take_all_samples_at_once),
        cmocka_unit_test(pieces_travel_while_others_are_worked_on),
        cmocka_unit_test(path_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
