#include "crew.h"

#include "../../kernels/base/blas.h"
#include "../../kernels/base/sizes.h"
#include "../../kernels/host_device.h"
#include "../spec/words.h"
#include "interrupt.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t const small_launches = 32 << 20; /* bytes under way that are always worth it */
static double const look_after = 0.1; /* seconds after which who waits looks for Ctrl-C */
enum { MAX_DEVICES = 1024 };

/* ---- making: nothing is written here --------------------------------------------------------- */

static rs_status read_model(rs_crew *crew) {
    if (!crew->spec->model) return RS_OK;
    RS_TRY(rs_model_read(crew->spec->model, &crew->model_storage));
    crew->model = &crew->model_storage;
    if (crew->model->unused && !crew->spec->quiet && crew->place.rank == 0)
        rs_progress_say(&crew->progress, "rhosweep: model: arrays not used: %s",
                        crew->model->unused);
    return RS_OK;
}

static rs_status choose_helpers(rs_crew *crew) {
    const char *const text = getenv("RHOSWEEP_HELPERS");
    int const threads = crew->spec->threads ? crew->spec->threads : crew->host.threads;
    uint64_t number = threads < RS_MAX_HELPERS ? (uint64_t)threads : RS_MAX_HELPERS;
    if (text)
        RS_TRY(rs_fail_in(rs_parse_whole(text, 1, RS_MAX_HELPERS, &number), "RHOSWEEP_HELPERS"));
    crew->helpers = (size_t)number;
    return RS_OK;
}

static size_t count_devices(const rs_engine *engine) {
    rs_device device;
    size_t n = 0;
    while (n < MAX_DEVICES && engine->device(n, &device) == RS_OK) ++n;
    return n;
}

/* The device must exist: its own message says why it does not, or how many there are. */
static rs_status describe_device(const rs_crew *crew, size_t index, rs_hand *hand) {
    rs_status const status = crew->engine->device(index, &hand->device);
    size_t const n = status == RS_OK ? 0 : count_devices(crew->engine);
    if (n > 0)
        return rs_fail(RS_EINPUT,
                       "devices: %zu: %s has %zu device%s, numbered from 0; see "
                       "`rhosweep devices`",
                       index, crew->engine->name, n, n == 1 ? "" : "s");
    hand->index = index;
    return status;
}

static size_t ranks_here(const rs_crew *crew) {
    return crew->place.locals > 1 ? (size_t)crew->place.locals : 1;
}

/* Processors are shared with the ranks that may use the same ones. */
static int share_of_threads(const rs_crew *crew, int threads) {
    int const sharing = crew->place.sharing > 1 ? crew->place.sharing : 1;
    return threads > sharing ? threads / sharing : 1;
}

/* Of devices whose memory is the host's, each has a share of it. */
static uint64_t memory_of(const rs_crew *crew, const rs_device *device) {
    uint64_t const memory = crew->spec->memory ? crew->spec->memory : device->free_bytes / 4 * 3;
    return memory / (device->on_host ? crew->hands * ranks_here(crew) : crew->mates);
}

static int threads_of(const rs_crew *crew, const rs_device *device) {
    if (crew->spec->threads) return crew->spec->threads;
    return device->on_host ? share_of_threads(crew, device->threads) : device->threads;
}

/* Numbers among the chosen devices of those that are this rank's. */
static void share_devices(rs_crew *crew, size_t all, size_t *first, size_t *step) {
    rs_ranks_share(all, crew->place.local, crew->place.locals, first, step);
    crew->hands = (all - *first + *step - 1) / *step;
    crew->mates = (ranks_here(crew) + all - 1) / all;
}

static rs_status take_devices(rs_crew *crew) {
    const rs_spec *spec = crew->spec;
    size_t const there = count_devices(crew->engine);
    size_t first, step;
    share_devices(crew, spec->n_devices ? spec->n_devices : there > 0 ? there : 1, &first, &step);
    crew->hand = calloc(crew->hands, sizeof *crew->hand);
    if (!crew->hand) return rs_fail(RS_EMEMORY, "sweep: no memory for %zu devices", crew->hands);
    for (size_t i = 0; i < crew->hands; ++i) {
        rs_hand *const hand = &crew->hand[i];
        size_t const at = first + i * step;
        RS_TRY(describe_device(crew, spec->n_devices ? (size_t)spec->devices[at] : at, hand));
        hand->crew = crew;
        hand->resources.threads = threads_of(crew, &hand->device);
        hand->memory = memory_of(crew, &hand->device);
        hand->origin = (rs_origin){.host = crew->host_name,
                                   .rank = crew->place.rank,
                                   .device = hand->device.name,
                                   .device_index = hand->index,
                                   .threads = hand->resources.threads};
    }
    return RS_OK;
}

