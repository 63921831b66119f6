/* Sweeps on several ranks, which are threads here: devices that fail, launches that must fit all
 * ranks, and messages that arrive damaged. */
#include "../host/store/store.h"
#include "../host/sweep/pipeline.h"
#include "../kernels/cpu/cpu.h"
#include "fake_mpi.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CASES = 120, MAX_DEVICES = 2 };

/* ---- an engine whose devices fail ------------------------------------------------------------ */

static struct {
    size_t devices;                 /* of every rank */
    size_t columns[FAKE_MPI_RANKS]; /* that fill a device of a rank */
    int bad_rank;                   /* whose devices from bad_device on fail; -1 for none */
    size_t bad_device;
    atomic_size_t most_groups; /* of any pass */
    atomic_size_t runs[FAKE_MPI_RANKS];
} with;

/* A handle knows its rank and device. */
typedef struct handle {
    void *real;
    int rank;
    size_t device;
} handle;

static rs_status device(size_t index, rs_device *out) {
    RS_TRY(rs_engine_cpu.device(0, out));
    out->columns_wanted = with.columns[fake_mpi_rank()];
    out->work_wanted = 0.0;
    out->threads = 1;
    return index < with.devices ? RS_OK : rs_fail(RS_EDEVICE, "no device %zu", index);
}

static rs_status bytes(size_t index, const rs_shape *shape, const rs_resources *resources,
                       uint64_t *out) {
    (void)index;
    return rs_engine_cpu.bytes(0, shape, resources, out);
}

static rs_status open_engine(size_t index, const rs_shape *largest, const rs_resources *resources,
                             void **self) {
    handle *const made = calloc(1, sizeof *made);
    *made = (handle){.rank = fake_mpi_rank(), .device = index};
    *self = made;
    return rs_engine_cpu.open(0, largest, resources, &made->real);
}

static rs_status load(void *self, const rs_shape *shape, const rs_parameters *of) {
    handle *const h = self;
    return rs_engine_cpu.load(h->real, shape, of);
}

/* Slow enough that every rank gets launches. */
static rs_status run(void *self, const rs_pass *pass, rs_record *out) {
    handle *const h = self;
    struct timespec const moment = {.tv_nsec = 2000000};
    nanosleep(&moment, NULL);
    atomic_fetch_add(&with.runs[h->rank], 1);
    size_t most = atomic_load(&with.most_groups);
    while (pass->shape.groups > most &&
           !atomic_compare_exchange_weak(&with.most_groups, &most, pass->shape.groups)) {
    }
    if (h->rank == with.bad_rank && h->device >= with.bad_device)
        return rs_fail(RS_EDEVICE, "the device is gone");
    return rs_engine_cpu.run(h->real, pass, out);
}

static void close_engine(void *self) {
    handle *const h = self;
    if (h) rs_engine_cpu.close(h->real);
    free(h);
}

static const rs_engine brittle = {.name = "brittle",
                                  .device = device,
                                  .bytes = bytes,
                                  .open = open_engine,
                                  .load = load,
                                  .run = run,
                                  .close = close_engine};

/* ---- sweeps ---------------------------------------------------------------------------------- */

static char path[64];

static int set_up(void **state) {
    (void)state;
    memset(&with, 0, sizeof with);
    with.devices = 1;
    with.bad_rank = -1;
    for (int i = 0; i < FAKE_MPI_RANKS; ++i) with.columns[i] = 1;
    fake_mpi_meddle = NULL;
    snprintf(path, sizeof path, "/tmp/rs_exchange_%d.db", (int)getpid());
    remove(path);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return remove(path) != 0;
}

typedef struct outcome {
    rs_status status[FAKE_MPI_RANKS];
    char message[FAKE_MPI_RANKS][512];
    rs_sweep_outcome of_0;
} outcome;

static void must(rs_status status) {
    if (status != RS_OK) fail_msg("%s", rs_message());
}

static void sweep(rs_ranks *ranks, void *arg) {
    static const char *const options[][2] = {
        {"hidden", "8"},  {"steps", "12"},   {"batch", "2"},  {"rho", "0.5,1.5"},
        {"quiet", "yes"}, {"memory", "64M"}, {"threads", "1"}};
    outcome *const out = arg;
    int const rank = ranks->place.rank;
    rs_sweep_outcome own;
    rs_spec spec;
    must(rs_spec_init(&spec));
    for (size_t i = 0; i < sizeof options / sizeof *options; ++i)
        must(rs_spec_set(&spec, options[i][0], options[i][1], RS_FROM_OPTION));
    must(rs_spec_set(&spec, "seeds", "1:120", RS_FROM_OPTION));
    must(rs_spec_set(&spec, "output", path, RS_FROM_OPTION));
    out->status[rank] = rs_sweep_among(ranks, &brittle, &spec, "test", &own);
    snprintf(out->message[rank], sizeof out->message[rank], "%s",
             out->status[rank] == RS_OK ? "" : rs_message());
    free(own.finding);
    if (rank == 0) out->of_0 = own;
    rs_spec_free(&spec);
}

