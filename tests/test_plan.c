/* The plan: order of the cases, what a model settles, and launches that fit the memory. */
#include "../host/plan/plan.h"

#include "../kernels/base/sizes.h"
#include "fake_engine.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A spec of pairs of key and value, ended by NULL, as options. */
static rs_spec spec_of(const char *const *pairs) {
    rs_spec spec;
    assert_int_equal(rs_spec_init(&spec), RS_OK);
    for (; *pairs; pairs += 2)
        if (rs_spec_set(&spec, pairs[0], pairs[1], RS_FROM_OPTION) != RS_OK)
            fail_msg("%s", rs_message());
    return spec;
}
#define SPEC(...) spec_of((const char *const[]){__VA_ARGS__, NULL})

static void expect_refused(rs_status status, const char *part) {
    assert_int_equal(status, RS_EINPUT);
    if (!strstr(rs_message(), part)) fail_msg("'%s' does not say '%s'", rs_message(), part);
}

/* --- cases ------------------------------------------------------------------------------------ */

static void test_cases_are_numbered_by_arithmetic(void **state) {
    (void)state;
    rs_spec spec =
        SPEC("ensemble", "gaussian,identity", "hidden", "3,5", "seeds", "0,7,9", "cell",
             "tanh,linear", "steps", "8,16,32", "input", "noise:0.5,pytorch", "input-size", "3");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, NULL, "reference", &plan), RS_OK);
    assert_int_equal(plan.n, 2 * 2 * 3 * 2 * 2 * 3);
    size_t i = 0;
    for (size_t e = 0; e < 2; ++e)
        for (size_t h = 0; h < 2; ++h)
            for (size_t s = 0; s < 3; ++s)
                for (size_t k = 0; k < 2; ++k)
                    for (size_t f = 0; f < 2; ++f)
                        for (size_t t = 0; t < 3; ++t, ++i) {
                            rs_case const at = rs_plan_case(&plan, i), *one = &at;
                            assert_int_equal(one->ensemble.kind, spec.ensemble[e].kind);
                            assert_int_equal(one->hidden, spec.hidden[h]);
                            assert_int_equal(one->seed, spec.seeds[s]);
                            assert_int_equal(one->cell, spec.cell[f]);
                            assert_int_equal(one->input.kind, spec.input[k].kind);
                            assert_true(one->input.sigma == spec.input[k].sigma);
                            assert_int_equal(one->input_size, k == 0 ? 3 : 0);
                            assert_int_equal(one->steps, spec.steps[t]);
                        }
    rs_spec_free(&spec);
}

/* Cells with gates turn over gate biases, the others over leaks; none comes twice. */
static void test_variants_of_a_cell(void **state) {
    (void)state;
    rs_spec spec =
        SPEC("cell", "tanh,linear,lstm,gru", "gate-bias", "1,drawn,chrono:9", "leak", "0.5,1",
             "gate-scale", "native", "seeds", "3,5", "steps", "8,16", "input", "zero");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, NULL, "reference", &plan), RS_OK);
    assert_int_equal(plan.n, 2 * (2 + 2 + 3 + 3) * 2);
    assert_int_equal(rs_plan_seed_stride(&plan), 10 * 2);
    static rs_cell const cell[] = {RS_TANH, RS_TANH, RS_LINEAR, RS_LINEAR, RS_LSTM,
                                   RS_LSTM, RS_LSTM, RS_GRU,    RS_GRU,    RS_GRU};
    for (size_t i = 0; i < plan.n; ++i) {
        rs_case const one = rs_plan_case(&plan, i);
        size_t const variant = i / 2 % 10;
        bool const gated = variant >= 4;
        rs_gate_bias const bias = gated ? spec.gate_bias[(variant - 4) % 3] : (rs_gate_bias){0};
        assert_int_equal(one.seed, i < 20 ? 3 : 5);
        assert_int_equal(one.steps, i % 2 ? 16 : 8);
        assert_int_equal(one.cell, cell[variant]);
        assert_int_equal(rs_compare_gate_biases(one.gate_bias, bias), 0);
        assert_int_equal(one.gate_scale, gated ? RS_SCALE_NATIVE : RS_SCALE_SAME);
        assert_true(one.leak == (gated || variant % 2 ? 1.0 : 0.5));
        assert_true(rs_case_shape(&one, 1).leak == (gated || variant % 2 ? 0.0 : 0.5));
    }
    rs_spec_free(&spec);
}

