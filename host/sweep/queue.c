#include "queue.h"

#include "../../kernels/base/sizes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static rs_status make_lock(rs_queue *queue) {
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&queue->lock, NULL) != 0) return RS_EMEMORY;
    bool made = pthread_condattr_init(&attributes) == 0;
    if (made) {
        made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
               pthread_cond_init(&queue->changed, &attributes) == 0;
        pthread_condattr_destroy(&attributes);
    }
    if (!made) pthread_mutex_destroy(&queue->lock);
    return made ? RS_OK : RS_EMEMORY;
}

static bool waits(const rs_queue_place *place, rs_stage stage) {
    return place->filled && !place->busy && place->stage == stage;
}

/* The launch that has waited longest for the stage, or NULL. */
static rs_queue_place *oldest(rs_queue *queue, rs_stage stage) {
    rs_queue_place *found = NULL;
    for (rs_queue_place *place = queue->place; place < queue->place + queue->n; ++place)
        if (waits(place, stage) && (!found || place->number < found->number)) found = place;
    return found;
}

static rs_queue_place *free_place(rs_queue *queue) {
    for (size_t i = 0; i < queue->own; ++i)
        if (!queue->place[i].filled) return &queue->place[i];
    return NULL;
}

/* Lets the next launch in where a place is free, so that it is known early that none is left. */
static void let_in(rs_queue *queue) {
    rs_queue_place *place = free_place(queue);
    if (queue->ended || queue->closed || !place || oldest(queue, RS_STAGE_PREPARE)) return;
    place->load = queue->fill(queue->fill_arg, (size_t)(place - queue->place));
    place->filled = place->load.bytes > 0;
    place->stage = RS_STAGE_PREPARE;
    place->number = queue->entered++;
    queue->ended = !place->filled && !place->load.later;
}

rs_status rs_queue_make(rs_queue *queue, size_t places, uint64_t most_bytes, rs_queue_fill fill,
                        void *fill_arg) {
    *queue = (rs_queue){
        .n = places, .own = places, .most_bytes = most_bytes, .fill = fill, .fill_arg = fill_arg};
    rs_queue_place *place = calloc(places, sizeof *place);
    if (!place || make_lock(queue) != RS_OK) {
        free(place);
        return rs_fail(RS_EMEMORY, "sweep: no memory for %zu launches under way", places);
    }
    queue->place = place;
    let_in(queue);
    return RS_OK;
}

void rs_queue_free(rs_queue *queue) {
    if (!queue->place) return;
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    free(queue->place);
    queue->place = NULL;
}

static bool has_room(const rs_queue *queue, const rs_queue_place *place) {
    uint64_t const needed = rs_size_add(place->load.bytes, place->load.making);
    return queue->bytes == queue->guest_bytes ||
           rs_size_add(queue->bytes, needed) <= queue->most_bytes;
}

/* Whether an older launch is still to be prepared. */
static bool is_ahead(const rs_queue *queue, const rs_queue_place *place) {
    for (size_t i = 0; i < queue->n; ++i) {
        const rs_queue_place *other = &queue->place[i];
        if (other->filled && other->stage == RS_STAGE_PREPARE && other->number < place->number)
            return true;
    }
    return false;
}

/* The launch that the stage may take now, or NULL. */
static rs_queue_place *ready(rs_queue *queue, rs_stage stage) {
    if (queue->closed && stage <= RS_STAGE_RUN) return NULL;
    rs_queue_place *place = oldest(queue, stage);
    if (!place || (stage == RS_STAGE_PREPARE && !has_room(queue, place)) ||
        (stage == RS_STAGE_RUN && is_ahead(queue, place)))
        return NULL;
    return place;
}

/* Whether a launch may still wait for the stage at some time. */
static bool may_come(const rs_queue *queue, const rs_queue_place *place, rs_stage stage) {
    if (!place->filled || place->stage > stage) return false;
    if (place->stage == stage) return !place->busy || stage == RS_STAGE_RUN; /* may be returned */
    return !queue->closed || place->stage > RS_STAGE_RUN ||
           (place->stage == RS_STAGE_RUN && place->busy);
}

/* Nothing will ever wait for this stage again. */
static bool is_over(const rs_queue *queue, rs_stage stage) {
    if (queue->closed && stage <= RS_STAGE_RUN) return true;
    if (queue->hosting && stage == RS_STAGE_STORE) return false;
    if (!queue->ended && !queue->closed) return false;
    for (size_t i = 0; i < queue->n; ++i)
        if (may_come(queue, &queue->place[i], stage)) return false;
    return true;
}

static rs_ticket take(rs_queue *queue, rs_queue_place *place) {
    place->busy = true;
    if (place->stage == RS_STAGE_PREPARE) {
        queue->bytes += place->load.bytes + place->load.making;
        let_in(queue);
    }
    /* Others may now take the next, or find that there is none. */
    pthread_cond_broadcast(&queue->changed);
    return (rs_ticket){place->stage, (size_t)(place - queue->place)};
}

