#include "outpost.h"

#include "interrupt.h"
#include "parcel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_UNSENT = 2 }; /* results that rank 0 has not taken yet, while the crew computes */

/* ---- lines for the user ---------------------------------------------------------------------- */

typedef struct rs_outpost_line {
    struct rs_outpost_line *next;
    char text[];
} rs_outpost_line;

/* From any thread; a line for which there is no memory is not said. */
static void keep_line(void *arg, const char *text) {
    static const char prefix[] = "rhosweep: ";
    rs_outpost *o = arg;
    if (strncmp(text, prefix, sizeof prefix - 1) == 0) text += sizeof prefix - 1;
    size_t const size = strlen(text) + 1;
    rs_outpost_line *const line = malloc(sizeof *line + size);
    if (!line) return;
    line->next = NULL;
    memcpy(line->text, text, size);
    pthread_mutex_lock(&o->lock);
    *o->last = line;
    o->last = &line->next;
    pthread_mutex_unlock(&o->lock);
}

static rs_outpost_line *take_line(rs_outpost *o) {
    pthread_mutex_lock(&o->lock);
    rs_outpost_line *const line = o->first;
    if (line) o->first = line->next;
    if (!o->first) o->last = &o->first;
    pthread_mutex_unlock(&o->lock);
    return line;
}

static rs_status send_lines(rs_outpost *o) {
    rs_status status = RS_OK;
    rs_outpost_line *line;
    while (status == RS_OK && (line = take_line(o))) {
        rs_message_out message = {0};
        rs_put_text(&message, line->text);
        free(line);
        status = rs_ranks_send(o->ranks, 0, RS_TAG_LINE, &message);
    }
    return status;
}

/* ---- beginning ------------------------------------------------------------------------------- */

void rs_outpost_make(rs_outpost *o, rs_ranks *ranks, rs_crew *crew) {
    o->ranks = ranks;
    o->crew = crew;
    o->last = &o->first;
    pthread_mutex_init(&o->lock, NULL);
    crew->progress = (rs_progress){.quiet = true, .line = keep_line, .line_arg = o};
}

void rs_outpost_free(rs_outpost *o) {
    if (!o->crew) return;
    for (size_t i = 0; i < o->waiting; ++i) free(o->next[i].data);
    for (rs_outpost_line *line; (line = take_line(o));) free(line);
    pthread_mutex_destroy(&o->lock);
}

rs_status rs_outpost_meet(rs_outpost *o) {
    rs_message_out message = {0};
    rs_facts_put(&message, o->crew);
    return rs_ranks_send(o->ranks, 0, RS_TAG_FACTS, &message);
}

static rs_status take_settings(rs_outpost *o) {
    rs_received got;
    RS_TRY(rs_ranks_wait(o->ranks, RS_TAG_SETTINGS, &got));
    rs_status const status = rs_settings_get(&got.in, o->crew);
    free(got.data);
    return status;
}

/* ---- launches -------------------------------------------------------------------------------- */

/* The launch that has waited longest, where one waits. */
static bool take_launch(rs_outpost *o, rs_launch *out) {
    if (o->waiting == 0) return false;
    rs_received got = o->next[0];
    --o->waiting;
    memmove(o->next, o->next + 1, o->waiting * sizeof *o->next);
    o->status = rs_get_launch(&got.in, &o->crew->launches, out);
    free(got.data);
    return o->status == RS_OK && out->groups > 0;
}

static rs_queue_load fill_place(void *arg, size_t place) {
    rs_outpost *o = arg;
    pthread_mutex_lock(&o->lock);
    bool const taken = take_launch(o, &o->crew->work[place].launch);
    bool const later = !o->ended && o->status == RS_OK;
    pthread_mutex_unlock(&o->lock);
    return taken ? rs_crew_begin(o->crew, place) : (rs_queue_load){.later = later};
}

/* Asks ahead, so that the next launch can be prepared while one runs. */
static rs_status ask(rs_outpost *o) {
    pthread_mutex_lock(&o->lock);
    bool const wanted = !o->ended && o->asked + o->waiting < RS_OUTPOST_AHEAD;
    pthread_mutex_unlock(&o->lock);
    if (!wanted || rs_interrupted() || atomic_load(&o->crew->stopped)) return RS_OK;
    rs_message_out message = {0};
    RS_TRY(rs_ranks_send(o->ranks, 0, RS_TAG_REQUEST, &message));
    ++o->asked;
    return RS_OK;
}

/* An empty one says that none is left. */
static bool is_last(rs_received *got) {
    rs_message_in in = got->in;
    return rs_get_whole(&in) == 0;
}

static bool receive_launch(rs_outpost *o) {
    rs_received got;
    if (o->asked == 0 || !rs_ranks_receive(o->ranks, RS_TAG_LAUNCH, &got)) return false;
    bool const last = is_last(&got);
    pthread_mutex_lock(&o->lock);
    --o->asked;
    o->ended = o->ended || last;
    if (!last) o->next[o->waiting++] = got;
    pthread_mutex_unlock(&o->lock);
    if (last) free(got.data);
    rs_queue_refill(&o->crew->queue);
    return true;
}

/* ---- results --------------------------------------------------------------------------------- */

static size_t number_of(const rs_crew *crew, const rs_origin *origin) {
    size_t i = 0;
    while (i + 1 < crew->hands && &crew->hand[i].origin != origin) ++i;
    return i;
}

