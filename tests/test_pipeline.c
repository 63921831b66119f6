/* The loop as a whole, on an engine whose profiles are known and which fails on demand. */
#include "../host/sweep/pipeline.h"
#include "../host/work/worker.h"

#include "curve_steps.h"
#include "fake_engine.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "npz_writer.h"
#include "remove_database.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* --- a folder for every test ------------------------------------------------------------------ */

static const char helpers_variable[] = "RHOSWEEP_HELPERS";

typedef struct folder {
    char path[256];
    char db[300], clean[300], model[300];
} folder;

static int make_folder(void **state) {
    folder *f = calloc(1, sizeof *f);
    const char *base = getenv("TMPDIR");
    if (!f) return 1;
    snprintf(f->path, sizeof f->path, "%.200s/rhosweep-XXXXXX", base ? base : P_tmpdir);
    if (!mkdtemp(f->path)) return 1;
    snprintf(f->db, sizeof f->db, "%s/sweep.db", f->path);
    snprintf(f->clean, sizeof f->clean, "%s/clean.db", f->path);
    snprintf(f->model, sizeof f->model, "%s/net.npz", f->path);
    fake_reset();
    unsetenv(helpers_variable);
    *state = f;
    return 0;
}

static int remove_folder(void **state) {
    folder *f = *state;
    const char *const files[] = {f->db, f->clean, f->model};
    for (size_t i = 0; i < COUNT(files); ++i) unlink(files[i]); /* not every test makes all */
    int const status = rmdir(f->path); /* and nothing else is left: no journal, no WAL */
    for (size_t i = 0; i < COUNT(files) && status != 0; ++i) remove_database(files[i]);
    if (status != 0) rmdir(f->path);
    free(f);
    return status;
}

static bool exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

/* --- specs ------------------------------------------------------------------------------------ */

/* Small and quick; `pairs` of key and value change it. */
static rs_spec spec_of(const char *output, const char *const *pairs) {
    static const char *const common[] = {"quiet",     "yes",   "precision", "f64",   "hidden",
                                         "3",         "steps", "8",         "batch", "3",
                                         "seeds",     "0:4",   "rho",       "0.5,2", "input",
                                         "noise:0.5", "h0",    "normal:1",  "loss",  "random"};
    rs_spec spec;
    assert_int_equal(rs_spec_init(&spec), RS_OK);
    assert_int_equal(rs_spec_set(&spec, "output", output, RS_FROM_OPTION), RS_OK);
    for (size_t i = 0; i < COUNT(common); i += 2)
        assert_int_equal(rs_spec_set(&spec, common[i], common[i + 1], RS_FROM_FILE), RS_OK);
    for (; *pairs; pairs += 2)
        if (rs_spec_set(&spec, pairs[0], pairs[1], RS_FROM_OPTION) != RS_OK)
            fail_msg("%s", rs_message());
    assert_int_equal(rs_spec_check(&spec), RS_OK);
    return spec;
}

static rs_status sweep_pairs(const char *output, rs_sweep_outcome *outcome,
                             const char *const *pairs) {
    rs_spec spec = spec_of(output, pairs);
    fake.launches = 0;
    rs_status const status = rs_sweep_on(&fake_engine, &spec, "rhosweep sweep x.ini", outcome);
    assert_int_equal(fake.opened, fake.closed);
    rs_spec_free(&spec);
    return status;
}
#define SWEEP(output, outcome, ...)                                                                \
    sweep_pairs(output, outcome, (const char *const[]){__VA_ARGS__, NULL})

static void expect_outcome(const rs_sweep_outcome *o, size_t cases, size_t skipped, size_t done,
                           size_t failed) {
    assert_int_equal(o->cases, cases);
    assert_int_equal(o->skipped, skipped);
    assert_int_equal(o->done, done);
    assert_int_equal(o->failed, failed);
    assert_true(o->seconds >= 0.0);
}

static void expect_said(const char *part) {
    if (!strstr(rs_message(), part)) fail_msg("'%s' does not say '%s'", rs_message(), part);
}

/* --- what is in a database -------------------------------------------------------------------- */

static sqlite3 *open_database(const char *path) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(add_curve_steps(db), SQLITE_OK);
    return db;
}

static void print_value(FILE *out, sqlite3_stmt *row, int column) {
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_NULL: fputs("-", out); break;
    case SQLITE_FLOAT: fprintf(out, "%a", sqlite3_column_double(row, column)); break;
    default: fputs((const char *)sqlite3_column_text(row, column), out);
    }
}

/* All rows of a query as text, every bit of its numbers included; the caller frees it. */
static char *query(const char *path, const char *sql) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    sqlite3 *db = open_database(path);
    sqlite3_stmt *row;
    assert_non_null(out);
    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    while (sqlite3_step(row) == SQLITE_ROW) {
        for (int c = 0; c < sqlite3_column_count(row); ++c) {
            if (c > 0) fputc(' ', out);
            print_value(out, row, c);
        }
        fputc('\n', out);
    }
    sqlite3_finalize(row);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    fclose(out);
    return text;
}

static void change_database(const char *path, const char *sql) {
    sqlite3 *db = open_database(path);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void expect_rows(const char *path, const char *sql, const char *expected) {
    char *text = query(path, sql);
    assert_string_equal(text, expected);
    free(text);
}

static double query_number(const char *path, const char *sql) {
    char *text = query(path, sql);
    double const number = strtod(text, NULL);
    free(text);
    return number;
}

/* All results: cases, points and profiles, without what tells one run from another. */
static char *results(const char *path) {
    return query(
        path, "SELECT c.cell, c.ensemble, c.hidden, c.steps, c.seed, c.status, c.reason,"
              " p.rho_asked, p.rho, p.g, p.decay_rate, p.forward_nonfinite, p.fp16_underflow,"
              " p.fp16_overflow, p.backward_nonfinite, f.step, f.log10_norm_mean, f.log10_norm_min,"
              " f.log10_norm_max"
              " FROM cases c LEFT JOIN points p ON p.case_id = c.id LEFT JOIN profile f"
              " ON f.point_id = p.id"
              " ORDER BY c.ensemble, c.hidden, c.seed, c.cell, c.steps, p.rho_asked, f.step");
}

static void expect_same_results(const char *a, const char *b) {
    char *one = results(a), *other = results(b);
    assert_true(strlen(one) > 0);
    assert_string_equal(one, other);
    free(one);
    free(other);
}

static char *file_bytes(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    struct stat info = {0};
    assert_true(file && fstat(fileno(file), &info) == 0);
    char *bytes = malloc((size_t)info.st_size + 1);
    assert_non_null(bytes);
    *length = fread(bytes, 1, (size_t)info.st_size, file);
    assert_int_equal(*length, info.st_size);
    fclose(file);
    return bytes;
}

/* --- a whole sweep ---------------------------------------------------------------------------- */

static uint64_t bytes_of(const rs_shape *shape) {
    uint64_t bytes;
    assert_int_equal(fake_engine.bytes(0, shape, &fake.resources, &bytes), RS_OK);
    return bytes;
}

static void test_every_case_is_run_and_stored(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "seeds", "3,5", "cell", "tanh,linear"), RS_OK);
    expect_outcome(&o, 4, 0, 4, 0);
    assert_true(o.transfer_seconds > 0.0);
    expect_rows(f->db,
                "SELECT cell, ensemble, hidden, steps, seed, batch, engine, status, reason"
                " FROM cases ORDER BY seed, cell",
                "linear gaussian 3 8 3 3 fake done -\n"
                "tanh gaussian 3 8 3 3 fake done -\n"
                "linear gaussian 3 8 5 3 fake done -\n"
                "tanh gaussian 3 8 5 3 fake done -\n");
    assert_true(query_number(f->db, "SELECT count(*) FROM points") == 8.0);
    assert_true(query_number(f->db, "SELECT count(*) FROM profile") == 64.0);
}

/* Curves are no part of a case: those without are done already unless curves are asked for. */
static void test_without_profiles(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "profiles", "no"), RS_OK);
    expect_outcome(&o, 5, 0, 5, 0);
    assert_true(query_number(f->db, "SELECT count(*) FROM points") == 10.0);
    assert_true(query_number(f->db, "SELECT count(*) FROM curves") == 0.0);
    char *const bare = query(f->db, "SELECT rho_asked, rho, g, decay_rate, fp16_underflow,"
                                    " bf16_overflow FROM points ORDER BY case_id, rho_asked");
    assert_int_equal(SWEEP(f->db, &o, "profiles", "no"), RS_OK);
    expect_outcome(&o, 5, 5, 0, 0);

    assert_int_equal(SWEEP(f->db, &o, "profiles", "yes"), RS_OK);
    expect_outcome(&o, 5, 0, 5, 0);
    assert_true(query_number(f->db, "SELECT count(*) FROM curves") == 10.0);
    expect_rows(f->db,
                "SELECT rho_asked, rho, g, decay_rate, fp16_underflow, bf16_overflow FROM points"
                " ORDER BY case_id, rho_asked",
                bare);
    free(bare);
    assert_int_equal(SWEEP(f->clean, &o, "quiet", "yes"), RS_OK);
    expect_same_results(f->db, f->clean);
    assert_int_equal(SWEEP(f->db, &o, "profiles", "no"), RS_OK);
    expect_outcome(&o, 5, 5, 0, 0);
    assert_true(query_number(f->db, "SELECT count(*) FROM curves") == 10.0);
}

