#include "merge.h"

#include "../spec/quote.h"
#include "../store/merge.h"
#include "../sweep/interrupt.h"
#include "../sweep/progress.h"

typedef struct watch {
    rs_progress progress;
    bool started;
} watch;

static bool on_tick(void *arg, size_t done, size_t all) {
    watch *w = arg;
    if (!w->started) rs_progress_start(&w->progress, false, all, (double)all);
    w->started = true;
    rs_progress_points(&w->progress, 1, (double)done);
    return !rs_interrupted();
}

static void print_summary(const rs_merge_outcome *o, const char *output, size_t inputs, FILE *out) {
    fprintf(out, "%zu cases, %zu points from %zu database%s; ", o->cases, o->points, inputs,
            inputs == 1 ? "" : "s");
    rs_quote_path(out, output);
    fprintf(out, " has %zu cases, %zu points now", o->all_cases, o->all_points);
    if (o->failed) {
        fprintf(out, "; %zu failed: see rhosweep table failures ", o->failed);
        rs_quote_path(out, output);
    }
    fputc('\n', out);
}

rs_status rs_merge(const char *const *databases, size_t n, FILE *out) {
    watch w = {.started = false};
    rs_merge_outcome outcome;
    rs_merge_request const request = {.output = databases[0],
                                      .input = databases + 1,
                                      .inputs = n - 1,
                                      .tick = on_tick,
                                      .arg = &w};
    rs_interrupt_watch();
    rs_status const status = rs_store_merge(&request, &outcome);
    rs_progress_end(&w.progress);
    if (status == RS_OK) print_summary(&outcome, databases[0], n - 1, out);
    return status;
}
