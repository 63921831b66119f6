/* The one loop: weights, engine, fit, store; for every case that the database lacks. */
#ifndef RS_PIPELINE_H
#define RS_PIPELINE_H

#include "spec.h"

typedef struct rs_sweep_outcome {
    size_t cases;   /* of the plan */
    size_t skipped; /* were complete in the database */
    size_t done, failed;
    double seconds;
    double transfer_seconds; /* of the engine: see rs_profile */
} rs_sweep_outcome;

/* Runs or resumes the sweep of a checked spec. `command_line` is kept as provenance. Nothing is
 * written before spec, model, plan, memory and database are found good. RS_EINTERRUPTED after
 * Ctrl-C, all finished cases being stored; RS_EDEVICE where cases failed (their rows say why).
 * *outcome is filled in any case. */
rs_status rs_sweep(const rs_spec *spec, const char *command_line, rs_sweep_outcome *outcome);

/* The same on a given engine, whatever the spec names (for tests). */
rs_status rs_sweep_on(const rs_engine *engine, const rs_spec *spec, const char *command_line,
                      rs_sweep_outcome *outcome);

#endif
