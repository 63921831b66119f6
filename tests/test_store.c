/* The store: what it keeps, what it refuses, and what a kill leaves. */
#include "../host/table/table.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE_SIZE = 16384 }; /* of a new database */

/* Every test runs in an empty folder of its own. */
static char folder[64];
static struct stat folder_made;
static int home;

static int enter_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/rhosweep_test_XXXXXX");
    home = open(".", O_RDONLY | O_DIRECTORY);
    return home < 0 || !mkdtemp(folder) || chmod(folder, 0755) != 0 || chdir(folder) != 0 ||
           stat(".", &folder_made) != 0;
}

/* Calls `each` on every name in the current folder. */
static size_t list_folder(void (*each)(const char *name)) {
    DIR *const dir = opendir(".");
    assert_non_null(dir);
    size_t n = 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (each) each(entry->d_name);
        ++n;
    }
    closedir(dir);
    return n;
}

static void remove_file(const char *name) {
    if (unlink(name) != 0) rmdir(name);
}

/* Removes all that is in the current folder, if that is the one which was made for the test. */
static bool clean_folder(void) {
    struct stat here;
    if (stat(".", &here) != 0 || here.st_dev != folder_made.st_dev ||
        here.st_ino != folder_made.st_ino)
        return false;
    chmod(".", 0755);
    list_folder(remove_file);
    return true;
}

/* A test that failed may have left the folder. */
static int leave_folder(void **state) {
    (void)state;
    bool const clean = chdir(folder) == 0 && clean_folder();
    bool const left = fchdir(home) == 0 && clean && rmdir(folder) == 0;
    folder_made = (struct stat){0};
    close(home);
    return !left;
}

static void test_cleans_its_own_folder_alone(void **state) {
    (void)state;
    assert_int_equal(mkdir("other", 0755), 0);
    assert_int_equal(chdir("other"), 0);
    assert_int_equal(mkdir("kept", 0755), 0);
    assert_false(clean_folder());
    assert_int_equal(rmdir("kept"), 0);
    assert_int_equal(chdir(".."), 0);
}

/* --- helpers ---------------------------------------------------------------------------------- */

static void assert_ok(rs_status status) {
    if (status != RS_OK) fail_msg("status %d: %s", status, rs_message());
}

static void assert_fails(rs_status status, rs_status expected, const char *part) {
    if (status != expected) fail_msg("status %d, not %d: %s", status, expected, rs_message());
    if (!strstr(rs_message(), part)) fail_msg("\"%s\" is not in: %s", part, rs_message());
    assert_null(strchr(rs_message(), '\n'));
}

static rs_store *open_store(void) {
    rs_store *store;
    assert_ok(rs_store_open("x.db", &store));
    return store;
}

static int64_t begin_run(rs_store *store) {
    rs_provenance const provenance = fixture_provenance();
    int64_t run = 0;
    assert_ok(rs_store_begin_run(store, &provenance, &run));
    return run;
}

static double query_real(rs_store *store, const char *sql) {
    sqlite3_stmt *query;
    sqlite3 *const db = rs_store_handle(store);
    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(query), SQLITE_ROW);
    double const value =
        sqlite3_column_type(query, 0) == SQLITE_NULL ? NAN : sqlite3_column_double(query, 0);
    sqlite3_finalize(query);
    return value;
}

static int query_whole(rs_store *store, const char *sql) { return (int)query_real(store, sql); }

