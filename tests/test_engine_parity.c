/* One conformance program for all engines: every fast engine, on every instruction set that runs
 * here, against the reference engine. A new engine in rs_engines() is tested with no new code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../kernels/cpu/kernel.h"
#include "../kernels/drive.h"
#include "each_engine.h"
#include "engine_bits.h"
#include "engine_case.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of log10 norms, for each decade that the gradient has decayed (and one more): engines agree to
 * rounding, but what decays by cancellation or saturation takes its rounding errors along. */
static double const tolerance[RS_N_PRECISION] = {[RS_F32] = 2e-5, [RS_F64] = 2e-12};

static const rs_resources one_thread = {.threads = 1};

static size_t states_of(const rs_shape *shape) { return rs_cell_of(shape->cell)->states; }

static size_t gates_of(const rs_shape *shape) { return rs_cell_of(shape->cell)->gates; }

/* The worst element so far. */
typedef struct worst {
    double error, got, want;
    size_t group, step, column, state;
} worst;

/* Of the pair, or of one state. */
static double log_norm_of(const rs_shape *s, const rs_record *record, const worst *at) {
    if (at->state == states_of(s)) return log_norm(s, record, at->group, at->step, at->column);
    return log_state_norm(s, record, at->group, at->step, at->column, at->state);
}

/* States share an exponent: one that is much smaller than the other has no digits left. */
static bool is_lost(const rs_shape *s, const rs_record *want, const worst *at) {
    double const pair = log_norm(s, want, at->group, at->step, at->column);
    return at->want < pair - (s->precision == RS_F32 ? 25.0 : 200.0);
}

static void compare_element(const rs_shape *s, const rs_record *got, const rs_record *want,
                            worst at, worst *most) {
    at.got = log_norm_of(s, got, &at);
    at.want = log_norm_of(s, want, &at);
    at.error = at.got == at.want ? 0.0 : fabs(at.got - at.want) / (1.0 + fabs(at.want));
    if (isnan(at.error)) at.error = INFINITY;
    if (at.error > 0.0 && is_lost(s, want, &at)) return;
    if (at.error > most->error) *most = at;
}

/* The norms of each state and of them together; fails with the worst element's place. */
static void compare(const rs_engine *engine, const rs_shape *s, const rs_record *got,
                    const rs_record *want, double limit) {
    size_t const kinds = states_of(s) > 1 ? states_of(s) + 1 : 1;
    worst most = {.error = -1.0};
    for (size_t g = 0; g < s->groups; ++g)
        for (size_t t = 1; t <= s->steps; ++t)
            for (size_t c = 0; c < s->radii * s->batch; ++c)
                for (size_t k = 0; k < kinds; ++k)
                    compare_element(s, got, want, (worst){0, 0, 0, g, t, c, k}, &most);
    if (most.error <= limit) return;
    char text[160];
    describe(engine, s, text);
    fail_msg("%s: worst at group %zu, step %zu, column %zu, state %zu: %.17g, reference %.17g "
             "(error %g a decade, limit %g)",
             text, most.group, most.step, most.column, most.state, most.got, most.want, most.error,
             limit);
}

static void compare_case(const rs_engine *engine, const engine_case *c, double limit) {
    const rs_shape *s = &c->pass.shape;
    rs_record want = run_case(rs_engine_named("reference"), c, 1), got = run_case(engine, c, 2);
    compare(engine, s, &got, &want, limit);
    for (size_t i = 0; i < s->groups * s->radii * s->batch; ++i)
        assert_int_equal(got.nonfinite_step[i], want.nonfinite_step[i]);
    rs_record_free(&want);
    rs_record_free(&got);
}

static void check_shape(const rs_engine *engine, rs_shape shape, double low, double high,
                        double step_gradient, double limit) {
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, low, high, 7);
    for (size_t g = 0; g < shape.groups; ++g) c.columns[g].step_delta = step_gradient;
    compare_case(engine, &c, limit);
    engine_case_free(&c);
}

/* Plain arithmetic, slopes by the usual formula, in the one precision that the reference has. */
static void check_raw(const rs_engine *engine) {
    static const size_t hidden[] = {3, 10, 33};
    for (size_t n = 0; n < N_CELL_KIND; ++n)
        for (size_t i = 0; i < (few_shapes() ? 1 : sizeof hidden / sizeof *hidden); ++i) {
            rs_shape const shape = {.groups = 2,
                                    .radii = 5,
                                    .batch = 3,
                                    .hidden = hidden[i],
                                    .steps = 40,
                                    .cell = cell_kind_at(n).cell,
                                    .leak = cell_kind_at(n).leak,
                                    .precision = RS_F64,
                                    .raw = true,
                                    .drive = RS_DRIVE_WEIGHTED};
            check_shape(engine, shape, 0.3, 0.9, 0.0, tolerance[RS_F64]);
        }
}

/* Where the argument of a relu comes within rounding of 0, engines may take different sides: among
 * many floats one does so, and what leaks without input settles there. */
static bool rounds_across_a_kink(const rs_shape *s) {
    bool const many = s->radii * s->batch * s->hidden * s->steps > 8000;
    return s->cell == RS_RELU && s->leak > 0.0 &&
           (s->drive == RS_DRIVE_ZERO || (many && s->precision == RS_F32));
}

/* The reference is slow, and gated cells are several times slower. */
static bool takes_long(const rs_shape *s) {
    size_t const columns = s->groups * s->radii * s->batch;
    return gates_of(s) > 1 &&
           gates_of(s) * columns * s->steps * s->hidden * s->hidden > (size_t)10000000;
}

/* Every size class: below, at and above each kernel's lanes, rows and tile widths. */
static void check_sizes(const rs_engine *engine) {
    static const size_t hidden[] = {1, 2, 3, 5, 8, 9, 10, 17, 32, 37, 64, 100};
    static const size_t columns[][2] = {{1, 1},  {1, 3},  {7, 1},  {5, 7}, {3, 16},
                                        {16, 3}, {2, 33}, {64, 1}, {1, 64}};
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (size_t n = 0; n < N_CELL_KIND; ++n)
            for (size_t i = 0; i < sizeof hidden / sizeof *hidden; ++i)
                for (size_t j = 0; j < sizeof columns / sizeof *columns; ++j) {
                    cell_kind const kind = cell_kind_at(n);
                    if (few_shapes() && (3 * i + j) % 23 != 0) continue;
                    if (n > RS_LINEAR && (i + 2 * j + n + p) % 3 != 0) continue;
                    rs_shape const shape = {.groups = 1 + (i + j) % 2,
                                            .radii = columns[j][0],
                                            .batch = columns[j][1],
                                            .hidden = hidden[i],
                                            .steps = 1 + (i * 5 + j * 3) % 24,
                                            .warmup = (i + j) % 3,
                                            .cell = kind.cell,
                                            .leak = kind.leak,
                                            .precision = p,
                                            .drive =
                                                (i + j) % 4 ? RS_DRIVE_WEIGHTED : RS_DRIVE_ZERO};
                    if (rounds_across_a_kink(&shape) || takes_long(&shape)) continue;
                    check_shape(engine, shape, 0.3, 0.9, j % 2 ? 1e-3 : 0.0,
                                (paths_cancel(&shape) ? 50 : 1) * tolerance[p]);
                }
}

