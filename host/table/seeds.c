#include "definition.h"

static const column seeds_own[] = {
    {"rho", REAL, ALWAYS, "p.rho"},
    {"g", REAL, ALWAYS, "p.g"},
    {"seed", UNSIGNED, ALWAYS, "c.seed"},
    {"decay_rate", REAL, ALWAYS, "p.decay_rate"},
};
static const column seeds_tail[] = {{"rho_asked", REAL, NEVER, "p.rho_asked"}};

static const char seeds_from[] = " FROM points p JOIN cases c ON c.id = p.case_id"
                                 " ORDER BY %s, p.rho_asked, " SEED_ORDER;

const definition rs_seeds_table = {
    .name = "seeds",
    .about = "decay rate of every network: the seeds behind the rows of decay",
    .of_cases = true,
    OWN_COLUMNS(seeds_own),
    TAIL_COLUMNS(seeds_tail),
    .from = seeds_from,
    .next = rs_table_next_plain,
};
