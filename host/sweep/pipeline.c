#include "pipeline.h"

#include "../../kernels/base/clock.h"
#include "exchange.h"
#include "interrupt.h"
#include "outpost.h"
#include "stored.h"
#include "storing.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Seconds after Ctrl-C until threads that still compute are left behind, and the storing thread. */
static double const grace = 0.8, last_grace = 1.1;
/* And on the ranks that report to another one, which waits for them no longer than that. */
static double const outpost_grace = 0.4, last_outpost_grace = 0.7;

typedef struct sweep {
    rs_crew crew;
    rs_storing storing;
    rs_ranks *ranks;      /* NULL for a process alone */
    rs_exchange exchange; /* of rank 0 */
    rs_outpost outpost;   /* of the others */
    double stopped;       /* clock when Ctrl-C was noticed, 0 before */
    double start;         /* clock */
    rs_sweep_outcome outcome;
} sweep;

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

/* ---- the database ---------------------------------------------------------------------------- */

static rs_status read_radii(sweep *s) {
    rs_crew *crew = &s->crew;
    for (size_t i = 0; i < crew->plan.n_hidden; ++i)
        if (crew->plan.hidden[i] >= RS_RADII_FROM)
            RS_TRY(rs_store_read_radii(s->storing.store, s->storing.run_id, crew->plan.hidden[i],
                                       &crew->radii));
    return RS_OK;
}

static rs_status begin_run(sweep *s, const char *command_line) {
    rs_crew *crew = &s->crew;
    rs_provenance_text text;
    rs_provenance provenance;
    rs_status status = rs_provenance_make(crew->spec, crew->engine, &crew->hand->device,
                                          crew->hand->memory, command_line, &text, &provenance);
    provenance.first = crew->hand->origin;
    provenance.workers = (int)(crew->hands + rs_exchange_hands(&s->exchange));
    if (status == RS_OK)
        status = rs_store_begin_run(s->storing.store, &provenance, &s->storing.run_id);
    rs_provenance_free(&text);
    return status;
}

static rs_status open_store(sweep *s, const char *command_line) {
    const rs_model *model = s->crew.model;
    RS_TRY(rs_store_open(s->crew.spec->output, &s->storing.store));
    if (model && !model->h0) RS_TRY(rs_store_confirm_zero_start(s->storing.store, model->digest));
    RS_TRY(begin_run(s, command_line));
    return read_radii(s);
}

/* What is left to do. */
static rs_status find_work(sweep *s) {
    rs_crew *crew = &s->crew;
    double total = 0.0;
    size_t points = 0;
    RS_TRY(rs_stored_read(&(rs_stored){.store = s->storing.store,
                                       .run_id = s->storing.run_id,
                                       .spec = crew->spec,
                                       .plan = &crew->plan,
                                       .launches = &crew->launches,
                                       .finding = &s->storing.finding,
                                       .rates = s->storing.rates}));
    for (size_t i = 0; i < crew->plan.n; ++i) {
        if (!rs_plan_in_shard(&crew->plan, i)) continue;
        rs_case const one = rs_plan_case(&crew->plan, i);
        size_t const missing = rs_launches_missing(&crew->launches, i);
        if (missing == 0) ++s->outcome.skipped;
        points += missing;
        total += rs_launch_work(&one, missing);
    }
    rs_progress_start(&crew->progress, crew->spec->quiet, points, total);
    return RS_OK;
}

/* ---- the caller's thread --------------------------------------------------------------------- */

static rs_queue_load fill_place(void *arg, size_t place) {
    sweep *s = arg;
    if (!rs_exchange_take(&s->exchange, &s->crew.work[place].launch)) return (rs_queue_load){0};
    return rs_crew_begin(&s->crew, place);
}

/* Whether Ctrl-C came so many seconds ago. */
static bool is_late_by(sweep *s, double seconds) {
    if (!rs_interrupted()) return false;
    if (s->stopped == 0.0) s->stopped = rs_seconds();
    return rs_seconds() - s->stopped >= seconds;
}

static bool is_late(void *arg) { return is_late_by(arg, grace); }
static bool is_very_late(void *arg) { return is_late_by(arg, last_grace); }
static bool is_late_for_rank_0(void *arg) { return is_late_by(arg, outpost_grace); }
static bool is_very_late_for_rank_0(void *arg) { return is_late_by(arg, last_outpost_grace); }

