/* Imported models: nn.RNN's arrays are found and checked against each other. */
#include "../host/plan/model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "npz_writer.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define F8(shape)    "{'descr': '<f8', 'fortran_order': False, 'shape': " shape ", }"

enum { H = 3, I = 2, T = 4, B = 5 };

/* Element i of every array is i / 8, so that f4 and f8 hold the same. */
static double eighths[T * B * I];
static float eighths_f4[T * B * I];

static char path[] = "/tmp/rhosweep_model_XXXXXX";

static int make_file(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(eighths); ++i) {
        eighths[i] = (double)i / 8.0;
        eighths_f4[i] = (float)eighths[i];
    }
    int const file = mkstemp(path);
    return file < 0 ? -1 : close(file);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static npz_member f8(const char *name, const char *header, size_t values) {
    return (npz_member){name, header, eighths, values * sizeof(double), 1};
}

static npz_member weight_hh(void) { return f8("weight_hh.npy", F8("(3, 3)"), H * H); }

static rs_status read_model(const npz_member *member, size_t n, rs_model *out) {
    size_t length;
    char *bytes = npz_bytes(member, n, ZIP_CM_STORE, &length);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    free(bytes);
    return rs_model_read(path, out);
}

static void expect_refused(const npz_member *member, size_t n, const char *part) {
    rs_model m;
    assert_int_equal(read_model(member, n, &m), RS_EINPUT);
    assert_true(m.name == NULL && m.weight_hh == NULL && m.file.n == 0);
    assert_int_equal(strncmp(rs_message(), path, strlen(path)), 0);
    if (!strstr(rs_message(), part)) fail_msg("'%s' does not say '%s'", rs_message(), part);
}

/* Beside a good weight_hh. */
static void refuse_beside(npz_member other, const char *part) {
    npz_member const m[] = {weight_hh(), other};
    expect_refused(m, 2, part);
}

static void expect_whole_model(const npz_member *member, size_t n, rs_model *m) {
    assert_int_equal(read_model(member, n, m), RS_OK);
    assert_string_equal(m->name, strrchr(path, '/') + 1);
    assert_int_equal(m->hidden, H);
    assert_int_equal(m->input_size, I);
    assert_int_equal(m->steps, T);
    assert_int_equal(m->batch, B);
    assert_memory_equal(m->weight_hh, eighths, H * H * sizeof(double));
    assert_memory_equal(m->weight_ih, eighths, H * I * sizeof(double));
    assert_memory_equal(m->bias_ih, eighths, H * sizeof(double));
    assert_memory_equal(m->bias_hh, eighths, H * sizeof(double));
    assert_memory_equal(m->input, eighths, T * B * I * sizeof(double));
    assert_memory_equal(m->h0, eighths, B * H * sizeof(double));
}

/* The same model in both spellings, in f4, with [1][B][H], and with arrays that do not matter. */
static void both_spellings_are_one_model(void **state) {
    npz_member const plain[] = {
        weight_hh(),
        f8("weight_ih.npy", F8("(3, 2)"), H * I),
        f8("bias_ih.npy", F8("(3,)"), H),
        f8("bias_hh.npy", F8("(3,)"), H),
        f8("input.npy", F8("(4, 5, 2)"), T * B * I),
        f8("h0.npy", F8("(5, 3)"), B * H),
    };
    npz_member const layered[] = {
        f8("decoder.weight.npy", F8("(3,)"), 3),
        f8("h0.npy", F8("(1, 5, 3)"), B * H),
        f8("input.npy", F8("(4, 5, 2)"), T * B * I),
        f8("weight_ih_l0.npy", F8("(3, 2)"), H * I),
        {"weight_hh_l0.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }",
         eighths_f4, H * H * sizeof(float), 1},
        f8("bias_hh_l0.npy", F8("(3,)"), H),
        f8("bias_ih_l0.npy", F8("(3,)"), H),
    };
    rs_model m;
    (void)state;
    expect_whole_model(plain, COUNT(plain), &m);
    uint64_t const digest = m.digest;
    rs_model_free(&m);
    expect_whole_model(layered, COUNT(layered), &m);
    assert_true(m.digest == digest);
    assert_string_equal(m.unused, "decoder.weight");
    rs_model_free(&m);
}

