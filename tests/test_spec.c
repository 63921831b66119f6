/* Stage spec: what is understood, what is refused, and which source wins. */
#include "../host/spec/spec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const size_t by_default = SIZE_MAX;

static int set_up(void **state) {
    rs_spec *const spec = malloc(sizeof *spec);
    *state = spec;
    return spec && rs_spec_init(spec) == RS_OK ? 0 : -1;
}

static int tear_down(void **state) {
    rs_spec_free(*state);
    free(*state);
    return 0;
}

static void accept(rs_spec *spec, const char *key, const char *value) {
    if (rs_spec_set(spec, key, value, RS_FROM_OPTION) != RS_OK)
        fail_msg("%s = %s refused: %s", key, value ? value : "(switch)", rs_message());
}

static void accept_from(rs_spec *spec, rs_source source, const char *key, const char *value) {
    assert_int_equal(rs_spec_set(spec, key, value, source), RS_OK);
}

static char *printed(const rs_spec *spec) {
    char *text = NULL;
    assert_int_equal(rs_spec_print(spec, &text), RS_OK);
    assert_non_null(text);
    return text;
}

/* Refused with a message that begins with the key, and nothing has changed. */
static void refuse(rs_spec *spec, const char *key, const char *value) {
    char *const before = printed(spec);
    if (rs_spec_set(spec, key, value, RS_FROM_OPTION) != RS_EINPUT)
        fail_msg("%s = %.80s was not refused", key, value ? value : "(none)");
    char *const after = printed(spec);
    assert_string_equal(before, after);
    assert_false(rs_spec_given(spec, key));
    size_t const length = strlen(key);
    assert_memory_equal(rs_message(), key, length);
    assert_memory_equal(rs_message() + length, ": ", 2);
    free(before);
    free(after);
}

static rs_status parse(rs_spec *spec, const char *text) {
    return rs_spec_parse(spec, text, strlen(text), "x.ini");
}

static void assert_message_has(const char *part) {
    if (!strstr(rs_message(), part)) fail_msg("\"%s\" lacks \"%s\"", rs_message(), part);
}

static void refuse_text(rs_spec *spec, const char *text, const char *message_part) {
    if (parse(spec, text) != RS_EINPUT) fail_msg("not refused: %s", text);
    assert_message_has(message_part);
}

static void assert_rho(const rs_spec *spec, size_t n, const double *rho) {
    assert_int_equal(spec->n_rho, n);
    for (size_t i = 0; i < n; ++i)
        if (spec->rho[i] != rho[i]) fail_msg("rho %zu: %.17g", i, spec->rho[i]);
}

static void assert_wholes(size_t n_got, const uint64_t *got, size_t n, const uint64_t *expected) {
    assert_int_equal(n_got, n);
    assert_memory_equal(got, expected, n * sizeof *got);
}

/* ------------------------------------------------------------------ values */

static void test_defaults(void **state) {
    const rs_spec *const spec = *state;
    double const rho[] = {0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5};
    uint64_t const seeds[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    assert_string_equal(spec->output, "rhosweep.db");
    assert_int_equal(spec->n_cell, 1);
    assert_int_equal(spec->cell[0], RS_TANH);
    assert_int_equal(spec->n_ensemble, 1);
    assert_int_equal(spec->ensemble[0].kind, RS_GAUSSIAN);
    assert_null(spec->model);
    assert_false(spec->native);
    assert_rho(spec, 11, rho);
    assert_wholes(spec->n_hidden, spec->hidden, 1, (uint64_t[]){64});
    assert_wholes(spec->n_steps, spec->steps, 1, (uint64_t[]){100});
    assert_int_equal(spec->batch, 16);
    assert_wholes(spec->n_seeds, spec->seeds, 10, seeds);
    assert_int_equal(spec->input[0].kind, RS_INPUT_PYTORCH);
    assert_int_equal(spec->input_size, 1);
    assert_int_equal(spec->h0.kind, RS_START_ZERO);
    assert_int_equal(spec->warmup, 0);
    assert_int_equal(spec->loss, RS_LAST_MEAN);
    assert_true(spec->fit_skip == by_default);
    assert_int_equal(spec->precision, RS_F32);
    assert_string_equal(spec->engine, "auto");
    assert_int_equal(spec->n_devices, 0);
    assert_int_equal(spec->shard.index, 0);
    assert_int_equal(spec->shard.count, 1);
    assert_int_equal(spec->threads, 0);
    assert_int_equal(spec->memory, 0);
    assert_false(spec->raw);
    assert_true(spec->profiles);
    assert_true(isnan(spec->clip));
    assert_int_equal(spec->lyapunov, 0);
    assert_true(spec->transient == by_default);
    assert_int_equal(spec->qr_every, 0);
    assert_int_equal(spec->n_singular_at, 0);
    assert_false(spec->quiet);
    assert_int_equal(rs_spec_check(spec), RS_OK);
    size_t n;
    const rs_spec_key *const keys = rs_spec_keys(&n);
    for (size_t k = 0; k < n; ++k) assert_false(rs_spec_given(spec, keys[k].name));
}

static void test_keys(void **state) {
    (void)state;
    size_t n;
    const rs_spec_key *const keys = rs_spec_keys(&n);
    assert_int_equal(n, 32);
    for (size_t k = 0; k < n; ++k) {
        assert_true(strlen(keys[k].help) > 0 && strlen(keys[k].group) > 0);
        for (size_t other = 0; other < k; ++other)
            assert_string_not_equal(keys[k].name, keys[other].name);
    }
}

/* Help takes the default from the key: one that depends on the machine has words of its own, and no
 * sentence repeats it. */
static void test_defaults_in_words(void **state) {
    (void)state;
    size_t n;
    const rs_spec_key *const keys = rs_spec_keys(&n);
    for (size_t k = 0; k < n; ++k) {
        bool const depends = keys[k].initial && strcmp(keys[k].initial, "default") == 0;
        assert_int_equal(depends, keys[k].automatic != NULL);
        assert_null(strstr(keys[k].help, "default"));
        assert_int_equal(strstr(keys[k].help, "%") != NULL, strstr(keys[k].help, "%s") != NULL);
    }
}

/* What help and completion offer; "noise:SIGMA" and the like want a number first. */
static void test_offered_words_are_understood(void **state) {
    rs_spec *const spec = *state;
    size_t n, understood = 0, forms = 0;
    const rs_spec_key *const keys = rs_spec_keys(&n);
    for (size_t k = 0; k < n; ++k)
        for (size_t i = 0; keys[k].kind->word && keys[k].kind->word(i); ++i) {
            const char *const word = keys[k].kind->word(i);
            bool const form = strchr(word, ':') != NULL;
            rs_status const wanted = form ? RS_EINPUT : RS_OK;
            assert_int_equal(rs_spec_set(spec, keys[k].name, word, RS_FROM_OPTION), wanted);
            forms += form;
            understood += !form;
        }
    assert_int_equal(forms, 4);
    assert_int_equal(understood, 5 + 7 + 1 + 2 + 1 + 2 + 1 + 3 + 1 + 2 + 4 + 1 + 3 * 2);
}

static void test_words(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "cell", "linear, tanh");
    assert_int_equal(spec->n_cell, 2);
    assert_int_equal(spec->cell[0], RS_TANH);
    assert_int_equal(spec->cell[1], RS_LINEAR);
    accept(spec, "cell", "gru,tanh,lstm");
    assert_int_equal(spec->n_cell, 3);
    assert_int_equal(spec->cell[1], RS_LSTM);
    assert_int_equal(spec->cell[2], RS_GRU);
    accept(spec, "gate-scale", "native");
    assert_int_equal(spec->gate_scale, RS_SCALE_NATIVE);
    accept(spec, "gate-scale", "same");
    assert_int_equal(spec->gate_scale, RS_SCALE_SAME);
    accept(spec, "loss", "all-mean");
    assert_int_equal(spec->loss, RS_ALL_MEAN);
    accept(spec, "loss", "random");
    assert_int_equal(spec->loss, RS_RANDOM);
    accept(spec, "precision", "f64");
    assert_int_equal(spec->precision, RS_F64);
    const char *const engines[] = {"auto", "cpu", "cuda", "reference"};
    for (size_t i = 0; i < 4; ++i) {
        accept(spec, "engine", engines[i]);
        assert_string_equal(spec->engine, engines[i]);
    }
    accept(spec, "output", "some where/a=b.db");
    assert_string_equal(spec->output, "some where/a=b.db");
}

