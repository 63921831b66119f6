/* What earlier sweeps left in the database: those points are not computed again. */
#ifndef RS_STORED_H
#define RS_STORED_H

#include "../fit/finding.h"
#include "../store/store.h"
#include "../work/launch.h"

typedef struct rs_stored {
    rs_store *store;
    int64_t run_id;
    const rs_spec *spec;
    const rs_plan *plan;
    rs_launches *launches; /* whose points it marks as done */
    rs_finding *finding;   /* gets the stored rates, unless the spec is quiet */
    double *rates;         /* [n_rho] room for those of one case */
} rs_stored;

/* Reads all points of the spec's shard that the database holds with all that the spec asks for, and
 * adds the spec's norm to clip to to their cases. RS_EINTERRUPTED, and the store's errors. */
rs_status rs_stored_read(const rs_stored *stored);

#endif
