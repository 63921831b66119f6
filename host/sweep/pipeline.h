/* The sweep: hands out launches, takes results in, stores them; for every case that the database
 * lacks. The stages of a launch run beside each other (queue.h): helper threads prepare launches
 * ahead of the engine and finish those it is done with, one thread runs the engine, and one stores.
 * The caller's thread waits for them, and no longer than two seconds once it is interrupted.
 *
 * Launches under way are bounded in number, and in bytes by the memory budget and by what keeps all
 * threads busy (32 MiB, or two launches and one for every helper where that is more). Cases are
 * committed in groups, as soon as no further one is ready and at least four times a second, and
 * before the sweep ends, also when it is interrupted. So kill -9 costs the launches under way:
 * being prepared, computed or fitted, and a quarter of a second's results. Results depend on none
 * of this.
 *
 * There are as many helpers as --threads says, at most 32. The environment variable
 * RHOSWEEP_HELPERS sets another number, for tests. */
#ifndef RS_PIPELINE_H
#define RS_PIPELINE_H

#include "../../kernels/engine.h"
#include "../spec/spec.h"
#include "ranks.h"

typedef struct rs_sweep_outcome {
    size_t cases;   /* of the plan */
    size_t skipped; /* were complete in the database */
    size_t done, failed;
    double seconds;
    size_t workers;          /* devices */
    size_t lost;             /* of them, which failed on the way */
    double engine_seconds;   /* within the engine, of `seconds`, on all devices */
    double transfer_seconds; /* of the engine: see rs_record */
    char *finding;           /* lines to print, see finding.h; the caller frees it. NULL if quiet */
    bool abandoned; /* threads still compute, with the spec: end the process, free nothing */
} rs_sweep_outcome;

/* Runs or resumes the sweep of a checked spec. `command_line` is kept as provenance. Nothing is
 * written before spec, model, plan, memory and database are found good. RS_EINTERRUPTED after
 * Ctrl-C, all finished cases being stored: within two seconds, where threads that compute for
 * longer are left behind (see rs_sweep_outcome). RS_EDEVICE where cases failed (their rows say
 * why). *outcome is filled in any case. */
rs_status rs_sweep(const rs_spec *spec, const char *command_line, rs_sweep_outcome *outcome);

/* The same on all ranks, of which the first one stores. `engine`: NULL for the one that the spec
 * names. */
rs_status rs_sweep_among(rs_ranks *ranks, const rs_engine *engine, const rs_spec *spec,
                         const char *command_line, rs_sweep_outcome *outcome);

/* The same on a given engine, whatever the spec names (for tests and benchmarks). */
rs_status rs_sweep_on(const rs_engine *engine, const rs_spec *spec, const char *command_line,
                      rs_sweep_outcome *outcome);

#endif