static void test_ensembles(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "ensemble",
           "sparse:1,normal,ring, sparse:0.1 ,symmetric,identity,sparse:0.25,"
           "orthogonal,uniform,gaussian");
    double const density[] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.25, 1.0};
    assert_int_equal(spec->n_ensemble, 10);
    for (size_t i = 0; i < 10; ++i) {
        assert_int_equal(spec->ensemble[i].kind, i < RS_SPARSE ? i : RS_SPARSE);
        assert_true(spec->ensemble[i].density == density[i]);
    }
}

static void assert_biases(const rs_spec *spec, size_t n, const rs_gate_bias *bias) {
    assert_int_equal(spec->n_gate_bias, n);
    for (size_t i = 0; i < n; ++i) {
        assert_int_equal(spec->gate_bias[i].kind, bias[i].kind);
        assert_true(spec->gate_bias[i].value == bias[i].value);
    }
}

/* As drawn, numbers ascending, chrono ascending. */
static void test_gate_biases(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "gate-bias", "chrono:50, 5,-1,drawn,0,chrono:2.5,1,2");
    assert_biases(spec, 8,
                  (rs_gate_bias[]){{RS_BIAS_DRAWN, 0},
                                   {RS_BIAS_GIVEN, -1},
                                   {RS_BIAS_GIVEN, 0},
                                   {RS_BIAS_GIVEN, 1},
                                   {RS_BIAS_GIVEN, 2},
                                   {RS_BIAS_GIVEN, 5},
                                   {RS_BIAS_CHRONO, 2.5},
                                   {RS_BIAS_CHRONO, 50}});
    accept(spec, "gate-bias", "-0.3:0.1:0.1"); /* -0.3 + 3 0.1 is not 0 in binary */
    assert_biases(spec, 5,
                  (rs_gate_bias[]){{RS_BIAS_GIVEN, -0.3},
                                   {RS_BIAS_GIVEN, -0.2},
                                   {RS_BIAS_GIVEN, -0.1},
                                   {RS_BIAS_GIVEN, 0},
                                   {RS_BIAS_GIVEN, 0.1}});
    accept(spec, "gate-bias", "1:-1:-1,3");
    assert_biases(
        spec, 4,
        (rs_gate_bias[]){
            {RS_BIAS_GIVEN, -1}, {RS_BIAS_GIVEN, 0}, {RS_BIAS_GIVEN, 1}, {RS_BIAS_GIVEN, 3}});
    accept(spec, "gate-bias", "-0"); /* one zero, with one text */
    char text[64];
    assert_string_equal(rs_gate_bias_text(spec->gate_bias[0], text), "0");
    accept(spec, "gate-bias", "-5:-1:0.1"); /* dust is measured by the larger end */
    assert_int_equal(spec->n_gate_bias, 41);
}

static void test_leaks(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "leak", "1,0.25,0.5");
    assert_int_equal(spec->n_leak, 3);
    assert_true(spec->leak[0] == 0.25 && spec->leak[1] == 0.5 && spec->leak[2] == 1.0);
    accept(spec, "leak", "0.1:1:0.1");
    assert_int_equal(spec->n_leak, 10);
}

static void test_bad_lists_of_gated_and_leaky_cells(void **state) {
    rs_spec *const spec = *state;
    const char *const bad[][2] = {
        {"gate-bias", ""},
        {"gate-bias", "1,"},
        {"gate-bias", "one"},
        {"gate-bias", "1,1"},
        {"gate-bias", "0,-0"},
        {"gate-bias", "-1:1,0"},
        {"gate-bias", "nan"},
        {"gate-bias", "inf"},
        {"gate-bias", "1e999"},
        {"gate-bias", "-inf"},
        {"gate-bias", "chrono"},
        {"gate-bias", "chrono:"},
        {"gate-bias", "chrono:2"},
        {"gate-bias", "chrono:-5"},
        {"gate-bias", "chrono:inf"},
        {"gate-bias", "chrono:9,chrono:9.0"},
        {"gate-bias", "drawn,drawn"},
        {"gate-bias", "1:2:0.5:3"},
        {"gate-bias", "1:2:0"},
        {"gate-bias", "-1:-2"},
        {"gate-bias", "0:1e9"},
        {"gate-bias", "0x1"},
        {"gate-bias", "0:60000,-60000:-1"},
        {"gate-scale", "both"},
        {"gate-scale", "same,native"},
        {"gate-scale", ""},
        {"leak", "0"},
        {"leak", "-0.5"},
        {"leak", "1.0000001"},
        {"leak", "0.5,2"},
        {"leak", "0.5,0.5"},
        {"leak", ""},
        {"leak", "nan"},
        {"ensemble", "sparse"},
        {"ensemble", "sparse:"},
        {"ensemble", "sparse:0"},
        {"ensemble", "sparse:1.01"},
        {"ensemble", "sparse:-1"},
        {"ensemble", "sparse:0.1,sparse:1e-1"},
        {"ensemble", "sparse:P"},
        {"ensemble", "ring,ring"},
        {"cell", "lstm,lstm"},
        {"cell", "LSTM"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) refuse(spec, bad[i][0], bad[i][1]);
    assert_int_equal(rs_spec_set(spec, "ensemble", "sparse", RS_FROM_OPTION), RS_EINPUT);
    assert_message_has("normal, sparse:P");
    assert_int_equal(rs_spec_set(spec, "gate-bias", "chrono:1", RS_FROM_OPTION), RS_EINPUT);
    assert_string_equal(rs_message(), "gate-bias: chrono:1: TMAX must be above 2, for biases are "
                                      "ln U(1, TMAX - 1)");
}

static void check(rs_spec *spec, const char *cell, const char *key, const char *value,
                  const char *message) {
    accept(spec, "cell", cell);
    accept(spec, key, value);
    rs_status const status = rs_spec_check(spec);
    assert_int_equal(status, message ? RS_EINPUT : RS_OK);
    if (message) assert_string_equal(rs_message(), message);
    accept(spec, "gate-bias", "drawn");
    accept(spec, "gate-scale", "same");
    accept(spec, "leak", "1");
}

/* Keys of some cells: an error where no cell has a use for them, and without effect on others. */
static void test_keys_that_need_another_cell(void **state) {
    rs_spec *const spec = *state;
    check(spec, "tanh", "gate-bias", "1", "gate-bias: only for lstm and gru cells, not tanh");
    check(spec, "relu,linear", "gate-bias", "drawn,1",
          "gate-bias: only for lstm and gru cells, not relu");
    check(spec, "linear", "gate-scale", "native",
          "gate-scale: only for lstm and gru cells, not linear");
    check(spec, "lstm,gru", "leak", "0.5", "leak: only for tanh, relu and linear cells, not lstm");
    check(spec, "gru", "leak", "0.5,1", "leak: only for tanh, relu and linear cells, not gru");
    check(spec, "tanh,gru", "gate-bias", "1,chrono:9", NULL);
    check(spec, "tanh,lstm", "gate-scale", "native", NULL);
    check(spec, "tanh,lstm", "leak", "0.5,1", NULL);
    /* The defaults may be written down, as a printed spec does. */
    check(spec, "tanh", "gate-bias", "drawn", NULL);
    check(spec, "tanh", "gate-scale", "same", NULL);
    check(spec, "lstm", "leak", "1", NULL);
    /* A model settles its cell later, unless the spec does. */
    accept(spec, "gate-bias", "1");
    accept(spec, "cell", "tanh");
    accept(spec, "model", "a.npz");
    assert_int_equal(rs_spec_check(spec), RS_EINPUT);
}

static void test_a_model_may_bring_a_cell_with_gates(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "model", "a.npz");
    accept(spec, "gate-bias", "1");
    accept(spec, "leak", "0.5");
    assert_int_equal(rs_spec_check(spec), RS_OK);
}