/* Launches are cut for the device with the least memory. */
static const rs_hand *narrowest(const rs_crew *crew) {
    const rs_hand *found = crew->hand;
    for (size_t i = 1; i < crew->hands; ++i)
        if (crew->hand[i].memory < found->memory) found = &crew->hand[i];
    return found;
}

static rs_status check_same_results(const rs_crew *crew) {
    for (size_t i = 1; i < crew->hands; ++i)
        if (strcmp(crew->hand[i].device.identity, crew->hand->device.identity) != 0)
            return rs_fail(RS_EINPUT,
                           "devices: results of device %zu and of device %zu differ in their last "
                           "bits: give one of them with --devices",
                           crew->hand->index, crew->hand[i].index);
    return RS_OK;
}

static rs_status check_memory(const rs_crew *crew) {
    for (size_t i = 0; i < crew->hands; ++i) {
        const rs_hand *hand = &crew->hand[i];
        uint64_t needed;
        RS_TRY(
            crew->engine->bytes(hand->index, &crew->launches.largest, &hand->resources, &needed));
        if (needed > hand->memory)
            return rs_fail(RS_EINPUT,
                           "devices: device %zu has too little memory for launches that fit the "
                           "others: lower --memory, or leave it out of --devices",
                           hand->index);
    }
    return RS_OK;
}

static rs_status plan_launches(rs_crew *crew) {
    const rs_hand *hand = narrowest(crew);
    RS_TRY(rs_launches_make(crew->engine, hand->index, &hand->device, &hand->resources,
                            hand->memory, crew->spec, &crew->plan, &crew->launches));
    return check_memory(crew);
}

/* Room for the launches under way: two for every helper and every hand, and for the store, and what
 * waits for them. */
static rs_status make_works(rs_crew *crew) {
    crew->works = 2 * crew->helpers + 2 * crew->hands + 2;
    if (crew->works > crew->plan.n) crew->works = crew->plan.n;
    crew->works += crew->guests;
    crew->work = calloc(crew->works, sizeof *crew->work);
    crew->origin = calloc(crew->works, sizeof(rs_origin *));
    crew->given_back = calloc(crew->works, sizeof(rs_hand *));
    if (!crew->work || !crew->origin || !crew->given_back)
        return rs_fail(RS_EMEMORY, "sweep: no memory for %zu launches", crew->works);
    for (size_t i = 0; i < crew->works; ++i) RS_TRY(rs_work_make(&crew->launches, &crew->work[i]));
    return RS_OK;
}

static bool on_tick(void *arg, double fraction);

static rs_status make_workers(rs_crew *crew) {
    crew->source = (rs_weight_source){.model = crew->model, .radii = &crew->radii};
    RS_TRY(rs_weight_source_make(&crew->source, &crew->launches));
    for (size_t i = 0; i < crew->hands; ++i) {
        rs_hand *const hand = &crew->hand[i];
        hand->worker = (rs_worker){.source = &crew->source,
                                   .engine = crew->engine,
                                   .on_host = hand->device.on_host,
                                   .tick = on_tick,
                                   .tick_arg = hand};
        RS_TRY(rs_worker_make(&hand->worker, &crew->launches));
    }
    return RS_OK;
}

