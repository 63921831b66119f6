/* crew: the threads of this process that take launches through preparing, running and finishing:
 * helpers, and a hand for every device. Who hands the launches out and who takes the results in is
 * not its business: see rs_queue.
 *
 * A hand whose device fails with all cases of a launch gives it back, and waits for what becomes of
 * it: where another device can run it, the first one is lost, and its hand goes home. The last hand
 * keeps its launches, and their cases fail. */
#ifndef RS_CREW_H
#define RS_CREW_H

#include "../plan/plan.h"
#include "../store/provenance.h"
#include "../work/worker.h"
#include "progress.h"
#include "queue.h"
#include "ranks.h"
#include "thread.h"

#include <stdatomic.h>

enum { RS_MAX_HELPERS = 32 }; /* OpenBLAS serves a limited number of threads at once */

typedef enum rs_verdict {
    RS_VERDICT_NONE,
    RS_VERDICT_LAUNCH, /* no other device could run it either */
    RS_VERDICT_DEVICE  /* another one could */
} rs_verdict;

/* One device and the thread that drives it. */
typedef struct rs_hand {
    struct rs_crew *crew;
    size_t index; /* of the engine's devices */
    rs_device device;
    rs_resources resources;
    uint64_t memory; /* bytes it may use */
    rs_worker worker;
    rs_origin origin; /* of what it computes */
    rs_thread thread;
    rs_verdict verdict;   /* on the launch it gave back */
    bool lost;            /* the device is */
    char reason[512];     /* why */
    double running, part; /* work of the launch that it runs, and of that so far */
} rs_hand;

typedef struct rs_crew {
    const rs_spec *spec;
    const rs_engine *engine;
    rs_mpi_place place; /* among the ranks, set before it is made; zeros for a process alone */
    rs_device host;     /* for its threads and memory */
    char host_name[RS_HOST_NAME];
    rs_model model_storage;
    const rs_model *model; /* NULL without one */
    rs_plan plan;
    rs_launches launches;
    rs_radii radii;
    rs_weight_source source;
    rs_hand *hand; /* [hands] */
    size_t hands;
    size_t mates;             /* ranks that use the same device as this one, itself included */
    rs_work *work;            /* [works] one for every place of the queue */
    const rs_origin **origin; /* [works] of the device that ran it, NULL before */
    rs_hand **given_back;     /* [works] by whom, NULL for nobody */
    size_t works, guests;     /* the guests are the last ones of the works */
    rs_queue queue;
    rs_thread helper[RS_MAX_HELPERS];
    size_t helpers;
    rs_progress progress;
    atomic_bool stopped;
    pthread_mutex_t lock; /* of what follows, and of verdicts and parts */
    size_t at_work;       /* hands that neither wait for a verdict nor have gone home */
    double finished;      /* work of launches that have run */
} rs_crew;

/* Plans the sweep of a checked spec for the devices that it names of this engine: all that can be
 * found wrong before a byte is written. RS_EINPUT, RS_EDEVICE, RS_EMEMORY. Freed with rs_crew_free
 * in any case. */
rs_status rs_crew_make(const rs_engine *engine, const rs_spec *spec, rs_crew *crew);

/* Opens the engine on every device. */
rs_status rs_crew_open(rs_crew *crew);

/* Starts the threads on the launches that `fill` puts into crew->work[place]; see rs_crew_fill.
 * RS_EMEMORY. */
rs_status rs_crew_start(rs_crew *crew, rs_queue_fill fill, void *fill_arg);

/* To be called by `fill` once it has put a launch into crew->work[place]; the load to return. */
rs_queue_load rs_crew_begin(rs_crew *crew, size_t place);

/* Counts what another rank has finished. */
void rs_crew_count(rs_crew *crew, const rs_work *work);

/* Nothing more is to be prepared or run; what runs ends early. From any thread. */
void rs_crew_stop(rs_crew *crew);

/* Waits for all threads, once Ctrl-C has come no longer than until `late` says so; false where some
 * are left behind, which use what the crew holds: then nobody waits for launches any more. */
bool rs_crew_wait(rs_crew *crew, bool (*late)(void *arg), void *late_arg);

/* The first failure of a hand. RS_EINTERRUPTED after Ctrl-C. */
rs_status rs_crew_outcome(const rs_crew *crew);

/* Within the engine and between host and device, of all hands; NaN while one still counts. */
double rs_crew_engine_seconds(const rs_crew *crew);
double rs_crew_transfer_seconds(const rs_crew *crew);

/* Once no thread uses it. */
void rs_crew_free(rs_crew *crew);

#endif
