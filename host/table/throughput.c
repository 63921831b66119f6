#include "definition.h"

#include <string.h>

enum { THROUGHPUT_GFLOPS = 8 }; /* of its own columns */

static const column throughput_own[] = {
    {"engine", TEXT, ALWAYS, NAMES, "c.engine", NULL, "engine that computed"},
    {"device", TEXT, ALWAYS, NAMES, "t.device", NULL, "processor or GPU"},
    {"hidden", WHOLE, ALWAYS, NAMES, "c.hidden", "$H$", HIDDEN_ABOUT},
    {"steps", WHOLE, ALWAYS, NAMES, "c.steps", "$T$", STEPS_ABOUT},
    {"batch", WHOLE, ALWAYS, NAMES, "c.batch", "$B$", BATCH_ABOUT},
    {"radii", WHOLE, ALWAYS, NAMES, "t.radii", "$R$", "radii computed at once"},
    {"forward_ms", REAL, ALWAYS, RESULT, "avg(t.forward_s) * 1e3", "forward /\\\\ms",
     "milliseconds of the forward pass, mean over cases"},
    {"backward_ms", REAL, ALWAYS, RESULT, "avg(t.backward_s) * 1e3", "backward /\\\\ms",
     "milliseconds of the backward pass, mean over cases"},
    /* Two products of H x H with a column in every recorded step, one forward, one backward: 4 H^2
     * operations for each gate. SQLite yields NULL for x / 0. */
    {"gflops", REAL, ALWAYS, RESULT,
     "4e-9 * c.hidden * c.hidden * t.columns * c.steps / avg(t.forward_s + t.backward_s)",
     "GFLOP/s", "1e9 floating-point operations of the recurrence per second"},
    {"column_steps_per_s", REAL, ALWAYS, BESIDE,
     "1.0 * t.columns * c.steps / avg(t.forward_s + t.backward_s)", "column\\\\steps / s",
     "steps per second, times columns: a column is one sample at one radius"},
    {"cell", TEXT, IF_VARIES, NAMES, "c.cell", NULL, CELL_ABOUT},
    {"precision", TEXT, IF_VARIES, NAMES, "c.precision", NULL, PRECISION_ABOUT},
    {"warmup", WHOLE, IF_VARIES, NAMES, "c.warmup", NULL, WARMUP_ABOUT},
    {"raw", WHOLE, IF_VARIES, NAMES, "c.raw", NULL, RAW_ABOUT},
    {"threads", WHOLE, IF_VARIES, NAMES, "t.threads", NULL, "threads of the processor"},
    {"host", TEXT, IF_VARIES, NAMES, "t.host", NULL, "name of the machine"},
    {"rank", WHOLE, IF_VARIES, NAMES, "t.rank", NULL, "of the process in an MPI job"},
    {"device_index", WHOLE, IF_VARIES, NAMES, "t.device_index", NULL,
     "of the engine's devices in the machine, from 0"},
    {"cases", WHOLE, IF_VARIES, BESIDE, "count(*)", NULL, "cases behind the row"},
};

#define THROUGHPUT_ORDER                                                                           \
    "c.engine, t.device, c.hidden, c.steps, c.batch, t.radii, c.cell, c.precision, "               \
    "c.warmup, c.raw, t.threads, t.host, t.rank, t.device_index"
static const char throughput_from[] = " FROM timings t JOIN cases c ON c.id = t.case_id"
                                      " GROUP BY " THROUGHPUT_ORDER " ORDER BY " THROUGHPUT_ORDER;

/* Of a cell by name; 1 where there is no such cell. */
static double gates_of(const cell *name) {
    for (int k = 0; k < RS_N_CELL; ++k)
        if (name->kind == TEXT && strcmp(name->text, rs_cell_name((rs_cell)k)) == 0)
            return (double)rs_cell_of((rs_cell)k)->gates;
    return 1.0;
}

static rs_status next_throughput(source *from, cell *row, bool *more) {
    RS_TRY(rs_table_next_plain(from, row, more));
    cell *const gflops = row + from->table->own + THROUGHPUT_GFLOPS;
    if (*more && gflops->kind == REAL)
        gflops->real *= gates_of(rs_cell_named(from->table, row, "cell"));
    return RS_OK;
}

const definition rs_throughput_table = {
    .name = "throughput",
    .about = "times and rates of the engines",
    OWN_COLUMNS(throughput_own),
    .from = throughput_from,
    .next = next_throughput,
};
