/* Launches on their way through the stages that run beside each other.
 *
 *      prepare            run              finish            store
 *     [helpers]  ->  [a thread for    ->  [helpers]  ->  [one thread]  ->  the place is free again
 *                      each device]
 *
 * Every stage takes the oldest launch that waits for it. To be run they are taken in the order in
 * which they entered, whichever helper is done with one first; so a single device sees one order,
 * for any number of helpers. From there on none waits for a slower one. What was finished elsewhere
 * may enter before the last stage, as a guest. The queue knows numbers of places only; what lies in
 * them belongs to the caller. */
#ifndef RS_QUEUE_H
#define RS_QUEUE_H

#include "../../kernels/base/status.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum rs_stage {
    RS_STAGE_PREPARE,
    RS_STAGE_RUN,
    RS_STAGE_FINISH,
    RS_STAGE_STORE,
    RS_N_STAGE
} rs_stage;

typedef struct rs_queue_load {
    uint64_t bytes;  /* that a launch holds until it is stored; at least 1 */
    uint64_t making; /* that it takes beside them while it is being prepared */
    bool later;      /* of 0 bytes: there is none yet, see rs_queue_refill */
} rs_queue_load;

/* Puts the next launch into a free place and says what it will hold; 0 bytes where there is none.
 * Called in order, by one thread at a time, with the queue locked. */
typedef rs_queue_load (*rs_queue_fill)(void *arg, size_t place);

typedef struct rs_queue_place {
    rs_stage stage;  /* that it waits for, or that works on it */
    bool filled;     /* a launch is in it */
    bool busy;       /* a thread works on it */
    uint64_t number; /* in the order of entering */
    rs_queue_load load;
} rs_queue_place;

typedef struct rs_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    rs_queue_place *place; /* [n] */
    size_t n, own;         /* places: all, and those before the guests' */
    uint64_t entered;      /* launches so far */
    uint64_t bytes;        /* that launches hold which were taken to be prepared */
    uint64_t guest_bytes;  /* of them, guests' */
    uint64_t most_bytes;
    bool ended;     /* no launch will enter any more but guests */
    bool hosting;   /* guests may enter */
    bool closed;    /* none is to be prepared or run any more */
    bool abandoned; /* nothing is waited for any more */
    rs_queue_fill fill;
    void *fill_arg;
} rs_queue;

typedef enum rs_taken {
    RS_TAKEN,
    RS_TAKEN_LATER, /* nothing within the time */
    RS_TAKEN_NEVER  /* nothing will come any more */
} rs_taken;

typedef struct rs_ticket {
    rs_stage stage;
    size_t place;
} rs_ticket;

/* At least one place. Launches of more than `most_bytes` together do not enter, but one alone
 * always does. RS_EMEMORY. */
rs_status rs_queue_make(rs_queue *queue, size_t places, uint64_t most_bytes, rs_queue_fill fill,
                        void *fill_arg);
void rs_queue_free(rs_queue *queue); /* once no thread uses it; a zeroed queue is allowed */

/* Adds places for guests, who may come until rs_queue_dismiss; before any thread uses it.
 * RS_EMEMORY. */
rs_status rs_queue_invite(rs_queue *queue, size_t guests);
void rs_queue_dismiss(rs_queue *queue);

/* Gives a guest of so many bytes a place, to be passed by rs_queue_return once it lies there. LATER
 * where there is no room, NEVER where nothing is waited for any more. */
rs_taken rs_queue_enter(rs_queue *queue, uint64_t bytes, rs_ticket *ticket);

/* There may be a launch now where `fill` had none yet, or none will come. */
void rs_queue_refill(rs_queue *queue);

/* Takes the next launch that waits for one of the stages, a set of bits 1 << stage; the later stage
 * first. Waits up to `seconds`: 0 does not wait, INFINITY waits for as long as it takes. */
rs_taken rs_queue_take(rs_queue *queue, unsigned stages, double seconds, rs_ticket *ticket);

/* Hands a launch that was taken on to its next stage. */
void rs_queue_pass(rs_queue *queue, rs_ticket ticket);

/* Gives a launch back that was taken to be run, before all younger ones, or a guest to be stored:
 * another thread takes it. */
void rs_queue_return(rs_queue *queue, rs_ticket ticket);

/* From now on nothing is taken to be prepared or run; what has run is still finished and stored. */
void rs_queue_close(rs_queue *queue);

/* From now on no thread waits either: what is not ready will never be. */
void rs_queue_abandon(rs_queue *queue);

#endif
