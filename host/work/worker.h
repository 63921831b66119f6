/* worker: a launch in, results out. Knows no store, no progress and no threads: the
 * four steps of a launch may each be called from another thread, one after the other.
 *
 *     begin    whose weights each case uses                       in the order of the launches
 *     prepare  draws weights, start states and loss gradients     on any thread
 *     run      the engine on a device                             on the worker's one thread
 *     finish   norms to profiles, decay rates and ranges          on any thread
 *
 * The workers of all devices have one source of weights. */
#ifndef RS_WORKER_H
#define RS_WORKER_H

#include "../fit/lyapunov.h"
#include "launch.h"
#include "shared_weights.h"

/* One case of a launch on its way. */
typedef struct rs_task {
    const rs_case *one;
    rs_shared_weights *weights; /* NULL where there was no memory for them */
    double *gradient;           /* [B][H] loss gradient */
    double step_gradient;
    rs_point *point;         /* [radii of the launch], good after finish */
    double *tangents;        /* [radii][rs_tangent_results] what the points' exponents and singular
                                values point into; NULL without */
    rs_stretch_sum *stretch; /* [radii] sums over samples on the way to them, until finish */
    double *stretches;       /* [radii][rs_tangent_sums] what those point into */
    double
        *profiles; /* [radii][curves][RS_CURVE_ARRAYS][T], what the points' profiles point into */
    rs_status status; /* RS_OK, why it failed, or RS_EINTERRUPTED where it has not been run */
    char *reason;     /* the message of a failure; owned */
    /* Its share of the launch; tangents and their QRs are in the forward pass, gradients in the
     * backward pass. */
    double forward_seconds, backward_seconds, transfer_seconds;
} rs_task;

/* Norms that the engine has written and that are in no profile yet. */
typedef struct rs_norms {
    rs_record record;
    rs_chunk chunk;
    size_t first_task, tasks; /* whose norms: 0 tasks where there are none */
} rs_norms;

typedef struct rs_work {
    rs_launch launch;
    rs_task *task; /* [launch.groups] */
    rs_norms norms;
} rs_work;

/* Where the weights of all launches come from. */
typedef struct rs_weight_source {
    const rs_model *model;      /* NULL without one */
    rs_radii *radii;            /* that are known; NULL for none */
    size_t groups;              /* most cases of a launch */
    rs_shared_weights **latest; /* [groups] of the launch that was begun last */
} rs_weight_source;

typedef struct rs_worker {
    const rs_weight_source *source;
    const rs_engine *engine;
    void *engine_state;
    bool
        on_host; /* its memory is the host's: loading weights counts as forward, else as transfer */
    rs_tick tick; /* with the part of a launch that is done; false to stop */
    void *tick_arg;
    rs_parameters *parameters; /* [groups] of the launch that runs */
    rs_columns *columns;       /* [groups] likewise */
    double engine_seconds;     /* within the engine */
    double transfer_seconds;   /* of the engine: see rs_record */
} rs_worker;

/* Room for launches of up to `launches->groups` cases; model and radii are the caller's to set,
 * before or after. RS_EMEMORY. Freed with rs_weight_source_free in any case. */
rs_status rs_weight_source_make(rs_weight_source *source, const rs_launches *launches);
void rs_weight_source_free(rs_weight_source *source);

/* Weights of the model for a case of the plan, before any launch: bad ones are the user's input,
 * found here once. */
rs_status rs_weight_source_check(rs_weight_source *source, const rs_case *one);

/* Room for launches of up to `launches->groups` cases; the other members are the caller's to set,
 * before or after. RS_EMEMORY. Freed with rs_worker_free in any case; the engine is not closed. */
rs_status rs_worker_make(rs_worker *worker, const rs_launches *launches);
void rs_worker_free(rs_worker *worker);

rs_status rs_work_make(const rs_launches *launches, rs_work *out); /* RS_EMEMORY */
void rs_work_free(rs_work *work);

/* Makes tasks of the cases of work->launch. A task uses the weights of the task in its place in the
 * launch begun before, where they are the same. Never at once with itself. */
void rs_work_begin(rs_weight_source *source, rs_work *work);

/* Failures are kept in the tasks. */
void rs_work_prepare(const rs_weight_source *source, rs_work *work);

/* Room for the points of a task of the launch, which point to exponents of zeros where it has
 * tangents, and to curves of zeros, or to none where `curves` says so. RS_EMEMORY. */
rs_status rs_task_make_points(const rs_launch *launch, bool curves, rs_task *task);

/* Doubles of the curves of a task of the launch, and of what its tangents gave. */
size_t rs_task_curve_length(const rs_launch *launch);
size_t rs_task_tangent_length(const rs_launch *launch);

/* Prepares the tasks of a launch again that has run, so that another worker can run it. */
void rs_work_renew(const rs_weight_source *source, rs_work *work);

/* Runs the launch. Where it fails as a whole one of its cases may be to blame for all: then each is
 * prepared and run alone, and a failure is its own. RS_EINTERRUPTED where the tick said so, the
 * tasks not yet run having that status; else RS_OK. */
rs_status rs_work_run(rs_worker *worker, rs_work *work);

/* Why, where the device failed with every case of the launch; else NULL. */
const char *rs_work_device_failure(const rs_work *work);

/* Of the tasks that have run. */
void rs_work_finish(rs_work *work);

/* Frees what the tasks hold. */
void rs_work_clear(rs_work *work);

#endif
