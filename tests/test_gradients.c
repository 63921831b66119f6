/* Gradients of the weights: the reference engine against differences of the loss, every other
 * engine against the reference, and what holds exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "each_engine.h"
#include "engine_case.h"
#include "gradient_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of norms, relative. */
static double const tolerance[RS_N_PRECISION] = {[RS_F32] = 2e-5, [RS_F64] = 1e-12};

static const char *const kind_name[RS_N_GRADIENT] = {"weight_ih", "weight_hh", "bias_ih",
                                                     "bias_hh"};

/* ---- comparing ------------------------------------------------------------------------------- */

/* A norm as a record keeps it: sqrt(norm2) 2^exponent. */
typedef struct kept_norm {
    double norm2;
    int32_t exponent;
} kept_norm;

static kept_norm norm_at(const rs_shape *shape, const rs_record *record, size_t g, size_t r,
                         int kind) {
    size_t const i = (g * shape->radii + r) * RS_N_GRADIENT + (size_t)kind;
    return (kept_norm){record->gradient2[i], record->gradient_exponent[i]};
}

static double log10_of(kept_norm norm) {
    return 0.5 * log10(norm.norm2) + norm.exponent * log10(2.0);
}

static bool is_plain(kept_norm norm) { return isfinite(norm.norm2) && norm.norm2 > 0.0; }

/* Relative; 0, inf and NaN must be what they are. */
static double error_of(kept_norm got, kept_norm want) {
    if (is_plain(got) && is_plain(want))
        return fabs(ldexp(sqrt(got.norm2) / sqrt(want.norm2), got.exponent - want.exponent) - 1.0);
    bool const same = isnan(got.norm2) ? isnan(want.norm2) : got.norm2 == want.norm2;
    return same ? 0.0 : INFINITY;
}

static void expect_norm(const rs_engine *engine, const rs_shape *s, size_t g, size_t r, int kind,
                        kept_norm got, kept_norm want, double limit) {
    double const error = error_of(got, want);
    if (error <= limit) return;
    char text[160];
    describe(engine, s, text);
    fail_msg("%s: %s of group %zu, radius %zu: %.17g 2^%d, must be %.17g 2^%d (error %g, limit %g)",
             text, kind_name[kind], g, r, sqrt(got.norm2), got.exponent, sqrt(want.norm2),
             want.exponent, error, limit);
}

static void compare(const rs_engine *engine, const rs_shape *s, const rs_record *got,
                    const rs_record *want, double limit) {
    for (size_t g = 0; g < s->groups; ++g)
        for (size_t r = 0; r < s->radii; ++r)
            for (int kind = 0; kind < RS_N_GRADIENT; ++kind)
                expect_norm(engine, s, g, r, kind, norm_at(s, got, g, r, kind),
                            norm_at(s, want, g, r, kind), limit);
}

/* With what another program says, in plain numbers. */
static void compare_plain(const rs_engine *engine, const rs_shape *s, const rs_record *got,
                          size_t g, size_t r, const long double want[RS_N_GRADIENT], double limit) {
    for (int kind = 0; kind < RS_N_GRADIENT; ++kind) {
        int exponent = 0;
        double const near_one =
            (double)(isfinite(want[kind]) ? frexpl(want[kind], &exponent) : want[kind]);
        expect_norm(engine, s, g, r, kind, norm_at(s, got, g, r, kind),
                    (kept_norm){near_one * near_one, exponent}, limit);
    }
}

/* ---- cases ----------------------------------------------------------------------------------- */

enum { MOST_INPUT = 80 * 20 * 3 };

/* Samples 1 .. of a batch that is larger by 3. */
static void give_input(engine_case *c, double size) {
    static double input[MOST_INPUT];
    const rs_shape *s = &c->pass.shape;
    size_t const batch = s->batch + 3;
    assert_true((s->warmup + s->steps) * batch * s->input_size <= MOST_INPUT);
    for (size_t i = 0; i < MOST_INPUT; ++i) input[i] = size * sin((double)(i * i));
    for (size_t g = 0; g < s->groups; ++g) {
        c->columns[g].drive.input = input;
        c->columns[g].drive.input_batch = batch;
        c->columns[g].drive.first_sample = 1;
    }
}

/* With both biases, and noise where the shape has it. */
static engine_case case_of(rs_shape shape, double low, double high, double step_delta) {
    shape.gradients = true;
    engine_case c = engine_case_make(shape, low, high, 7);
    for (size_t g = 0; g < shape.groups; ++g) {
        c.columns[g].drive.sigma = 0.5;
        c.columns[g].step_delta = step_delta;
        c.parameters[g].bias_hh = c.parameters[g].weight_hh; /* [K H] of them */
    }
    return c;
}

/* Against the reference. */
static void check_case(const rs_engine *engine, const engine_case *c, double limit) {
    if (!takes(engine, &c->pass.shape)) return;
    rs_record want = run_case(rs_engine_named("reference"), c, 1);
    rs_record got = run_case(engine, c, 2);
    compare(engine, &c->pass.shape, &got, &want, limit);
    rs_record_free(&want);
    rs_record_free(&got);
}

static void check_shape(const rs_engine *engine, rs_shape shape, double low, double high,
                        double step_delta) {
    engine_case c = case_of(shape, low, high, step_delta);
    check_case(engine, &c, (paths_cancel(&shape) ? 50 : 1) * tolerance[shape.precision]);
    engine_case_free(&c);
}

/* ---- the reference against differences ------------------------------------------------------- */

typedef enum loss_kind { LAST_MEAN, ALL_MEAN, RANDOM, N_LOSS } loss_kind;

/* The losses of the program; a random unit vector is what a case has already. */
static void set_loss(engine_case *c, loss_kind loss) {
    const rs_shape *s = &c->pass.shape;
    size_t const numbers = s->batch * s->hidden;
    double const each = 1.0 / (double)(numbers * (loss == ALL_MEAN ? s->steps : 1));
    if (loss == RANDOM) return;
    for (size_t i = 0; i < numbers; ++i) ((double *)c->columns[0].delta)[i] = each;
    c->columns[0].step_delta = loss == ALL_MEAN ? each : 0.0;
}

