/* Prints what the CUDA engine launches for shapes of a sweep: a line for each kernel and shape,
 * tabs between the fields. On the CPU runner, which runs no kernel here; the device is the one that
 * RHOSWEEP_CUDA_PROCESSORS and RHOSWEEP_CUDA_CAPABILITY describe. */
#include "../cuda_on_cpu/cuda_on_cpu.h"

#include "../../kernels/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RADII = 64, STEPS = 2, MOST_SEEN = 16 };

static struct {
    size_t hidden, columns;
} const shapes[] = {{10, 65536},  {64, 1024},  {64, 8192},   {64, 65536}, {128, 1024},
                    {128, 65536}, {256, 1024}, {256, 65536}, {512, 64}};

/* Of the shape at hand. */
static rs_shape shape;
static const char *seen[MOST_SEEN];

/* The first launch of every kernel that takes part in a pass. */
static void print_new(const rs_cuda_launch *launch) {
    if (!strstr(launch->kernel, "forward") && !strstr(launch->kernel, "backward")) return;
    size_t i = 0;
    for (; i < MOST_SEEN && seen[i]; ++i)
        if (seen[i] == launch->kernel) return;
    if (i == MOST_SEEN) return;
    seen[i] = launch->kernel;
    printf("%zu\t%zu\t%s\t%s\t%" PRIu64 "\t%u\t%u\t%zu\n", shape.hidden, shape.radii * shape.batch,
           rs_precision_name(shape.precision), launch->kernel, launch->blocks, launch->threads,
           launch->cluster, launch->shared);
}

static rs_status run(const rs_pass *pass, const rs_parameters *of, rs_record *out) {
    const rs_engine *engine = rs_engine_named("cuda");
    rs_resources const resources = {.threads = 1};
    void *state = NULL;
    rs_status status = engine->open(0, &pass->shape, &resources, &state);
    if (status == RS_OK) status = engine->load(state, &pass->shape, of);
    if (status == RS_OK) status = engine->run(state, pass, out);
    engine->close(state);
    return status;
}

static void *zeros(size_t count, size_t size) {
    void *const made = calloc(count, size);
    if (!made) exit(EXIT_FAILURE);
    return made;
}

/* All zero: no kernel reads it. */
static rs_status run_shape(void) {
    size_t const sheet = shape.batch * shape.hidden, gates = rs_cell_of(shape.cell)->gates;
    double *const weights = zeros(gates * shape.hidden * shape.hidden, sizeof *weights);
    double *const scale = zeros(shape.radii * gates, sizeof *scale);
    double *const delta = zeros(sheet, sizeof *delta);
    rs_parameters const of = {.weight_hh = weights};
    rs_columns const columns = {.scale = scale, .delta = delta, .drive = {.sigma = 1.0}};
    rs_pass const pass = {.shape = shape, .of = &columns};
    rs_record out;
    memset(seen, 0, sizeof seen);
    rs_status status = rs_record_make(&shape, &out);
    if (status == RS_OK) status = run(&pass, &of, &out);
    rs_record_free(&out);
    free(weights);
    free(scale);
    free(delta);
    return status;
}

static rs_status run_shapes(rs_cell cell, rs_precision precision) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i) {
        shape = (rs_shape){.groups = 1,
                           .radii = RADII,
                           .batch = shapes[i].columns / RADII,
                           .hidden = shapes[i].hidden,
                           .steps = STEPS,
                           .cell = cell,
                           .precision = precision,
                           .drive = RS_DRIVE_NOISE};
        RS_TRY(run_shape());
    }
    return RS_OK;
}

int main(void) {
    static const rs_cell cells[] = {RS_TANH, RS_LSTM, RS_GRU};
    rs_cuda_on_cpu_set_memory(UINT64_C(4) << 30);
    rs_cuda_on_cpu_watch(print_new);
    for (rs_precision precision = RS_F32; precision < RS_N_PRECISION; ++precision)
        for (size_t i = 0; i < sizeof cells / sizeof *cells; ++i) {
            if (run_shapes(cells[i], precision) == RS_OK) continue;
            fprintf(stderr, "cuda_launches: %s\n", rs_message());
            return EXIT_FAILURE;
        }
    return EXIT_SUCCESS;
}