static rs_status run_all(sweep *s) {
    rs_crew *crew = &s->crew;
    rs_thread *storer = &s->storing.thread;
    rs_status status = rs_crew_start(crew, fill_place, s);
    if (status == RS_OK) status = rs_storing_start(&s->storing);
    if (status != RS_OK) {
        rs_crew_stop(crew);
        rs_queue_abandon(&crew->queue);
    }
    rs_exchange_serve(&s->exchange, is_late, s);
    bool const all = rs_crew_wait(crew, is_late, s);
    s->outcome.abandoned = !rs_thread_wait(storer, is_very_late, s) || !all;
    RS_TRY(status);
    if (!storer->runs) RS_TRY(rs_thread_relay(storer));
    RS_TRY(rs_exchange_outcome(&s->exchange));
    if (s->outcome.abandoned) return rs_fail(RS_EINTERRUPTED, "interrupted");
    return rs_crew_outcome(crew);
}

static double engine_seconds(const sweep *s) {
    return rs_crew_engine_seconds(&s->crew) + rs_exchange_engine_seconds(&s->exchange);
}

static rs_status finish_run(sweep *s, const char *outcome) {
    return rs_store_finish_run(s->storing.store, s->storing.run_id, outcome, engine_seconds(s),
                               rs_seconds() - s->start);
}

/* As the user has no time to wait for who else may write, the run may stay unmarked. */
static rs_status interrupt_run(sweep *s) {
    const rs_sweep_outcome *o = &s->outcome;
    const char *const output = s->crew.spec->output;
    if (s->storing.thread.runs)
        return rs_fail(RS_EINTERRUPTED,
                       "interrupted: %s was not ready for the last cases: the same command "
                       "finishes the rest",
                       output);
    rs_store_hurry(s->storing.store);
    (void)finish_run(s, "interrupted");
    return rs_fail(RS_EINTERRUPTED,
                   "interrupted: %zu of %zu cases are stored in %s: the same command finishes "
                   "the rest",
                   o->done + o->skipped, o->cases, output);
}

/* The first device that was lost, or NULL. */
static const rs_hand *find_lost(sweep *s) {
    const rs_hand *first = NULL;
    for (size_t i = s->crew.hands; i-- > 0;) {
        if (!s->crew.hand[i].lost) continue;
        first = &s->crew.hand[i];
        ++s->outcome.lost;
    }
    return first;
}

/* "device 1 (NAME) failed: why", of the first device of any rank that was lost; "" for none. */
static void name_lost(sweep *s, char out[1024]) {
    const rs_hand *lost = find_lost(s);
    const char *const other = rs_exchange_lost(&s->exchange, &s->outcome.lost);
    if (lost)
        snprintf(out, 1024, "device %zu (%s) failed: %s", lost->index, lost->device.name,
                 lost->reason);
    else
        snprintf(out, 1024, "%s", other);
}

static rs_status finish_run_without(sweep *s, const char *lost) {
    char text[1100];
    snprintf(text, sizeof text, "%s without %s", s->outcome.failed ? "some cases failed," : "done",
             lost);
    return finish_run(s, text);
}

/* Closes the run in the database and says how things stand. */
static rs_status conclude(sweep *s, rs_status status) {
    const rs_sweep_outcome *o = &s->outcome;
    char lost[1024];
    rs_progress_end(&s->crew.progress);
    if (status == RS_EINTERRUPTED) return interrupt_run(s);
    RS_TRY(status);
    name_lost(s, lost);
    if (*lost)
        RS_TRY(finish_run_without(s, lost));
    else
        RS_TRY(finish_run(s, o->failed ? "some cases failed" : "done"));
    if (o->failed)
        return rs_fail(RS_EDEVICE,
                       "sweep: %zu of %zu cases failed: `rhosweep table failures %s` says why, the "
                       "same command tries them again",
                       o->failed, o->cases, s->crew.spec->output);
    if (*lost)
        return rs_fail(RS_EDEVICE,
                       "sweep: %s; all cases are stored, the other devices have computed them",
                       lost);
    return RS_OK;
}

/* Text for the user; none where there is no memory for it. */
static void write_finding(sweep *s) {
    size_t length = 0;
    FILE *out = open_memstream(&s->outcome.finding, &length);
    if (!out) return;
    rs_finding_print(&s->storing.finding, out);
    fclose(out);
}