static void what_looks_like_part_of_the_layer_is_refused(void **state) {
    static const struct {
        const char *name, *part;
    } bad[] = {
        {"bais_hh_l0.npy", "bais_hh_l0: is not an array of a layer; did you mean bias_hh_l0?"},
        {"H0.npy", "H0: is not an array of a layer; did you mean h0?"},
        {"inputs.npy", "did you mean input?"},
        {"weight_mask.npy", "weight_mask: is not read, but may change"},
        {"c0.npy", "c0: an nn.RNN has none; leave it out"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); ++i)
        refuse_beside(f8(bad[i].name, F8("(3,)"), 3), bad[i].part);
}

static uint64_t digest_of(const npz_member *member, size_t n) {
    rs_model m;
    assert_int_equal(read_model(member, n, &m), RS_OK);
    uint64_t const digest = m.digest;
    rs_model_free(&m);
    return digest;
}

static npz_member weight_of(size_t gates) {
    return f8("weight_hh.npy", gates == 4 ? F8("(12, 3)") : F8("(9, 3)"), gates * H * H);
}

/* nn.LSTM's state_dict and its start states. */
static void an_lstm_is_known_by_its_shapes(void **state) {
    npz_member const m[] = {
        f8("weight_hh_l0.npy", F8("(12, 3)"), 4 * H * H),
        f8("weight_ih_l0.npy", F8("(12, 2)"), 4 * H * I),
        f8("bias_ih_l0.npy", F8("(12,)"), 4 * H),
        f8("bias_hh_l0.npy", F8("(12,)"), 4 * H),
        f8("input.npy", F8("(4, 5, 2)"), T * B * I),
        f8("h0.npy", F8("(1, 5, 3)"), B * H),
        f8("c0.npy", F8("(5, 3)"), B * H),
    };
    rs_model lstm;
    (void)state;
    assert_int_equal(read_model(m, COUNT(m), &lstm), RS_OK);
    assert_int_equal(lstm.cell, RS_LSTM);
    assert_string_equal(rs_model_kind(&lstm), "an LSTM");
    assert_int_equal(lstm.hidden, H);
    assert_int_equal(lstm.batch, B);
    assert_memory_equal(lstm.weight_hh, eighths, 4 * H * H * sizeof(double));
    assert_memory_equal(lstm.bias_hh, eighths, 4 * H * sizeof(double));
    assert_memory_equal(lstm.c0, eighths, B * H * sizeof(double));
    assert_null(lstm.unused);
    rs_model_free(&lstm);
}

static void a_gru_is_known_by_its_shapes(void **state) {
    npz_member const m[] = {weight_of(3), f8("weight_ih.npy", F8("(9, 2)"), 3 * H * I),
                            f8("bias_hh.npy", F8("(9,)"), 3 * H)};
    rs_model gru;
    (void)state;
    assert_int_equal(read_model(m, COUNT(m), &gru), RS_OK);
    assert_int_equal(gru.cell, RS_GRU);
    assert_string_equal(rs_model_kind(&gru), "a GRU");
    assert_int_equal(gru.hidden, H);
    assert_int_equal(gru.input_size, I);
    rs_model_free(&gru);
    assert_int_equal(read_model((npz_member[]){weight_hh()}, 1, &gru), RS_OK);
    assert_int_equal(gru.cell, RS_TANH);
    assert_string_equal(rs_model_kind(&gru), "an nn.RNN");
    rs_model_free(&gru);
}

/* Beside a weight_hh of so many gates. */
static void refuse_in(size_t gates, npz_member other, const char *part) {
    npz_member const m[] = {weight_of(gates), other};
    expect_refused(m, 2, part);
}

static void arrays_of_another_cell_are_refused(void **state) {
    (void)state;
    refuse_in(4, f8("weight_ih.npy", F8("(3, 2)"), 6), "the number of rows is 3, must be 12");
    refuse_in(4, f8("weight_ih.npy", F8("(9, 2)"), 18), "the number of rows is 9, must be 12");
    refuse_in(3, f8("bias_ih.npy", F8("(12,)"), 12), "the number of rows is 12, must be 9");
    refuse_in(3, f8("bias_hh.npy", F8("(3,)"), 3), "the number of rows is 3, must be 9");
    refuse_in(3, f8("c0.npy", F8("(5, 3)"), 15), "c0: a GRU has none; leave it out of the file");
    refuse_in(4, f8("c0.npy", F8("(2, 12)"), 24), "c0: H is 12, must be 3");
    refuse_in(4, f8("c0.npy", F8("(2, 5, 3)"), 30), "c0: the number of layers is 2, must be 1");
    npz_member const batch[] = {weight_of(4), f8("h0.npy", F8("(5, 3)"), 15),
                                f8("c0.npy", F8("(4, 3)"), 12)};
    expect_refused(batch, 3, "c0: B is 4, must be 5");
}