/* The classes of large H; few columns, for the reference is slow. Raw in its one precision. */
static void check_large(const rs_engine *engine) {
    static const size_t hidden[] = {128, 224, 257, 512};
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (size_t n = 0; n < N_CELL_KIND; ++n)
            for (size_t i = 0; i < (few_shapes() ? 1 : sizeof hidden / sizeof *hidden); ++i) {
                if (n > RS_LINEAR && (i == 3 || (i + n + p) % 3 != 0)) continue;
                rs_shape shape = {.groups = 1,
                                  .radii = 3,
                                  .batch = 2,
                                  .hidden = hidden[i],
                                  .steps = 12,
                                  .cell = cell_kind_at(n).cell,
                                  .leak = cell_kind_at(n).leak,
                                  .precision = p,
                                  .drive = RS_DRIVE_WEIGHTED};
                check_shape(engine, shape, 0.5, 0.9, 0.0, tolerance[p]);
                shape.raw = true;
                if (p == RS_F64) check_shape(engine, shape, 0.5, 0.9, 0.0, tolerance[p]);
            }
}

/* Without a start the state of cells without bias stays 0. */
static void begin_at_zero(engine_case *c) {
    for (size_t g = 0; g < c->pass.shape.groups; ++g) {
        c->columns[g].start[0] = c->columns[g].start[1] = NULL;
        c->parameters[g].bias_ih = c->parameters[g].bias_hh = NULL;
    }
}

/* In the place of the biases: one number for each gate, in bias_hh. The caller frees it. */
static double *set_gate_biases(engine_case *c, const double bias[RS_MAX_GATES]) {
    size_t const hidden = c->pass.shape.hidden, rows = gates_of(&c->pass.shape) * hidden;
    double *const all = malloc(rows * sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < rows; ++i) all[i] = bias[i / hidden];
    for (size_t g = 0; g < c->pass.shape.groups; ++g) {
        c->parameters[g].bias_ih = NULL;
        c->parameters[g].bias_hh = all;
    }
    return all;
}

static void expect_growth(const rs_engine *engine, rs_shape shape, double low, double high) {
    shape.drive = RS_DRIVE_ZERO;
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, low, high, 3);
    begin_at_zero(&c);
    rs_record want = run_case(rs_engine_named("reference"), &c, 1);
    assert_true(log_norm(&shape, &want, 0, 1, 0) > 500.0);
    rs_record_free(&want);
    compare_case(engine, &c, tolerance[shape.precision]);
    engine_case_free(&c);
}

/* The memory gate nearly shut, and every other path weak: the pair, and each of its halves. */
static void expect_decay_of_gates(const rs_engine *engine, rs_shape shape) {
    double bias[RS_MAX_GATES] = {0.0};
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, 1e-5, 1e-4, 3);
    bias[rs_cell_of(shape.cell)->memory] = -16.0;
    double *const biases = set_gate_biases(&c, bias);
    rs_record want = run_case(rs_engine_named("reference"), &c, 1);
    assert_true(log_norm(&shape, &want, 0, 1, 0) < -500.0);
    rs_record_free(&want);
    compare_case(engine, &c, tolerance[shape.precision]);
    for (size_t g = 0; g < shape.groups; ++g) c.columns[g].step_delta = 1e-30;
    compare_case(engine, &c, tolerance[shape.precision]);
    free(biases);
    engine_case_free(&c);
}

/* Range extension: 400 steps at gain 0.02 .. 0.1 go far below 1e-300, at 30 above 1e300. */
static void check_range(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) {
        rs_shape shape = {.groups = 1,
                          .radii = few_shapes() ? 1 : 4,
                          .batch = few_shapes() ? 2 : 5,
                          .hidden = few_shapes() ? 7 : 12,
                          .steps = 400,
                          .cell = RS_LINEAR,
                          .precision = p,
                          .drive = RS_DRIVE_WEIGHTED};
        check_shape(engine, shape, 0.02, 0.1, 0.0, tolerance[p]);
        expect_growth(engine, shape, 30.0, 40.0);
        shape.leak = 0.99;
        check_shape(engine, shape, 0.02, 0.1, 0.0, tolerance[p]);
        expect_growth(engine, shape, 30.0, 40.0);
        shape.leak = 0.0;
        for (shape.cell = RS_LSTM; shape.cell <= RS_GRU; ++shape.cell) {
            expect_growth(engine, shape, 150.0, 160.0);
            expect_decay_of_gates(engine, shape);
        }
    }
}

/* Gates that are open or shut to the last bit, one after the other. Where a cell's output is shut
 * by e^-100 a single step takes delta out of float's range. */
static void check_saturated_gates(const rs_engine *engine, const rs_shape *shape) {
    static double const bias[] = {-100.0, -30.0, 30.0, 100.0};
    if (!takes(engine, shape)) return;
    engine_case c = engine_case_make(*shape, 0.5, 2.0, 7);
    for (size_t k = 0; k < gates_of(shape); ++k)
        for (size_t i = 0; i < sizeof bias / sizeof *bias; ++i) {
            bool const far = shape->cell == RS_LSTM && k == RS_LSTM_O && bias[i] == -100.0;
            double each[RS_MAX_GATES] = {0.1, -0.1, 0.2, -0.2};
            if (far && shape->precision == RS_F32) continue;
            each[k] = bias[i];
            double *const biases = set_gate_biases(&c, each);
            compare_case(engine, &c, 5 * tolerance[shape->precision]);
            free(biases);
        }
    engine_case_free(&c);
}

/* Far into saturation: slopes of 1e-8 and below are kept, not rounded to 0. */
static void check_saturation(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) {
        rs_shape shape = {.groups = 1,
                          .radii = 8,
                          .batch = 2,
                          .hidden = 8,
                          .steps = 20,
                          .precision = p,
                          .drive = RS_DRIVE_WEIGHTED};
        check_shape(engine, shape, 2.0, 12.0, 0.0, 50 * tolerance[p]);
        shape.steps = 10; /* gates that are steep are soon chaotic */
        for (shape.cell = RS_LSTM; shape.cell <= RS_GRU; ++shape.cell) {
            check_shape(engine, shape, 2.0, 12.0, 0.0, 50 * tolerance[p]);
            check_saturated_gates(engine, &shape);
        }
    }
}

/* A state cell's own memory, the only path where W_hh = 0: dL/dc of an LSTM and dL/dh of a GRU fall
 * by sigma(b) a step. The first step back of an LSTM is that from h to c. */
static void expect_decay_of_memory(const rs_engine *engine, const rs_shape *shape, double b) {
    static double const limit[RS_N_PRECISION] = {[RS_F32] = 1e-6, [RS_F64] = 4e-15};
    double bias[RS_MAX_GATES] = {0.3, 0.1, -0.2, 0.4};
    engine_case c = engine_case_make(*shape, 0.0, 0.0, 9);
    size_t const last = shape->steps - (states_of(shape) - 1), state = states_of(shape) - 1;
    double const rate = log1p(exp(-b)); /* -ln sigma(b) */
    bias[rs_cell_of(shape->cell)->memory] = b;
    double *const biases = set_gate_biases(&c, bias);
    rs_record got = run_case(engine, &c, 1);
    for (size_t i = 0; i < shape->batch; ++i) {
        double const end = log_state_norm(shape, &got, 0, last, i, state);
        double const begin = log_state_norm(shape, &got, 0, 1, i, state);
        double const measured = (end - begin) * log(10.0) / (double)(last - 1);
        if (!(fabs(measured - rate) <= limit[shape->precision] * (1.0 + rate)))
            fail_msg("%s %s %s: b = %g: decays by %.17g, must be %.17g", engine->name,
                     rs_precision_name(shape->precision), rs_cell_name(shape->cell), b, measured,
                     rate);
    }
    rs_record_free(&got);
    free(biases);
    engine_case_free(&c);
}