static rs_status send_result(rs_outpost *o, size_t place) {
    rs_crew *const crew = o->crew;
    rs_message_out message = {0};
    size_t n;
    if (crew->work[place].launch.groups == 0) return RS_OK; /* it was never run */
    rs_kept_radius *const found = rs_radii_take_found(&crew->radii, &n);
    rs_put_whole(&message, number_of(crew, crew->origin[place]));
    rs_put_radii(&message, found, n);
    free(found);
    rs_put_work(&message, &crew->work[place], crew->spec->n_rho, crew->spec->profiles);
    return rs_ranks_send(o->ranks, 0, RS_TAG_RESULT, &message);
}

/* Takes what is finished to rank 0, as far as that takes it; NEVER once there is nothing left. */
static rs_taken carry(rs_outpost *o, rs_status *status) {
    rs_ticket ticket;
    if (o->ranks->unsent > MOST_UNSENT + RS_OUTPOST_AHEAD) return RS_TAKEN_LATER;
    rs_taken const taken = rs_queue_take(&o->crew->queue, 1u << RS_STAGE_STORE, 0.0, &ticket);
    if (taken != RS_TAKEN) return taken;
    *status = send_result(o, ticket.place);
    rs_work_clear(&o->crew->work[ticket.place]);
    rs_queue_pass(&o->crew->queue, ticket);
    return RS_TAKEN;
}

/* ---- computing ------------------------------------------------------------------------------- */

static void obey_stop(rs_outpost *o) {
    rs_received got;
    if (!rs_ranks_receive(o->ranks, RS_TAG_STOP, &got)) return;
    if (rs_get_whole(&got.in)) rs_interrupt();
    free(got.data);
    o->told = true;
    rs_crew_stop(o->crew);
}

static rs_status status_of_launches(rs_outpost *o) {
    pthread_mutex_lock(&o->lock);
    rs_status const status = o->status;
    pthread_mutex_unlock(&o->lock);
    return status == RS_OK ? RS_OK : rs_fail(status, "MPI: a launch of rank 0 is damaged");
}

/* Until the crew has nothing left. */
static rs_status work(rs_outpost *o, bool (*late)(void *arg), void *late_arg) {
    rs_taken taken = RS_TAKEN_LATER;
    rs_status status = RS_OK;
    while (taken != RS_TAKEN_NEVER && status == RS_OK && !late(late_arg)) {
        obey_stop(o);
        status = ask(o);
        bool const received = receive_launch(o);
        if (status == RS_OK) taken = carry(o, &status);
        if (status == RS_OK) status = send_lines(o);
        if (status == RS_OK) status = status_of_launches(o);
        if (!received && taken == RS_TAKEN_LATER) rs_ranks_pause(o->ranks);
    }
    return status;
}

/* How many devices were lost, and the first of them. */
static void put_lost(rs_message_out *message, const rs_crew *crew) {
    char text[1024] = "";
    size_t n = 0;
    for (size_t i = crew->hands; i-- > 0;) {
        const rs_hand *hand = &crew->hand[i];
        if (!hand->lost) continue;
        ++n;
        snprintf(text, sizeof text, "device %zu (%s) of rank %d on %s failed: %s", hand->index,
                 hand->device.name, crew->place.rank, crew->host_name, hand->reason);
    }
    rs_put_whole(message, n);
    rs_put_text(message, text);
}

/* Says how it went, and waits for the answer. */
static rs_status leave(rs_outpost *o, rs_status status, bool (*late)(void *arg), void *late_arg) {
    rs_message_out bye = {0};
    rs_received got;
    rs_put_whole(&bye, (uint64_t)status);
    rs_put_text(&bye, status == RS_OK ? "" : rs_message());
    rs_put_real(&bye, rs_crew_engine_seconds(o->crew));
    rs_put_real(&bye, rs_crew_transfer_seconds(o->crew));
    put_lost(&bye, o->crew);
    while ((o->ranks->unsent > 0 || o->asked > 0) && !late(late_arg)) {
        receive_launch(o);
        obey_stop(o);
        rs_ranks_pause(o->ranks);
    }
    RS_TRY(rs_ranks_send(o->ranks, 0, RS_TAG_BYE, &bye));
    bool left = false;
    while (!left && !late(late_arg)) {
        left = rs_ranks_receive(o->ranks, RS_TAG_BYE, &got);
        if (!left) rs_ranks_pause(o->ranks);
    }
    if (left) free(got.data);
    obey_stop(o); /* it may have been sent before the answer */
    o->ranks->broken = !left;
    return status;
}

rs_status rs_outpost_serve(rs_outpost *o, bool (*late)(void *arg), bool (*very_late)(void *arg),
                           void *late_arg, bool *abandoned) {
    rs_status status = take_settings(o);
    if (status == RS_OK) status = rs_crew_start(o->crew, fill_place, o);
    if (status == RS_OK) status = work(o, late, late_arg);
    if (status != RS_OK) rs_crew_stop(o->crew);
    *abandoned = !rs_crew_wait(o->crew, late, late_arg);
    if (status == RS_OK) status = rs_crew_outcome(o->crew);
    if (status == RS_OK && *abandoned) status = rs_fail(RS_EINTERRUPTED, "interrupted");
    /* Why it was told to stop is rank 0's to say. */
    if (status == RS_EINTERRUPTED && o->told && !rs_interrupted()) status = RS_OK;
    if (o->ranks->broken) return status;
    return leave(o, status, very_late, late_arg);
}