static void test_bad_words(void **state) {
    rs_spec *const spec = *state;
    const char *const bad[][2] = {
        {"cell", ""},          {"cell", "sigmoid"},
        {"cell", "tanh,"},     {"cell", "Tanh"},
        {"cell", "tanh,tanh"}, {"cell", "tanh relu"},
        {"ensemble", "goe"},   {"ensemble", ",gaussian"},
        {"ensemble", "model"}, {"ensemble", "identity,,uniform"},
        {"loss", "mse"},       {"loss", "last-mean,random"},
        {"precision", "f16"},  {"precision", ""},
        {"engine", "tpu"},     {"engine", "cpu "},
        {"output", ""},        {"output", "a\nb"},
        {"model", ""},         {"raw", "perhaps"},
        {"raw", ""},           {"profiles", "some"},
        {"profiles", NULL},    {"quiet", "1"},
        {"cell", NULL},        {"output", NULL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) refuse(spec, bad[i][0], bad[i][1]);
    assert_int_equal(rs_spec_set(spec, "engine", "tpu", RS_FROM_OPTION), RS_EINPUT);
    assert_string_equal(
        rs_message(),
        "engine: \"tpu\" is not one of auto, cpu, cuda, reference; did you mean cpu?");
    refuse(spec, "output", NULL);
    assert_string_equal(rs_message(), "output: needs a value");
}

static void test_unknown_key(void **state) {
    rs_spec *const spec = *state;
    const char *const unknown[] = {"rhoo", "RHO", "", "clipp", "o", "input_size"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; ++i) {
        assert_int_equal(rs_spec_set(spec, unknown[i], "1", RS_FROM_OPTION), RS_EINPUT);
        assert_false(rs_spec_given(spec, unknown[i]));
    }
}

static void test_cell_has_another_name(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "nonlinearity", "relu");
    assert_int_equal(spec->n_cell, 1);
    assert_int_equal(spec->cell[0], RS_RELU);
    assert_true(rs_spec_given(spec, "cell"));
    assert_int_equal(parse(spec, "[sweep]\nnonlinearity = linear\n"), RS_OK);
    assert_int_equal(spec->cell[0], RS_LINEAR);
    char *const text = printed(spec);
    assert_non_null(strstr(text, "cell = linear\n"));
    assert_null(strstr(text, "nonlinearity"));
    free(text);
}

static void test_rho_lists(void **state) {
    rs_spec *const spec = *state;
    static const struct {
        const char *text;
        size_t n;
        double rho[9];
    } good[] = {
        {"1", 1, {1}},
        {"1.5,0.5,1", 3, {0.5, 1, 1.5}},
        {" 2 , 1 ", 2, {1, 2}},
        {"1:3", 3, {1, 2, 3}},
        {"1:3,7", 4, {1, 2, 3, 7}},
        {"0.1:0.5:0.1", 5, {0.1, 0.2, 0.3, 0.4, 0.5}},
        {"0.1:0.9:0.1", 9, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}},
        {"0.9:0.1:-0.2", 5, {0.1, 0.3, 0.5, 0.7, 0.9}},
        {"0.5:1.5:0.4", 3, {0.5, 0.9, 1.3}},
        {"1:1:0.1", 1, {1}},
        {"1:1:-1", 1, {1}},
        {"2:2", 1, {2}},
        {"1 : 2 : 0.5", 3, {1, 1.5, 2}},
        {"1e-3:3e-3:1e-3", 3, {0.001, 0.002, 0.003}},
        {"1e20,1e-20", 2, {1e-20, 1e20}},
        {"0.12345678901234567", 1, {0.12345678901234567}},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; ++i) {
        accept(spec, "rho", good[i].text);
        assert_rho(spec, good[i].n, good[i].rho);
    }
}

/* Every value of a range is the double nearest to its decimal. */
static void test_rho_range_is_exact(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "rho", "0.01:5:0.01");
    assert_int_equal(spec->n_rho, 500);
    for (size_t i = 0; i < 500; ++i) {
        char text[16];
        snprintf(text, sizeof text, "%zu.%02zu", (i + 1) / 100, (i + 1) % 100);
        assert_true(spec->rho[i] == strtod(text, NULL));
    }
}

/* A step that 12 digits cannot tell from the next keeps its values apart. */
static void test_rho_fine_step(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "rho", "1:1.00000000000003:1e-14");
    assert_int_equal(spec->n_rho, 4);
    assert_true(spec->rho[0] == 1.0 && spec->rho[3] <= 1.00000000000003);
    for (size_t i = 1; i < 4; ++i) assert_true(spec->rho[i] > spec->rho[i - 1]);
}

static void test_bad_rho(void **state) {
    rs_spec *const spec = *state;
    const char *const bad[] = {
        "",
        ",",
        "1,",
        "1,,2",
        "abc",
        "1x",
        "1 2",
        "0x10",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e-999",
        "9e-21",
        "1,2e20",
        "-1",
        "0",
        "-0",
        "0:1:0.5",
        "-1:1:0.5",
        "1:",
        ":1",
        ":",
        "1::0.5",
        "1:2:",
        "1:2:0.1:3",
        "1:2:0",
        "1:2:-1",
        "2:1",
        "2:1:0.1",
        "0.5:1.5",
        "1:2.5",
        "1:2:nan",
        "1:2:inf",
        "1,1",
        "1:3,2",
        "1,1.0",
        "native,1",
        "1,native",
        "Native",
        "1:2:1e-300",
        "1:1e6",
        "1e-300:1e308:1e-300",
        "1;2",
        "--1",
        "1e",
        ".",
        "+",
        "1e5e5",
        "1:1000001:1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) refuse(spec, "rho", bad[i]);
}

static void test_native(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "rho", "native");
    assert_true(spec->native);
    assert_int_equal(spec->n_rho, 1);
    accept(spec, "rho", "2");
    assert_false(spec->native);
    assert_rho(spec, 1, (double[]){2});
}

