/* The tables: one small database, and what every table says of it in every format (golden/). */
#include "../host/fit/theory.h"
#include "../host/table/table.h"
#include "remove_database.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static void assert_ok(rs_status status) {
    if (status != RS_OK) fail_msg("status %d: %s", status, rs_message());
}

static int make_path(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/rhosweep_test_XXXXXX");
    int const file = mkstemp(path);
    return file < 0 || close(file) != 0;
}

static int remove_path(void **state) {
    (void)state;
    remove_database(path);
    return 0;
}

/* --- the database ----------------------------------------------------------------------------- */

static void put_clipped(rs_store *store, int64_t run, const fixture *f, size_t n, double clip) {
    rs_case_result result = fixture_result(f, n);
    result.clip = clip;
    assert_ok(rs_store_put(store, run, &result));
}

static void put(rs_store *store, int64_t run, const fixture *f, size_t n) {
    put_clipped(store, run, f, n, NAN);
}

static void put_gaussian(rs_store *store, int64_t run, uint64_t seed) {
    fixture f = fixture_make(seed);
    fixture_point(&f, 0, 2.0, -0.5 / (double)seed)->range.fp16_overflow = (long)seed;
    fixture_point(&f, 1, 0.1, 0.25 * (double)seed)->range.fp32_underflow = 5 - (long)seed;
    f.point[1].rho += 1e-3 * (double)seed;
    fixture_gradients(&f.point[0], log10(3.0), log10(4.0), log10(12.0), log10(84.0 * (double)seed));
    fixture_gradients(&f.point[1], -INFINITY, -1.0 - (double)seed, -2.0, -2.0);
    put_clipped(store, run, &f, 2, 1.0);
}

/* A raw case with everything that is no plain number. */
static void put_raw(rs_store *store, int64_t run) {
    fixture f = fixture_make(UINT64_MAX);
    f.one.cell = RS_LINEAR;
    f.one.ensemble.kind = RS_ORTHOGONAL; /* which has a prediction */
    f.one.raw = true;
    f.one.input = (rs_input){RS_INPUT_NOISE, 0.5};
    f.one.input_size = 0;
    rs_point *const point = fixture_point(&f, 0, 1e6, NAN);
    f.curve[0][0] = NAN;
    f.curve[0][1] = INFINITY;
    f.curve[0][2] = -INFINITY;
    f.zero[0][2] = 1.0;
    point->forward_nonfinite = 4;
    point->range.backward_nonfinite = 2;
    fixture_gradients(point, -INFINITY, INFINITY, NAN, -30.0);
    put_clipped(store, run, &f, 1, 0.5);
}

static void put_model(rs_store *store, int64_t run) {
    fixture f = fixture_make(0);
    fixture_import(&f);
    f.one.native = true;
    fixture_point(&f, 0, NAN, 1.0 / 3.0);
    put(store, run, &f, 1);
}

/* Identities, which have predictions at any size. */
static void put_lstm(rs_store *store, int64_t run) {
    fixture f = fixture_make(1);
    fixture_gate(&f, 1.0);
    f.one.ensemble.kind = RS_IDENTITY;
    f.one.input = (rs_input){.kind = RS_INPUT_ZERO};
    f.one.input_size = 0;
    fixture_point(&f, 0, 0.5, 0.25)->range.fp16_underflow = 4;
    fixture_point(&f, 1, 2.0, -0.125);
    fixture_states(&f, 0);
    fixture_states(&f, 1);
    put(store, run, &f, 2);
}

/* On the second device of another machine. */
static void put_leaky(rs_store *store, int64_t run) {
    static const rs_origin origin = {"node2", 1, "A CPU", 1, 2};
    fixture f = fixture_make(1);
    f.one.cell = RS_LINEAR;
    f.one.ensemble.kind = RS_IDENTITY;
    f.one.leak = 0.25;
    fixture_point(&f, 0, 0.5, 0.125);
    fixture_tangents(&f, 0);
    rs_case_result result = fixture_result(&f, 1);
    result.origin = &origin;
    assert_ok(rs_store_put(store, run, &result));
}

static void put_failure(rs_store *store, int64_t run) {
    fixture const f = fixture_make(9);
    rs_case_result const failure =
        fixture_failure(&f, "cuda: lost \\ 100% of x_y^z~{a|b} & $#<\"q\">,\tgone");
    assert_ok(rs_store_put(store, run, &failure));
}

static int64_t begin_run_of(rs_store *store, int workers) {
    rs_provenance provenance = fixture_provenance();
    int64_t run = 0;
    provenance.workers = workers;
    assert_ok(rs_store_begin_run(store, &provenance, &run));
    return run;
}

static int64_t begin_run(rs_store *store) { return begin_run_of(store, 1); }

/* The clock is the only thing that differs between two makings of this database. */
static void set_clock(rs_store *store) {
    static const char sql[] =
        "UPDATE runs SET started = '2025-01-31T12:00:0' || (5 - id) || '.000Z',"
        " finished = iif(finished IS NULL, NULL, '2025-01-31T12:01:00.500Z')";
    assert_int_equal(sqlite3_exec(rs_store_handle(store), sql, NULL, NULL, NULL), SQLITE_OK);
}

static rs_store *make_database(bool backwards) {
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const first = begin_run_of(store, 2);
    if (backwards) put_model(store, first);
    for (uint64_t k = 1; k <= 3; ++k) put_gaussian(store, first, backwards ? 4 - k : k);
    put_failure(store, first);
    put_raw(store, first);
    put_lstm(store, first);
    put_leaky(store, first);
    if (!backwards) put_model(store, first);
    assert_ok(rs_store_finish_run(store, first, "some cases failed", 0.75, 1.0));
    begin_run(store); /* killed before it stored a case */
    set_clock(store);
    return store;
}

/* --- comparing -------------------------------------------------------------------------------- */

static char *asked_text(rs_store *store, rs_table_request asked) {
    static char *text;
    static size_t length;
    FILE *const out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_ok(rs_table_write(store, &asked, out));
    assert_int_equal(fclose(out), 0);
    return text;
}

static char *table_text(rs_store *store, const char *name, rs_table_format format) {
    return asked_text(store, (rs_table_request){.name = name, .format = format, .line = 80});
}