/* Gradients are asked for by --clip, whatever the memory; each norm stands at its own radius, and
 * nothing else of a result changes. */
static void test_gradients_are_stored(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->clean, &o, NULL), RS_OK);
    assert_false(fake.launch[0].shape.gradients);
    assert_int_equal(SWEEP(f->db, &o, "clip", "2", "ensemble", "identity", "memory", "900"), RS_OK);
    expect_outcome(&o, 5, 0, 5, 0);
    for (size_t i = 0; i < fake.launches; ++i) {
        assert_true(fake.launch[i].shape.gradients);
        assert_int_equal(fake.launch[i].shape.batch, 3);
    }
    static const char *const kind[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    for (size_t r = 0; r < 2; ++r)
        for (size_t k = 0; k < COUNT(kind); ++k) {
            char sql[256];
            double const rho = r ? 2.0 : 0.5;
            snprintf(sql, sizeof sql,
                     "SELECT max(%s) FROM gradients JOIN points p ON p.id = point_id"
                     " WHERE rho_asked = %g",
                     kind[k], rho);
            assert_true(fabs(query_number(f->db, sql) - fake_log10_gradient(1.0, rho, k)) < 1e-14);
        }
    expect_rows(f->db, "SELECT count(*), max_norm FROM clips", "5 0x1p+1\n");
    assert_int_equal(SWEEP(f->db, &o, "clip", "3", "ensemble", "identity"), RS_OK);
    expect_outcome(&o, 5, 5, 0, 0);
    expect_rows(f->db, "SELECT count(*) FROM clips WHERE max_norm = 3", "5\n");
}

/* Time for gradients is part of the backward pass in a case's timings. */
static void test_gradients_count_as_backward(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "clip", "2", "seeds", "0"), RS_OK);
    expect_rows(f->db, "SELECT forward_s, backward_s FROM timings", "0x1p+1 0x1.2p+2\n");
}

/* Tangents are asked for of the engine, whose time for them is part of the forward pass. */
static void test_tangents_are_asked_for(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "lyapunov", "2", "transient", "5", "qr-every", "3", "warmup",
                           "4", "seeds", "0"),
                     RS_OK);
    expect_outcome(&o, 1, 0, 1, 0);
    const rs_shape *const shape = &fake.launch[0].shape;
    assert_int_equal(shape->directions, 2);
    assert_int_equal(shape->transient, 5);
    assert_int_equal(shape->qr_every, 3);
    assert_int_equal(shape->warmup, 4 + 5);
    assert_int_equal(shape->n_singular, 0);
    expect_rows(f->db, "SELECT forward_s, backward_s FROM timings", "0x1.8p+1 0x1.8p+1\n");
    expect_rows(f->db, "SELECT warmup FROM cases", "9\n");
}

static void expect_near(double value, double expected) {
    if (!(fabs(value - expected) <= 1e-14)) fail_msg("%.17g, not %.17g", value, expected);
}

/* By the fake's formulas of three samples, 8 steps and the identity as W_hh: the mean sample is 1,
 * and the one block of eight that grows faster makes a mean of 1/4 and an error of 1/4. */
static void expect_exponents(const rs_case *one, double rho, const rs_lyapunov *lyapunov) {
    double const size = (double)one->tangents.directions, mean = log(rho) + 0.0625;
    for (size_t i = 0; i < one->tangents.directions; ++i) {
        double const rate = fake_exponent(1, rho, i);
        expect_near(lyapunov->exponent[i], rate + 0.25);
        expect_near(lyapunov->standard_error[i], 0.25);
        expect_near(lyapunov->singular[i], 2.0 * rate);
        expect_near(lyapunov->singular[one->tangents.directions + i], 7.0 * rate);
        if (one->cell == RS_LINEAR)
            expect_near(lyapunov->predicted[i], log(1.0 - one->leak + one->leak * rho));
    }
    assert_int_equal(lyapunov->predicted != NULL, one->cell == RS_LINEAR);
    assert_int_equal(lyapunov->qr_every, fake_qr_gap(2));
    expect_near(lyapunov->log_slope, fake_log_slope(1));
    assert_int_equal(!isnan(lyapunov->sum_rule_residual),
                     !rs_cell_is_gated(one->cell) && one->leak == 1.0);
    if (!isnan(lyapunov->sum_rule_residual))
        expect_near(lyapunov->sum_rule_residual,
                    mean + 0.25 - 0.25 * (size - 1.0) - log(rho) - fake_log_slope(1));
}

/* The stages of work alone, on an engine that is open: what a sweep hands to the store. */
static size_t check_launches(rs_launches *launches, rs_worker *worker, rs_weight_source *source) {
    size_t points = 0;
    rs_work work;
    assert_int_equal(rs_work_make(launches, &work), RS_OK);
    while (rs_launches_next(launches, &work.launch)) {
        rs_work_begin(source, &work);
        rs_work_prepare(source, &work);
        assert_int_equal(rs_work_run(worker, &work), RS_OK);
        rs_work_finish(&work);
        for (size_t g = 0; g < work.launch.groups; ++g) {
            const rs_task *const task = &work.task[g];
            assert_int_equal(task->status, RS_OK);
            assert_null(task->stretch);
            for (size_t r = 0; r < work.launch.radii; ++r, ++points)
                expect_exponents(task->one, task->point[r].rho_asked, &task->point[r].lyapunov);
        }
        rs_work_clear(&work);
    }
    rs_work_free(&work);
    return points;
}

/* Every cell, with all columns at once and with each alone. */
static void test_tangents_become_exponents(void **state) {
    const folder *f = *state;
    static uint64_t const memory[] = {139, 1 << 20};
    rs_resources const resources = {.threads = 1};
    fake.device.columns_wanted = 30;
    for (size_t i = 0; i < COUNT(memory); ++i) {
        rs_spec spec =
            spec_of(f->db, (const char *const[]){"lyapunov", "all", "singular-at", "2,7", "cell",
                                                 "tanh,linear,gru", "leak", "0.5,1", "ensemble",
                                                 "identity", "rho", "0.5,1.5,2", NULL});
        rs_plan plan;
        rs_launches launches;
        rs_weight_source source = {0};
        rs_worker worker = {.source = &source, .engine = &fake_engine};
        assert_int_equal(rs_plan_make(&spec, NULL, "fake", &plan), RS_OK);
        assert_int_equal(rs_launches_make(&fake_engine, 0, &fake.device, &resources, memory[i],
                                          &spec, &plan, &launches),
                         RS_OK);
        fake_engine.open(0, &launches.largest, &resources, &worker.engine_state);
        assert_int_equal(rs_weight_source_make(&source, &launches), RS_OK);
        assert_int_equal(rs_worker_make(&worker, &launches), RS_OK);
        assert_int_equal(check_launches(&launches, &worker, &source), 5 * 5 * 3);
        fake_engine.close(worker.engine_state);
        rs_worker_free(&worker);
        rs_weight_source_free(&source);
        rs_launches_free(&launches);
        rs_spec_free(&spec);
    }
}

static void test_points_hold_what_the_engine_found(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "seeds", "3"), RS_OK);
    static double const rho[] = {0.5, 2.0};
    for (size_t r = 0; r < COUNT(rho); ++r) {
        char sql[256];
        snprintf(sql, sizeof sql, "SELECT decay_rate FROM points WHERE rho_asked = %g", rho[r]);
        assert_true(fabs(query_number(f->db, sql) + log(rho[r])) < 1e-13);
        snprintf(sql, sizeof sql, "SELECT rho FROM points WHERE rho_asked = %g", rho[r]);
        assert_true(fabs(query_number(f->db, sql) - rho[r]) < 1e-13);
    }
    assert_true(query_number(f->db, "SELECT max(g) / min(g) FROM points") == 4.0);
    /* the coupling of a drawn matrix is not its radius */
    assert_true(query_number(f->db, "SELECT min(abs(g / rho - 1)) FROM points") > 0.01);
}

/* The identity's arrays are known, so the profile is, number by number. */
static void test_profiles_are_the_formula(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(
        SWEEP(f->db, &o, "ensemble", "identity", "h0", "zero", "loss", "last-mean", "seeds", "0"),
        RS_OK);
    static const char *const rho[] = {"0.5", "2.0"};
    for (size_t r = 0; r < COUNT(rho); ++r)
        for (size_t t = 1; t <= 8; ++t) {
            double norm[3], mean = 0.0;
            for (size_t b = 0; b < 3; ++b) {
                norm[b] = fake_log10_norm(b, 1.0, 0.0, 1.0 / 9.0, strtod(rho[r], NULL), 8 - t);
                mean += norm[b] / 3.0;
            }
            const char *const column[] = {"mean", "min", "max"};
            double const expected[] = {mean, norm[0], norm[2]};
            for (size_t i = 0; i < 3; ++i) {
                char sql[256];
                snprintf(sql, sizeof sql,
                         "SELECT log10_norm_%s FROM profile JOIN points p ON p.id = point_id"
                         " WHERE rho_asked = %s AND step = %zu",
                         column[i], rho[r], t);
                assert_true(fabs(query_number(f->db, sql) - expected[i]) < 1e-14);
            }
        }
}

