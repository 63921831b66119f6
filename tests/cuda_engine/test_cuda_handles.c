/* What one handle keeps between passes, and what several have in common: the graphs of the stepwise
 * path, devices, threads. On the CPU runner, where a thread may use nothing of a device that is not
 * its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../../kernels/base/clock.h"
#include "../cuda_on_cpu/cuda_on_cpu.h"
#include "../engine_case.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static rs_shape const small = {.groups = 2,
                               .radii = 4,
                               .batch = 3,
                               .hidden = 20,
                               .steps = 6,
                               .warmup = 1,
                               .drive = RS_DRIVE_WEIGHTED};

static const rs_engine *cuda(void) { return rs_engine_named("cuda"); }

/* A pass and what it gives on a handle of its own. */
typedef struct known {
    engine_case given;
    rs_record right;
} known;

static known make_known(rs_shape shape, uint64_t seed) {
    known k = {.given = engine_case_make(shape, 0.4, 1.2, seed)};
    k.right = run_case(cuda(), &k.given, 1);
    return k;
}

static void free_known(known *k) {
    rs_record_free(&k->right);
    engine_case_free(&k->given);
}

/* Whether running the job on the handle gives the same bits again. */
static bool runs_alike(void *handle, const known *k) {
    const rs_shape *s = &k->given.pass.shape;
    size_t const columns = s->groups * s->radii * s->batch, norms = columns * s->steps;
    size_t const states = rs_cell_of(s->cell)->states;
    rs_record got = record_make(s);
    bool const same = cuda()->load(handle, s, k->given.parameters) == RS_OK &&
                      cuda()->run(handle, &k->given.pass, &got) == RS_OK &&
                      memcmp(got.norm2, k->right.norm2, norms * states * sizeof *got.norm2) == 0 &&
                      memcmp(got.exponent, k->right.exponent, norms * sizeof *got.exponent) == 0 &&
                      memcmp(got.nonfinite_step, k->right.nonfinite_step,
                             columns * sizeof *got.nonfinite_step) == 0;
    rs_record_free(&got);
    return same;
}

/* ---- the choice of a path -------------------------------------------------------------------- */

/* Paths whose bits are the same, by the kernels that they launch. */
typedef enum family { NONE, SMALL, TILES, STEPWISE } family;
static family launched;

static void note_family(const rs_cuda_launch *launch) {
    if (strstr(launch->kernel, "small_"))
        launched = SMALL;
    else if (strstr(launch->kernel, "stepwise_"))
        launched = STEPWISE;
    else if (strstr(launch->kernel, "forward_kernel")) /* cluster_ and persistent */
        launched = TILES;
}

static family family_of(rs_shape shape) {
    engine_case c = engine_case_make(shape, 0.5, 0.5, 1);
    rs_record ignored = run_case(cuda(), &c, 1);
    rs_record_free(&ignored);
    engine_case_free(&c);
    return launched;
}

/* By cell, H, precision and device, never by the number of columns: else bits would depend on it.
 */
static void columns_do_not_choose(void **state) {
    (void)state;
    static size_t const hidden[] = {8, 10, 12, 13, 64, 200, 240, 300, 511, 512, 513, 700};
    static size_t const batch[] = {1, 3, 64, 700}, groups[] = {1, 2};
    static rs_cell const cell[] = {RS_TANH, RS_LSTM, RS_GRU};
    size_t families = 0;
    rs_cuda_on_cpu_reset();
    rs_cuda_on_cpu_watch(note_family);
    for (size_t kind = 0; kind < 3 * RS_N_PRECISION; ++kind)
        for (size_t i = 0; i < sizeof hidden / sizeof *hidden; ++i) {
            if (kind >= RS_N_PRECISION && (i % 2 == 1 || hidden[i] > 300)) continue;
            rs_shape shape = {.groups = 1,
                              .radii = 1,
                              .batch = 1,
                              .hidden = hidden[i],
                              .steps = 2,
                              .cell = cell[kind / RS_N_PRECISION],
                              .precision = (rs_precision)(kind % RS_N_PRECISION)};
            family const first = family_of(shape);
            assert_true(first != NONE);
            families |= (size_t)1 << first;
            for (size_t b = 0; b < sizeof batch / sizeof *batch; ++b)
                for (size_t g = 0; g < sizeof groups / sizeof *groups; ++g) {
                    shape.batch = batch[b];
                    shape.groups = groups[g];
                    launched = NONE;
                    assert_int_equal(family_of(shape), first);
                }
        }
    rs_cuda_on_cpu_watch(NULL);
    assert_int_equal(families, 1 << SMALL | 1 << TILES | 1 << STEPWISE);
}

