#include "pipeline.h"

#include "../../kernels/base/clock.h"
#include "../../kernels/base/sizes.h"
#include "../../kernels/host_device.h"
#include "../fit/finding.h"
#include "../plan/plan.h"
#include "../spec/words.h"
#include "../store/provenance.h"
#include "../store/store.h"
#include "../work/blas.h"
#include "../work/launch.h"
#include "../work/worker.h"
#include "interrupt.h"
#include "progress.h"
#include "queue.h"
#include "stored.h"

#include <malloc.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_HELPERS = 32 }; /* OpenBLAS serves a limited number of threads at once */

static uint64_t const small_launches = 32 << 20; /* bytes under way that are always worth it */
static double const commit_after = 0.25;         /* seconds that a transaction may stay open */
static double const look_after = 0.1; /* seconds after which who waits looks for Ctrl-C */
/* Seconds after Ctrl-C until threads that still compute are left behind, and the storing thread. */
static double const grace = 0.8, last_grace = 1.1;

typedef struct thread {
    pthread_t id;
    bool runs;
    rs_status status;   /* once it has ended */
    char message[1024]; /* messages belong to threads */
} thread;

/* What the storing thread alone writes; others read it once it has ended. */
typedef struct storing {
    bool open; /* a transaction */
    double opened;
    size_t done, failed; /* cases in it */
} storing;

typedef struct sweep {
    const rs_spec *spec;
    rs_model model_storage;
    const rs_model *model; /* NULL without one */
    rs_plan plan;
    const rs_engine *engine;
    size_t index; /* of the engine's device */
    rs_device device;
    rs_device host; /* for its threads and memory */
    rs_resources resources;
    uint64_t memory;
    size_t helpers;
    rs_launches launches;
    rs_worker worker;
    rs_radii radii;
    rs_work *work; /* [works] one for every place of the queue */
    size_t works;
    rs_queue queue;
    rs_store *store;
    int64_t run_id;
    char host_name[RS_HOST_NAME];
    rs_origin origin; /* of all points */
    storing storing;
    thread storer, driver, helper[MAX_HELPERS]; /* the driver runs the engine */
    double stopped;                             /* clock when Ctrl-C was noticed, 0 before */
    atomic_bool store_failed;
    rs_finding finding; /* of the storing thread while it runs */
    double *rates;      /* [n_rho] of one case, likewise */
    rs_progress progress;
    double work_before, work_launch; /* of finished launches, and of the one that runs */
    double start;                    /* clock */
    rs_sweep_outcome outcome;
} sweep;

/* ---- preparation: nothing is written here ---------------------------------------------------- */

static rs_status choose_engine(const char *name, const rs_engine **out) {
    if (strcmp(name, "auto") != 0) {
        *out = rs_engine_named(name);
        if (!*out)
            return rs_fail(RS_EINPUT, "engine: %s is not in this build: see `rhosweep devices`",
                           name);
        return RS_OK;
    }
    for (const rs_engine *const *engine = rs_engines(); *engine; ++engine) {
        rs_device device;
        *out = *engine;
        rs_status const status = (*engine)->device(0, &device);
        if (status == RS_OK || status == RS_EINPUT) return status;
    }
    return RS_EDEVICE; /* with the message of the last engine asked */
}

static rs_status read_model(sweep *s) {
    if (!s->spec->model) return RS_OK;
    RS_TRY(rs_model_read(s->spec->model, &s->model_storage));
    s->model = &s->model_storage;
    if (s->model->unused && !s->spec->quiet)
        rs_progress_say(&s->progress, "rhosweep: model: not used: %s", s->model->unused);
    return RS_OK;
}

static rs_status choose_helpers(sweep *s) {
    const char *const text = getenv("RHOSWEEP_HELPERS");
    int const threads = s->spec->threads ? s->spec->threads : s->host.threads;
    uint64_t number = threads < MAX_HELPERS ? (uint64_t)threads : MAX_HELPERS;
    if (text) RS_TRY(rs_fail_in(rs_parse_whole(text, 1, MAX_HELPERS, &number), "RHOSWEEP_HELPERS"));
    s->helpers = (size_t)number;
    return RS_OK;
}

