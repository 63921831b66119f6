#include "definition.h"

static const column failures_own[] = {
    {"seed", UNSIGNED, ALWAYS, NAMES, "c.seed", NULL, "seed of the weights and inputs"},
    {"reason", TEXT, ALWAYS, RESULT, "f.reason", NULL,
     "why the case failed, or what a sweep went on without"},
    {"run", WHOLE, ALWAYS, BESIDE, "f.run_id", NULL, "number of the run, in the table runs"},
};

/* A device that was lost on the way is a row too, of no case: others have computed its part. */
static const char failures_from[] =
    " FROM (SELECT id, reason, run_id FROM cases WHERE status = 'failed'"
    " UNION ALL SELECT NULL, outcome, id FROM runs WHERE outcome GLOB '*without device*') f"
    " LEFT JOIN cases c ON c.id = f.id ORDER BY %s, " SEED_ORDER ", f.run_id";

const definition rs_failures_table = {
    .name = "failures",
    .about = "cases that failed and devices that were lost, and why",
    .of_cases = true,
    OWN_COLUMNS(failures_own),
    .from = failures_from,
    .next = rs_table_next_plain,
};
