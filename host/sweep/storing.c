#include "storing.h"

#include "../../kernels/base/clock.h"

#include <math.h>
#include <stdlib.h>

static double const commit_after = 0.25; /* seconds that a transaction may stay open */

rs_status rs_storing_make(rs_storing *storing) {
    const rs_spec *spec = storing->crew->spec;
    storing->rates = calloc(spec->n_rho, sizeof *storing->rates);
    if (!storing->rates) return rs_fail(RS_EMEMORY, "sweep: no memory for %zu radii", spec->n_rho);
    return rs_finding_make(spec, &storing->finding);
}

void rs_storing_free(rs_storing *storing) {
    free(storing->rates);
    rs_finding_free(&storing->finding);
}

/* ---- transactions ---------------------------------------------------------------------------- */

static rs_status begin(rs_storing *s) {
    if (s->open) return RS_OK;
    RS_TRY(rs_store_begin(s->store));
    s->open = true;
    s->opened = rs_seconds();
    return RS_OK;
}

/* What has been found since the last time. */
static rs_status store_radii(rs_storing *s) {
    size_t n;
    rs_kept_radius *found = rs_radii_take_found(&s->crew->radii, &n);
    rs_status const status = rs_store_add_radii(s->store, s->run_id, found, n);
    free(found);
    return status;
}

static rs_status commit(rs_storing *s) {
    if (!s->open) return RS_OK;
    s->open = false;
    RS_TRY(rs_store_end(s->store, store_radii(s)));
    s->done += s->open_done;
    s->failed += s->open_failed;
    s->open_done = s->open_failed = 0;
    return RS_OK;
}

/* ---- cases ----------------------------------------------------------------------------------- */

/* The points of a launch are some of the spec's radii, in their order. */
static rs_status add_rates(rs_storing *s, const rs_launch *launch, const rs_task *task) {
    const rs_spec *spec = s->crew->spec;
    size_t next = 0;
    if (spec->quiet || task->status != RS_OK) return RS_OK;
    for (size_t r = 0; r < spec->n_rho; ++r) {
        bool const computed =
            next < launch->radii && (spec->native || launch->rho[next] == spec->rho[r]);
        s->rates[r] = computed ? task->point[next++].decay_rate : NAN;
    }
    return rs_finding_add(&s->finding, task->one, s->rates);
}

static rs_status store_task(rs_storing *s, const rs_launch *launch, const rs_task *task,
                            const rs_origin *origin) {
    bool const done = task->status == RS_OK;
    rs_case_result const result = {
        .one = task->one,
        .status = task->status,
        .reason = done           ? NULL
                  : task->reason ? task->reason
                                 : "out of memory",
        .point = done ? task->point : NULL,
        .n = done ? launch->radii : 0,
        .origin = origin,
        .clip = s->crew->spec->clip,
        .forward_seconds = task->forward_seconds,
        .backward_seconds = task->backward_seconds,
        .transfer_seconds = task->transfer_seconds,
    };
    RS_TRY(begin(s));
    rs_status const status = rs_store_add(s->store, s->run_id, &result);
    if (status != RS_OK) return rs_store_end(s->store, status);
    if (done)
        ++s->open_done;
    else
        ++s->open_failed;
    RS_TRY(add_rates(s, launch, task));
    return rs_seconds() - s->opened > commit_after ? commit(s) : RS_OK;
}

/* Those of the states go with them. */
static void drop_curves(const rs_work *work) {
    for (size_t g = 0; g < work->launch.groups; ++g)
        for (size_t r = 0; work->task[g].status == RS_OK && r < work->launch.radii; ++r)
            work->task[g].point[r].profile = (rs_log_profile){0};
}

static rs_status store_launch(rs_storing *s, rs_ticket ticket) {
    rs_crew *crew = s->crew;
    rs_work *work = &crew->work[ticket.place];
    const rs_origin *origin = crew->origin[ticket.place];
    if (!crew->spec->profiles) drop_curves(work);
    for (size_t g = 0; g < work->launch.groups; ++g) {
        const rs_task *task = &work->task[g];
        if (task->status != RS_EINTERRUPTED) RS_TRY(store_task(s, &work->launch, task, origin));
    }
    rs_work_clear(work);
    rs_queue_pass(&crew->queue, ticket);
    return RS_OK;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Commits before it waits, so that others can write and results are safe. */
static rs_status store_all(rs_storing *s) {
    rs_queue *queue = &s->crew->queue;
    unsigned const stage = 1u << RS_STAGE_STORE;
    rs_taken taken;
    do {
        rs_ticket ticket;
        while ((taken = rs_queue_take(queue, stage, 0.0, &ticket)) == RS_TAKEN)
            RS_TRY(store_launch(s, ticket));
        RS_TRY(commit(s));
        if (taken == RS_TAKEN_LATER) taken = rs_queue_take(queue, stage, INFINITY, &ticket);
        if (taken == RS_TAKEN) RS_TRY(store_launch(s, ticket));
    } while (taken == RS_TAKEN);
    return RS_OK;
}

static void *keep(void *arg) {
    rs_storing *s = arg;
    rs_status const status = store_all(s);
    if (status != RS_OK) {
        rs_crew_stop(s->crew);
        rs_queue_abandon(&s->crew->queue);
    }
    return rs_thread_end(&s->thread, status);
}

rs_status rs_storing_start(rs_storing *storing) {
    if (rs_thread_start(&storing->thread, keep, storing, false)) return RS_OK;
    return rs_fail(RS_EMEMORY, "sweep: cannot start a thread");
}
