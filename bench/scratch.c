#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

rs_status rs_bench_scratch_make(rs_bench_scratch *out) {
    const char *const parent = getenv("TMPDIR");
    *out = (rs_bench_scratch){0};
    snprintf(out->folder, sizeof out->folder, "%s/rhosweep_bench_XXXXXX",
             parent && *parent ? parent : "/tmp");
    if (!mkdtemp(out->folder)) {
        out->folder[0] = '\0';
        return rs_fail(RS_EIO,
                       "%s: cannot make a folder there: set TMPDIR to one that can be "
                       "written",
                       parent && *parent ? parent : "/tmp");
    }
    snprintf(out->path, sizeof out->path, "%s/cases.db", out->folder);
    return RS_OK;
}

void rs_bench_scratch_clear(const rs_bench_scratch *scratch) {
    static const char *const suffix[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof suffix / sizeof *suffix; ++i) {
        char file[320];
        snprintf(file, sizeof file, "%s%s", scratch->path, suffix[i]);
        unlink(file); /* most are gone already */
    }
}

void rs_bench_scratch_remove(rs_bench_scratch *scratch) {
    if (!scratch->folder[0]) return;
    rs_bench_scratch_clear(scratch);
    rmdir(scratch->folder);
    *scratch = (rs_bench_scratch){0};
}