rs_status rs_crew_make(const rs_engine *engine, const rs_spec *spec, rs_crew *crew) {
    crew->engine = engine;
    crew->spec = spec;
    pthread_mutex_init(&crew->lock, NULL);
    RS_TRY(rs_blas_begin());
    rs_blas_end();
    rs_host_name(crew->host_name);
    rs_host_device(&crew->host);
    crew->host.threads = share_of_threads(crew, crew->host.threads);
    RS_TRY(take_devices(crew));
    RS_TRY(check_same_results(crew));
    RS_TRY(read_model(crew));
    RS_TRY(rs_plan_make(spec, crew->model, crew->hand->device.identity, &crew->plan));
    RS_TRY(choose_helpers(crew));
    RS_TRY(plan_launches(crew));
    RS_TRY(rs_radii_make(&crew->radii));
    RS_TRY(make_workers(crew));
    RS_TRY(make_works(crew));
    /* A model is the user's input: what is wrong with it is found here, not in every case. */
    if (!crew->model) return RS_OK;
    rs_case const first = rs_plan_case(&crew->plan, 0);
    return rs_weight_source_check(&crew->source, &first);
}

rs_status rs_crew_open(rs_crew *crew) {
    for (size_t i = 0; i < crew->hands; ++i) {
        rs_hand *const hand = &crew->hand[i];
        RS_TRY(crew->engine->open(hand->index, &crew->launches.largest, &hand->resources,
                                  &hand->worker.engine_state));
    }
    return RS_OK;
}

void rs_crew_free(rs_crew *crew) {
    for (size_t i = 0; crew->hand && i < crew->hands; ++i) {
        rs_hand *const hand = &crew->hand[i];
        if (hand->worker.engine_state) crew->engine->close(hand->worker.engine_state);
        rs_worker_free(&hand->worker);
    }
    free(crew->hand);
    rs_queue_free(&crew->queue);
    for (size_t i = 0; crew->work && i < crew->works; ++i) rs_work_free(&crew->work[i]);
    free(crew->work);
    free(crew->origin);
    free(crew->given_back);
    rs_weight_source_free(&crew->source);
    rs_radii_free(&crew->radii);
    rs_launches_free(&crew->launches);
    if (crew->model) rs_model_free(&crew->model_storage);
    pthread_mutex_destroy(&crew->lock);
}

/* ---- helpers --------------------------------------------------------------------------------- */

rs_queue_load rs_crew_begin(rs_crew *crew, size_t place) {
    rs_work *work = &crew->work[place];
    crew->origin[place] = NULL;
    crew->given_back[place] = NULL;
    rs_work_begin(&crew->source, work);
    return (rs_queue_load){.bytes = work->launch.host_bytes,
                           .making = work->launch.cut->making_bytes};
}

static void *help(void *arg) {
    rs_crew *crew = arg;
    unsigned const stages = 1u << RS_STAGE_PREPARE | 1u << RS_STAGE_FINISH;
    rs_ticket ticket;
    while (rs_queue_take(&crew->queue, stages, INFINITY, &ticket) == RS_TAKEN) {
        rs_work *work = &crew->work[ticket.place];
        if (ticket.stage == RS_STAGE_PREPARE)
            rs_work_prepare(&crew->source, work);
        else
            rs_work_finish(work);
        rs_queue_pass(&crew->queue, ticket);
    }
    return NULL;
}

/* ---- progress -------------------------------------------------------------------------------- */

/* Of all hands; `hand` is the one whose part it is, or NULL. */
static void count(rs_crew *crew, rs_hand *hand, double part, double finished, size_t points) {
    pthread_mutex_lock(&crew->lock);
    if (hand) hand->part = part;
    crew->finished += finished;
    double done = crew->finished;
    for (size_t i = 0; i < crew->hands; ++i) done += crew->hand[i].part;
    pthread_mutex_unlock(&crew->lock);
    rs_progress_points(&crew->progress, points, done);
}

static void show_progress(rs_hand *hand, double part, double finished, size_t points) {
    count(hand->crew, hand, part, finished, points);
}

static double work_of(const rs_launch *launch) {
    return (double)launch->groups * rs_launch_work(&launch->one[0], launch->radii);
}

void rs_crew_count(rs_crew *crew, const rs_work *work) {
    count(crew, NULL, 0.0, work_of(&work->launch), work->launch.groups * work->launch.radii);
}

static bool on_tick(void *arg, double fraction) {
    rs_hand *hand = arg;
    show_progress(hand, fraction * hand->running, 0.0, 0);
    return !rs_interrupted() && !atomic_load(&hand->crew->stopped);
}

