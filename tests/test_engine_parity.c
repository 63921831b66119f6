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

/* Fails with the worst element's place. */
static void compare(const rs_engine *engine, const rs_shape *s, const rs_record *got,
                    const rs_record *want, double limit) {
    double worst = -1.0, worst_got = 0.0, worst_want = 0.0;
    size_t at[3] = {0};
    for (size_t g = 0; g < s->groups; ++g)
        for (size_t t = 1; t <= s->steps; ++t)
            for (size_t c = 0; c < s->radii * s->batch; ++c) {
                double const a = log_norm(s, got, g, t, c), b = log_norm(s, want, g, t, c);
                double const error = a == b ? 0.0 : fabs(a - b) / (1.0 + fabs(b));
                if (error <= worst) continue; /* NaN goes on */
                worst = isnan(error) ? INFINITY : error;
                worst_got = a;
                worst_want = b;
                at[0] = g, at[1] = t, at[2] = c;
            }
    if (worst <= limit) return;
    char text[160];
    describe(engine, s, text);
    fail_msg("%s: worst at group %zu, step %zu, column %zu: %.17g, reference %.17g (error %g a "
             "decade, limit %g)",
             text, at[0], at[1], at[2], worst_got, worst_want, worst, limit);
}

static void check_shape(const rs_engine *engine, rs_shape shape, double low, double high,
                        double step_gradient, double limit) {
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, low, high, 7);
    for (size_t g = 0; g < shape.groups; ++g) c.columns[g].step_delta = step_gradient;
    rs_record want = run_case(rs_engine_named("reference"), &c, 1);
    rs_record got = run_case(engine, &c, 2);
    compare(engine, &shape, &got, &want, limit);
    for (size_t i = 0; i < shape.groups * shape.radii * shape.batch; ++i)
        assert_int_equal(got.nonfinite_step[i], want.nonfinite_step[i]);
    rs_record_free(&want);
    rs_record_free(&got);
    engine_case_free(&c);
}

/* Plain arithmetic, slopes by the usual formula, in the one precision that the reference has. */
static void check_raw(const rs_engine *engine) {
    static const size_t hidden[] = {3, 10, 33};
    for (rs_cell n = RS_TANH; n < RS_N_CELL; ++n)
        for (size_t i = 0; i < sizeof hidden / sizeof *hidden; ++i) {
            rs_shape const shape = {.groups = 2,
                                    .radii = 5,
                                    .batch = 3,
                                    .hidden = hidden[i],
                                    .steps = 40,
                                    .cell = n,
                                    .precision = RS_F64,
                                    .raw = true,
                                    .drive = RS_DRIVE_WEIGHTED};
            check_shape(engine, shape, 0.3, 0.9, 0.0, tolerance[RS_F64]);
        }
}

/* Every size class: below, at and above each kernel's lanes, rows and tile widths. */
static void check_sizes(const rs_engine *engine) {
    static const size_t hidden[] = {1, 2, 3, 5, 8, 9, 10, 17, 32, 37, 64, 100};
    static const size_t columns[][2] = {{1, 1},  {1, 3},  {7, 1},  {5, 7}, {3, 16},
                                        {16, 3}, {2, 33}, {64, 1}, {1, 64}};
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (rs_cell n = RS_TANH; n < RS_N_CELL; ++n)
            for (size_t i = 0; i < sizeof hidden / sizeof *hidden; ++i)
                for (size_t j = 0; j < sizeof columns / sizeof *columns; ++j) {
                    if (few_shapes() && (3 * i + j) % 23 != 0) continue;
                    rs_shape const shape = {.groups = 1 + (i + j) % 2,
                                            .radii = columns[j][0],
                                            .batch = columns[j][1],
                                            .hidden = hidden[i],
                                            .steps = 1 + (i * 5 + j * 3) % 24,
                                            .warmup = (i + j) % 3,
                                            .cell = n,
                                            .precision = p,
                                            .drive =
                                                (i + j) % 4 ? RS_DRIVE_WEIGHTED : RS_DRIVE_ZERO};
                    check_shape(engine, shape, 0.3, 0.9, j % 2 ? 1e-3 : 0.0, tolerance[p]);
                }
}

