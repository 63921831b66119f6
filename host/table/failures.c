#include "definition.h"

static const column failures_own[] = {
    {"seed", UNSIGNED, ALWAYS, "c.seed"},
    {"reason", TEXT, ALWAYS, "c.reason"},
    {"run", WHOLE, ALWAYS, "c.run_id"},
};

static const char failures_from[] =
    " FROM cases c WHERE c.status = 'failed' ORDER BY %s, " SEED_ORDER;

const definition rs_failures_table = {"failures",    true, COLUMNS(failures_own), NULL, 0,
                                      failures_from, NULL, rs_table_next_plain,   NULL};