static bool on_tick(void *arg, double fraction);

static void describe_worker(sweep *s) {
    s->worker.model = s->model;
    s->worker.radii = &s->radii;
    s->worker.engine = s->engine;
    s->worker.on_host = s->device.on_host;
    s->worker.tick = on_tick;
    s->worker.tick_arg = s;
}

/* Room for the launches under way: two for every helper, and for the engine, the store, and what
 * waits for them. */
static rs_status make_works(sweep *s) {
    s->works = 2 * s->helpers + 4;
    if (s->works > s->plan.n) s->works = s->plan.n;
    s->work = calloc(s->works, sizeof *s->work);
    s->rates = calloc(s->spec->n_rho, sizeof *s->rates);
    if (!s->work || !s->rates)
        return rs_fail(RS_EMEMORY, "sweep: no memory for %zu launches", s->works);
    for (size_t i = 0; i < s->works; ++i) RS_TRY(rs_work_make(&s->launches, &s->work[i]));
    return rs_finding_make(s->spec, &s->finding);
}

/* All that can be found wrong before a byte is written. */
static rs_status prepare(sweep *s) {
    RS_TRY(rs_blas_begin());
    rs_blas_end();
    RS_TRY(s->engine->device(s->index, &s->device));
    RS_TRY(rs_store_probe(s->spec->output));
    RS_TRY(read_model(s));
    RS_TRY(rs_plan_make(s->spec, s->model, s->device.identity, &s->plan));
    rs_host_device(&s->host);
    RS_TRY(choose_helpers(s));
    s->resources.threads = s->spec->threads ? s->spec->threads : s->device.threads;
    s->memory = s->spec->memory ? s->spec->memory : s->device.free_bytes / 4 * 3;
    RS_TRY(rs_launches_make(s->engine, s->index, &s->device, &s->resources, s->memory, s->spec,
                            &s->plan, &s->launches));
    RS_TRY(rs_radii_make(&s->radii));
    describe_worker(s);
    RS_TRY(rs_worker_make(&s->worker, &s->launches));
    RS_TRY(make_works(s));
    /* A model is the user's input: what is wrong with it is found here, not in every case. */
    if (!s->model) return RS_OK;
    rs_case const first = rs_plan_case(&s->plan, 0);
    return rs_worker_check_model(&s->worker, &first);
}

static rs_status open_engine(sweep *s) {
    return s->engine->open(s->index, &s->launches.largest, &s->resources, &s->worker.engine_state);
}

static rs_status read_radii(sweep *s) {
    for (size_t i = 0; i < s->plan.n_hidden; ++i)
        if (s->plan.hidden[i] >= RS_RADII_FROM)
            RS_TRY(rs_store_read_radii(s->store, s->run_id, s->plan.hidden[i], &s->radii));
    return RS_OK;
}

static rs_status open_store(sweep *s, const char *command_line) {
    rs_provenance_text text;
    rs_provenance provenance;
    rs_status status = rs_provenance_make(s->spec, s->engine, &s->device, s->memory, command_line,
                                          &text, &provenance);
    rs_host_name(s->host_name);
    s->origin = (rs_origin){.host = s->host_name,
                            .device = s->device.name,
                            .device_index = s->index,
                            .threads = s->resources.threads};
    provenance.first = s->origin;
    provenance.workers = 1;
    if (status == RS_OK) status = rs_store_open(s->spec->output, &s->store);
    if (status == RS_OK && s->model && !s->model->h0)
        status = rs_store_confirm_zero_start(s->store, s->model->digest);
    if (status == RS_OK) status = rs_store_begin_run(s->store, &provenance, &s->run_id);
    rs_provenance_free(&text);
    RS_TRY(status);
    return read_radii(s);
}

/* ---- what is left to do ---------------------------------------------------------------------- */