static void assert_text(rs_store *store, const char *sql, const char *expected) {
    sqlite3_stmt *query;
    assert_int_equal(sqlite3_prepare_v2(rs_store_handle(store), sql, -1, &query, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(query), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(query, 0), expected);
    sqlite3_finalize(query);
}

/* The bytes of a blob; NULL bytes for NULL. */
static void assert_blob(rs_store *store, const char *sql, const void *bytes, size_t length) {
    sqlite3_stmt *query;
    assert_int_equal(sqlite3_prepare_v2(rs_store_handle(store), sql, -1, &query, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(query), SQLITE_ROW);
    assert_int_equal(sqlite3_column_type(query, 0), bytes ? SQLITE_BLOB : SQLITE_NULL);
    assert_int_equal(sqlite3_column_bytes(query, 0), length);
    if (bytes) assert_memory_equal(sqlite3_column_blob(query, 0), bytes, length);
    sqlite3_finalize(query);
}

static void write_file(const char *path, const void *bytes, size_t length) {
    FILE *const file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static char *read_file(const char *path, size_t *length) {
    FILE *const file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = NULL;
    *length = 0;
    FILE *const memory = open_memstream(&bytes, length);
    assert_non_null(memory);
    for (int c; (c = fgetc(file)) != EOF;) fputc(c, memory);
    fclose(file);
    fclose(memory);
    return bytes;
}

static void run_sql(const char *path, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* Both ways to open a file refuse it with RS_EINPUT and leave the folder as it is. */
static void assert_refused(const char *path, const char *part) {
    size_t const files = list_folder(NULL);
    size_t before, after;
    char *const was = read_file(path, &before);
    rs_store *store;
    assert_fails(rs_store_open(path, &store), RS_EINPUT, part);
    assert_null(store);
    assert_fails(rs_store_open_readonly(path, &store), RS_EINPUT, part);
    assert_null(store);
    char *const is = read_file(path, &after);
    assert_int_equal(before, after);
    assert_memory_equal(was, is, before);
    assert_int_equal(list_folder(NULL), files);
    free(was);
    free(is);
}

static int check_whole(rs_store *store) {
    assert_text(store, "PRAGMA integrity_check", "ok");
    assert_int_equal(query_whole(store, "SELECT count(*) FROM cases WHERE id NOT IN"
                                        " (SELECT case_id FROM points)"),
                     0);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM points LEFT JOIN curves"
                                        " ON point_id = id WHERE length(mean) IS NOT 5 * 8"),
                     0);
    return query_whole(store, "SELECT count(*) FROM cases");
}

static void end_child(pid_t child) {
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void sleep_us(long us) {
    struct timespec const time = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

/* A database with one case of two radii. */
static void make_database(void) {
    rs_store *const store = open_store();
    int64_t const run = begin_run(store);
    fixture f = fixture_make(1);
    fixture_point(&f, 0, 0.5, 0.25);
    fixture_point(&f, 1, 2.0, -0.5);
    rs_case_result const result = fixture_result(&f, 2);
    assert_ok(rs_store_put(store, run, &result));
    assert_ok(rs_store_finish_run(store, run, "done", 1.0, 2.0));
    rs_store_close(store);
}

/* --- creating and keeping --------------------------------------------------------------------- */

static void test_create(void **state) {
    (void)state;
    assert_ok(rs_store_probe("x.db"));
    assert_int_equal(list_folder(NULL), 0); /* a probe writes nothing */
    rs_store *const store = open_store();
    assert_int_equal(query_whole(store, "PRAGMA application_id"), 0x52484F53);
    assert_int_equal(query_whole(store, "PRAGMA user_version"), 6);
    assert_int_equal(query_whole(store, "PRAGMA page_size"), PAGE_SIZE);
    assert_int_equal(query_whole(store, "PRAGMA foreign_keys"), 1);
    struct statfs info;
    assert_int_equal(statfs("x.db", &info), 0);
    assert_text(store, "PRAGMA journal_mode",
                rs_store_shares_memory((long)info.f_type) ? "wal" : "delete");
    rs_store_close(store);
    assert_ok(rs_store_probe("x.db"));
    assert_int_equal(list_folder(NULL), 1);
    rs_store_close(open_store());
    rs_store_close(NULL);
}

static void test_create_in_an_empty_file(void **state) {
    (void)state;
    write_file("x.db", "", 0);
    rs_store *store;
    assert_fails(rs_store_open_readonly("x.db", &store), RS_EINPUT, "is empty");
    make_database();
    assert_ok(rs_store_open_readonly("x.db", &store));
    assert_int_equal(query_whole(store, "SELECT count(*) FROM points"), 2);
    rs_store_close(store);
}

static void test_put_keeps_every_value(void **state) {
    (void)state;
    rs_store *const store = open_store();
    int64_t const run = begin_run(store);
    fixture f = fixture_make(UINT64_MAX);
    fixture_import(&f);
    f.one.raw = true;
    rs_point *const point = fixture_point(&f, 0, 0.1, NAN);
    f.curve[0][0] = -INFINITY;
    f.curve[0][1] = NAN;
    f.curve[0][2] = INFINITY;
    f.curve[0][3] = -602.05999132796;
    point->forward_nonfinite = 3;
    point->range.fp16_underflow = 0;
    point->range.backward_nonfinite = 2;
    rs_case_result const result = fixture_result(&f, 1);
    assert_ok(rs_store_put(store, run, &result));

    static const char *const curves[] = {"mean", "min", "max"};
    for (size_t k = 0; k < 3; ++k) {
        char sql[64];
        snprintf(sql, sizeof sql, "SELECT %s FROM curves WHERE point_id = 1", curves[k]);
        assert_blob(store, sql, f.curve[0], sizeof f.curve[0]);
    }
    assert_true(query_real(store, "SELECT rho_asked FROM points") == 0.1);
    assert_true(isnan(query_real(store, "SELECT decay_rate FROM points")));
    assert_int_equal(query_whole(store, "SELECT forward_nonfinite FROM points"), 3);
    assert_int_equal(query_whole(store, "SELECT fp16_underflow FROM points"), 0);
    assert_int_equal(query_whole(store, "SELECT backward_nonfinite FROM points"), 2);
    assert_true(isnan(query_real(store, "SELECT fp32_overflow FROM points")));
    assert_text(store, "SELECT model_digest FROM cases", "0000000000abcdef");
    assert_text(store, "SELECT model FROM cases", "a,b\"c.npz");
    assert_text(store, "SELECT ensemble || ' ' || input || ' ' || h0 || ' ' || loss FROM cases",
                "model pytorch zero random");
    assert_int_equal(query_whole(store, "SELECT seed FROM cases"), -1);
    assert_int_equal(query_whole(store, "SELECT raw FROM cases"), 1);
    assert_int_equal(query_whole(store, "SELECT columns FROM timings"), 4);
    assert_text(store, "SELECT device FROM timings", "A CPU");
    assert_text(store, "SELECT outcome FROM runs", "running");
    assert_text(store, "SELECT spec FROM runs", "[sweep]\nrho = 1,2\n");
    assert_ok(rs_store_finish_run(store, run, "interrupted", 0.5, 2.0));
    assert_text(store, "SELECT outcome FROM runs WHERE finished >= started", "interrupted");
    assert_true(query_real(store, "SELECT engine_s / wall_s FROM runs") == 0.25);
    assert_true(query_real(store, "SELECT transfer_s FROM timings") == 0.125);
    rs_store_close(store);
}

static void test_done_and_more_radii(void **state) {
    (void)state;
    rs_store *const store = open_store();
    int64_t run = begin_run(store);
    fixture f = fixture_make(1);
    double const rho[] = {0.5, 1.0, 2.0};
    bool done[3] = {true, true, true};
    assert_ok(fixture_done(store, &f.one, rho, 3, true, done));
    assert_false(done[0] || done[1] || done[2]);

    fixture_point(&f, 0, 0.5, 0.25);
    fixture_point(&f, 1, 2.0, 0.125);
    rs_case_result result = fixture_result(&f, 2);
    assert_ok(rs_store_put(store, run, &result));
    assert_ok(fixture_done(store, &f.one, rho, 3, true, done));
    assert_true(done[0] && !done[1] && done[2]);

    /* the missing radius comes beside one that is there, which stays as it is */
    run = begin_run(store);
    fixture_point(&f, 0, 1.0, 0.5);
    fixture_point(&f, 1, 2.0, 99.0);
    result = fixture_result(&f, 2);
    assert_ok(rs_store_put(store, run, &result));
    assert_ok(fixture_done(store, &f.one, rho, 3, true, done));
    assert_true(done[0] && done[1] && done[2]);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM cases"), 1);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM points"), 3);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM curves"), 3);
    assert_true(query_real(store, "SELECT decay_rate FROM points WHERE rho_asked = 2") == 0.125);
    assert_int_equal(query_whole(store, "SELECT run_id FROM points WHERE rho_asked = 2"), 1);
    assert_int_equal(query_whole(store, "SELECT run_id FROM points WHERE rho_asked = 1"), 2);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM timings"), 2);
    rs_store_close(store);
}

typedef struct visits {
    size_t n;
    uint64_t seed[16];
    double rho[16], rate[16];
} visits;

static rs_status note(void *arg, const rs_stored_point *point) {
    visits *v = arg;
    v->seed[v->n] = point->seed;
    v->rho[v->n] = point->rho_asked;
    v->rate[v->n++] = point->decay_rate;
    return RS_OK;
}

static rs_status refuse(void *arg, const rs_stored_point *point) {
    (void)point;
    ++*(size_t *)arg;
    return rs_fail(RS_EMEMORY, "no more");
}

static void test_points_of_many_seeds(void **state) {
    static uint64_t const seed[] = {0, 7, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    (void)state;
    rs_store *const store = open_store();
    int64_t const run = begin_run(store);
    for (size_t i = 0; i < 5; ++i)
        for (size_t steps = FIXTURE_STEPS - 1; steps <= FIXTURE_STEPS; ++steps) {
            fixture f = fixture_make(seed[i]);
            f.one.steps = steps;
            fixture_point(&f, 0, 0.5, (double)i);
            fixture_point(&f, 1, 2.0, NAN);
            rs_case_result const result = fixture_result(&f, 2);
            assert_ok(rs_store_put(store, run, &result));
        }
    rs_case const like = fixture_make(99).one;
    for (size_t first = 0; first < 5; ++first)
        for (size_t last = first; last < 5; ++last) {
            visits v = {0};
            assert_ok(rs_store_points(store, &like, (uint64_t[]){seed[first], seed[last]}, true,
                                      note, &v));
            bool const both = first < 3 && last >= 3; /* then all are visited */
            assert_int_equal(v.n, both ? 10 : 2 * (last - first + 1));
            for (size_t i = 0; i < v.n; i += 2) {
                assert_true(v.seed[i] == v.seed[i + 1]);
                assert_true(v.rho[i] == 0.5 && v.rho[i + 1] == 2.0 && isnan(v.rate[i + 1]));
                assert_true(v.seed[i] == seed[(size_t)v.rate[i]]);
            }
        }
    size_t visited = 0;
    assert_fails(rs_store_points(store, &like, (uint64_t[]){0, 7}, false, refuse, &visited),
                 RS_EMEMORY, "no more");
    assert_int_equal(visited, 1);
    rs_store_close(store);
}

static void test_native_is_a_radius_of_its_own(void **state) {
    (void)state;
    rs_store *const store = open_store();
    int64_t const run = begin_run(store);
    fixture f = fixture_make(1);
    fixture_point(&f, 0, NAN, 0.25);
    rs_case_result const result = fixture_result(&f, 1);
    assert_ok(rs_store_put(store, run, &result));
    assert_ok(rs_store_put(store, run, &result));
    assert_int_equal(query_whole(store, "SELECT count(*) FROM points WHERE rho_asked IS NULL"), 1);
    double const rho = 0.625;
    bool done;
    assert_ok(fixture_done(store, &f.one, &rho, 1, true, &done));
    assert_false(done); /* reached is not asked for */
    f.one.native = true;
    assert_ok(fixture_done(store, &f.one, NULL, 1, true, &done));
    assert_true(done);
    rs_store_close(store);
}

/* Changes one setting of the case; false when there are no more. */
static bool change_identity(fixture *f, int which) {
    switch (which) {
    case 0: f->one.cell = RS_RELU; return true;
    case 1: f->one.ensemble.kind = RS_IDENTITY; return true;
    case 2: fixture_import(f); return true;
    case 3: f->one.hidden = 11; return true;
    case 4: f->one.steps = 4; return true;
    case 5: f->one.seed = 2; return true;
    case 6: f->one.batch = 5; return true;
    case 7: f->one.input.kind = RS_INPUT_ZERO; return true;
    case 8: f->one.input_size = 4; return true;
    case 9: f->one.h0 = (rs_start){RS_START_NORMAL, 1.0}; return true;
    case 10: f->one.warmup = 1; return true;
    case 11: f->one.loss = RS_LAST_MEAN; return true;
    case 12: f->one.fit_skip = 2; return true;
    case 13: f->one.precision = RS_F32; return true;
    case 14: f->one.raw = true; return true;
    case 15: f->one.engine = "cpu"; return true;
    case 16: f->one.h0.kind = RS_START_MODEL; return true;
    case 17: f->one.h0 = (rs_start){RS_START_NORMAL, 2.0}; return true;
    case 18: f->one.input = (rs_input){RS_INPUT_NOISE, 0.1}; return true;
    case 19: f->one.input = (rs_input){RS_INPUT_NOISE, 0.1 + 0x1p-56}; return true;
    case 20: fixture_import(f), f->one.model_digest = 1; return true;
    case 21: f->one.leak = 0.5; return true;
    case 22: f->one.leak = 0.5 + 0x1p-53; return true;
    case 23: f->one.cell = RS_LSTM; return true;
    case 24: f->one.cell = RS_GRU; return true;
    case 25: fixture_gate(f, 1.0); return true;
    case 26: fixture_gate(f, -1.0); return true;
    case 27: fixture_gate(f, 50.0), f->one.gate_bias.kind = RS_BIAS_CHRONO; return true;
    case 28: fixture_gate(f, 1.0), f->one.gate_scale = RS_SCALE_NATIVE; return true;
    default: return false;
    }
}

static void test_identity_of_a_case(void **state) {
    (void)state;
    rs_store *const store = open_store();
    int64_t const run = begin_run(store);
    double const rho = 0.5;
    bool done;
    int n = 0;
    for (fixture f = fixture_make(1); change_identity(&f, n); f = fixture_make(1), ++n) {
        assert_ok(fixture_done(store, &f.one, &rho, 1, true, &done));
        assert_false(done);
        fixture_point(&f, 0, rho, 0.25);
        rs_case_result const result = fixture_result(&f, 1);
        assert_ok(rs_store_put(store, run, &result));
        assert_ok(fixture_done(store, &f.one, &rho, 1, true, &done));
        assert_true(done);
    }
    fixture f = fixture_make(1);
    assert_ok(fixture_done(store, &f.one, &rho, 1, true, &done));
    assert_false(done);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM cases"), n);
    rs_store_close(store);
}

static void test_identity_is_that_of_the_schema(void **state) {
    (void)state;
    rs_store *const store = open_store();
    size_t n;
    const rs_identity_column *const column = rs_identity_columns(&n);
    static const char unique[] =
        "FROM pragma_index_list('cases') l, pragma_index_info(l.name) WHERE l.origin = 'u'";
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT count(*) %s", unique);
    assert_int_equal(query_whole(store, sql), n);
    for (size_t i = 0; i < n; ++i) {
        snprintf(sql, sizeof sql, "SELECT count(*) %s AND pragma_index_info.name = '%s'", unique,
                 column[i].name);
        if (query_whole(store, sql) != 1) fail_msg("%s is not in UNIQUE", column[i].name);
    }
    rs_store_close(store);
}

static void test_failed_then_success(void **state) {
    (void)state;
    rs_store *const store = open_store();
    int64_t run = begin_run(store);
    fixture f = fixture_make(1);
    fixture_point(&f, 0, 0.5, 0.25);
    rs_case_result const failure = fixture_failure(&f, "cuda: the device was lost");
    assert_ok(rs_store_put(store, run, &failure));
    assert_text(store, "SELECT status || ' ' || reason FROM cases",
                "failed cuda: the device was lost");
    assert_int_equal(query_whole(store, "SELECT count(*) FROM timings"), 0);
    bool done;
    assert_ok(fixture_done(store, &f.one, &f.point[0].rho_asked, 1, true, &done));
    assert_false(done);

    run = begin_run(store);
    rs_case_result const success = fixture_result(&f, 1);
    assert_ok(rs_store_put(store, run, &success));
    assert_text(store, "SELECT status || ' ' || (reason IS NULL) || ' ' || run_id FROM cases",
                "done 1 2");
    assert_ok(fixture_done(store, &f.one, &f.point[0].rho_asked, 1, true, &done));
    assert_true(done);
    rs_store_close(store);
}

static void test_failed_put_leaves_nothing(void **state) {
    (void)state;
    rs_store *const store = open_store();
    fixture f = fixture_make(1);
    fixture_point(&f, 0, 0.5, 0.25);
    rs_case_result const result = fixture_result(&f, 1);
    assert_fails(rs_store_put(store, 77, &result), RS_ESTORE, "x.db: storing a case: FOREIGN KEY");
    assert_int_equal(query_whole(store, "SELECT count(*) FROM cases"), 0);
    int64_t const run = begin_run(store);
    assert_ok(rs_store_put(store, run, &result)); /* and the store goes on */
    rs_store_close(store);
}

static void test_batch_of_one_keeps_one_curve(void **state) {
    (void)state;
    rs_store *const store = open_store();
    int64_t const run = begin_run(store);
    fixture f = fixture_make(1);
    f.one.batch = 1;
    fixture_point(&f, 0, 0.5, 0.25);
    rs_case_result const result = fixture_result(&f, 1);
    assert_ok(rs_store_put(store, run, &result));
    assert_blob(store, "SELECT mean FROM curves", f.curve[0], sizeof f.curve[0]);
    assert_blob(store, "SELECT min FROM curves", NULL, 0);
    assert_blob(store, "SELECT max FROM curves", NULL, 0);
    rs_store_close(store);
}

static void test_fractions_of_zeros_where_there_are_any(void **state) {
    (void)state;
    rs_store *const store = open_store();
    fixture f = fixture_make(1);
    fixture_point(&f, 0, 0.5, 0.25);
    fixture_point(&f, 1, 1.0, 0.25);
    f.zero[1][FIXTURE_STEPS - 1] = 0.25;
    rs_case_result const result = fixture_result(&f, 2);
    assert_ok(rs_store_put(store, begin_run(store), &result));
    assert_int_equal(query_whole(store, "SELECT count(zero) FROM curves"), 1);
    assert_blob(store, "SELECT zero FROM curves WHERE zero IS NOT NULL", f.zero[1],
                sizeof f.zero[1]);
    rs_store_close(store);
}

/* Of points that have a curve, and with it. */
static void test_curves_of_both_states(void **state) {
    (void)state;
    rs_store *const store = open_store();
    fixture f = fixture_make(1);
    fixture_gate(&f, 1.0);
    fixture_point(&f, 0, 0.5, 0.25);
    fixture_states(&f, 0);
    fixture_point(&f, 1, 1.0, 0.25)->profile = (rs_log_profile){0};
    rs_case_result const result = fixture_result(&f, 2);
    assert_ok(rs_store_put(store, begin_run(store), &result));
    assert_int_equal(query_whole(store, "SELECT count(*) FROM state_curves"), 2);
    assert_int_equal(query_whole(store, "SELECT count(zero) FROM state_curves"), 1);
    assert_blob(store, "SELECT mean FROM curves", f.curve[0], sizeof f.curve[0]);
    assert_blob(store, "SELECT mean FROM state_curves WHERE state = 'h'", f.state[0][0][0],
                sizeof f.curve[0]);
    assert_blob(store, "SELECT max FROM state_curves WHERE state = 'c'", f.state[0][1][0],
                sizeof f.curve[0]);
    assert_blob(store, "SELECT zero FROM state_curves WHERE state = 'c'", f.state[0][1][1],
                sizeof f.curve[0]);
    assert_text(store, "SELECT gate_bias || ' ' || gate_scale || ' ' || leak FROM cases",
                "1 same ");

    fixture_point(&f, 1, 1.0, 0.25); /* the curves that were left out */
    fixture_states(&f, 1);
    assert_ok(rs_store_put(store, begin_run(store), &result));
    assert_int_equal(query_whole(store, "SELECT count(*) FROM state_curves"), 4);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM curves"), 2);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    rs_store_close(store);
}

/* A case that comes in two parts costs what both cost. */
static void test_timings_of_one_run_add_up(void **state) {
    (void)state;
    rs_store *const store = open_store();
    int64_t const run = begin_run(store);
    fixture f = fixture_make(1);
    fixture_point(&f, 0, 0.5, 0.25);
    rs_case_result result = fixture_result(&f, 1);
    assert_ok(rs_store_put(store, run, &result));
    fixture_point(&f, 0, 1.0, 0.25);
    fixture_point(&f, 1, 2.0, 0.25);
    result = fixture_result(&f, 2);
    result.forward_seconds = 10.0;
    result.backward_seconds = 20.0;
    result.transfer_seconds = 30.0;
    assert_ok(rs_store_put(store, run, &result));
    assert_int_equal(query_whole(store, "SELECT count(*) FROM timings"), 1);
    assert_int_equal(query_whole(store, "SELECT radii FROM timings"), 3);
    assert_int_equal(query_whole(store, "SELECT columns FROM timings"), 12);
    assert_true(query_real(store, "SELECT forward_s FROM timings") == 10.25);
    assert_true(query_real(store, "SELECT backward_s FROM timings") == 20.75);
    assert_true(query_real(store, "SELECT transfer_s FROM timings") == 30.125);
    rs_store_close(store);
}

/* A point without a curve is done for those who want none; a curve brings a whole new point. */
static void test_curves_that_come_later(void **state) {
    (void)state;
    rs_store *const store = open_store();
    fixture f = fixture_make(1);
    double const rho[] = {0.5, 2.0};
    bool done[2];
    fixture_point(&f, 0, 0.5, 0.25)->profile = (rs_log_profile){0};
    rs_case_result result = fixture_result(&f, 1);
    assert_ok(rs_store_put(store, begin_run(store), &result));
    fixture_point(&f, 0, 2.0, 0.125);
    assert_ok(rs_store_put(store, begin_run(store), &result));
    assert_int_equal(query_whole(store, "SELECT count(*) FROM curves"), 1);
    assert_ok(fixture_done(store, &f.one, rho, 2, false, done));
    assert_true(done[0] && done[1]);
    assert_ok(fixture_done(store, &f.one, rho, 2, true, done));
    assert_true(!done[0] && done[1]);

    fixture_point(&f, 0, 0.5, 0.75);
    fixture_point(&f, 1, 2.0, 99.0);
    result = fixture_result(&f, 2);
    assert_ok(rs_store_put(store, begin_run(store), &result));
    assert_ok(fixture_done(store, &f.one, rho, 2, true, done));
    assert_true(done[0] && done[1]);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM points"), 2);
    assert_true(query_real(store, "SELECT decay_rate FROM points WHERE rho_asked = 0.5") == 0.75);
    assert_int_equal(query_whole(store, "SELECT run_id FROM points WHERE rho_asked = 0.5"), 3);
    assert_true(query_real(store, "SELECT decay_rate FROM points WHERE rho_asked = 2") == 0.125);
    assert_int_equal(check_whole(store), 1);

    fixture_point(&f, 0, 0.5, 99.0)->profile = (rs_log_profile){0}; /* takes nothing away */
    assert_ok(rs_store_put(store, begin_run(store), &result));
    assert_true(query_real(store, "SELECT decay_rate FROM points WHERE rho_asked = 0.5") == 0.75);
    assert_int_equal(check_whole(store), 1);
    rs_store_close(store);
}

/* A point gets the gradients that it lacks, and loses nothing, whatever else is there or comes. */
static void test_gradients_that_come_later(void **state) {
    (void)state;
    rs_store *const store = open_store();
    fixture f = fixture_make(1);
    double const rho[] = {0.5, 2.0};
    unsigned const both = RS_WITH_CURVE | RS_WITH_GRADIENTS;
    bool done[2];
    /* a curve alone, gradients alone */
    fixture_gradients(fixture_point(&f, 0, 2.0, 0.125), 1.0, -INFINITY, NAN, INFINITY);
    f.point[0].profile = (rs_log_profile){0};
    rs_case_result result = fixture_result(&f, 1);
    assert_ok(rs_store_put(store, begin_run(store), &result));
    fixture_point(&f, 0, 0.5, 0.25);
    int64_t const run = begin_run(store);
    assert_ok(rs_store_put(store, run, &result));
    assert_true(query_real(store, "SELECT weight_ih FROM gradients") == 1.0);
    assert_true(query_real(store, "SELECT weight_hh FROM gradients") == -INFINITY);
    assert_true(isnan(query_real(store, "SELECT bias_ih FROM gradients")));
    assert_true(query_real(store, "SELECT bias_hh FROM gradients") == INFINITY);
    assert_ok(fixture_done(store, &f.one, rho, 2, RS_WITH_CURVE, done));
    assert_true(done[0] && !done[1]);
    assert_ok(fixture_done(store, &f.one, rho, 2, RS_WITH_GRADIENTS, done));
    assert_true(!done[0] && done[1]);
    assert_ok(fixture_done(store, &f.one, rho, 2, both, done));
    assert_true(!done[0] && !done[1]);
    assert_ok(fixture_done(store, &f.one, rho, 2, 0, done));
    assert_true(done[0] && done[1]);

    /* what each of them lacks, in the run that stored the curve */
    fixture_gradients(fixture_point(&f, 0, 0.5, 99.0), 0.5, 0.25, 0.125, 0.0625);
    f.point[0].profile = (rs_log_profile){0};
    fixture_point(&f, 1, 2.0, 0.75);
    result = fixture_result(&f, 2);
    assert_ok(rs_store_put(store, run, &result));
    assert_ok(fixture_done(store, &f.one, rho, 2, both, done));
    assert_true(done[0] && done[1]);
    assert_true(query_real(store, "SELECT decay_rate FROM points WHERE rho_asked = 0.5") == 0.25);
    assert_true(query_real(store, "SELECT decay_rate FROM points WHERE rho_asked = 2") == 0.75);
    assert_true(query_real(store, "SELECT bias_hh FROM gradients JOIN points ON id = point_id"
                                  " WHERE rho_asked = 0.5") == 0.0625);
    assert_true(query_real(store, "SELECT weight_ih FROM gradients JOIN points ON id = point_id"
                                  " WHERE rho_asked = 2") == 1.0);

    /* what is there stays, also where less or something else comes */
    for (int with = 0; with < 2; ++with) {
        fixture_point(&f, 0, 0.5, 99.0)->has_gradients = with;
        fixture_point(&f, 1, 2.0, 99.0)->has_gradients = with;
        if (with) f.point[0].profile = f.point[1].profile = (rs_log_profile){0};
        assert_ok(rs_store_put(store, begin_run(store), &result));
        assert_int_equal(query_whole(store, "SELECT count(*) FROM points WHERE decay_rate < 1"), 2);
        assert_int_equal(query_whole(store, "SELECT count(*) FROM gradients WHERE weight_ih > 0"),
                         2);
        assert_int_equal(check_whole(store), 1);
    }
    rs_store_close(store);
}

/* Gradients of a case may come in parts, of one run and points of another. */
static void test_gradients_of_some_points(void **state) {
    (void)state;
    make_database();
    rs_store *const store = open_store();
    fixture f = fixture_make(1);
    double const rho[] = {0.5, 2.0};
    bool done[2];
    fixture_gradients(fixture_point(&f, 0, 2.0, 0.125), 1.0, 1.0, 1.0, 1.0);
    rs_case_result const result = fixture_result(&f, 1);
    assert_ok(rs_store_put(store, begin_run(store), &result));
    assert_ok(fixture_done(store, &f.one, rho, 2, RS_WITH_CURVE | RS_WITH_GRADIENTS, done));
    assert_true(!done[0] && done[1]);
    rs_store_close(store);
}

/* The norms that were asked for, of each case; nothing of them is part of its identity. */
static void test_norms_to_clip_to(void **state) {
    (void)state;
    rs_store *const store = open_store();
    int64_t const run = begin_run(store);
    for (uint64_t seed = 1; seed <= 2; ++seed) {
        fixture f = fixture_make(seed);
        fixture_gradients(fixture_point(&f, 0, 0.5, 0.25), 1.0, 1.0, 1.0, 1.0);
        rs_case_result result = fixture_result(&f, 1);
        result.clip = seed == 1 ? 0.1 : NAN;
        assert_ok(rs_store_put(store, run, &result));
        assert_ok(rs_store_put(store, run, &result)); /* once is enough */
    }
    assert_int_equal(query_whole(store, "SELECT count(*) FROM cases"), 2);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM clips"), 1);
    assert_true(query_real(store, "SELECT max_norm FROM clips") == 0.1);

    fixture const other = fixture_make(2), missing = fixture_make(3);
    int64_t const later = begin_run(store);
    assert_ok(rs_store_begin(store));
    assert_ok(rs_store_add_clip(store, later, &other.one, 0.1));
    assert_ok(rs_store_add_clip(store, later, &other.one, 2.0));
    assert_ok(rs_store_add_clip(store, later, &other.one, 2.0));
    assert_ok(rs_store_add_clip(store, later, &missing.one, 2.0));
    assert_ok(rs_store_end(store, RS_OK));
    assert_text(
        store,
        "SELECT group_concat(seed || ' ' || max_norm || ' ' || clips.run_id, ', ') FROM"
        " (SELECT * FROM clips ORDER BY case_id, max_norm) clips JOIN cases ON case_id = id",
        "1 0.1 1, 2 0.1 2, 2 2.0 2");
    rs_case_result const failure = fixture_failure(&other, "lost");
    assert_ok(rs_store_put(store, later, &failure));
    assert_int_equal(query_whole(store, "SELECT count(*) FROM clips"), 3);
    rs_store_close(store);
}

static void test_many_cases_in_a_transaction(void **state) {
    (void)state;
    rs_store *const store = open_store();
    int64_t const run = begin_run(store);
    rs_store *reader;
    assert_ok(rs_store_open_readonly("x.db", &reader));
    assert_ok(rs_store_begin(store));
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        fixture f = fixture_make(seed);
        fixture_point(&f, 0, 0.5, 0.25);
        rs_case_result const result = fixture_result(&f, 1);
        assert_ok(rs_store_add(store, run, &result));
        assert_int_equal(query_whole(reader, "SELECT count(*) FROM cases"), 0);
    }
    assert_ok(rs_store_end(store, RS_OK));
    assert_int_equal(query_whole(reader, "SELECT count(*) FROM cases"), 3);
    rs_store_close(reader);

    /* what fails takes all of its transaction with it */
    fixture f = fixture_make(4);
    fixture_point(&f, 0, 0.5, 0.25);
    rs_case_result const result = fixture_result(&f, 1);
    assert_ok(rs_store_begin(store));
    assert_ok(rs_store_add(store, run, &result));
    f.one.seed = 5;
    rs_status const status = rs_store_add(store, 77, &result);
    assert_fails(rs_store_end(store, status), RS_ESTORE, "FOREIGN KEY");
    assert_int_equal(check_whole(store), 3);
    rs_store_close(store);
}

static void put_radius(rs_store *store, int64_t run, size_t n, uint64_t matrix, double radius) {
    rs_kept_radius const kept = {.n = n, .matrix = matrix, .radius = radius};
    assert_ok(rs_store_begin(store));
    assert_ok(rs_store_end(store, rs_store_add_radii(store, run, &kept, 1)));
}

/* How many radii of that size the run may use. */
static size_t known_radii(rs_store *store, int64_t run, size_t n) {
    rs_radii radii;
    assert_ok(rs_radii_make(&radii));
    assert_ok(rs_store_read_radii(store, run, n, &radii));
    size_t const known = radii.n_known;
    for (size_t i = 0; i < radii.room; ++i)
        if (radii.known[i].n) {
            assert_int_equal(radii.known[i].n, n);
            assert_true(radii.known[i].matrix == UINT64_MAX || radii.known[i].matrix == 3);
            assert_true(radii.known[i].radius == 1.0 / 3.0);
        }
    rs_radii_free(&radii);
    return known;
}

static int64_t begin_run_with(rs_store *store, const char *libraries) {
    rs_provenance provenance = fixture_provenance();
    provenance.libraries = libraries;
    int64_t run = 0;
    assert_ok(rs_store_begin_run(store, &provenance, &run));
    return run;
}

static void test_radii_hold_for_the_libraries_that_found_them(void **state) {
    (void)state;
    rs_store *store = open_store();
    int64_t const first = begin_run_with(store, "BLAS 1");
    put_radius(store, first, 64, UINT64_MAX, 1.0 / 3.0);
    put_radius(store, first, 64, 3, 1.0 / 3.0);
    put_radius(store, first, 65, 3, 1.0 / 3.0);
    rs_store_close(store);
    store = open_store();
    int64_t const same = begin_run_with(store, "BLAS 1");
    assert_int_equal(known_radii(store, same, 64), 2);
    assert_int_equal(known_radii(store, same, 65), 1);
    assert_int_equal(known_radii(store, same, 66), 0);
    int64_t const other = begin_run_with(store, "BLAS 2");
    assert_int_equal(known_radii(store, other, 64), 0);
    put_radius(store, other, 64, 3, 1.0 / 3.0); /* in place of the first's */
    assert_int_equal(known_radii(store, other, 64), 1);
    assert_int_equal(known_radii(store, same, 64), 1);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM radii"), 3);
    rs_store_close(store);
}

static void test_file_systems_for_a_write_ahead_log(void **state) {
    (void)state;
    static const uint32_t local[] = {0xEF53,     0x58465342, 0x9123683E,
                                     0x01021994, 0x794C7630, 0x2FC12FC1};
    static const uint32_t remote[] = {0x6969,     0x517B,     0xFF534D42, 0xFE534D42, 0x0BD00BD0,
                                      0x47504653, 0x00C36400, 0x19830326, 0x01021997, 0x65735546};
    for (size_t i = 0; i < sizeof local / sizeof *local; ++i)
        assert_true(rs_store_shares_memory((long)local[i]));
    for (size_t i = 0; i < sizeof remote / sizeof *remote; ++i) {
        assert_false(rs_store_shares_memory((long)remote[i]));
        assert_false(rs_store_shares_memory((long)(int32_t)remote[i])); /* where f_type is an int */
    }
}

/* --- earlier versions ------------------------------------------------------------------------- */

/* A copy of a file of the tests as x.db. */
static void copy_file(const char *path) {
    size_t length;
    assert_int_equal(fchdir(home), 0);
    char *const bytes = read_file(path, &length);
    assert_int_equal(chdir(folder), 0);
    write_file("x.db", bytes, length);
    free(bytes);
}

static void copy_version1(void) { copy_file("data/version1.db"); }
static void copy_version2(void) { copy_file("data/version2.db"); }
static void copy_version3(void) { copy_file("data/version3.db"); }
static void copy_version4(void) { copy_file("data/version4.db"); }
static void copy_version5(void) { copy_file("data/version5.db"); }

/* All tables as CSV, timings of the runs included. */
static rs_status write_csv(rs_store *store, const char *name, FILE *out) {
    rs_table_request const asked = {.name = name, .format = RS_CSV};
    return rs_table_write(store, &asked, out);
}

static char *all_tables(rs_store *store) {
    static const char *const names[] = {"decay",      "profile", "clip",
                                        "throughput", "runs",    "failures"};
    char *text = NULL;
    size_t length;
    FILE *const out = open_memstream(&text, &length);
    assert_non_null(out);
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        assert_ok(write_csv(store, names[i], out));
    assert_int_equal(fclose(out), 0);
    return text;
}

/* x.db is read without a change, says the same after an upgrade. */
static void assert_reads_as_it_is(void) {
    size_t before, after;
    char *const was = read_file("x.db", &before);
    assert_ok(rs_store_probe("x.db"));
    rs_store *store;
    assert_ok(rs_store_open_readonly("x.db", &store));
    char *const first = all_tables(store), *const again = all_tables(store);
    assert_string_equal(first, again);
    assert_non_null(strstr(first, "\ntanh,gaussian,6,12,"));
    rs_store_close(store);
    char *const is = read_file("x.db", &after);
    assert_int_equal(before, after);
    assert_memory_equal(was, is, before);

    rs_store_close(open_store()); /* upgrades */
    assert_ok(rs_store_open_readonly("x.db", &store));
    assert_int_equal(query_whole(store, "PRAGMA user_version"), 6);
    char *const upgraded = all_tables(store);
    assert_string_equal(first, upgraded);
    rs_store_close(store);
    free(was);
    free(is);
    free(first);
    free(again);
    free(upgraded);
}

static void test_version_1_is_read_as_it_is(void **state) {
    (void)state;
    copy_version1();
    assert_reads_as_it_is();
}

static void test_version_2_is_read_as_it_is(void **state) {
    (void)state;
    copy_version2();
    assert_reads_as_it_is();
}

static void test_version_3_is_read_as_it_is(void **state) {
    (void)state;
    copy_version3();
    assert_reads_as_it_is();
}

static void test_version_4_is_read_as_it_is(void **state) {
    (void)state;
    copy_version4();
    assert_reads_as_it_is();
}

static void test_version_5_is_read_as_it_is(void **state) {
    (void)state;
    copy_version5();
    assert_reads_as_it_is();
}

/* What a schema says, without its comments. */
static void assert_upgrades_to_the_new_schema(void) {
    static const char sql[] =
        "SELECT group_concat(t.name || '.' || c.name || ' ' || c.type || c.\"notnull\" || c.pk) "
        "FROM"
        " (SELECT name FROM sqlite_schema WHERE type IN ('table', 'index') AND name NOT LIKE"
        " 'sqlite%' ORDER BY name) t JOIN pragma_table_xinfo(t.name) c";
    sqlite3_stmt *query;
    rs_store *const upgraded = open_store();
    rs_store *fresh;
    assert_ok(rs_store_open("fresh.db", &fresh));
    assert_int_equal(sqlite3_prepare_v2(rs_store_handle(fresh), sql, -1, &query, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(query), SQLITE_ROW);
    assert_text(upgraded, sql, (const char *)sqlite3_column_text(query, 0));
    sqlite3_finalize(query);
    assert_text(upgraded, "PRAGMA integrity_check", "ok");
    assert_int_equal(query_whole(upgraded, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    rs_store_close(fresh);
    rs_store_close(upgraded);
}

static void test_upgraded_schema_is_the_new_one(void **state) {
    (void)state;
    copy_version1();
    assert_upgrades_to_the_new_schema();
    copy_version2();
    assert_upgrades_to_the_new_schema();
    copy_version3();
    assert_upgrades_to_the_new_schema();
    copy_version4();
    assert_upgrades_to_the_new_schema();
    copy_version5();
    assert_upgrades_to_the_new_schema();
    copy_version2(); /* an early build */
    run_sql("x.db", "ALTER TABLE curves DROP COLUMN zero");
    assert_upgrades_to_the_new_schema();
}

/* Points of version 2 have no gradients, and get them with all else left as it is. */
static void test_gradients_for_version_2(void **state) {
    (void)state;
    make_database();
    run_sql("x.db", fixture_to_version3);
    run_sql("x.db", fixture_to_version2);
    rs_store *const store = open_store();
    fixture f = fixture_make(1);
    double const rho[] = {0.5, 2.0};
    bool done[2];
    assert_ok(fixture_done(store, &f.one, rho, 2, RS_WITH_CURVE, done));
    assert_true(done[0] && done[1]);
    assert_ok(fixture_done(store, &f.one, rho, 2, RS_WITH_CURVE | RS_WITH_GRADIENTS, done));
    assert_true(!done[0] && !done[1]);
    fixture_gradients(fixture_point(&f, 0, 0.5, 99.0), 0.5, 0.25, 0.125, 0.125);
    fixture_gradients(fixture_point(&f, 1, 2.0, 99.0), 0.5, 0.25, 0.125, 0.125);
    rs_case_result result = fixture_result(&f, 2);
    result.clip = 1.0;
    assert_ok(rs_store_put(store, begin_run(store), &result));
    assert_ok(fixture_done(store, &f.one, rho, 2, RS_WITH_CURVE | RS_WITH_GRADIENTS, done));
    assert_true(done[0] && done[1]);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM points WHERE decay_rate < 1"), 2);
    rs_store_close(store);
}

/* Cases of earlier versions have no gates and no leak; ids stay, and what refers to them. */
static void test_cases_of_version_3(void **state) {
    (void)state;
    copy_version3();
    rs_store *store;
    assert_ok(rs_store_open_readonly("x.db", &store));
    int const cases = query_whole(store, "SELECT count(*) FROM cases");
    int const joined = query_whole(store, "SELECT sum(c.id * p.id) FROM points p JOIN cases c"
                                          " ON c.id = p.case_id");
    rs_store_close(store);
    store = open_store();
    assert_int_equal(query_whole(store, "SELECT count(*) FROM cases WHERE gate_bias = ''"
                                        " AND gate_scale = '' AND leak = '1'"),
                     cases);
    assert_int_equal(query_whole(store, "SELECT sum(c.id * p.id) FROM points p JOIN cases c"
                                        " ON c.id = p.case_id"),
                     joined);
    assert_int_equal(query_whole(store, "PRAGMA foreign_keys"), 1);
    sqlite3 *const db = rs_store_handle(store);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM cases", NULL, NULL, NULL), SQLITE_CONSTRAINT);
    rs_store_close(store);
}

/* Version 1 wrote 'zero' whether a model's own start state was used or not. */
static void test_start_of_an_imported_model(void **state) {
    (void)state;
    copy_version1();
    rs_store *const store = open_store();
    assert_int_equal(query_whole(store, "SELECT count(*) FROM cases WHERE h0 = 'unrecorded'"), 1);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM cases WHERE h0 = 'unrecorded'"
                                        " AND ensemble = 'model'"),
                     1);
    assert_ok(rs_store_confirm_zero_start(store, 0x1234)); /* another model */
    assert_int_equal(query_whole(store, "SELECT count(*) FROM cases WHERE h0 = 'unrecorded'"), 1);
    sqlite3_stmt *query;
    assert_int_equal(sqlite3_prepare_v2(rs_store_handle(store),
                                        "SELECT model_digest FROM cases WHERE h0 = 'unrecorded'",
                                        -1, &query, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(query), SQLITE_ROW);
    uint64_t const digest = strtoull((const char *)sqlite3_column_text(query, 0), NULL, 16);
    sqlite3_finalize(query);
    assert_ok(rs_store_confirm_zero_start(store, digest));
    assert_int_equal(query_whole(store, "SELECT count(*) FROM cases WHERE h0 = 'unrecorded'"), 0);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM cases WHERE ensemble = 'model'"
                                        " AND h0 = 'zero'"),
                     1);
    rs_store_close(store);
}

/* Many times as many cases, so that the upgrade takes a while. */
static void make_long_version1(void) {
    copy_version1();
    run_sql(
        "x.db",
        "CREATE TEMP TABLE k AS WITH RECURSIVE k(i) AS"
        " (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 60) SELECT i FROM k;"
        "CREATE TEMP TABLE c AS SELECT * FROM cases; CREATE TEMP TABLE p AS SELECT * FROM points;"
        "CREATE TEMP TABLE f AS SELECT * FROM profile;"
        "INSERT INTO cases SELECT 1000 * i + id, nonlinearity, ensemble, model_digest, hidden,"
        " steps, 1000 * i + seed % 1000, batch, input, input_size, h0, warmup, loss, fit_skip, "
        "precision,"
        " engine, raw, model, status, reason, run_id FROM c, k;"
        "INSERT INTO points SELECT 1000 * i + id, 1000 * i + case_id, run_id, rho_asked, rho, g,"
        " decay_rate, forward_nonfinite, fp32_underflow, fp32_overflow, fp16_underflow,"
        " fp16_overflow, bf16_underflow, bf16_overflow, backward_nonfinite FROM p, k;"
        "INSERT INTO profile SELECT 1000 * i + point_id, step, log10_norm_mean, log10_norm_min,"
        " log10_norm_max FROM f, k;");
}

static int version_now(void) {
    rs_store *store;
    assert_ok(rs_store_open_readonly("x.db", &store));
    assert_text(store, "PRAGMA integrity_check", "ok");
    int const version = query_whole(store, "PRAGMA user_version");
    rs_store_close(store);
    return version;
}

static void test_kill_while_upgrading(void **state) {
    (void)state;
    rs_store *store;
    make_long_version1();
    assert_ok(rs_store_open_readonly("x.db", &store));
    char *const whole = all_tables(store);
    rs_store_close(store);
    size_t length;
    char *const bytes = read_file("x.db", &length);
    int killed = 0;
    for (long us = 0, version = 1; version == 1; us += 500 + us / 8) {
        list_folder(remove_file);
        write_file("x.db", bytes, length);
        pid_t const child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            rs_store_close(open_store());
            for (;;) pause();
        }
        sleep_us(us);
        end_child(child);
        version = version_now();
        killed += version == 1;
        assert_ok(rs_store_open_readonly("x.db", &store));
        char *const now = all_tables(store);
        assert_string_equal(now, whole);
        free(now);
        rs_store_close(store);
    }
    assert_true(killed > 3);
    free(bytes);
    free(whole);
}

/* --- files that are not ours ------------------------------------------------------------------ */

static void test_refuses_what_is_no_database(void **state) {
    (void)state;
    write_file("x.db", "h,rho\n1,2\n", 10);
    assert_fails(rs_store_probe("x.db"), RS_EINPUT, "not a SQLite database");
    assert_refused("x.db", "x.db: not a SQLite database");
    write_file("x.db", "SQLite format 3", 16);
    assert_refused("x.db", "not a SQLite database"); /* cut off in the header */
}

static void test_refuses_foreign_databases(void **state) {
    (void)state;
    run_sql("x.db", "CREATE TABLE mine (a)");
    assert_refused("x.db", "not one of rhosweep");
    run_sql("x.db", "PRAGMA application_id = 7; PRAGMA journal_mode = WAL");
    assert_refused("x.db", "not one of rhosweep");
}

/* Whatever reads or writes such a database could be made to run for ever. */
static void test_refuses_what_rhosweep_never_makes(void **state) {
    (void)state;
    static const struct {
        const char *sql, *part;
    } crafted[] = {
        {"CREATE VIEW v AS SELECT 1", "has a view, v, which rhosweep never makes"},
        {"ALTER TABLE cases RENAME TO other; CREATE VIEW cases AS WITH RECURSIVE r (x) AS"
         " (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT other.* FROM other, r",
         "has a view, cases"},
        {"CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM cases; END", "has a trigger, t"},
        {"CREATE TABLE person (name TEXT)", "has a table, person"},
        {"CREATE INDEX i ON points (abs(rho))", "has an index, i"},
        {"DROP TABLE timings; PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES"
         " ('table', 'timings', 'timings', 0, 'CREATE VIRTUAL TABLE timings USING none(a)')",
         "has a virtual table, timings"},
        {"ALTER TABLE runs ADD COLUMN more TEXT AS (hex(zeroblob(100000000)))",
         "has a computed column, more"},
    };
    for (size_t i = 0; i < sizeof crafted / sizeof *crafted; ++i) {
        make_database();
        run_sql("x.db", crafted[i].sql);
        assert_refused("x.db", crafted[i].part);
        list_folder(remove_file);
    }
    make_database();
    run_sql("x.db", "ANALYZE"); /* not crafted, and harmless */
    rs_store_close(open_store());
}

static void test_refuses_sizes_that_cannot_be(void **state) {
    (void)state;
    static const char *const sql[] = {"UPDATE cases SET hidden = -10", "UPDATE cases SET steps = 0",
                                      "UPDATE cases SET batch = -9223372036854775807"};
    for (size_t i = 0; i < sizeof sql / sizeof *sql; ++i) {
        rs_store *store;
        make_database();
        run_sql("x.db", sql[i]);
        assert_fails(rs_store_open_readonly("x.db", &store), RS_EINPUT, "which cannot be");
        list_folder(remove_file);
    }
}

static void test_curves_are_as_long_as_their_case(void **state) {
    (void)state;
    rs_store *store;
    FILE *const out = fopen("/dev/null", "w");
    assert_non_null(out);
    make_database();
    run_sql("x.db", "UPDATE curves SET mean = zeroblob(16), min = NULL, max = NULL");
    assert_ok(rs_store_open_readonly("x.db", &store));
    assert_fails(write_csv(store, "profile", out), RS_EINPUT, "a curve of 2 steps in a case of 5");
    rs_store_close(store);
    fclose(out);
}

/* A step of version 1 takes a row, not the memory of all the steps before it. */
static void test_version_1_with_a_step_far_away(void **state) {
    (void)state;
    rs_store *store;
    copy_version1();
    run_sql("x.db", "UPDATE profile SET step = 9999999 WHERE step = 12");
    assert_fails(rs_store_open_readonly("x.db", &store), RS_EINPUT, "malformed");
    assert_fails(rs_store_open("x.db", &store), RS_EINPUT, "malformed");
}

/* Pages that lead to the same next one, level after level: 70^15 points in 20 kilobytes. */
static void test_rows_without_end(void **state) {
    (void)state;
    rs_store *store;
    FILE *const out = fopen("/dev/null", "w");
    assert_non_null(out);
    copy_file("corpus/databases/circle_of_points.db");
    assert_ok(rs_store_open_readonly("x.db", &store));
    assert_fails(write_csv(store, "seeds", out), RS_EINPUT, "its rows have no end");
    rs_store_close(store);
    copy_file("corpus/databases/circle_of_runs.db");
    assert_fails(rs_store_open("x.db", &store), RS_EINPUT, "its rows have no end");
    fclose(out);
}

static void test_refuses_newer_schema(void **state) {
    (void)state;
    make_database();
    run_sql("x.db", "PRAGMA user_version = 7");
    assert_refused("x.db", "has schema 7, this rhosweep knows 6");
    run_sql("x.db", "PRAGMA user_version = 0");
    assert_refused("x.db", "has schema 0");
}

static void test_refuses_damaged_databases(void **state) {
    (void)state;
    make_database();
    size_t length;
    char *const bytes = read_file("x.db", &length);
    write_file("x.db", bytes, 100);
    assert_refused("x.db", "damaged");
    write_file("x.db", bytes, PAGE_SIZE + 1000); /* the schema, and no more */
    assert_refused("x.db", "damaged");
    memset(bytes + 100, 0xA5, length - 100);
    write_file("x.db", bytes, length);
    assert_refused("x.db", "damaged");
    free(bytes);
}

static void test_refuses_database_without_our_tables(void **state) {
    (void)state;
    run_sql("x.db", "PRAGMA application_id = 0x52484F53; PRAGMA user_version = 6;"
                    "PRAGMA journal_mode = WAL; CREATE TABLE runs (id)");
    assert_refused("x.db", "no such table");
}

static void test_damage_found_while_reading(void **state) {
    (void)state;
    make_database();
    size_t length;
    char *const bytes = read_file("x.db", &length);
    for (size_t page = 2; page < length / PAGE_SIZE; ++page) /* all but the schema and runs */
        memset(bytes + page * PAGE_SIZE, 0xA5, PAGE_SIZE);
    write_file("x.db", bytes, length);
    free(bytes);
    rs_store *store;
    rs_status status = rs_store_open("x.db", &store);
    fixture f = fixture_make(1);
    double const rho = 0.5;
    bool done;
    if (status == RS_OK) status = fixture_done(store, &f.one, &rho, 1, true, &done);
    assert_fails(status, RS_EINPUT, "the database is damaged");
    rs_store_close(store);
}

static void test_refuses_what_is_no_file(void **state) {
    (void)state;
    rs_store *store;
    assert_int_equal(mkdir("folder", 0755), 0);
    assert_int_equal(mkfifo("fifo", 0644), 0);
    assert_fails(rs_store_open("folder", &store), RS_EINPUT, "folder: is a folder");
    assert_fails(rs_store_open("new/", &store), RS_EINPUT, "is a folder");
    assert_fails(rs_store_open("fifo", &store), RS_EINPUT, "fifo: is not a regular file");
    assert_fails(rs_store_open("/dev/null", &store), RS_EINPUT, "is not a regular file");
    assert_fails(rs_store_open("none/x.db", &store), RS_EINPUT, "there is no folder none");
    assert_int_equal(symlink("none.db", "dangling"), 0);
    assert_fails(rs_store_open("dangling", &store), RS_EINPUT, "to a file that is not there");
    assert_int_equal(unlink("dangling"), 0);
    assert_fails(rs_store_open("", &store), RS_EINPUT, "name is empty");
    assert_fails(rs_store_open_readonly("none.db", &store), RS_EINPUT, "there is no such file");
    make_database();
    assert_fails(rs_store_open("x.db/y.db", &store), RS_EINPUT, "Not a directory");
    assert_int_equal(symlink("x.db", "link"), 0);
    assert_ok(rs_store_open("link", &store));
    rs_store_close(store);
    assert_ok(rs_store_open_readonly("link", &store));
    assert_int_equal(query_whole(store, "SELECT count(*) FROM points"), 2);
    rs_store_close(store);
    assert_int_equal(list_folder(NULL), 4);
}

static void test_names_that_sqlite_would_read_otherwise(void **state) {
    (void)state;
    static const char *const names[] = {":memory:", "file:y.db?mode=memory", "100%.db"};
    for (size_t i = 0; i < 3; ++i) {
        rs_store *store;
        assert_ok(rs_store_open(names[i], &store));
        rs_store_close(store);
        assert_int_equal(access(names[i], F_OK), 0);
    }
    assert_int_equal(list_folder(NULL), 3);
}

/* --- locks, permissions, a full disk ---------------------------------------------------------- */

/* Runs `body` in a child process and returns its exit code; 128 and more stands for a signal. */
static int in_child(int (*body)(void)) {
    pid_t const child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(body());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A child that takes the write lock of x.db when told to. It is started before this process opens
 * the database, for SQLite's locks do not survive a fork. */
typedef struct locker {
    pid_t child;
    int go, ready;
} locker;

static _Noreturn void hold_lock(int go, int ready, long ms) {
    char byte;
    sqlite3 *db;
    if (read(go, &byte, 1) != 1) _exit(1);
    if (sqlite3_open("x.db", &db) != SQLITE_OK) _exit(1);
    if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) _exit(1);
    if (write(ready, "!", 1) != 1) _exit(1);
    sleep_us(1000 * ms);
    _exit(0);
}

static locker start_locker(long ms) {
    int go[2], ready[2];
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(ready), 0);
    pid_t const child = fork();
    assert_true(child >= 0);
    if (child == 0) hold_lock(go[0], ready[1], ms);
    close(go[0]);
    close(ready[1]);
    return (locker){child, go[1], ready[0]};
}

