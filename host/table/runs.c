#include "definition.h"

static const column runs_own[] = {
    {"run", WHOLE, ALWAYS, "r.id"},
    {"started", TEXT, ALWAYS, "r.started"},
    {"finished", TEXT, ALWAYS, "r.finished"},
    {"outcome", TEXT, ALWAYS, "r.outcome"},
    {"points", WHOLE, ALWAYS, "ifnull(t.points, 0)"},
    {"version", TEXT, ALWAYS, "r.version"},
    {"git_commit", TEXT, ALWAYS, "r.git_commit"},
    {"host", TEXT, ALWAYS, "r.host"},
    {"engine", TEXT, ALWAYS, "r.engine"},
    {"device", TEXT, ALWAYS, "r.device"},
    {"threads", WHOLE, ALWAYS, "r.threads"},
    {"command_line", TEXT, ALWAYS, "r.command_line"},
    {"system", TEXT, NEVER, "r.system"},
    {"driver", TEXT, NEVER, "r.driver"},
    {"isa", TEXT, NEVER, "r.isa"},
    {"memory", WHOLE, NEVER, "r.memory"},
    {"libraries", TEXT, NEVER, "r.libraries"},
    {"spec", TEXT, NEVER, "r.spec"},
    {"engine_s", REAL, NEVER, "r.engine_s"},
    {"wall_s", REAL, NEVER, "r.wall_s"},
    {"engine_busy", REAL, IF_ANY, "r.engine_s / r.wall_s"},
};

/* Points that the run computed: also those of which it brought no more than the gradients, or that
 * a later run has computed once more, with a curve. */
static const char runs_from[] =
    " FROM runs r LEFT JOIN (SELECT run_id, sum(radii) AS points FROM timings GROUP BY run_id) t"
    " ON t.run_id = r.id ORDER BY r.started, r.id";

const definition rs_runs_table = {
    .name = "runs",
    .about = "what was run, when, where and with which version",
    OWN_COLUMNS(runs_own),
    .from = runs_from,
    .next = rs_table_next_plain,
};