static rs_status find_work(sweep *s) {
    double total = 0.0;
    size_t points = 0;
    RS_TRY(rs_stored_read(&(rs_stored){.store = s->store,
                                       .run_id = s->run_id,
                                       .spec = s->spec,
                                       .plan = &s->plan,
                                       .launches = &s->launches,
                                       .finding = &s->finding,
                                       .rates = s->rates}));
    for (size_t i = 0; i < s->plan.n; ++i) {
        rs_case const one = rs_plan_case(&s->plan, i);
        size_t const missing = rs_launches_missing(&s->launches, i);
        if (missing == 0) ++s->outcome.skipped;
        points += missing;
        total += rs_launch_work(&one, missing);
    }
    rs_progress_start(&s->progress, s->spec->quiet, points, total);
    return RS_OK;
}

/* ---- helpers --------------------------------------------------------------------------------- */

static rs_queue_load fill_place(void *arg, size_t place) {
    sweep *s = arg;
    rs_work *work = &s->work[place];
    if (!rs_launches_next(&s->launches, &work->launch)) return (rs_queue_load){0};
    rs_work_begin(&s->worker, work);
    return (rs_queue_load){.bytes = work->launch.host_bytes,
                           .making = work->launch.cut->making_bytes};
}

/* Keeps the outcome of a thread for the one that joins it. */
static void *end(thread *t, rs_status status) {
    t->status = status;
    snprintf(t->message, sizeof t->message, "%s", status == RS_OK ? "" : rs_message());
    return NULL;
}

static void *help(void *arg) {
    sweep *s = arg;
    unsigned const stages = 1u << RS_STAGE_PREPARE | 1u << RS_STAGE_FINISH;
    rs_ticket ticket;
    while (rs_queue_take(&s->queue, stages, INFINITY, &ticket) == RS_TAKEN) {
        rs_work *work = &s->work[ticket.place];
        if (ticket.stage == RS_STAGE_PREPARE)
            rs_work_prepare(&s->worker, work);
        else
            rs_work_finish(work);
        rs_queue_pass(&s->queue, ticket);
    }
    return NULL;
}

/* ---- the storing thread ---------------------------------------------------------------------- */

static rs_status begin(sweep *s) {
    if (s->storing.open) return RS_OK;
    RS_TRY(rs_store_begin(s->store));
    s->storing.open = true;
    s->storing.opened = rs_seconds();
    return RS_OK;
}

/* What has been found since the last time. */
static rs_status store_radii(sweep *s) {
    size_t n;
    rs_kept_radius *found = rs_radii_take_found(&s->radii, &n);
    rs_status const status = rs_store_add_radii(s->store, s->run_id, found, n);
    free(found);
    return status;
}

static rs_status commit(sweep *s) {
    if (!s->storing.open) return RS_OK;
    s->storing.open = false;
    RS_TRY(rs_store_end(s->store, store_radii(s)));
    s->outcome.done += s->storing.done;
    s->outcome.failed += s->storing.failed;
    s->storing.done = s->storing.failed = 0;
    return RS_OK;
}

/* The points of a launch are some of the spec's radii, in their order. */
static rs_status add_rates(sweep *s, const rs_launch *launch, const rs_task *task) {
    size_t next = 0;
    if (s->spec->quiet || task->status != RS_OK) return RS_OK;
    for (size_t r = 0; r < s->spec->n_rho; ++r) {
        bool const computed =
            next < launch->radii && (s->spec->native || launch->rho[next] == s->spec->rho[r]);
        s->rates[r] = computed ? task->point[next++].decay_rate : NAN;
    }
    return rs_finding_add(&s->finding, task->one, s->rates);
}

static rs_status store_task(sweep *s, const rs_launch *launch, const rs_task *task) {
    bool const done = task->status == RS_OK;
    rs_case_result const result = {
        .one = task->one,
        .status = task->status,
        .reason = done           ? NULL
                  : task->reason ? task->reason
                                 : "out of memory",
        .point = done ? task->point : NULL,
        .n = done ? launch->radii : 0,
        .origin = &s->origin,
        .clip = s->spec->clip,
        .forward_seconds = task->forward_seconds,
        .backward_seconds = task->backward_seconds,
        .transfer_seconds = task->transfer_seconds,
    };
    RS_TRY(begin(s));
    rs_status const status = rs_store_add(s->store, s->run_id, &result);
    if (status != RS_OK) return rs_store_end(s->store, status);
    if (done)
        ++s->storing.done;
    else
        ++s->storing.failed;
    RS_TRY(add_rates(s, launch, task));
    return rs_seconds() - s->storing.opened > commit_after ? commit(s) : RS_OK;
}

