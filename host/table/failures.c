#include "definition.h"

static const column failures_own[] = {
    {"seed", UNSIGNED, ALWAYS, "c.seed"},
    {"reason", TEXT, ALWAYS, "c.reason"},
    {"run", WHOLE, ALWAYS, "c.run_id"},
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
