/* The memory that a sweep takes is the memory that its plan foretold, and stays within --memory.
 * Each sweep runs in a process of its own, whose peak is asked of the system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../host/plan/plan.h"
#include "../host/sweep/pipeline.h"
#include "../host/work/weights.h"
#include "remove_database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/rs_test_memory_XXXXXX";
static char database[sizeof folder + sizeof "/sweep.db"];

static void must(rs_status status) {
    if (status != RS_OK) fail_msg("%s", rs_message());
}

static rs_spec spec_of(const char *settings) {
    rs_spec spec;
    char text[1024];
    snprintf(text, sizeof text, "[sweep]\nquiet = yes\nseeds = 1\noutput = %s\n%s", database,
             settings);
    must(rs_spec_init(&spec));
    must(rs_spec_parse(&spec, text, strlen(text), "test"));
    must(rs_spec_check(&spec));
    return spec;
}

/* Bytes that a process had at its peak that ran this sweep; the fork shares our own few pages. */
static double peak_of(const char *settings) {
    remove_database(database);
    pid_t const child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        rs_spec spec = spec_of(settings);
        rs_sweep_outcome outcome;
        _exit(rs_sweep(&spec, "test", &outcome) == RS_OK ? 0 : 1);
    }
    int status;
    struct rusage usage;
    assert_int_equal(wait4(child, &status, 0, &usage), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 1024.0 * (double)usage.ru_maxrss;
}

/* Engine and driver bytes of the plan's cut for one case of the spec. */
static double planned(const char *settings, uint64_t memory) {
    rs_spec spec = spec_of(settings);
    rs_plan plan;
    rs_cut cut;
    must(rs_plan_make(&spec, NULL, "cpu", &plan));
    rs_case const one = rs_plan_case(&plan, 0);
    rs_shape const whole = rs_case_shape(&one, spec.n_rho);
    rs_resources const resources = {.threads = spec.threads};
    must(rs_plan_cut(rs_engine_named("cpu"), 0, &resources, &whole, true,
                     rs_weights_making_bytes(&one), memory, &cut));
    rs_spec_free(&spec);
    return (double)(cut.engine_bytes + cut.host_bytes + cut.making_bytes);
}

static const char smallest[] = "hidden = 2\nsteps = 2\nbatch = 1\nrho = 1\nthreads = 2\n";

static const char *const large[] = {
    "hidden = 384\nsteps = 300\nbatch = 64\nrho = 0.5,1,1.5,2\nthreads = 2\ninput = noise:1\n",
    "hidden = 96\nsteps = 2000\nbatch = 40\nrho = 0.5:2:0.1\nthreads = 2\nprecision = f64\n",
    "hidden = 8\nsteps = 1000\nbatch = 400\nrho = 0.5:2:0.1\nthreads = 2\ninput = zero\n",
};

static void peak_is_what_was_planned(void **state) {
    (void)state;
    double const program = peak_of(smallest);
    for (size_t i = 0; i < sizeof large / sizeof *large; ++i) {
        double const plan = planned(large[i], UINT64_MAX);
        double const peak = peak_of(large[i]) - program;
        print_message("planned %.1f MiB, taken %.1f MiB\n", plan / 0x1p20, peak / 0x1p20);
        assert_true(plan > 60e6);
        assert_true(peak >= 0.9 * plan && peak <= 1.1 * plan);
    }
}

static void memory_option_holds(void **state) {
    (void)state;
    double const program = peak_of(smallest);
    static const char *const budgets[] = {"64M", "40M"};
    for (size_t i = 0; i < sizeof large / sizeof *large; ++i)
        for (size_t k = 0; k < 2; ++k) {
            char settings[512];
            snprintf(settings, sizeof settings, "%smemory = %s\n", large[i], budgets[k]);
            double const allowed = atof(budgets[k]) * 0x1p20;
            double const peak = peak_of(settings) - program;
            print_message("allowed %.1f MiB, taken %.1f MiB\n", allowed / 0x1p20, peak / 0x1p20);
            assert_true(peak <= 1.1 * allowed);
        }
}

/* Each thread that prepares needs room for powers of a matrix. */
static void memory_option_bounds_preparing_threads(void **state) {
    static const char settings[] =
        "hidden = 761,762,763,764,765,766\nsteps = 10\nbatch = 1\nrho = 1\nthreads = 4\n"
        "memory = 40M\n";
    (void)state;
    double const peak = peak_of(settings) - peak_of(smallest);
    print_message("allowed 40.0 MiB, taken %.1f MiB\n", peak / 0x1p20);
    assert_true(peak <= 1.1 * 40 * 0x1p20);
}

static int start(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(database, sizeof database, "%s/sweep.db", folder);
    return 0;
}

static int finish(void **state) {
    (void)state;
    remove_database(database);
    return rmdir(folder);
}

int main(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: a sanitizer's own memory is not the program's\n");
    return 77;
#else
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peak_is_what_was_planned),
        cmocka_unit_test(memory_option_holds),
        cmocka_unit_test(memory_option_bounds_preparing_threads),
    };
    return cmocka_run_group_tests(tests, start, finish);
#endif
}