/* The classes of large H; few columns, for the reference is slow. Raw in its one precision. */
static void check_large(const rs_engine *engine) {
    static const size_t hidden[] = {128, 224, 257, 512};
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (rs_cell n = RS_TANH; n < RS_N_CELL; ++n)
            for (size_t i = 0; i < (few_shapes() ? 1 : sizeof hidden / sizeof *hidden); ++i) {
                rs_shape shape = {.groups = 1,
                                  .radii = 3,
                                  .batch = 2,
                                  .hidden = hidden[i],
                                  .steps = 12,
                                  .cell = n,
                                  .precision = p,
                                  .drive = RS_DRIVE_WEIGHTED};
                check_shape(engine, shape, 0.5, 0.9, 0.0, tolerance[p]);
                shape.raw = true;
                if (p == RS_F64) check_shape(engine, shape, 0.5, 0.9, 0.0, tolerance[p]);
            }
}

/* Range extension: 400 steps at gain 0.02 .. 0.1 go far below 1e-300, at 30 above 1e300. */
static void check_range(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) {
        rs_shape shape = {.groups = 1,
                          .radii = 4,
                          .batch = 5,
                          .hidden = 12,
                          .steps = 400,
                          .cell = RS_LINEAR,
                          .precision = p,
                          .drive = RS_DRIVE_WEIGHTED};
        check_shape(engine, shape, 0.02, 0.1, 0.0, tolerance[p]);
        shape.drive = RS_DRIVE_ZERO;
        if (!takes(engine, &shape)) continue;
        engine_case c = engine_case_make(shape, 30.0, 40.0, 3);
        for (size_t i = 0; i < shape.batch * shape.hidden; ++i) /* h stays 0 */
            ((double *)c.columns[0].start[0])[i] = 0.0;
        rs_record want = run_case(rs_engine_named("reference"), &c, 1);
        rs_record got = run_case(engine, &c, 2);
        assert_true(log_norm(&shape, &want, 0, 1, 0) > 500.0);
        compare(engine, &shape, &got, &want, tolerance[p]);
        rs_record_free(&want);
        rs_record_free(&got);
        engine_case_free(&c);
    }
}

/* tanh far into saturation: phi' of 1e-8 and below is kept, not rounded to 0. */
static void check_saturation(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) {
        rs_shape const shape = {.groups = 1,
                                .radii = 8,
                                .batch = 2,
                                .hidden = 8,
                                .steps = 20,
                                .precision = p,
                                .drive = RS_DRIVE_WEIGHTED};
        check_shape(engine, shape, 2.0, 12.0, 0.0, 50 * tolerance[p]);
    }
}

/* A raw job is plain arithmetic: for relu and linear it has the same bits as the extended one
 * while both stay in range. */