/* Every case has one shard. As many seeds as shards: a shard has a seed of every shape. */
static void test_shards_deal_out_the_cases(void **state) {
    (void)state;
    static const struct {
        const char *seeds;
        size_t shards, least, most;
    } dealt[] = {{"0:2", 1, 48, 48}, {"0:2", 3, 16, 16}, {"0:2", 2, 24, 24},
                 {"0:2", 5, 9, 10},  {"0", 4, 4, 4},     {"0", 7, 2, 3}};
    for (size_t d = 0; d < COUNT(dealt); ++d) {
        size_t total = 0, owners[48] = {0};
        for (size_t index = 0; index < dealt[d].shards; ++index) {
            char shard[64];
            snprintf(shard, sizeof shard, "%zu/%zu", index, dealt[d].shards);
            rs_spec spec = SPEC("hidden", "3,5", "seeds", dealt[d].seeds, "cell", "tanh,linear",
                                "input", "zero,noise:1", "steps", "8,16", "shard", shard);
            rs_plan plan;
            size_t here = 0;
            assert_int_equal(rs_plan_make(&spec, NULL, "reference", &plan), RS_OK);
            for (size_t i = 0; i < plan.n; ++i) {
                bool const mine = rs_plan_in_shard(&plan, i);
                here += mine;
                owners[i] += mine;
                if (dealt[d].shards == 3)
                    assert_int_equal(mine, rs_plan_case(&plan, i).seed == index);
            }
            assert_in_range(here, dealt[d].least, dealt[d].most);
            total += here;
            if (index + 1 == dealt[d].shards) assert_int_equal(total, plan.n);
            rs_spec_free(&spec);
        }
        for (size_t i = 0; i < total; ++i) assert_int_equal(owners[i], 1);
    }
}

static void test_sizes_come_from_the_spec_without_a_model(void **state) {
    (void)state;
    rs_spec spec = SPEC("batch", "5", "input-size", "3", "seeds", "18");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, NULL, "reference", &plan), RS_OK);
    assert_int_equal(plan.n, 1);
    rs_case const one = rs_plan_case(&plan, 0);
    assert_int_equal(one.batch, 5);
    assert_int_equal(one.input_size, 3);
    assert_int_equal(one.h0.kind, RS_START_ZERO);
    assert_string_equal(one.engine, "reference");
    assert_string_equal(one.model, "");
    rs_spec_free(&spec);
}

static void test_shape_says_what_the_engine_must_know(void **state) {
    (void)state;
    rs_spec spec = SPEC("cell", "relu", "hidden", "6", "steps", "9", "batch", "4", "warmup", "2",
                        "precision", "f64", "raw", "yes", "input", "zero", "seeds", "1");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, NULL, "reference", &plan), RS_OK);
    rs_case one = rs_plan_case(&plan, 0);
    rs_shape shape = rs_case_shape(&one, 7);
    assert_int_equal(shape.groups, 1);
    assert_int_equal(shape.radii, 7);
    assert_int_equal(shape.batch, 4);
    assert_int_equal(shape.hidden, 6);
    assert_int_equal(shape.steps, 9);
    assert_int_equal(shape.warmup, 2);
    assert_int_equal(shape.cell, RS_RELU);
    assert_int_equal(shape.precision, RS_F64);
    assert_true(shape.raw);
    assert_int_equal(shape.drive, RS_DRIVE_ZERO);
    assert_false(shape.gradients);
    assert_int_equal(shape.input_size, 0); /* of no meaning without weights */
    one.input = (rs_input){RS_INPUT_NOISE, 0.5};
    assert_int_equal(rs_case_shape(&one, 7).drive, RS_DRIVE_NOISE);
    one.gradients = true;
    assert_true(rs_case_shape(&one, 7).gradients);
    rs_case quiet = one;
    quiet.seed = 3;
    assert_true(rs_case_same_shape(&one, &quiet));
    quiet.input = (rs_input){RS_INPUT_ZERO, 0.0};
    assert_false(rs_case_same_shape(&one, &quiet));
    rs_spec_free(&spec);
}

static void expect_fit_skip(const char *steps, const char *fit_skip, size_t expected) {
    rs_spec spec = SPEC("steps", steps, "fit-skip", fit_skip, "seeds", "1");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, NULL, "reference", &plan), RS_OK);
    assert_int_equal(rs_plan_case(&plan, 0).fit_skip, expected);
    rs_spec_free(&spec);
}

static void test_fit_skip_is_resolved_for_every_length(void **state) {
    (void)state;
    expect_fit_skip("1", "default", 0);
    expect_fit_skip("2", "default", 0);
    expect_fit_skip("4", "default", 1);
    expect_fit_skip("79", "default", 19);
    expect_fit_skip("80", "default", 20);
    expect_fit_skip("1000", "default", 20);
    expect_fit_skip("10", "8", 8); /* two steps are left: the least that has a slope */
    expect_fit_skip("10", "0", 0);
    expect_fit_skip("2", "0", 0);
    expect_fit_skip("1", "5", 5); /* one step has no rate whatever is left out */
}

