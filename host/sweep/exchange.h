/* exchange: rank 0's side of a sweep on several ranks. It answers the others' requests for
 * launches and takes their results in, which become guests of the crew's queue. All of it is done
 * by one thread, the one that calls MPI, beside the crew and the storing thread. */
#ifndef RS_EXCHANGE_H
#define RS_EXCHANGE_H

#include "facts.h"

enum { RS_EXCHANGE_GUESTS = 8 }; /* results of other ranks that wait to be stored */

typedef struct rs_exchange {
    rs_ranks *ranks;
    rs_crew *crew;
    pthread_mutex_t pool; /* of the launches that are left */
    rs_peer *peer;        /* [ranks] that of this rank is not used */
    size_t here;          /* peers that have not left */
    rs_launch next;       /* that is being handed out */
    bool stopping;        /* the others know that nothing more is to be computed */
    rs_status status;     /* the first failure of another rank */
    char message[1024];
} rs_exchange;

/* Room, and what the others say of themselves: launches are made to fit every rank. RS_EMEMORY,
 * RS_EIO, RS_EINTERRUPTED. Freed with rs_exchange_free in any case; alone it does nothing. */
rs_status rs_exchange_make(rs_exchange *x, rs_ranks *ranks, rs_crew *crew);
void rs_exchange_free(rs_exchange *x);

/* The next launch of the pool, into crew->work[place]: for the crew's own queue. False where none
 * is left. */
bool rs_exchange_take(rs_exchange *x, rs_launch *out);

/* Serves the others until all have left, or `late` says so: then the ranks are broken. */
void rs_exchange_serve(rs_exchange *x, bool (*late)(void *arg), void *late_arg);

/* The first failure of another rank. */
rs_status rs_exchange_outcome(const rs_exchange *x);

/* Of all other ranks. */
size_t rs_exchange_hands(const rs_exchange *x);
double rs_exchange_engine_seconds(const rs_exchange *x);
double rs_exchange_transfer_seconds(const rs_exchange *x);

/* The first device of another rank that was lost, "device 0 (NAME) of rank 1 on HOST failed: why";
 * "" for none. Adds to *number how many there are. */
const char *rs_exchange_lost(const rs_exchange *x, size_t *number);

#endif
