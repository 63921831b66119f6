#include "definition.h"

static const column runs_own[] = {
    {"run", WHOLE, ALWAYS, NAMES, "r.id", NULL, "number of the run, in the order of starting"},
    {"started", TEXT, ALWAYS, RESULT, "r.started", NULL, "when it started (UTC)"},
    {"finished", TEXT, ALWAYS, BESIDE, "r.finished", NULL,
     "when it finished; empty while it runs, or after it was killed"},
    {"outcome", TEXT, ALWAYS, RESULT, "r.outcome", NULL, "how it ended"},
    {"points", WHOLE, ALWAYS, RESULT, "ifnull(t.points, 0)", NULL,
     "networks at a radius that it computed"},
    {"version", TEXT, ALWAYS, BESIDE, "r.version", NULL, "version of rhosweep"},
    {"git_commit", TEXT, ALWAYS, DETAIL, "r.git_commit", NULL, "commit that it was built from"},
    {"host", TEXT, ALWAYS, BESIDE, "r.host", NULL, "name of the machine"},
    {"engine", TEXT, ALWAYS, BESIDE, "r.engine", NULL, "engine that computed"},
    {"device", TEXT, ALWAYS, DETAIL, "r.device", NULL, "processor or GPU"},
    {"threads", WHOLE, ALWAYS, DETAIL, "r.threads", NULL, "threads of the processor"},
    {"command_line", TEXT, ALWAYS, RESULT, "r.command_line", NULL, "command line, for a shell"},
    {"workers", WHOLE, IF_VARIES, DETAIL, "r.workers", NULL, "devices that could compute at once"},
    {"hosts", TEXT, NEVER, DETAIL, "t.hosts", NULL, "machines that computed"},
    {"ranks", TEXT, NEVER, DETAIL, "t.ranks", NULL, "processes of an MPI job that computed"},
    {"devices", TEXT, NEVER, DETAIL, "t.devices", NULL, "devices that computed: host:rank:index"},
    {"system", TEXT, NEVER, DETAIL, "r.system", NULL, "operating system"},
    {"driver", TEXT, NEVER, DETAIL, "r.driver", NULL, "GPU driver"},
    {"isa", TEXT, NEVER, DETAIL, "r.isa", NULL, "instruction set of the engine's kernels"},
    {"memory", WHOLE, NEVER, DETAIL, "r.memory", NULL, "memory that it could use, in bytes"},
    {"libraries", TEXT, NEVER, DETAIL, "r.libraries", NULL, "libraries and their versions"},
    {"spec", TEXT, NEVER, DETAIL, "r.spec", NULL, "spec file that repeats it"},
    {"engine_s", REAL, NEVER, DETAIL, "r.engine_s", NULL,
     "seconds in which the engine computed, of all workers"},
    {"wall_s", REAL, NEVER, DETAIL, "r.wall_s", NULL, "seconds from start to end"},
    {"engine_busy", REAL, IF_ANY, DETAIL, "r.engine_s / r.wall_s / r.workers", NULL,
     "fraction of its time in which the engine computed"},
};

/* Points that the run computed: also those of which it brought no more than the gradients, or that
 * a later run has computed once more, with a curve. */
static const char runs_from[] =
    " FROM runs r LEFT JOIN"
    " (SELECT run_id, sum(points) AS points, group_concat(DISTINCT host) AS hosts,"
    " group_concat(DISTINCT rank) AS ranks,"
    " group_concat(host || ':' || rank || ':' || device_index) AS devices"
    " FROM (SELECT run_id, host, rank, device_index, sum(radii) AS points FROM timings"
    " GROUP BY run_id, host, rank, device_index ORDER BY run_id, host, rank, device_index)"
    " GROUP BY run_id) t ON t.run_id = r.id ORDER BY r.started, r.id";

const definition rs_runs_table = {
    .name = "runs",
    .about = "what was run, when, where and with which version",
    OWN_COLUMNS(runs_own),
    .from = runs_from,
    .next = rs_table_next_plain,
};
