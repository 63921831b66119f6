/* WALL 3: all that the C benchmarks know of Google Benchmark, and all that C++ is needed for.
 *
 * A benchmark is a body with a name. Google Benchmark decides how many iterations make a
 * measurement and asks for them in one call; the body runs them, and says how long they took. */
#ifndef RS_GBENCH_H
#define RS_GBENCH_H

#include "../kernels/base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { RS_BENCH_COUNTERS = 8 };

/* A figure shown beside the time. */
typedef struct rs_bench_counter {
    const char *name; /* NULL ends the list */
    double value;
    bool per_second; /* value is the amount of one iteration, shown as the amount per second */
} rs_bench_counter;

/* What a body says of its iterations. */
typedef struct rs_bench_report {
    double seconds; /* wall time of all n */
    rs_bench_counter counter[RS_BENCH_COUNTERS];
} rs_bench_report;

typedef struct rs_bench_body {
    /* All allocation and one run to warm up; none of it is timed. After a failure nothing is left
     * to close. May be called again after close(). */
    rs_status (*open)(void *self);
    /* Called once, opened, before anything is timed: RS_OK where the result is right. NULL where a
     * test has it covered. */
    rs_status (*check)(void *self);
    /* Runs n iterations; *report is all zeros beforehand. */
    rs_status (*run)(void *self, int64_t n, rs_bench_report *report);
    /* Gives back what open() took. */
    void (*close)(void *self);
    /* Frees self. */
    void (*release)(void *self);
} rs_bench_body;

/* Adds a benchmark. `self` belongs to the list from here on, even where this fails; the body is
 * copied. At most one benchmark is open at any time. */
rs_status rs_bench_add(const char *name, const rs_bench_body *body, void *self);

/* Adds a line to the description of the machine that heads every output. */
rs_status rs_bench_context(const char *key, const char *value);

/* Runs what was added, as the Google Benchmark flags in argv say, and prints the figures. RS_EINPUT
 * for a flag that it does not know or a filter that matches nothing. A benchmark that fails, or
 * whose check does, is a row with the message; the others still run, and the status of the first
 * failure is returned. Once in a process: Google Benchmark 1.7.1 cannot run twice. */
rs_status rs_bench_run(int argc, char **argv);

/* Releases all that was added. */
void rs_bench_clear(void);

#endif