static void test_fit_skip_must_leave_two_steps(void **state) {
    (void)state;
    rs_spec spec = SPEC("steps", "20,10", "fit-skip", "9");
    rs_plan plan;
    expect_refused(rs_plan_make(&spec, NULL, "reference", &plan),
                   "fit-skip: 9 leaves fewer than two of 10");
    rs_spec_free(&spec);
}

static void test_tangents_are_resolved_for_every_case(void **state) {
    (void)state;
    rs_spec spec = SPEC("cell", "tanh,lstm", "hidden", "3,5", "steps", "9,40", "warmup", "7",
                        "lyapunov", "all", "qr-every", "4", "singular-at", "2,9", "seeds", "1");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, NULL, "reference", &plan), RS_OK);
    assert_int_equal(plan.n, 8);
    for (size_t i = 0; i < plan.n; ++i) {
        rs_case const one = rs_plan_case(&plan, i);
        size_t const transient = one.steps == 40 ? 4 : 0;
        assert_int_equal(one.tangents.directions,
                         one.cell == RS_LSTM ? 2 * one.hidden : one.hidden);
        assert_int_equal(one.tangents.transient, transient);
        assert_int_equal(one.warmup, 7 + transient);
        assert_int_equal(one.tangents.qr_every, 4);
        assert_int_equal(one.tangents.n_singular, 2);
        assert_ptr_equal(one.tangents.singular_at, spec.singular_at);
        assert_int_equal(rs_case_has_determinant(&one), one.cell == RS_TANH);
        assert_false(rs_case_has_eigenvalues(&one));
        rs_shape const shape = rs_case_shape(&one, 3);
        assert_int_equal(shape.directions, one.tangents.directions);
        assert_int_equal(shape.transient, transient);
    }
    rs_spec_free(&spec);
    spec = SPEC("lyapunov", "2", "transient", "40", "steps", "40", "seeds", "1", "cell", "linear");
    assert_int_equal(rs_plan_make(&spec, NULL, "reference", &plan), RS_OK);
    rs_case const few = rs_plan_case(&plan, 0);
    assert_int_equal(few.tangents.directions, 2);
    assert_int_equal(few.warmup, 40);
    assert_false(rs_case_has_determinant(&few));
    assert_true(rs_case_has_eigenvalues(&few));
    rs_spec_free(&spec);
}

static void test_no_tangents_without_being_asked(void **state) {
    (void)state;
    rs_spec spec = SPEC("seeds", "1", "warmup", "3", "cell", "linear");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, NULL, "reference", &plan), RS_OK);
    rs_case const one = rs_plan_case(&plan, 0);
    rs_tangents const none = {0};
    assert_memory_equal(&one.tangents, &none, sizeof none);
    assert_int_equal(one.warmup, 3);
    assert_false(rs_case_has_determinant(&one) || rs_case_has_eigenvalues(&one));
    rs_spec_free(&spec);
}

static void test_tangents_that_cannot_be_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *cell, *lyapunov, *key, *value, *part; /* with 4 and 6 units, 20 and 30 steps */
    } wrong[] = {
        {"tanh", "5", "qr-every", "1",
         "lyapunov: 5 directions asked for, but tanh with 4 units has 4"},
        {"lstm,tanh", "8", "qr-every", "1", "but tanh with 4 units has 4: ask for all"},
        {"lstm", "9", "qr-every", "1", "but lstm with 4 units has 8"},
        {"tanh", "4", "transient", "21", "transient: 21 is more than the 20 steps"},
        {"tanh", "all", "singular-at", "3,21", "singular-at: there is no step 21 of 20"},
    };
    rs_plan plan;
    for (size_t i = 0; i < COUNT(wrong); ++i) {
        rs_spec spec = SPEC("hidden", "4,6", "steps", "20,30", "cell", wrong[i].cell, "lyapunov",
                            wrong[i].lyapunov, wrong[i].key, wrong[i].value);
        expect_refused(rs_plan_make(&spec, NULL, "reference", &plan), wrong[i].part);
        rs_spec_free(&spec);
    }
    rs_spec most =
        SPEC("hidden", "4,6", "steps", "20,30", "cell", "lstm", "lyapunov", "8", "transient", "20");
    assert_int_equal(rs_plan_make(&most, NULL, "reference", &plan), RS_OK);
    rs_spec_free(&most);
}

static void test_too_many_cases_are_refused(void **state) {
    (void)state;
    rs_spec spec = SPEC("steps", "10", "ensemble", "gaussian,uniform,identity");
    size_t const n_seeds = spec.n_seeds;
    spec.n_seeds = SIZE_MAX / 2; /* a list that could not be: it is not read */
    rs_plan plan;
    expect_refused(rs_plan_make(&spec, NULL, "reference", &plan), "too many cases");
    spec.n_seeds = n_seeds;
    rs_spec_free(&spec);
}