/* By the device too, which "auto" would otherwise pass over. */
static void unknown_path_is_refused(void **state) {
    (void)state;
    static const char why[] =
        "RHOSWEEP_CUDA_PATH: tiny: must be small, cluster, persistent or stepwise";
    rs_device device;
    rs_cuda_on_cpu_reset();
    setenv("RHOSWEEP_CUDA_PATH", "tiny", 1);
    assert_int_equal(cuda()->device(0, &device), RS_EINPUT);
    assert_string_equal(rs_message(), why);
    assert_false(engine_takes(cuda(), &small));
    assert_string_equal(rs_message(), why);
    setenv("RHOSWEEP_CUDA_PATH", "", 1);
    assert_int_equal(cuda()->device(0, &device), RS_OK);
    assert_string_equal(device.identity, "cuda");
    unsetenv("RHOSWEEP_CUDA_PATH");
}

/* ---- graphs ---------------------------------------------------------------------------------- */

/* A pass is captured anew for whatever differs in the shape, even where all arrays are where they
 * were. */
static void graphs_follow_the_shape(void **state) {
    (void)state;
    enum { N = 17 };
    rs_shape shape[N];
    for (size_t i = 0; i < N; ++i) shape[i] = small;
    shape[1].cell = RS_RELU;
    shape[2].raw = true;
    shape[3].cell = RS_LINEAR;
    shape[4].drive = RS_DRIVE_NOISE;
    shape[5].warmup = 2;
    shape[6].radii = 3, shape[6].batch = 4; /* as many columns */
    shape[7].precision = RS_F64;
    shape[8].hidden = 19;
    shape[9].steps = 5;
    shape[10].groups = 1;
    shape[11].radii = 3;
    shape[12].batch = 2;
    shape[13].gradients = true;
    shape[14].leak = 0.3;
    shape[15].cell = RS_LSTM;
    shape[16].cell = RS_GRU;
    rs_shape const largest = {.groups = 2,
                              .radii = 8,
                              .batch = 8,
                              .hidden = 32,
                              .steps = 12,
                              .warmup = 2,
                              .cell = RS_LSTM,
                              .precision = RS_F64,
                              .gradients = true,
                              .drive = RS_DRIVE_WEIGHTED,
                              .input_size = 2};
    rs_resources const resources = {.threads = 1};
    known job[N];
    void *handle = NULL;
    rs_cuda_on_cpu_reset();
    setenv("RHOSWEEP_CUDA_PATH", "stepwise", 1);
    for (size_t i = 0; i < N; ++i) job[i] = make_known(shape[i], 5);
    assert_int_equal(cuda()->open(0, &largest, &resources, &handle), RS_OK);
    for (size_t i = 0; i < N; ++i) {
        assert_true(runs_alike(handle, &job[0]));
        for (size_t again = 0; again < 2; ++again)
            if (!runs_alike(handle, &job[i])) fail_msg("job %d, turn %d", (int)i, (int)again);
    }
    cuda()->close(handle);
    for (size_t i = 0; i < N; ++i) free_known(&job[i]);
    unsetenv("RHOSWEEP_CUDA_PATH");
}

/* The same radius alone and among others. */
static void check_tiles(rs_shape shape) {
    const rs_cell_info *cell = rs_cell_of(shape.cell);
    engine_case c = engine_case_make(shape, 0.5, 3.0, 11);
    rs_record whole = run_case(cuda(), &c, 1);
    size_t const columns = shape.radii * shape.batch;
    for (size_t r = 0; r < shape.radii; r += 4) {
        rs_columns one = c.columns[0];
        one.scale += r * cell->gates;
        rs_pass pass = {.shape = c.pass.shape, .of = &one};
        pass.shape.radii = 1;
        rs_record alone = run_engine(cuda(), &pass, c.parameters, 1);
        for (size_t row = 0; row < shape.steps * cell->states; ++row)
            assert_memory_equal(alone.norm2 + row * shape.batch,
                                whole.norm2 + row * columns + r * shape.batch,
                                shape.batch * sizeof *whole.norm2);
        rs_record_free(&alone);
    }
    rs_record_free(&whole);
    engine_case_free(&c);
}