/* Every cell with its gate biases or leaks, and of a pair the curves of h and c beside that which
 * the rate is fitted to, whatever the pieces. */
static void test_gated_and_leaky_cells(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    static const char curves[] =
        "SELECT seed, gate_bias, rho_asked, state, hex(s.mean), hex(s.min), hex(s.max)"
        " FROM state_curves s JOIN points p ON p.id = point_id JOIN cases c ON c.id = case_id"
        " ORDER BY 1, 2, 3, 4";
    assert_int_equal(SWEEP(f->clean, &o, "cell", "tanh,lstm,gru", "gate-bias", "0,1", "leak",
                           "0.5,1", "seeds", "0,1"),
                     RS_OK);
    expect_outcome(&o, 12, 0, 12, 0);
    expect_rows(
        f->clean,
        "SELECT cell, gate_bias, gate_scale, leak FROM cases WHERE seed = 1 ORDER BY 1, 2, 4",
        "gru 0 same \ngru 1 same \nlstm 0 same \nlstm 1 same \ntanh   0.5\ntanh   1\n");
    assert_true(query_number(f->clean, "SELECT count(*) FROM curves") == 24.0);
    assert_true(query_number(f->clean, "SELECT count(*) FROM state_curves") == 16.0);
    assert_true(query_number(f->clean, "SELECT max(abs(decay_rate + ln(rho_asked))) FROM points") <
                1e-13);
    for (int t = 1; t <= 8; ++t) {
        char sql[512];
        snprintf(
            sql, sizeof sql,
            "SELECT max(abs(curve_at(s.min, %d) - curve_at(c.min, %d) - iif(state = 'h', %.17g,"
            " %.17g))) FROM state_curves s JOIN curves c USING (point_id)",
            t, t, 0.5 * log10(fake_share_of_h), 0.5 * log10(1.0 - fake_share_of_h));
        assert_true(query_number(f->clean, sql) < 1e-14);
    }
    assert_int_equal(SWEEP(f->db, &o, "cell", "tanh,lstm,gru", "gate-bias", "0,1", "leak", "0.5,1",
                           "seeds", "0,1", "memory", "300"),
                     RS_OK);
    assert_true(fake.launches > 12);
    expect_same_results(f->db, f->clean);
    char *const whole = query(f->clean, curves);
    expect_rows(f->db, curves, whole);
    free(whole);
}

static void test_first_nonfinite_state_is_the_earliest_of_all_samples(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.infinite_above = 1.0;
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0", "batch", "5", "memory", "200"), RS_OK);
    assert_true(fake.launches > 5); /* the samples are in different pieces */
    char expected[64];
    snprintf(expected, sizeof expected, "-\n%u\n", (unsigned)fake_nonfinite_step(4));
    expect_rows(f->db, "SELECT forward_nonfinite FROM points ORDER BY rho_asked", expected);
}

static void test_provenance_is_complete(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.device.columns_wanted = 60; /* launches of one, one, two and one case */
    assert_int_equal(SWEEP(f->db, &o, "memory", "12345678", "threads", "2"), RS_OK);
    expect_rows(f->db,
                "SELECT id, outcome, engine, device, driver, threads, memory, command_line"
                " FROM runs",
                "1 done fake Abacus beads 1.0 2 12345678 rhosweep sweep x.ini\n");
    expect_rows(f->db,
                "SELECT count(*) FROM runs WHERE finished >= started AND version <> '' AND"
                " git_commit <> '' AND libraries <> '' AND host <> '' AND system <> '' AND"
                " spec LIKE '%[sweep]%rho%0.5,2%'",
                "1\n");
    assert_int_equal(fake.resources.threads, 2);
    expect_rows(f->db, "SELECT DISTINCT run_id, radii, columns, device, threads FROM timings",
                "1 2 6 Abacus 2\n");
    /* each launch took 2 s and 3 s */
    expect_rows(f->db,
                "SELECT round(sum(forward_s), 9), round(sum(backward_s), 9), min(transfer_s) > 0"
                " FROM timings",
                "0x1p+3 0x1.8p+3 1\n");
    expect_rows(f->db, "SELECT engine_s > 0 AND engine_s <= wall_s FROM runs", "1\n");
    assert_true(query_number(f->db, "SELECT count(*) FROM timings") == 5.0);
}

static void test_defaults_of_memory_and_threads_come_from_the_device(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.device.free_bytes = 4000;
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0"), RS_OK);
    expect_rows(f->db, "SELECT threads, memory FROM runs", "3 3000\n");
}

static void test_native_is_one_point(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "rho", "native", "seeds", "0,1"), RS_OK);
    assert_true(fake.launch[0].scale[0] == 1.0);
    assert_int_equal(fake.launch[0].shape.radii, 1);
    expect_rows(f->db, "SELECT count(*), count(rho_asked), min(rho) > 0 FROM points", "2 0 1\n");
    assert_int_equal(SWEEP(f->db, &o, "rho", "native", "seeds", "0,1"), RS_OK);
    expect_outcome(&o, 2, 2, 0, 0);
}

static void test_real_engines_run_too(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    rs_spec spec =
        spec_of(f->db, (const char *const[]){"engine", "reference", "cell", "linear", "ensemble",
                                             "orthogonal", "seeds", "0", NULL});
    assert_int_equal(rs_sweep(&spec, "x", &o), RS_OK);
    expect_outcome(&o, 1, 0, 1, 0);
    expect_rows(f->db, "SELECT engine, abs(decay_rate + ln(rho_asked)) < 1e-13 FROM cases, points",
                "reference 1\nreference 1\n");
    rs_spec_free(&spec);
}

/* --- packing ---------------------------------------------------------------------------------- */

/* The first launch is small, for the engine to start soon. */
static void test_launches_grow(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.device.columns_wanted = 1000;
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0:20"), RS_OK);
    static size_t const groups[] = {1, 1, 2, 4, 8, 5};
    assert_int_equal(fake.launches, COUNT(groups));
    for (size_t i = 0; i < COUNT(groups); ++i)
        assert_int_equal(fake.launch[i].shape.groups, groups[i]);
}

static void test_cases_are_packed_into_launches(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.device.columns_wanted = 7; /* a case has 6 columns, so two are wanted */
    assert_int_equal(SWEEP(f->db, &o, NULL), RS_OK);
    static size_t const groups[] = {1, 1, 2, 1};
    assert_int_equal(fake.launches, COUNT(groups));
    uint64_t seed = 0;
    for (size_t i = 0; i < COUNT(groups); ++i) {
        assert_int_equal(fake.launch[i].shape.groups, groups[i]);
        for (size_t g = 0; g < groups[i]; ++g) assert_int_equal(fake.launch[i].seed[g], seed++);
    }
    assert_int_equal(fake.largest.groups, 2);
}

/* A case is 6 columns of so many units and 6 steps. */
static void test_no_more_cases_are_packed_than_the_work_wanted(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.device.columns_wanted = 30;
    fake.device.work_wanted = 20.0 * 20.0 * 6.0 * 6.0 * 1.5; /* between one such case and two */
    static const char *const as_much_work[][4] = {/* steps, warmup, lyapunov, transient */
                                                  {"6", "0", "default", "default"},
                                                  {"2", "4", "default", "default"},
                                                  {"1", "0", "2", "1"}};
    static size_t const groups[] = {1, 1, 2, 1, 2, 2, 1, 1, 1, 1, 1, 1};
    for (size_t k = 0; k < COUNT(as_much_work); ++k) {
        assert_int_equal(SWEEP(f->db, &o, "steps", as_much_work[k][0], "warmup", as_much_work[k][1],
                               "lyapunov", as_much_work[k][2], "transient", as_much_work[k][3],
                               "hidden", "2,20,40"),
                         RS_OK);
        expect_outcome(&o, 15, 0, 15, 0);
        assert_int_equal(fake.launches, COUNT(groups));
        for (size_t i = 0; i < COUNT(groups); ++i)
            assert_int_equal(fake.launch[i].shape.groups, groups[i]);
    }
}