/* --- models ----------------------------------------------------------------------------------- */

static double const some_array[1] = {0.0}; /* the plan asks only whether there is one */

static char model_name[] = "net.npz";
static rs_model const bare_model = {.name = model_name, .hidden = 5, .weight_hh = some_array};
static rs_model const full_model = {.name = model_name,
                                    .digest = 0x123,
                                    .hidden = 5,
                                    .input_size = 3,
                                    .steps = 40,
                                    .batch = 7,
                                    .weight_hh = some_array,
                                    .weight_ih = some_array,
                                    .input = some_array,
                                    .h0 = some_array};

static void test_model_settles_what_the_spec_leaves_open(void **state) {
    (void)state;
    rs_spec spec = SPEC("model", model_name, "seeds", "1,2", "warmup", "4");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, &full_model, "reference", &plan), RS_OK);
    assert_int_equal(plan.n, 2);
    rs_case const one = rs_plan_case(&plan, 0);
    assert_int_equal(one.batch, 7);
    assert_int_equal(one.input_size, 3);
    assert_int_equal(one.ensemble.kind, RS_MODEL);
    assert_int_equal(one.hidden, 5);
    assert_int_equal(one.steps, 40 - 4);
    assert_int_equal(one.h0.kind, RS_START_MODEL);
    assert_true(one.model_digest == full_model.digest);
    assert_string_equal(one.model, model_name);
    rs_spec_free(&spec);
}

static rs_model model_of(rs_cell cell) {
    rs_model model = bare_model;
    model.cell = cell;
    return model;
}

static void test_model_settles_the_cell(void **state) {
    (void)state;
    static rs_cell const cells[] = {RS_TANH, RS_LSTM, RS_GRU};
    for (size_t i = 0; i < COUNT(cells); ++i) {
        rs_spec spec = SPEC("model", model_name, "seeds", "1");
        rs_model const model = model_of(cells[i]);
        rs_plan plan;
        assert_int_equal(rs_plan_make(&spec, &model, "reference", &plan), RS_OK);
        assert_int_equal(plan.n, 1);
        assert_int_equal(rs_plan_case(&plan, 0).cell, cells[i]);
        rs_spec_free(&spec);
    }
    rs_spec spec = SPEC("model", model_name, "seeds", "1", "gate-bias", "1,2,5");
    rs_model const gru = model_of(RS_GRU), elman = model_of(RS_TANH);
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, &gru, "reference", &plan), RS_OK);
    assert_int_equal(plan.n, 3);
    assert_true(rs_plan_case(&plan, 2).gate_bias.value == 5.0);
    expect_refused(rs_plan_make(&spec, &elman, "reference", &plan),
                   "gate-bias: only for lstm and gru cells, not tanh");
    rs_spec_free(&spec);
    /* An nn.RNN is whichever cell of one gate the spec asks for. */
    spec = SPEC("model", model_name, "seeds", "1", "cell", "relu,linear", "leak", "0.5,1");
    assert_int_equal(rs_plan_make(&spec, &elman, "reference", &plan), RS_OK);
    assert_int_equal(plan.n, 4);
    assert_int_equal(rs_plan_case(&plan, 1).cell, RS_RELU);
    rs_spec_free(&spec);
    spec = SPEC("model", model_name, "seeds", "1", "cell", "gru");
    assert_int_equal(rs_plan_make(&spec, &gru, "reference", &plan), RS_OK);
    rs_spec_free(&spec);
}

static void test_another_cell_than_the_models_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *asked;
        rs_cell cell;
        const char *message;
    } wrong[] = {
        {"tanh", RS_LSTM,
         "cell: tanh asked for, but net.npz is an LSTM (weight_hh is [4 x 5][5]): leave --cell "
         "out"},
        {"lstm,gru", RS_LSTM, "cell: gru asked for, but net.npz is an LSTM"},
        {"lstm", RS_GRU, "cell: lstm asked for, but net.npz is a GRU (weight_hh is [3 x 5][5])"},
        {"tanh,gru", RS_TANH,
         "cell: gru asked for, but net.npz is an nn.RNN (weight_hh is [5][5]): leave --cell out"},
    };
    for (size_t i = 0; i < COUNT(wrong); ++i) {
        rs_spec spec = SPEC("model", model_name, "cell", wrong[i].asked);
        rs_model const model = model_of(wrong[i].cell);
        rs_plan plan;
        expect_refused(rs_plan_make(&spec, &model, "reference", &plan), wrong[i].message);
        rs_spec_free(&spec);
    }
}