static void the_digest_tells_models_apart(void **state) {
    double changed[H * H];
    npz_member other = weight_hh();
    npz_member const with_bias[][2] = {{weight_hh(), f8("bias_ih.npy", F8("(3,)"), H)},
                                       {weight_hh(), f8("bias_hh.npy", F8("(3,)"), H)}};
    (void)state;
    memcpy(changed, eighths, sizeof changed);
    changed[H * H - 1] = nextafter(changed[H * H - 1], 0.0);
    other.data = changed;
    uint64_t const digest[] = {digest_of((npz_member[]){weight_hh()}, 1), digest_of(&other, 1),
                               digest_of(with_bias[0], 2), digest_of(with_bias[1], 2)};
    for (size_t i = 0; i < COUNT(digest); ++i)
        for (size_t j = 0; j < i; ++j) assert_true(digest[i] != digest[j]);
}

/* c0 counts, and is not taken for an h0 of the same numbers. */
static void the_digest_covers_c0_and_gates(void **state) {
    npz_member const bare = weight_of(4), gru = weight_of(3);
    npz_member const h0[] = {weight_of(4), f8("h0.npy", F8("(5, 3)"), B * H)};
    npz_member const c0[] = {weight_of(4), f8("c0.npy", F8("(5, 3)"), B * H)};
    (void)state;
    uint64_t const digest[] = {digest_of(&bare, 1), digest_of(&gru, 1), digest_of(h0, 2),
                               digest_of(c0, 2)};
    for (size_t i = 0; i < COUNT(digest); ++i)
        for (size_t j = 0; j < i; ++j) assert_true(digest[i] != digest[j]);
}

/* A model whose array number `which` ends with another value; 0 for none. */
static uint64_t digest_with_change(size_t which) {
    npz_member member[] = {weight_hh(),
                           f8("weight_ih.npy", F8("(3, 2)"), H * I),
                           f8("input.npy", F8("(4, 5, 2)"), T * B * I),
                           f8("h0.npy", F8("(5, 3)"), B * H),
                           f8("bias_ih.npy", F8("(3,)"), H),
                           f8("bias_hh.npy", F8("(3,)"), H)};
    double changed[COUNT(eighths)];
    memcpy(changed, eighths, sizeof changed);
    if (which > 0) {
        npz_member *const other = &member[which - 1];
        double *const last = &changed[other->length / sizeof *changed - 1];
        *last = nextafter(*last, 0.0);
        other->data = changed;
    }
    return digest_of(member, COUNT(member));
}

static void the_digest_covers_every_array(void **state) {
    uint64_t digest[7];
    (void)state;
    for (size_t i = 0; i < COUNT(digest); ++i) {
        digest[i] = digest_with_change(i);
        for (size_t j = 0; j < i; ++j) assert_true(digest[i] != digest[j]);
    }
}

/* FNV-1a by its definition over "weight_hh\0", 2, 1, 1 and the value: kept for all time, for
 * databases tell models apart by it. */
static void the_digest_never_changes(void **state) {
    double const value = 0.5;
    npz_member const m = {"weight_hh.npy", F8("(1, 1)"), &value, sizeof value, 1};
    npz_member const all[] = {
        weight_hh(),
        f8("weight_ih.npy", F8("(3, 2)"), H * I),
        f8("bias_ih.npy", F8("(3,)"), H),
        f8("bias_hh.npy", F8("(3,)"), H),
        f8("input.npy", F8("(4, 5, 2)"), T * B * I),
        f8("h0.npy", F8("(5, 3)"), B * H),
    };
    (void)state;
    assert_true(digest_of(&m, 1) == 0x12ad8c872b629b99u);
    assert_true(digest_of(all, COUNT(all)) == 0x80ced72472399e2au);
}