static void test_whole_lists(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "hidden", "64:16:-16,7");
    assert_wholes(spec->n_hidden, spec->hidden, 5, (uint64_t[]){7, 16, 32, 48, 64});
    accept(spec, "steps", "10:25:5");
    assert_wholes(spec->n_steps, spec->steps, 4, (uint64_t[]){10, 15, 20, 25});
    accept(spec, "steps", "10:24:5");
    assert_wholes(spec->n_steps, spec->steps, 3, (uint64_t[]){10, 15, 20});
    accept(spec, "seeds", "9223372036854775807, 0");
    assert_wholes(spec->n_seeds, spec->seeds, 2, (uint64_t[]){0, INT64_MAX});
    accept(spec, "seeds", "9223372036854775805:9223372036854775807:5");
    assert_wholes(spec->n_seeds, spec->seeds, 1, (uint64_t[]){INT64_MAX - 2});
    accept(spec, "seeds", "0:99999");
    assert_int_equal(spec->n_seeds, 100000);
    accept(spec, "hidden", "65536");
    accept(spec, "steps", "10000000");
}

static void test_bad_whole_lists(void **state) {
    rs_spec *const spec = *state;
    const char *const bad[][2] = {
        {"hidden", "0"},
        {"hidden", "-4"},
        {"hidden", "2.5"},
        {"hidden", "1e3"},
        {"hidden", "65537"},
        {"hidden", "4294967296"},
        {"hidden", "18446744073709551616"},
        {"hidden", "+4"},
        {"hidden", "0:4"},
        {"hidden", "8,8"},
        {"hidden", "4:8,6"},
        {"hidden", ""},
        {"hidden", "8:4"},
        {"hidden", "4:8:-2"},
        {"hidden", "8:4:2"},
        {"hidden", "4:8:0"},
        {"hidden", "4:8:-0"},
        {"hidden", "4:8:1:1"},
        {"hidden", "4:8:"},
        {"hidden", "4:8:--2"},
        {"hidden", "nan"},
        {"steps", "0"},
        {"steps", "10000001"},
        {"steps", "1:10000000"},
        {"seeds", "-1"},
        {"seeds", "1.5"},
        {"seeds", "9223372036854775808"},
        {"seeds", "0:100000"},
        {"seeds", "0:18446744073709551615"},
        {"seeds", "0:99999,100000"},
        {"seeds", "5:1"},
        {"seeds", "1:5:99999999999999999999"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) refuse(spec, bad[i][0], bad[i][1]);
}

static void test_numbers(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "batch", "1000000");
    assert_int_equal(spec->batch, 1000000);
    accept(spec, "input-size", "7");
    assert_int_equal(spec->input_size, 7);
    accept(spec, "warmup", "500");
    assert_int_equal(spec->warmup, 500);
    accept(spec, "fit-skip", "0");
    assert_int_equal(spec->fit_skip, 0);
    accept(spec, "fit-skip", "default");
    assert_true(spec->fit_skip == by_default);
    accept(spec, "threads", "3");
    assert_int_equal(spec->threads, 3);
    accept(spec, "threads", "default");
    assert_int_equal(spec->threads, 0);
    const char *const bad[][2] = {
        {"batch", "0"},   {"batch", "1,2"},       {"batch", "-1"},       {"batch", "1000001"},
        {"batch", ""},    {"input-size", "0"},    {"input-size", "1e2"}, {"input-size", "65537"},
        {"warmup", "-1"}, {"warmup", "10000001"},
    };
    rs_spec fresh;
    assert_int_equal(rs_spec_init(&fresh), RS_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) refuse(&fresh, bad[i][0], bad[i][1]);
    refuse(&fresh, "fit-skip", "-1");
    refuse(&fresh, "fit-skip", "none");
    refuse(&fresh, "threads", "0");
    refuse(&fresh, "threads", "-2");
    refuse(&fresh, "threads", "4097");
    rs_spec_free(&fresh);
}

static void test_clip(void **state) {
    rs_spec *const spec = *state;
    const char *const bad[] = {"",      "0",      "-1",   "-0",  "nan", "inf",    "-inf",
                               "1e999", "0x10",   "none", "yes", "1,2", "1:2",    "1x",
                               " 1",    "1e-999", NULL,   "no",  ".",   "Default"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) refuse(spec, "clip", bad[i]);
    refuse(spec, "clip", "-1");
    assert_string_equal(rs_message(), "clip: -1 is not above 0");
    refuse(spec, "clip", "some");
    assert_string_equal(rs_message(), "clip: \"some\" is not a number");
    accept(spec, "clip", "0.25");
    assert_true(spec->clip == 0.25);
    accept(spec, "clip", "1e-300");
    assert_true(spec->clip == 1e-300);
    accept(spec, "clip", "default");
    assert_true(isnan(spec->clip));
    assert_int_equal(parse(spec, "[sweep]\nclip = 5\n"), RS_OK);
    assert_true(spec->clip == 5.0);
    accept(spec, "clip", "2"); /* the option wins */
    assert_true(spec->clip == 2.0);
    refuse_text(spec, "[sweep]\nclip = 0\n", "x.ini:2: clip: 0 is not above 0");
}

static void test_lyapunov(void **state) {
    rs_spec *const spec = *state;
    static const char *const bad[][2] = {
        {"lyapunov", "0"},       {"lyapunov", "-1"},      {"lyapunov", "131073"},
        {"lyapunov", "1,2"},     {"lyapunov", ""},        {"lyapunov", "ALL"},
        {"lyapunov", "2.5"},     {"transient", "-1"},     {"transient", "10000001"},
        {"transient", "all"},    {"qr-every", "0"},       {"qr-every", "-1"},
        {"qr-every", "auto"},    {"singular-at", "0"},    {"singular-at", "0:9"},
        {"singular-at", "none"}, {"singular-at", "1,,2"}, {"singular-at", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) refuse(spec, bad[i][0], bad[i][1]);
    refuse(spec, "lyapunov", "al");
    assert_string_equal(rs_message(),
                        "lyapunov: \"al\" is not one of all, a number; did you mean all?");
    accept(spec, "lyapunov", "131072");
    assert_int_equal(spec->lyapunov, 131072);
    accept(spec, "lyapunov", "all");
    assert_true(spec->lyapunov == SIZE_MAX);
    accept(spec, "transient", "0");
    assert_int_equal(spec->transient, 0);
    accept(spec, "qr-every", "1");
    assert_int_equal(spec->qr_every, 1);
    accept(spec, "singular-at", "30,10:20:5");
    assert_wholes(spec->n_singular_at, spec->singular_at, 4, (uint64_t[]){10, 15, 20, 30});
    assert_int_equal(rs_spec_check(spec), RS_OK);
    accept(spec, "singular-at", "default");
    assert_int_equal(spec->n_singular_at, 0);
    assert_null(spec->singular_at);
}

/* What belongs to exponents is refused without them, and singular values need all directions. */
static void test_what_exponents_need(void **state) {
    static const char *const of_tangents[][2] = {
        {"transient", "0"}, {"qr-every", "1"}, {"singular-at", "1"}};
    rs_spec *const spec = *state;
    for (size_t i = 0; i < sizeof of_tangents / sizeof *of_tangents; ++i) {
        accept(spec, of_tangents[i][0], of_tangents[i][1]);
        assert_int_equal(rs_spec_check(spec), RS_EINPUT);
        assert_memory_equal(rs_message(), of_tangents[i][0], strlen(of_tangents[i][0]));
        assert_message_has("lyapunov");
        accept(spec, "lyapunov", "2");
        bool const needs_all = spec->n_singular_at > 0;
        assert_int_equal(rs_spec_check(spec), needs_all ? RS_EINPUT : RS_OK);
        if (needs_all) assert_message_has("singular-at: needs all directions");
        accept(spec, "lyapunov", "all");
        assert_int_equal(rs_spec_check(spec), RS_OK);
        accept(spec, "lyapunov", "default");
        accept(spec, of_tangents[i][0], "default");
        assert_int_equal(rs_spec_check(spec), RS_OK);
    }
}

static void test_shards(void **state) {
    rs_spec *const spec = *state;
    static const char *const bad[] = {
        "",    "1",   "/",    "1/",    "/2",        "2/2",   "0/0",   "-1/2",
        "0/x", "x/2", "0/-2", "0 / 2", "0/1000001", "1.0/2", "0/1/2", "18446744073709551616/2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) refuse(spec, "shard", bad[i]);
    refuse(spec, "shard", "3/3");
    assert_string_equal(rs_message(), "shard: 3/3: shards of 3 are numbered 0 to 2");
    refuse(spec, "shard", "3");
    assert_string_equal(rs_message(), "shard: \"3\" is not I/N, such as 0/4");
    accept(spec, "shard", "2/3");
    assert_int_equal(spec->shard.index, 2);
    assert_int_equal(spec->shard.count, 3);
}

static void test_memory(void **state) {
    rs_spec *const spec = *state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"1", 1},
                {"1000000", 1000000},
                {"1K", 1024},
                {"512M", 512u << 20},
                {"512m", 512u << 20},
                {"2G", UINT64_C(2) << 30},
                {"1.5GiB", UINT64_C(3) << 29},
                {".5G", UINT64_C(1) << 29},
                {"1T", UINT64_C(1) << 40},
                {"1152921504606846976", UINT64_C(1) << 60},
                {"default", 0}};
    const char *const bad[] = {
        "",    "0",   "0G",         "-1G",    "G",   "1Q",           "1.5", "1 G",
        "1GB", "1Gi", "1.2.3G",     "1e3G",   "nan", "99999999999G", "inf", "2305843009213693952",
        "1Kx", ".",   "0.0000001K", "0.0009K"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) refuse(spec, "memory", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof *good; ++i) {
        accept(spec, "memory", good[i].text);
        assert_int_equal(spec->memory, good[i].bytes);
    }
}