/* Either state of the file settles the batch, and is left out where the spec asks for another. */
static void test_c0_alone_is_a_start(void **state) {
    (void)state;
    rs_model model = model_of(RS_LSTM);
    model.c0 = some_array;
    model.batch = 3;
    rs_spec spec = SPEC("model", model_name, "seeds", "1");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, &model, "reference", &plan), RS_OK);
    assert_int_equal(rs_plan_case(&plan, 0).batch, 3);
    assert_int_equal(rs_plan_case(&plan, 0).h0.kind, RS_START_MODEL);
    rs_spec_free(&spec);
    spec = SPEC("model", model_name, "seeds", "1", "h0", "normal:2");
    assert_int_equal(rs_plan_make(&spec, &model, "reference", &plan), RS_OK);
    assert_int_equal(rs_plan_case(&plan, 0).batch, 16);
    assert_int_equal(rs_plan_case(&plan, 0).h0.kind, RS_START_NORMAL);
    rs_spec_free(&spec);
}

static void test_bare_model_settles_hidden_only(void **state) {
    (void)state;
    rs_spec spec =
        SPEC("model", model_name, "seeds", "1", "steps", "9", "batch", "2", "input-size", "4");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, &bare_model, "reference", &plan), RS_OK);
    rs_case const one = rs_plan_case(&plan, 0);
    assert_int_equal(one.batch, 2);
    assert_int_equal(one.input_size, 4);
    assert_int_equal(one.hidden, 5);
    assert_int_equal(one.steps, 9);
    assert_int_equal(one.h0.kind, RS_START_ZERO);
    rs_spec_free(&spec);
}

static void test_arrays_that_are_not_used_settle_nothing(void **state) {
    (void)state;
    rs_spec spec = SPEC("model", model_name, "seeds", "1", "steps", "99", "batch", "2",
                        "input-size", "8", "input", "noise:1", "h0", "zero");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, &full_model, "reference", &plan), RS_OK);
    rs_case const one = rs_plan_case(&plan, 0);
    assert_int_equal(one.batch, 2);
    assert_int_equal(one.steps, 99);
    assert_int_equal(one.input_size, 0);
    assert_int_equal(one.h0.kind, RS_START_ZERO);
    rs_spec_free(&spec);
}

static void test_shorter_than_the_model_is_allowed(void **state) {
    (void)state;
    rs_spec spec = SPEC("model", model_name, "seeds", "1", "steps", "10,30", "warmup", "10",
                        "batch", "7", "hidden", "5", "input-size", "3");
    rs_plan plan;
    assert_int_equal(rs_plan_make(&spec, &full_model, "reference", &plan), RS_OK);
    assert_int_equal(plan.n, 2);
    assert_int_equal(rs_plan_case(&plan, 1).steps, 30);
    rs_spec_free(&spec);
}

static void test_contradictions_to_the_model_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *key, *value, *part;
    } wrong[] = {
        {"hidden", "6", "hidden: net.npz has 5 units"},
        {"hidden", "5,6", "hidden: net.npz has 5 units"},
        {"batch", "3", "batch: 3 asked for, but net.npz has 7"},
        {"input-size", "2", "input-size: 2 asked for, but net.npz has 3"},
        {"steps", "20,41", "steps: 41 asked for, but net.npz's input has 40"},
        {"warmup", "40", "warmup: 40 leaves none of the 40 steps"},
    };
    for (size_t i = 0; i < COUNT(wrong); ++i) {
        rs_spec spec = SPEC("model", model_name, wrong[i].key, wrong[i].value);
        rs_plan plan;
        expect_refused(rs_plan_make(&spec, &full_model, "reference", &plan), wrong[i].part);
        rs_spec_free(&spec);
    }
}

/* Of 40 steps of input: what warm-up and transient leave is counted. */
static void test_the_models_input_has_room_for_the_transient(void **state) {
    (void)state;
    static const struct {
        const char *warmup, *transient;
        size_t steps, expected;
    } settled[] = {
        {"0", "default", 37, 3}, {"7", "default", 30, 3}, {"8", "default", 29, 2},
        {"6", "default", 31, 3}, {"30", "default", 9, 0}, {"29", "default", 10, 1},
        {"35", "default", 5, 0}, {"5", "0", 35, 0},       {"0", "20", 20, 20},
    };
    rs_plan plan;
    for (size_t i = 0; i < COUNT(settled); ++i) {
        rs_spec spec = SPEC("model", model_name, "seeds", "1", "lyapunov", "all", "warmup",
                            settled[i].warmup, "transient", settled[i].transient);
        assert_int_equal(rs_plan_make(&spec, &full_model, "reference", &plan), RS_OK);
        rs_case const one = rs_plan_case(&plan, 0);
        assert_int_equal(one.steps, settled[i].steps);
        assert_int_equal(one.tangents.transient, settled[i].expected);
        assert_true(one.warmup + one.steps <= full_model.steps);
        rs_spec_free(&spec);
    }
    static const char *const wrong[][3] = {
        {"warmup", "40", "warmup: 40 leaves none of the 40 steps"},
        {"transient", "40", "transient: 40 leaves none of the 40 steps"},
        {"transient", "21", "transient: 21 is more than the 19 steps"},
        {"steps", "38",
         "steps: 38 asked for, but net.npz's input has 37 after warm-up and transient"},
    };
    for (size_t i = 0; i < COUNT(wrong); ++i) {
        rs_spec spec = SPEC("model", model_name, "lyapunov", "1", wrong[i][0], wrong[i][1]);
        expect_refused(rs_plan_make(&spec, &full_model, "reference", &plan), wrong[i][2]);
        rs_spec_free(&spec);
    }
}

