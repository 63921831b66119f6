/* Tangents on the engine cpu: what they must not depend on, and what must not depend on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../kernels/cpu/cpu.h"
#include "../kernels/cpu/kernel.h"
#include "../kernels/tangent/schedule.h"
#include "engine_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rs_resources const two_threads = {.threads = 2};

/* ---- shapes --------------------------------------------------------------------------------- */

/* Of each cell in each precision: directions that fill chunks and such that do not, QRs as often as
 * they come and further apart than a chunk goes at once, more columns than a tile has. */
static const struct {
    size_t hidden, radii, batch, steps, transient, directions, qr_every;
} size[] = {{5, 3, 2, 20, 4, 5, 0}, {16, 13, 2, 40, 0, 7, 19}, {33, 3, 1, 25, 7, 33, 0}};

enum { SIZES = sizeof size / sizeof *size, SHAPES = SIZES * N_CELL_KIND * RS_N_PRECISION };

static const size_t singular_at[] = {1, 17, 20};

static rs_shape shape_at(size_t i) {
    size_t const n = i % SIZES;
    cell_kind const kind = cell_kind_at(i / SIZES % N_CELL_KIND);
    bool const all = size[n].directions == size[n].hidden;
    size_t const k = size[n].directions * (all ? rs_cell_of(kind.cell)->states : 1);
    return (rs_shape){.groups = 2,
                      .radii = size[n].radii,
                      .batch = size[n].batch,
                      .hidden = size[n].hidden,
                      .steps = size[n].steps,
                      .warmup = size[n].transient + 3,
                      .transient = size[n].transient,
                      .directions = k,
                      .qr_every = size[n].qr_every,
                      .n_singular = all ? sizeof singular_at / sizeof *singular_at : 0,
                      .singular_at = singular_at,
                      .cell = kind.cell,
                      .leak = kind.leak,
                      .precision = (rs_precision)(i / SIZES / N_CELL_KIND),
                      .drive = RS_DRIVE_WEIGHTED};
}

static engine_case case_at(size_t i) { return engine_case_make(shape_at(i), 0.4, 1.6, 7 + i); }

/* ---- comparing ------------------------------------------------------------------------------ */

/* Numbers of one column. */
typedef struct column_record {
    const double *stretch, *singular;
    size_t n_stretch, n_singular;
    double log_slope;
    uint32_t qr_gap;
} column_record;

static column_record column_of(const rs_shape *shape, const rs_record *record, size_t column) {
    size_t const k = shape->directions, stretches = RS_STRETCH_BLOCKS * k;
    size_t const values = shape->n_singular * k;
    return (column_record){.stretch = record->stretch + column * stretches,
                           .singular = values > 0 ? record->singular + column * values : NULL,
                           .n_stretch = stretches,
                           .n_singular = values,
                           .log_slope = record->log_slope[column],
                           .qr_gap = record->qr_gap[column]};
}

/* Bits, so that NaN is NaN. */
static bool same_numbers(const double *a, const double *b, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (isnan(a[i]) ? !isnan(b[i]) : memcmp(&a[i], &b[i], sizeof a[i]) != 0) return false;
    return true;
}

static void expect_same(column_record a, column_record b) {
    assert_true(same_numbers(a.stretch, b.stretch, a.n_stretch));
    assert_true(same_numbers(a.singular, b.singular, a.n_singular));
    assert_true(same_numbers(&a.log_slope, &b.log_slope, 1));
    assert_int_equal(a.qr_gap, b.qr_gap);
}

static size_t columns_of(const rs_shape *shape) {
    return shape->groups * shape->radii * shape->batch;
}

static void expect_same_records(const rs_shape *shape, const rs_record *a, const rs_record *b) {
    for (size_t c = 0; c < columns_of(shape); ++c)
        expect_same(column_of(shape, a, c), column_of(shape, b, c));
}