static void test_input_and_h0(void **state) {
    rs_spec *const spec = *state;
    char text[64];
    assert_string_equal(rs_input_text(spec->input[0], text), "pytorch");
    assert_string_equal(rs_start_text(spec->h0, text), "zero");
    const char *const bad[][2] = {
        {"input", "white"},
        {"input", ""},
        {"input", "noise"},
        {"input", "noise:"},
        {"input", "noise:-1"},
        {"input", "noise:0"},
        {"input", "noise:nan"},
        {"input", "noise:inf"},
        {"input", "noise:1x"},
        {"input", "zero:1"},
        {"input", "zero,"},
        {"input", "noise:1,noise:1e0"},
        {"input", "pytorch,zero,pytorch"},
        {"input", "noise:1,zero,white"},
        {"h0", "ones"},
        {"h0", "normal"},
        {"h0", "normal:0"},
        {"h0", "normal:-2"},
        {"h0", "normal:inf"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) refuse(spec, bad[i][0], bad[i][1]);
    accept(spec, "input", "noise:0.5");
    assert_int_equal(spec->input[0].kind, RS_INPUT_NOISE);
    assert_true(spec->input[0].sigma == 0.5);
    assert_string_equal(rs_input_text(spec->input[0], text), "noise:0.5");
    accept(spec, "input", "zero");
    assert_int_equal(spec->input[0].kind, RS_INPUT_ZERO);
    assert_string_equal(rs_input_text(spec->input[0], text), "zero");
    accept(spec, "input", "noise:2, noise:0.5,pytorch,zero");
    assert_int_equal(spec->n_input, 4); /* in one order, however they are given */
    assert_int_equal(spec->input[0].kind, RS_INPUT_ZERO);
    assert_int_equal(spec->input[1].kind, RS_INPUT_PYTORCH);
    assert_true(spec->input[2].sigma == 0.5 && spec->input[3].sigma == 2.0);
    accept(spec, "h0", "normal:0.1");
    assert_true(spec->h0.kind == RS_START_NORMAL && spec->h0.sigma == 0.1);
    assert_string_equal(rs_start_text(spec->h0, text), "normal:0.1");
    accept(spec, "h0", "zero");
    assert_int_equal(spec->h0.kind, RS_START_ZERO);
}

static void test_switches(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "raw", NULL);
    accept(spec, "quiet", "true");
    assert_true(spec->raw && spec->quiet);
    accept(spec, "raw", "no");
    accept(spec, "quiet", "false");
    assert_true(!spec->raw && !spec->quiet);
    accept(spec, "raw", "yes");
    assert_true(spec->raw);
    accept(spec, "profiles", "no");
    assert_false(spec->profiles);
    accept(spec, "profiles", "yes");
    assert_true(spec->profiles);
}

/* ------------------------------------------------------------------ sources */

static void test_option_wins_over_file(void **state) {
    rs_spec *const spec = *state;
    assert_int_equal(parse(spec, "[sweep]\nhidden = 8\nrho = 1,2\nraw = yes\n"), RS_OK);
    accept(spec, "rho", "0.5");
    assert_rho(spec, 1, (double[]){0.5});
    assert_wholes(spec->n_hidden, spec->hidden, 1, (uint64_t[]){8});
    assert_true(spec->raw);
    assert_true(rs_spec_given(spec, "rho") && rs_spec_given(spec, "hidden"));
    assert_false(rs_spec_given(spec, "steps"));
}

static void test_model_brings_its_size(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "model", "a.npz");
    assert_string_equal(spec->model, "a.npz");
    assert_int_equal(spec->n_ensemble, 1);
    assert_int_equal(spec->ensemble[0].kind, RS_MODEL);
    assert_int_equal(spec->n_hidden, 0);
    assert_int_equal(rs_spec_check(spec), RS_OK);
    accept(spec, "hidden", "10"); /* for the plan to compare */
    assert_wholes(spec->n_hidden, spec->hidden, 1, (uint64_t[]){10});
    accept(spec, "model", "b.npz"); /* likewise, in this order */
    assert_wholes(spec->n_hidden, spec->hidden, 1, (uint64_t[]){10});
    assert_true(rs_spec_given(spec, "hidden"));
}

static void test_model_and_ensemble_of_one_source(void **state) {
    rs_spec *const spec = *state;
    for (int order = 0; order < 2; ++order) {
        accept(spec, order ? "ensemble" : "model", order ? "uniform" : "a.npz");
        accept(spec, order ? "model" : "ensemble", order ? "a.npz" : "uniform");
        assert_int_equal(rs_spec_check(spec), RS_EINPUT);
        assert_message_has("ensemble");
    }
}

static void test_later_model_replaces_ensemble(void **state) {
    rs_spec *const spec = *state;
    assert_int_equal(parse(spec, "[sweep]\nensemble = uniform,identity\nhidden = 32\n"), RS_OK);
    accept(spec, "model", "a.npz");
    assert_int_equal(spec->n_ensemble, 1);
    assert_int_equal(spec->ensemble[0].kind, RS_MODEL);
    assert_false(rs_spec_given(spec, "ensemble"));
    assert_int_equal(spec->n_hidden, 0);
    assert_int_equal(rs_spec_check(spec), RS_OK);
}

