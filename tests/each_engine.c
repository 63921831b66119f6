#include "each_engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../kernels/cpu/kernel.h"
#include "engine_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether the device can run the engine as the environment says: not all have clusters. */
static bool device_is_able(const rs_engine *engine) {
    rs_shape const shape = {.groups = 1, .radii = 1, .batch = 1, .hidden = 8, .steps = 1};
    bool const able = engine_takes(engine, &shape);
    if (!able) print_message("skipped: %s\n", rs_message());
    return able;
}

/* Runs the check with an environment variable set to each of the names. */
static void for_each_name(engine_check run, const rs_engine *engine, const char *variable,
                          const char *const *names) {
    for (; *names; ++names) {
        setenv(variable, *names, 1);
        if (device_is_able(engine)) run(engine);
    }
    unsetenv(variable);
}

static void in_each_way(engine_check run, const rs_engine *engine) {
    if (strcmp(engine->name, "cpu") == 0) {
        const char *isa[8] = {NULL};
        size_t n = 0;
        for (const rs_cpu_kernel *const *k = rs_cpu_kernels(RS_F32); *k; ++k) isa[n++] = (*k)->isa;
        for_each_name(run, engine, "RHOSWEEP_ISA", isa);
    } else if (strcmp(engine->name, "cuda") == 0) {
        static const char *const path[] = {"", "small", "cluster", "persistent", "stepwise", NULL};
        for_each_name(run, engine, "RHOSWEEP_CUDA_PATH", path);
    } else {
        run(engine);
    }
}

void for_each_engine(engine_check run) {
    const char *only = getenv("RHOSWEEP_TEST_ENGINE");
    if (only && !rs_engine_named(only)) fail_msg("engine %s is not in this build", only);
    for (const rs_engine *const *e = rs_engines(); *e; ++e) {
        rs_device device;
        if (strcmp((*e)->name, "reference") == 0) continue;
        if (only && strcmp((*e)->name, only) != 0) continue;
        if ((*e)->device(0, &device) == RS_OK)
            in_each_way(run, *e);
        else if (only)
            fail_msg("%s", rs_message());
        else
            print_message("skipped: %s\n", rs_message());
    }
}

bool takes(const rs_engine *engine, const rs_shape *shape) {
    const char *path = getenv("RHOSWEEP_CUDA_PATH");
    bool const taken = engine_takes(engine, shape);
    if (!taken && !(path && *path)) fail_msg("%s", rs_message());
    return taken;
}

void describe(const rs_engine *engine, const rs_shape *s, char text[160]) {
    const char *isa = getenv("RHOSWEEP_ISA"), *path = getenv("RHOSWEEP_CUDA_PATH");
    static const char *const driven[] = {"", " noise", " driven"};
    snprintf(text, 160, "%s %s %s %s leak=%g H=%zu I=%zu B=%zu R=%zu T=%zu G=%zu warmup=%zu%s%s",
             engine->name,
             isa    ? isa
             : path ? path
                    : "",
             rs_precision_name(s->precision), rs_cell_name(s->cell), s->leak, s->hidden,
             s->input_size, s->batch, s->radii, s->steps, s->groups, s->warmup,
             s->raw ? " raw" : "", driven[s->drive]);
}

bool few_shapes(void) { return getenv("RHOSWEEP_TEST_SMALL") != NULL; }

bool fewest_shapes(void) { return few_shapes() && strcmp(getenv("RHOSWEEP_TEST_SMALL"), "2") == 0; }