static void take_lock(const locker *l) {
    char byte;
    assert_int_equal(write(l->go, "!", 1), 1);
    assert_int_equal(read(l->ready, &byte, 1), 1);
    close(l->go);
    close(l->ready);
}

static void test_waits_for_a_lock(void **state) {
    (void)state;
    make_database();
    locker const other = start_locker(300);
    take_lock(&other);
    rs_store_close(open_store());
    end_child(other.child);
}

static void test_gives_up_on_a_lock(void **state) {
    (void)state;
    make_database();
    locker const other = start_locker(20000);
    rs_store *store = open_store();
    int64_t const run = begin_run(store);
    take_lock(&other);
    fixture f = fixture_make(2);
    fixture_point(&f, 0, 0.5, 0.25);
    rs_case_result const result = fixture_result(&f, 1);
    sqlite3_busy_timeout(rs_store_handle(store), 50);
    assert_fails(rs_store_put(store, run, &result), RS_ESTORE, "another program is writing");
    rs_store *reader;
    assert_ok(rs_store_open_readonly("x.db", &reader)); /* readers need not wait */
    assert_int_equal(query_whole(reader, "SELECT count(*) FROM cases"), 1);
    rs_store_close(reader);
    rs_store_close(store);
    assert_fails(rs_store_open("x.db", &store), RS_ESTORE, "database is locked");
    end_child(other.child);
    rs_store_close(open_store());
}