static void expect_differences(rs_shape shape, bool given, loss_kind loss) {
    const rs_engine *reference = rs_engine_named("reference");
    engine_case c = case_of(shape, 0.4, 1.8, 0.0);
    set_loss(&c, loss);
    if (given) give_input(&c, 1.0);
    rs_record got = run_case(reference, &c, 1);
    for (size_t r = 0; r < shape.radii; ++r) {
        long double norm[RS_N_GRADIENT];
        double const kink = differenced_gradients(&c.pass, c.parameters, 0, r, norm);
        if (shape.cell == RS_RELU) assert_true(kink > 2e-5);
        compare_plain(reference, &c.pass.shape, &got, 0, r, norm, 1e-9);
    }
    rs_record_free(&got);
    engine_case_free(&c);
}

/* Without input a relu network dies, and then stays where relu has no derivative. */
static bool differentiable(const rs_shape *s) {
    return s->cell != RS_RELU || s->drive != RS_DRIVE_ZERO;
}

static void expect_differences_of(cell_kind kind, rs_drive_kind drive, bool given) {
    static const size_t hidden[] = {1, 3, 5}, batch[] = {1, 2, 4}, steps[] = {1, 2, 9};
    bool const simple = rs_cell_of(kind.cell)->gates == 1 && kind.leak == 0.0; /* and quick */
    for (size_t i = 0; i < 27; ++i) {
        rs_shape const shape = {.groups = 1,
                                .radii = 3,
                                .batch = batch[i / 3 % 3],
                                .hidden = hidden[i % 3],
                                .input_size = drive == RS_DRIVE_WEIGHTED ? 1 + i % 3 : 0,
                                .steps = steps[i / 9],
                                .warmup = i % 2 ? 4 : 0,
                                .drive = drive,
                                .cell = kind.cell,
                                .leak = kind.leak,
                                .precision = RS_F64};
        if (!differentiable(&shape)) continue;
        for (loss_kind loss = LAST_MEAN; loss < N_LOSS; ++loss)
            if (simple || (i + i / 3 + i / 9 + loss) % 3 == 0)
                expect_differences(shape, given, loss);
    }
}

static void reference_is_the_derivative_of_the_loss(void **state) {
    (void)state;
    for (size_t i = 0; i < N_CELL_KIND; ++i) {
        expect_differences_of(cell_kind_at(i), RS_DRIVE_ZERO, false);
        expect_differences_of(cell_kind_at(i), RS_DRIVE_NOISE, false);
        expect_differences_of(cell_kind_at(i), RS_DRIVE_WEIGHTED, false);
        expect_differences_of(cell_kind_at(i), RS_DRIVE_WEIGHTED, true);
    }
}

/* ---- engines against the reference ----------------------------------------------------------- */

/* Where a relu's argument comes within rounding of 0, float takes the other side: one such unit
 * moves a norm more than rounding does. */
static bool rounds_across_a_kink(const rs_shape *s) {
    return s->cell == RS_RELU && s->precision == RS_F32 &&
           s->groups * s->radii * s->batch * s->hidden * s->steps > 100000;
}

/* Over many steps states may leave float's range, where they have no exponent beside them: without
 * input, or with a radius that a draw of few numbers has put far from 1. */
static bool states_leave_the_range(const rs_shape *s) {
    bool const bounded = s->cell != RS_RELU && s->cell != RS_LINEAR, grows = s->hidden < 5;
    return !bounded && s->precision == RS_F32 && s->steps > 50 &&
           (s->drive == RS_DRIVE_ZERO || grows);
}

static size_t cost(const rs_shape *s) {
    size_t const gates = rs_cell_of(s->cell)->gates;
    return gates * s->groups * s->radii * s->batch * s->steps * s->hidden * s->hidden;
}

/* Every size class: below, at and above each kernel's lanes, rows and tile widths; batches that
 * fill no vector, short and long sums. Each size with each cell, drive and precision, and the
 * others in turn. */
static void check_sizes(const rs_engine *engine) {
    static const size_t hidden[] = {1, 2, 5, 10, 16, 17, 37, 48, 64};
    static const size_t batch[] = {1, 3, 5, 7, 16, 20, 49}, steps[] = {1, 2, 50, 200};
    static const size_t radii[] = {1, 2, 4, 16}, inputs[] = {1, 2, 5, 17};
    size_t const sizes = sizeof hidden / sizeof *hidden;
    for (size_t i = 0; i < 12 * N_CELL_KIND * sizes; ++i) {
        if (few_shapes() && i % 23 != 0) continue;
        size_t const turn = i / sizes, other = i + turn / 2;
        size_t const others = turn / N_CELL_KIND; /* precision, drive, warm-up */
        rs_drive_kind const drive = (rs_drive_kind)(others / 2 % 3);
        cell_kind const kind = cell_kind_at(turn % N_CELL_KIND);
        if (turn % N_CELL_KIND > RS_LINEAR && (i + others) % 3 != 0) continue;
        rs_shape const shape = {.groups = 1 + other % 2,
                                .radii = radii[other % 4],
                                .batch = batch[other % 7],
                                .hidden = hidden[i % sizes],
                                .input_size = drive == RS_DRIVE_WEIGHTED ? inputs[other % 4] : 0,
                                .steps = steps[(other + others / 2) % 4],
                                .warmup = others / 6 ? 3 : 0,
                                .drive = drive,
                                .cell = kind.cell,
                                .leak = kind.leak,
                                .precision = (rs_precision)(others % 2)};
        size_t const most = fewest_shapes() ? 400000 : kind.cell > RS_LINEAR ? 2000000 : 8000000;
        if (rounds_across_a_kink(&shape) || states_leave_the_range(&shape) || cost(&shape) > most)
            continue;
        bool const kept = drive == RS_DRIVE_ZERO;
        check_shape(engine, shape, kept ? 0.8 : 0.3, kept ? 1.1 : 0.9, turn % 4 ? 0.0 : 1e-3);
    }
}