static void test_only_cases_of_one_shape_are_packed(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.device.columns_wanted = 18;
    assert_int_equal(
        SWEEP(f->db, &o, "steps", "6,8", "cell", "tanh,relu", "hidden", "2,3", "seeds", "0:3"),
        RS_OK);
    expect_outcome(&o, 32, 0, 32, 0);
    assert_int_equal(fake.launches, 16); /* of each of 8 shapes: three seeds, then the fourth */
    size_t cases = 0;
    for (size_t i = 0; i < fake.launches; ++i) {
        const fake_launch *launch = &fake.launch[i];
        cases += launch->shape.groups;
        for (size_t g = 1; g < launch->shape.groups; ++g)
            assert_true(launch->seed[g] == launch->seed[g - 1] + 1);
    }
    assert_int_equal(cases, 32);
}

static void test_packing_changes_no_result(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    static size_t const wanted[] = {6, 12, 13, 30, 48};
    assert_int_equal(SWEEP(f->clean, &o, "ensemble", "gaussian,uniform", "steps", "5,8"), RS_OK);
    assert_int_equal(fake.launches, 20);
    for (size_t i = 0; i < COUNT(wanted); ++i) {
        fake.device.columns_wanted = wanted[i];
        assert_int_equal(SWEEP(f->db, &o, "ensemble", "gaussian,uniform", "steps", "5,8"), RS_OK);
        expect_same_results(f->db, f->clean);
        assert_int_equal(unlink(f->db), 0);
    }
}

/* --- chunks ----------------------------------------------------------------------------------- */

/* How often every (case, radius, sample) came up in the launches. */
typedef struct coverage {
    unsigned times[5][2][3];
} coverage;

static coverage cover(void) {
    coverage seen = {0};
    for (size_t i = 0; i < fake.launches; ++i) {
        const fake_launch *l = &fake.launch[i];
        for (size_t g = 0; g < l->shape.groups; ++g)
            for (size_t r = 0; r < l->shape.radii; ++r)
                for (size_t b = 0; b < l->shape.batch; ++b) {
                    assert_in_range(l->first_sample + b, 0, 2);
                    ++seen.times[l->seed[g]][l->scale[r] > 1.0][l->first_sample + b];
                }
    }
    return seen;
}

static void expect_each_column_once(void) {
    coverage const seen = cover();
    for (size_t i = 0; i < sizeof seen.times / sizeof(unsigned); ++i)
        assert_int_equal((&seen.times[0][0][0])[i], 1);
}

static void test_chunks_fit_the_memory_and_change_no_result(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    size_t launches = SIZE_MAX, cuts = 0;
    fake.device.columns_wanted = 30;
    assert_int_equal(SWEEP(f->clean, &o, NULL), RS_OK);
    assert_int_equal(fake.launches, 4);
    /* from one column, 8 (3 * 3 + 8) + 3 bytes, to all that five cases want */
    for (uint64_t memory = 139; memory <= 2600; memory += memory < 500 ? 60 : 400) {
        char text[32];
        snprintf(text, sizeof text, "%llu", (unsigned long long)memory);
        assert_int_equal(SWEEP(f->db, &o, "memory", text), RS_OK);
        expect_each_column_once();
        for (size_t i = 0; i < fake.launches; ++i)
            assert_true(bytes_of(&fake.launch[i].shape) <= memory);
        expect_same_results(f->db, f->clean);
        assert_int_equal(unlink(f->db), 0);
        assert_true(fake.launches <= launches);
        cuts += fake.launches < launches;
        launches = fake.launches;
    }
    assert_int_equal(launches, 4);
    assert_true(cuts >= 5);
}

static void test_host_memory_counts_on_a_host_device(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.device.on_host = true;
    assert_int_equal(SWEEP(f->db, &o, "memory", "500"), RS_EINPUT);
    expect_said("memory: one column of 3 units and 8 steps needs");
    fake.device.on_host = false;
    assert_int_equal(SWEEP(f->db, &o, "memory", "500"), RS_OK);
}

/* --- resume ----------------------------------------------------------------------------------- */

static void test_what_is_done_is_not_repeated(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, NULL), RS_OK);
    char *before = results(f->db);
    assert_int_equal(SWEEP(f->db, &o, NULL), RS_OK);
    expect_outcome(&o, 5, 5, 0, 0);
    assert_int_equal(fake.launches, 0);
    char *after = results(f->db);
    assert_string_equal(after, before);
    free(before);
    free(after);
    expect_rows(f->db, "SELECT id, outcome FROM runs", "1 done\n2 done\n");
}

static void test_only_missing_radii_are_run(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "rho", "0.5,2", "seeds", "0,1"), RS_OK);
    assert_int_equal(SWEEP(f->db, &o, "rho", "0.25,0.5,1,2,3", "seeds", "0,1"), RS_OK);
    expect_outcome(&o, 2, 0, 2, 0);
    assert_int_equal(fake.launches, 2);
    for (size_t i = 0; i < 2; ++i) {
        assert_int_equal(fake.launch[i].shape.radii, 3);
        assert_true(fake.launch[i].scale[0] == 0.25);
        assert_true(fake.launch[i].scale[1] == 1.0);
        assert_true(fake.launch[i].scale[2] == 3.0);
    }
    expect_rows(f->db, "SELECT run_id, count(*) FROM points GROUP BY run_id", "1 4\n2 6\n");
    assert_int_equal(SWEEP(f->clean, &o, "rho", "0.25,0.5,1,2,3", "seeds", "0,1"), RS_OK);
    expect_same_results(f->db, f->clean);
}

static void test_any_points_may_be_missing(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    const char *const axes[] = {"seeds",  "0,3,4,9223372036854775807",
                                "cell",   "tanh,linear",
                                "steps",  "8,9",
                                "input",  "zero,noise:0.5",
                                "rho",    "0.25,0.5,2",
                                "hidden", "3,4",
                                NULL};
    fake.device.columns_wanted = 40;
    assert_int_equal(sweep_pairs(f->clean, &o, axes), RS_OK);
    assert_int_equal(sweep_pairs(f->db, &o, axes), RS_OK);
    /* beside it, a sweep that is none of its business */
    assert_int_equal(SWEEP(f->db, &o, "seeds", "1:3", "rho", "0.5,0.75", "batch", "2"), RS_OK);
    change_database(f->db, "DELETE FROM curves WHERE point_id % 3 = 1 AND point_id <= 192;"
                           "DELETE FROM points WHERE id % 3 = 1 AND id <= 192");
    assert_int_equal(sweep_pairs(f->db, &o, axes), RS_OK);
    expect_rows(f->db, "SELECT run_id, count(*) FROM points GROUP BY run_id", "1 128\n2 6\n3 64\n");
    assert_int_equal(o.skipped, 0);
    assert_int_equal(o.done, 64);
    change_database(f->db,
                    "DELETE FROM points WHERE run_id = 2; DELETE FROM cases WHERE batch = 2");
    expect_same_results(f->db, f->clean);
}

/* --- known spectral radii --------------------------------------------------------------------- */

static const char all_radii[] = "SELECT hidden, matrix, radius FROM radii ORDER BY hidden, matrix";

static void expect_same_rows(const folder *f, const char *sql) {
    char *one = query(f->db, sql), *other = query(f->clean, sql);
    assert_true(strlen(one) > 0);
    assert_string_equal(one, other);
    free(one);
    free(other);
}

/* 256 is found by powers, 33 by LAPACK, and 31 is not kept. */
static void test_no_radius_is_computed_again(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "hidden", "31,33,256", "seeds", "0,1"), RS_OK);
    expect_rows(f->db, "SELECT hidden, count(*) FROM radii GROUP BY hidden", "33 4\n256 4\n");
    const char *const more[] = {"8,9", "8,9,10"};
    const char *const precision[] = {"f64", "f32"};
    for (size_t i = 0; i < 2; ++i)
        assert_int_equal(SWEEP(f->db, &o, "hidden", "31,33,256", "seeds", "0,1", "steps", more[i],
                               "precision", precision[i]),
                         RS_OK);
    /* of the third, only the matrices that it alone has rounded */
    expect_rows(f->db, "SELECT run_id, hidden, count(*) FROM radii GROUP BY run_id, hidden",
                "1 33 4\n1 256 4\n3 33 2\n3 256 2\n");
    for (size_t i = 0; i < 2; ++i)
        assert_int_equal(SWEEP(f->clean, &o, "hidden", "31,33,256", "seeds", "0,1", "steps",
                               more[i], "precision", precision[i]),
                         RS_OK);
    expect_same_results(f->db, f->clean);
    expect_same_rows(f, all_radii);
}

static void test_a_known_radius_is_taken_as_it_is(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "hidden", "33", "seeds", "1"), RS_OK);
    change_database(f->db, "UPDATE radii SET radius = 2 * radius");
    assert_int_equal(SWEEP(f->db, &o, "hidden", "33", "seeds", "1", "steps", "9"), RS_OK);
    expect_rows(f->db, "SELECT DISTINCT round(rho / rho_asked, 9) FROM points WHERE run_id = 2",
                "0x1p-1\n");
}

