/* ranks: the processes of an MPI job, which talk to rank 0 and to no other. A process that no
 * launcher started along with others is alone: then nothing of MPI is loaded. */
#ifndef RS_RANKS_H
#define RS_RANKS_H

#include "message.h"
#include "mpi_library.h"

typedef struct rs_ranks {
    const rs_mpi *mpi; /* NULL: this process is alone */
    rs_mpi_place place;
    struct rs_sending *sending; /* what others have not received yet */
    size_t unsent;
    bool broken; /* some rank may never come to the end: see rs_ranks_end */
} rs_ranks;

/* What a message is about. */
typedef enum rs_rank_tag {
    RS_TAG_STATUS,   /* to 0: how a step went */
    RS_TAG_VERDICT,  /* from 0: how it went on all ranks */
    RS_TAG_FACTS,    /* to 0: of devices and launches */
    RS_TAG_SETTINGS, /* from 0: what all ranks do alike */
    RS_TAG_REQUEST,  /* to 0: for a launch */
    RS_TAG_LAUNCH,   /* from 0: the answer */
    RS_TAG_RESULT,   /* to 0: a launch, finished */
    RS_TAG_LINE,     /* to 0: text for the user */
    RS_TAG_BYE,      /* to 0: the last message */
    RS_TAG_STOP      /* from 0: nothing more is to be computed */
} rs_rank_tag;

typedef struct rs_received {
    int from;
    rs_message_in in;
    unsigned char *data; /* what `in` reads; to be freed */
} rs_received;

/* How many processes the environment says a launcher has started together, and the variable that
 * says so; 1 and NULL without one. */
unsigned long rs_ranks_launched(const char **variable);

/* Joins the other processes that were started with this one, if there are any. RS_EINPUT where this
 * build or this machine has no MPI for that: each process would do all the work. */
rs_status rs_ranks_begin(rs_ranks *ranks);

/* The last call, with how it went: where the ranks are broken, and after Ctrl-C, rank 0 ends the
 * job. Waits for the other ranks to end, too, but after Ctrl-C for no longer than five seconds. */
void rs_ranks_end(rs_ranks *ranks, rs_status status);

/* Rank 0, or alone; `ranks` may be NULL for alone. */
static inline bool rs_ranks_are_several(const rs_ranks *ranks) { return ranks && ranks->mpi; }
static inline bool rs_ranks_is_first(const rs_ranks *ranks) {
    return !rs_ranks_are_several(ranks) || ranks->place.rank == 0;
}

/* Each rank says how a step went and, by a number, what it is about. Returns on every rank the
 * failure of the lowest rank that has one, else RS_EINPUT where the numbers differ. Alone: status.
 */
rs_status rs_ranks_agree(rs_ranks *ranks, rs_status status, uint64_t about);

/* Begins to send, and takes the message over. RS_EMEMORY. */
rs_status rs_ranks_send(rs_ranks *ranks, int to, rs_rank_tag tag, rs_message_out *message);

/* Bytes of the next message with the tag, about; 0 where there is none. */
size_t rs_ranks_peek(rs_ranks *ranks, rs_rank_tag tag);

/* Whether there was a message to receive. Out of memory counts as a damaged message. */
bool rs_ranks_receive(rs_ranks *ranks, rs_rank_tag tag, rs_received *out);

/* Waits for one. RS_EINTERRUPTED, a moment after Ctrl-C: then the ranks are broken. */
rs_status rs_ranks_wait(rs_ranks *ranks, rs_rank_tag tag, rs_received *out);

/* Lets go of what has been received elsewhere, and sleeps for half a millisecond. */
void rs_ranks_pause(rs_ranks *ranks);

/* Of `n` devices the process that is number `local` of `locals` on its machine takes those from
 * *first on, *step apart; of more processes than devices, several take the same one. */
void rs_ranks_share(size_t n, int local, int locals, size_t *first, size_t *step);

#endif