/* The large ones; few columns, for the reference is slow. */
static void check_large(const rs_engine *engine) {
    static const size_t hidden[] = {100, 128, 224, 257};
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (size_t i = 0; i < (few_shapes() ? 1 : N_CELL_KIND); ++i) {
            rs_shape const shape = {.groups = 1,
                                    .radii = 2,
                                    .batch = 3,
                                    .hidden = hidden[(i + p) % 4],
                                    .input_size = 1 + 64 * (i % 2),
                                    .steps = 12,
                                    .drive = RS_DRIVE_WEIGHTED,
                                    .cell = cell_kind_at(i).cell,
                                    .leak = cell_kind_at(i).leak,
                                    .precision = p};
            check_shape(engine, shape, 0.5, 0.9, 1e-3);
        }
}

static void check_given_input(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (size_t i = 0; i < N_CELL_KIND; ++i) {
            rs_shape const shape = {.groups = 2,
                                    .radii = 3,
                                    .batch = 5,
                                    .hidden = 17,
                                    .input_size = 3,
                                    .steps = 60,
                                    .warmup = 7,
                                    .drive = RS_DRIVE_WEIGHTED,
                                    .cell = cell_kind_at(i).cell,
                                    .leak = cell_kind_at(i).leak,
                                    .precision = p};
            engine_case c = case_of(shape, 0.5, 0.9, 0.0);
            give_input(&c, 1.0);
            check_case(engine, &c, tolerance[p]);
            engine_case_free(&c);
        }
}

/* ---- range ----------------------------------------------------------------------------------- */

/* A network, linear or nearly so, with numbers far from 1 and no bias: W_hh of radius about
 * `scale`, states of size `state`, delta_T of size `loss`; of every three samples, one is larger by
 * `apart` and one by its square.
 */
typedef struct extreme {
    double scale, state, loss, apart;
    size_t steps;
    double least,
        most; /* log10: the smaller of W_hh's and bias's norm is below, the larger above */
} extreme;

static void multiply(const double *x, size_t n, double by) {
    for (size_t i = 0; i < n; ++i) ((double *)x)[i] *= by;
}

static engine_case extreme_case(const extreme *e, rs_cell cell, rs_precision precision) {
    rs_shape const shape = {.groups = 1,
                            .radii = 2,
                            .batch = few_shapes() ? 4 : 40,
                            .hidden = 12,
                            .steps = e->steps,
                            .cell = cell,
                            .precision = precision};
    engine_case c = case_of(shape, e->scale, 1.05 * e->scale, 0.0);
    c.parameters[0].bias_ih = c.parameters[0].bias_hh = NULL;
    c.columns[0].start[1] = NULL;
    for (size_t b = 0; b < shape.batch; ++b) {
        double const apart = pow(e->apart, (double)(b % 3));
        multiply(c.columns[0].start[0] + b * shape.hidden, shape.hidden, apart * e->state);
        multiply(c.columns[0].delta + b * shape.hidden, shape.hidden, apart * e->loss);
    }
    return c;
}

static void expect_reach(const engine_case *c, const extreme *e) {
    double least = INFINITY, most = -INFINITY;
    rs_record got = run_case(rs_engine_named("reference"), c, 1);
    for (int kind = RS_WEIGHT_HH; kind <= RS_BIAS_IH; ++kind) {
        double const size = log10_of(norm_at(&c->pass.shape, &got, 0, 0, kind));
        least = fmin(least, size);
        most = fmax(most, size);
    }
    if (least > e->least || most < e->most)
        fail_msg("norms of 1e%g to 1e%g: must reach 1e%g and 1e%g", least, most, e->least, e->most);
    rs_record_free(&got);
}

static void check_range(const rs_engine *engine) {
    static extreme const all[RS_N_PRECISION][8] = {
        [RS_F32] = {{30.0, 1e-34, 1.0, 1.0, 44, INFINITY, 60.0},
                    {3.0, 0.0, 1.0, 1.0, 400, -INFINITY, 180.0},
                    {0.5, 1e-28, 1e-34, 1.0, 30, -60.0, -INFINITY},
                    {1.0, 1e30, 1e34, 1.0, 20, INFINITY, 60.0},
                    {1.0, 1e-25, 1e-33, 1e18, 20, 6.0, -INFINITY},
                    {1e10, 1e-30, 1e-30, 1.0, 6, -8.0, 20.0},
                    {1.0, 1e34, 1e8, 1.0, 20, INFINITY, 40.0},
                    {0.5, 1e-20, 1e-8, 0.0, 3, -25.0, -INFINITY}},
        [RS_F64] = {{30.0, 1e-280, 1.0, 1.0, 340, INFINITY, 500.0},
                    {30.0, 0.0, 1.0, 1.0, 400, -INFINITY, 600.0},
                    {0.5, 1e-200, 1e-280, 1.0, 30, -460.0, -INFINITY},
                    {1.0, 1e200, 1e260, 1.0, 20, INFINITY, 450.0},
                    {1.0, 1e-200, 1e-200, 1e100, 20, 6.0, -INFINITY},
                    {1e19, 1e-150, 1e-150, 1.0, 6, INFINITY, -INFINITY},
                    {1.0, 1e280, 1e40, 1.0, 20, INFINITY, 300.0},
                    {0.5, 1e-150, 1e-60, 0.0, 3, -200.0, -INFINITY}}};
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (size_t i = 0; i < sizeof all[p] / sizeof *all[p]; ++i) {
            engine_case c = extreme_case(&all[p][i], RS_LINEAR, p);
            expect_reach(&c, &all[p][i]);
            check_case(engine, &c, tolerance[p]);
            engine_case_free(&c);
        }
}

/* Gated cells near the zero state, where they are linear: a step multiplies by about half the scale
 * over two at most. */
static void check_range_of_gates(const rs_engine *engine) {
    static extreme const all[RS_N_PRECISION][2] = {
        [RS_F32] = {{60.0, 1e-34, 1e20, 1.0, 20, INFINITY, 39.0},
                    {0.5, 1e-28, 1e-34, 1.0, 30, -60.0, -INFINITY}},
        [RS_F64] = {{60.0, 1e-250, 1e120, 1.0, 180, INFINITY, 310.0},
                    {0.5, 1e-200, 1e-280, 1.0, 30, -460.0, -INFINITY}}};
    for (int i = 0; i < 4 * RS_N_PRECISION; ++i) {
        rs_precision const p = (rs_precision)(i / 4);
        const extreme *e = &all[p][i / 2 % 2];
        engine_case c = extreme_case(e, i % 2 ? RS_LSTM : RS_GRU, p);
        expect_reach(&c, e);
        check_case(engine, &c, 10 * tolerance[p]); /* of every one of many steps */
        engine_case_free(&c);
    }
}