/* Other libraries could have given other bits. */
static void test_a_radius_of_other_libraries_is_not_trusted(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "hidden", "33", "seeds", "1"), RS_OK);
    change_database(f->db, "UPDATE radii SET radius = 2 * radius;"
                           "UPDATE runs SET libraries = 'OpenBLAS of another time'");
    assert_int_equal(SWEEP(f->db, &o, "hidden", "33", "seeds", "1", "steps", "8,9"), RS_OK);
    assert_int_equal(SWEEP(f->clean, &o, "hidden", "33", "seeds", "1", "steps", "8,9"), RS_OK);
    expect_same_results(f->db, f->clean);
    expect_same_rows(f, all_radii);
    expect_rows(f->db, "SELECT DISTINCT run_id FROM radii", "2\n");
}

static void test_cases_that_lack_the_same_radii_are_packed(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.device.columns_wanted = 24;
    assert_int_equal(SWEEP(f->db, &o, "rho", "0.5", "seeds", "0,1,3,5"), RS_OK);
    assert_int_equal(SWEEP(f->db, &o, "rho", "0.5,2", "seeds", "0:6"), RS_OK);
    expect_outcome(&o, 7, 0, 7, 0);
    static const struct {
        size_t groups, radii;
        uint64_t seed[2];
        double scale;
    } expected[] = {{1, 1, {0}, 2.0},
                    {1, 1, {1}, 2.0},
                    {2, 2, {2, 4}, 0.5},
                    {2, 1, {3, 5}, 2.0},
                    {1, 2, {6}, 0.5}};
    assert_int_equal(fake.launches, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); ++i) {
        const fake_launch *l = &fake.launch[i];
        assert_int_equal(l->shape.groups, expected[i].groups);
        assert_int_equal(l->shape.radii, expected[i].radii);
        assert_memory_equal(l->seed, expected[i].seed, l->shape.groups * sizeof *l->seed);
        assert_true(l->scale[0] == expected[i].scale);
    }
    assert_int_equal(SWEEP(f->clean, &o, "rho", "0.5,2", "seeds", "0:6"), RS_OK);
    expect_same_results(f->db, f->clean);
}

static void test_cases_that_lack_other_radii_are_not_packed(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.device.columns_wanted = 24;
    assert_int_equal(SWEEP(f->db, &o, "rho", "0.5", "seeds", "0,1"), RS_OK);
    assert_int_equal(SWEEP(f->db, &o, "rho", "1", "seeds", "0"), RS_OK);
    assert_int_equal(SWEEP(f->db, &o, "rho", "0.5,1,2", "seeds", "0,1"), RS_OK);
    assert_int_equal(fake.launches, 2);
    assert_int_equal(fake.launch[0].shape.radii, 1);
    assert_int_equal(fake.launch[1].shape.radii, 2);
    assert_int_equal(SWEEP(f->clean, &o, "rho", "0.5,1,2", "seeds", "0,1"), RS_OK);
    expect_same_results(f->db, f->clean);
}

static void test_other_settings_are_other_cases(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    static const char *const other[][2] = {
        {"cell", "relu"},     {"ensemble", "uniform"}, {"hidden", "4"},   {"steps", "9"},
        {"batch", "4"},       {"seeds", "9"},          {"input", "zero"}, {"h0", "zero"},
        {"warmup", "1"},      {"loss", "all-mean"},    {"fit-skip", "3"}, {"raw", "yes"},
        {"precision", "f32"},
    };
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0"), RS_OK);
    for (size_t i = 0; i < COUNT(other); ++i) {
        /* a value given twice: the later one holds */
        assert_int_equal(SWEEP(f->db, &o, "seeds", "0", other[i][0], other[i][1]), RS_OK);
        expect_outcome(&o, 1, 0, 1, 0);
    }
    static const char *const same[][2] = {{"threads", "1"}, {"memory", "9999"}, {"quiet", "yes"}};
    for (size_t i = 0; i < COUNT(same); ++i) {
        assert_int_equal(SWEEP(f->db, &o, "seeds", "0", same[i][0], same[i][1]), RS_OK);
        expect_outcome(&o, 1, 1, 0, 0);
    }
}

/* --- failures --------------------------------------------------------------------------------- */

static void test_a_failed_case_is_a_row_and_the_sweep_goes_on(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.lose_at = 2;
    rs_status const status = SWEEP(f->db, &o, NULL);
    assert_int_equal(rs_exit_code(status), 1);
    expect_said("1 of 5 cases failed");
    expect_outcome(&o, 5, 0, 4, 1);
    expect_rows(f->db, "SELECT seed, reason FROM cases WHERE status = 'failed'",
                "1 fake: device lost\n");
    expect_rows(f->db,
                "SELECT seed, count(*) FROM cases c JOIN points ON case_id = c.id GROUP BY seed",
                "0 2\n2 2\n3 2\n4 2\n");
    expect_rows(f->db, "SELECT outcome, finished IS NOT NULL FROM runs", "some cases failed 1\n");
}

static void test_a_later_success_replaces_the_failure(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.lose_at = 2;
    assert_int_not_equal(SWEEP(f->db, &o, NULL), RS_OK);
    fake.lose_at = 0;
    assert_int_equal(SWEEP(f->db, &o, NULL), RS_OK);
    expect_outcome(&o, 5, 4, 1, 0);
    assert_int_equal(fake.launches, 1);
    assert_int_equal(SWEEP(f->clean, &o, NULL), RS_OK);
    expect_same_results(f->db, f->clean);
}

static void test_failing_again_keeps_one_row(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.rho_limit = 1.5;
    for (int time = 0; time < 2; ++time) {
        assert_int_equal(rs_exit_code(SWEEP(f->db, &o, "seeds", "0,1")), 1);
        expect_outcome(&o, 2, 0, 0, 2);
    }
    expect_rows(f->db, "SELECT seed, status, reason, run_id FROM cases ORDER BY seed",
                "0 failed fake: out of memory 2\n1 failed fake: out of memory 2\n");
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0,1", "rho", "0.5"), RS_OK); /* within the limit */
    fake.rho_limit = INFINITY;
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0,1"), RS_OK);
    assert_int_equal(SWEEP(f->clean, &o, "seeds", "0,1"), RS_OK);
    expect_same_results(f->db, f->clean);
}

/* A failed attempt at more radii takes nothing away. */
static void test_points_outlive_a_later_failure(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0", "rho", "0.5"), RS_OK);
    fake.rho_limit = 1.5;
    assert_int_not_equal(SWEEP(f->db, &o, "seeds", "0", "rho", "0.5,2"), RS_OK);
    expect_rows(f->db, "SELECT rho_asked FROM points", "0x1p-1\n");
}

static void test_a_failing_piece_fails_its_case_whole(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.lose_at = 3; /* the first case has 6 columns, each a piece of its own */
    assert_int_not_equal(SWEEP(f->db, &o, "seeds", "0,1", "memory", "139"), RS_OK);
    expect_outcome(&o, 2, 0, 1, 1);
    assert_int_equal(fake.launches, 3 + 6);
    expect_rows(f->db, "SELECT seed, count(*) FROM points JOIN cases c ON c.id = case_id", "1 2\n");
}

static void test_a_bad_case_does_not_fail_those_packed_with_it(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.device.columns_wanted = 24; /* up to four cases in a launch */
    fake.bad_seed = 2;
    assert_int_equal(rs_exit_code(SWEEP(f->db, &o, "ensemble", "gaussian,uniform")), 1);
    expect_outcome(&o, 10, 0, 8, 2);
    expect_rows(f->db, "SELECT seed, reason FROM cases WHERE status = 'failed'",
                "2 fake: a bad seed\n2 fake: a bad seed\n");
    fake.bad_seed = UINT64_MAX;
    assert_int_equal(SWEEP(f->db, &o, "ensemble", "gaussian,uniform"), RS_OK);
    expect_outcome(&o, 10, 8, 2, 0);
    assert_int_equal(SWEEP(f->clean, &o, "ensemble", "gaussian,uniform"), RS_OK);
    expect_same_results(f->db, f->clean);
}

#define NO_ROOM_UNLESS(condition) ", CONSTRAINT \"no room\" CHECK (" condition ")) STRICT"

/* Changes the end of a table's definition for another. */
static void change_end(const char *path, const char *table, const char *from, const char *to) {
    sqlite3 *db = open_database(path);
    char *sql = sqlite3_mprintf("PRAGMA writable_schema = ON; UPDATE sqlite_schema"
                                " SET sql = replace(sql, %Q, %Q) WHERE name = %Q",
                                from, to, table);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_free(sql);
    sqlite3_close(db);
}

static void test_a_store_that_refuses_ends_the_sweep(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0"), RS_OK);
    char *before = results(f->db);
    change_end(f->db, "curves", ") STRICT", NO_ROOM_UNLESS("point_id <> 4"));
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0:4"), RS_ESTORE);
    expect_said("no room");
    assert_in_range(fake.launches, 1, 4); /* the engine may be ahead of the store */
    expect_outcome(&o, 5, 1, 0, 0);
    char *after = results(f->db);
    assert_string_equal(after, before); /* of the second case there is nothing at all */
    free(before);
    free(after);
}

/* --- interruption ----------------------------------------------------------------------------- */

