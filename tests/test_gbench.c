/* The wall to Google Benchmark: what a body is asked for, and what becomes of its failures. */
#include "../bench/gbench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* A body that counts its calls and fails where it is told to. */
typedef struct probe {
    rs_status open_gives, check_gives, run_gives;
    int opened, closed, checked, released;
    int64_t iterations; /* of the latest run */
    int out_of_turn;    /* calls that should not have come then */
} probe;

static int n_open; /* probes, at this moment */

static rs_status give(rs_status status, const char *what) {
    return status == RS_OK ? RS_OK : rs_fail(status, "%s", what);
}

static bool is_open(const probe *p) { return p->opened > p->closed; }

static rs_status open_probe(void *self) {
    probe *p = self;
    p->out_of_turn += is_open(p) || n_open > 0;
    if (p->open_gives == RS_OK) {
        ++p->opened;
        ++n_open;
    }
    return give(p->open_gives, "does not open");
}

static rs_status check_probe(void *self) {
    probe *p = self;
    p->out_of_turn += !is_open(p);
    ++p->checked;
    return give(p->check_gives, "wrong result");
}

static rs_status run_probe(void *self, int64_t n, rs_bench_report *report) {
    probe *p = self;
    p->out_of_turn += !is_open(p) || p->checked == 0;
    p->iterations = n;
    report->seconds = 0.25 * (double)n;
    report->counter[0] = (rs_bench_counter){"widgets_per_s", 3.0, true};
    report->counter[1] = (rs_bench_counter){"size", 42.0, false};
    return give(p->run_gives, "breaks down");
}

static void close_probe(void *self) {
    probe *p = self;
    p->out_of_turn += !is_open(p);
    ++p->closed;
    --n_open;
}

static void release_probe(void *self) {
    probe *p = self;
    p->out_of_turn += is_open(p);
    ++p->released;
}

static probe good, wrong = {.check_gives = RS_EDEVICE}, closed = {.open_gives = RS_EMEMORY},
                   broken = {.run_gives = RS_EIO}, after;
static probe *const all[] = {&good, &wrong, &closed, &broken, &after};
enum { N_PROBES = sizeof all / sizeof *all };

static char const csv[] = "test_gbench.csv";
static rs_status outcome;
static char message[256];

/* Google Benchmark runs once in a process, so all tests look at the same run. */
static int run_all(void **state) {
    (void)state;
    static const rs_bench_body body = {.open = open_probe,
                                       .check = check_probe,
                                       .run = run_probe,
                                       .close = close_probe,
                                       .release = release_probe};
    static const char *const name[N_PROBES] = {"good/H:3", "wrong", "closed", "broken", "after"};
    for (size_t i = 0; i < N_PROBES; ++i)
        if (rs_bench_add(name[i], &body, all[i]) != RS_OK) return -1;

    char program[] = "test_gbench", minimum[] = "--benchmark_min_time=1";
    char repetitions[] = "--benchmark_repetitions=3", format[] = "--benchmark_out_format=csv";
    char out[64];
    snprintf(out, sizeof out, "--benchmark_out=%s", csv);
    char *argv[] = {program, minimum, repetitions, format, out, NULL};
    outcome = rs_bench_run(5, argv);
    snprintf(message, sizeof message, "%s", rs_message());
    rs_bench_clear();
    return 0;
}

static int remove_output(void **state) {
    (void)state;
    return remove(csv);
}

/* The first row of a benchmark; "" where there is none. */
static const char *row_of(const char *name) {
    static char line[1024];
    FILE *const file = fopen(csv, "r");
    assert_non_null(file);
    bool found = false;
    while (!found && fgets(line, sizeof line, file))
        found = line[0] == '"' && strncmp(line + 1, name, strlen(name)) == 0;
    fclose(file);
    return found ? line : "";
}

/* Columns: name, iterations, real_time, cpu_time, time_unit, bytes_per_second, items_per_second,
 * label, error_occurred, error_message, then the counters by name. */
static void time_and_counters_are_shown(void **state) {
    (void)state;
    long iterations;
    double real_time, size, widgets;
    assert_int_equal(sscanf(row_of("good/H:3"),
                            "\"good/H:3/manual_time\",%ld,%lf,%*[^,],us,,,,,,%lf,%lf", &iterations,
                            &real_time, &size, &widgets),
                     4);
    assert_int_equal(iterations, good.iterations);
    assert_true(iterations >= 4);     /* a second's worth */
    assert_true(real_time == 0.25e6); /* microseconds an iteration */
    assert_true(size == 42.0);
    assert_true(widgets == 12.0); /* 3 in a quarter of a second */
}

static void a_body_is_opened_and_checked_once(void **state) {
    (void)state;
    assert_int_equal(good.opened, 1);
    assert_int_equal(good.checked, 1);
    assert_int_equal(after.checked, 1);
}

static void calls_come_in_turn_and_all_is_released(void **state) {
    (void)state;
    for (size_t i = 0; i < N_PROBES; ++i) {
        assert_int_equal(all[i]->out_of_turn, 0);
        assert_int_equal(all[i]->opened, all[i]->closed);
        assert_int_equal(all[i]->released, 1);
    }
}

static void a_wrong_result_is_not_timed(void **state) {
    (void)state;
    assert_true(wrong.iterations == 0);
    assert_non_null(strstr(row_of("wrong"), "true,\"wrong result\""));
}

static void failures_of_open_and_run_are_rows(void **state) {
    (void)state;
    assert_int_equal(closed.opened, 0);
    assert_non_null(strstr(row_of("closed"), "true,\"does not open\""));
    assert_non_null(strstr(row_of("broken"), "true,\"breaks down\""));
}

static void the_others_still_run(void **state) {
    (void)state;
    assert_true(after.iterations >= 4);
    assert_null(strstr(row_of("after"), "true"));
}

static void the_first_failure_is_returned(void **state) {
    (void)state;
    assert_int_equal(outcome, RS_EDEVICE);
    assert_int_not_equal(rs_exit_code(outcome), 0);
    assert_string_equal(message, "benchmarks that failed: 3, the first is wrong: wrong result");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_and_counters_are_shown),
        cmocka_unit_test(a_body_is_opened_and_checked_once),
        cmocka_unit_test(calls_come_in_turn_and_all_is_released),
        cmocka_unit_test(a_wrong_result_is_not_timed),
        cmocka_unit_test(failures_of_open_and_run_are_rows),
        cmocka_unit_test(the_others_still_run),
        cmocka_unit_test(the_first_failure_is_returned),
    };
    return cmocka_run_group_tests(tests, run_all, remove_output);
}