/* Those of the states go with them. */
static void drop_curves(const rs_work *work) {
    for (size_t g = 0; g < work->launch.groups; ++g)
        for (size_t r = 0; work->task[g].status == RS_OK && r < work->launch.radii; ++r)
            work->task[g].point[r].profile = (rs_log_profile){0};
}

static rs_status store_work(sweep *s, rs_work *work) {
    if (!s->spec->profiles) drop_curves(work);
    for (size_t g = 0; g < work->launch.groups; ++g) {
        const rs_task *task = &work->task[g];
        if (task->status != RS_EINTERRUPTED) RS_TRY(store_task(s, &work->launch, task));
    }
    rs_work_clear(work);
    return RS_OK;
}

/* Commits before it waits, so that others can write and results are safe. */
static rs_status store_all(sweep *s) {
    unsigned const stage = 1u << RS_STAGE_STORE;
    rs_taken taken;
    do {
        rs_ticket ticket;
        while ((taken = rs_queue_take(&s->queue, stage, 0.0, &ticket)) == RS_TAKEN) {
            RS_TRY(store_work(s, &s->work[ticket.place]));
            rs_queue_pass(&s->queue, ticket);
        }
        RS_TRY(commit(s));
        if (taken == RS_TAKEN_LATER) {
            taken = rs_queue_take(&s->queue, stage, INFINITY, &ticket);
            if (taken != RS_TAKEN) continue;
            RS_TRY(store_work(s, &s->work[ticket.place]));
            rs_queue_pass(&s->queue, ticket);
        }
    } while (taken == RS_TAKEN);
    return RS_OK;
}

static void *keep(void *arg) {
    sweep *s = arg;
    rs_status const status = store_all(s);
    if (status != RS_OK) {
        atomic_store(&s->store_failed, true); /* ends the launch that runs */
        rs_queue_close(&s->queue);
    }
    return end(&s->storer, status);
}

/* ---- the engine's thread --------------------------------------------------------------------- */

static bool on_tick(void *arg, double fraction) {
    sweep *s = arg;
    rs_progress_update(&s->progress, s->work_before + fraction * s->work_launch);
    return !rs_interrupted() && !atomic_load(&s->store_failed);
}

static void say_failures(sweep *s, const rs_work *work) {
    for (size_t g = 0; g < work->launch.groups; ++g) {
        const rs_task *task = &work->task[g];
        if (task->status != RS_OK && task->status != RS_EINTERRUPTED)
            rs_progress_say(&s->progress, "rhosweep: a case failed: %s",
                            task->reason ? task->reason : "out of memory");
    }
}

static rs_status run_launch(sweep *s, rs_work *work) {
    const rs_launch *launch = &work->launch;
    s->work_launch = (double)launch->groups * rs_launch_work(&launch->one[0], launch->radii);
    rs_status const status = rs_work_run(&s->worker, work);
    say_failures(s, work);
    RS_TRY(status);
    s->work_before += s->work_launch;
    rs_progress_points(&s->progress, launch->groups * launch->radii, s->work_before);
    return RS_OK;
}

static rs_status run_launches(sweep *s) {
    for (;;) {
        rs_ticket ticket;
        rs_taken const taken = rs_queue_take(&s->queue, 1u << RS_STAGE_RUN, look_after, &ticket);
        if (taken == RS_TAKEN_NEVER) return RS_OK;
        rs_status status = RS_OK;
        if (rs_interrupted()) status = rs_fail(RS_EINTERRUPTED, "interrupted");
        if (taken == RS_TAKEN) {
            rs_work *work = &s->work[ticket.place];
            if (status == RS_OK)
                status = run_launch(s, work);
            else
                rs_work_clear(work); /* nothing of it is to be stored */
            rs_queue_pass(&s->queue, ticket);
        } else
            rs_progress_update(&s->progress, s->work_before);
        RS_TRY(status);
    }
}