/* With few columns in small tiles, with many in large ones, and with rows and columns that fill no
 * tile. */
static void tiles_change_no_bits(void **state) {
    (void)state;
    static const rs_cell cells[] = {RS_TANH, RS_LSTM, RS_GRU};
    setenv("RHOSWEEP_CUDA_PATH", "stepwise", 1);
    rs_cuda_on_cpu_reset();
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (size_t i = 0; i < sizeof cells / sizeof *cells; ++i) {
            rs_shape shape = small;
            shape.groups = 1, shape.radii = 21, shape.batch = 7, shape.hidden = i == 0 ? 109 : 37;
            shape.cell = cells[i];
            shape.precision = p;
            check_tiles(shape);
        }
    unsetenv("RHOSWEEP_CUDA_PATH");
}

/* ---- time ------------------------------------------------------------------------------------ */

/* What run() says of its passes fills the time that it took, by another clock. */
static void seconds_are_seconds(void **state) {
    (void)state;
    rs_shape shape = small;
    shape.hidden = 100, shape.steps = 40;
    rs_resources const resources = {.threads = 1};
    void *handle = NULL;
    engine_case c = engine_case_make(shape, 0.5, 0.9, 1);
    rs_record got = record_make(&shape);
    rs_cuda_on_cpu_reset();
    assert_int_equal(cuda()->open(0, &c.pass.shape, &resources, &handle), RS_OK);
    assert_int_equal(cuda()->load(handle, &c.pass.shape, c.parameters), RS_OK);
    double const start = rs_seconds();
    assert_int_equal(cuda()->run(handle, &c.pass, &got), RS_OK);
    double const wall = rs_seconds() - start;
    assert_true(got.forward_seconds > 0.05 * wall && got.backward_seconds > 0.05 * wall);
    assert_true(got.transfer_seconds > 0.0);
    assert_true(got.forward_seconds + got.backward_seconds + got.transfer_seconds < 1.01 * wall);
    cuda()->close(handle);
    rs_record_free(&got);
    engine_case_free(&c);
}

/* ---- devices --------------------------------------------------------------------------------- */

typedef struct worker {
    pthread_t thread;
    size_t device;
    const known *job;
    bool good;
} worker;

static void *work(void *arg) {
    worker *w = arg;
    rs_resources const resources = {.threads = 1};
    void *handle = NULL;
    w->good = cuda()->open(w->device, &w->job->given.pass.shape, &resources, &handle) == RS_OK;
    for (int i = 0; i < 3 && w->good; ++i) w->good = runs_alike(handle, w->job);
    cuda()->close(handle);
    return NULL;
}

/* Two threads, each with an engine on a device of its own, and one that uses both in turn. */
static void devices_and_threads(void **state) {
    (void)state;
    static const char *const paths[] = {"small", "cluster", "persistent", "stepwise"};
    rs_shape shape = small;
    shape.hidden = 10;
    rs_cuda_on_cpu_reset();
    uint64_t const held = rs_cuda_on_cpu_held();
    for (size_t i = 0; i < sizeof paths / sizeof *paths; ++i) {
        setenv("RHOSWEEP_CUDA_PATH", paths[i], 1);
        rs_cuda_on_cpu_set_devices(2);
        rs_shape other = shape;
        other.cell = i % 2 ? RS_GRU : RS_LSTM;
        if (!engine_takes(cuda(), &other)) other.cell = RS_TANH;
        known const job[2] = {make_known(shape, 1), make_known(other, 2)};
        worker w[2];
        for (int k = 0; k < 2; ++k) {
            w[k] = (worker){.device = (size_t)k, .job = &job[k]};
            assert_int_equal(pthread_create(&w[k].thread, NULL, work, &w[k]), 0);
        }
        for (int k = 0; k < 2; ++k) pthread_join(w[k].thread, NULL);
        assert_true(w[0].good && w[1].good);

        void *handle[2] = {NULL, NULL};
        for (int k = 0; k < 2; ++k) {
            rs_resources const resources = {.threads = 1};
            const rs_shape *s = &job[k].given.pass.shape;
            assert_int_equal(cuda()->open((size_t)k, s, &resources, &handle[k]), RS_OK);
        }
        for (int turn = 0; turn < 4; ++turn)
            assert_true(runs_alike(handle[turn % 2], &job[turn % 2]));
        for (int k = 0; k < 2; ++k) cuda()->close(handle[k]);
        for (int k = 0; k < 2; ++k) free_known((known *)&job[k]);
        assert_int_equal(rs_cuda_on_cpu_held(), held);
    }
    rs_cuda_on_cpu_set_devices(1);
    unsetenv("RHOSWEEP_CUDA_PATH");
}

