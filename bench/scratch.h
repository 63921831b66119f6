/* A folder of its own for a database that a benchmark writes: in TMPDIR, else in /tmp. */
#ifndef RS_BENCH_SCRATCH_H
#define RS_BENCH_SCRATCH_H

#include "../kernels/base/status.h"

typedef struct rs_bench_scratch {
    char folder[256], path[300]; /* path: where the database goes; nothing is there yet */
} rs_bench_scratch;

/* RS_EIO where no folder can be made. */
rs_status rs_bench_scratch_make(rs_bench_scratch *out);

/* Removes the database, which must be closed. */
void rs_bench_scratch_clear(const rs_bench_scratch *scratch);

/* Removes the folder too. A zeroed scratch is allowed. */
void rs_bench_scratch_remove(rs_bench_scratch *scratch);

#endif