static void expect_same_norms(const rs_shape *shape, const rs_record *a, const rs_record *b) {
    size_t const steps = columns_of(shape) * shape->steps;
    assert_memory_equal(a->norm2, b->norm2,
                        steps * rs_cell_of(shape->cell)->states * sizeof *a->norm2);
    assert_memory_equal(a->exponent, b->exponent, steps * sizeof *a->exponent);
    assert_memory_equal(a->nonfinite_step, b->nonfinite_step,
                        columns_of(shape) * sizeof *a->nonfinite_step);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void threads_change_no_bit(void **state) {
    (void)state;
    for (size_t i = 0; i < SHAPES; ++i) {
        engine_case c = case_at(i);
        rs_record one = run_case(&rs_engine_cpu, &c, 1), three = run_case(&rs_engine_cpu, &c, 3);
        expect_same_records(&c.pass.shape, &one, &three);
        rs_record_free(&one);
        rs_record_free(&three);
        engine_case_free(&c);
    }
}

/* One radius alone, in the tile's first lanes, with the gradients' tiles or without. */
static void company_changes_no_bit(void **state) {
    (void)state;
    for (size_t i = 0; i < SHAPES; ++i) {
        engine_case c = case_at(i);
        rs_shape const shape = c.pass.shape;
        size_t const r = shape.radii - 1, gates = rs_cell_of(shape.cell)->gates;
        rs_record all = run_case(&rs_engine_cpu, &c, 1);
        for (size_t g = 0; g < shape.groups; ++g) c.columns[g].scale += r * gates;
        c.pass.shape.radii = 1;
        c.pass.shape.gradients = i % 2 == 0;
        rs_record alone = run_case(&rs_engine_cpu, &c, 1);
        for (size_t g = 0; g < shape.groups; ++g)
            for (size_t b = 0; b < shape.batch; ++b)
                expect_same(column_of(&shape, &all, (g * shape.radii + r) * shape.batch + b),
                            column_of(&c.pass.shape, &alone, g * shape.batch + b));
        rs_record_free(&all);
        rs_record_free(&alone);
        engine_case_free(&c);
    }
}

/* Their vectors differ in width, and so do chunks. */
static void fused_instruction_sets_have_the_same_bits(void **state) {
    (void)state;
    for (size_t i = 0; i < SHAPES; ++i) {
        engine_case c = case_at(i);
        rs_record first = {.stretch = NULL};
        for (const rs_cpu_kernel *const *k = rs_cpu_kernels(RS_F32); *k; ++k) {
            if (!(*k)->fused) continue;
            setenv("RHOSWEEP_ISA", (*k)->isa, 1);
            rs_record record = run_case(&rs_engine_cpu, &c, 2);
            if (!first.stretch) {
                first = record;
                continue;
            }
            expect_same_records(&c.pass.shape, &first, &record);
            rs_record_free(&record);
        }
        unsetenv("RHOSWEEP_ISA");
        rs_record_free(&first);
        engine_case_free(&c);
    }
}

/* Neither what the passes find nor what the weights' gradients are. */
static void other_results_are_as_without(void **state) {
    (void)state;
    for (size_t i = 0; i < SHAPES; ++i) {
        engine_case c = case_at(i);
        rs_shape *shape = &c.pass.shape;
        shape->gradients = true;
        rs_record with = run_case(&rs_engine_cpu, &c, 2);
        shape->directions = shape->transient = shape->qr_every = shape->n_singular = 0;
        rs_record without = run_case(&rs_engine_cpu, &c, 2);
        expect_same_norms(shape, &with, &without);
        assert_memory_equal(with.gradient2, without.gradient2,
                            shape->groups * shape->radii * RS_N_GRADIENT * sizeof(double));
        assert_true(without.tangent_seconds == 0.0 && without.qr_seconds == 0.0);
        rs_record_free(&with);
        rs_record_free(&without);
        engine_case_free(&c);
    }
}

/* A linear state of overflow has no spectrum, though its Jacobian is W; blocks that there are not
 * stay 0, and the columns beside it are as they are. */
static void columns_that_are_not_finite_have_nan(void **state) {
    (void)state;
    rs_shape const shape = {.groups = 1,
                            .radii = 2,
                            .batch = 1,
                            .hidden = 6,
                            .steps = 9,
                            .directions = 6,
                            .n_singular = 1,
                            .singular_at = singular_at,
                            .cell = RS_LINEAR,
                            .precision = RS_F32,
                            .drive = RS_DRIVE_WEIGHTED};
    engine_case c = engine_case_make(shape, 0.5, 1e8, 3);
    rs_record record = run_case(&rs_engine_cpu, &c, 1);
    for (size_t i = 0; i < RS_STRETCH_BLOCKS * shape.directions; ++i) {
        bool const there = i < rs_stretch_blocks(shape.steps) * shape.directions;
        assert_true(isfinite(record.stretch[i]));
        double const beside = record.stretch[RS_STRETCH_BLOCKS * shape.directions + i];
        assert_true(there ? isnan(beside) : beside == 0.0);
    }
    for (size_t i = 0; i < shape.directions; ++i) {
        assert_true(isfinite(record.singular[i]));
        assert_true(isnan(record.singular[shape.directions + i]));
    }
    assert_true(record.log_slope[0] == 0.0 && isnan(record.log_slope[1]));
    rs_record_free(&record);
    engine_case_free(&c);
}

/* ---- QR ------------------------------------------------------------------------------------- */

enum { MOST_TANGENTS = 130 };

/* A frame [rows][pitch] and what QR makes of it, each number from its place alone. */
typedef struct framed {
    size_t rows, k, pitch;
    double *given, *q, log_r[MOST_TANGENTS], *r;
    void *scratch;
} framed;

static double *aligned_numbers(size_t count) {
    double *const made = aligned_alloc(64, (count * sizeof *made + 63) / 64 * 64);
    assert_non_null(made);
    memset(made, 0, count * sizeof *made);
    return made;
}

static framed framed_make(const rs_cpu_frame *frame, size_t rows, size_t k, double size) {
    framed f = {.rows = rows, .k = k, .pitch = (size_t)rs_cpu_frame_pitch(k)};
    f.given = aligned_numbers(rows * f.pitch);
    f.q = aligned_numbers(rows * f.pitch);
    f.r = aligned_numbers(k * k);
    f.scratch = aligned_numbers((size_t)frame->bytes(rows, k) / sizeof(double));
    for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < k; ++j)
            f.given[i * f.pitch + j] =
                size * sin(1.0 + (double)(i * i) + 3.0 * (double)j * (double)(i + 1));
    return f;
}