static void test_later_ensemble_replaces_model(void **state) {
    rs_spec *const spec = *state;
    assert_int_equal(parse(spec, "[sweep]\nmodel = a.npz\n"), RS_OK);
    accept(spec, "ensemble", "identity");
    assert_null(spec->model);
    assert_false(rs_spec_given(spec, "model"));
    assert_int_equal(spec->ensemble[0].kind, RS_IDENTITY);
    assert_wholes(spec->n_hidden, spec->hidden, 1, (uint64_t[]){64});
    assert_int_equal(rs_spec_check(spec), RS_OK);
}

static void test_later_ensemble_keeps_given_hidden(void **state) {
    rs_spec *const spec = *state;
    accept_from(spec, RS_FROM_FILE, "model", "a.npz");
    accept_from(spec, RS_FROM_FILE, "hidden", "10,20");
    accept_from(spec, RS_FROM_OPTION, "ensemble", "gaussian");
    assert_wholes(spec->n_hidden, spec->hidden, 2, (uint64_t[]){10, 20});
}

static void test_fit_skip_against_steps(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "steps", "1,40,100");
    accept(spec, "fit-skip", "38"); /* two points of 40; a single step has no rate anyway */
    assert_int_equal(rs_spec_check(spec), RS_OK);
    accept(spec, "fit-skip", "39");
    assert_int_equal(rs_spec_check(spec), RS_EINPUT);
    assert_message_has("fit-skip: ");
    accept(spec, "fit-skip", "default");
    assert_int_equal(rs_spec_check(spec), RS_OK);
    accept(spec, "steps", "1");
    accept(spec, "fit-skip", "7");
    assert_int_equal(rs_spec_check(spec), RS_OK);
}

static void test_absurd_products(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "hidden", "1:1000");
    accept(spec, "seeds", "0:9999");
    assert_int_equal(rs_spec_check(spec), RS_OK);
    accept(spec, "cell", "tanh,relu");
    assert_int_equal(rs_spec_check(spec), RS_EINPUT);
    assert_message_has("cases");
    accept(spec, "cell", "tanh"); /* with so many leaks */
    accept(spec, "leak", "0.5,1");
    assert_int_equal(rs_spec_check(spec), RS_EINPUT);
    accept(spec, "leak", "1");
    accept(spec, "cell", "lstm"); /* or biases */
    assert_int_equal(rs_spec_check(spec), RS_OK);
    accept(spec, "gate-bias", "1,2");
    assert_int_equal(rs_spec_check(spec), RS_EINPUT);
    assert_message_has("20000000 cases");
    accept(spec, "seeds", "0");
    accept(spec, "steps", "1,10000000"); /* the longest counts */
    accept(spec, "rho", "1:100");
    assert_int_equal(rs_spec_check(spec), RS_OK);
    accept(spec, "rho", "1:101");
    assert_int_equal(rs_spec_check(spec), RS_EINPUT);
    assert_message_has("radii");
}

/* ------------------------------------------------------------------ files */

static void test_file(void **state) {
    rs_spec *const spec = *state;
    const char text[] = "\xEF\xBB\xBF# a comment, with a comma,\r\n"
                        "\n"
                        "[sweep] ; the only one\r\n"
                        "rho = 0.5, ; below\n"
                        "   # and\n"
                        "      1:2:0.5,\n"
                        "\n"
                        "  3\n"
                        "  hidden: 8 ; small,\n"
                        "\tsteps=20\n"
                        "output = a;b c.db\n"
                        "raw = yes\n"
                        "[sweep]\n"
                        "seeds = 4";
    assert_int_equal(parse(spec, text), RS_OK);
    assert_rho(spec, 5, (double[]){0.5, 1, 1.5, 2, 3});
    assert_wholes(spec->n_hidden, spec->hidden, 1, (uint64_t[]){8});
    assert_wholes(spec->n_steps, spec->steps, 1, (uint64_t[]){20});
    assert_wholes(spec->n_seeds, spec->seeds, 1, (uint64_t[]){4});
    assert_string_equal(spec->output, "a;b c.db");
    assert_true(spec->raw);
    assert_true(rs_spec_given(spec, "raw"));
    assert_int_equal(parse(spec, ""), RS_OK);
}

static void test_bad_files(void **state) {
    static const char *const bad[][2] = {
        {"[sweep]\nrhoo = 1\n", "x.ini:2: unknown key \"rhoo\""},
        {"[sweep]\n\nRHO = 1\n", "x.ini:3: unknown key"},
        {"[sweep]\no = a.db\n", "x.ini:2: unknown key"},
        {"[sweep]\n= 1\n", "x.ini:2: unknown key"},
        {"rho = 1\n", "x.ini:1: \"rho\" is before"},
        {"[sweeep]\nrho = 1\n", "x.ini:1: \"[sweeep]\""},
        {"[sweep]\nrho = 1\n[empty]\n", "x.ini:3: "},
        {"[sweep] rho = 1\n", "x.ini:1: "},
        {"[sweep\nrho = 1\n", "x.ini:1: "},
        {"[ sweep ]\n", "x.ini:1: "},
        {"[]\n", "x.ini:1: "},
        {"[sweep]\nrho = 1\n#\nrho = 2\n", "x.ini:4: rho: given twice, first in line 2"},
        {"[sweep]\ncell = tanh\nnonlinearity = relu\n",
         "x.ini:3: nonlinearity: given twice, first in line 2"},
        {"[sweep]\nnonlinearity = tanh\ncell = tanh\n",
         "x.ini:3: cell: given twice, first in line 2"},
        {"[sweep]\nhidden = 8\nrho\n", "x.ini:3: neither"},
        {"[sweep]\nnative rho\n", "x.ini:2: neither"},
        {"[sweep]\nrho =\nhidden = 8\n", "x.ini:2: rho: "},
        {"[sweep]\nhidden = 8\nrho = -1\nsteps = 3\n", "x.ini:3: rho: \"-1\": "},
        {"[sweep]\nrho = 1,\n  2,\nhidden = 8\n", "x.ini:2: rho: "},
        {"[sweep]\nrho = 1,", "x.ini:2: rho: "},
        {"[sweep]\nraw = perhaps\n", "x.ini:2: raw: "},
        {"[sweep]\nraw\n", "x.ini:2: neither"},
        {"[sweep]\nrho = 1\001\n", "x.ini:2: a control character"},
        {"[sweep]\rrho = 1\r", "x.ini:1: a control character"},
        {"\n\n0.5:1.5\n", "x.ini:3: "},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        rs_spec spec;
        assert_int_equal(rs_spec_init(&spec), RS_OK);
        refuse_text(&spec, bad[i][0], bad[i][1]);
        rs_spec_free(&spec);
    }
    static const char nul[] = "[sweep]\nrho = 1\0 5\n";
    assert_int_equal(rs_spec_parse(*state, nul, sizeof nul - 1, "x.ini"), RS_EINPUT);
    assert_message_has("x.ini:2: ");
    static const char nul_at_end[] = "[sweep]\nrho = 1\n";
    assert_int_equal(rs_spec_parse(*state, nul_at_end, sizeof nul_at_end, "x.ini"), RS_EINPUT);
    assert_message_has("x.ini:3: ");
}

/* inih would read the first part of a long line and pass over the rest. */
static void test_long_lines(void **state) {
    rs_spec *const spec = *state;
    char text[20000] = "[sweep]\nrho = ";
    size_t const start = strlen(text);
    for (size_t length = 100; length < 4000; length += 61) {
        text[start] = '1';
        memset(text + start + 1, '0', length);
        strcpy(text + start + 1 + length, "x\n"); /* refused wherever the line ends */
        refuse_text(spec, text, "x.ini:2: ");
    }
    assert_message_has("characters");
    memset(text + strlen("[sweep]\n"), ' ', 1000); /* blanks in front do not count, */
    strcpy(text + 1000, "rho = 2\n#");
    memset(text + strlen(text), 'x', 3000); /* nor do comments */
    assert_int_equal(parse(spec, text), RS_OK);
    assert_rho(spec, 1, (double[]){2});
}