static void test_reads_while_a_sweep_writes(void **state) {
    (void)state;
    make_database();
    rs_store *const writer = open_store();
    int64_t const run = begin_run(writer);
    rs_store *reader;
    assert_ok(rs_store_open_readonly("x.db", &reader));
    for (uint64_t seed = 2; seed < 5; ++seed) {
        fixture f = fixture_make(seed);
        fixture_point(&f, 0, 0.5, 0.25);
        rs_case_result const result = fixture_result(&f, 1);
        assert_ok(rs_store_put(writer, run, &result));
        assert_int_equal(query_whole(reader, "SELECT count(*) FROM cases"), seed);
    }
    int64_t refused;
    rs_provenance const provenance = fixture_provenance();
    assert_fails(rs_store_begin_run(reader, &provenance, &refused), RS_ESTORE, "readonly");
    rs_store_close(reader);
    rs_store_close(writer);
}

static void test_reading_leaves_no_trace(void **state) {
    (void)state;
    make_database();
    size_t before, after;
    char *const was = read_file("x.db", &before);
    rs_store *store;
    assert_ok(rs_store_open_readonly("x.db", &store));
    assert_int_equal(query_whole(store, "SELECT count(*) FROM points"), 2);
    rs_store_close(store);
    char *const is = read_file("x.db", &after);
    assert_int_equal(before, after);
    assert_memory_equal(was, is, before);
    assert_int_equal(list_folder(NULL), 1);
    free(was);
    free(is);
}