static void framed_free(framed *f) {
    free(f->given);
    free(f->q);
    free(f->r);
    free(f->scratch);
}

static void framed_run(const rs_cpu_frame *frame, framed *f) {
    memcpy(f->q, f->given, f->rows * f->pitch * sizeof *f->q);
    frame->orthonormalise(f->rows, f->k, f->q, f->log_r, f->r, f->scratch);
}

static void assert_near(double got, double want, double most) {
    if (!(fabs(got - want) <= most)) fail_msg("%.17g, not %.17g", got, want);
}

/* Q^T Q = 1, Q R is what was given, R is upper triangular with R_ii = e^log_r >= 0, and nothing
 * stands beyond k. */
static void expect_qr(const framed *f, double size) {
    for (size_t a = 0; a < f->k; ++a)
        for (size_t b = 0; b < f->k; ++b) {
            double dot = 0.0;
            for (size_t i = 0; i < f->rows; ++i)
                dot += f->q[i * f->pitch + a] * f->q[i * f->pitch + b];
            assert_near(dot, a == b ? 1.0 : 0.0, 1e-13);
            if (a > b) assert_true(f->r[b * f->k + a] == 0.0);
        }
    for (size_t j = 0; j < f->k; ++j) {
        assert_true(f->r[j * f->k + j] >= 0.0);
        if (f->r[j * f->k + j] > 0.0) assert_near(f->log_r[j], log(f->r[j * f->k + j]), 1e-12);
        for (size_t i = 0; i < f->rows; ++i) {
            double sum = 0.0;
            for (size_t l = 0; l <= j; ++l)
                sum += f->q[i * f->pitch + l] * (f->r[j * f->k + l] / size);
            assert_near(sum, f->given[i * f->pitch + j] / size, 1e-12);
        }
    }
    for (size_t i = 0; i < f->rows; ++i)
        for (size_t j = f->k; j < f->pitch; ++j) assert_true(f->q[i * f->pitch + j] == 0.0);
}

/* Of any shape and size, with a tangent of zeros and two that are the same. */
static void frames_of(const rs_cpu_frame *frame) {
    static const size_t shape[][2] = {{1, 1},  {3, 2},   {8, 8},    {9, 9},
                                      {40, 7}, {33, 33}, {130, 100}};
    static const double size[] = {1.0, 1e-200, 1e200, 1e-300, 1e300};
    for (size_t n = 0; n < sizeof shape / sizeof *shape; ++n)
        for (size_t s = 0; s < sizeof size / sizeof *size; ++s) {
            framed f = framed_make(frame, shape[n][0], shape[n][1], size[s]);
            framed_run(frame, &f);
            expect_qr(&f, size[s]);
            for (size_t i = 0; i < f.rows; ++i) {
                f.given[i * f.pitch + f.k / 2] = 0.0;
                if (f.k > 4) f.given[i * f.pitch + f.k - 1] = f.given[i * f.pitch];
            }
            framed_run(frame, &f);
            expect_qr(&f, size[s]);
            framed_free(&f);
        }
}

