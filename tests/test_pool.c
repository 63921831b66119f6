/* The CPU engine's threads: every item once, the caller takes part, the others sleep and wake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../kernels/base/clock.h"
#include "../kernels/cpu/pool.h"
#include "../kernels/engine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { MOST_THREADS = 5, MOST_ITEMS = 1000 };

/* Creation of threads fails once so many have been created; the linker puts this in between. */
static int creations_left = -1;
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                          void *arg); // NOLINT(bugprone-reserved-identifier,cert-dcl37-c)
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                          void *arg); // NOLINT(bugprone-reserved-identifier,cert-dcl37-c)
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *),
                          void *arg) {
    if (creations_left == 0) return EAGAIN;
    if (creations_left > 0) --creations_left;
    return __real_pthread_create(thread, how, run, arg);
}

static rs_pool *open_pool(int threads) {
    rs_pool *pool;
    if (rs_pool_open(threads, &pool) != RS_OK) fail_msg("%s", rs_message());
    return pool;
}

static void sleep_ms(long ms) {
    struct timespec const time = {.tv_nsec = ms * 1000000};
    nanosleep(&time, NULL);
}

/* ---- items --------------------------------------------------------------------------------- */

/* Plain numbers on purpose: the pool alone puts their writes in order. */
typedef struct tally {
    unsigned times[MOST_ITEMS]; /* that each item was done */
    unsigned done[MOST_THREADS];
    pthread_t caller;
    int limit;                        /* of threads */
    atomic_bool busy[MOST_THREADS];   /* numbers of threads in use */
    atomic_uint clashes, misnumbered; /* what must not happen */
} tally;

static void count_item(void *arg, size_t item, int thread) {
    tally *t = arg;
    if (thread < 0 || thread >= t->limit ||
        (thread == 0) != (pthread_equal(pthread_self(), t->caller) != 0)) {
        atomic_fetch_add(&t->misnumbered, 1);
        return;
    }
    if (atomic_exchange(&t->busy[thread], true)) atomic_fetch_add(&t->clashes, 1);
    ++t->times[item];
    ++t->done[thread];
    atomic_store(&t->busy[thread], false);
}

static void check_run(rs_pool *pool, int limit, size_t items) {
    tally t = {.caller = pthread_self(), .limit = limit};
    rs_pool_run(pool, limit, items, count_item, &t);
    assert_int_equal(atomic_load(&t.clashes), 0);
    assert_int_equal(atomic_load(&t.misnumbered), 0);
    for (size_t i = 0; i < MOST_ITEMS; ++i) assert_int_equal(t.times[i], i < items);
    size_t done = 0;
    for (int i = 0; i < MOST_THREADS; ++i) done += t.done[i];
    assert_int_equal(done, items);
}

static void every_item_is_done_once(void **state) {
    (void)state;
    static size_t const items[] = {0, 1, 2, 3, 7, 64, MOST_ITEMS};
    for (int threads = 1; threads <= MOST_THREADS; ++threads) {
        rs_pool *pool = open_pool(threads);
        for (int round = 0; round < 200; ++round)
            for (size_t i = 0; i < sizeof items / sizeof *items; ++i)
                check_run(pool, 1 + round % threads, items[i]);
        rs_pool_close(pool);
    }
}

static void runs_may_be_far_apart(void **state) {
    (void)state;
    rs_pool *pool = open_pool(3);
    for (int round = 0; round < 20; ++round) {
        sleep_ms(round % 3);
        check_run(pool, 3, 5);
    }
    rs_pool_close(pool);
}

static void pools_open_and_close(void **state) {
    (void)state;
    rs_pool_close(NULL);
    for (int round = 0; round < 50; ++round) {
        rs_pool *pool = open_pool(1 + round % MOST_THREADS);
        if (round % 2) check_run(pool, MOST_THREADS, 10);
        rs_pool_close(pool);
    }
}

/* ---- threads ------------------------------------------------------------------------------- */

/* Items that can only be done by as many threads at the same time. */
typedef struct meeting {
    unsigned wanted;
    atomic_uint present, missed, open_to_signals;
} meeting;