static rs_taken try_take(rs_queue *queue, unsigned stages, rs_ticket *ticket) {
    bool over = true;
    for (int stage = RS_N_STAGE - 1; stage >= 0; --stage) {
        if (!(stages >> stage & 1)) continue;
        rs_queue_place *place = ready(queue, (rs_stage)stage);
        if (place) {
            *ticket = take(queue, place);
            return RS_TAKEN;
        }
        over = over && is_over(queue, (rs_stage)stage);
    }
    return over || queue->abandoned ? RS_TAKEN_NEVER : RS_TAKEN_LATER;
}

static struct timespec after(double seconds) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    double const whole = floor(seconds);
    at.tv_sec += (time_t)whole;
    at.tv_nsec += (long)(1e9 * (seconds - whole));
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

rs_taken rs_queue_take(rs_queue *queue, unsigned stages, double seconds, rs_ticket *ticket) {
    bool const for_ever = isinf(seconds);
    struct timespec const until = after(for_ever ? 0.0 : seconds);
    bool late = seconds == 0.0;
    pthread_mutex_lock(&queue->lock);
    rs_taken taken = try_take(queue, stages, ticket);
    while (taken == RS_TAKEN_LATER && !late) {
        if (for_ever)
            pthread_cond_wait(&queue->changed, &queue->lock);
        else
            late = pthread_cond_timedwait(&queue->changed, &queue->lock, &until) != 0;
        taken = try_take(queue, stages, ticket);
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

void rs_queue_pass(rs_queue *queue, rs_ticket ticket) {
    pthread_mutex_lock(&queue->lock);
    rs_queue_place *place = &queue->place[ticket.place];
    place->busy = false;
    if (ticket.stage == RS_STAGE_PREPARE) queue->bytes -= place->load.making;
    if (ticket.stage == RS_STAGE_STORE) {
        queue->bytes -= place->load.bytes;
        if (ticket.place >= queue->own) queue->guest_bytes -= place->load.bytes;
        place->filled = false;
        let_in(queue);
    } else
        place->stage = ticket.stage + 1;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

static void set(rs_queue *queue, bool *flag, bool value) {
    pthread_mutex_lock(&queue->lock);
    *flag = value;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

void rs_queue_return(rs_queue *queue, rs_ticket ticket) {
    set(queue, &queue->place[ticket.place].busy, false);
}

/* ---- guests ---------------------------------------------------------------------------------- */

rs_status rs_queue_invite(rs_queue *queue, size_t guests) {
    rs_queue_place *place = realloc(queue->place, (queue->n + guests) * sizeof *place);
    if (!place) return rs_fail(RS_EMEMORY, "sweep: no memory for launches of other ranks");
    memset(place + queue->n, 0, guests * sizeof *place);
    queue->place = place;
    queue->n += guests;
    queue->hosting = guests > 0;
    return RS_OK;
}

void rs_queue_dismiss(rs_queue *queue) { set(queue, &queue->hosting, false); }

/* One guest is always let in, as one launch of our own is. */
static rs_queue_place *guest_place(rs_queue *queue, uint64_t bytes) {
    bool const room =
        queue->guest_bytes == 0 || rs_size_add(queue->bytes, bytes) <= queue->most_bytes;
    for (size_t i = queue->own; room && i < queue->n; ++i)
        if (!queue->place[i].filled) return &queue->place[i];
    return NULL;
}

static void take_in(rs_queue *queue, uint64_t bytes, rs_queue_place *place) {
    *place = (rs_queue_place){.stage = RS_STAGE_STORE,
                              .filled = true,
                              .busy = true,
                              .number = queue->entered++,
                              .load = {.bytes = bytes}};
    queue->bytes += bytes;
    queue->guest_bytes += bytes;
}

rs_taken rs_queue_enter(rs_queue *queue, uint64_t bytes, rs_ticket *ticket) {
    pthread_mutex_lock(&queue->lock);
    bool const never = queue->abandoned;
    rs_queue_place *const place = never ? NULL : guest_place(queue, bytes);
    if (place) {
        take_in(queue, bytes, place);
        *ticket = (rs_ticket){RS_STAGE_STORE, (size_t)(place - queue->place)};
    }
    pthread_mutex_unlock(&queue->lock);
    return place ? RS_TAKEN : never ? RS_TAKEN_NEVER : RS_TAKEN_LATER;
}

void rs_queue_refill(rs_queue *queue) {
    pthread_mutex_lock(&queue->lock);
    let_in(queue);
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

/* ---- the end --------------------------------------------------------------------------------- */

void rs_queue_close(rs_queue *queue) { set(queue, &queue->closed, true); }

void rs_queue_abandon(rs_queue *queue) { set(queue, &queue->abandoned, true); }