static void *drive(void *arg) {
    sweep *s = arg;
    rs_status const status = run_launches(s);
    rs_queue_close(&s->queue);
    return end(&s->driver, status);
}

/* ---- the sweep: the caller's thread ---------------------------------------------------------- */

static bool begins(sweep *s, thread *t, void *(*body)(void *)) {
    t->runs = pthread_create(&t->id, NULL, body, s) == 0;
    return t->runs;
}

static rs_status start(sweep *s) {
    size_t helpers = 0;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the other threads */
    bool started = begins(s, &s->storer, keep);
    while (helpers < s->helpers && begins(s, &s->helper[helpers], help)) ++helpers;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    started = started && helpers > 0 && begins(s, &s->driver, drive);
    return started ? RS_OK : rs_fail(RS_EMEMORY, "sweep: cannot start a thread");
}

/* Whether Ctrl-C came so many seconds ago. */
static bool is_late(sweep *s, double seconds) {
    if (!rs_interrupted()) return false;
    if (s->stopped == 0.0) s->stopped = rs_seconds();
    return rs_seconds() - s->stopped >= seconds;
}

static bool ends_within(thread *t, double seconds) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(1e9 * seconds);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return pthread_timedjoin_np(t->id, NULL, &until) == 0;
}

/* Waits for a thread to end, after Ctrl-C so many seconds at most; whether it has. */
static bool wait_for(sweep *s, thread *t, double seconds) {
    bool late = false;
    while (t->runs && !late) {
        late = is_late(s, seconds);
        t->runs = !ends_within(t, late ? 0.0 : look_after);
    }
    return !t->runs;
}

/* A matrix of 4096 rows takes LAPACK a minute, and a piece of the engine may be as long: the sweep
 * does not wait for them. False where threads are left behind, which use what `s` holds. */
static bool end_threads(sweep *s) {
    bool all = wait_for(s, &s->driver, grace);
    rs_queue_close(&s->queue);
    for (size_t i = 0; i < s->helpers; ++i) all &= wait_for(s, &s->helper[i], grace);
    if (!all) rs_queue_abandon(&s->queue);
    return wait_for(s, &s->storer, last_grace) && all;
}

/* Bytes that launches under way may hold: what keeps all threads busy, within the budget. */
static uint64_t room_under_way(const sweep *s) {
    uint64_t const engine = s->launches.most_engine_bytes;
    uint64_t const budget = !s->device.on_host   ? s->host.free_bytes / 2
                            : s->memory > engine ? s->memory - engine
                                                 : 0;
    uint64_t const making = rs_size_mul(s->helpers, s->launches.most_making_bytes);
    uint64_t const wanted =
        rs_size_add(making, rs_size_mul(s->helpers + 2, s->launches.most_host_bytes));
    uint64_t const enough = wanted > small_launches ? wanted : small_launches;
    return enough < budget ? enough : budget;
}

/* The thread's failure as one of the caller's. */
static rs_status relay(const thread *t) {
    return t->status == RS_OK ? RS_OK : rs_fail(t->status, "%s", t->message);
}

static rs_status run_all(sweep *s) {
    RS_TRY(rs_queue_make(&s->queue, s->works, room_under_way(s), fill_place, s));
    rs_status const status = start(s);
    if (status != RS_OK) rs_queue_close(&s->queue);
    s->outcome.abandoned = !end_threads(s);
    RS_TRY(status);
    if (!s->storer.runs) RS_TRY(relay(&s->storer));
    if (s->outcome.abandoned) return rs_fail(RS_EINTERRUPTED, "interrupted");
    return relay(&s->driver);
}

/* Of the engine, unless it still counts. */
static double engine_seconds(const sweep *s) {
    return s->driver.runs ? NAN : s->worker.engine_seconds;
}

static rs_status finish_run(sweep *s, const char *outcome) {
    return rs_store_finish_run(s->store, s->run_id, outcome, engine_seconds(s),
                               rs_seconds() - s->start);
}