/* Each input must get what it would get alone. */
static void test_other_inputs_beside_the_models(void **state) {
    (void)state;
    rs_spec spec = SPEC("model", model_name, "input", "pytorch,noise:0.5", "h0", "zero");
    rs_plan plan;
    expect_refused(rs_plan_make(&spec, &full_model, "reference", &plan),
                   "input: that of net.npz has its own batch and steps");
    assert_int_equal(rs_spec_set(&spec, "steps", "30", RS_FROM_OPTION), RS_OK);
    expect_refused(rs_plan_make(&spec, &full_model, "reference", &plan), "--batch 7");
    assert_int_equal(rs_spec_set(&spec, "batch", "7", RS_FROM_OPTION), RS_OK);
    assert_int_equal(rs_plan_make(&spec, &full_model, "reference", &plan), RS_OK);
    assert_int_equal(rs_plan_case(&plan, 0).input_size, 3);
    assert_int_equal(rs_plan_case(&plan, 1).input_size, 0);
    assert_int_equal(rs_plan_make(&spec, &bare_model, "reference", &plan), RS_OK);
    rs_spec_free(&spec);
}

/* The batch of h0 counts too, unless the spec draws its own start state. */
static void test_start_state_settles_the_batch(void **state) {
    (void)state;
    rs_model const model = {
        .name = model_name, .hidden = 5, .batch = 7, .weight_hh = some_array, .h0 = some_array};
    rs_spec spec = SPEC("model", model_name, "batch", "3");
    rs_plan plan;
    expect_refused(rs_plan_make(&spec, &model, "reference", &plan), "batch: 3 asked for");
    assert_int_equal(rs_spec_set(&spec, "h0", "normal:1", RS_FROM_OPTION), RS_OK);
    assert_int_equal(rs_plan_make(&spec, &model, "reference", &plan), RS_OK);
    rs_case const one = rs_plan_case(&plan, 0);
    assert_int_equal(one.batch, 3);
    assert_int_equal(one.h0.kind, RS_START_NORMAL);
    rs_spec_free(&spec);
}

/* --- memory ----------------------------------------------------------------------------------- */

static rs_resources const two_threads = {.threads = 2};
static rs_shape const whole = {
    .groups = 4, .radii = 5, .batch = 3, .hidden = 2, .steps = 6, .cell = RS_TANH};

static uint64_t const making = 40; /* bytes that preparing takes */

static uint64_t engine_bytes(const rs_shape *piece) {
    uint64_t bytes;
    assert_int_equal(fake_engine.bytes(0, piece, &two_threads, &bytes), RS_OK);
    return bytes;
}

static uint64_t need(const rs_shape *piece, bool on_host) {
    uint64_t const engine = engine_bytes(piece);
    return on_host ? engine + rs_plan_host_bytes(piece, &whole) + making : engine;
}

static uint64_t need_of(size_t groups, size_t radii, size_t batch, bool on_host) {
    rs_shape piece = whole;
    piece.groups = groups;
    piece.radii = radii;
    piece.batch = batch;
    return need(&piece, on_host);
}

/* Fits, and is the largest that does: groups give way first, then radii, then samples. */
static void expect_best_cut(const rs_cut *cut, uint64_t memory, bool on_host) {
    assert_in_range(cut->groups, 1, whole.groups);
    assert_in_range(cut->radii, 1, whole.radii);
    assert_in_range(cut->batch, 1, whole.batch);
    assert_true(need_of(cut->groups, cut->radii, cut->batch, on_host) <= memory);
    if (cut->radii < whole.radii) assert_int_equal(cut->groups, 1);
    if (cut->batch < whole.batch) assert_int_equal(cut->radii, 1);
    if (cut->batch < whole.batch)
        assert_true(need_of(1, 1, cut->batch + 1, on_host) > memory);
    else if (cut->radii < whole.radii)
        assert_true(need_of(1, cut->radii + 1, whole.batch, on_host) > memory);
    else if (cut->groups < whole.groups)
        assert_true(need_of(cut->groups + 1, whole.radii, whole.batch, on_host) > memory);
}