/* Root may write everywhere: become somebody who may not. */
static bool drop_privileges(void) {
    return geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0);
}

static bool fails_with(rs_status status, rs_status expected, const char *part) {
    if (status == expected && strstr(rs_message(), part)) return true;
    fprintf(stderr, "status %d: %s\n", status, rs_message());
    return false;
}

static int open_read_only(void) {
    if (!drop_privileges()) return 2;
    rs_store *store;
    if (!fails_with(rs_store_open("x.db", &store), RS_ESTORE, "writable")) return 3;
    if (rs_store_open_readonly("x.db", &store) != RS_OK) return 4;
    bool const whole = query_whole(store, "SELECT count(*) FROM points") == 2;
    rs_store_close(store);
    return whole ? 0 : 5;
}

static void test_read_only_file(void **state) {
    (void)state;
    make_database();
    assert_int_equal(chmod("x.db", 0444), 0);
    assert_int_equal(chmod(".", 0555), 0);
    assert_int_equal(in_child(open_read_only), 0);
    assert_int_equal(list_folder(NULL), 1);
}

static void test_read_only_folder(void **state) {
    (void)state;
    make_database();
    assert_int_equal(chmod("x.db", 0666), 0);
    assert_int_equal(chmod(".", 0555), 0);
    assert_int_equal(in_child(open_read_only), 0);
    assert_int_equal(list_folder(NULL), 1);
}

