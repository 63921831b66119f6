/* storing: the thread that stores what the crew has finished, the one writer of the database. Cases
 * are committed in groups, as soon as no further one is ready and at least four times a second. */
#ifndef RS_STORING_H
#define RS_STORING_H

#include "../fit/finding.h"
#include "../store/store.h"
#include "crew.h"

typedef struct rs_storing {
    rs_crew *crew;
    rs_store *store;
    int64_t run_id;
    rs_finding finding; /* gets the rates, unless the spec is quiet */
    double *rates;      /* [n_rho] of one case */
    rs_thread thread;
    /* Of the thread while it runs: */
    bool open; /* a transaction */
    double opened;
    size_t open_done, open_failed; /* cases in it */
    size_t done, failed;           /* cases committed */
} rs_storing;

/* Room for the finding and the rates of crew->spec; crew, store and run_id are set. RS_EMEMORY.
 * Freed with rs_storing_free in any case. */
rs_status rs_storing_make(rs_storing *storing);
void rs_storing_free(rs_storing *storing);

/* Starts the thread, which ends with the crew's queue; where the store fails it stops the crew.
 * RS_EMEMORY. */
rs_status rs_storing_start(rs_storing *storing);

#endif