/* x is a factor of weight_ih's gradient alone where weight_ih is small. */
static void check_inputs_out_of_range_in(const rs_engine *engine, rs_precision p, double size) {
    rs_shape const shape = {.groups = 1,
                            .radii = 2,
                            .batch = 5,
                            .hidden = 10,
                            .input_size = 2,
                            .steps = 20,
                            .drive = RS_DRIVE_WEIGHTED,
                            .cell = RS_TANH,
                            .precision = p};
    engine_case c = case_of(shape, 0.5, 0.9, 0.0);
    give_input(&c, size);
    multiply(c.parameters[0].weight_ih, shape.hidden * shape.input_size, 1.0 / size);
    multiply(c.columns[0].delta, shape.batch * shape.hidden, size);
    check_case(engine, &c, tolerance[p]);
    engine_case_free(&c);
}

static void check_inputs_out_of_range(const rs_engine *engine) {
    check_inputs_out_of_range_in(engine, RS_F32, 1e34);
    check_inputs_out_of_range_in(engine, RS_F32, 1e-34);
    check_inputs_out_of_range_in(engine, RS_F64, 1e290);
    check_inputs_out_of_range_in(engine, RS_F64, 1e-290);
}

/* ---- saturation ------------------------------------------------------------------------------ */

/* Gates that are open or shut, one after the other. Where a GRU keeps its state to the last bit,
 * all that its weights do is as small as what the gate leaves out. */
static void check_saturated_gates_of(const rs_engine *engine, rs_cell cell, rs_precision p) {
    enum { UNITS = 10 };
    rs_shape const shape = {.groups = 1,
                            .radii = 2,
                            .batch = 3,
                            .hidden = UNITS,
                            .input_size = 2,
                            .steps = 20,
                            .drive = RS_DRIVE_WEIGHTED,
                            .cell = cell,
                            .precision = p};
    double bias[RS_MAX_GATES * UNITS];
    engine_case c = case_of(shape, 0.5, 1.0, 1e-3);
    c.parameters[0].bias_ih = NULL;
    c.parameters[0].bias_hh = bias;
    for (size_t i = 0; i < 2 * rs_cell_of(cell)->gates; ++i) {
        for (size_t row = 0; row < RS_MAX_GATES * UNITS; ++row)
            bias[row] = row / UNITS != i / 2 ? 0.1 : i % 2 ? 30.0 : -30.0;
        check_case(engine, &c, 5 * tolerance[p]);
    }
    engine_case_free(&c);
}

static void check_saturated_gates(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) {
        check_saturated_gates_of(engine, RS_LSTM, p);
        check_saturated_gates_of(engine, RS_GRU, p);
    }
}

/* ---- raw ------------------------------------------------------------------------------------- */

static void check_raw_f64(const rs_engine *engine) {
    static const size_t hidden[] = {3, 10, 33};
    for (size_t n = 0; n < N_CELL_KIND; ++n)
        for (size_t i = 0; i < sizeof hidden / sizeof *hidden; ++i) {
            rs_shape shape = {.groups = 2,
                              .radii = 5,
                              .batch = 3,
                              .hidden = hidden[i],
                              .input_size = 2,
                              .steps = 40,
                              .drive = RS_DRIVE_WEIGHTED,
                              .cell = cell_kind_at(n).cell,
                              .leak = cell_kind_at(n).leak,
                              .precision = RS_F64,
                              .raw = true};
            check_shape(engine, shape, 0.3, 0.9, 0.0);
            shape.steps = 400; /* over the end of the range, and well beyond */
            if (shape.cell == RS_LINEAR) check_shape(engine, shape, 30.0, 40.0, 0.0);
        }
}

/* Against loops in float; every class of number, and in between as far as rounding allows. */
static void check_raw_f32_case(const rs_engine *engine, rs_shape shape, double low, double high) {
    engine_case c = case_of(shape, low, high, 0.0);
    for (size_t g = 0; g < shape.groups; ++g) c.parameters[g].bias_hh = NULL;
    if (shape.drive == RS_DRIVE_WEIGHTED) give_input(&c, 1.0);
    if (shape.drive == RS_DRIVE_WEIGHTED) c.columns[0].drive.first_sample = 0;
    if (takes(engine, &c.pass.shape)) {
        rs_record got = run_case(engine, &c, 2);
        for (size_t r = 0; r < shape.radii; ++r) {
            long double want[RS_N_GRADIENT];
            plain_float_gradients(&c.pass, c.parameters, 0, r, want);
            compare_plain(engine, &c.pass.shape, &got, 0, r, want, tolerance[RS_F32]);
        }
        rs_record_free(&got);
    }
    engine_case_free(&c);
}

static void check_raw_f32(const rs_engine *engine) {
    static const size_t hidden[] = {1, 5, 16, 37};
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; ++i) {
        rs_shape shape = {.groups = 1,
                          .radii = 3,
                          .batch = 4,
                          .hidden = hidden[i],
                          .input_size = 2,
                          .steps = 60,
                          .drive = RS_DRIVE_WEIGHTED,
                          .precision = RS_F32,
                          .raw = true};
        check_raw_f32_case(engine, shape, 0.3, 0.9);
        shape.cell = RS_LINEAR;
        check_raw_f32_case(engine, shape, 0.3, 1.1);
        check_raw_f32_case(engine, shape, 1000.0, 2000.0);
        shape.drive = RS_DRIVE_ZERO;
        shape.input_size = 0;
        check_raw_f32_case(engine, shape, 0.3, 1.1);
        check_raw_f32_case(engine, shape, 1000.0, 2000.0);
    }
}

/* One linear unit with q_t = s^(T - t) exactly: sums that end at the last bit, or in inf, or where
 * 0 meets inf in NaN. */