static void a_part_of_the_arrays_is_enough(void **state) {
    rs_model m;
    (void)state;
    assert_int_equal(read_model((npz_member[]){weight_hh()}, 1, &m), RS_OK);
    assert_true(!m.weight_ih && !m.bias_ih && !m.bias_hh && !m.input && !m.h0);
    assert_true(m.input_size == 0 && m.steps == 0 && m.batch == 0);
    rs_model_free(&m);

    npz_member const input[] = {weight_hh(), f8("input.npy", F8("(4, 5, 2)"), T * B * I)};
    assert_int_equal(read_model(input, 2, &m), RS_OK);
    assert_true(m.input_size == I && m.steps == T && m.batch == B);
    rs_model_free(&m);

    npz_member const h0[] = {weight_hh(), f8("h0.npy", F8("(5, 3)"), B * H)};
    assert_int_equal(read_model(h0, 2, &m), RS_OK);
    assert_true(m.input_size == 0 && m.steps == 0 && m.batch == B);
    rs_model_free(&m);

    npz_member const bias[] = {weight_hh(), f8("bias_hh.npy", F8("(3,)"), H)};
    assert_int_equal(read_model(bias, 2, &m), RS_OK);
    assert_true(m.bias_hh && !m.bias_ih);
    rs_model_free(&m);
}

static void a_missing_weight_hh_is_explained(void **state) {
    npz_member const decoder = f8("decoder.npy", F8("(3, 3)"), H * H);
    npz_member const prefixed = f8("rnn.weight_hh_l0.npy", F8("(3, 3)"), H * H);
    (void)state;
    expect_refused(&decoder, 1, "weight_hh_l0: missing");
    expect_refused(&prefixed, 1, "save rnn.weight_hh_l0 and its kind without 'rnn.'");
}

static void a_weight_hh_of_no_cell_is_refused(void **state) {
    static const struct {
        const char *header;
        size_t values;
        const char *part;
    } bad[] = {
        {F8("(10, 2)"), 20,
         "is [10][2], must be square for an nn.RNN, [3 H][H] for a GRU or [4 H]"},
        {F8("(4, 2)"), 8, "is [4][2], must be square"},
        {F8("(7, 2)"), 14, "is [7][2], must be square"},
        {F8("(2, 3)"), 6, "must be square"},
        {F8("(2, 8)"), 16, "must be square"},
        {F8("(9,)"), 9, "has 1 dimensions, must be [H][H]"},
        {F8("(0, 0)"), 0, "is empty"},
        {F8("(3, 3, 1)"), 9, "has 3 dimensions"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); ++i) {
        npz_member const m = f8("weight_hh_l0.npy", bad[i].header, bad[i].values);
        expect_refused(&m, 1, bad[i].part);
    }
}

static void shapes_that_do_not_fit_are_refused(void **state) {
    (void)state;
    refuse_beside(f8("weight_ih.npy", F8("(2, 3)"), 6), "weight_ih: H is 2, must be 3");
    refuse_beside(f8("weight_ih.npy", F8("(3, 0)"), 0), "weight_ih: is empty");
    refuse_beside(f8("weight_ih.npy", F8("(3,)"), 3), "weight_ih: has 1 dimensions");
    refuse_beside(f8("bias_ih.npy", F8("(4,)"), 4), "bias_ih: H is 4, must be 3");
    refuse_beside(f8("bias_hh_l0.npy", F8("(1, 3)"), 3), "bias_hh_l0: has 2 dimensions");
    refuse_beside(f8("input.npy", F8("(4, 2)"), 8), "input: has 2 dimensions");
    refuse_beside(f8("input.npy", F8("(0, 5, 2)"), 0), "input: is empty");
    refuse_beside(f8("h0.npy", F8("(5, 2)"), 10), "h0: H is 2, must be 3");
    refuse_beside(f8("h0.npy", F8("(2, 5, 3)"), 30), "h0: the number of layers is 2, must be 1");
    refuse_beside(f8("h0.npy", F8("(3,)"), 3), "h0: has 1 dimensions");
    npz_member const input_size[] = {weight_hh(), f8("weight_ih.npy", F8("(3, 3)"), 9),
                                     f8("input.npy", F8("(4, 5, 2)"), T * B * I)};
    expect_refused(input_size, 3, "input: I is 2, must be 3");
    npz_member const batch[] = {weight_hh(), f8("input.npy", F8("(4, 5, 2)"), T * B * I),
                                f8("h0.npy", F8("(4, 3)"), 12)};
    expect_refused(batch, 3, "h0: B is 4, must be 5");
}