static void no_such_device(void **state) {
    (void)state;
    static const char why[] = "engine cuda: no device 1: 1 is visible";
    rs_resources const resources = {.threads = 1};
    uint64_t bytes;
    rs_device device;
    void *handle = NULL;
    rs_cuda_on_cpu_reset();
    assert_int_equal(cuda()->open(1, &small, &resources, &handle), RS_EDEVICE);
    assert_string_equal(rs_message(), why);
    assert_int_equal(cuda()->bytes(1, &small, &resources, &bytes), RS_EDEVICE);
    assert_string_equal(rs_message(), why);
    assert_int_equal(cuda()->device(1, &device), RS_EDEVICE);
    assert_string_equal(rs_message(), why);
    assert_int_equal(cuda()->device(SIZE_MAX, &device), RS_EDEVICE);
}

enum { INSUFFICIENT_DRIVER = 35, NO_DEVICE = 100, UNKNOWN_ERROR = 999 }; /* of cudaError_t */

/* CUDA has one error for a driver that is missing, whose version is 0, and one that is too old. */
static void no_driver(void **state) {
    (void)state;
    static const struct {
        int error;
        bool has_version;
        const char *why;
    } wanted[] = {
        {INSUFFICIENT_DRIVER, false, "engine cuda: no NVIDIA driver found: "},
        {INSUFFICIENT_DRIVER, true,
         "engine cuda: the NVIDIA driver is too old for this build: it has CUDA "},
        {NO_DEVICE, true, "engine cuda: no NVIDIA GPU is visible: "},
        {UNKNOWN_ERROR, true, "engine cuda: no device: unknown"},
    };
    rs_device device;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; ++i) {
        rs_cuda_on_cpu_reset();
        rs_cuda_on_cpu_fail("cudaGetDeviceCount", 1, wanted[i].error);
        if (!wanted[i].has_version) rs_cuda_on_cpu_fail("cudaDriverGetVersion", 1, UNKNOWN_ERROR);
        assert_int_equal(cuda()->device(0, &device), RS_EDEVICE);
        assert_memory_equal(rs_message(), wanted[i].why, strlen(wanted[i].why));
        assert_non_null(strstr(rs_message(), ": use --engine cpu"));
    }
    rs_cuda_on_cpu_reset();
    assert_int_equal(cuda()->device(0, &device), RS_OK);
}

/* Whoever asks about a device goes on with the one before. */
static void asking_changes_no_device(void **state) {
    (void)state;
    rs_resources const resources = {.threads = 1};
    uint64_t bytes;
    rs_device device;
    void *handle = NULL;
    rs_cuda_on_cpu_reset();
    rs_cuda_on_cpu_set_devices(3);
    assert_int_equal(cuda()->open(1, &small, &resources, &handle), RS_OK);
    int const own = rs_cuda_on_cpu_device();
    for (size_t i = 0; i < 3; ++i) {
        assert_int_equal(cuda()->device(i, &device), RS_OK);
        assert_int_equal(cuda()->bytes(i, &small, &resources, &bytes), RS_OK);
        assert_int_equal(rs_cuda_on_cpu_device(), own);
    }
    assert_int_equal(own, 1);
    cuda()->close(handle);
    assert_int_equal(cuda()->open(0, &small, &resources, &handle), RS_OK);
    cuda()->close(handle);
    rs_cuda_on_cpu_set_devices(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_do_not_choose),    cmocka_unit_test(unknown_path_is_refused),
        cmocka_unit_test(graphs_follow_the_shape),  cmocka_unit_test(tiles_change_no_bits),
        cmocka_unit_test(seconds_are_seconds),      cmocka_unit_test(devices_and_threads),
        cmocka_unit_test(no_such_device),           cmocka_unit_test(no_driver),
        cmocka_unit_test(asking_changes_no_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