/* As the user has no time to wait for who else may write, the run may stay unmarked. */
static rs_status interrupt_run(sweep *s) {
    const rs_sweep_outcome *o = &s->outcome;
    if (s->storer.runs)
        return rs_fail(RS_EINTERRUPTED,
                       "interrupted: %s was not ready for the last cases: the same command "
                       "finishes the rest",
                       s->spec->output);
    rs_store_hurry(s->store);
    (void)finish_run(s, "interrupted");
    return rs_fail(RS_EINTERRUPTED,
                   "interrupted: %zu of %zu cases are stored in %s: the same command finishes "
                   "the rest",
                   o->done + o->skipped, o->cases, s->spec->output);
}

/* Closes the run in the database and says how things stand. */
static rs_status conclude(sweep *s, rs_status status) {
    rs_progress_end(&s->progress);
    const rs_sweep_outcome *o = &s->outcome;
    if (status == RS_EINTERRUPTED) return interrupt_run(s);
    RS_TRY(status);
    RS_TRY(finish_run(s, o->failed ? "some cases failed" : "done"));
    if (o->failed)
        return rs_fail(RS_EDEVICE,
                       "sweep: %zu of %zu cases failed: `rhosweep table failures %s` says why, the "
                       "same command tries them again",
                       o->failed, o->cases, s->spec->output);
    return RS_OK;
}

/* Text for the user; none where there is no memory for it. */
static void write_finding(sweep *s) {
    size_t length = 0;
    FILE *out = open_memstream(&s->outcome.finding, &length);
    if (!out) return;
    rs_finding_print(&s->finding, out);
    fclose(out);
}

/* glibc would keep what a thread has freed for that thread, and ever larger blocks of it: then what
 * all threads keep is beyond what the queue counts. Large blocks go back to the system. */
static void return_freed_memory(void) {
    enum { LARGE = 4 << 20 };
    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, 2 * LARGE);
}

static rs_status execute(sweep *s, const char *command_line) {
    return_freed_memory();
    RS_TRY(prepare(s));
    s->outcome.cases = s->plan.n;
    RS_TRY(open_engine(s));
    RS_TRY(open_store(s, command_line));
    rs_interrupt_watch();
    rs_status status = find_work(s);
    if (status == RS_OK) status = run_all(s);
    RS_TRY(conclude(s, status));
    if (!s->spec->quiet) write_finding(s);
    return RS_OK;
}

static void release(sweep *s) {
    if (!s->storer.runs) rs_store_close(s->store);
    if (s->outcome.abandoned) return; /* the rest is in use */
    if (s->worker.engine_state) s->engine->close(s->worker.engine_state);
    rs_queue_free(&s->queue);
    for (size_t i = 0; s->work && i < s->works; ++i) rs_work_free(&s->work[i]);
    free(s->work);
    free(s->rates);
    rs_finding_free(&s->finding);
    rs_worker_free(&s->worker);
    rs_radii_free(&s->radii);
    rs_launches_free(&s->launches);
    if (s->model) rs_model_free(&s->model_storage);
    free(s);
}

rs_status rs_sweep_on(const rs_engine *engine, const rs_spec *spec, const char *command_line,
                      rs_sweep_outcome *outcome) {
    double const start = rs_seconds();
    sweep *s = calloc(1, sizeof *s);
    *outcome = (rs_sweep_outcome){0};
    if (!s) return rs_fail(RS_EMEMORY, "sweep: out of memory");
    *s = (sweep){.spec = spec, .engine = engine, .start = start};
    rs_status const status = execute(s, command_line);
    *outcome = s->outcome;
    outcome->engine_seconds = engine_seconds(s);
    outcome->transfer_seconds = s->driver.runs ? NAN : s->worker.transfer_seconds;
    release(s);
    outcome->seconds = rs_seconds() - start;
    return status;
}

rs_status rs_sweep(const rs_spec *spec, const char *command_line, rs_sweep_outcome *outcome) {
    const rs_engine *engine;
    *outcome = (rs_sweep_outcome){0};
    RS_TRY(choose_engine(spec->engine, &engine));
    return rs_sweep_on(engine, spec, command_line, outcome);
}
