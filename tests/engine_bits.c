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
enum { SIZES = sizeof size / sizeof *size, KINDS = 2 * RS_N_CELL * RS_N_PRECISION };

size_t engine_bits_cases(void) { return (size_t)SIZES * KINDS; }

/* Radii from vanishing to chaos, where a last bit that differs soon differs much. */
static rs_shape shape_of(size_t i) {
    size_t const kind = i % KINDS;
    return (rs_shape){.groups = 2,
                      .radii = size[i / KINDS].radii,
                      .batch = size[i / KINDS].batch,
                      .hidden = size[i / KINDS].hidden,
                      .steps = size[i / KINDS].steps,
                      .warmup = i / KINDS % 3,
                      .cell = (rs_cell)(kind / 4),
                      .precision = (rs_precision)(kind / 2 % 2),
                      .raw = kind % 2,
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
    size_t const columns = shape->groups * shape->radii * shape->batch;
    for (size_t i = 0; i < columns * shape->steps; ++i) {
        add(&digest, bits_of(p->norm2[i]));
        add(&digest, (uint64_t)(int64_t)p->exponent[i]);
    }
    for (size_t i = 0; i < columns; ++i) add(&digest, p->nonfinite_step[i]);
    return digest;
}

void engine_bits_line(size_t i, char line[128]) {
    rs_shape const shape = shape_of(i);
    engine_case c = engine_case_make(shape, 0.3, 3.0, 29);
    for (size_t g = 0; g < shape.groups; ++g) c.columns[g].step_delta = g ? 1e-3 : 0.0;
    rs_record profile = run_case(&rs_engine_cpu, &c, 1);
    snprintf(line, 128, "%s %s%s H=%zu R=%zu B=%zu T=%zu: %016" PRIx64,
             rs_precision_name(shape.precision), rs_cell_name(shape.cell), shape.raw ? " raw" : "",
             shape.hidden, shape.radii, shape.batch, shape.steps, digest_of(&shape, &profile));
    rs_record_free(&profile);
    engine_case_free(&c);
}
