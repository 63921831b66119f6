#include "definition.h"

static const column seeds_own[] = {
    {"rho", REAL, ALWAYS, NAMES, "p.rho", "$\\rho$",
     "spectral radius of W_hh: measured, not the one asked for"},
    {"g", REAL, ALWAYS, NAMES, "p.g", "$g$",
     "coupling, the Frobenius norm of W_hh over sqrt(hidden)"},
    {"seed", UNSIGNED, ALWAYS, NAMES, "c.seed", NULL, "seed of the weights and inputs"},
    {"decay_rate", REAL, ALWAYS, RESULT, "p.decay_rate", "decay rate /\\\\nats per step",
     "decay rate of this network, in nats per step; positive vanishes, negative explodes"},
};
static const column seeds_tail[] = {
    {"rho_asked", REAL, NEVER, NAMES, "p.rho_asked", NULL,
     "spectral radius asked for; empty for W_hh as drawn or imported"},
};

static const char seeds_from[] = " FROM points p JOIN cases c ON c.id = p.case_id"
                                 " ORDER BY %s, p.rho_asked, " SEED_ORDER;

const definition rs_seeds_table = {
    .name = "seeds",
    .about = "decay rate of every network, as behind the rows of decay",
    .of_cases = true,
    OWN_COLUMNS(seeds_own),
    TAIL_COLUMNS(seeds_tail),
    .from = seeds_from,
    .next = rs_table_next_plain,
};
