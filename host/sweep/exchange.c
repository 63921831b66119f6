#include "exchange.h"

#include "interrupt.h"
#include "parcel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A device that fails with so many launches in a row gets no more, while others are at work. */
enum { FAILURES_TO_RETIRE = 3 };

static size_t n_ranks(const rs_exchange *x) {
    return rs_ranks_are_several(x->ranks) ? (size_t)x->ranks->place.size : 1;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static rs_status meet(rs_exchange *x) {
    rs_received got;
    RS_TRY(rs_ranks_wait(x->ranks, RS_TAG_FACTS, &got));
    rs_status const status = rs_facts_get(&got, x->crew, &x->peer[got.from]);
    free(got.data);
    return status;
}

rs_status rs_exchange_make(rs_exchange *x, rs_ranks *ranks, rs_crew *crew) {
    x->ranks = ranks;
    x->crew = crew;
    pthread_mutex_init(&x->pool, NULL);
    if (!rs_ranks_are_several(ranks)) return RS_OK;
    x->peer = calloc(n_ranks(x), sizeof *x->peer);
    if (!x->peer) return rs_fail(RS_EMEMORY, "sweep: no memory for %zu ranks", n_ranks(x));
    RS_TRY(rs_launch_make(&crew->launches, &x->next));
    for (x->here = 0; x->here + 1 < n_ranks(x); ++x->here) RS_TRY(meet(x));
    return RS_OK;
}

void rs_exchange_free(rs_exchange *x) {
    for (size_t i = 0; x->peer && i < n_ranks(x); ++i) rs_peer_free(&x->peer[i]);
    free(x->peer);
    rs_launch_free(&x->next);
    if (x->crew) pthread_mutex_destroy(&x->pool);
}

bool rs_exchange_take(rs_exchange *x, rs_launch *out) {
    pthread_mutex_lock(&x->pool);
    bool const taken = rs_launches_next(&x->crew->launches, out);
    pthread_mutex_unlock(&x->pool);
    return taken;
}

/* ---- failures -------------------------------------------------------------------------------- */

static void fail(rs_exchange *x, rs_status status, const char *message) {
    if (x->status == RS_OK) {
        x->status = status;
        snprintf(x->message, sizeof x->message, "%s", message);
    }
    rs_crew_stop(x->crew);
}

/* What cannot be sent or read for want of memory ends the sweep. */
static void check(rs_exchange *x, rs_status status) {
    if (status != RS_OK) fail(x, status, rs_message());
}

static void send_to(rs_exchange *x, int rank, rs_rank_tag tag, rs_message_out *message) {
    check(x, rs_ranks_send(x->ranks, rank, tag, message));
}

static void stop_others(rs_exchange *x) {
    x->stopping = true;
    for (int i = 1; i < x->ranks->place.size; ++i) {
        rs_message_out message = {0};
        if (x->peer[i].left) continue;
        rs_put_whole(&message, rs_interrupted());
        send_to(x, i, RS_TAG_STOP, &message);
    }
}

static void retire(rs_exchange *x, rs_peer *peer, const rs_origin *origin, const char *reason) {
    peer->retired = true;
    ++peer->n_lost;
    snprintf(peer->lost, sizeof peer->lost, "device %zu (%s) of rank %d on %s failed: %s",
             origin->device_index, origin->device, origin->rank, peer->host, reason);
    rs_progress_say(&x->crew->progress, "rhosweep: %s; the others go on without it", peer->lost);
}

static void judge(rs_exchange *x, rs_peer *peer, const rs_origin *origin, const rs_work *work) {
    const char *const reason = rs_work_device_failure(work);
    peer->failures = reason ? peer->failures + 1 : 0;
    if (peer->failures >= FAILURES_TO_RETIRE && !peer->retired) retire(x, peer, origin, reason);
}

/* ---- what the others say --------------------------------------------------------------------- */

static bool answer_request(rs_exchange *x) {
    rs_received got;
    rs_message_out message = {0};
    if (!rs_ranks_receive(x->ranks, RS_TAG_REQUEST, &got)) return false;
    bool const more = !x->stopping && !x->peer[got.from].retired && rs_exchange_take(x, &x->next);
    if (!more) x->next.groups = 0;
    rs_put_launch(&message, &x->next, x->crew->spec->n_rho);
    send_to(x, got.from, RS_TAG_LAUNCH, &message);
    free(got.data);
    return true;
}

static void take_radii(rs_exchange *x, const rs_peer *peer, rs_message_in *in) {
    size_t const n = rs_get_count(in, sizeof(rs_kept_radius));
    for (size_t i = 0; i < n; ++i) {
        rs_kept_radius kept;
        rs_get(in, &kept, sizeof kept);
        if (peer->same_libraries) rs_radii_keep(&x->crew->radii, &kept);
    }
}

static rs_status read_result(rs_exchange *x, rs_received *got, size_t place) {
    rs_crew *const crew = x->crew;
    rs_peer *const peer = &x->peer[got->from];
    rs_work *const work = &crew->work[place];
    size_t const hand = (size_t)rs_get_whole(&got->in);
    take_radii(x, peer, &got->in);
    RS_TRY(rs_get_work(&got->in, &crew->launches, crew->spec->profiles, work));
    RS_TRY(rs_get_end(&got->in));
    if (hand >= peer->hands) return rs_fail(RS_EIO, "MPI: a message of another rank is damaged");
    crew->origin[place] = &peer->origin[hand];
    judge(x, peer, &peer->origin[hand], work);
    rs_crew_count(crew, work);
    return RS_OK;
}

/* Results wait with their rank while there is no room for them. */
static bool take_result(rs_exchange *x) {
    rs_received got;
    rs_ticket ticket;
    size_t const bytes = rs_ranks_peek(x->ranks, RS_TAG_RESULT);
    rs_taken const place = bytes ? rs_queue_enter(&x->crew->queue, bytes, &ticket) : RS_TAKEN_LATER;
    if (place == RS_TAKEN_LATER) return false;
    rs_ranks_receive(x->ranks, RS_TAG_RESULT, &got);
    if (place == RS_TAKEN) {
        rs_status const status = read_result(x, &got, ticket.place);
        if (status != RS_OK) rs_work_clear(&x->crew->work[ticket.place]);
        check(x, status);
        rs_queue_return(&x->crew->queue, ticket);
    }
    free(got.data);
    return true;
}

static bool take_line(rs_exchange *x) {
    rs_received got;
    if (!rs_ranks_receive(x->ranks, RS_TAG_LINE, &got)) return false;
    rs_progress_say(&x->crew->progress, "rhosweep: rank %d on %s: %s", got.from,
                    x->peer[got.from].host, rs_get_text(&got.in));
    free(got.data);
    return true;
}

static void read_bye(rs_exchange *x, rs_received *got) {
    rs_peer *const peer = &x->peer[got->from];
    char message[sizeof x->message];
    rs_status const status = (rs_status)rs_get_whole(&got->in);
    snprintf(message, sizeof message, "rank %d on %s: %s", got->from, peer->host,
             rs_get_text(&got->in));
    peer->engine_seconds = rs_get_real(&got->in);
    peer->transfer_seconds = rs_get_real(&got->in);
    size_t const n_lost = (size_t)rs_get_whole(&got->in);
    const char *const lost = rs_get_text(&got->in);
    peer->n_lost += n_lost;
    if (n_lost > 0) snprintf(peer->lost, sizeof peer->lost, "%s", lost);
    peer->left = true;
    --x->here;
    if (status == RS_EINTERRUPTED) rs_interrupt();
    if (status != RS_OK && !x->stopping) fail(x, status, message);
}

static bool take_bye(rs_exchange *x) {
    rs_received got;
    rs_message_out answer = {0};
    if (!rs_ranks_receive(x->ranks, RS_TAG_BYE, &got)) return false;
    read_bye(x, &got);
    send_to(x, got.from, RS_TAG_BYE, &answer);
    free(got.data);
    return true;
}

/* ---- serving --------------------------------------------------------------------------------- */

static void send_settings(rs_exchange *x) {
    for (int i = 1; i < x->ranks->place.size; ++i) {
        rs_message_out message = {0};
        rs_settings_put(&message, x->crew, x->peer[i].same_libraries);
        send_to(x, i, RS_TAG_SETTINGS, &message);
    }
}

static bool is_to_stop(const rs_exchange *x) {
    return rs_interrupted() || atomic_load(&x->crew->stopped);
}

void rs_exchange_serve(rs_exchange *x, bool (*late)(void *arg), void *late_arg) {
    if (!rs_ranks_are_several(x->ranks)) return;
    send_settings(x);
    while (x->here > 0 && !late(late_arg)) {
        if (!x->stopping && is_to_stop(x)) stop_others(x);
        bool const any =
            (int)answer_request(x) | (int)take_result(x) | (int)take_line(x) | (int)take_bye(x);
        if (!any) rs_ranks_pause(x->ranks);
    }
    x->ranks->broken = x->here > 0;
    rs_queue_dismiss(&x->crew->queue);
}

/* ---- the end --------------------------------------------------------------------------------- */

rs_status rs_exchange_outcome(const rs_exchange *x) {
    return x->status == RS_OK ? RS_OK : rs_fail(x->status, "%s", x->message);
}

size_t rs_exchange_hands(const rs_exchange *x) {
    size_t sum = 0;
    for (size_t i = 1; x->peer && i < n_ranks(x); ++i) sum += x->peer[i].hands;
    return sum;
}

double rs_exchange_engine_seconds(const rs_exchange *x) {
    double sum = 0.0;
    for (size_t i = 1; x->peer && i < n_ranks(x); ++i) sum += x->peer[i].engine_seconds;
    return sum;
}

double rs_exchange_transfer_seconds(const rs_exchange *x) {
    double sum = 0.0;
    for (size_t i = 1; x->peer && i < n_ranks(x); ++i) sum += x->peer[i].transfer_seconds;
    return sum;
}

const char *rs_exchange_lost(const rs_exchange *x, size_t *number) {
    const char *lost = "";
    for (size_t i = n_ranks(x); x->peer && --i > 0;) {
        *number += x->peer[i].n_lost;
        if (x->peer[i].n_lost > 0) lost = x->peer[i].lost;
    }
    return lost;
}