static void expect_raw_sum(const rs_engine *engine, rs_precision p, double s, size_t steps,
                           double start, double weight_hh, double bias) {
    rs_shape const shape = {.groups = 1,
                            .radii = 1,
                            .batch = 1,
                            .hidden = 1,
                            .steps = steps,
                            .cell = RS_LINEAR,
                            .precision = p,
                            .raw = true};
    double const one = 1.0;
    long double const want[RS_N_GRADIENT] = {0.0L, weight_hh, bias, bias};
    engine_case c = case_of(shape, s, s, 0.0);
    c.parameters[0] = (rs_parameters){.weight_hh = &one};
    c.columns[0].delta = &one;
    c.columns[0].start[0] = &start;
    if (takes(engine, &c.pass.shape)) {
        rs_record got = run_case(engine, &c, 1);
        compare_plain(engine, &c.pass.shape, &got, 0, 0, want, 0.0);
        rs_record_free(&got);
    }
    engine_case_free(&c);
}

static void check_raw_limits_in(const rs_engine *engine, rs_precision p) {
    size_t const exponents = p == RS_F32 ? 128 : 1024;
    double const most = p == RS_F32 ? 0x1p127 : 0x1p1023;
    /* h_0 alone is not 0: q_1 h_0 is the whole of dL/dW_hh, and underflows before bias does. */
    expect_raw_sum(engine, p, 0.5, 10, 0.0, 0.0, 2.0 - 0x1p-9);
    expect_raw_sum(engine, p, 2.0, exponents - 1, 0.0, 0.0, most - 1.0);
    expect_raw_sum(engine, p, 2.0, exponents + 1, 0.0, NAN, INFINITY);
    expect_raw_sum(engine, p, 2.0, exponents + 1, 0x1p-20, INFINITY, INFINITY);
    expect_raw_sum(engine, p, 1.0, 8, 1.0 / most, 8.0 / most, 8.0);
}

static void check_raw_limits(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) check_raw_limits_in(engine, p);
}

/* ---- what changes no bit --------------------------------------------------------------------- */

static void assert_same_gradients(const rs_record *a, size_t at, const rs_record *b, size_t n) {
    size_t const i = at * RS_N_GRADIENT;
    assert_memory_equal(a->gradient2 + i, b->gradient2, n * RS_N_GRADIENT * sizeof(double));
    assert_memory_equal(a->gradient_exponent + i, b->gradient_exponent,
                        n * RS_N_GRADIENT * sizeof(int32_t));
}

static void expect_same_on_threads(const rs_engine *engine, const engine_case *c,
                                   const rs_record *whole) {
    for (int threads = 2; threads <= 5; ++threads) {
        rs_record other = run_case(engine, c, threads);
        assert_same_gradients(whole, 0, &other, c->pass.shape.groups * c->pass.shape.radii);
        rs_record_free(&other);
    }
}

/* Each group, and some of its radii, by itself. */
static void expect_same_alone(const rs_engine *engine, const engine_case *c,
                              const rs_record *whole) {
    rs_shape const *s = &c->pass.shape;
    for (size_t g = 0; g < s->groups; ++g)
        for (size_t r = 0; r < s->radii; r += 1 + g) {
            rs_columns one = c->columns[g];
            rs_pass pass = {.shape = *s, .of = &one};
            one.scale += r * rs_cell_of(s->cell)->gates;
            pass.shape.groups = 1;
            pass.shape.radii = s->radii - r < 1 + g % 3 ? 1 : 1 + g % 3;
            rs_record alone = run_engine(engine, &pass, &c->parameters[g], 2);
            assert_same_gradients(whole, g * s->radii + r, &alone, pass.shape.radii);
            rs_record_free(&alone);
        }
}

static void expect_same_norms_without(const rs_engine *engine, const engine_case *c,
                                      const rs_record *whole) {
    engine_case without = *c;
    size_t const n = c->pass.shape.groups * c->pass.shape.radii * c->pass.shape.batch;
    size_t const norms = n * c->pass.shape.steps;
    without.pass.shape.gradients = false;
    rs_record other = run_case(engine, &without, 2);
    assert_null(other.gradient2);
    size_t const states = rs_cell_of(c->pass.shape.cell)->states;
    assert_memory_equal(whole->norm2, other.norm2, states * norms * sizeof(double));
    assert_memory_equal(whole->exponent, other.exponent, norms * sizeof(int32_t));
    assert_memory_equal(whole->nonfinite_step, other.nonfinite_step, n * sizeof(uint32_t));
    rs_record_free(&other);
}

static void expect_independence(const rs_engine *engine, rs_shape shape) {
    engine_case c = case_of(shape, 0.4, 3.0, 0.0);
    if (takes(engine, &c.pass.shape)) {
        rs_record whole = run_case(engine, &c, 1);
        expect_same_on_threads(engine, &c, &whole);
        expect_same_alone(engine, &c, &whole);
        expect_same_norms_without(engine, &c, &whole);
        rs_record_free(&whole);
    }
    engine_case_free(&c);
}

/* Sizes that are cut across threads and tiles, and many small groups in a launch. */
static void check_independence(const rs_engine *engine) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (int raw = 0; raw <= (few_shapes() ? 0 : 1); ++raw) {
            rs_shape shape = {.groups = 2,
                              .radii = 9,
                              .batch = 11,
                              .hidden = 37,
                              .input_size = 2,
                              .steps = 50,
                              .warmup = 2,
                              .drive = RS_DRIVE_WEIGHTED,
                              .precision = p,
                              .raw = raw};
            if (few_shapes()) shape.radii = 3, shape.batch = 3, shape.steps = 9;
            expect_independence(engine, shape);
            shape.groups = few_shapes() ? 5 : 70;
            shape.hidden = 10;
            shape.batch = 1;
            expect_independence(engine, shape);
            shape.batch = 5;
            shape.cell = RS_LINEAR; /* grows beyond the band */
            expect_independence(engine, shape);
            shape.groups = 1; /* a batch that no tile holds */
            shape.batch = few_shapes() ? 40 : 700;
            shape.radii = 3;
            expect_independence(engine, shape);
            if (!raw) check_shape(engine, shape, 0.5, 1.0, 0.0);
        }
}