static int open_new_in_read_only_folder(void) {
    if (!drop_privileges()) return 2;
    rs_store *store;
    return fails_with(rs_store_open("new.db", &store), RS_ESTORE, "Permission denied") ? 0 : 3;
}

static int read_version1(void) {
    if (!drop_privileges()) return 2;
    rs_store *store;
    if (rs_store_open_readonly("x.db", &store) != RS_OK) return 3;
    char *const text = all_tables(store);
    bool const whole = strstr(text, "\ntanh,model,6,12,") != NULL;
    free(text);
    rs_store_close(store);
    return whole ? 0 : 4;
}

static void test_version_1_in_a_read_only_folder(void **state) {
    (void)state;
    copy_version1();
    assert_int_equal(chmod("x.db", 0444), 0);
    assert_int_equal(chmod(".", 0555), 0);
    assert_int_equal(in_child(read_version1), 0);
    assert_int_equal(list_folder(NULL), 1);
}

static void test_new_file_in_read_only_folder(void **state) {
    (void)state;
    assert_int_equal(chmod(".", 0555), 0);
    assert_int_equal(in_child(open_new_in_read_only_folder), 0);
    assert_int_equal(list_folder(NULL), 0);
}

static int open_unreadable(void) {
    if (!drop_privileges()) return 2;
    rs_store *store;
    if (!fails_with(rs_store_open("x.db", &store), RS_ESTORE, "Permission denied")) return 3;
    return fails_with(rs_store_open_readonly("x.db", &store), RS_ESTORE, "Permission denied") ? 0
                                                                                              : 4;
}