static void check_memory(const rs_engine *engine) {
    static double const bias[] = {-20, -1, 0, 1, 2, 5, 30, 100};
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (rs_cell cell = RS_LSTM; cell <= RS_GRU; ++cell) {
            rs_shape const shape = {.groups = 1,
                                    .radii = 1,
                                    .batch = 3,
                                    .hidden = 7,
                                    .steps = 100,
                                    .cell = cell,
                                    .precision = p};
            if (!takes(engine, &shape)) continue;
            for (size_t i = 0; i < sizeof bias / sizeof *bias; ++i)
                expect_decay_of_memory(engine, &shape, bias[i]);
        }
}

/* Every drive with both biases, for each of them is of every drive. */
static void check_drives(const rs_engine *engine) {
    for (size_t i = 0; i < (size_t)3 * RS_N_PRECISION * N_CELL_KIND; ++i) {
        rs_shape const shape = {.groups = 2,
                                .radii = 3,
                                .batch = 5,
                                .hidden = 10,
                                .input_size = i % 3 == RS_DRIVE_WEIGHTED ? 3 : 0,
                                .steps = 20,
                                .warmup = 3,
                                .drive = (rs_drive_kind)(i % 3),
                                .cell = cell_kind_at(i / 6).cell,
                                .leak = cell_kind_at(i / 6).leak,
                                .precision = (rs_precision)(i / 3 % 2)};
        if (!takes(engine, &shape)) continue;
        engine_case c = engine_case_make(shape, 0.4, 0.9, 31);
        for (size_t g = 0; g < shape.groups; ++g) {
            c.columns[g].drive.sigma = 0.5;
            c.columns[g].step_delta = 1e-3;
            if (g == 0) c.parameters[g].bias_ih = c.parameters[g].weight_hh + 1; /* some of them */
            if (g == 1) c.parameters[g].bias_ih = NULL;
            c.parameters[g].bias_hh = c.parameters[g].weight_hh;
        }
        compare_case(engine, &c, tolerance[shape.precision]);
        engine_case_free(&c);
    }
}

/* A raw job is plain arithmetic: for relu and linear it has the same bits as the extended one
 * while both stay in range. */
static void check_raw_bits_in(const rs_engine *engine, rs_precision p) {
    for (int n = 0; n < 4; ++n) {
        rs_shape shape = {.groups = 1,
                          .radii = 6,
                          .batch = 3,
                          .hidden = 20,
                          .steps = 60,
                          .cell = n % 2 ? RS_RELU : RS_LINEAR,
                          .leak = n < 2 ? 0.0 : 0.3,
                          .precision = p,
                          .drive = RS_DRIVE_WEIGHTED};
        if (!takes(engine, &shape)) continue;
        engine_case c = engine_case_make(shape, 0.5, 2.0, 11);
        c.columns[0].step_delta = 1e-9;
        rs_record extended = run_case(engine, &c, 2);
        c.pass.shape.raw = true;
        rs_record raw = run_case(engine, &c, 2);
        for (size_t t = 1; t <= shape.steps; ++t)
            for (size_t i = 0; i < shape.radii * shape.batch; ++i) {
                double const a = log_norm(&shape, &raw, 0, t, i);
                assert_memory_equal(&a, &(double){log_norm(&shape, &extended, 0, t, i)}, sizeof a);
            }
        rs_record_free(&extended);
        rs_record_free(&raw);
        engine_case_free(&c);
    }
}

static void check_raw_bits(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) check_raw_bits_in(engine, p);
}

/* Raw numbers run into the end of their format and are reported as what they are. */
static void check_raw_limits_in(const rs_engine *engine, rs_precision p) {
    size_t const steps = p == RS_F32 ? 300 : 2200;
    rs_shape const shape = {.groups = 1,
                            .radii = 2,
                            .batch = 1,
                            .hidden = 1,
                            .steps = steps,
                            .cell = RS_LINEAR,
                            .precision = p,
                            .raw = true,
                            .drive = RS_DRIVE_ZERO};
    engine_case c = engine_case_make(shape, 0.5, 2.0, 5);
    double const one = 1.0;
    c.parameters[0].weight_hh = c.columns[0].delta = &one;
    c.columns[0].start[0] = NULL;
    rs_record got = run_case(engine, &c, 1);
    /* 0.5^k is subnormal to its last bit, then 0; 2^k ends at the largest exponent. */
    int const least = p == RS_F32 ? 149 : 1074, most = p == RS_F32 ? 127 : 1023;
    for (size_t k = 0; k < steps; ++k) {
        double const down = log_norm(&shape, &got, 0, steps - k, 0);
        double const up = log_norm(&shape, &got, 0, steps - k, 1);
        double const exact = (double)k * log10(2.0);
        if ((int)k <= least)
            assert_true(fabs(down + exact) <= 1e-12 * (1 + exact));
        else
            assert_true(down == -INFINITY);
        if ((int)k <= most)
            assert_true(fabs(up - exact) <= 1e-12 * (1 + exact));
        else
            assert_true(up == INFINITY);
    }
    rs_record_free(&got);
    engine_case_free(&c);
}

/* The memory of gated cells: 0 from where it is below the least number on. */
static void check_raw_memory_in(const rs_engine *engine, rs_precision p, rs_cell cell) {
    rs_shape const shape = {.groups = 1,
                            .radii = 1,
                            .batch = 2,
                            .hidden = 5,
                            .steps = p == RS_F32 ? 12 : 50,
                            .cell = cell,
                            .precision = p,
                            .raw = true};
    double const normal = p == RS_F32 ? -36.0 : -306.0, least = p == RS_F32 ? -46.0 : -325.0;
    double const step = log1p(exp(20.0)) / log(10.0);
    double bias[RS_MAX_GATES] = {0.3, 0.1, -0.2, 0.4};
    size_t const state = states_of(&shape) - 1, last = shape.steps - state;
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, 0.0, 0.0, 5);
    bias[rs_cell_of(cell)->memory] = -20.0;
    double *const biases = set_gate_biases(&c, bias);
    rs_record got = run_case(engine, &c, 1);
    for (size_t t = last; t > 0; --t) {
        double const end = log_state_norm(&shape, &got, 0, last, 1, state);
        double const norm = log_state_norm(&shape, &got, 0, t, 1, state);
        double const want = end - step * (double)(last - t);
        if (want > normal) assert_true(fabs(norm - want) <= tolerance[p] * (1.0 - want));
        if (want < least) assert_true(norm == -INFINITY);
    }
    assert_true(log_norm(&shape, &got, 0, 1, 0) == -INFINITY);
    rs_record_free(&got);
    free(biases);
    engine_case_free(&c);
}