static void check_independence_of_gates(const rs_engine *engine) {
    static const cell_kind kind[] = {{RS_LSTM, 0.0}, {RS_GRU, 0.0}, {RS_TANH, 0.3}};
    for (size_t i = 0; i < 2 * sizeof kind / sizeof *kind; ++i) {
        rs_shape shape = {.groups = 2,
                          .radii = 3,
                          .batch = few_shapes() ? 3 : 11,
                          .hidden = 37,
                          .input_size = 2,
                          .steps = few_shapes() ? 9 : 16,
                          .warmup = 2,
                          .drive = RS_DRIVE_WEIGHTED,
                          .cell = kind[i / 2].cell,
                          .leak = kind[i / 2].leak,
                          .precision = (rs_precision)(i % 2)};
        expect_independence(engine, shape);
        shape.groups = few_shapes() ? 5 : 40;
        shape.hidden = 10;
        shape.batch = 1;
        expect_independence(engine, shape);
        shape.groups = 1; /* a batch that no tile holds */
        shape.batch = few_shapes() ? 40 : 300;
        expect_independence(engine, shape);
        check_shape(engine, shape, 0.5, 1.0, 0.0);
    }
}

/* Whole, without gradients, smaller, and again: each as if it were the first. */
static void expect_same_again(const rs_engine *engine, const engine_case *c) {
    rs_resources const resources = {.threads = 2};
    rs_record whole = run_case(engine, c, 1), got = record_make(&c->pass.shape);
    size_t const radii = c->pass.shape.radii, n = c->pass.shape.groups * radii * RS_N_GRADIENT;
    rs_pass pass = c->pass;
    void *handle;
    assert_int_equal(engine->open(0, &pass.shape, &resources, &handle), RS_OK);
    assert_int_equal(engine->load(handle, &pass.shape, c->parameters), RS_OK);
    for (size_t round = 0; round < 9; ++round) {
        pass.shape.gradients = round % 3 != 1;
        pass.shape.radii = round % 3 == 2 ? 2 : radii;
        memset(got.gradient2, 0xff, n * sizeof *got.gradient2);
        assert_int_equal(engine->run(handle, &pass, &got), RS_OK);
        bool const all = pass.shape.radii == radii;
        if (!pass.shape.gradients) continue;
        assert_same_gradients(&whole, 0, &got, all ? pass.shape.groups * radii : 2);
    }
    engine->close(handle);
    rs_record_free(&whole);
    rs_record_free(&got);
}

static void check_handles(const rs_engine *engine) {
    for (rs_cell cell = RS_TANH; cell < RS_N_CELL; ++cell) {
        rs_shape const shape = {.groups = 2,
                                .radii = 6,
                                .batch = 5,
                                .hidden = 10,
                                .input_size = 2,
                                .steps = 20,
                                .cell = cell,
                                .drive = RS_DRIVE_WEIGHTED};
        engine_case c = case_of(shape, 0.5, 1.0, 0.0);
        if (takes(engine, &c.pass.shape)) expect_same_again(engine, &c);
        engine_case_free(&c);
    }
}

/* Gradients need room, of every size: open() has it all. */
static void check_bytes_of(const rs_engine *engine, rs_cell cell) {
    rs_resources const resources = {.threads = 2};
    rs_shape shape = {.groups = 2,
                      .radii = 3,
                      .batch = 5,
                      .hidden = 20,
                      .input_size = 2,
                      .steps = 9,
                      .cell = cell,
                      .drive = RS_DRIVE_WEIGHTED};
    uint64_t without, with, last = 0;
    if (!takes(engine, &shape)) return;
    assert_int_equal(engine->bytes(0, &shape, &resources, &without), RS_OK);
    shape.gradients = true;
    assert_int_equal(engine->bytes(0, &shape, &resources, &with), RS_OK);
    assert_true(with > without);
    for (shape.batch = 1; shape.batch < 200; ++shape.batch) {
        if (!takes(engine, &shape)) continue;
        assert_int_equal(engine->bytes(0, &shape, &resources, &with), RS_OK);
        assert_true(with >= last);
        last = with;
    }
}

static void check_bytes(const rs_engine *engine) {
    for (rs_cell cell = RS_TANH; cell < RS_N_CELL; ++cell) check_bytes_of(engine, cell);
}

/* ---- what is known exactly ------------------------------------------------------------------- */

/* Without a weighted input there is no weight_ih; the two biases stand in the same sum, but for a
 * GRU's candidate. */
static void expect_zero_and_equal(const engine_case *c, const rs_record *got) {
    const rs_shape *s = &c->pass.shape;
    for (size_t i = 0; i < s->groups * s->radii; ++i) {
        const double *norm2 = got->gradient2 + i * RS_N_GRADIENT;
        const int32_t *exponent = got->gradient_exponent + i * RS_N_GRADIENT;
        assert_true((norm2[RS_WEIGHT_IH] == 0.0) == (s->drive != RS_DRIVE_WEIGHTED));
        assert_true(norm2[RS_WEIGHT_HH] > 0.0 && norm2[RS_BIAS_IH] > 0.0);
        bool const equal =
            norm2[RS_BIAS_IH] == norm2[RS_BIAS_HH] && exponent[RS_BIAS_IH] == exponent[RS_BIAS_HH];
        assert_true(equal == (s->cell != RS_GRU));
    }
}

static void check_zero_and_equal(const rs_engine *engine) {
    for (int i = 0; i < 3 * RS_N_PRECISION * RS_N_CELL; ++i) {
        rs_drive_kind const drive = (rs_drive_kind)(i % 3);
        rs_shape const shape = {.groups = 2,
                                .radii = 3,
                                .batch = 3,
                                .hidden = 10,
                                .input_size = drive == RS_DRIVE_WEIGHTED ? 2 : 0,
                                .steps = 30,
                                .drive = drive,
                                .cell = (rs_cell)(i / 6),
                                .precision = (rs_precision)(i / 3 % 2)};
        engine_case c = case_of(shape, 0.5, 2.0, 0.0);
        if (takes(engine, &c.pass.shape)) {
            rs_record got = run_case(engine, &c, 2);
            expect_zero_and_equal(&c, &got);
            rs_record_free(&got);
        }
        engine_case_free(&c);
    }
}