static void test_unreadable_file(void **state) {
    (void)state;
    make_database();
    assert_int_equal(chmod("x.db", 0), 0);
    assert_int_equal(in_child(open_unreadable), 0);
}

/* Puts cases until the size limit of files, which stands for a full disk, is reached. */
static int fill_disk(void) {
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit const limit = {2000000, 2000000};
    rs_store *store = open_store();
    int64_t const run = begin_run(store);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    for (uint64_t seed = 2; seed < 10000; ++seed) {
        fixture f = fixture_make(seed);
        for (size_t i = 0; i < FIXTURE_RADII; ++i) fixture_point(&f, i, 1.0 + (double)i, 0.25);
        rs_case_result const result = fixture_result(&f, FIXTURE_RADII);
        rs_status const status = rs_store_put(store, run, &result);
        if (status == RS_OK) continue;
        bool const good = fails_with(status, RS_ESTORE, "make room on the disk");
        rs_store_close(store);
        return good ? 0 : 3;
    }
    return 4;
}

static void test_full_disk(void **state) {
    (void)state;
    make_database();
    assert_int_equal(in_child(fill_disk), 0);
    rs_store *const store = open_store();
    assert_true(check_whole(store) > 10);
    assert_int_equal(query_whole(store, "SELECT count(*) FROM points"),
                     FIXTURE_RADII * (query_whole(store, "SELECT count(*) FROM cases") - 1) + 2);
    rs_store_close(store);
}

