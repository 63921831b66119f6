#include "pool.h"

#include "../base/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* How long a thread waits awake: longer than the gap between two launches of small networks, too
 * short to slow down anything else. */
static double const AWAKE_SECONDS = 20e-6;

/* One call of rs_pool_run(). */
typedef struct pool_run {
    rs_pool_work work;
    void *arg;
    size_t items;
    int threads; /* most that may take part */
    int joined;  /* threads so far, the caller included */
    /* Item to be taken up; on a cache line of its own, for all threads write to it. */
    _Alignas(64) atomic_size_t next;
} pool_run;

/* A worker joins a run while it is open and leaves it when no item is left. The caller closes the
 * run when it finds no item itself, and waits for those inside alone. */
struct rs_pool {
    pthread_mutex_t lock;
    pthread_cond_t opened; /* a run, or the end of the pool */
    pthread_cond_t left;   /* the last worker, a closed run */
    pthread_t *worker;
    int workers;
    /* What follows is written under the lock. */
    pool_run *run; /* the open one, or NULL */
    int sleeping;  /* workers that wait for `opened` */
    bool ending;
    atomic_uint openings; /* of runs, and one more for the end; read without the lock */
    atomic_int inside;    /* workers in the run; read without the lock */
};

/* ---- waiting ------------------------------------------------------------------------------- */

static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* True while a thread that began to wait at `start` may stay awake. */
static bool stay_awake(double start) {
    for (int i = 0; i < 4; ++i) pause_briefly();
    return rs_seconds() - start < AWAKE_SECONDS;
}

/* Waits with the lock held, and given up meanwhile, for an opening after number `seen`. */
static void await_opening(rs_pool *pool, unsigned seen) {
    pthread_mutex_unlock(&pool->lock);
    double const start = rs_seconds();
    while (atomic_load(&pool->openings) == seen && stay_awake(start)) {
    }
    pthread_mutex_lock(&pool->lock);
    ++pool->sleeping;
    while (atomic_load(&pool->openings) == seen) pthread_cond_wait(&pool->opened, &pool->lock);
    --pool->sleeping;
}

/* The same for the last worker to leave. */
static void await_leaving(rs_pool *pool) {
    pthread_mutex_unlock(&pool->lock);
    double const start = rs_seconds();
    while (atomic_load(&pool->inside) > 0 && stay_awake(start)) {
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->inside) > 0) pthread_cond_wait(&pool->left, &pool->lock);
}

/* ---- running ------------------------------------------------------------------------------- */

static void take_items(pool_run *run, int thread) {
    size_t item;
    while ((item = atomic_fetch_add(&run->next, 1)) < run->items) run->work(run->arg, item, thread);
}

/* Takes part in the open run, if there is one with room. The lock is held, and given up meanwhile.
 */
static void join_run(rs_pool *pool) {
    pool_run *run = pool->run;
    if (!run || run->joined == run->threads) return;
    int const thread = run->joined++;
    atomic_fetch_add(&pool->inside, 1);
    pthread_mutex_unlock(&pool->lock);
    take_items(run, thread);
    pthread_mutex_lock(&pool->lock);
    if (atomic_fetch_sub(&pool->inside, 1) == 1 && !pool->run) pthread_cond_signal(&pool->left);
}

static void *be_worker(void *arg) {
    rs_pool *pool = arg;
    unsigned seen = 0;
    pthread_mutex_lock(&pool->lock);
    while (!pool->ending) {
        if (atomic_load(&pool->openings) == seen) await_opening(pool, seen);
        seen = atomic_load(&pool->openings);
        join_run(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void open_run(rs_pool *pool, pool_run *run) {
    pthread_mutex_lock(&pool->lock);
    pool->run = run;
    atomic_fetch_add(&pool->openings, 1);
    int const wanted = run->threads - 1;
    int const woken = pool->sleeping < wanted ? pool->sleeping : wanted;
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < woken; ++i) pthread_cond_signal(&pool->opened);
}

static void close_run(rs_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->run = NULL;
    if (atomic_load(&pool->inside) > 0) await_leaving(pool);
    pthread_mutex_unlock(&pool->lock);
}

void rs_pool_run(rs_pool *pool, int threads, size_t items, rs_pool_work work, void *arg) {
    pool_run run = {.work = work, .arg = arg, .items = items, .threads = threads, .joined = 1};
    bool const shared = pool->workers > 0 && threads > 1 && items > 1;
    if (shared) open_run(pool, &run);
    take_items(&run, 0);
    if (shared) close_run(pool);
}

/* ---- beginning and end --------------------------------------------------------------------- */

void rs_pool_close(rs_pool *pool) {
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    atomic_fetch_add(&pool->openings, 1);
    pthread_cond_broadcast(&pool->opened);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->workers; ++i) pthread_join(pool->worker[i], NULL);
    pthread_cond_destroy(&pool->left);
    pthread_cond_destroy(&pool->opened);
    pthread_mutex_destroy(&pool->lock);
    free(pool->worker);
    free(pool);
}

/* Workers inherit the mask of the thread that starts them. Returns an error number, or 0. */
static int start_workers(rs_pool *pool, int wanted) {
    sigset_t all, before;
    int error = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (error == 0 && pool->workers < wanted) {
        error = pthread_create(&pool->worker[pool->workers], NULL, be_worker, pool);
        if (error == 0) ++pool->workers;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

rs_status rs_pool_open(int threads, rs_pool **out) {
    rs_pool *const pool = calloc(1, sizeof *pool);
    pthread_t *const worker = calloc((size_t)threads, sizeof *worker);
    if (!pool || !worker) {
        free(pool);
        free(worker);
        return rs_fail(RS_EMEMORY, "threads: no memory for %d", threads);
    }
    pool->worker = worker;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->opened, NULL);
    pthread_cond_init(&pool->left, NULL);
    int const error = start_workers(pool, threads - 1);
    if (error == 0) {
        *out = pool;
        return RS_OK;
    }
    int const started = pool->workers + 1;
    rs_pool_close(pool);
    return rs_fail(RS_EDEVICE, "threads: only %d of %d could be started: %s: use fewer --threads",
                   started, threads, strerror(error));
}