/* h_0 = 0 and one step: h_{t-1} is 0 throughout, and so is dL/dW_hh. */
static void check_first_step_of(const rs_engine *engine, rs_cell cell) {
    rs_shape const shape = {.groups = 1,
                            .radii = 1,
                            .batch = 3,
                            .hidden = 10,
                            .input_size = 2,
                            .steps = 1,
                            .cell = cell,
                            .drive = RS_DRIVE_WEIGHTED};
    engine_case c = case_of(shape, 1.0, 1.0, 0.0);
    c.columns[0].start[0] = NULL;
    if (takes(engine, &c.pass.shape)) {
        rs_record got = run_case(engine, &c, 1);
        assert_true(norm_at(&c.pass.shape, &got, 0, 0, RS_WEIGHT_HH).norm2 == 0.0);
        assert_true(norm_at(&c.pass.shape, &got, 0, 0, RS_BIAS_HH).norm2 > 0.0);
        rs_record_free(&got);
    }
    engine_case_free(&c);
}

static void check_first_step(const rs_engine *engine) {
    for (rs_cell cell = RS_TANH; cell < RS_N_CELL; ++cell) check_first_step_of(engine, cell);
}

/* Linear, W = s I, with an input x that does not change and is not let in (weight_ih = 0):
 * q_t = s^(T-t) d and h_{t-1} = s^(t-1) h_0, so that
 *     dL/dW_hh = T s^(T-1) sum_b d h_0^T,  dL/dbias = S sum_b d,  dL/dweight_ih = S sum_b d x^T,
 * where S = 1 + s + ... + s^(T-1). All of it is exact for s = 1/2, 1, 2 and small whole numbers. */
enum { UNITS = 5, SAMPLES = 3, FEATURES = 2, STEPS = 12 };

typedef struct whole_numbers {
    double weight_hh[UNITS * UNITS], weight_ih[UNITS * FEATURES], bias[UNITS];
    double d[SAMPLES * UNITS], h0[SAMPLES * UNITS], x[STEPS * SAMPLES * FEATURES];
} whole_numbers;

static void make_whole(whole_numbers *n) {
    *n = (whole_numbers){.bias = {0.0}};
    for (size_t i = 0; i < UNITS; ++i) n->weight_hh[i * UNITS + i] = 1.0;
    for (size_t i = 0; i < SAMPLES * UNITS; ++i) {
        n->d[i] = (double)(i * i % 7) - 3.0;
        n->h0[i] = (double)(i * i % 5) - 2.0;
    }
    for (size_t i = 0; i < STEPS * SAMPLES * FEATURES; ++i)
        n->x[i] = (double)(i % (SAMPLES * FEATURES)) - 1.0;
}

/* |sum_b d v^T|, v of `columns` numbers a sample; ones where NULL. */
static double norm_of_product(const whole_numbers *n, const double *v, size_t columns) {
    double sum = 0.0;
    for (size_t i = 0; i < UNITS; ++i)
        for (size_t j = 0; j < columns; ++j) {
            double entry = 0.0;
            for (size_t b = 0; b < SAMPLES; ++b)
                entry += n->d[b * UNITS + i] * (v ? v[b * columns + j] : 1.0);
            sum += entry * entry;
        }
    return sqrt(sum);
}

static void expect_closed_form(const rs_engine *engine, rs_precision p, double s) {
    rs_shape const shape = {.groups = 1,
                            .radii = 1,
                            .batch = SAMPLES,
                            .hidden = UNITS,
                            .input_size = FEATURES,
                            .steps = STEPS,
                            .drive = RS_DRIVE_WEIGHTED,
                            .cell = RS_LINEAR,
                            .precision = p};
    whole_numbers n;
    make_whole(&n);
    double const powers = s == 1.0 ? STEPS : (pow(s, STEPS) - 1.0) / (s - 1.0);
    double const bias = powers * norm_of_product(&n, NULL, 1);
    long double const want[RS_N_GRADIENT] = {
        powers * norm_of_product(&n, n.x, FEATURES),
        STEPS * pow(s, STEPS - 1) * norm_of_product(&n, n.h0, UNITS), bias, bias};
    engine_case c = case_of(shape, s, s, 0.0);
    c.parameters[0] = (rs_parameters){.weight_hh = n.weight_hh, .weight_ih = n.weight_ih};
    c.columns[0].start[0] = n.h0;
    c.columns[0].delta = n.d;
    c.columns[0].drive = (rs_drive){.input = n.x, .input_batch = SAMPLES};
    if (takes(engine, &c.pass.shape)) {
        rs_record got = run_case(engine, &c, 2);
        compare_plain(engine, &c.pass.shape, &got, 0, 0, want, 4e-16);
        rs_record_free(&got);
    }
    engine_case_free(&c);
}

static void check_closed_form(const rs_engine *engine) {
    static const double scale[] = {0.5, 1.0, 2.0};
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (size_t i = 0; i < sizeof scale / sizeof *scale; ++i)
            expect_closed_form(engine, p, scale[i]);
}

/* One linear unit and two samples, d_b = 2^size[b], whose gradients are further apart than
 * exponents go:
 *     dL/dW_hh = T s^(T-1) sum_b d_b h_b,  dL/dbias = (s^T - 1) / (s - 1) sum_b d_b. */
static void expect_far_closed_form(const rs_engine *engine, rs_precision p, double s, int start,
                                   const int size[2]) {
    rs_shape const shape = {.groups = 1,
                            .radii = 1,
                            .batch = 2,
                            .hidden = 1,
                            .steps = p == RS_F32 ? 40 : 400,
                            .cell = RS_LINEAR,
                            .precision = p};
    double const one = 1.0, d[2] = {ldexp(1.0, size[0]), ldexp(1.0, size[1])};
    double const h[2] = {ldexp(1.0, start + size[0] / 2), ldexp(1.0, start + size[1] / 2)};
    long double const power = powl(s, (long double)shape.steps);
    long double const sum = (long double)d[0] * h[0] + (long double)d[1] * h[1];
    long double const bias = ((long double)d[0] + d[1]) * (power - 1.0L) / (s - 1.0L);
    long double const want[RS_N_GRADIENT] = {0.0L, sum * power / s * shape.steps, bias, bias};
    engine_case c = case_of(shape, s, s, 0.0);
    c.parameters[0] = (rs_parameters){.weight_hh = &one};
    c.columns[0].start[0] = h;
    c.columns[0].delta = d;
    if (takes(engine, &c.pass.shape)) {
        rs_record got = run_case(engine, &c, 1);
        compare_plain(engine, &c.pass.shape, &got, 0, 0, want, tolerance[p]);
        rs_record_free(&got);
    }
    engine_case_free(&c);
}