/* glibc would keep what a thread has freed for that thread, and ever larger blocks of it: then what
 * all threads keep is beyond what the queue counts. Large blocks go back to the system. */
static void return_freed_memory(void) {
    enum { LARGE = 4 << 20 };
    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, 2 * LARGE);
}

/* All that can be found wrong before a byte is written. The engine is chosen unless it is given. */
static rs_status make(sweep *s, const rs_engine *engine, const rs_spec *spec) {
    rs_crew *crew = &s->crew;
    bool const first = rs_ranks_is_first(s->ranks);
    if (s->ranks) crew->place = s->ranks->place;
    if (first && rs_ranks_are_several(s->ranks)) crew->guests = RS_EXCHANGE_GUESTS;
    if (!first) rs_outpost_make(&s->outpost, s->ranks, crew);
    if (!engine) RS_TRY(choose_engine(spec->engine, &engine));
    if (first) RS_TRY(rs_store_probe(spec->output));
    RS_TRY(rs_crew_make(engine, spec, crew));
    s->storing.crew = crew;
    RS_TRY(rs_storing_make(&s->storing));
    s->outcome.cases = crew->launches.cases;
    return rs_crew_open(crew);
}

static rs_status serve_rank_0(sweep *s) {
    rs_interrupt_watch();
    RS_TRY(rs_outpost_meet(&s->outpost));
    RS_TRY(rs_ranks_agree(s->ranks, RS_OK, 0));
    return rs_outpost_serve(&s->outpost, is_late_for_rank_0, is_very_late_for_rank_0, s,
                            &s->outcome.abandoned);
}

static rs_status store_all(sweep *s, const char *command_line) {
    rs_status status = rs_exchange_make(&s->exchange, s->ranks, &s->crew);
    if (status == RS_OK) status = open_store(s, command_line);
    if (status != RS_OK) return rs_ranks_agree(s->ranks, status, 0);
    rs_interrupt_watch();
    status = rs_ranks_agree(s->ranks, find_work(s), 0);
    if (status == RS_OK) status = run_all(s);
    s->outcome.done = s->storing.done;
    s->outcome.failed = s->storing.failed;
    RS_TRY(conclude(s, status));
    if (!s->crew.spec->quiet) write_finding(s);
    return RS_OK;
}

static rs_status execute(sweep *s, const rs_engine *engine, const rs_spec *spec,
                         const char *command_line) {
    return_freed_memory();
    rs_status const status = make(s, engine, spec);
    uint64_t const about = status == RS_OK ? rs_facts_digest(&s->crew) : 0;
    RS_TRY(rs_ranks_agree(s->ranks, status, about));
    return rs_ranks_is_first(s->ranks) ? store_all(s, command_line) : serve_rank_0(s);
}

static void release(sweep *s) {
    if (!s->storing.thread.runs) rs_store_close(s->storing.store);
    if (s->outcome.abandoned) return; /* the rest is in use */
    rs_storing_free(&s->storing);
    rs_exchange_free(&s->exchange);
    rs_crew_free(&s->crew);
    rs_outpost_free(&s->outpost);
    free(s);
}

rs_status rs_sweep_among(rs_ranks *ranks, const rs_engine *engine, const rs_spec *spec,
                         const char *command_line, rs_sweep_outcome *outcome) {
    double const start = rs_seconds();
    sweep *s = calloc(1, sizeof *s);
    *outcome = (rs_sweep_outcome){0};
    if (!s) return rs_fail(RS_EMEMORY, "sweep: out of memory");
    s->start = start;
    s->ranks = ranks;
    rs_status const status = execute(s, engine, spec, command_line);
    *outcome = s->outcome;
    outcome->engine_seconds = engine_seconds(s);
    outcome->transfer_seconds =
        rs_crew_transfer_seconds(&s->crew) + rs_exchange_transfer_seconds(&s->exchange);
    outcome->workers = s->crew.hands + rs_exchange_hands(&s->exchange);
    release(s);
    outcome->seconds = rs_seconds() - start;
    return status;
}

rs_status rs_sweep_on(const rs_engine *engine, const rs_spec *spec, const char *command_line,
                      rs_sweep_outcome *outcome) {
    return rs_sweep_among(NULL, engine, spec, command_line, outcome);
}

rs_status rs_sweep(const rs_spec *spec, const char *command_line, rs_sweep_outcome *outcome) {
    return rs_sweep_among(NULL, NULL, spec, command_line, outcome);
}