/* ---- devices that fail ----------------------------------------------------------------------- */

/* What the outcome of a launch says of the device that gave it back. */
static void judge(rs_crew *crew, size_t place, bool failed) {
    pthread_mutex_lock(&crew->lock);
    rs_hand *const accused = crew->given_back[place];
    if (accused) accused->verdict = failed ? RS_VERDICT_LAUNCH : RS_VERDICT_DEVICE;
    pthread_mutex_unlock(&crew->lock);
}

/* Whether another hand is at work, which the launch is then for. */
static bool may_give_back(rs_hand *hand, size_t place) {
    rs_crew *crew = hand->crew;
    pthread_mutex_lock(&crew->lock);
    bool const may = !crew->given_back[place] && crew->at_work > 1;
    if (may) {
        --crew->at_work;
        crew->given_back[place] = hand;
        hand->verdict = RS_VERDICT_NONE;
    }
    pthread_mutex_unlock(&crew->lock);
    return may;
}

static rs_verdict verdict_on(rs_hand *hand) {
    pthread_mutex_lock(&hand->crew->lock);
    rs_verdict const verdict = hand->verdict;
    if (verdict == RS_VERDICT_LAUNCH) ++hand->crew->at_work;
    pthread_mutex_unlock(&hand->crew->lock);
    return verdict;
}

/* None where the sweep ends before. */
static rs_verdict wait_for_verdict(rs_hand *hand) {
    struct timespec const moment = {.tv_nsec = 5000000};
    rs_verdict verdict;
    while ((verdict = verdict_on(hand)) == RS_VERDICT_NONE && !rs_interrupted() &&
           !atomic_load(&hand->crew->stopped))
        nanosleep(&moment, NULL);
    return verdict;
}

static void lose(rs_hand *hand) {
    hand->lost = true;
    rs_progress_say(&hand->crew->progress,
                    "rhosweep: device %zu (%s) failed: %s; the others go on without it",
                    hand->index, hand->device.name, hand->reason);
}

/* Gives the launch back, prepared anew. */
static rs_status give_back(rs_hand *hand, rs_ticket ticket, const char *reason) {
    rs_crew *crew = hand->crew;
    snprintf(hand->reason, sizeof hand->reason, "%s", reason);
    rs_work_renew(&crew->source, &crew->work[ticket.place]);
    show_progress(hand, 0.0, 0.0, 0);
    rs_queue_return(&crew->queue, ticket);
    if (wait_for_verdict(hand) == RS_VERDICT_DEVICE) lose(hand);
    return RS_OK;
}

/* ---- a hand ---------------------------------------------------------------------------------- */

static void say_failures(rs_crew *crew, const rs_work *work) {
    for (size_t g = 0; g < work->launch.groups; ++g) {
        const rs_task *task = &work->task[g];
        if (task->status != RS_OK && task->status != RS_EINTERRUPTED)
            rs_progress_say(&crew->progress, "rhosweep: a case failed: %s",
                            task->reason ? task->reason : "out of memory");
    }
}

static rs_status run_launch(rs_hand *hand, rs_ticket ticket) {
    rs_crew *crew = hand->crew;
    rs_work *work = &crew->work[ticket.place];
    hand->running = work_of(&work->launch);
    rs_status const status = rs_work_run(&hand->worker, work);
    const char *const failure = status == RS_OK ? rs_work_device_failure(work) : NULL;
    if (failure && may_give_back(hand, ticket.place)) return give_back(hand, ticket, failure);
    judge(crew, ticket.place, failure);
    crew->origin[ticket.place] = &hand->origin;
    say_failures(crew, work);
    if (status == RS_OK)
        show_progress(hand, 0.0, hand->running, work->launch.groups * work->launch.radii);
    rs_queue_pass(&crew->queue, ticket);
    return status;
}