static void expect_interrupted_then_finished(const folder *f, size_t done) {
    rs_sweep_outcome o;
    char part[64];
    assert_int_equal(SWEEP(f->db, &o, NULL), RS_EINTERRUPTED);
    assert_int_equal(fake.launches, fake.interrupt_at); /* no launch is begun after it */
    snprintf(part, sizeof part, "%zu of 5 cases are stored", done);
    expect_said(part);
    expect_said(f->db);
    expect_said("the same command finishes the rest");
    expect_outcome(&o, 5, 0, done, 0);
    assert_true(query_number(f->db, "SELECT count(*) FROM cases") == (double)done);
    assert_true(query_number(f->db, "SELECT count(*) FROM points") == 2.0 * (double)done);
    expect_rows(f->db, "SELECT outcome, finished IS NOT NULL FROM runs", "interrupted 1\n");
    fake.interrupt_at = 0;
    assert_int_equal(SWEEP(f->db, &o, NULL), RS_OK);
    expect_outcome(&o, 5, done, 5 - done, 0);
    assert_int_equal(SWEEP(f->clean, &o, NULL), RS_OK);
    expect_same_results(f->db, f->clean);
}

static void test_interrupt_in_a_launch_keeps_the_finished_cases(void **state) {
    fake.interrupt_at = 3;
    expect_interrupted_then_finished(*state, 2);
}

static void test_interrupt_in_the_first_launch_keeps_nothing(void **state) {
    fake.interrupt_at = 1;
    expect_interrupted_then_finished(*state, 0);
}

static void test_interrupt_after_a_launch_keeps_it(void **state) {
    fake.interrupt_at = 3;
    fake.interrupt_late = true;
    expect_interrupted_then_finished(*state, 3);
}

static void test_interrupt_drops_the_whole_pack(void **state) {
    fake.device.columns_wanted = 12;
    fake.interrupt_at = 3; /* seeds 2 and 3 */
    expect_interrupted_then_finished(*state, 2);
}

static void test_interrupt_between_pieces_drops_the_case(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.interrupt_at = 8; /* six pieces of the first case, then two of the second */
    fake.interrupt_late = true;
    assert_int_equal(SWEEP(f->db, &o, "memory", "139"), RS_EINTERRUPTED);
    expect_outcome(&o, 5, 0, 1, 0);
    assert_true(query_number(f->db, "SELECT count(*) FROM cases") == 1.0);
}

static void test_interrupt_of_the_last_launch_comes_too_late(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.interrupt_at = 5;
    fake.interrupt_late = true;
    assert_int_equal(SWEEP(f->db, &o, NULL), RS_OK);
    expect_outcome(&o, 5, 0, 5, 0);
}

static void test_interrupt_while_trying_again_one_by_one(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    fake.device.columns_wanted = 24;
    fake.bad_seed = 2;
    fake.interrupt_at = 5; /* seeds 0 and 1, the pack of 2 and 3, seed 2 alone, then this */
    assert_int_equal(SWEEP(f->db, &o, NULL), RS_EINTERRUPTED);
    expect_outcome(&o, 5, 0, 2, 1);
    expect_rows(f->db, "SELECT seed, status FROM cases ORDER BY seed",
                "0 done\n1 done\n2 failed\n");
}

/* Wherever it comes, and however many launches are ahead or behind. */
static void test_interrupt_at_every_launch(void **state) {
    const folder *f = *state;
    static const char *const helpers[] = {"1", "2", "5"};
    for (size_t h = 0; h < COUNT(helpers); ++h)
        for (size_t at = 1; at <= 5; ++at)
            for (int late = 0; late < 2 && at + (size_t)late <= 5; ++late) {
                setenv(helpers_variable, helpers[h], 1);
                fake.interrupt_at = at;
                fake.interrupt_late = late;
                expect_interrupted_then_finished(f, at - 1 + (size_t)late);
                assert_int_equal(unlink(f->db), 0);
            }
}

/* --- stages beside each other ----------------------------------------------------------------- */

static void test_helpers_change_no_result(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    static const char *const helpers[] = {"1", "2", "3", "5", "32"};
    static size_t const wanted[] = {1, 12, 48};
    assert_int_equal(SWEEP(f->clean, &o, "seeds", "0:29", "nonlinearity", "tanh,relu"), RS_OK);
    for (size_t h = 0; h < COUNT(helpers); ++h)
        for (size_t w = 0; w < COUNT(wanted); ++w) {
            setenv(helpers_variable, helpers[h], 1);
            fake.device.columns_wanted = wanted[w];
            assert_int_equal(SWEEP(f->db, &o, "seeds", "0:29", "nonlinearity", "tanh,relu"), RS_OK);
            expect_outcome(&o, 60, 0, 60, 0);
            assert_true(o.engine_seconds >= 0.0 && o.engine_seconds <= o.seconds);
            expect_same_results(f->db, f->clean);
            assert_int_equal(unlink(f->db), 0);
        }
}

static void test_helpers_do_not_change_the_order(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    setenv(helpers_variable, "5", 1);
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0:199", "steps", "3"), RS_OK);
    for (uint64_t i = 0; i < 200; ++i) assert_int_equal(fake.launch[i].seed[0], i);
    assert_true(query_number(f->db, "SELECT count(*) FROM cases") == 200.0);
}

static void test_a_bad_number_of_helpers_writes_nothing(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    static const char *const bad[] = {"0", "-1", "33", "two", "2x", ""};
    for (size_t i = 0; i < COUNT(bad); ++i) {
        setenv(helpers_variable, bad[i], 1);
        assert_int_equal(SWEEP(f->db, &o, NULL), RS_EINPUT);
        expect_said("RHOSWEEP_HELPERS");
        assert_false(exists(f->db));
    }
}

static void test_little_memory_for_waiting_changes_no_result(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    static const char *const memory[] = {"1800", "3200", "9000"};
    setenv(helpers_variable, "5", 1);
    assert_int_equal(SWEEP(f->clean, &o, "seeds", "0:29"), RS_OK);
    fake.device.on_host = true;
    fake.device.columns_wanted = 12;
    for (size_t i = 0; i < COUNT(memory); ++i) {
        assert_int_equal(SWEEP(f->db, &o, "seeds", "0:29", "memory", memory[i]), RS_OK);
        expect_same_results(f->db, f->clean);
        assert_int_equal(unlink(f->db), 0);
    }
}

static void test_cases_of_one_matrix_share_its_weights(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    setenv(helpers_variable, "3", 1);
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0:1", "nonlinearity", "tanh,relu", "steps", "6,8"),
                     RS_OK);
    assert_int_equal(fake.launches, 8);
    for (size_t i = 0; i < 8; ++i)
        assert_ptr_equal(fake.launch[i].weight_hh, fake.launch[i / 4 * 4].weight_hh);
}

/* Start states beyond the range of float, for some seeds: their weights cannot be made. */
static void test_bad_weights_fail_their_case_alone(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    static size_t const wanted[] = {6, 24, 48};
    for (size_t i = 0; i < COUNT(wanted); ++i) {
        fake.device.columns_wanted = wanted[i];
        const char *path = i == 0 ? f->clean : f->db;
        assert_int_equal(rs_exit_code(SWEEP(path, &o, "seeds", "0:29", "precision", "f32", "h0",
                                            "normal:1.5e38")),
                         1);
        assert_in_range(o.failed, 1, 29);
        assert_int_equal(o.done + o.failed, 30);
        assert_true(query_number(path, "SELECT count(*) FROM cases WHERE status = 'failed' AND"
                                       " reason LIKE 'h0: % is beyond the range of f32%'") ==
                    (double)o.failed);
        assert_true(query_number(path, "SELECT count(*) FROM points") == 2.0 * (double)o.done);
        if (i == 0) continue;
        expect_same_results(f->db, f->clean);
        assert_int_equal(unlink(f->db), 0);
    }
}

/* Whichever case it refuses: what was counted is stored, whole, and the rest is done later. */
static void test_a_store_that_refuses_at_every_case(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->clean, &o, "seeds", "77", "rho", "1"), RS_OK);
    assert_int_equal(SWEEP(f->clean, &o, "seeds", "0:9"), RS_OK);
    for (int seed = 0; seed < 10; ++seed) {
        char full[128];
        assert_int_equal(SWEEP(f->db, &o, "seeds", "77", "rho", "1"), RS_OK);
        snprintf(full, sizeof full, NO_ROOM_UNLESS("case_id <> %d OR rho_asked <= 1"), seed + 2);
        change_end(f->db, "points", ") STRICT", full);
        assert_int_equal(SWEEP(f->db, &o, "seeds", "0:9"), RS_ESTORE);
        expect_said("no room");
        assert_true(o.done <= (size_t)seed);
        double const done = (double)o.done; /* beside the one of seed 77 */
        assert_true(query_number(f->db, "SELECT count(*) FROM cases") == done + 1.0);
        assert_true(query_number(f->db, "SELECT count(*) FROM points") == 2.0 * done + 1.0);
        change_end(f->db, "points", full, ") STRICT");
        assert_int_equal(SWEEP(f->db, &o, "seeds", "0:9"), RS_OK);
        expect_same_results(f->db, f->clean);
        assert_int_equal(unlink(f->db), 0);
    }
}

