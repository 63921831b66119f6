/* outpost: the side of all ranks but 0 in a sweep on several ranks. Its crew gets its launches from
 * rank 0, which gets the results. One thread, the one that calls MPI, carries both. */
#ifndef RS_OUTPOST_H
#define RS_OUTPOST_H

#include "facts.h"

enum { RS_OUTPOST_AHEAD = 2 }; /* launches that are asked for or wait, beside those under way */

typedef struct rs_outpost {
    rs_ranks *ranks;
    rs_crew *crew;
    pthread_mutex_t lock; /* of all below */
    rs_received next[RS_OUTPOST_AHEAD];
    size_t waiting;                        /* of them */
    size_t asked;                          /* for */
    bool ended;                            /* none is left */
    bool told;                             /* by rank 0 to stop */
    rs_status status;                      /* of reading them */
    struct rs_outpost_line *first, **last; /* for the user, not sent yet */
} rs_outpost;

/* Sends the lines for the user to rank 0; before the crew is made. */
void rs_outpost_make(rs_outpost *outpost, rs_ranks *ranks, rs_crew *crew);
void rs_outpost_free(rs_outpost *outpost);

/* Says what this rank is. RS_EMEMORY. */
rs_status rs_outpost_meet(rs_outpost *outpost);

/* Computes until rank 0 has nothing left. After Ctrl-C it stops to compute no later than `late`
 * says so, and to wait for rank 0 when `very_late` does: then the ranks are broken. `*abandoned`
 * where threads still compute. */
rs_status rs_outpost_serve(rs_outpost *outpost, bool (*late)(void *arg),
                           bool (*very_late)(void *arg), void *late_arg, bool *abandoned);

#endif