static void other_layers_and_directions_are_refused(void **state) {
    static const char *const name[] = {"weight_hh_l1.npy", "weight_ih_l0_reverse.npy",
                                       "bias_hh_l1_reverse.npy", "bias_ih_l10.npy"};
    (void)state;
    for (size_t i = 0; i < COUNT(name); ++i)
        refuse_beside(f8(name[i], F8("(3,)"), 3),
                      "more than one layer or direction is not supported");
    refuse_beside(f8("weight_hr_l0.npy", F8("(3,)"), 3), "projections is not supported");
}

static void both_spellings_at_once_are_refused(void **state) {
    (void)state;
    refuse_beside(f8("weight_hh_l0.npy", F8("(3, 3)"), 9), "weight_hh: given twice");
    npz_member const bias[] = {weight_hh(), f8("bias_ih.npy", F8("(3,)"), 3),
                               f8("bias_ih_l0.npy", F8("(3,)"), 3)};
    expect_refused(bias, 3, "bias_ih: given twice");
}

static void nonfinite_values_are_refused_where_used(void **state) {
    static const struct {
        const char *name, *header;
        size_t values;
    } used[] = {{"weight_ih.npy", F8("(3, 2)"), 6},
                {"bias_ih.npy", F8("(3,)"), 3},
                {"bias_hh.npy", F8("(3,)"), 3},
                {"input.npy", F8("(4, 5, 2)"), T * B * I},
                {"h0.npy", F8("(5, 3)"), B * H}};
    double bad[T * B * I];
    rs_model m;
    (void)state;
    for (int nan = 0; nan < 2; ++nan) {
        memcpy(bad, eighths, sizeof bad);
        bad[2] = nan ? (double)NAN : (double)-INFINITY;
        for (size_t i = 0; i < COUNT(used); ++i)
            refuse_beside(
                (npz_member){used[i].name, used[i].header, bad, used[i].values * sizeof(double), 1},
                "value 3 of");
        npz_member const matrix = {"weight_hh.npy", F8("(3, 3)"), bad, 9 * sizeof(double), 1};
        expect_refused(&matrix, 1, "weight_hh: value 3 of 9");
        npz_member const unused[] = {weight_hh(),
                                     {"decoder.npy", F8("(3,)"), bad, 3 * sizeof(double), 1}};
        assert_int_equal(read_model(unused, 2, &m), RS_OK);
        rs_model_free(&m);
    }
}

static void errors_of_the_file_are_relayed(void **state) {
    rs_model m;
    (void)state;
    assert_int_equal(rs_model_read("data/missing.npz", &m), RS_EINPUT);
    assert_non_null(strstr(rs_message(), "data/missing.npz: No such file"));
    assert_int_equal(rs_model_read("data/int64.npz", &m), RS_EINPUT);
    assert_non_null(strstr(rs_message(), "num_batches"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_spellings_are_one_model),
        cmocka_unit_test(an_lstm_is_known_by_its_shapes),
        cmocka_unit_test(a_gru_is_known_by_its_shapes),
        cmocka_unit_test(arrays_of_another_cell_are_refused),
        cmocka_unit_test(the_digest_covers_c0_and_gates),
        cmocka_unit_test(the_digest_tells_models_apart),
        cmocka_unit_test(the_digest_covers_every_array),
        cmocka_unit_test(the_digest_never_changes),
        cmocka_unit_test(a_part_of_the_arrays_is_enough),
        cmocka_unit_test(a_missing_weight_hh_is_explained),
        cmocka_unit_test(a_weight_hh_of_no_cell_is_refused),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
        cmocka_unit_test(what_looks_like_part_of_the_layer_is_refused),
        cmocka_unit_test(other_layers_and_directions_are_refused),
        cmocka_unit_test(both_spellings_at_once_are_refused),
        cmocka_unit_test(nonfinite_values_are_refused_where_used),
        cmocka_unit_test(errors_of_the_file_are_relayed),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