static void meet(void *arg, size_t item, int thread) {
    (void)item;
    meeting *m = arg;
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    if (thread > 0 && !(sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGTERM)))
        atomic_fetch_add(&m->open_to_signals, 1);
    atomic_fetch_add(&m->present, 1);
    double const start = rs_seconds();
    while (atomic_load(&m->present) < m->wanted)
        if (rs_seconds() - start > 20.0) {
            atomic_fetch_add(&m->missed, 1);
            return;
        }
}

static void all_threads_take_part(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; ++threads) {
        rs_pool *pool = open_pool(threads);
        for (int round = 0; round < 5; ++round) {
            meeting m = {.wanted = (unsigned)threads};
            if (round % 2) sleep_ms(2); /* they sleep by then */
            rs_pool_run(pool, threads, (size_t)threads, meet, &m);
            assert_int_equal(atomic_load(&m.missed), 0);
            assert_int_equal(atomic_load(&m.open_to_signals), 0);
        }
        rs_pool_close(pool);
    }
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    assert_false(sigismember(&blocked, SIGINT)); /* on the caller's thread */
}

/* Takes long enough for every thread that may to take part. */
static void note_thread(void *arg, size_t item, int thread) {
    (void)item;
    atomic_int *highest = arg;
    int seen = atomic_load(highest);
    while (thread > seen && !atomic_compare_exchange_weak(highest, &seen, thread)) {
    }
    sleep_ms(1);
}

static void no_more_threads_than_asked_for_take_part(void **state) {
    (void)state;
    rs_pool *pool = open_pool(MOST_THREADS);
    for (int threads = 1; threads < MOST_THREADS; ++threads) {
        atomic_int highest = 0;
        rs_pool_run(pool, threads, 30, note_thread, &highest);
        assert_true(atomic_load(&highest) < threads);
    }
    rs_pool_close(pool);
}

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void nothing(void *arg, size_t item, int thread) {
    (void)arg;
    (void)item;
    (void)thread;
}

static void waiting_takes_no_processor(void **state) {
    (void)state;
    rs_pool *pool = open_pool(MOST_THREADS);
    rs_pool_run(pool, MOST_THREADS, 100, nothing, NULL);
    double const start = processor_seconds();
    sleep_ms(300);
    assert_true(processor_seconds() - start < 0.1);
    rs_pool_close(pool);
}

static void sleep_long_on_a_worker(void *arg, size_t item, int thread) {
    (void)item;
    (void)arg;
    if (thread > 0) sleep_ms(300);
    if (thread == 0) sleep_ms(1);
}

/* The caller sleeps, too, until the last worker is done. */
static void the_caller_sleeps_where_it_waits(void **state) {
    (void)state;
    rs_pool *pool = open_pool(2);
    double const start = processor_seconds();
    rs_pool_run(pool, 2, 20, sleep_long_on_a_worker, NULL);
    assert_true(processor_seconds() - start < 0.1);
    rs_pool_close(pool);
}

/* ---- failures ------------------------------------------------------------------------------ */

static void missing_threads_are_an_error(void **state) {
    (void)state;
    rs_pool *pool;
    creations_left = 2;
    assert_int_equal(rs_pool_open(5, &pool), RS_EDEVICE);
    creations_left = -1;
    assert_non_null(strstr(rs_message(), "threads: only 3 of 5 could be started"));
    assert_non_null(strstr(rs_message(), "use fewer --threads"));
}

static void the_engine_relays_it(void **state) {
    (void)state;
    rs_shape const shape = {.groups = 1, .radii = 1, .batch = 1, .hidden = 2, .steps = 2};
    rs_resources const resources = {.threads = 2};
    void *handle;
    creations_left = 0;
    assert_int_equal(rs_engine_named("cpu")->open(0, &shape, &resources, &handle), RS_EDEVICE);
    creations_left = -1;
    assert_non_null(strstr(rs_message(), "engine cpu: threads: only 1 of 2"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_done_once),
        cmocka_unit_test(runs_may_be_far_apart),
        cmocka_unit_test(pools_open_and_close),
        cmocka_unit_test(all_threads_take_part),
        cmocka_unit_test(no_more_threads_than_asked_for_take_part),
        cmocka_unit_test(waiting_takes_no_processor),
        cmocka_unit_test(the_caller_sleeps_where_it_waits),
        cmocka_unit_test(missing_threads_are_an_error),
        cmocka_unit_test(the_engine_relays_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
