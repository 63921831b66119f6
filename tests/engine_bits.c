#include "engine_bits.h"

#include "../kernels/cpu/cpu.h"
#include "engine_case.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static const struct {
    size_t hidden, radii, batch, steps;
} size[] = {
    {2, 3, 3, 50},  {10, 16, 1, 40}, {16, 5, 7, 40},  {37, 4, 9, 30},
    {64, 7, 5, 20}, {100, 3, 5, 16}, {128, 2, 17, 8}, {257, 1, 3, 6},
};

/* In the order that they came to the file: all sizes of the first three, then all of the others. */
static const cell_kind kind[] = {{RS_TANH, 0.0}, {RS_RELU, 0.0}, {RS_LINEAR, 0.0},
                                 {RS_LSTM, 0.0}, {RS_GRU, 0.0},  {RS_TANH, 0.3}};
enum { SIZES = sizeof size / sizeof *size, CELLS = 3, WAYS = 2 * RS_N_PRECISION };
enum { KINDS = CELLS * WAYS, PARTS = sizeof kind / sizeof *kind / CELLS };

size_t engine_bits_cases(void) { return (size_t)PARTS * SIZES * KINDS; }

/* Radii from vanishing to chaos, where a last bit that differs soon differs much. */
static rs_shape shape_of(size_t i) {
    size_t const part = i / KINDS / SIZES, at = i / KINDS % SIZES, way = i % WAYS;
    cell_kind const of = kind[part * CELLS + i % KINDS / WAYS];
    return (rs_shape){.groups = 2,
                      .radii = size[at].radii,
                      .batch = size[at].batch,
                      .hidden = size[at].hidden,
                      .steps = size[at].steps,
                      .warmup = at % 3,
                      .cell = of.cell,
                      .leak = of.leak,
                      .precision = (rs_precision)(way / 2),
                      .raw = way % 2,
                      .drive = RS_DRIVE_WEIGHTED};
}

/* FNV-1a, byte by byte from the lowest. */
static void add(uint64_t *digest, uint64_t value) {
    for (int byte = 0; byte < 8; ++byte, value >>= 8)
        *digest = (*digest ^ (value & 0xff)) * UINT64_C(1099511628211);
}

/* A NaN's sign and payload mean nothing, and processors differ in them. */
static uint64_t bits_of(double x) {
    union {
        double number;
        uint64_t bits;
    } const u = {.number = isnan(x) ? 0.0 : x};
    return isnan(x) ? UINT64_MAX : u.bits;
}

static uint64_t digest_of(const rs_shape *shape, const rs_record *p) {
    uint64_t digest = UINT64_C(14695981039346656037);
    size_t const columns = shape->radii * shape->batch;
    size_t const states = rs_cell_of(shape->cell)->states;
    for (size_t i = 0; i < shape->groups * shape->steps * columns; ++i) {
        size_t const step = i / columns, column = i % columns;
        for (size_t k = 0; k < states; ++k)
            add(&digest, bits_of(p->norm2[(step * states + k) * columns + column]));
        add(&digest, (uint64_t)(int64_t)p->exponent[i]);
    }
    for (size_t i = 0; i < shape->groups * columns; ++i) add(&digest, p->nonfinite_step[i]);
    return digest;
}

void engine_bits_line(size_t i, char line[128]) {
    rs_shape const shape = shape_of(i);
    engine_case c = engine_case_make(shape, 0.3, 3.0, 29);
    for (size_t g = 0; g < shape.groups; ++g) c.columns[g].step_delta = g ? 1e-3 : 0.0;
    rs_record profile = run_case(&rs_engine_cpu, &c, 1);
    char leak[32] = "";
    if (shape.leak > 0.0) snprintf(leak, sizeof leak, " leak=%g", shape.leak);
    snprintf(line, 128, "%s %s%s%s H=%zu R=%zu B=%zu T=%zu: %016" PRIx64,
             rs_precision_name(shape.precision), rs_cell_name(shape.cell), leak,
             shape.raw ? " raw" : "", shape.hidden, shape.radii, shape.batch, shape.steps,
             digest_of(&shape, &profile));
    rs_record_free(&profile);
    engine_case_free(&c);
}