static void check_raw_limits(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) {
        check_raw_limits_in(engine, p);
        check_raw_memory_in(engine, p, RS_LSTM);
        check_raw_memory_in(engine, p, RS_GRU);
    }
}

/* Runs two units through raw relu steps from h0 = (first, first): norms as PyTorch's autograd has
 * them, whose relu passes a gradient where "result <= 0" is false (threshold_backward). */
static void expect_raw_relu(const rs_engine *engine, rs_precision p, const double w[4],
                            double first, const double loss[2], size_t steps, const double *want) {
    rs_shape const shape = {.groups = 1,
                            .radii = 1,
                            .batch = 1,
                            .hidden = 2,
                            .steps = steps,
                            .cell = RS_RELU,
                            .precision = p,
                            .raw = true};
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, 1.0, 1.0, 1);
    double const h0[2] = {first, first};
    c.parameters[0].weight_hh = w;
    c.columns[0].start[0] = h0;
    c.columns[0].delta = loss;
    rs_record got = run_case(engine, &c, 1);
    for (size_t t = 0; t < steps; ++t) {
        double const norm2 = ldexp(got.norm2[t], 2 * got.exponent[t]);
        if (norm2 != want[t])
            fail_msg("%s: step %zu: %g, must be %g", engine->name, t + 1, norm2, want[t]);
    }
    rs_record_free(&got);
    engine_case_free(&c);
}

static void check_raw_relu_in(const rs_engine *engine, rs_precision p) {
    double const most = p == RS_F32 ? 0x1p127 : 0x1p1023;
    /* a_1 = (inf, 0), a_2 = (inf, inf), a_3 = (inf, NaN), a_4 = (NaN, NaN): all slopes from step 2
     * on are 1, so delta is (1, 3), (5, -1), (9, 11), (29, 7). */
    expect_raw_relu(engine, p, (const double[]){2, 2, 1, -1}, most, (const double[]){1, 3}, 4,
                    (const double[]){890, 202, 26, 10});
    /* The second unit is dead; its gradient is 0 though delta = (4, inf) at every step but T. */
    expect_raw_relu(engine, p, (const double[]){1, most, -1, -1}, 1, (const double[]){4, 0}, 3,
                    (const double[]){INFINITY, INFINITY, 16});
}

static void check_raw_relu(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) check_raw_relu_in(engine, p);
}

/* With range extension NaN is named for what it is from there on. */
static void check_extended_relu(const rs_engine *engine) {
    rs_shape const shape = {.groups = 1,
                            .radii = 1,
                            .batch = 1,
                            .hidden = 2,
                            .steps = 4,
                            .cell = RS_RELU,
                            .precision = RS_F64};
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, 1.0, 1.0, 1);
    c.parameters[0].weight_hh = (const double[]){2, 2, 1, -1};
    c.columns[0].start[0] = (const double[]){0x1p1023, 0x1p1023};
    rs_record got = run_case(engine, &c, 1);
    assert_int_equal(got.nonfinite_step[0], 1);
    assert_true(isfinite(got.norm2[3]) && isnan(got.norm2[2]) && isnan(got.norm2[0]));
    rs_record_free(&got);
    engine_case_free(&c);
}

/* Steps are counted from the first recorded one; what overflowed before it is seen in step 1. */
static void expect_nonfinite(const rs_engine *engine, rs_precision p, size_t warmup,
                             const uint32_t want[3]) {
    rs_shape const shape = {.groups = 1,
                            .radii = 3,
                            .batch = 1,
                            .hidden = 1,
                            .steps = 1100,
                            .warmup = warmup,
                            .cell = RS_RELU,
                            .precision = p};
    engine_case c = engine_case_make(shape, 1.0, 4.0, 5);
    double const one = 1.0;
    c.scale[1] = 2.0;
    c.parameters[0].weight_hh = c.columns[0].delta = c.columns[0].start[0] = &one;
    rs_record got = run_case(engine, &c, 1);
    for (size_t i = 0; i < 3; ++i) assert_int_equal(got.nonfinite_step[i], want[i]);
    rs_record_free(&got);
    engine_case_free(&c);
}

/* The first step whose state overflows is named, in every column by itself. */
/* One unit of a GRU whose reset gate is shut and whose state is 1 - 2^-t after t steps. The
 * candidate's product is infinite as soon as scale h is 2, and 0 times infinity is no number. */
static void expect_nan_state(const rs_engine *engine, rs_precision p, size_t warmup,
                             const uint32_t want[3]) {
    double const most = p == RS_F32 ? 0x1p127 : 0x1p1023, one = 1.0;
    double const w[3] = {-most, 0.0, most}, bias[3] = {0.0, 0.0, 20.0};
    double const scale[9] = {1.0, 1.0, 1.0, 2.5, 2.5, 2.5, 2.1, 2.1, 2.1};
    rs_shape const shape = {.groups = 1,
                            .radii = 3,
                            .batch = 1,
                            .hidden = 1,
                            .steps = 8,
                            .warmup = warmup,
                            .cell = RS_GRU,
                            .precision = p};
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, 1.0, 1.0, 5);
    c.parameters[0] = (rs_parameters){.weight_hh = w, .bias_ih = bias};
    c.columns[0] = (rs_columns){.scale = scale, .delta = &one};
    rs_record got = run_case(engine, &c, 1);
    for (size_t i = 0; i < 3; ++i) {
        assert_int_equal(got.nonfinite_step[i], want[i]);
        assert_true(isfinite(got.norm2[7 * 3 + i]));
        assert_true(isnan(got.norm2[i]) == (want[i] > 0));
    }
    rs_record_free(&got);
    engine_case_free(&c);
}

/* c is not finite where h is: 1e39 as a float, and no step forgets it. */
static void expect_infinite_memory(const rs_engine *engine, size_t warmup) {
    rs_shape const shape = {.groups = 1,
                            .radii = 1,
                            .batch = 2,
                            .hidden = 3,
                            .steps = 5,
                            .warmup = warmup,
                            .cell = RS_LSTM,
                            .precision = RS_F32};
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, 1.0, 1.0, 5);
    ((double *)c.columns[0].start[1])[4] = 1e39;
    rs_record got = run_case(engine, &c, 1);
    assert_int_equal(got.nonfinite_step[0], 0);
    assert_int_equal(got.nonfinite_step[1], 1);
    rs_record_free(&got);
    engine_case_free(&c);
}

static void check_nonfinite_forward_in(const rs_engine *engine, rs_precision p) {
    uint32_t const exponents = p == RS_F32 ? 128 : 1024;
    expect_nonfinite(engine, p, 0, (const uint32_t[]){0, exponents, exponents / 2});
    expect_nonfinite(engine, p, 28, (const uint32_t[]){0, exponents - 28, exponents / 2 - 28});
    expect_nonfinite(engine, p, exponents - 1, (const uint32_t[]){0, 1, 1});
    expect_nan_state(engine, p, 0, (const uint32_t[]){0, 4, 6});
    expect_nan_state(engine, p, 2, (const uint32_t[]){0, 2, 4});
    expect_nan_state(engine, p, 7, (const uint32_t[]){0, 1, 1});
    if (p == RS_F32) expect_infinite_memory(engine, 0);
    if (p == RS_F32) expect_infinite_memory(engine, 3);
}