static void test_every_memory_has_its_best_cut(void **state) {
    (void)state;
    fake_reset();
    for (int on_host = 0; on_host < 2; ++on_host) {
        uint64_t const least = need_of(1, 1, 1, on_host), most = need(&whole, on_host);
        size_t seen[3] = {0, 0, 0};
        rs_cut cut = {0};
        for (uint64_t memory = least; memory <= most; ++memory) {
            assert_int_equal(
                rs_plan_cut(&fake_engine, 0, &two_threads, &whole, on_host, making, memory, &cut),
                RS_OK);
            expect_best_cut(&cut, memory, on_host);
            seen[0] += cut.groups < whole.groups;
            seen[1] += cut.radii < whole.radii;
            seen[2] += cut.batch < whole.batch;
        }
        assert_true(seen[0] > seen[1] && seen[1] > seen[2] && seen[2] > 0);
        assert_int_equal(cut.groups, whole.groups);
        assert_int_equal(cut.engine_bytes, engine_bytes(&whole));
        assert_int_equal(cut.host_bytes, rs_plan_host_bytes(&whole, &whole));
        assert_int_equal(cut.making_bytes, making);
        assert_int_equal(
            rs_plan_cut(&fake_engine, 0, &two_threads, &whole, on_host, making, UINT64_MAX, &cut),
            RS_OK);
        assert_int_equal(cut.groups, whole.groups);
    }
}

static void test_too_little_memory_names_the_least(void **state) {
    (void)state;
    fake_reset();
    for (int on_host = 0; on_host < 2; ++on_host) {
        uint64_t const least = need_of(1, 1, 1, on_host);
        char part[64];
        rs_cut cut;
        snprintf(part, sizeof part, "needs %llu bytes, but %llu", (unsigned long long)least,
                 (unsigned long long)least - 1);
        expect_refused(
            rs_plan_cut(&fake_engine, 0, &two_threads, &whole, on_host, making, least - 1, &cut),
            part);
        expect_refused(rs_plan_cut(&fake_engine, 0, &two_threads, &whole, on_host, making, 0, &cut),
                       "--memory");
    }
}

static void test_sizes_that_overflow_never_fit(void **state) {
    (void)state;
    static rs_shape const huge[] = {
        {.groups = 1, .radii = 1, .batch = 1, .hidden = SIZE_MAX / 2, .steps = 1},
        {.groups = 1, .radii = 1, .batch = 1, .hidden = 1, .steps = SIZE_MAX / 4},
    };
    fake_reset();
    for (size_t i = 0; i < COUNT(huge); ++i) {
        rs_cut cut;
        assert_int_equal(rs_plan_host_bytes(&huge[i], &huge[i]), UINT64_MAX);
        expect_refused(
            rs_plan_cut(&fake_engine, 0, &two_threads, &huge[i], true, 0, UINT64_MAX - 1, &cut),
            "memory: ");
    }
    rs_shape wide = {.groups = 1, .radii = 1, .batch = 1, .hidden = 1, .steps = 1};
    wide.batch = SIZE_MAX / 2;
    assert_int_equal(rs_plan_host_bytes(&wide, &wide), UINT64_MAX);
    wide.batch = 1;
    wide.radii = SIZE_MAX / 2;
    assert_int_equal(rs_plan_host_bytes(&wide, &wide), UINT64_MAX);
}

/* A columns count that overflows is cut down to what fits, not wrapped around to what seems to. */
static void test_overflowing_columns_are_cut(void **state) {
    (void)state;
    rs_shape shape = whole;
    rs_cut cut;
    fake_reset();
    shape.groups = SIZE_MAX / 2;
    assert_int_equal(rs_plan_cut(&fake_engine, 0, &two_threads, &shape, true, 0, 1 << 20, &cut),
                     RS_OK);
    assert_true(cut.groups > 1 && cut.engine_bytes + cut.host_bytes <= 1 << 20);
}

/* A gradient is a sum over all samples: they are not cut apart, whatever the memory. */
static void test_gradients_keep_samples_together(void **state) {
    (void)state;
    rs_shape shape = whole;
    rs_cut cut;
    fake_reset();
    shape.gradients = true;
    for (uint64_t memory = 0; memory < 20000; memory += 200) {
        rs_status const status =
            rs_plan_cut(&fake_engine, 0, &two_threads, &shape, true, 0, memory, &cut);
        if (status == RS_OK)
            assert_int_equal(cut.batch, shape.batch);
        else
            assert_non_null(strstr(rs_message(), "memory: one radius of 2 units"));
    }
    assert_int_equal(cut.groups, shape.groups);
}