static void test_load(void **state) {
    rs_spec *const spec = *state;
    char path[] = "/tmp/rhosweep_spec_XXXXXX";
    int const file = mkstemp(path);
    assert_true(file >= 0);
    static const char text[] = "[sweep]\nhidden = 5\nsteps = 0\n";
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    assert_int_equal(rs_spec_load(spec, path), RS_EINPUT);
    char expected[64];
    snprintf(expected, sizeof expected, "%s:3: steps: ", path);
    assert_message_has(expected);
    assert_int_equal(ftruncate(file, (off_t)strlen("[sweep]\nhidden = 5\n")), 0);
    assert_int_equal(rs_spec_load(spec, path), RS_OK);
    assert_wholes(spec->n_hidden, spec->hidden, 1, (uint64_t[]){5});
    assert_int_equal(ftruncate(file, (16 << 20) + 1), 0);
    assert_int_equal(rs_spec_load(spec, path), RS_EINPUT);
    assert_message_has("too large for a spec file");
    close(file);
    unlink(path);
    assert_int_equal(rs_spec_load(spec, path), RS_EINPUT);
    assert_message_has(path);
    assert_int_equal(rs_spec_load(spec, "/"), RS_EINPUT);
}

/* ------------------------------------------------------------------ printing */

static void assert_round_trip(const rs_spec *spec) {
    rs_spec again;
    assert_int_equal(rs_spec_init(&again), RS_OK);
    char *const text = printed(spec);
    if (parse(&again, text) != RS_OK) fail_msg("%s\n%s", rs_message(), text);
    char *const same = printed(&again);
    assert_string_equal(text, same);
    assert_rho(&again, spec->n_rho, spec->rho);
    assert_wholes(again.n_seeds, again.seeds, spec->n_seeds, spec->seeds);
    assert_wholes(again.n_hidden, again.hidden, spec->n_hidden, spec->hidden);
    assert_wholes(again.n_steps, again.steps, spec->n_steps, spec->steps);
    assert_true(again.n_input == spec->n_input && again.h0.sigma == spec->h0.sigma);
    assert_biases(&again, spec->n_gate_bias, spec->gate_bias);
    assert_int_equal(again.gate_scale, spec->gate_scale);
    assert_int_equal(again.n_leak, spec->n_leak);
    assert_memory_equal(again.leak, spec->leak, spec->n_leak * sizeof *spec->leak);
    assert_int_equal(again.n_ensemble, spec->n_ensemble);
    for (size_t i = 0; i < spec->n_ensemble; ++i)
        assert_int_equal(rs_compare_ensembles(again.ensemble[i], spec->ensemble[i]), 0);
    assert_true(again.fit_skip == spec->fit_skip && again.memory == spec->memory);
    assert_int_equal(again.native, spec->native);
    free(text);
    free(same);
    rs_spec_free(&again);
}

static void test_print_defaults(void **state) {
    char *const text = printed(*state);
    assert_string_equal(text, "[sweep]\n"
                              "cell = tanh\n"
                              "ensemble = gaussian\n"
                              "rho = 0.5,0.6,0.7,0.8,0.9,1,\n"
                              "  1.1,1.2,1.3,1.4,1.5\n"
                              "hidden = 64\n"
                              "steps = 100\n"
                              "batch = 16\n"
                              "seeds = 0:9:1\n"
                              "gate-bias = drawn\n"
                              "leak = 1\n"
                              "gate-scale = same\n"
                              "input = pytorch\n"
                              "input-size = 1\n"
                              "h0 = zero\n"
                              "warmup = 0\n"
                              "loss = last-mean\n"
                              "clip = default\n"
                              "fit-skip = default\n"
                              "lyapunov = default\n"
                              "transient = default\n"
                              "qr-every = default\n"
                              "raw = no\n"
                              "precision = f32\n"
                              "engine = auto\n"
                              "shard = 0/1\n"
                              "threads = default\n"
                              "memory = default\n"
                              "output = rhosweep.db\n"
                              "profiles = yes\n"
                              "quiet = no\n");
    free(text);
    assert_round_trip(*state);
}

static void test_print_everything(void **state) {
    rs_spec *const spec = *state;
    const char *const values[][2] = {
        {"cell", "tanh,relu,linear,lstm,gru"},
        {"ensemble", "gaussian,uniform,orthogonal,identity,symmetric,ring,normal,sparse:0.1,"
                     "sparse:0.30000000000000004,sparse:1"},
        {"gate-bias", "drawn,-1e300,-0.30000000000000004,0,1e-300,7,chrono:2.0000000000000004,"
                      "chrono:50,chrono:1e300"},
        {"gate-scale", "native"},
        {"leak", "1e-300,0.30000000000000004,1"},
        {"rho", "0.1:3:0.0123,3.3333333333333335,1e-20,1.4901161193847656e-08,1e20,"
                "0.30000000000000004"},
        {"hidden", "1,2,4,8,16,32,64,128,256,512,1024,2048,4096,8192,16384,32768,65536"},
        {"steps", "5,1000:9999:3"},
        {"seeds", "9223372036854775807,3,1,4"},
        {"batch", "77"},
        {"input", "noise:0.30000000000000004,noise:1,noise:2,noise:3,noise:4,noise:5,noise:6,"
                  "noise:7,noise:8,noise:9,zero"},
        {"input-size", "3"},
        {"h0", "normal:1e-5"},
        {"warmup", "9"},
        {"loss", "random"},
        {"clip", "0.1000000000000000055"},
        {"fit-skip", "3"},
        {"lyapunov", "all"},
        {"transient", "0"},
        {"qr-every", "7"},
        {"singular-at", "4,1:3,10000"},
        {"raw", "yes"},
        {"precision", "f64"},
        {"engine", "reference"},
        {"devices", "0,3"},
        {"shard", "999998/999999"},
        {"threads", "2"},
        {"memory", "1.3GiB"},
        {"output", "some where/else.db"},
        {"profiles", "no"},
        {"quiet", "yes"},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; ++i)
        accept(spec, values[i][0], values[i][1]);
    assert_round_trip(spec);
}

static void test_print_model(void **state) {
    rs_spec *const spec = *state;
    accept(spec, "model", "a.npz");
    accept(spec, "rho", "native");
    char *const text = printed(spec);
    /* what the model settles is not asked for: not ensemble, hidden, steps, batch, ... */
    assert_non_null(strstr(text, "model = a.npz\nrho = native\nseeds"));
    assert_null(strstr(text, "ensemble"));
    assert_non_null(strstr(text, "input = pytorch\nwarmup"));
    free(text);
    assert_round_trip(spec);
    accept(spec, "h0", "zero");
    accept(spec, "batch", "16");
    char *const given = printed(spec);
    assert_non_null(strstr(given, "\nh0 = zero\n"));
    assert_non_null(strstr(given, "\nbatch = 16\n"));
    free(given);
}

/* A path comes back from the printed spec, whatever it is. */
static void assert_path_comes_back(rs_spec *spec, const char *path) {
    accept(spec, "output", path);
    accept(spec, "model", path);
    char *const text = printed(spec);
    rs_spec again;
    assert_int_equal(rs_spec_init(&again), RS_OK);
    if (parse(&again, text) != RS_OK) fail_msg("%s\n%s", rs_message(), text);
    assert_string_equal(again.output, path);
    assert_string_equal(again.model, path);
    rs_spec_free(&again);
    free(text);
    assert_round_trip(spec);
}