/* --- shards ----------------------------------------------------------------------------------- */

/* In one database here, which any of them may find in any state. */
static void test_shards_make_a_whole(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    static const char *const shard[] = {"2/3", "0/3", "1/3"};
    static size_t const cases[] = {3, 4, 3};
    fake.device.columns_wanted = 1000;
    for (size_t i = 0; i < COUNT(shard); ++i) {
        assert_int_equal(SWEEP(f->db, &o, "cell", "tanh,linear", "shard", shard[i]), RS_OK);
        expect_outcome(&o, cases[i], 0, cases[i], 0);
        size_t groups = 0;
        for (size_t k = 0; k < fake.launches; ++k) groups += fake.launch[k].shape.groups;
        assert_int_equal(groups, cases[i]);
        assert_int_equal(fake.largest.groups, 2); /* cases of a cell that the shard has */
    }
    assert_int_equal(SWEEP(f->db, &o, "cell", "tanh,linear", "shard", "0/3"), RS_OK);
    expect_outcome(&o, 4, 4, 0, 0);
    assert_int_equal(SWEEP(f->db, &o, "cell", "tanh,linear"), RS_OK);
    expect_outcome(&o, 10, 10, 0, 0);
    assert_int_equal(SWEEP(f->clean, &o, "cell", "tanh,linear"), RS_OK);
    expect_same_results(f->db, f->clean);
}

static void test_a_shard_without_cases_is_done(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "shard", "5/7", "quiet", "no"), RS_OK);
    expect_outcome(&o, 0, 0, 0, 0);
    assert_int_equal(fake.launches, 0);
    assert_int_equal(fake.largest.groups, 1);
    assert_string_equal(o.finding, "");
    free(o.finding);
    expect_rows(f->db, "SELECT outcome FROM runs", "done\n");
}

/* Rates are -ln rho: of seed 1 alone they would cross elsewhere. */
static void test_the_finding_is_of_the_shard(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0,1", "rho", "0.5,1,2", "steps", "20"), RS_OK);
    change_database(f->db, "UPDATE points SET decay_rate = 1 WHERE case_id IN"
                           " (SELECT id FROM cases WHERE seed = 1)");
    assert_int_equal(SWEEP(f->db, &o, "seeds", "0,1", "rho", "0.5,1,2", "steps", "20", "quiet",
                           "no", "shard", "0/2"),
                     RS_OK);
    expect_outcome(&o, 1, 1, 0, 0);
    assert_string_equal(o.finding, "tanh, gaussian: gradients stop vanishing at rho = 1\n");
    free(o.finding);
}

/* --- the finding ------------------------------------------------------------------------------ */

static void test_the_finding_counts_what_was_stored_before(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    static const char expected[] = "tanh, gaussian: gradients stop vanishing at rho = 1\n";
    assert_int_equal(SWEEP(f->db, &o, "rho", "0.5,1.5", "seeds", "0", "steps", "20"), RS_OK);
    assert_null(o.finding); /* quiet */
    /* Rates are -ln rho; the crossing between 0.5 and 2 lies half way in the rate. */
    static const char *const rho[] = {"0.5,2", "0.5,1,2", "0.5,1,2"};
    for (size_t i = 0; i < COUNT(rho); ++i) {
        assert_int_equal(
            SWEEP(f->db, &o, "quiet", "no", "rho", rho[i], "seeds", "0,1", "steps", "20"), RS_OK);
        assert_string_equal(o.finding, i == 0 ? "tanh, gaussian: gradients stop vanishing at "
                                                "rho = 1.25\n"
                                              : expected);
        free(o.finding);
    }
    assert_int_equal(o.skipped, 2);
}

/* --- nothing is written unless all is good ---------------------------------------------------- */

/* Neither makes a file nor changes one. */
static void expect_untouched(const folder *f, rs_status expected, const char *const *pairs) {
    rs_sweep_outcome o;
    size_t length, length_after;
    unlink(f->clean);
    assert_int_equal(sweep_pairs(f->clean, &o, pairs), expected);
    assert_true(rs_message()[0] != '\0');
    expect_outcome(&o, o.cases, 0, 0, 0);
    assert_false(exists(f->clean));
    char *before = file_bytes(f->db, &length);
    assert_int_equal(sweep_pairs(f->db, &o, pairs), expected);
    char *after = file_bytes(f->db, &length_after);
    assert_int_equal(length, length_after);
    assert_memory_equal(before, after, length);
    assert_int_equal(fake.launches, 0);
    free(before);
    free(after);
}
#define EXPECT_UNTOUCHED(f, status, ...)                                                           \
    expect_untouched(f, status, (const char *const[]){__VA_ARGS__, NULL})

static void make_database(const folder *f) {
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->db, &o, "seeds", "77"), RS_OK);
}

static void write_model(const char *path, const char *header, const double *data, size_t n) {
    npz_member const member = {"weight_hh_l0.npy", header, data, n * sizeof *data, 0};
    size_t length;
    char *bytes = npz_bytes(&member, 1, ZIP_CM_STORE, &length);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    free(bytes);
}
#define MATRIX "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }"

static void test_a_bad_model_writes_nothing(void **state) {
    const folder *f = *state;
    static double const nilpotent[] = {0.0, 1.0, 0.0, 0.0};
    static double const infinite[] = {1.0, INFINITY, 0.0, 1.0};
    make_database(f);
    EXPECT_UNTOUCHED(f, RS_EINPUT, "model", f->model); /* there is none */
    write_model(f->model, MATRIX, nilpotent, 4);
    EXPECT_UNTOUCHED(f, RS_EINPUT, "model", f->model);
    write_model(f->model, MATRIX, infinite, 4);
    EXPECT_UNTOUCHED(f, RS_EINPUT, "model", f->model);
    write_model(f->model, "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 4), }", nilpotent,
                4);
    EXPECT_UNTOUCHED(f, RS_EINPUT, "model", f->model);
}

static void test_a_good_model_is_swept(void **state) {
    const folder *f = *state;
    static double const swap[] = {0.0, 2.0, 2.0, 0.0};
    rs_sweep_outcome o;
    write_model(f->model, MATRIX, swap, 4);
    assert_int_equal(SWEEP(f->db, &o, "model", f->model, "seeds", "0"), RS_OK);
    expect_rows(f->db, "SELECT ensemble, model, hidden, length(model_digest) FROM cases",
                "model net.npz 2 16\n");
    expect_rows(f->db, "SELECT rho = rho_asked, round(g, 9) = rho_asked / 2 * 2 FROM points",
                "1 1\n1 1\n");
}

static void test_a_plan_that_contradicts_itself_writes_nothing(void **state) {
    const folder *f = *state;
    static double const swap[] = {0.0, 1.0, 1.0, 0.0};
    make_database(f);
    write_model(f->model, MATRIX, swap, 4);
    EXPECT_UNTOUCHED(f, RS_EINPUT, "model", f->model, "hidden", "5");
}

static void test_too_little_memory_writes_nothing(void **state) {
    const folder *f = *state;
    make_database(f);
    EXPECT_UNTOUCHED(f, RS_EINPUT, "memory", "138"); /* a byte below one column */
    expect_said("needs 139 bytes, but 138");
    /* the small case fits, the large one does not: found before the first is run */
    EXPECT_UNTOUCHED(f, RS_EINPUT, "hidden", "3,400", "memory", "4000");
}

static void test_an_engine_that_cannot_writes_nothing(void **state) {
    const folder *f = *state;
    make_database(f);
    fake.device_status = RS_EDEVICE;
    EXPECT_UNTOUCHED(f, RS_EDEVICE, NULL);
    fake.device_status = RS_OK;
    fake.supports_status = RS_EINPUT;
    EXPECT_UNTOUCHED(f, RS_EINPUT, NULL);
    fake.supports_status = RS_OK;
    fake.open_status = RS_EMEMORY;
    EXPECT_UNTOUCHED(f, RS_EMEMORY, NULL);
}

static void test_a_file_that_is_not_ours_stays_as_it_is(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    static const char letter[] = "Dear diary, this is no database at all.\n";
    FILE *file = fopen(f->db, "w");
    assert_non_null(file);
    fputs(letter, file);
    fclose(file);
    assert_int_equal(SWEEP(f->db, &o, NULL), RS_EINPUT);
    assert_int_equal(fake.opened, 0);
    size_t length;
    char *bytes = file_bytes(f->db, &length);
    assert_int_equal(length, sizeof letter - 1);
    assert_memory_equal(bytes, letter, length);
    free(bytes);
}

static void test_an_engine_that_is_not_there_writes_nothing(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    rs_spec spec = spec_of(f->db, (const char *const[]){NULL});
    free(spec.engine);
    spec.engine = strdup("abacus");
    assert_non_null(spec.engine);
    assert_int_equal(rs_sweep(&spec, "x", &o), RS_EINPUT);
    expect_said("engine: abacus is not in this build");
    assert_false(exists(f->db));
    rs_spec_free(&spec);
}

