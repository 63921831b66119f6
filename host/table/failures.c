#include "definition.h"

static const column failures_own[] = {
    {"seed", UNSIGNED, ALWAYS, NAMES, "c.seed", NULL, "seed of the weights and inputs"},
    {"reason", TEXT, ALWAYS, RESULT, "c.reason", NULL, "why the case failed"},
    {"run", WHOLE, ALWAYS, BESIDE, "c.run_id", NULL, "number of the run, in the table runs"},
};

static const char failures_from[] =
    " FROM cases c WHERE c.status = 'failed' ORDER BY %s, " SEED_ORDER;

const definition rs_failures_table = {
    .name = "failures",
    .about = "cases that failed, and why",
    .of_cases = true,
    OWN_COLUMNS(failures_own),
    .from = failures_from,
    .next = rs_table_next_plain,
};