static void check_nonfinite_forward(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) check_nonfinite_forward_in(engine, p);
}

/* One linear unit whose loss has a term in every step: delta_{T-k} = s^k + c (s^k - 1) / (s - 1).
 */
static double log_closed_form(double s, double c, size_t k) {
    long double const power = powl((long double)s, (long double)k);
    return (double)log10l(power + (long double)c * (power - 1.0L) / ((long double)s - 1.0L));
}

static void expect_closed_form(const rs_engine *engine, rs_precision p, double s, double term) {
    rs_shape const shape = {.groups = 1,
                            .radii = 1,
                            .batch = 1,
                            .hidden = 1,
                            .steps = 200,
                            .cell = RS_LINEAR,
                            .precision = p};
    engine_case c = engine_case_make(shape, s, s, 5);
    double const one = 1.0, scale = p == RS_F32 ? (double)(float)s : s;
    double const own = p == RS_F32 ? (double)(float)term : term;
    c.parameters[0].weight_hh = c.columns[0].delta = &one;
    c.columns[0].start[0] = NULL;
    c.columns[0].step_delta = term;
    rs_record got = run_case(engine, &c, 1);
    for (size_t k = 0; k < shape.steps; ++k) {
        double const norm = log_norm(&shape, &got, 0, shape.steps - k, 0);
        double const want = log_closed_form(scale, own, k);
        if (!(fabs(norm - want) <= tolerance[p] * (1.0 + fabs(want))))
            fail_msg("%s %s: s = %g, c = %g, %zu steps back: %.17g, must be %.17g", engine->name,
                     rs_precision_name(p), s, term, k, norm, want);
    }
    rs_record_free(&got);
    engine_case_free(&c);
}

/* Beyond the band the loss's own term is scaled as delta is; a single step may change the norm by
 * the largest and the least radius that there is. */
static void check_closed_form(const rs_engine *engine) {
    static double const scale[] = {RS_LEAST_RADIUS, 0.125, 8.0, RS_MOST_RADIUS};
    static double const term[] = {0.0, 1e-3, 1e-30};
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (size_t i = 0; i < sizeof scale / sizeof *scale; ++i)
            for (size_t j = 0; j < sizeof term / sizeof *term; ++j)
                expect_closed_form(engine, p, scale[i], term[j]);
}

/* Input that was given and not drawn, of some samples of a larger batch. */
static void check_given_input_of(const rs_engine *engine, cell_kind kind) {
    enum { INPUT_BATCH = 5, FEATURES = 2 };
    rs_shape const shape = {.groups = 2,
                            .radii = 3,
                            .batch = 3,
                            .hidden = 9,
                            .steps = 60,
                            .warmup = 7,
                            .cell = kind.cell,
                            .leak = kind.leak,
                            .drive = RS_DRIVE_WEIGHTED};
    engine_case c = engine_case_make(shape, 0.5, 0.9, 3);
    static double input[(60 + 7) * INPUT_BATCH * FEATURES];
    for (size_t i = 0; i < sizeof input / sizeof *input; ++i) input[i] = sin((double)(i * i));
    for (size_t g = 0; g < shape.groups; ++g) {
        c.columns[g].drive.input = input;
        c.columns[g].drive.input_batch = INPUT_BATCH;
        c.columns[g].drive.first_sample = 1;
    }
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) {
        c.pass.shape.precision = p;
        if (takes(engine, &c.pass.shape)) compare_case(engine, &c, tolerance[p]);
    }
    engine_case_free(&c);
}

static void check_given_input(const rs_engine *engine) {
    for (size_t i = 0; i < N_CELL_KIND; ++i) check_given_input_of(engine, cell_kind_at(i));
}

static void assert_same_bits(const rs_shape *s, const rs_record *a, const rs_record *b) {
    size_t const columns = s->groups * s->radii * s->batch, norms = columns * s->steps;
    assert_memory_equal(a->norm2, b->norm2, states_of(s) * norms * sizeof(double));
    assert_memory_equal(a->exponent, b->exponent, norms * sizeof(int32_t));
    assert_memory_equal(a->nonfinite_step, b->nonfinite_step, columns * sizeof(uint32_t));
}

/* Radius r of group g, from sample `first` on, alone. */
static void expect_same_alone(const rs_engine *engine, const engine_case *c, const rs_record *whole,
                              size_t g, size_t r, size_t first) {
    const rs_shape *s = &c->pass.shape;
    size_t const columns = s->radii * s->batch, states = states_of(s);
    rs_columns one = c->columns[g];
    rs_pass pass = {.shape = *s, .of = &one};
    one.scale += r * gates_of(s);
    for (size_t k = 0; k < states; ++k) one.start[k] += first * s->hidden;
    one.delta += first * s->hidden;
    one.drive.first_sample = first;
    pass.shape.groups = pass.shape.radii = 1;
    pass.shape.batch = s->batch - first;
    rs_record alone = run_engine(engine, &pass, &c->parameters[g], 2);
    for (size_t i = 0; i < s->steps * states; ++i) {
        size_t const there = (g * s->steps * states + i) * columns + r * s->batch + first;
        assert_memory_equal(whole->norm2 + there, alone.norm2 + i * pass.shape.batch,
                            pass.shape.batch * sizeof(double));
    }
    rs_record_free(&alone);
}

static void check_independence_of(const rs_engine *engine, rs_shape shape) {
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, 0.4, 3.0, 13);
    rs_record whole = run_case(engine, &c, 1);
    for (int threads = 2; threads <= (few_shapes() ? 2 : 5); ++threads) {
        rs_record other = run_case(engine, &c, threads);
        assert_same_bits(&c.pass.shape, &whole, &other);
        rs_record_free(&other);
    }
    for (size_t g = 0; g < shape.groups; ++g) /* every radius, and sample 4 on, by itself */
        for (size_t r = 0; r < shape.radii; ++r)
            expect_same_alone(engine, &c, &whole, g, r, r % 2 ? 4 : 0);
    rs_record_free(&whole);
    engine_case_free(&c);
}

/* A column's bits depend on no other column, on no thread count, and on no cut. */
static void check_independence(const rs_engine *engine) {
    static const cell_kind kind[] = {{RS_TANH, 0.0}, {RS_LSTM, 0.0}, {RS_GRU, 0.0}, {RS_TANH, 0.3}};
    for (size_t i = 0; i < 2 * sizeof kind / sizeof *kind && !few_shapes(); ++i) {
        cell_kind const of = kind[i / 2];
        rs_shape shape = {.groups = 2,
                          .radii = 9,
                          .batch = 11,
                          .hidden = 37,
                          .steps = 50,
                          .cell = of.cell,
                          .leak = of.leak,
                          .precision = (rs_precision)(i % 2),
                          .drive = RS_DRIVE_WEIGHTED};
        if (i >= 2) shape.radii = 3, shape.steps = 10;
        check_independence_of(engine, shape);
    }
}