static rs_status run_launches(rs_hand *hand) {
    rs_crew *crew = hand->crew;
    rs_status status = RS_OK;
    while (status == RS_OK && !hand->lost) {
        rs_ticket ticket;
        rs_taken const taken = rs_queue_take(&crew->queue, 1u << RS_STAGE_RUN, look_after, &ticket);
        if (taken == RS_TAKEN_NEVER) return RS_OK;
        if (rs_interrupted()) status = rs_fail(RS_EINTERRUPTED, "interrupted");
        if (taken == RS_TAKEN_LATER)
            show_progress(hand, 0.0, 0.0, 0);
        else if (status == RS_OK)
            status = run_launch(hand, ticket);
        else { /* nothing of it is to be stored */
            rs_work_clear(&crew->work[ticket.place]);
            rs_queue_pass(&crew->queue, ticket);
        }
    }
    return status;
}

static void *drive(void *arg) {
    rs_hand *hand = arg;
    rs_status const status = run_launches(hand);
    if (!hand->lost) rs_queue_close(&hand->crew->queue);
    return rs_thread_end(&hand->thread, status);
}

/* ---- from the start to the end --------------------------------------------------------------- */

/* Bytes that launches under way may hold: what keeps all threads busy, within the budget. */
static uint64_t room_under_way(const rs_crew *crew) {
    uint64_t const engines = rs_size_mul(crew->hands, crew->launches.most_engine_bytes);
    uint64_t const memory = rs_size_mul(crew->hands, narrowest(crew)->memory);
    uint64_t const budget = !crew->hand->device.on_host
                                ? crew->host.free_bytes / 2 / ranks_here(crew)
                            : memory > engines ? memory - engines
                                               : 0;
    uint64_t const making = rs_size_mul(crew->helpers, crew->launches.most_making_bytes);
    size_t const launches = crew->helpers + crew->hands + 1;
    uint64_t const wanted =
        rs_size_add(making, rs_size_mul(launches, crew->launches.most_host_bytes));
    uint64_t const enough = wanted > small_launches ? wanted : small_launches;
    return enough < budget ? enough : budget;
}

rs_status rs_crew_start(rs_crew *crew, rs_queue_fill fill, void *fill_arg) {
    size_t helpers = 0;
    bool started = true;
    RS_TRY(rs_queue_make(&crew->queue, crew->works - crew->guests, room_under_way(crew), fill,
                         fill_arg));
    RS_TRY(rs_queue_invite(&crew->queue, crew->guests));
    crew->at_work = crew->hands;
    while (helpers < crew->helpers && rs_thread_start(&crew->helper[helpers], help, crew, false))
        ++helpers;
    for (size_t i = 0; started && i < crew->hands; ++i)
        started = rs_thread_start(&crew->hand[i].thread, drive, &crew->hand[i], true);
    if (started && helpers > 0) return RS_OK;
    rs_crew_stop(crew);
    return rs_fail(RS_EMEMORY, "sweep: cannot start a thread");
}

void rs_crew_stop(rs_crew *crew) {
    atomic_store(&crew->stopped, true);
    rs_queue_close(&crew->queue);
}

/* A matrix of 4096 rows takes LAPACK a minute, and a piece of the engine may be as long: the sweep
 * does not wait for them. */
bool rs_crew_wait(rs_crew *crew, bool (*late)(void *arg), void *late_arg) {
    bool all = true;
    for (size_t i = 0; i < crew->hands; ++i)
        all &= rs_thread_wait(&crew->hand[i].thread, late, late_arg);
    rs_queue_close(&crew->queue);
    for (size_t i = 0; i < crew->helpers; ++i)
        all &= rs_thread_wait(&crew->helper[i], late, late_arg);
    if (!all) rs_queue_abandon(&crew->queue);
    return all;
}

rs_status rs_crew_outcome(const rs_crew *crew) {
    for (size_t i = 0; i < crew->hands; ++i)
        if (!crew->hand[i].thread.runs) RS_TRY(rs_thread_relay(&crew->hand[i].thread));
    return RS_OK;
}

double rs_crew_engine_seconds(const rs_crew *crew) {
    double sum = 0.0;
    for (size_t i = 0; i < crew->hands; ++i)
        sum += crew->hand[i].thread.runs ? NAN : crew->hand[i].worker.engine_seconds;
    return sum;
}

double rs_crew_transfer_seconds(const rs_crew *crew) {
    double sum = 0.0;
    for (size_t i = 0; i < crew->hands; ++i)
        sum += crew->hand[i].thread.runs ? NAN : crew->hand[i].worker.transfer_seconds;
    return sum;
}