static void check_raw_bits_in(const rs_engine *engine, rs_precision p) {
    for (rs_cell n = RS_RELU; n <= RS_LINEAR; ++n) {
        rs_shape shape = {.groups = 1,
                          .radii = 6,
                          .batch = 3,
                          .hidden = 20,
                          .steps = 60,
                          .cell = n,
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

static void check_raw_limits(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) check_raw_limits_in(engine, p);
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
static void check_nonfinite_forward_in(const rs_engine *engine, rs_precision p) {
    uint32_t const exponents = p == RS_F32 ? 128 : 1024;
    expect_nonfinite(engine, p, 0, (const uint32_t[]){0, exponents, exponents / 2});
    expect_nonfinite(engine, p, 28, (const uint32_t[]){0, exponents - 28, exponents / 2 - 28});
    expect_nonfinite(engine, p, exponents - 1, (const uint32_t[]){0, 1, 1});
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
static void check_given_input(const rs_engine *engine) {
    enum { INPUT_BATCH = 5, FEATURES = 2 };
    rs_shape const shape = {.groups = 2,
                            .radii = 3,
                            .batch = 3,
                            .hidden = 9,
                            .steps = 60,
                            .warmup = 7,
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
        if (!takes(engine, &c.pass.shape)) continue;
        rs_record want = run_case(rs_engine_named("reference"), &c, 1);
        rs_record got = run_case(engine, &c, 2);
        compare(engine, &c.pass.shape, &got, &want, tolerance[p]);
        rs_record_free(&want);
        rs_record_free(&got);
    }
    engine_case_free(&c);
}

static void assert_same_bits(const rs_record *a, const rs_record *b, size_t norms, size_t columns) {
    assert_memory_equal(a->norm2, b->norm2, norms * sizeof(double));
    assert_memory_equal(a->exponent, b->exponent, norms * sizeof(int32_t));
    assert_memory_equal(a->nonfinite_step, b->nonfinite_step, columns * sizeof(uint32_t));
}

/* A column's bits depend on no other column, on no thread count, and on no cut. */
static void check_independence(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION && !few_shapes(); ++p) {
        rs_shape const shape = {.groups = 2,
                                .radii = 9,
                                .batch = 11,
                                .hidden = 37,
                                .steps = 50,
                                .precision = p,
                                .drive = RS_DRIVE_WEIGHTED};
        size_t const columns = shape.radii * shape.batch, norms = columns * shape.steps;
        if (!takes(engine, &shape)) continue;
        engine_case c = engine_case_make(shape, 0.4, 3.0, 13);
        rs_record whole = run_case(engine, &c, 1);
        for (int threads = 2; threads <= 5; ++threads) {
            rs_record other = run_case(engine, &c, threads);
            assert_same_bits(&whole, &other, shape.groups * norms, shape.groups * columns);
            rs_record_free(&other);
        }
        for (size_t g = 0; g < shape.groups; ++g) /* every radius, and sample 4 on, by itself */
            for (size_t r = 0; r < shape.radii; ++r) {
                size_t const first = r % 2 ? 4 : 0;
                rs_columns one = c.columns[g];
                one.scale += r;
                one.start[0] += first * shape.hidden;
                one.delta += first * shape.hidden;
                one.drive.first_sample = first;
                rs_pass pass = {.shape = c.pass.shape, .of = &one};
                pass.shape.groups = pass.shape.radii = 1;
                pass.shape.batch = shape.batch - first;
                rs_record alone = run_engine(engine, &pass, &c.parameters[g], 2);
                for (size_t t = 0; t < shape.steps; ++t) {
                    size_t const there = (g * shape.steps + t) * columns + r * shape.batch + first;
                    assert_memory_equal(whole.norm2 + there, alone.norm2 + t * pass.shape.batch,
                                        pass.shape.batch * sizeof(double));
                }
                rs_record_free(&alone);
            }
        rs_record_free(&whole);
        engine_case_free(&c);
    }
}

/* Groups of a launch whose states overflow, each at a step of its own. */
static void check_groups_that_overflow(const rs_engine *engine, rs_shape shape) {
    shape.cell = RS_RELU;
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
static void check_many_groups(const rs_engine *engine) {
    rs_shape const shape = {.groups = few_shapes() ? 10 : 70,
                            .radii = 16,
                            .batch = 1,
                            .hidden = 10,
                            .steps = 20,
                            .drive = RS_DRIVE_WEIGHTED};
    size_t const norms = shape.radii * shape.steps;
    if (!takes(engine, &shape)) return;
    engine_case c = engine_case_make(shape, 0.4, 3.0, 21);
    rs_record whole = run_case(engine, &c, 1);
    for (int threads = 2; threads <= 5; ++threads) {
        rs_record other = run_case(engine, &c, threads);
        assert_same_bits(&whole, &other, shape.groups * norms, shape.groups * shape.radii);
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
    check_groups_that_overflow(engine, shape);
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

/* bytes() is what open() needs: it grows with every size and takes overflow for what it is. */
static void check_bytes(const rs_engine *engine) {
    rs_resources const resources = {.threads = 2};
    rs_shape shape = {.groups = 1, .radii = 1, .batch = 1, .hidden = 16, .steps = 10};
    uint64_t last = 0;
    if (!takes(engine, &shape)) return;
    for (size_t radii = 1; radii < 400; ++radii) {
        shape.radii = radii;
        uint64_t now;
        assert_int_equal(engine->bytes(0, &shape, &resources, &now), RS_OK);
        assert_true(now >= last);
        last = now;
    }
    for (shape.radii = 1; shape.radii < 60; shape.radii += 19) {
        last = 0;
        for (shape.groups = 1; shape.groups < 60; ++shape.groups) {
            uint64_t now;
            assert_int_equal(engine->bytes(0, &shape, &resources, &now), RS_OK);
            assert_true(now >= last);
            last = now;
        }
    }
    shape.hidden = (size_t)1 << 40;
    assert_int_equal(engine->bytes(0, &shape, &resources, &last), RS_OK);
    assert_true(last == UINT64_MAX);
}

/* Each instruction set draws the very bits that the plain function draws. */
static void drives_have_the_same_bits(void **state) {
    (void)state;
    enum { HIDDEN = 77 };
    double weights[HIDDEN * 3], bias[HIDDEN], want[HIDDEN], got[HIDDEN];
    for (size_t i = 0; i < HIDDEN * 3; ++i) weights[i] = sin((double)i);
    for (size_t i = 0; i < HIDDEN; ++i) bias[i] = cos((double)i);
    rs_parameters const of = {.weight_ih = weights, .bias_hh = bias};
    rs_drive const drive = {.seed = 5, .sigma = 0.3};
    rs_shape shape = {.hidden = HIDDEN, .input_size = 3};
    for (const rs_cpu_kernel *const *k = rs_cpu_kernels(RS_F32); *k; ++k)
        for (int kind = RS_DRIVE_ZERO; kind <= RS_DRIVE_WEIGHTED; ++kind)
            for (size_t step = 0; step < 200; ++step) {
                shape.drive = (rs_drive_kind)kind;
                rs_drive_fill(&shape, &of, &drive, step, step % 7, want);
                (*k)->fill_drive(&shape, &of, &drive, step, step % 7, got);
                assert_memory_equal(got, want, sizeof want);
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
    size_t const columns = shape.groups * shape.radii * shape.batch;
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
        assert_same_bits(&want, &got, columns * shape.steps, columns);
    }
    engine->close(handle);
    rs_record_free(&want);
    rs_record_free(&got);
    engine_case_free(&c);
}

static void small_jobs_fit_where_large_ones_do(void **state) {
    (void)state;
    const rs_engine *cpu = rs_engine_named("cpu");
    rs_resources const resources = {.threads = 2};
    rs_shape largest = {.groups = 1,
                        .radii = 30,
                        .batch = 16,
                        .hidden = 20,
                        .steps = 9,
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

static void reference_refuses_raw_f32(void **state) {
    (void)state;
    rs_shape shape = {.groups = 1, .radii = 1, .batch = 1, .hidden = 2, .steps = 2, .raw = true};
    const rs_engine *reference = rs_engine_named("reference");
    uint64_t bytes;
    assert_int_equal(reference->bytes(0, &shape, &one_thread, &bytes), RS_EINPUT);
    shape.precision = RS_F64;
    assert_int_equal(reference->bytes(0, &shape, &one_thread, &bytes), RS_OK);
}

/* The CUDA engine chooses among these two by the number of columns, which bits must not show. */
static void clusters_change_no_bits(void **state) {
    (void)state;
    static const size_t hidden[] = {37, 100, 130, 257};
    const rs_engine *cuda = rs_engine_named("cuda");
    rs_device device;
    if (!cuda || cuda->device(0, &device) != RS_OK) {
        print_message("skipped: %s\n", cuda ? rs_message() : "no CUDA engine in this build");
        skip();
    }
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (size_t i = 0; i < (few_shapes() ? 1 : sizeof hidden / sizeof *hidden); ++i) {
            rs_shape const shape = {.groups = 2,
                                    .radii = 5,
                                    .batch = 9,
                                    .hidden = hidden[i],
                                    .steps = 14,
                                    .warmup = 1,
                                    .precision = p,
                                    .raw = i == 1,
                                    .drive = RS_DRIVE_WEIGHTED};
            size_t const columns = shape.groups * shape.radii * shape.batch;
            engine_case c = engine_case_make(shape, 0.3, 3.0, 17);
            setenv("RHOSWEEP_CUDA_PATH", "persistent", 1);
            rs_record alone = run_case(cuda, &c, 1);
            setenv("RHOSWEEP_CUDA_PATH", "cluster", 1);
            if (engine_takes(cuda, &c.pass.shape)) {
                rs_record together = run_case(cuda, &c, 1);
                assert_same_bits(&alone, &together, columns * shape.steps, columns);
                rs_record_free(&together);
            } else { /* a device without clusters */
                print_message("skipped: %s\n", rs_message());
            }
            unsetenv("RHOSWEEP_CUDA_PATH");
            rs_record_free(&alone);
            engine_case_free(&c);
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
    check_raw_bits_in(rs_engine_named("reference"), RS_F64);
}

/* Where tests above compare with a closed form, the definition is held against it too. */
static void reference_is_right_by_itself(void **state) {
    (void)state;
    check_closed_form(rs_engine_named("reference"));
    check_nonfinite_forward_in(rs_engine_named("reference"), RS_F64);
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
    int failed = cmocka_run_group_tests(engines, NULL, NULL);
    if (!getenv("RHOSWEEP_TEST_ENGINE")) failed += cmocka_run_group_tests(host, NULL, NULL);
    return failed;
}