static void test_shapes_that_the_engine_refuses_are_refused(void **state) {
    (void)state;
    rs_cut cut;
    fake_reset();
    fake.supports_status = RS_EINPUT;
    expect_refused(rs_plan_cut(&fake_engine, 0, &two_threads, &whole, true, 0, UINT64_MAX, &cut),
                   "fake: 2 units are not supported");
}

/* What the driver allocates for a launch, counted array by array. */
static void test_host_bytes_cover_what_the_driver_holds(void **state) {
    (void)state;
    rs_shape all = whole, piece;
    all.batch = 50;
    all.input_size = 7;
    piece = all;
    piece.groups = 2;
    piece.radii = 2;
    piece.batch = 1;
    size_t const h = all.hidden, t = all.steps, real = sizeof(double);
    size_t const weights = (h * h + (7 + 2) * h) * real; /* weight_hh; weight_ih and biases */
    size_t const samples = 2 * all.batch * h * real;     /* loss gradient and start state, uncut */
    size_t const norms =
        piece.radii * piece.batch * (t * (real + sizeof(int32_t)) + sizeof(uint32_t));
    size_t const profiles = 4 * all.radii * t * real;
    uint64_t const bytes = rs_plan_host_bytes(&piece, &all);
    assert_int_equal(bytes, 2 * (weights + samples + norms + profiles));
}

/* Those of tangents: what an engine writes of a piece, sums and results of all radii, and the
 * eigenvalues of a linear cell's predictions. */
static void test_host_bytes_cover_tangents(void **state) {
    (void)state;
    rs_shape all = whole, piece;
    all.hidden = 6;
    piece = all;
    piece.radii = 2;
    piece.batch = 1;
    size_t const real = sizeof(double), g = piece.groups, k = 5, blocks = RS_STRETCH_BLOCKS;
    uint64_t const without = rs_plan_host_bytes(&piece, &all);
    piece.directions = all.directions = k;
    piece.n_singular = all.n_singular = 3;
    size_t const column = (blocks + 3) * k * real + sizeof(uint32_t) + real;
    size_t const radius = (blocks + 3 + 2 + 3) * k * real;
    uint64_t const with = without + g * (2 * column + all.radii * radius);
    assert_int_equal(rs_plan_host_bytes(&piece, &all), with);
    piece.cell = all.cell = RS_LINEAR;
    assert_int_equal(rs_plan_host_bytes(&piece, &all), with + g * (2 + all.radii) * 6 * real);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases_are_numbered_by_arithmetic),
        cmocka_unit_test(test_variants_of_a_cell),
        cmocka_unit_test(test_model_settles_the_cell),
        cmocka_unit_test(test_another_cell_than_the_models_is_refused),
        cmocka_unit_test(test_c0_alone_is_a_start),
        cmocka_unit_test(test_shards_deal_out_the_cases),
        cmocka_unit_test(test_sizes_come_from_the_spec_without_a_model),
        cmocka_unit_test(test_shape_says_what_the_engine_must_know),
        cmocka_unit_test(test_fit_skip_is_resolved_for_every_length),
        cmocka_unit_test(test_fit_skip_must_leave_two_steps),
        cmocka_unit_test(test_too_many_cases_are_refused),
        cmocka_unit_test(test_model_settles_what_the_spec_leaves_open),
        cmocka_unit_test(test_bare_model_settles_hidden_only),
        cmocka_unit_test(test_arrays_that_are_not_used_settle_nothing),
        cmocka_unit_test(test_shorter_than_the_model_is_allowed),
        cmocka_unit_test(test_contradictions_to_the_model_are_refused),
        cmocka_unit_test(test_other_inputs_beside_the_models),
        cmocka_unit_test(test_start_state_settles_the_batch),
        cmocka_unit_test(test_every_memory_has_its_best_cut),
        cmocka_unit_test(test_too_little_memory_names_the_least),
        cmocka_unit_test(test_sizes_that_overflow_never_fit),
        cmocka_unit_test(test_overflowing_columns_are_cut),
        cmocka_unit_test(test_gradients_keep_samples_together),
        cmocka_unit_test(test_shapes_that_the_engine_refuses_are_refused),
        cmocka_unit_test(test_host_bytes_cover_what_the_driver_holds),
        cmocka_unit_test(test_host_bytes_cover_tangents),
        cmocka_unit_test(test_tangents_are_resolved_for_every_case),
        cmocka_unit_test(test_no_tangents_without_being_asked),
        cmocka_unit_test(test_tangents_that_cannot_be_are_refused),
        cmocka_unit_test(test_the_models_input_has_room_for_the_transient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
