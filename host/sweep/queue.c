#include "queue.h"

#include "../../kernels/base/sizes.h"

#include <math.h>
#include <stdlib.h>
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

static rs_queue_place *next_place(rs_queue *queue, rs_stage stage) {
    return &queue->place[queue->next[stage] % queue->n];
}

/* Lets the next launch in where a place is free, so that it is known early that none is left. */
static void let_in(rs_queue *queue) {
    rs_queue_place *place = next_place(queue, RS_STAGE_PREPARE);
    if (queue->ended || queue->closed || place->filled) return;
    place->load = queue->fill(queue->fill_arg, (size_t)(place - queue->place));
    place->filled = place->load.bytes > 0;
    queue->ended = !place->filled;
}

rs_status rs_queue_make(rs_queue *queue, size_t places, uint64_t most_bytes, rs_queue_fill fill,
                        void *fill_arg) {
    *queue = (rs_queue){.n = places, .most_bytes = most_bytes, .fill = fill, .fill_arg = fill_arg};
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
    return queue->bytes == 0 || rs_size_add(queue->bytes, needed) <= queue->most_bytes;
}

static bool is_ready(rs_queue *queue, rs_stage stage) {
    const rs_queue_place *place = next_place(queue, stage);
    if (!place->filled || place->busy || place->waits_for != stage) return false;
    if (stage > RS_STAGE_RUN) return true;
    return !queue->closed && (stage == RS_STAGE_RUN || has_room(queue, place));
}

/* Nothing will ever wait for this stage again: the one before is over and has handed on all. */
static bool is_over(rs_queue *queue, rs_stage stage) {
    if (queue->closed && stage <= RS_STAGE_RUN) return true;
    if (stage == RS_STAGE_PREPARE) return queue->ended && !next_place(queue, stage)->filled;
    rs_stage const before = stage - 1;
    return queue->next[stage] == queue->next[before] && is_over(queue, before);
}

static rs_ticket take(rs_queue *queue, rs_stage stage) {
    rs_queue_place *place = next_place(queue, stage);
    place->busy = true;
    ++queue->next[stage];
    if (stage == RS_STAGE_PREPARE) {
        queue->bytes += place->load.bytes + place->load.making;
        let_in(queue);
    }
    /* Others may now take the next, or find that there is none. */
    pthread_cond_broadcast(&queue->changed);
    return (rs_ticket){stage, (size_t)(place - queue->place)};
}

static rs_taken try_take(rs_queue *queue, unsigned stages, rs_ticket *ticket) {
    bool over = true;
    for (int stage = RS_N_STAGE - 1; stage >= 0; --stage) {
        if (!(stages >> stage & 1)) continue;
        if (is_ready(queue, (rs_stage)stage)) {
            *ticket = take(queue, (rs_stage)stage);
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
    place->waits_for = (ticket.stage + 1) % RS_N_STAGE;
    if (ticket.stage == RS_STAGE_PREPARE) queue->bytes -= place->load.making;
    if (ticket.stage == RS_STAGE_STORE) {
        queue->bytes -= place->load.bytes;
        place->filled = false;
        let_in(queue);
    }
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

static void set(rs_queue *queue, bool *flag) {
    pthread_mutex_lock(&queue->lock);
    *flag = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

void rs_queue_close(rs_queue *queue) { set(queue, &queue->closed); }

void rs_queue_abandon(rs_queue *queue) { set(queue, &queue->abandoned); }