static void test_print_paths(void **state) {
    static const char *const paths[] = {" ",
                                        "  a.db",
                                        "a.db  ",
                                        "a b.db",
                                        ";",
                                        "a;b",
                                        "a ;b",
                                        "a ; b",
                                        "; a",
                                        "#",
                                        "# a",
                                        "a # b",
                                        "a#b",
                                        "\"",
                                        "\"a\"",
                                        "a\"b",
                                        "\"a",
                                        "a\"",
                                        "\\",
                                        "a\\",
                                        "\\a",
                                        "a\\\\",
                                        "\\\"",
                                        "a,",
                                        "a, ",
                                        ",",
                                        "[sweep]",
                                        "a = b",
                                        "= b",
                                        ": b",
                                        "'a'",
                                        "\\;",
                                        "default",
                                        "native",
                                        "\xC3\xA9 ;.db",
                                        "$HOME",
                                        "%s%n",
                                        "`a`",
                                        "\"\\",
                                        "a\\\"",
                                        "no",
                                        "rhosweep.db",
                                        "[sweep] ; a #b",
                                        "\xEF\xBB\xBF"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; ++i)
        assert_path_comes_back(*state, paths[i]);
}

static void test_print_long_paths(void **state) {
    static const char *const parts[] = {"a",  " ", ";",        " ;",   "#", "\\",
                                        "\"", ",", "\xC3\xA9", "\x80", "["};
    char path[4001];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i)
        for (size_t length = 4000; length > 3; length = length > 300 ? 300 : length - 1) {
            for (size_t c = 0; c < length; ++c) path[c] = parts[i][c % strlen(parts[i])];
            path[length] = '\0';
            assert_path_comes_back(*state, path);
        }
}

/* A line break of the printed spec is not within a character, so that the text stays UTF-8. */
static void test_print_keeps_characters_whole(void **state) {
    rs_spec *const spec = *state;
    char path[202] = "x";
    for (size_t c = 1; c < 200; c += 2) memcpy(path + c, "\xC3\xA9", 3);
    accept(spec, "output", path);
    char *const text = printed(spec);
    assert_null(strstr(text, "\xC3\\"));
    assert_non_null(strstr(text, "\xA9\\\n"));
    free(text);
}

/* The longest entries that there are. */
static void test_print_long_lists(void **state) {
    rs_spec *const spec = *state;
    enum { N = 10000 };
    char *const list = malloc((size_t)N * 32);
    assert_non_null(list);
    size_t used = 0;
    for (int i = 0; i < N; ++i)
        used += (size_t)sprintf(list + used, "%s1.23456789012%05de-10", i ? "," : "", 7 * i);
    accept(spec, "rho", list);
    assert_int_equal(spec->n_rho, N);
    for (int i = 0, at = 0; i < 50; ++i)
        at += sprintf(list + at, "%snoise:1.23456789012%05de-300", i ? "," : "", 7 * i);
    accept(spec, "input", list);
    free(list);
    accept(spec, "seeds",
           "9223372036854775807,9223372036854775803,9223372036854775802,"
           "9223372036854775801,9223372036854775700,9223372036854775600,"
           "9223372036854775500,9223372036854775400,9223372036854775300");
    assert_round_trip(spec);
}

static void test_quotes(void **state) {
    rs_spec *const spec = *state;
    assert_int_equal(parse(spec,
                           "[sweep]\noutput = \"a b \\; \\\"c\\\\\" ; a comment\n"
                           "rho = \"1,2\"\nmodel = \"x\\\n\n   # a comment\n  \\ y \\\n z\"\n"),
                     RS_OK);
    assert_string_equal(spec->output, "a b ; \"c\\");
    assert_string_equal(spec->model, "x y z");
    assert_rho(spec, 2, (double[]){1, 2});
    static const char *const bad[] = {"\"",      "\"a",   "\"a\"b",   "\"a ; b\"",
                                      "\"a\\\"", "\"a\\", "\"a\\\n\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        char text[64];
        snprintf(text, sizeof text, "[sweep]\noutput = %s", bad[i]);
        refuse_text(spec, text, "x.ini:2: output: a value in quotes must end in one");
    }
    refuse_text(spec, "[sweep]\noutput = \"\"\n", "x.ini:2: output: the path is empty");
}

static void test_names(void **state) {
    char buffer[64];
    (void)state;
    assert_string_equal(rs_ensemble_text((rs_ensemble){RS_ORTHOGONAL, 0.0}, buffer), "orthogonal");
    assert_string_equal(rs_ensemble_text((rs_ensemble){RS_MODEL, 0.0}, buffer), "model");
    assert_string_equal(rs_ensemble_text((rs_ensemble){RS_SPARSE, 0.1}, buffer), "sparse:0.1");
    assert_string_equal(rs_loss_name(RS_ALL_MEAN), "all-mean");
}

#define SPEC_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SPEC_TEST(test_defaults),
        SPEC_TEST(test_keys),
        SPEC_TEST(test_words),
        SPEC_TEST(test_ensembles),
        SPEC_TEST(test_gate_biases),
        SPEC_TEST(test_leaks),
        SPEC_TEST(test_bad_lists_of_gated_and_leaky_cells),
        SPEC_TEST(test_keys_that_need_another_cell),
        SPEC_TEST(test_a_model_may_bring_a_cell_with_gates),
        SPEC_TEST(test_bad_words),
        SPEC_TEST(test_unknown_key),
        SPEC_TEST(test_defaults_in_words),
        SPEC_TEST(test_offered_words_are_understood),
        SPEC_TEST(test_cell_has_another_name),
        SPEC_TEST(test_rho_lists),
        SPEC_TEST(test_rho_range_is_exact),
        SPEC_TEST(test_rho_fine_step),
        SPEC_TEST(test_bad_rho),
        SPEC_TEST(test_native),
        SPEC_TEST(test_whole_lists),
        SPEC_TEST(test_bad_whole_lists),
        SPEC_TEST(test_numbers),
        SPEC_TEST(test_clip),
        SPEC_TEST(test_lyapunov),
        SPEC_TEST(test_what_exponents_need),
        SPEC_TEST(test_shards),
        SPEC_TEST(test_memory),
        SPEC_TEST(test_input_and_h0),
        SPEC_TEST(test_switches),
        SPEC_TEST(test_option_wins_over_file),
        SPEC_TEST(test_model_brings_its_size),
        SPEC_TEST(test_model_and_ensemble_of_one_source),
        SPEC_TEST(test_later_model_replaces_ensemble),
        SPEC_TEST(test_later_ensemble_replaces_model),
        SPEC_TEST(test_later_ensemble_keeps_given_hidden),
        SPEC_TEST(test_fit_skip_against_steps),
        SPEC_TEST(test_absurd_products),
        SPEC_TEST(test_file),
        SPEC_TEST(test_bad_files),
        SPEC_TEST(test_long_lines),
        SPEC_TEST(test_load),
        SPEC_TEST(test_print_defaults),
        SPEC_TEST(test_print_everything),
        SPEC_TEST(test_print_model),
        SPEC_TEST(test_print_paths),
        SPEC_TEST(test_print_long_paths),
        SPEC_TEST(test_print_keeps_characters_whole),
        SPEC_TEST(test_print_long_lists),
        SPEC_TEST(test_quotes),
        SPEC_TEST(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
