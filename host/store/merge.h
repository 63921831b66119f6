/* merge: puts the databases of shards, or of any sweeps, together into one. */
#ifndef RS_MERGE_H
#define RS_MERGE_H

#include "store.h"

typedef struct rs_merge_request {
    const char *output;       /* made where it is missing; else what is in it stays */
    const char *const *input; /* [inputs] */
    size_t inputs;
    bool (*tick)(void *arg, size_t done, size_t all); /* points; false to stop */
    void *arg;
} rs_merge_request;

typedef struct rs_merge_outcome {
    size_t cases, points;         /* of the inputs */
    size_t all_cases, all_points; /* of the output, when it is done */
    size_t failed;                /* of all cases */
} rs_merge_outcome;

/* Adds runs, cases and points of the inputs to the output, in one transaction: all of it or
 * nothing. The order of the inputs changes nothing, and what is there already is not added again:
 * a run that is known by how it began, a case by its identity, a point by its radius. Of a case
 * that failed and was done the output says that it is done. RS_EINPUT, and the output as it was
 * (missing, where it was), where an input is no database of ours or of an earlier schema, is the
 * output itself, or has another result than the others for the same point; RS_EINTERRUPTED where
 * the tick said so. */
rs_status rs_store_merge(const rs_merge_request *request, rs_merge_outcome *outcome);

#endif