/* --- kills ------------------------------------------------------------------------------------ */

static uint64_t first_seed;

/* Creates or opens the database and puts cases until killed. */
static _Noreturn void put_for_ever(void) {
    rs_store *const store = open_store();
    int64_t const run = begin_run(store);
    for (uint64_t seed = first_seed;; ++seed) {
        fixture f = fixture_make(seed);
        for (size_t i = 0; i < FIXTURE_RADII; ++i) fixture_point(&f, i, 1.0 + (double)i, 0.25);
        rs_case_result const result = fixture_result(&f, FIXTURE_RADII);
        assert_ok(rs_store_put(store, run, &result));
    }
}

static void kill_after(long us) {
    pid_t const child = fork();
    assert_true(child >= 0);
    if (child == 0) put_for_ever();
    sleep_us(us);
    end_child(child);
}

static void test_kill_while_putting(void **state) {
    (void)state;
    int cases = 0;
    rs_store_close(open_store()); /* creation has a test of its own */
    for (int round = 0; round < 10; ++round) {
        first_seed = (uint64_t)cases;
        kill_after(30000 + 7919 * round);
        rs_store *store;
        if (round % 2 == 0) /* a reader may be the first to come after a kill */
            assert_ok(rs_store_open_readonly("x.db", &store));
        else
            store = open_store();
        int const now = check_whole(store);
        assert_true(now >= cases);
        assert_int_equal(query_whole(store, "SELECT count(*) FROM points"), now * FIXTURE_RADII);
        rs_store_close(store);
        cases = now;
    }
    assert_true(cases > 10);
}

static void test_kill_while_creating(void **state) {
    (void)state;
    for (long round = 0; round < 40; ++round) {
        kill_after(200 * round);
        rs_store *const store = open_store();
        check_whole(store);
        rs_store_close(store);
        list_folder(remove_file);
    }
}

/* A process with a run that goes on until it is killed. */
static pid_t start_run(void) {
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t const child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        begin_run(open_store());
        if (write(ready[1], "!", 1) != 1) _exit(1);
        for (;;) pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

/* How all runs ended, in their order, as a sweep finds them. */
static void assert_outcomes(const char *expected) {
    static const char sql[] =
        "SELECT group_concat(outcome) FROM (SELECT outcome FROM runs ORDER BY id)";
    rs_store *const store = open_store();
    assert_text(store, sql, expected);
    rs_store_close(store);
}

static void test_a_killed_run_says_so(void **state) {
    (void)state;
    make_database();
    pid_t const run = start_run();
    assert_outcomes("done,running");
    end_child(run);
    rs_store *store;
    assert_ok(rs_store_open_readonly("x.db", &store));
    assert_text(store, "SELECT outcome FROM runs WHERE id = 2", "running"); /* reads, no more */
    rs_store_close(store);
    assert_outcomes("done,killed");
    store = open_store();
    assert_int_equal(query_whole(store, "SELECT count(*) FROM runs WHERE finished IS NULL"), 1);
    rs_store_close(store);
}

static void test_sweeps_at_once_stay_alive(void **state) {
    (void)state;
    rs_store_close(open_store());
    pid_t const first = start_run(), second = start_run(), third = start_run();
    assert_outcomes("running,running,running");
    end_child(second);
    assert_outcomes("running,killed,running");
    end_child(third);
    pid_t const fourth = start_run();
    assert_outcomes("running,killed,killed,running");
    end_child(first);
    end_child(fourth);
    assert_outcomes("killed,killed,killed,killed");
}

/* As where another machine's locks were not to be seen. */
static void test_a_run_that_was_taken_for_killed_still_ends(void **state) {
    (void)state;
    rs_store *const store = open_store();
    int64_t const run = begin_run(store);
    run_sql("x.db", "UPDATE runs SET outcome = 'killed'");
    assert_ok(rs_store_finish_run(store, run, "done", 1.0, 2.0));
    assert_text(store, "SELECT outcome FROM runs", "done");
    rs_store_close(store);
}

/* What a kill between journal and database leaves: the header is ours, the journal undoes it. */
static void test_creation_that_a_journal_undoes(void **state) {
    (void)state;
    make_database();
    size_t length;
    char *const bytes = read_file("x.db", &length);
    write_file("x.db", bytes, PAGE_SIZE);
    free(bytes);
    /* A rollback journal of a transaction that began with 0 pages of 16384 bytes in sectors of 512:
     * https://sqlite.org/fileformat2.html, section 3. */
    unsigned char journal[512] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    journal[22] = 2;    /* sector size 512 */
    journal[26] = 0x40; /* page size 16384 */
    write_file("x.db-journal", journal, sizeof journal);
    rs_store *const store = open_store();
    assert_int_equal(check_whole(store), 0);
    rs_store_close(store);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_cleans_its_own_folder_alone),
        IN_FOLDER(test_create),
        IN_FOLDER(test_create_in_an_empty_file),
        IN_FOLDER(test_put_keeps_every_value),
        IN_FOLDER(test_done_and_more_radii),
        IN_FOLDER(test_points_of_many_seeds),
        IN_FOLDER(test_native_is_a_radius_of_its_own),
        IN_FOLDER(test_identity_of_a_case),
        IN_FOLDER(test_identity_is_that_of_the_schema),
        IN_FOLDER(test_failed_then_success),
        IN_FOLDER(test_failed_put_leaves_nothing),
        IN_FOLDER(test_batch_of_one_keeps_one_curve),
        IN_FOLDER(test_timings_of_one_run_add_up),
        IN_FOLDER(test_fractions_of_zeros_where_there_are_any),
        IN_FOLDER(test_curves_of_both_states),
        IN_FOLDER(test_curves_that_come_later),
        IN_FOLDER(test_gradients_that_come_later),
        IN_FOLDER(test_gradients_of_some_points),
        IN_FOLDER(test_norms_to_clip_to),
        IN_FOLDER(test_many_cases_in_a_transaction),
        IN_FOLDER(test_radii_hold_for_the_libraries_that_found_them),
        IN_FOLDER(test_file_systems_for_a_write_ahead_log),
        IN_FOLDER(test_version_1_is_read_as_it_is),
        IN_FOLDER(test_version_2_is_read_as_it_is),
        IN_FOLDER(test_version_3_is_read_as_it_is),
        IN_FOLDER(test_version_4_is_read_as_it_is),
        IN_FOLDER(test_version_5_is_read_as_it_is),
        IN_FOLDER(test_cases_of_version_3),
        IN_FOLDER(test_upgraded_schema_is_the_new_one),
        IN_FOLDER(test_gradients_for_version_2),
        IN_FOLDER(test_start_of_an_imported_model),
        IN_FOLDER(test_kill_while_upgrading),
        IN_FOLDER(test_refuses_what_is_no_database),
        IN_FOLDER(test_refuses_foreign_databases),
        IN_FOLDER(test_refuses_what_rhosweep_never_makes),
        IN_FOLDER(test_refuses_sizes_that_cannot_be),
        IN_FOLDER(test_curves_are_as_long_as_their_case),
        IN_FOLDER(test_version_1_with_a_step_far_away),
        IN_FOLDER(test_rows_without_end),
        IN_FOLDER(test_refuses_newer_schema),
        IN_FOLDER(test_refuses_damaged_databases),
        IN_FOLDER(test_refuses_database_without_our_tables),
        IN_FOLDER(test_damage_found_while_reading),
        IN_FOLDER(test_refuses_what_is_no_file),
        IN_FOLDER(test_names_that_sqlite_would_read_otherwise),
        IN_FOLDER(test_waits_for_a_lock),
        IN_FOLDER(test_gives_up_on_a_lock),
        IN_FOLDER(test_reads_while_a_sweep_writes),
        IN_FOLDER(test_reading_leaves_no_trace),
        IN_FOLDER(test_read_only_file),
        IN_FOLDER(test_read_only_folder),
        IN_FOLDER(test_version_1_in_a_read_only_folder),
        IN_FOLDER(test_new_file_in_read_only_folder),
        IN_FOLDER(test_unreadable_file),
        IN_FOLDER(test_full_disk),
        IN_FOLDER(test_kill_while_putting),
        IN_FOLDER(test_kill_while_creating),
        IN_FOLDER(test_a_killed_run_says_so),
        IN_FOLDER(test_sweeps_at_once_stay_alive),
        IN_FOLDER(test_a_run_that_was_taken_for_killed_still_ends),
        IN_FOLDER(test_creation_that_a_journal_undoes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
