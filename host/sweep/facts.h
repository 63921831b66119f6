/* facts: what the ranks must have in common, and what rank 0 needs to know of the others. */
#ifndef RS_FACTS_H
#define RS_FACTS_H

#include "crew.h"

/* Of another rank, as rank 0 knows it. */
typedef struct rs_peer {
    char host[RS_HOST_NAME];
    rs_origin *origin; /* [hands] */
    char **device;     /* [hands] names */
    size_t hands;
    bool same_libraries; /* as rank 0: radii that it finds have the bits of rank 0's */
    bool left;           /* has nothing more to say */
    size_t failures;     /* launches in a row that its devices have failed with */
    bool retired;        /* gets no more launches */
    size_t n_lost;       /* devices that failed on the way */
    char lost[1024];     /* the first of them, and why */
    double engine_seconds, transfer_seconds;
} rs_peer;

void rs_peer_free(rs_peer *peer); /* a zeroed one is allowed */

/* Equal where the same program would do the same with the same bits. */
uint64_t rs_facts_digest(const rs_crew *crew);

/* Of this rank's devices, libraries and launches. */
void rs_facts_put(rs_message_out *message, const rs_crew *crew);

/* Of another one's: launches are made of no more cases than fit there, too. RS_EIO, RS_EMEMORY. */
rs_status rs_facts_get(rs_received *got, rs_crew *crew, rs_peer *out);

/* What all ranks do alike: the size of launches; and the radii that are known. */
void rs_settings_put(rs_message_out *message, rs_crew *crew, bool radii);
rs_status rs_settings_get(rs_message_in *message, rs_crew *crew);

#endif