static char *read_text(const char *name) {
    char *text = NULL;
    size_t length;
    FILE *const out = open_memstream(&text, &length);
    assert_non_null(out);
    FILE *const in = fopen(name, "r");
    if (!in) fail_msg("%s: cannot be read", name);
    for (int c; (c = fgetc(in)) != EOF;) fputc(c, out);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_near(double value, double expected) {
    if (fabs(value - expected) > 1e-13) fail_msg("%.17g, not %.17g", value, expected);
}

static const char *const format_name[RS_N_TABLE_FORMAT] = {"text", "md", "csv", "latex", "json"};

static void assert_golden(rs_store *store, const char *name, rs_table_format format) {
    char golden[64];
    snprintf(golden, sizeof golden, "golden/%s.%s", name, format_name[format]);
    char *const expected = read_text(golden);
    char *const text = table_text(store, name, format);
    if (strcmp(text, expected) != 0) fail_msg("not as in %s:\n%s", golden, text);
    free(expected);
    free(text);
}

static const char *const names[] = {
    "decay",    "critical",  "seeds",      "profile", "clip",    "lyapunov", "lyapunov-summary",
    "singular", "condition", "throughput", "runs",    "failures"};
enum { N_NAMES = sizeof names / sizeof *names };

static void test_every_table_in_every_format(void **state) {
    (void)state;
    rs_store *const store = make_database(false);
    for (size_t i = 0; i < N_NAMES; ++i)
        for (rs_table_format format = RS_TEXT; format < RS_N_TABLE_FORMAT; ++format)
            assert_golden(store, names[i], format);
    rs_store_close(store);
}

static void test_order_of_work_does_not_show(void **state) {
    (void)state;
    rs_store *const store = make_database(true);
    for (size_t i = 0; i < N_NAMES; ++i) assert_golden(store, names[i], RS_CSV);
    rs_store_close(store);
}

static void test_reads_from_a_read_only_store(void **state) {
    (void)state;
    rs_store_close(make_database(false));
    rs_store *store;
    assert_ok(rs_store_open_readonly(path, &store));
    assert_golden(store, "decay", RS_MD);
    assert_golden(store, "profile", RS_MD);
    rs_store_close(store);
}

/* Field `at` of line `line` of a CSV text without quotes, as a number. */
static double csv_field(const char *csv, size_t line, size_t at) {
    for (; line > 0; --line) csv = strchr(csv, '\n') + 1;
    for (; at > 0; --at) csv = strchr(csv, ',') + 1;
    return strtod(csv, NULL);
}

/* Number of the first line that begins so, or of lines where none does; the header's is 0. */
static size_t line_of(const char *csv, const char *start) {
    size_t line = 0;
    for (; *csv && strncmp(csv, start, strlen(start)) != 0; ++line) csv = strchr(csv, '\n') + 1;
    return line;
}

static void test_points_without_a_curve(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    fixture f = fixture_make(1);
    fixture_point(&f, 0, 0.5, 0.25)->profile = (rs_log_profile){0};
    fixture_point(&f, 1, 1.0, 0.25);
    fixture_point(&f, 2, 2.0, 0.25)->profile = (rs_log_profile){0};
    put(store, begin_run(store), &f, 3);
    char *const profile = table_text(store, "profile", RS_CSV);
    for (size_t t = 0; t < FIXTURE_STEPS; ++t) {
        assert_true(csv_field(profile, t + 1, 4) == 1.0);
        assert_true(csv_field(profile, t + 1, 8) == (double)(t + 1));
    }
    assert_ptr_equal(strstr(profile, ",2,1.5,"), NULL);
    free(profile);
    char *const decay = table_text(store, "decay", RS_CSV);
    assert_true(csv_field(decay, 3, 4) == 2.0);
    free(decay);
    rs_store_close(store);
}

/* Databases of early builds have no column for it. */
static void test_fraction_of_zeros_of_an_early_build(void **state) {
    (void)state;
    rs_store *store = make_database(false);
    sqlite3 *const db = rs_store_handle(store);
    assert_int_equal(sqlite3_exec(db, "PRAGMA foreign_keys = OFF", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, fixture_to_version3, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, fixture_to_version2, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE curves DROP COLUMN zero", NULL, NULL, NULL),
                     SQLITE_OK);
    rs_store_close(store);
    assert_ok(rs_store_open_readonly(path, &store));
    char *const csv = table_text(store, "profile", RS_CSV);
    assert_non_null(strstr(csv, ",3,-inf,-inf,-inf,,")); /* unknown */
    assert_non_null(strstr(csv, ",5,0,0,0,0,"));
    free(csv);
    rs_store_close(store);
    assert_ok(rs_store_open(path, &store)); /* which adds it */
    fixture f = fixture_make(77);
    fixture_point(&f, 0, 1.0, 0.25);
    f.zero[0][1] = 0.25;
    put(store, begin_run(store), &f, 1);
    char *const other = table_text(store, "profile", RS_CSV);
    assert_non_null(strstr(other, ",77,h,2,-0.75,-0.75,-0.75,0.25,"));
    assert_non_null(strstr(other, ",77,h,3,-0.5,-0.5,-0.5,0,"));
    free(other);
    rs_store_close(store);
}

static void test_damaged_curve(void **state) {
    (void)state;
    static const char *const damage[] = {
        "UPDATE curves SET max = zeroblob(8)", "UPDATE curves SET mean = zeroblob(13)",
        "UPDATE curves SET mean = min, max = min, zero = zeroblob(8)"};
    rs_store *const store = make_database(false);
    for (size_t i = 0; i < 3; ++i) {
        assert_int_equal(sqlite3_exec(rs_store_handle(store), damage[i], NULL, NULL, NULL),
                         SQLITE_OK);
        FILE *const out = fopen("/dev/null", "w");
        assert_non_null(out);
        assert_int_equal(
            rs_table_write(store, &(rs_table_request){.name = "profile", .format = RS_CSV}, out),
            RS_EINPUT);
        assert_non_null(strstr(rs_message(), "damaged"));
        fclose(out);
    }
    rs_store_close(store);
}

static void test_damaged_spectra(void **state) {
    (void)state;
    static const char *const damage[][2] = {
        {"lyapunov", "UPDATE lyapunov SET standard_errors = zeroblob(8)"},
        {"lyapunov-summary", "UPDATE lyapunov SET exponents = zeroblob(88)"},
        {"lyapunov", "UPDATE lyapunov SET directions = -1"},
        {"lyapunov", "UPDATE lyapunov SET directions = 1000"},
        {"singular", "UPDATE singular_values SET logs = zeroblob(13)"},
        {"condition", "UPDATE singular_values SET logs = zeroblob(0)"}};
    rs_store *const store = make_database(false);
    for (size_t i = 0; i < sizeof damage / sizeof *damage; ++i) {
        assert_int_equal(sqlite3_exec(rs_store_handle(store), damage[i][1], NULL, NULL, NULL),
                         SQLITE_OK);
        FILE *const out = fopen("/dev/null", "w");
        assert_non_null(out);
        rs_table_request const asked = {.name = damage[i][0], .format = RS_CSV};
        assert_int_equal(rs_table_write(store, &asked, out), RS_EINPUT);
        assert_non_null(strstr(rs_message(), "damaged"));
        fclose(out);
    }
    rs_store_close(store);
}

static void test_an_empty_database_has_headers(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    for (size_t i = 0; i < N_NAMES; ++i) {
        char *const csv = table_text(store, names[i], RS_CSV);
        assert_ptr_equal(strchr(csv, '\n'), csv + strlen(csv) - 1);
        free(csv);
        char *const json = table_text(store, names[i], RS_JSON);
        assert_string_equal(json, "[]\n");
        free(json);
    }
    char *const md = table_text(store, "failures", RS_MD);
    assert_string_equal(md, "| cell | ensemble | hidden | steps | seed | reason | run |\n"
                            "|:-----|:---------|-------:|------:|-----:|:-------|----:|\n");
    free(md);
    rs_store_close(store);
}

/* --- what is fixed by contract ---------------------------------------------------------------- */

static void test_column_names_of_the_contract(void **state) {
    (void)state;
    static const char *const header[][2] = {
        {"profile", "cell,ensemble,hidden,steps,rho,g,seed,state,step,log10_norm_mean,"
                    "log10_norm_min,log10_norm_max,zero_fraction,"},
        {"decay", "cell,ensemble,hidden,steps,rho,g,seeds,decay_rate,decay_rate_ci95,"
                  "decay_rate_min,decay_rate_max,gain,growing_fraction,regime,attempts,"},
        {"critical", "cell,ensemble,hidden,steps,input,rho_critical,rho_critical_ci95_low,"
                     "rho_critical_ci95_high,g_critical,g_critical_ci95_low,g_critical_ci95_high,"
                     "g_predicted,"},
        {"seeds", "cell,ensemble,hidden,steps,rho,g,seed,decay_rate,"},
        {"clip", "cell,ensemble,hidden,rho,seed,loss,weight_ih,weight_hh,bias_ih,bias_hh,"
                 "total,clip_coef,total_clipped,max_norm,g,steps,"},
        {"lyapunov", "cell,ensemble,hidden,steps,rho,g,seed,transient,directions,qr_every,k,"
                     "exponent,standard_error,predicted,"},
        {"lyapunov-summary", "cell,ensemble,hidden,steps,rho,g,seed,transient,directions,qr_every,"
                             "largest,largest_standard_error,kaplan_yorke,entropy_rate,mean,"
                             "sum_rule_residual,positive,"},
        {"throughput", "engine,device,hidden,steps,batch,radii,forward_ms,backward_ms,gflops,"
                       "column_steps_per_s,"},
    };
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    for (size_t i = 0; i < sizeof header / sizeof *header; ++i) {
        char *const csv = table_text(store, header[i][0], RS_CSV);
        assert_memory_equal(csv, header[i][1], strlen(header[i][1]));
        free(csv);
    }
    rs_store_close(store);
}

static void test_numbers_round_trip(void **state) {
    (void)state;
    static double const values[FIXTURE_STEPS] = {0.1, 1.0 / 3.0, -602.0599913279624, 5e-324,
                                                 -1.7976931348623157e308};
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    fixture f = fixture_make(1);
    fixture_point(&f, 0, 0.1 + 0.2, 0.25);
    memcpy(f.curve[0], values, sizeof values);
    put(store, begin_run(store), &f, 1);
    char *const csv = table_text(store, "profile", RS_CSV);
    for (size_t t = 0; t < FIXTURE_STEPS; ++t) {
        assert_true(csv_field(csv, t + 1, 4) == 0.1 + 0.2);
        assert_true(csv_field(csv, t + 1, 9) == values[t]);
    }
    assert_non_null(strstr(csv, ",0.1,0.1,0.1,")); /* and no digit more than it takes */
    free(csv);
    rs_store_close(store);
}

static void test_decay_is_that_of_the_fit(void **state) {
    (void)state;
    rs_store *const store = make_database(false);
    char *const csv = table_text(store, "decay", RS_CSV);
    size_t const line = line_of(csv, "tanh,gaussian,10,5,0.102");
    double const rates[] = {0.25, 0.5, 0.75};
    rs_seed_summary const summary = rs_fit_seeds(rates, 3, FIXTURE_STEPS);
    assert_true(csv_field(csv, line, 4) == ((0.1 + 1e-3) + (0.1 + 2e-3) + (0.1 + 3e-3)) / 3.0);
    assert_true(csv_field(csv, line, 6) == 3.0);
    assert_true(csv_field(csv, line, 7) == summary.mean);
    assert_true(csv_field(csv, line, 8) == summary.ci95);
    assert_true(csv_field(csv, line, 11) == summary.gain);
    free(csv);
    rs_store_close(store);
}

/* Networks that were tried: with a point, with or without a rate, or in a failed case. */
static void test_attempts_of_a_radius(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    for (uint64_t seed = 1; seed <= 4; ++seed) {
        fixture f = fixture_make(seed);
        fixture_point(&f, 0, 1.0, seed == 2 ? NAN : 0.25);
        fixture_point(&f, 1, 2.0, 0.25);
        if (seed < 4) put(store, run, &f, seed == 3 ? 1 : 2);
        f.one.raw = seed == 1; /* of other settings: counted nowhere */
        rs_case_result const failure = fixture_failure(&f, "lost");
        if (seed != 2) assert_ok(rs_store_put(store, run, &failure));
    }
    char *const csv = table_text(store, "decay", RS_CSV);
    enum { SEEDS = 6, ATTEMPTS = 14 };
    assert_true(csv_field(csv, 1, SEEDS) == 2.0 && csv_field(csv, 1, ATTEMPTS) == 4.0);
    assert_true(csv_field(csv, 2, SEEDS) == 2.0 && csv_field(csv, 2, ATTEMPTS) == 4.0);
    free(csv);
    rs_store_close(store);
}

/* exp(-x) of a rate that is known to 0.25 is known to a hundredth of that where it is near 0.01. */
static void test_interval_of_the_gain(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        fixture f = fixture_make(seed);
        fixture_point(&f, 0, 1.0, 4.4 + 0.1 * (double)seed);
        put(store, run, &f, 1);
    }
    char *const md = table_text(store, "decay", RS_MD);
    assert_non_null(strstr(md, " |   4.60(25) |           4.50 |           4.70 | 0.0101 | "));
    free(md);
    rs_store_close(store);
}

static void test_raw_is_a_row_of_its_own(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    for (int raw = 0; raw < 2; ++raw) {
        fixture f = fixture_make(1);
        f.one.raw = raw;
        fixture_point(&f, 0, 1.0, raw ? 0.5 : 0.25);
        put(store, run, &f, 1);
    }
    char *const csv = table_text(store, "decay", RS_CSV);
    for (size_t line = 1; line <= 2; ++line) {
        assert_true(csv_field(csv, line, 6) == 1.0); /* seed in each */
        assert_true(csv_field(csv, line, 7) == 0.25 * (double)line);
    }
    free(csv);
    rs_store_close(store);
}

static void test_seeds_ascend(void **state) {
    (void)state;
    static uint64_t const seeds[] = {1, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    for (size_t i = 4; i-- > 0;) {
        fixture f = fixture_make(seeds[i]);
        fixture_point(&f, 0, 1.0, 0.25);
        put(store, run, &f, 1);
    }
    char *const profile = table_text(store, "profile", RS_CSV);
    char *const networks = table_text(store, "seeds", RS_CSV);
    for (size_t i = 0; i < 4; ++i) {
        assert_true(csv_field(profile, 1 + i * FIXTURE_STEPS, 6) == (double)seeds[i]);
        assert_true(csv_field(networks, 1 + i, 6) == (double)seeds[i]);
    }
    free(profile);
    free(networks);
    rs_store_close(store);
}

static void test_csv_quotes_what_would_end_a_field(void **state) {
    (void)state;
    static const char *const reasons[] = {"a,b", "a\nb", "a\rb", "a\"b", "a b"};
    static const char *const fields[] = {"\"a,b\"", "\"a\nb\"", "\"a\rb\"", "\"a\"\"b\"", ",a b,"};
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    for (size_t i = 0; i < 5; ++i) {
        fixture const f = fixture_make(i);
        rs_case_result const failure = fixture_failure(&f, reasons[i]);
        assert_ok(rs_store_put(store, run, &failure));
    }
    char *const csv = table_text(store, "failures", RS_CSV);
    for (size_t i = 0; i < 5; ++i)
        if (!strstr(csv, fields[i])) fail_msg("no %s in\n%s", fields[i], csv);
    free(csv);
    rs_store_close(store);
}

/* A device that was lost is a row of no case, before those that failed. */
static void test_a_lost_device_is_a_failure(void **state) {
    (void)state;
    static const char text[] = "done without device 1 (A GPU) failed: gone";
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    put_failure(store, run);
    assert_ok(rs_store_finish_run(store, run, text, 1.0, 2.0));
    char *const csv = table_text(store, "failures", RS_CSV);
    const char *const row = strchr(csv, '\n') + 1;
    assert_int_equal(strncmp(row, ",,,,,", 5), 0);
    assert_non_null(strstr(row, text));
    assert_non_null(strstr(row, "\ntanh,gaussian,"));
    free(csv);
    free(table_text(store, "failures", RS_TEXT));
    free(table_text(store, "failures", RS_LATEX));
    free(table_text(store, "failures", RS_JSON));
    rs_store_close(store);
}

enum { WEIGHT_IH = 6, WEIGHT_HH, BIAS_IH, BIAS_HH, TOTAL, CLIP_COEF, TOTAL_CLIPPED, MAX_NORM };

/* A row for every network and every norm that was asked for, in that order. */
static void test_clip_by_hand(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    fixture f = fixture_make(1);
    fixture_gradients(fixture_point(&f, 0, 2.0, 0.5), log10(3.0), log10(4.0), log10(12.0),
                      log10(84.0));
    fixture_point(&f, 1, 3.0, 0.5); /* whose gradients nobody asked for */
    fixture_gradients(fixture_point(&f, 2, 1.0, 0.5), -400.0, -INFINITY, -INFINITY, -INFINITY);
    put_clipped(store, run, &f, 3, 100.0);
    put_clipped(store, run, &f, 3, 0.25);
    put(store, run, &f, 3);
    char *const csv = table_text(store, "clip", RS_CSV);
    static double const total[] = {1e-300, 1e-300, 85.0, 85.0}, norm[] = {0.25, 100.0, 0.25, 100.0};
    for (size_t i = 0; i < 4; ++i) {
        assert_true(csv_field(csv, 1 + i, MAX_NORM) == norm[i]);
        assert_near(csv_field(csv, 1 + i, TOTAL), total[i]);
    }
    assert_near(csv_field(csv, 3, WEIGHT_HH), 4.0);
    assert_near(csv_field(csv, 3, BIAS_HH), 84.0);
    assert_near(csv_field(csv, 3, CLIP_COEF), 0.25 / (85.0 + 1e-6));
    assert_near(csv_field(csv, 3, TOTAL_CLIPPED), 0.25 * (85.0 / (85.0 + 1e-6)));
    assert_non_null(
        strstr(csv, ",2,1,random,3,4,12,84,85,1,85,100,1.5,5,")); /* and no more digits */
    assert_non_null(strstr(csv, ",1e-400,0,0,0,1e-400,1,1e-400,0.25,"));
    assert_null(strstr(csv, ",3,1,random,"));
    free(csv);
    rs_store_close(store);
}

/* Beyond the range of doubles, and where arithmetic has met something else than numbers. */
static void test_clip_of_norms_that_are_no_doubles(void **state) {
    (void)state;
    static double const norms[][RS_N_GRADIENT] = {
        {412.0, 412.5, -412.5, -INFINITY},
        {0.0, 1.0, INFINITY, 1.0},
        {0.0, INFINITY, NAN, 1.0},
        {400.0 - 1e-6, -310.0, 0.0, 0.0},
    };
    static const char *const csv_part[] = {
        ",random,1e+412,3.162277660168e+412,3.162277660168e-413,0,3.31662479",
        ",random,1,10,inf,10,inf,0,nan,0.5,",
        ",random,1,inf,nan,10,nan,nan,nan,0.5,",
        ",1e-310,1,1,9.9999769",
    };
    static const char *const json_part[] = {
        "\"weight_ih\": 1e+412,", "\"total\": \"inf\", \"clip_coef\": 0,",
        "\"total\": \"nan\", \"clip_coef\": \"nan\"", "\"weight_hh\": 1e-310,"};
    static const char *const latex_part[] = {
        "$1\\times 10^{412}$ & $3.162\\times 10^{412}$ & $3.162\\times 10^{-413}$ & $0$",
        " & $\\infty$\\phantom{.00000000} & $10$ & ", "$\\mathrm{nan}$\\phantom{.0} \\\\",
        "$1\\times 10^{400}$ & $1\\times 10^{-310}$\\phantom{0000} & $1$"}; /* rounded up */
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    fixture f = fixture_make(1);
    for (size_t i = 0; i < 4; ++i)
        fixture_gradients(fixture_point(&f, i, 1.0 + (double)i, 0.5), norms[i][0], norms[i][1],
                          norms[i][2], norms[i][3]);
    put_clipped(store, run, &f, 4, 0.5);
    char *const csv = table_text(store, "clip", RS_CSV), *const json =
                                                             table_text(store, "clip", RS_JSON);
    char *const latex = asked_text(
        store, (rs_table_request){.name = "clip",
                                  .format = RS_LATEX,
                                  .columns = "weight_ih,weight_hh,bias_ih,bias_hh,total,clip_coef,"
                                             "total_clipped"});
    for (size_t i = 0; i < 4; ++i) {
        if (!strstr(csv, csv_part[i])) fail_msg("no %s in\n%s", csv_part[i], csv);
        if (!strstr(json, json_part[i])) fail_msg("no %s in\n%s", json_part[i], json);
        if (!strstr(latex, latex_part[i])) fail_msg("no %s in\n%s", latex_part[i], latex);
    }
    assert_true(csv_field(csv, 1, WEIGHT_IH) == INFINITY && csv_field(csv, 1, BIAS_HH) == 0.0);
    assert_true(csv_field(csv, 4, WEIGHT_IH) == INFINITY);
    free(csv);
    free(json);
    free(latex);
    rs_store_close(store);
}

enum { PREDICTED = 15, PREDICTION, BOUND }; /* fields of a line of the decay table */

static void test_predictions_are_those_of_theory(void **state) {
    (void)state;
    rs_theory theory;
    assert_ok(rs_theory_make(&theory));
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    for (uint64_t seed = 1; seed <= 2; ++seed) {
        fixture f = fixture_make(seed);
        f.one.hidden = 128;
        f.one.input = (rs_input){RS_INPUT_NOISE, 0.7};
        fixture_point(&f, 0, 2.0, -0.1);
        put(store, run, &f, 1);
    }
    rs_case const one = {.ensemble.kind = RS_GAUSSIAN,
                         .input = {RS_INPUT_NOISE, 0.7},
                         .loss = RS_RANDOM,
                         .hidden = 128,
                         .steps = FIXTURE_STEPS,
                         .leak = 1.0};
    char *const csv = table_text(store, "decay", RS_CSV);
    assert_true(csv_field(csv, 1, PREDICTED) == rs_predict(&theory, &one, 2.0, 1.5).decay_rate);
    assert_true(csv_field(csv, 1, BOUND) == rs_decay_bound(&one, 2.0, 1.5));
    assert_non_null(strstr(csv, ",mean field,"));
    free(csv);
    assert_int_equal(sqlite3_exec(rs_store_handle(store), "UPDATE cases SET loss = 'all-mean'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    char *const of_all_steps = table_text(store, "decay", RS_CSV);
    assert_null(strstr(of_all_steps, ",mean field,"));
    free(of_all_steps);
    rs_store_close(store);
}

/* Cases that differ in a gate bias, in what is scaled or in a leak are no seeds of one another, and
 * each has the prediction of its own words. */
static void test_gates_and_leaks_of_cases(void **state) {
    (void)state;
    rs_theory theory;
    assert_ok(rs_theory_make(&theory));
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    fixture f = fixture_make(1);
    f.one.ensemble.kind = RS_IDENTITY;
    f.one.input = (rs_input){.kind = RS_INPUT_ZERO};
    rs_case one[6] = {f.one, f.one, f.one, f.one, f.one, f.one};
    one[0].cell = one[1].cell = one[2].cell = RS_LSTM;
    one[3].cell = RS_GRU;
    one[1].gate_bias = one[3].gate_bias = (rs_gate_bias){RS_BIAS_GIVEN, -1.5};
    one[2].gate_scale = RS_SCALE_NATIVE;
    one[4].leak = 0.25;
    for (size_t i = 0; i < 6; ++i) {
        f.one = one[i];
        fixture_point(&f, 0, 0.5, 0.25);
        put(store, run, &f, 1);
    }
    char *const csv = table_text(store, "decay", RS_CSV);
    static const char *const settings[] = {",drawn,same,,", ",-1.5,same,,", ",drawn,native,,",
                                           ",-1.5,same,,",  ",,,0.25,",     ",,,1,"};
    static size_t const line[] = {4, 2, 3, 1, 5, 6}; /* gru; lstm by bias and scale; tanh */
    assert_int_equal(line_of(csv, "nothing"), 7);
    for (size_t i = 0; i < 6; ++i) {
        rs_prediction const law = rs_predict(&theory, &one[i], 0.5, 0.375);
        assert_true(csv_field(csv, line[i], PREDICTED) == law.decay_rate);
        const char *at = csv;
        for (size_t k = 0; k < line[i]; ++k) at = strchr(at, '\n') + 1;
        const char *const found = strstr(at, settings[i]);
        assert_true(found && found < strchr(at, '\n'));
    }
    free(csv);
    char *const critical = table_text(store, "critical", RS_CSV);
    assert_int_equal(line_of(critical, "nothing"), 7);
    free(critical);
    rs_store_close(store);
}

/* The one law of imported networks: W_hh = 0 leaves the memory gate alone. */
static void test_an_imported_network_of_zeros(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    fixture f = fixture_make(1);
    fixture_gate(&f, 1.0);
    fixture_import(&f);
    f.one.native = true;
    f.one.input = (rs_input){.kind = RS_INPUT_ZERO};
    rs_point *const point = fixture_point(&f, 0, NAN, 0.25);
    point->rho = point->g = 0.0;
    int64_t const run = begin_run(store);
    put(store, run, &f, 1);
    f.one.h0.kind = RS_START_MODEL;
    put(store, run, &f, 1);
    char *const csv = table_text(store, "decay", RS_CSV);
    size_t const moving = 1, at_rest = 2; /* "model" before "zero" */
    assert_near(csv_field(csv, at_rest, PREDICTED), log1p(exp(-1.0)));
    assert_non_null(strstr(csv, ",ln f,"));
    assert_true(csv_field(csv, moving, PREDICTED) == 0.0); /* an empty field */
    free(csv);
    rs_store_close(store);
}

/* Two products of K H x H with a column in every step. */
static void test_operations_of_all_gates(void **state) {
    (void)state;
    static struct {
        rs_cell cell;
        double gates;
    } const row[] = {{RS_GRU, 3.0}, {RS_LSTM, 4.0}, {RS_TANH, 1.0}}; /* as they are sorted */
    enum { GFLOPS = 8 };
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    for (size_t i = 0; i < 3; ++i) {
        fixture f = fixture_make(1);
        f.one.cell = row[i].cell;
        fixture_point(&f, 0, 0.5, 0.25);
        put(store, run, &f, 1);
    }
    char *const csv = table_text(store, "throughput", RS_CSV);
    double const plain = 4e-9 * 10.0 * 10.0 * 4.0 * FIXTURE_STEPS / (0.25 + 0.75);
    for (size_t i = 0; i < 3; ++i) assert_near(csv_field(csv, i + 1, GFLOPS) / plain, row[i].gates);
    free(csv);
    rs_store_close(store);
}

enum { RHO_CRITICAL = 5, RHO_LOW, RHO_HIGH, G_CRITICAL, G_PREDICTED = 11, CRITICAL_SEEDS, RADII };

/* The gaussian networks' mean rates are 0.5 at
 * 0.102 and -11/36 at 2; their interval was computed in Python as in test_critical.c. */
static void test_critical_radius_by_hand(void **state) {
    (void)state;
    rs_store *const store = make_database(false);
    char *const csv = table_text(store, "critical", RS_CSV);
    size_t const line = line_of(csv, "tanh,gaussian,10,5,");
    double const share = 0.5 / (0.5 + 11.0 / 36.0);
    assert_near(csv_field(csv, line, RHO_CRITICAL), 0.102 + share * (2.0 - 0.102));
    assert_near(csv_field(csv, line, G_CRITICAL), 0.075 + share * (1.5 - 0.075));
    assert_near(csv_field(csv, line, RHO_LOW), 0.734);
    assert_near(csv_field(csv, line, RHO_HIGH), 1.6550909090909092);
    assert_true(csv_field(csv, line, CRITICAL_SEEDS) == 3.0 && csv_field(csv, line, RADII) == 2.0);
    /* a network without a rate, and one with its radius as drawn */
    assert_non_null(strstr(csv, "\nlinear,orthogonal,10,5,noise:0.5,,,,,,,,0,0,"));
    assert_non_null(strstr(csv, "\ntanh,model,10,5,pytorch,,,,,,,,0,0,"));
    free(csv);
    rs_store_close(store);
}

/* Radii that seeds do not share, a radius without a rate, and one that is as drawn. */
static void test_critical_radius_of_a_partial_sweep(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    fixture f = fixture_make(1);
    fixture_point(&f, 0, 3.0, -0.5);
    fixture_point(&f, 1, 1.0, 0.5);
    put(store, run, &f, 2);
    fixture g = fixture_make(2);
    fixture_point(&g, 0, 2.0, 0.25);
    fixture_point(&g, 1, 2.5, NAN);
    fixture_point(&g, 2, NAN, -0.5);
    put(store, run, &g, 3);
    char *const csv = table_text(store, "critical", RS_CSV);
    assert_near(csv_field(csv, 1, RHO_CRITICAL), 2.0 + 1.0 / 3.0);
    assert_true(csv_field(csv, 1, CRITICAL_SEEDS) == 2.0 && csv_field(csv, 1, RADII) == 3.0);
    free(csv);
    rs_store_close(store);
}

static void put_two_radii(rs_store *store, int64_t run, uint64_t seed, rs_input input) {
    fixture f = fixture_make(seed);
    f.one.hidden = 256;
    f.one.input = input;
    f.one.input_size = 0;
    fixture_point(&f, 0, 1.0, 0.1);
    fixture_point(&f, 1, 2.0, -0.1);
    put(store, run, &f, 2);
}

static void test_critical_coupling_beside_that_of_theory(void **state) {
    (void)state;
    rs_theory theory;
    assert_ok(rs_theory_make(&theory));
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    for (uint64_t seed = 1; seed <= 2; ++seed) {
        put_two_radii(store, run, seed, (rs_input){RS_INPUT_NOISE, 0.5});
        put_two_radii(store, run, seed, (rs_input){RS_INPUT_NOISE, 1.0});
        put_two_radii(store, run, seed, (rs_input){RS_INPUT_ZERO, 0.0});
    }
    char *const csv = table_text(store, "critical", RS_CSV);
    assert_true(csv_field(csv, 1, G_PREDICTED) == rs_critical_coupling(&theory, 0.5));
    assert_true(csv_field(csv, 2, G_PREDICTED) == rs_critical_coupling(&theory, 1.0));
    assert_non_null(strstr(csv, "\ntanh,gaussian,256,5,zero,1.5,1.5,1.5,1.125,1.125,1.125,,2,2,"));
    free(csv);
    rs_store_close(store);
}

/* What a later version may write, and a point that has no coupling, are rows like any other. */
static void test_rows_that_theory_does_not_know(void **state) {
    (void)state;
    static const char *const changes[] = {"UPDATE cases SET cell = 'softsign'",
                                          "UPDATE cases SET input = ''",
                                          "UPDATE points SET g = NULL"};
    rs_store *const store = make_database(false);
    for (size_t i = 0; i < 3; ++i) {
        assert_int_equal(sqlite3_exec(rs_store_handle(store), changes[i], NULL, NULL, NULL),
                         SQLITE_OK);
        char *const csv = table_text(store, "decay", RS_CSV);
        assert_null(strstr(csv, "ln rho"));
        assert_true(csv_field(csv, 4, PREDICTED) == 0.0); /* the fourth row is there, this empty */
        free(csv);
    }
    rs_store_close(store);
}

static void test_text_that_is_not_utf8(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    fixture const f = fixture_make(1);
    rs_case_result const failure =
        fixture_failure(&f, "a\xff"
                            "b\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xc0\xaf\xed\xa0\x80\xe2\x82");
    assert_ok(rs_store_put(store, begin_run(store), &failure));
    char *const json = table_text(store, "failures", RS_JSON);
    assert_non_null(strstr(json, "\"a\\ufffdb\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\\ufffd\\ufffd"
                                 "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\""));
    free(json);
    rs_store_close(store);
}

static void test_unknown_table(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    assert_int_equal(
        rs_table_write(store, &(rs_table_request){.name = "loss", .format = RS_CSV}, stdout),
        RS_EINPUT);
    assert_string_equal(rs_message(), "table: \"loss\" is not one of decay, critical, seeds, "
                                      "profile, clip, lyapunov, lyapunov-summary, singular, "
                                      "condition, throughput, runs, failures");
    rs_store_close(store);
}

/* A line for each table, in the width of a terminal. */
static void test_list_of_tables(void **state) {
    (void)state;
    char *list = NULL;
    size_t length;
    FILE *const out = open_memstream(&list, &length);
    assert_non_null(out);
    rs_table_list(out);
    assert_int_equal(fclose(out), 0);
    const char *line = list;
    for (size_t i = 0; i < N_NAMES; ++i) {
        const char *const end = strchr(line, '\n');
        assert_non_null(end);
        assert_true(end - line < 80);
        assert_memory_equal(line, "  ", 2);
        assert_memory_equal(line + 2, names[i], strlen(names[i]));
        assert_int_equal(line[2 + strlen(names[i])], ' ');
        line = end + 1;
    }
    assert_string_equal(line, "");
    free(list);
}

/* --- for reading ------------------------------------------------------------------------------ */

/* Two radii of three networks that differ in nothing else. */
static rs_store *make_plain_database(void) {
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    for (uint64_t seed = 1; seed <= 3; ++seed) put_gaussian(store, run, seed);
    set_clock(store);
    return store;
}

static size_t longest_line(const char *text) {
    size_t longest = 0;
    for (const char *end; (end = strchr(text, '\n')); text = end + 1)
        if ((size_t)(end - text) > longest) longest = (size_t)(end - text);
    return longest;
}

static void test_what_all_rows_share_is_a_heading(void **state) {
    (void)state;
    rs_store *const store = make_plain_database();
    char *const text = table_text(store, "decay", RS_TEXT);
    assert_non_null(strstr(text, "  cell tanh, ensemble gaussian, hidden 10, steps 5, batch 4,"));
    assert_non_null(strstr(text, " seeds 3,"));
    assert_non_null(strstr(text, " regime mixed"));
    assert_non_null(strstr(text, "\n0.102  0.075   0.50(62) "));
    assert_non_null(strstr(text, "\n2      1.5    -0.31(43) ")); /* below it, point by point */
    free(text);
    char *const latex = table_text(store, "decay", RS_LATEX);
    assert_non_null(strstr(latex, "cell~tanh, ensemble~gaussian, $H$~=~$10$, $T$~=~$5$, "));
    assert_non_null(strstr(latex, "\\begin{tabular}{@{}rrrr@{}}\n"));
    free(latex);
    rs_store_close(store);
}

static void test_text_keeps_to_the_width_of_a_terminal(void **state) {
    (void)state;
    rs_store *const store = make_plain_database();
    for (size_t i = 0; i < N_NAMES; ++i)
        for (size_t line = 75; line < 160; line += 7) {
            rs_table_request const asked = {.name = names[i], .line = line};
            char *const text = asked_text(store, asked);
            if (longest_line(text) > line) fail_msg("longer than %zu:\n%s", line, text);
            free(text);
        }
    rs_store_close(store);
}

/* The details first, of these the last first; the first result stays. */
static void test_what_a_narrow_terminal_leaves_out(void **state) {
    (void)state;
    static const struct {
        size_t line;
        const char *said;
    } known[] = {
        {66, "\n  No room for fp32_underflow; --wide shows all columns.\n"},
        {56, "\n  No room for gain, fp32_underflow; --wide shows all\n  columns.\n"},
        {30, "\n  No room for\n  growing_fraction,\n"},
    };
    rs_store *const store = make_plain_database();
    char *const all = asked_text(store, (rs_table_request){.name = "decay"});
    assert_null(strstr(all, "No room"));
    free(all);
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        char *const text =
            asked_text(store, (rs_table_request){.name = "decay", .line = known[i].line});
        if (!strstr(text, known[i].said)) fail_msg("no %s in\n%s", known[i].said, text);
        assert_non_null(strstr(text, "-0.31(43)"));
        free(text);
    }
    rs_store_close(store);
}

/* One end of a range alone would be misread. */
static void test_a_range_keeps_both_ends_or_none(void **state) {
    (void)state;
    static const char *const range[][3] = {{"decay", "decay_rate_min", "decay_rate_max"},
                                           {"profile", "log10_norm_min", "log10_norm_max"}};
    rs_store *const store = make_plain_database();
    for (size_t i = 0; i < sizeof range / sizeof *range; ++i) {
        size_t shown = 0, left_out = 0;
        for (size_t line = 40; line < 160; ++line) {
            char *const text =
                asked_text(store, (rs_table_request){.name = range[i][0], .line = line});
            const char *const note = strstr(text, "No room for");
            bool const no_low = note && strstr(note, range[i][1]);
            bool const no_high = note && strstr(note, range[i][2]);
            if (no_low != no_high) fail_msg("one end in a line of %zu:\n%s", line, text);
            ++*(no_low ? &left_out : &shown);
            free(text);
        }
        assert_true(shown > 0 && left_out > 0);
    }
    rs_store_close(store);
}

static void test_long_texts_are_cut_or_broken(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    for (uint64_t seed = 1; seed <= 2; ++seed) {
        fixture const f = fixture_make(seed);
        char reason[200];
        snprintf(reason, sizeof reason, "%d: out of memo\xc3\xbfy, %0100d, last", (int)seed, 0);
        rs_case_result const failure = fixture_failure(&f, reason);
        assert_ok(rs_store_put(store, run, &failure));
    }
    char *const plain = table_text(store, "failures", RS_TEXT);
    assert_non_null(strstr(plain, "1: out of memo?y, 0000000"));
    assert_non_null(strstr(plain, "0...\n")); /* `run` is the same in both rows */
    free(plain);
    char *const utf8 =
        asked_text(store, (rs_table_request){.name = "failures", .line = 80, .utf8 = true});
    assert_non_null(strstr(utf8, "memo\xc3\xbfy"));
    assert_non_null(strstr(utf8, "0\xe2\x80\xa6\n"));
    assert_non_null(strstr(utf8, "\n\xe2\x94\x80\xe2\x94\x80"));
    free(utf8);
    char *const latex = table_text(store, "failures", RS_LATEX);
    assert_non_null(strstr(latex, "\\begin{tabular}{@{}rp{"));
    assert_non_null(strstr(latex, "{\\raggedright 1:\\allowbreak{} out of memo"));
    free(latex);
    rs_store_close(store);
}

/* More rows than a page of a paper holds. */
static void test_a_long_table_breaks_over_pages(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    int64_t const run = begin_run(store);
    for (uint64_t seed = 1; seed <= 41; ++seed) {
        char *const before = table_text(store, "seeds", RS_LATEX);
        assert_null(strstr(before, "longtable"));
        free(before);
        fixture f = fixture_make(seed);
        fixture_point(&f, 0, 1.0, 0.25);
        put(store, run, &f, 1);
    }
    char *const latex = table_text(store, "seeds", RS_LATEX);
    assert_non_null(strstr(latex, "needs \\usepackage{booktabs,longtable}\n"));
    assert_non_null(strstr(latex, "\\begin{longtable}"));
    assert_non_null(strstr(latex, "\\endfirsthead"));
    assert_null(strstr(latex, "tabular"));
    free(latex);
    rs_store_close(store);
}

static void test_columns_by_name(void **state) {
    (void)state;
    static const struct {
        rs_table_format format;
        const char *text;
    } known[] = {
        {RS_CSV, "decay_rate,rho\n0.5,0.10200000000000002\n-0.3055555555555555,2\n"},
        {RS_JSON, "[\n  {\"decay_rate\": 0.5, \"rho\": 0.10200000000000002},\n  {\"decay_rate\": "
                  "-0.3055555555555555, \"rho\": 2}\n]\n"},
        {RS_MD, "| decay_rate |   rho |\n|-----------:|------:|\n|   0.50(62) | 0.102 |\n|  "
                "-0.31(43) |     2 |\n"},
    };
    rs_store *const store = make_plain_database();
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        char *const text = asked_text(store, (rs_table_request){.name = "decay",
                                                                .format = known[i].format,
                                                                .columns = "decay_rate, rho"});
        assert_string_equal(text, known[i].text);
        free(text);
    }
    char *const text = asked_text(
        store, (rs_table_request){.name = "decay", .columns = "cell,decay_rate_ci95", .line = 20});
    assert_non_null(strstr(text, "\ntanh       0.43\n")); /* asked for: no constant */
    free(text);
    rs_store_close(store);
}

static void test_columns_that_are_none(void **state) {
    (void)state;
    static const char *const known[][2] = {
        {"decay_rat",
         "columns: \"decay_rat\" is not a column of decay; did you mean decay_rate? see "
         "rhosweep help table decay"},
        {"rho,", "columns: \"\" is not a column of decay; see rhosweep help table decay"},
        {"rho,g,rho", "columns: rho is named twice"},
    };
    rs_store *const store = make_plain_database();
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        rs_table_request const asked = {.name = "decay", .columns = known[i][0]};
        assert_int_equal(rs_table_write(store, &asked, stdout), RS_EINPUT);
        assert_string_equal(rs_message(), known[i][1]);
    }
    rs_store_close(store);
}

static size_t count(const char *text, char c) {
    size_t n = 0;
    for (; *text && *text != '\n'; ++text) n += *text == c;
    return n;
}

static void test_wide_shows_all_columns(void **state) {
    (void)state;
    rs_store *const store = make_plain_database();
    for (size_t i = 0; i < N_NAMES; ++i) {
        char *const csv = table_text(store, names[i], RS_CSV);
        size_t const columns = count(csv, ',') + 1;
        char *const md =
            asked_text(store, (rs_table_request){.name = names[i], .format = RS_MD, .wide = true});
        assert_int_equal(count(md, '|'), columns + 1);
        char *const latex = asked_text(
            store, (rs_table_request){.name = names[i], .format = RS_LATEX, .wide = true});
        assert_int_equal(count(strstr(latex, "\\toprule\n") + 10, '&'), columns - 1);
        char *const text =
            asked_text(store, (rs_table_request){.name = names[i], .wide = true, .line = 80});
        assert_true(longest_line(text) > 80 && !strstr(text, "No room"));
        free(csv);
        free(md);
        free(latex);
        free(text);
    }
    rs_store_close(store);
}

static char *described(rs_status (*describe)(const char *name, FILE *out), const char *name) {
    static char *text;
    static size_t length;
    FILE *const out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_ok(describe(name, out));
    assert_int_equal(fclose(out), 0);
    return text;
}

static rs_status explain(const char *name, FILE *out) { return rs_table_explain(name, 80, out); }

/* A line for each, in the order of CSV. */
static void test_every_column_is_described(void **state) {
    (void)state;
    rs_store *store;
    assert_ok(rs_store_open(path, &store));
    for (size_t i = 0; i < N_NAMES; ++i) {
        char *const csv = table_text(store, names[i], RS_CSV);
        char *const md = described(rs_table_describe, names[i]);
        char *const plain = described(explain, names[i]);
        assert_true(longest_line(plain) <= 80);
        const char *line = strchr(strchr(md, '\n') + 1, '\n') + 1;
        csv[strlen(csv) - 1] = '\0';
        char *rest = csv;
        for (char *name; (name = strsep(&rest, ",")); line = strchr(line, '\n') + 1) {
            char begin[64];
            snprintf(begin, sizeof begin, "| `%s` | ", name);
            assert_memory_equal(line, begin, strlen(begin));
            if (strchr(line, '\n') - line < (long)strlen(begin) + 6) fail_msg("%s: no text", name);
            snprintf(begin, sizeof begin, "\n  %s ", name);
            assert_non_null(strstr(plain, begin));
        }
        assert_string_equal(line, "");
        free(csv);
        free(md);
        free(plain);
    }
    assert_int_equal(rs_table_describe("loss", stdout), RS_EINPUT);
    rs_store_close(store);
}

static void test_output_that_cannot_be_written(void **state) {
    (void)state;
    rs_store *const store = make_database(false);
    FILE *const full = fopen("/dev/full", "w");
    if (!full) skip();
    assert_int_equal(
        rs_table_write(store, &(rs_table_request){.name = "decay", .format = RS_CSV}, full),
        RS_EIO);
    assert_non_null(strstr(rs_message(), "decay table: cannot be written: No space left"));
    fclose(full);
    rs_store_close(store);
}

static void test_formats_by_name(void **state) {
    (void)state;
    rs_table_format found = RS_N_TABLE_FORMAT;
    for (rs_table_format format = RS_TEXT; format < RS_N_TABLE_FORMAT; ++format) {
        assert_ok(rs_table_parse_format(format_name[format], &found));
        assert_int_equal(found, format);
    }
    assert_int_equal(rs_table_parse_format("xml", &found), RS_EINPUT);
    assert_string_equal(rs_message(), "\"xml\" is not one of text, md, csv, latex, json");
    assert_int_equal(rs_table_parse_format("", &found), RS_EINPUT);
}

#define WITH_PATH(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_PATH(test_every_table_in_every_format),
        WITH_PATH(test_order_of_work_does_not_show),
        WITH_PATH(test_reads_from_a_read_only_store),
        WITH_PATH(test_points_without_a_curve),
        WITH_PATH(test_fraction_of_zeros_of_an_early_build),
        WITH_PATH(test_damaged_curve),
        WITH_PATH(test_damaged_spectra),
        WITH_PATH(test_an_empty_database_has_headers),
        WITH_PATH(test_column_names_of_the_contract),
        WITH_PATH(test_numbers_round_trip),
        WITH_PATH(test_decay_is_that_of_the_fit),
        WITH_PATH(test_attempts_of_a_radius),
        WITH_PATH(test_interval_of_the_gain),
        WITH_PATH(test_raw_is_a_row_of_its_own),
        WITH_PATH(test_seeds_ascend),
        WITH_PATH(test_csv_quotes_what_would_end_a_field),
        WITH_PATH(test_a_lost_device_is_a_failure),
        WITH_PATH(test_clip_by_hand),
        WITH_PATH(test_clip_of_norms_that_are_no_doubles),
        WITH_PATH(test_predictions_are_those_of_theory),
        WITH_PATH(test_gates_and_leaks_of_cases),
        WITH_PATH(test_an_imported_network_of_zeros),
        WITH_PATH(test_operations_of_all_gates),
        WITH_PATH(test_critical_radius_by_hand),
        WITH_PATH(test_critical_radius_of_a_partial_sweep),
        WITH_PATH(test_critical_coupling_beside_that_of_theory),
        WITH_PATH(test_rows_that_theory_does_not_know),
        WITH_PATH(test_text_that_is_not_utf8),
        WITH_PATH(test_unknown_table),
        cmocka_unit_test(test_list_of_tables),
        WITH_PATH(test_what_all_rows_share_is_a_heading),
        WITH_PATH(test_text_keeps_to_the_width_of_a_terminal),
        WITH_PATH(test_what_a_narrow_terminal_leaves_out),
        WITH_PATH(test_a_range_keeps_both_ends_or_none),
        WITH_PATH(test_long_texts_are_cut_or_broken),
        WITH_PATH(test_a_long_table_breaks_over_pages),
        WITH_PATH(test_columns_by_name),
        WITH_PATH(test_columns_that_are_none),
        WITH_PATH(test_wide_shows_all_columns),
        WITH_PATH(test_every_column_is_described),
        WITH_PATH(test_output_that_cannot_be_written),
        cmocka_unit_test(test_formats_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