static outcome sweep_on(int ranks) {
    outcome out = {0};
    fake_mpi_run(ranks, sweep, &out);
    return out;
}

/* One number from the database. */
static long ask(const char *query) {
    rs_store *store;
    sqlite3_stmt *statement;
    must(rs_store_open_readonly(path, &store));
    assert_int_equal(sqlite3_prepare_v2(rs_store_handle(store), query, -1, &statement, NULL), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    long const number = (long)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    rs_store_close(store);
    return number;
}

static void expect_text(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("'%s' does not say '%s'", text, part);
}

static void test_all_ranks_compute_and_rank_0_stores(void **state) {
    (void)state;
    outcome const out = sweep_on(3);
    for (int i = 0; i < 3; ++i) {
        assert_int_equal(out.status[i], RS_OK);
        assert_true(with.runs[i] > 0);
    }
    assert_int_equal(out.of_0.done, CASES);
    assert_int_equal(out.of_0.workers, 3);
    assert_true(out.of_0.engine_seconds > 0.0);
    assert_int_equal(ask("SELECT count(*) FROM timings"), CASES);
    assert_int_equal(ask("SELECT count(DISTINCT rank) FROM timings"), 3);
    assert_int_equal(ask("SELECT workers FROM runs"), 3);
}

static void test_launches_fit_every_rank(void **state) {
    (void)state;
    with.columns[0] = with.columns[2] = 64;
    with.columns[1] = 12; /* three cases of two radii and two samples */
    outcome const out = sweep_on(3);
    assert_int_equal(out.status[0], RS_OK);
    assert_int_equal(out.of_0.done, CASES);
    assert_int_equal(with.most_groups, 3);
}

/* The other device of its rank goes on, and rank 0 says what was lost. */
static void test_a_lost_device_of_another_rank_is_reported(void **state) {
    (void)state;
    with.devices = 2;
    with.bad_rank = 1;
    with.bad_device = 1;
    outcome const out = sweep_on(2);
    assert_int_equal(out.status[0], RS_EDEVICE);
    assert_int_equal(out.status[1], RS_OK);
    assert_int_equal(out.of_0.done, CASES);
    assert_int_equal(out.of_0.workers, 4);
    assert_int_equal(out.of_0.lost, 1);
    expect_text(out.message[0], "device 1 (");
    expect_text(out.message[0], ") of rank 1 on ");
    expect_text(out.message[0], "the device is gone; all cases are stored");
    assert_int_equal(ask("SELECT outcome LIKE 'done without device 1 %of rank 1%' FROM runs"), 1);
}

/* A rank without a device that works would else fail with all the launches that are left. */
static void test_a_rank_that_only_fails_gets_no_more(void **state) {
    (void)state;
    with.bad_rank = 1;
    outcome const out = sweep_on(2);
    assert_int_equal(out.status[0], RS_EDEVICE);
    assert_in_range(out.of_0.failed, 3, 20); /* and those that it had already */
    assert_int_equal(out.of_0.done + out.of_0.failed, CASES);
    expect_text(out.message[0], "cases failed");
    with.bad_rank = -1;
    outcome const again = sweep_on(2);
    assert_int_equal(again.status[0], RS_OK);
    assert_int_equal(again.of_0.done, out.of_0.failed);
}

/* Its first case is none of the plan's. */
static void damage_a_result(int from, int tag, unsigned char *data, size_t blocks) {
    (void)blocks;
    if (tag == RS_TAG_RESULT && from == 2) memset(data + 24, 0xFF, 8);
}

static void test_a_damaged_result_ends_the_sweep(void **state) {
    (void)state;
    fake_mpi_meddle = damage_a_result;
    outcome const out = sweep_on(3);
    assert_int_equal(out.status[0], RS_EIO);
    assert_int_equal(out.status[1], RS_OK);
    assert_int_equal(out.status[2], RS_OK);
    expect_text(out.message[0], "a message of another rank is damaged");
    assert_true(with.runs[0] + with.runs[1] + with.runs[2] < 90); /* nobody goes on */
    assert_true(ask("SELECT count(*) FROM timings WHERE rank = 2") == 0);
}

static void damage_a_launch(int from, int tag, unsigned char *data, size_t blocks) {
    (void)blocks;
    (void)from;
    if (tag == RS_TAG_LAUNCH && data[0]) memset(data + 8, 0xFF, 8);
}

static void test_a_damaged_launch_ends_the_sweep(void **state) {
    (void)state;
    fake_mpi_meddle = damage_a_launch;
    outcome const out = sweep_on(2);
    assert_int_equal(out.status[0], RS_EIO);
    assert_int_equal(out.status[1], RS_EIO);
    expect_text(out.message[0], "rank 1 on ");
    expect_text(out.message[0], "a launch of rank 0 is damaged");
}

int main(void) {
    alarm(300); /* where ranks wait for each other for ever */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_ranks_compute_and_rank_0_stores, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_launches_fit_every_rank, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_lost_device_of_another_rank_is_reported, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_rank_that_only_fails_gets_no_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_result_ends_the_sweep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_launch_ends_the_sweep, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
