/* launch: which cases run together, and the rectangles they are cut into. A launch is
 * made of cases of one shape that lack the same radii. */
#ifndef RS_LAUNCH_H
#define RS_LAUNCH_H

#include "../plan/plan.h"

/* All cases of a plan, on the way from "to be done" to launches. */
typedef struct rs_launches {
    const rs_spec *spec;
    const rs_plan *plan;
    rs_cut *cut; /* [n_cuts] for every shape, in the order of first appearance */
    size_t n_cuts;
    uint32_t *cut_of;           /* [plan->n] */
    size_t cases;               /* of the spec's shard: only they are to be done */
    size_t groups;              /* most cases of any launch */
    rs_shape largest;           /* rectangle of most engine bytes: what the engine is opened for */
    uint64_t most_engine_bytes; /* of `largest` */
    uint64_t most_host_bytes;   /* that the driver holds for any launch */
    uint64_t most_making_bytes; /* that a thread needs while it prepares any */
    bool *done;   /* [plan->n][n_rho] points that are not to be computed; the caller sets them */
    bool *taken;  /* [plan->n] in a launch already, or of another shard */
    size_t first; /* all cases before are taken or done */
    size_t handed_out; /* cases in launches so far */
} rs_launches;

typedef struct rs_launch {
    const rs_cut *cut;
    rs_case *one;  /* [groups] */
    size_t *index; /* [groups] of the cases in the plan */
    bool *done;    /* [n_rho] radii of the spec that it leaves out */
    double *rho;   /* [radii] asked for; NaN for native */
    double *scale; /* [radii][K] of the cases' gates */
    size_t groups, radii;
    rs_shape whole;      /* of one of its cases, with these radii and all samples */
    uint64_t host_bytes; /* that the driver holds for it */
} rs_launch;

/* Cuts every shape of the spec's shard for this engine and its device `index` within `memory`;
 * nothing is done yet. RS_EINPUT where a shape does not fit or the engine does not support it,
 * RS_EMEMORY. Borrows spec and plan. Freed with rs_launches_free in any case. */
rs_status rs_launches_make(const rs_engine *engine, size_t index, const rs_device *device,
                           const rs_resources *resources, uint64_t memory, const rs_spec *spec,
                           const rs_plan *plan, rs_launches *out);
void rs_launches_free(rs_launches *launches);

/* Multiplications of a forward pass of one case with so many radii, those of its tangents included:
 * a measure of its time. */
double rs_launch_work(const rs_case *one, size_t radii);

/* Points of case i that are to be computed. */
size_t rs_launches_missing(const rs_launches *launches, size_t i);

/* Room for any launch. RS_EMEMORY. Freed with rs_launch_free in any case. */
rs_status rs_launch_make(const rs_launches *launches, rs_launch *out);
void rs_launch_free(rs_launch *launch);

/* Gathers the next launch, in the order of the plan; false where no case is left. */
bool rs_launches_next(rs_launches *launches, rs_launch *out);

/* Makes the launch of those of the plan's cases that its index, groups and done name: of one shape,
 * at least one, and no more than the cut of their shape allows. */
void rs_launch_fill(const rs_launches *launches, rs_launch *launch);

/* The shape of the largest rectangle of `groups` of its cases. */
rs_shape rs_launch_piece(const rs_launch *launch, size_t groups);

/* The k-th rectangle of a launch: the samples of a radius in ascending order, as its sums need
 * them; false where there are fewer. */
bool rs_launch_chunk(const rs_launch *launch, size_t k, rs_chunk *out);

#endif