/* Groups of a launch whose states overflow, each at a step of its own. */
static void check_groups_that_overflow(const rs_engine *engine, rs_shape shape) {
    engine_case c = engine_case_make(shape, 1e5, 1e7, 22);
    rs_record whole = run_case(engine, &c, 2);
    bool differ = false;
    for (size_t g = 0; g < shape.groups; ++g) {
        const uint32_t *step = whole.nonfinite_step + g * shape.radii;
        rs_pass pass = {.shape = c.pass.shape, .of = &c.columns[g]};
        pass.shape.groups = 1;
        rs_record alone = run_engine(engine, &pass, &c.parameters[g], 1);
        assert_memory_equal(step, alone.nonfinite_step, shape.radii * sizeof *step);
        differ = differ || step[0] != whole.nonfinite_step[0];
        rs_record_free(&alone);
    }
    assert_true(differ);
    rs_record_free(&whole);
    engine_case_free(&c);
}

/* Many small groups in a launch: each has the bits that it has alone, on however many threads. */
static void check_many_groups_of(const rs_engine *engine, cell_kind kind) {
    rs_shape const shape = {.groups = few_shapes() || kind.cell != RS_TANH ? 10 : 70,
                            .radii = 16,
                            .batch = 1,
                            .hidden = 10,
                            .steps = 20,
                            .cell = kind.cell,
                            .leak = kind.leak,
                            .drive = RS_DRIVE_WEIGHTED};
    size_t const norms = states_of(&shape) * shape.radii * shape.steps;
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, 0.4, 3.0, 21);
    rs_record whole = run_case(engine, &c, 1);
    for (int threads = 2; threads <= 5; ++threads) {
        rs_record other = run_case(engine, &c, threads);
        assert_same_bits(&c.pass.shape, &whole, &other);
        rs_record_free(&other);
    }
    for (size_t g = 0; g < shape.groups; g += 7) {
        rs_pass pass = {.shape = c.pass.shape, .of = &c.columns[g]};
        pass.shape.groups = 1;
        rs_record alone = run_engine(engine, &pass, &c.parameters[g], 2);
        assert_memory_equal(whole.norm2 + g * norms, alone.norm2, norms * sizeof(double));
        rs_record_free(&alone);
    }
    rs_record_free(&whole);
    engine_case_free(&c);
    if (kind.cell == RS_RELU) check_groups_that_overflow(engine, shape);
}

static void check_many_groups(const rs_engine *engine) {
    static const cell_kind kind[] = {{RS_TANH, 0.0}, {RS_RELU, 0.4}, {RS_LSTM, 0.0}, {RS_GRU, 0.0}};
    for (size_t i = 0; i < sizeof kind / sizeof *kind; ++i) check_many_groups_of(engine, kind[i]);
}

static bool stop_at_once(void *arg, double fraction) {
    assert_true(fraction > 0.0 && fraction <= 1.0);
    ++*(int *)arg;
    return false;
}

static void check_interruption(const rs_engine *engine) {
    rs_shape const shape = {
        .groups = 1, .radii = 40, .batch = 16, .hidden = 8, .steps = 5, .drive = RS_DRIVE_WEIGHTED};
    rs_resources const resources = {.threads = 1};
    engine_case c = engine_case_make(shape, 0.5, 1.0, 1);
    int ticks = 0;
    c.pass.tick = stop_at_once;
    c.pass.tick_arg = &ticks;
    rs_record profile = record_make(&c.pass.shape);
    void *state;
    assert_int_equal(engine->open(0, &c.pass.shape, &resources, &state), RS_OK);
    assert_int_equal(engine->load(state, &c.pass.shape, c.parameters), RS_OK);
    assert_int_equal(engine->run(state, &c.pass, &profile), RS_EINTERRUPTED);
    assert_int_equal(ticks, 1);
    engine->close(state);
    rs_record_free(&profile);
    engine_case_free(&c);
}

/* `size` is one of the shape's. */
static void expect_never_fewer(const rs_engine *engine, const rs_shape *shape, size_t *size,
                               size_t most) {
    rs_resources const resources = {.threads = 2};
    uint64_t last = 0, now;
    for (*size = 1; *size < most; ++*size) {
        assert_int_equal(engine->bytes(0, shape, &resources, &now), RS_OK);
        assert_true(now >= last);
        last = now;
    }
}

static void check_bytes_of(const rs_engine *engine, cell_kind kind) {
    rs_shape shape = {.groups = 1,
                      .radii = 1,
                      .batch = 1,
                      .hidden = 16,
                      .steps = 10,
                      .cell = kind.cell,
                      .leak = kind.leak};
    uint64_t bytes;
    if (!takes(engine, &shape)) return;
    expect_never_fewer(engine, &shape, &shape.radii, 400);
    for (shape.radii = 1; shape.radii < 60; shape.radii += 19)
        expect_never_fewer(engine, &shape, &shape.groups, 60);
    shape.groups = shape.radii = 3;
    expect_never_fewer(engine, &shape, &shape.batch, 100);
    shape.hidden = (size_t)1 << 40;
    assert_int_equal(engine->bytes(0, &shape, &one_thread, &bytes), RS_OK);
    assert_true(bytes == UINT64_MAX);
}

/* bytes() is what open() needs: it grows with every size and takes overflow for what it is. */
static void check_bytes(const rs_engine *engine) {
    for (size_t i = 0; i < N_CELL_KIND; ++i) check_bytes_of(engine, cell_kind_at(i));
}

/* Each instruction set draws the very bits that the plain function draws. */
static void drives_have_the_same_bits(void **state) {
    (void)state;
    enum { HIDDEN = 77, ROWS = RS_MAX_GATES * HIDDEN };
    static double weights[ROWS * 3], bias[ROWS], want[ROWS], got[ROWS];
    for (size_t i = 0; i < ROWS * 3; ++i) weights[i] = sin((double)i);
    for (size_t i = 0; i < ROWS; ++i) bias[i] = cos((double)i);
    rs_parameters const of = {.weight_ih = weights, .bias_hh = bias};
    rs_drive const drive = {.seed = 5, .sigma = 0.3};
    rs_shape shape = {.hidden = HIDDEN, .input_size = 3};
    for (const rs_cpu_kernel *const *k = rs_cpu_kernels(RS_F32); *k; ++k)
        for (size_t i = 0; i < (size_t)3 * RS_N_CELL; ++i)
            for (size_t step = 0; step < 200; ++step) {
                shape.drive = (rs_drive_kind)(i % 3);
                shape.cell = (rs_cell)(i / 3);
                rs_drive_fill(&shape, &of, &drive, step, step % 7, want);
                (*k)->fill_drive(&shape, &of, &drive, step, step % 7, got);
                assert_memory_equal(got, want, gates_of(&shape) * HIDDEN * sizeof *want);
            }
}

/* On one instruction set: every line as in the file, which another one has made. */
static void compare_bits(FILE *golden, const char *isa) {
    char want[128], got[128];
    rewind(golden);
    for (size_t i = 0; i < engine_bits_cases(); ++i) {
        assert_non_null(fgets(want, sizeof want, golden));
        want[strcspn(want, "\n")] = '\0';
        engine_bits_line(i, got);
        if (strcmp(got, want) != 0) fail_msg("%s: %s, must be %s", isa, got, want);
    }
    assert_null(fgets(want, sizeof want, golden));
}