static void frames_are_orthonormal(void **state) {
    (void)state;
    for (const rs_cpu_kernel *const *k = rs_cpu_kernels(RS_F32); *k; ++k)
        frames_of((*k)->tangent->frame);
    for (const rs_cpu_kernel *const *k = rs_cpu_kernels(RS_F64); *k; ++k)
        frames_of((*k)->tangent->frame);
}

/* They are left as they are, and nothing is said of them. */
static void frames_that_are_not_finite_are_left(void **state) {
    (void)state;
    const rs_cpu_frame *frame = (*rs_cpu_kernels(RS_F64))->tangent->frame;
    static const double wrong[] = {INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < 3; ++i) {
        framed f = framed_make(frame, 20, 9, 1.0);
        f.given[13 * f.pitch + 8] = wrong[i];
        framed_run(frame, &f);
        assert_memory_equal(f.q, f.given, f.rows * f.pitch * sizeof *f.q);
        for (size_t j = 0; j < f.k; ++j) assert_true(isnan(f.log_r[j]));
        for (size_t j = 0; j < f.k * f.k; ++j) assert_true(isnan(f.r[j]));
        framed_free(&f);
    }
}

/* ---- memory --------------------------------------------------------------------------------- */

/* `size` is one of the shape's. */
static void expect_never_fewer(const rs_shape *shape, size_t *of, size_t first, size_t end) {
    uint64_t last = 0, now;
    for (*of = first; *of < end; ++*of) {
        assert_int_equal(rs_engine_cpu.bytes(0, shape, &two_threads, &now), RS_OK);
        assert_true(now >= last);
        last = now;
    }
}

static void bytes_grow_with_every_size(void **state) {
    (void)state;
    rs_shape shape = {.groups = 1,
                      .radii = 1,
                      .batch = 1,
                      .hidden = 60,
                      .steps = 10,
                      .warmup = 100,
                      .cell = RS_LSTM,
                      .singular_at = singular_at};
    uint64_t bytes;
    expect_never_fewer(&shape, &shape.directions, 0, 121);
    shape.directions = 120;
    expect_never_fewer(&shape, &shape.transient, 0, 101);
    expect_never_fewer(&shape, &shape.n_singular, 0, 4);
    shape.n_singular = 3;
    expect_never_fewer(&shape, &shape.radii, 1, 200);
    shape.radii = 3;
    expect_never_fewer(&shape, &shape.batch, 1, 100);
    shape.hidden = (size_t)1 << 40;
    shape.directions = (size_t)2 << 40;
    assert_int_equal(rs_engine_cpu.bytes(0, &shape, &two_threads, &bytes), RS_OK);
    assert_true(bytes == UINT64_MAX);
}

static bool stop_at_once(void *arg, double fraction) {
    ++*(int *)arg;
    assert_true(fraction == 0.2);
    return false;
}

/* Columns may take long: the driver is asked after each of a tile. */
static void a_tile_stops_between_its_columns(void **state) {
    (void)state;
    rs_shape const shape = {
        .groups = 1, .radii = 5, .batch = 1, .hidden = 8, .steps = 5, .directions = 8};
    rs_resources const one_thread = {.threads = 1};
    engine_case c = engine_case_make(shape, 0.5, 1.0, 1);
    int ticks = 0;
    c.pass.tick = stop_at_once;
    c.pass.tick_arg = &ticks;
    rs_record record = record_make(&c.pass.shape);
    void *handle;
    assert_int_equal(rs_engine_cpu.open(0, &c.pass.shape, &one_thread, &handle), RS_OK);
    assert_int_equal(rs_engine_cpu.load(handle, &c.pass.shape, c.parameters), RS_OK);
    assert_int_equal(rs_engine_cpu.run(handle, &c.pass, &record), RS_EINTERRUPTED);
    assert_int_equal(ticks, 1);
    rs_engine_cpu.close(handle);
    rs_record_free(&record);
    engine_case_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(company_changes_no_bit),
        cmocka_unit_test(fused_instruction_sets_have_the_same_bits),
        cmocka_unit_test(other_results_are_as_without),
        cmocka_unit_test(columns_that_are_not_finite_have_nan),
        cmocka_unit_test(frames_are_orthonormal),
        cmocka_unit_test(frames_that_are_not_finite_are_left),
        cmocka_unit_test(bytes_grow_with_every_size),
        cmocka_unit_test(a_tile_stops_between_its_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