/* --- several devices -------------------------------------------------------------------------- */

/* A sweep of 60 cases. */
#define MANY "seeds", "0:29", "cell", "tanh,relu"

static void use_devices(size_t devices) {
    fake.devices = devices;
    fake.together = true;
}

static void test_devices_change_no_result(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    static size_t const wanted[] = {1, 12};
    assert_int_equal(SWEEP(f->clean, &o, MANY), RS_OK);
    for (size_t devices = 1; devices <= 4; ++devices)
        for (size_t w = 0; w < COUNT(wanted); ++w) {
            use_devices(devices);
            fake.device.columns_wanted = wanted[w];
            assert_int_equal(SWEEP(f->db, &o, MANY), RS_OK);
            expect_outcome(&o, 60, 0, 60, 0);
            assert_int_equal(o.workers, devices);
            expect_same_results(f->db, f->clean);
            assert_true(query_number(f->db, "SELECT workers FROM runs") == (double)devices);
            assert_true(query_number(f->db, "SELECT count(DISTINCT device_index) FROM timings") ==
                        (double)devices);
            assert_int_equal(unlink(f->db), 0);
        }
}

static void test_only_the_devices_named_are_used(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    use_devices(4);
    assert_int_equal(SWEEP(f->db, &o, MANY, "devices", "3,1"), RS_OK);
    expect_rows(f->db, "SELECT DISTINCT device_index, rank FROM timings ORDER BY 1", "1 0\n3 0\n");
    expect_rows(f->db, "SELECT workers FROM runs", "2\n");
    for (size_t i = 0; i < fake.launches; ++i) assert_int_equal(fake.launch[i].device % 2, 1);
}

static void test_no_such_device_writes_nothing(void **state) {
    const folder *f = *state;
    make_database(f);
    use_devices(2);
    expect_untouched(f, RS_EINPUT, (const char *const[]){"devices", "0,2", NULL});
    expect_said("devices: 2: fake has 2 devices, numbered from 0");
}

static void test_a_lost_device_leaves_its_work_to_the_others(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->clean, &o, MANY), RS_OK);
    use_devices(3);
    fake.bad_from[1] = 1;
    assert_int_equal(rs_exit_code(SWEEP(f->db, &o, MANY)), 1);
    expect_said("device 1 (Abacus) failed: fake: device 1 lost; all cases are stored");
    assert_int_equal(o.lost, 1);
    expect_outcome(&o, 60, 0, 60, 0);
    expect_same_results(f->db, f->clean);
    expect_rows(f->db, "SELECT outcome FROM runs",
                "done without device 1 (Abacus) failed: fake: device 1 lost\n");
    assert_true(query_number(f->db, "SELECT count(*) FROM timings WHERE device_index = 1") == 0.0);
}

static void test_devices_that_are_all_lost_fail_all_cases(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    use_devices(3);
    for (size_t i = 0; i < 3; ++i) fake.bad_from[i] = 1;
    assert_int_equal(rs_exit_code(SWEEP(f->db, &o, MANY)), 1);
    expect_said("60 of 60 cases failed");
    assert_int_equal(o.lost, 0); /* who would have shown that it is not the cases? */
    assert_int_equal(SWEEP(f->clean, &o, MANY), RS_EDEVICE);
    for (size_t i = 0; i < 3; ++i) fake.bad_from[i] = 0;
    assert_int_equal(SWEEP(f->db, &o, MANY), RS_OK);
    expect_outcome(&o, 60, 0, 60, 0);
}

/* All devices fail with the same case: it is the case. */
static void test_a_bad_case_loses_no_device(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    use_devices(3);
    fake.bad_seed = 2;
    assert_int_equal(rs_exit_code(SWEEP(f->db, &o, MANY)), 1);
    expect_said("2 of 60 cases failed");
    assert_int_equal(o.lost, 0);
    expect_outcome(&o, 60, 0, 58, 2);
    expect_rows(f->db, "SELECT DISTINCT seed FROM cases WHERE status = 'failed'", "2\n");
}

static void test_interrupt_of_several_devices(void **state) {
    const folder *f = *state;
    rs_sweep_outcome o;
    assert_int_equal(SWEEP(f->clean, &o, MANY), RS_OK);
    for (size_t at = 1; at < 60; at += 7) {
        use_devices(3);
        fake.interrupt_at = at;
        assert_int_equal(SWEEP(f->db, &o, MANY), RS_EINTERRUPTED);
        assert_in_range(o.done, at > 3 ? at - 3 : 0,
                        59); /* others go on while the signal is sent */
        fake.interrupt_at = 0;
        fake.together = false; /* there may be fewer launches than devices */
        assert_int_equal(SWEEP(f->db, &o, MANY), RS_OK);
        expect_same_results(f->db, f->clean);
        assert_int_equal(unlink(f->db), 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_every_case_is_run_and_stored),
        TEST(test_without_profiles),
        TEST(test_gradients_are_stored),
        TEST(test_gradients_count_as_backward),
        TEST(test_tangents_are_asked_for),
        TEST(test_tangents_become_exponents),
        TEST(test_points_hold_what_the_engine_found),
        TEST(test_profiles_are_the_formula),
        TEST(test_gated_and_leaky_cells),
        TEST(test_first_nonfinite_state_is_the_earliest_of_all_samples),
        TEST(test_provenance_is_complete),
        TEST(test_defaults_of_memory_and_threads_come_from_the_device),
        TEST(test_native_is_one_point),
        TEST(test_real_engines_run_too),
        TEST(test_launches_grow),
        TEST(test_cases_are_packed_into_launches),
        TEST(test_no_more_cases_are_packed_than_the_work_wanted),
        TEST(test_only_cases_of_one_shape_are_packed),
        TEST(test_packing_changes_no_result),
        TEST(test_chunks_fit_the_memory_and_change_no_result),
        TEST(test_host_memory_counts_on_a_host_device),
        TEST(test_what_is_done_is_not_repeated),
        TEST(test_only_missing_radii_are_run),
        TEST(test_any_points_may_be_missing),
        TEST(test_no_radius_is_computed_again),
        TEST(test_a_known_radius_is_taken_as_it_is),
        TEST(test_a_radius_of_other_libraries_is_not_trusted),
        TEST(test_cases_that_lack_the_same_radii_are_packed),
        TEST(test_cases_that_lack_other_radii_are_not_packed),
        TEST(test_other_settings_are_other_cases),
        TEST(test_a_failed_case_is_a_row_and_the_sweep_goes_on),
        TEST(test_a_later_success_replaces_the_failure),
        TEST(test_failing_again_keeps_one_row),
        TEST(test_points_outlive_a_later_failure),
        TEST(test_a_failing_piece_fails_its_case_whole),
        TEST(test_a_bad_case_does_not_fail_those_packed_with_it),
        TEST(test_a_store_that_refuses_ends_the_sweep),
        TEST(test_interrupt_in_a_launch_keeps_the_finished_cases),
        TEST(test_interrupt_in_the_first_launch_keeps_nothing),
        TEST(test_interrupt_after_a_launch_keeps_it),
        TEST(test_interrupt_drops_the_whole_pack),
        TEST(test_interrupt_between_pieces_drops_the_case),
        TEST(test_interrupt_of_the_last_launch_comes_too_late),
        TEST(test_interrupt_while_trying_again_one_by_one),
        TEST(test_interrupt_at_every_launch),
        TEST(test_helpers_change_no_result),
        TEST(test_helpers_do_not_change_the_order),
        TEST(test_a_bad_number_of_helpers_writes_nothing),
        TEST(test_little_memory_for_waiting_changes_no_result),
        TEST(test_cases_of_one_matrix_share_its_weights),
        TEST(test_bad_weights_fail_their_case_alone),
        TEST(test_a_store_that_refuses_at_every_case),
        TEST(test_shards_make_a_whole),
        TEST(test_a_shard_without_cases_is_done),
        TEST(test_the_finding_is_of_the_shard),
        TEST(test_the_finding_counts_what_was_stored_before),
        TEST(test_a_bad_model_writes_nothing),
        TEST(test_a_good_model_is_swept),
        TEST(test_a_plan_that_contradicts_itself_writes_nothing),
        TEST(test_too_little_memory_writes_nothing),
        TEST(test_an_engine_that_cannot_writes_nothing),
        TEST(test_a_file_that_is_not_ours_stays_as_it_is),
        TEST(test_an_engine_that_is_not_there_writes_nothing),
        TEST(test_devices_change_no_result),
        TEST(test_only_the_devices_named_are_used),
        TEST(test_no_such_device_writes_nothing),
        TEST(test_a_lost_device_leaves_its_work_to_the_others),
        TEST(test_devices_that_are_all_lost_fail_all_cases),
        TEST(test_a_bad_case_loses_no_device),
        TEST(test_interrupt_of_several_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