static void fused_instruction_sets_have_the_same_bits(void **state) {
    (void)state;
    FILE *golden = fopen("golden/engine_bits.txt", "r");
    size_t sets = 0;
    assert_non_null(golden);
    for (const rs_cpu_kernel *const *k = rs_cpu_kernels(RS_F32); *k; ++k) {
        if (!(*k)->fused) continue;
        setenv("RHOSWEEP_ISA", (*k)->isa, 1);
        compare_bits(golden, (*k)->isa);
        ++sets;
    }
    unsetenv("RHOSWEEP_ISA");
    fclose(golden);
    if (sets > 0) return;
    print_message("skipped: this processor has no fma\n");
    skip();
}

/* Fractions as the driver sees them, all from its own thread. */
typedef struct watch {
    pthread_t driver;
    bool elsewhere;
    size_t ticks;
} watch;

static bool see_tick(void *arg, double fraction) {
    watch *w = arg;
    if (!pthread_equal(pthread_self(), w->driver) || !(fraction > 0.0 && fraction <= 1.0))
        w->elsewhere = true;
    return ++w->ticks < 3;
}

/* With threads beside the caller's: ticks come from the caller's, and it alone can stop the job. A
 * handle that was stopped runs the next job as any other. */
static void ticks_come_from_the_callers_thread(void **state) {
    (void)state;
    const rs_engine *engine = rs_engine_named("cpu");
    rs_shape const shape = {.groups = 200,
                            .radii = 16,
                            .batch = 4,
                            .hidden = 8,
                            .steps = 9,
                            .drive = RS_DRIVE_WEIGHTED};
    rs_resources const resources = {.threads = 3};
    engine_case c = engine_case_make(shape, 0.5, 1.0, 1);
    rs_record want = run_case(engine, &c, 1), got = record_make(&c.pass.shape);
    void *handle;
    assert_int_equal(engine->open(0, &c.pass.shape, &resources, &handle), RS_OK);
    assert_int_equal(engine->load(handle, &c.pass.shape, c.parameters), RS_OK);
    for (int round = 0; round < 20; ++round) {
        watch w = {.driver = pthread_self()};
        c.pass.tick = see_tick;
        c.pass.tick_arg = &w;
        rs_status const status = engine->run(handle, &c.pass, &got);
        assert_false(w.elsewhere);
        assert_true(w.ticks <= 3);
        assert_int_equal(status, w.ticks == 3 ? RS_EINTERRUPTED : RS_OK);
        c.pass.tick = NULL;
        assert_int_equal(engine->run(handle, &c.pass, &got), RS_OK);
        assert_same_bits(&c.pass.shape, &want, &got);
    }
    engine->close(handle);
    rs_record_free(&want);
    rs_record_free(&got);
    engine_case_free(&c);
}

static void expect_small_jobs_to_fit(rs_cell cell) {
    const rs_engine *cpu = rs_engine_named("cpu");
    rs_resources const resources = {.threads = 2};
    rs_shape largest = {.groups = 1,
                        .radii = 30,
                        .batch = 16,
                        .hidden = 20,
                        .steps = 9,
                        .cell = cell,
                        .drive = RS_DRIVE_WEIGHTED,
                        .input_size = 2};
    void *handle;
    assert_int_equal(cpu->open(0, &largest, &resources, &handle), RS_OK);
    for (size_t radii = 1; radii <= largest.radii; ++radii) {
        rs_shape shape = largest;
        shape.radii = radii;
        engine_case c = engine_case_make(shape, 0.5, 1.0, 1);
        rs_record p = record_make(&shape);
        assert_int_equal(cpu->load(handle, &shape, c.parameters), RS_OK);
        assert_int_equal(cpu->run(handle, &c.pass, &p), RS_OK);
        rs_record_free(&p);
        engine_case_free(&c);
    }
    cpu->close(handle);
}

static void small_jobs_fit_where_large_ones_do(void **state) {
    (void)state;
    for (rs_cell cell = RS_TANH; cell < RS_N_CELL; ++cell) expect_small_jobs_to_fit(cell);
}

/* One handle of an engine, opened for the largest of them, runs cells of every kind in turn, each
 * with the bits that it has alone: nothing that one has left is seen by another. */
static void check_cells_in_turn(const rs_engine *engine) {
    rs_shape largest = {
        .groups = 2, .radii = 5, .batch = 3, .hidden = 20, .steps = 12, .cell = RS_LSTM};
    void *handle;
    if (!takes(engine, &largest)) return;
    assert_int_equal(engine->open(0, &largest, &one_thread, &handle), RS_OK);
    for (size_t i = 0; i < (size_t)2 * N_CELL_KIND; ++i) {
        cell_kind const kind = cell_kind_at(3 * i % N_CELL_KIND);
        uint64_t bytes, most;
        rs_shape shape = largest;
        shape.cell = kind.cell;
        shape.leak = kind.leak;
        assert_int_equal(engine->bytes(0, &largest, &one_thread, &most), RS_OK);
        assert_int_equal(engine->bytes(0, &shape, &one_thread, &bytes), RS_OK);
        if (bytes > most) continue;
        engine_case c = engine_case_make(shape, 0.5, 2.0, 19);
        rs_record want = run_case(engine, &c, 1), got = record_make(&shape);
        assert_int_equal(engine->load(handle, &shape, c.parameters), RS_OK);
        assert_int_equal(engine->run(handle, &c.pass, &got), RS_OK);
        assert_same_bits(&shape, &want, &got);
        rs_record_free(&want);
        rs_record_free(&got);
        engine_case_free(&c);
    }
    engine->close(handle);
}

static void reference_refuses_raw_f32(void **state) {
    (void)state;
    rs_shape shape = {.groups = 1, .radii = 1, .batch = 1, .hidden = 2, .steps = 2, .raw = true};
    const rs_engine *reference = rs_engine_named("reference");
    uint64_t bytes;
    assert_int_equal(reference->bytes(0, &shape, &one_thread, &bytes), RS_EINPUT);
    shape.precision = RS_F64;
    assert_int_equal(reference->bytes(0, &shape, &one_thread, &bytes), RS_OK);
}

static void expect_clusters_to_change_nothing(const rs_engine *cuda, const rs_shape *shape) {
    engine_case c = engine_case_make(*shape, 0.3, 3.0, 17);
    setenv("RHOSWEEP_CUDA_PATH", "cluster", 1);
    bool const clusters = engine_takes(cuda, &c.pass.shape);
    setenv("RHOSWEEP_CUDA_PATH", "persistent", 1);
    if (clusters && engine_takes(cuda, &c.pass.shape)) {
        rs_record alone = run_case(cuda, &c, 1);
        setenv("RHOSWEEP_CUDA_PATH", "cluster", 1);
        rs_record together = run_case(cuda, &c, 1);
        assert_same_bits(&c.pass.shape, &alone, &together);
        rs_record_free(&alone);
        rs_record_free(&together);
    } else { /* a device without clusters */
        print_message("skipped: %s\n", rs_message());
    }
    unsetenv("RHOSWEEP_CUDA_PATH");
    engine_case_free(&c);
}

