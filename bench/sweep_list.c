/* Which whole sweeps are timed: on every engine, and on one that takes no time. */
#include "gbench.h"
#include "idle_engine.h"
#include "suite.h"
#include "sweep.h"

#include <stdio.h>
#include <string.h>

/* ---- on engines that compute --------------------------------------------------------------- */

static rs_status add_one(rs_bench_sweep sweep) {
    for (int profiles = 1; profiles >= 0; --profiles) {
        const rs_bench_shape *const s = &sweep.shape;
        char name[256];
        snprintf(name, sizeof name, "sweep/%s/f32/tanh/H:%zu/B:%zu/R:%zu/T:%zu/seeds:%zu%s",
                 sweep.engine->name, s->hidden, s->batch, s->radii, s->steps, sweep.seeds,
                 profiles ? "" : "/profiles:no");
        sweep.profiles = profiles;
        RS_TRY(rs_bench_add_sweep(name, &sweep));
    }
    return RS_OK;
}

rs_status rs_bench_add_sweeps(const rs_bench_options *options) {
    for (const rs_engine *const *e = rs_engines(); *e; ++e) {
        rs_device device; /* rs_bench_add_engines says which engines are left out */
        if (strcmp((*e)->name, "reference") == 0 || (*e)->device(0, &device) != RS_OK) continue;
        for (size_t i = 0; i < options->n_sweeps; ++i)
            RS_TRY(add_one((rs_bench_sweep){.engine = *e,
                                            .shape = options->sweep[i].shape,
                                            .seeds = options->sweep[i].seeds,
                                            .threads = options->threads}));
    }
    return RS_OK;
}

/* ---- the host's stages alone --------------------------------------------------------------- */

/* Small networks, so that points cost and not weights: 32,000 points of 2,000 matrices. */
static rs_bench_shape const small = {.hidden = 10, .batch = 1, .radii = 16, .steps = 50};
enum { SMALL_SEEDS = 2000 };

/* As many devices as a writer has to feed, each with so many launches of ten milliseconds. */
static rs_status add_workers(rs_bench_sweep sweep, size_t launches) {
    sweep.launch_seconds = 0.01;
    for (size_t workers = 1; workers <= 64; workers *= 2) {
        char name[64];
        snprintf(name, sizeof name, "host/workers/W:%zu/launch_ms:10", workers);
        sweep.devices = workers;
        sweep.seeds = launches * workers;
        sweep.profiles = false;
        RS_TRY(rs_bench_add_sweep(name, &sweep));
    }
    return RS_OK;
}

rs_status rs_bench_add_stages(const rs_bench_options *options) {
    rs_bench_sweep stages = {.engine = &rs_idle_engine,
                             .shape = small,
                             .seeds = SMALL_SEEDS,
                             .threads = options->threads,
                             .rate = rs_idle_rate};
    RS_TRY(rs_bench_add_sweep("host/stages/profiles:no", &stages));
    stages.profiles = true;
    RS_TRY(rs_bench_add_sweep("host/stages/profiles:50", &stages));
    return add_workers(stages, options->seeds ? options->seeds : 200);
}