static void expect_far_closed_forms(const rs_engine *engine, rs_precision p, const int size[2]) {
    expect_far_closed_form(engine, p, 8.0, p == RS_F32 ? -60 : -750, size);
    expect_far_closed_form(engine, p, 0.125, p == RS_F32 ? 100 : 750, size);
}

static void check_far_closed_form(const rs_engine *engine) {
    expect_far_closed_forms(engine, RS_F32, (const int[]){0, -140});
    expect_far_closed_forms(engine, RS_F32, (const int[]){-140, 0});
    expect_far_closed_forms(engine, RS_F64, (const int[]){500, -500});
    expect_far_closed_forms(engine, RS_F64, (const int[]){-500, 500});
    /* States that are subnormal at first, and exact. */
    expect_far_closed_form(engine, RS_F32, 2.0, -140, (const int[]){0, 0});
    expect_far_closed_form(engine, RS_F64, 2.0, -1060, (const int[]){0, 0});
}

/* Steps whose q_t is zero throughout, beside one whose products are below the least exponent: they
 * add zeros, no more. Two relu units that keep their states, h_0 = (1 / state, state), until the
 * input switches the first one off at step 2 and on at step 3, where it alone has a gradient,
 * `loss`. */
static void expect_steps_of_zeros(const rs_engine *engine, rs_precision p, double state,
                                  double loss) {
    rs_shape const shape = {.groups = 1,
                            .radii = 1,
                            .batch = 1,
                            .hidden = 2,
                            .input_size = 1,
                            .steps = 3,
                            .drive = RS_DRIVE_WEIGHTED,
                            .cell = RS_RELU,
                            .precision = p};
    double const identity[4] = {1.0, 0.0, 0.0, 1.0}, weight_ih[2] = {-2.0, 0.0};
    double const x[3] = {0.0, 1.0 / state, -0.5}, h0[2] = {1.0 / state, state}, d[2] = {loss, 0.0};
    long double const want[RS_N_GRADIENT] = {0.5L * loss, (long double)state * loss, loss, loss};
    engine_case c = case_of(shape, 1.0, 1.0, 0.0);
    c.parameters[0] = (rs_parameters){.weight_hh = identity, .weight_ih = weight_ih};
    c.columns[0].start[0] = h0;
    c.columns[0].delta = d;
    c.columns[0].drive = (rs_drive){.input = x, .input_batch = 1};
    if (takes(engine, &c.pass.shape)) {
        rs_record got = run_case(engine, &c, 1);
        compare_plain(engine, &c.pass.shape, &got, 0, 0, want, 4e-16);
        rs_record_free(&got);
    }
    engine_case_free(&c);
}

static void check_steps_of_zeros(const rs_engine *engine) {
    expect_steps_of_zeros(engine, RS_F32, 0x1p-100, 0x1p-100);
    expect_steps_of_zeros(engine, RS_F64, 0x1p-600, 0x1p-500);
}

static void reference_is_right_by_itself(void **state) {
    (void)state;
    const rs_engine *reference = rs_engine_named("reference");
    check_closed_form(reference);
    check_far_closed_form(reference);
    check_steps_of_zeros(reference);
    check_first_step(reference);
    check_zero_and_equal(reference);
    check_raw_limits_in(reference, RS_F64);
    check_handles(reference);
    check_bytes(reference);
}

#define CHECK(name)                                                                                \
    static void name(void **state) {                                                               \
        (void)state;                                                                               \
        for_each_engine(check_##name);                                                             \
    }
CHECK(sizes)
CHECK(large)
CHECK(given_input)
CHECK(range)
CHECK(range_of_gates)
CHECK(saturated_gates)
CHECK(inputs_out_of_range)
CHECK(raw_f64)
CHECK(raw_f32)
CHECK(raw_limits)
CHECK(independence)
CHECK(independence_of_gates)
CHECK(handles)
CHECK(bytes)
CHECK(zero_and_equal)
CHECK(first_step)
CHECK(closed_form)
CHECK(far_closed_form)
CHECK(steps_of_zeros)

int main(void) {
    const struct CMUnitTest engines[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(large),
        cmocka_unit_test(given_input),
        cmocka_unit_test(range),
        cmocka_unit_test(raw_f64),
        cmocka_unit_test(inputs_out_of_range),
        cmocka_unit_test(raw_f32),
        cmocka_unit_test(raw_limits),
        cmocka_unit_test(independence),
        cmocka_unit_test(handles),
        cmocka_unit_test(bytes),
        cmocka_unit_test(zero_and_equal),
        cmocka_unit_test(first_step),
        cmocka_unit_test(closed_form),
        cmocka_unit_test(far_closed_form),
        cmocka_unit_test(steps_of_zeros),
        cmocka_unit_test(range_of_gates),
        cmocka_unit_test(saturated_gates),
        cmocka_unit_test(independence_of_gates),
    };
    const struct CMUnitTest definition[] = {
        cmocka_unit_test(reference_is_the_derivative_of_the_loss),
        cmocka_unit_test(reference_is_right_by_itself),
    };
    /* Under sanitizers, many times slower: those that go through every kernel. */
    const struct CMUnitTest fewest[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(large),
        cmocka_unit_test(closed_form),
    };
    if (fewest_shapes()) return cmocka_run_group_tests(fewest, NULL, NULL);
    int failed = cmocka_run_group_tests(engines, NULL, NULL);
    if (!getenv("RHOSWEEP_TEST_ENGINE")) failed += cmocka_run_group_tests(definition, NULL, NULL);
    return failed;
}