/* The CUDA engine chooses among these two by the number of columns, which bits must not show. */
static void clusters_change_no_bits(void **state) {
    (void)state;
    static const size_t hidden[] = {37, 100, 130, 257};
    static const rs_cell cell[] = {RS_TANH, RS_LSTM, RS_GRU};
    const rs_engine *cuda = rs_engine_named("cuda");
    rs_device device;
    if (!cuda || cuda->device(0, &device) != RS_OK) {
        print_message("skipped: %s\n", cuda ? rs_message() : "no CUDA engine in this build");
        skip();
    }
    for (size_t i = 0; i < 3 * (few_shapes() ? 1 : sizeof hidden / sizeof *hidden); ++i)
        for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) {
            bool const large = i / 3 % 2 == 1 || p == RS_F64;
            rs_shape const shape = {.groups = 2,
                                    .radii = 5,
                                    .batch = 9,
                                    .hidden = hidden[i / 3],
                                    .steps = 14,
                                    .warmup = 1,
                                    .cell = cell[i % 3],
                                    .precision = p,
                                    .raw = i / 3 == 1,
                                    .drive = RS_DRIVE_WEIGHTED};
            if (i % 3 == 0 || !large) expect_clusters_to_change_nothing(cuda, &shape);
        }
}

/* Both the engine cpu, which "auto" would otherwise pass over, and the shapes it is asked for. */
static void unknown_isa_is_refused(void **state) {
    (void)state;
    rs_shape const shape = {.groups = 1, .radii = 1, .batch = 1, .hidden = 2, .steps = 2};
    const rs_engine *cpu = rs_engine_named("cpu");
    rs_device device;
    setenv("RHOSWEEP_ISA", "avx521", 1);
#if defined(__x86_64__)
    const char *const why = "RHOSWEEP_ISA: avx521: must be avx512, avx2 or baseline";
#elif defined(__aarch64__)
    const char *const why = "RHOSWEEP_ISA: avx521: must be neon";
#else
    const char *const why = "RHOSWEEP_ISA: avx521: must be baseline";
#endif
    uint64_t bytes;
    assert_int_equal(cpu->bytes(0, &shape, &one_thread, &bytes), RS_EINPUT);
    assert_string_equal(rs_message(), why);
    assert_int_equal(cpu->device(0, &device), RS_EINPUT);
    assert_string_equal(rs_message(), why);
    setenv("RHOSWEEP_ISA", "", 1); /* as if unset */
    assert_int_equal(cpu->device(0, &device), RS_OK);
    assert_string_equal(device.isa, rs_cpu_kernels(RS_F32)[0]->isa);
    unsetenv("RHOSWEEP_ISA");
}

/* Results are kept under one name where they have the same bits, and under others elsewhere. */
static void identity_names_what_bits_depend_on(void **state) {
    (void)state;
    rs_device device;
    for (const rs_cpu_kernel *const *k = rs_cpu_kernels(RS_F32); *k; ++k) {
        char want[24];
        snprintf(want, sizeof want, (*k)->fused ? "cpu" : "cpu-baseline");
        setenv("RHOSWEEP_ISA", (*k)->isa, 1);
        assert_int_equal(rs_engine_named("cpu")->device(0, &device), RS_OK);
        assert_string_equal(device.isa, (*k)->isa);
        assert_string_equal(device.identity, want);
    }
    unsetenv("RHOSWEEP_ISA");
    assert_int_equal(rs_engine_named("reference")->device(0, &device), RS_OK);
    assert_string_equal(device.identity, "reference");
}

/* The order that "auto" takes them in. */
static void engines_are_listed_best_first(void **state) {
    (void)state;
    static const char *const order[] = {"cuda", "cpu", "reference"};
    const rs_engine *const *engine = rs_engines();
    for (size_t i = rs_engine_named("cuda") ? 0 : 1; i < 3; ++i, ++engine)
        assert_string_equal((*engine)->name, order[i]);
    assert_null(*engine);
    assert_null(rs_engine_named("gpu"));
}

static void reference_is_raw_as_the_others(void **state) {
    (void)state;
    check_raw_relu_in(rs_engine_named("reference"), RS_F64);
    check_raw_limits_in(rs_engine_named("reference"), RS_F64);
    check_raw_memory_in(rs_engine_named("reference"), RS_F64, RS_LSTM);
    check_raw_memory_in(rs_engine_named("reference"), RS_F64, RS_GRU);
    check_raw_bits_in(rs_engine_named("reference"), RS_F64);
}

/* Where tests above compare with a closed form, the definition is held against it too. */
static void reference_is_right_by_itself(void **state) {
    (void)state;
    check_closed_form(rs_engine_named("reference"));
    check_memory(rs_engine_named("reference"));
    check_nonfinite_forward_in(rs_engine_named("reference"), RS_F64);
    expect_infinite_memory(rs_engine_named("reference"), 0);
}

#define CHECK(name)                                                                                \
    static void name(void **state) {                                                               \
        (void)state;                                                                               \
        for_each_engine(check_##name);                                                             \
    }
CHECK(sizes)
CHECK(raw)
CHECK(large)
CHECK(range)
CHECK(saturation)
CHECK(memory)
CHECK(drives)
CHECK(cells_in_turn)
CHECK(raw_bits)
CHECK(raw_limits)
CHECK(raw_relu)
CHECK(extended_relu)
CHECK(nonfinite_forward)
CHECK(closed_form)
CHECK(given_input)
CHECK(independence)
CHECK(many_groups)
CHECK(interruption)
CHECK(bytes)

int main(void) {
    const struct CMUnitTest engines[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(raw),
        cmocka_unit_test(large),
        cmocka_unit_test(range),
        cmocka_unit_test(saturation),
        cmocka_unit_test(memory),
        cmocka_unit_test(drives),
        cmocka_unit_test(cells_in_turn),
        cmocka_unit_test(raw_bits),
        cmocka_unit_test(raw_limits),
        cmocka_unit_test(raw_relu),
        cmocka_unit_test(extended_relu),
        cmocka_unit_test(nonfinite_forward),
        cmocka_unit_test(closed_form),
        cmocka_unit_test(given_input),
        cmocka_unit_test(independence),
        cmocka_unit_test(many_groups),
        cmocka_unit_test(interruption),
        cmocka_unit_test(bytes),
        cmocka_unit_test(clusters_change_no_bits),
    };
    const struct CMUnitTest host[] = {
        cmocka_unit_test(drives_have_the_same_bits),
        cmocka_unit_test(fused_instruction_sets_have_the_same_bits),
        cmocka_unit_test(ticks_come_from_the_callers_thread),
        cmocka_unit_test(small_jobs_fit_where_large_ones_do),
        cmocka_unit_test(reference_refuses_raw_f32),
        cmocka_unit_test(reference_is_raw_as_the_others),
        cmocka_unit_test(reference_is_right_by_itself),
        cmocka_unit_test(unknown_isa_is_refused),
        cmocka_unit_test(identity_names_what_bits_depend_on),
        cmocka_unit_test(engines_are_listed_best_first),
    };
    const struct CMUnitTest fewest[] = {
        cmocka_unit_test(sizes),        cmocka_unit_test(large),
        cmocka_unit_test(drives),       cmocka_unit_test(cells_in_turn),
        cmocka_unit_test(independence), cmocka_unit_test(interruption),
    };
    if (fewest_shapes()) return cmocka_run_group_tests(fewest, NULL, NULL);
    int failed = cmocka_run_group_tests(engines, NULL, NULL);
    if (!getenv("RHOSWEEP_TEST_ENGINE")) failed += cmocka_run_group_tests(host, NULL, NULL);
    return failed;
}
