/* The .npz reader: what numpy writes is read, everything else is refused and leaves nothing. */
#include "../host/plan/array_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "npz_writer.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define F8(shape)    "{'descr': '<f8', 'fortran_order': False, 'shape': " shape ", }"

static const double six[] = {0.0, 0.25, 0.5, 0.75, 1.0, 1.25};

static const char *const numpy_files[] = {"data/float64.npz", "data/float32.npz",
                                          "data/fortran.npz", "data/compressed.npz"};

static void expect_refused(rs_status status, const rs_arrays *npz, const char *part) {
    assert_int_equal(status, RS_EINPUT);
    assert_true(npz->n == 0 && npz->array == NULL);
    if (!strstr(rs_message(), part)) fail_msg("'%s' does not say '%s'", rs_message(), part);
}

static void expect_array(const rs_arrays *npz, const char *name, size_t n_dims, const size_t *shape,
                         const double *data) {
    const rs_array *a = rs_arrays_find(npz, name);
    size_t size = 1;
    assert_non_null(a);
    assert_int_equal(a->n_dims, n_dims);
    for (size_t d = 0; d < n_dims; ++d) {
        assert_int_equal(a->shape[d], shape[d]);
        size *= shape[d];
    }
    assert_int_equal(a->size, size);
    for (size_t i = 0; i < size; ++i) assert_true(a->data[i] == data[i]);
}

static rs_status read_members(const npz_member *member, size_t n, zip_int32_t method,
                              rs_arrays *out) {
    size_t length;
    char *bytes = npz_bytes(member, n, method, &length);
    rs_status const status = rs_arrays_read_memory(bytes, length, "test", out);
    free(bytes);
    return status;
}

static void refuse_member(npz_member member, const char *part) {
    rs_arrays npz;
    expect_refused(read_members(&member, 1, ZIP_CM_STORE, &npz), &npz, part);
}

static char *file_bytes(const char *path, size_t *length) {
    enum { LIMIT = 1 << 16 };
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(LIMIT);
    assert_non_null(bytes);
    *length = fread(bytes, 1, LIMIT, file);
    assert_true(*length > 0 && *length < LIMIT);
    fclose(file);
    return bytes;
}

/* What is read */

static void numpys_own_files_are_read(void **state) {
    double cube[24];
    rs_arrays npz;
    (void)state;
    for (size_t i = 0; i < COUNT(cube); ++i) cube[i] = (double)i;
    for (size_t f = 0; f < COUNT(numpy_files); ++f) {
        assert_int_equal(rs_arrays_read(numpy_files[f], &npz), RS_OK);
        expect_array(&npz, "matrix", 2, (const size_t[]){2, 3}, six);
        assert_string_equal(rs_arrays_find(&npz, "matrix")->dtype, f % 2 ? "<f4" : "<f8");
        if (f >= 2) expect_array(&npz, "cube", 3, (const size_t[]){2, 3, 4}, cube);
        assert_null(rs_arrays_find(&npz, "matrix.npy"));
        rs_arrays_free(&npz);
    }
}

static void scalars_and_empty_arrays_are_read(void **state) {
    double const scalar = -2.5, third = (double)(1.0f / 3.0f);
    rs_arrays npz;
    (void)state;
    assert_int_equal(rs_arrays_read("data/float64.npz", &npz), RS_OK);
    expect_array(&npz, "scalar", 0, NULL, &scalar);
    expect_array(&npz, "empty", 2, (const size_t[]){0, 3}, NULL);
    rs_arrays_free(&npz);
    assert_int_equal(rs_arrays_read("data/float32.npz", &npz), RS_OK);
    expect_array(&npz, "third", 0, NULL, &third);
    rs_arrays_free(&npz);
}

static void headers_may_vary_as_numpys_do(void **state) {
    static const char *const header[] = {
        F8("(6,)"),
        "{'shape': (6,), 'descr': '<f8', 'fortran_order': False}",
        "{'fortran_order':False,'shape':(6,),'descr':'<f8'}",
        "{'descr': '<f8', 'fortran_order': True, 'shape': (6,), }                    ",
    };
    (void)state;
    for (size_t h = 0; h < COUNT(header); ++h)
        for (int version = 1; version <= 3; ++version)
            for (int method = 0; method < 2; ++method) {
                npz_member const m = {"a.npy", header[h], six, sizeof six, version};
                rs_arrays npz;
                assert_int_equal(read_members(&m, 1, method ? ZIP_CM_DEFLATE : ZIP_CM_STORE, &npz),
                                 RS_OK);
                expect_array(&npz, "a", 1, (const size_t[]){6}, six);
                rs_arrays_free(&npz);
            }
}

/* Fortran order by its definition, in four dimensions: the first index turns fastest. */
static void fortran_order_is_turned(void **state) {
    static const size_t shape[] = {2, 3, 4, 5};
    npz_member m = {"a.npy", "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3, 4, 5), }",
                    NULL, 0, 1};
    double in[120], out[120];
    rs_arrays npz;
    (void)state;
    for (size_t i = 0; i < 120; ++i) {
        size_t const at[] = {i / 60, i / 20 % 3, i / 5 % 4, i % 5};
        out[i] = (double)i;
        in[at[0] + 2 * (at[1] + 3 * (at[2] + 4 * at[3]))] = (double)i;
    }
    m.data = in;
    m.length = sizeof in;
    assert_int_equal(read_members(&m, 1, ZIP_CM_STORE, &npz), RS_OK);
    expect_array(&npz, "a", 4, shape, out);
    rs_arrays_free(&npz);
}

/* Longer than any buffer of the reader, in both item sizes. */
static void large_arrays_are_read(void **state) {
    enum { SIZE = 50021 };
    float *in = malloc(SIZE * sizeof *in);
    double *out = malloc(SIZE * sizeof *out);
    (void)state;
    assert_true(in && out);
    for (size_t i = 0; i < SIZE; ++i) {
        in[i] = (float)sin((double)i);
        out[i] = (double)in[i];
    }
    npz_member const m[] = {
        {"f4.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (50021,), }", in,
         SIZE * sizeof *in, 1},
        {"f8.npy", F8("(50021,)"), out, SIZE * sizeof *out, 1},
    };
    rs_arrays npz;
    assert_int_equal(read_members(m, 2, ZIP_CM_DEFLATE, &npz), RS_OK);
    expect_array(&npz, "f4", 1, (const size_t[]){SIZE}, out);
    expect_array(&npz, "f8", 1, (const size_t[]){SIZE}, out);
    rs_arrays_free(&npz);
    free(in);
    free(out);
}

static void nonfinite_and_tiny_values_pass(void **state) {
    float const in[] = {INFINITY, -INFINITY, 0x1p-149f, -0.0f, NAN};
    npz_member const m = {"a.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }", in,
                          sizeof in, 1};
    rs_arrays npz;
    (void)state;
    assert_int_equal(read_members(&m, 1, ZIP_CM_STORE, &npz), RS_OK);
    const double *data = npz.array[0].data;
    assert_true(data[0] == (double)INFINITY && data[1] == (double)-INFINITY);
    assert_true(data[2] == 0x1p-149 && data[3] == 0.0 && signbit(data[3]) && isnan(data[4]));
    rs_arrays_free(&npz);
}

static void a_file_without_arrays_is_empty(void **state) {
    static const char end[22] = "PK\5\6"; /* what numpy.savez(path) writes */
    rs_arrays npz;
    (void)state;
    assert_int_equal(rs_arrays_read_memory(end, sizeof end, "test", &npz), RS_OK);
    assert_int_equal(npz.n, 0);
    rs_arrays_free(&npz);
}

/* What is refused */

static void other_dtypes_are_named(void **state) {
    static const struct {
        const char *path, *part;
    } file[] = {
        {"data/int64.npz", "num_batches.npy: dtype '<i8'"},
        {"data/big_endian.npz", "matrix.npy: dtype '>f8'"},
        {"data/pickled.npz", "matrix.npy: dtype '|O', pickled"},
        {"data/text.npz", "matrix.npy: dtype '<U4'"},
        {"data/structured.npz", "matrix.npy: dtype is structured"},
    };
    (void)state;
    for (size_t f = 0; f < COUNT(file); ++f) {
        rs_arrays npz;
        expect_refused(rs_arrays_read(file[f].path, &npz), &npz, file[f].part);
        assert_non_null(strstr(rs_message(), file[f].path));
    }
}

static void broken_headers_are_refused(void **state) {
    static const struct {
        const char *header, *part;
    } bad[] = {
        {"", "not a .npy header"},
        {"{}", "not a .npy header"},
        {"{'descr': '<f8', 'fortran_order': False}", "not a .npy header"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (6,), 'x': 1}", "not a .npy header"},
        {"{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (6,)}",
         "not a .npy header"},
        {"{'descr': '<f8', 'fortran_order': 0, 'shape': (6,)}", "not a .npy header"},
        {"{'descr': '<f8', 'fortran_order': Falsey, 'shape': (6,)}", "not a .npy header"},
        {"{'descr': <f8, 'fortran_order': False, 'shape': (6,)}", "not a .npy header"},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (6,)", "not a .npy header"},
        {F8("(6,)") "x", "not a .npy header"},
        {F8("(6)"), "not a .npy header"},
        {F8("6"), "not a .npy header"},
        {F8("(-6,)"), "not a .npy header"},
        {F8("(6.0,)"), "not a .npy header"},
        {F8("(2 3)"), "not a .npy header"},
        {F8("(,)"), "not a .npy header"},
        {F8("(0x6,)"), "not a .npy header"},
        {"{'descr': 'f8', 'fortran_order': False, 'shape': (6,)}", "dtype 'f8'"},
        {"{'descr': '=f8', 'fortran_order': False, 'shape': (6,)}", "dtype '=f8'"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (6,)}", "dtype '<f2'"},
        {"{'descr': '<c16', 'fortran_order': False, 'shape': (6,)}", "dtype '<c16'"},
        {F8("(1, 1, 1, 1, 6)"), "more than 4 dimensions"},
        {F8("(5,)"), "shape needs 40 bytes, the member has 48"},
        {F8("(2, 4)"), "shape needs 64 bytes, the member has 48"},
        {F8("()"), "shape needs 8 bytes"},
        {F8("(99999999999999999999999,)"), "too large"},
        {F8("(9223372036854775808,)"), "too large"},
        {F8("(4294967296, 4294967296)"), "too large"},
        {F8("(2305843009213693952, 1)"), "too large"},
        {F8("(2305843009213693951,)"), "the member has 48"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); ++i)
        refuse_member((npz_member){"a.npy", bad[i].header, six, sizeof six, 1}, bad[i].part);
}

static void members_that_are_no_arrays_are_refused(void **state) {
    (void)state;
    refuse_member((npz_member){"a.npy", NULL, "PNG", 3, 0}, "a.npy: ends too early");
    refuse_member((npz_member){"a.npy", NULL, "hello, world", 12, 0}, "not a .npy array");
    refuse_member((npz_member){"a.npy", NULL, "\x93NUMPY\4\0\0\0", 10, 0}, "format 4.0");
    refuse_member((npz_member){"a.npy", NULL, "\x93NUMPY\2\0\0\0\0\x7f", 12, 0}, "too long");
    refuse_member((npz_member){"a.npy", NULL, "\x93NUMPY\1\0\1\0", 10, 0}, "too long");
    refuse_member((npz_member){"archive/data.pkl", NULL, ".", 1, 0}, "torch.save");
    refuse_member((npz_member){".npy", F8("(6,)"), six, sizeof six, 1}, "not a .npy member");
    refuse_member((npz_member){"a\nb.npy", F8("(6,)"), six, sizeof six, 1}, "control characters");
}

static void too_many_members_are_refused(void **state) {
    static char name[RS_MAX_ARRAYS + 1][8];
    static npz_member member[RS_MAX_ARRAYS + 1];
    rs_arrays npz;
    (void)state;
    for (size_t i = 0; i < COUNT(member); ++i) {
        snprintf(name[i], sizeof name[i], "%zu.npy", i);
        member[i] = (npz_member){name[i], F8("()"), six, sizeof six[0], 1};
    }
    expect_refused(read_members(member, COUNT(member), ZIP_CM_STORE, &npz), &npz, "257 arrays");
    assert_int_equal(read_members(member, RS_MAX_ARRAYS, ZIP_CM_STORE, &npz), RS_OK);
    assert_int_equal(npz.n, RS_MAX_ARRAYS);
    rs_arrays_free(&npz);
}

/* Replaces every occurrence of `from` and returns their number. */
static size_t replace(char *bytes, size_t length, const char *from, const char *to, size_t n) {
    size_t found = 0;
    for (size_t i = 0; i + n <= length; ++i)
        if (memcmp(bytes + i, from, n) == 0) {
            memcpy(bytes + i, to, n);
            ++found;
        }
    return found;
}

static void two_members_of_one_name_are_refused(void **state) {
    npz_member const m[] = {{"a.npy", F8("(6,)"), six, sizeof six, 1},
                            {"b.npy", F8("(6,)"), six, sizeof six, 1}};
    size_t length;
    char *bytes = npz_bytes(m, 2, ZIP_CM_STORE, &length);
    rs_arrays npz;
    (void)state;
    assert_int_equal(replace(bytes, length, "b.npy", "a.npy", 5), 2);
    expect_refused(rs_arrays_read_memory(bytes, length, "test", &npz), &npz, "the same name");
    free(bytes);
}

static void other_zip_methods_are_refused(void **state) {
    npz_member const m = {"a.npy", F8("(6,)"), six, sizeof six, 1};
    rs_arrays npz;
    (void)state;
    if (!zip_compression_method_supported(ZIP_CM_BZIP2, 1)) skip();
    expect_refused(read_members(&m, 1, ZIP_CM_BZIP2, &npz), &npz, "zip method 12");
}

/* A member's directory entry declares more bytes than it can unpack to: nothing is allocated. It
 * is the last one of `n`, behind arrays of one value. */
static void check_declared_size(size_t n, const char *header, size_t filler, uint32_t declared,
                                const char *part) {
    unsigned char *noise = malloc(filler);
    uint32_t x = 1;
    assert_non_null(noise);
    for (size_t i = 0; i < filler; ++i) { /* incompressible: xorshift32 (Marsaglia 2003) */
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        noise[i] = (unsigned char)x;
    }
    npz_member member[2] = {{"one.npy", F8("(1,)"), six, sizeof *six, 1}};
    member[n - 1] = (npz_member){"a.npy", header, noise, filler, 1};
    size_t length;
    char *bytes = npz_bytes(member, n, ZIP_CM_DEFLATE, &length);
    uint32_t const header_bytes = (uint32_t)(10 + strlen(header) + 1);
    uint32_t const real = header_bytes + (uint32_t)filler, lie = header_bytes + declared;
    assert_int_equal(replace(bytes, length, (const char *)&real, (const char *)&lie, 4), 2);
    rs_arrays npz;
    expect_refused(rs_arrays_read_memory(bytes, length, "test", &npz), &npz, part);
    free(bytes);
    free(noise);
}

static void bombs_are_refused(void **state) {
    (void)state;
    check_declared_size(1, F8("(500000000,)"), 1000, 4000000000u, "cannot unpack to 4000000");
    check_declared_size(1, F8("(1000,)"), 4000, 8000u, "damaged: ends too early");
    check_declared_size(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (536870913,), }",
                        2200000, 2147483652u, "more than 536870912 values");
}

/* 2^29 values in one member are not too many, but they are beside another one. */
static void members_share_the_bound_of_values(void **state) {
    (void)state;
    check_declared_size(2, "{'descr': '<f4', 'fortran_order': False, 'shape': (536870912,), }",
                        2200000, 2147483648u, "more than 536870912 values");
}

/* The entry of a member in the zip directory (APPNOTE.TXT, 4.3.12). */
static char *directory_entry(char *bytes, size_t length, size_t which) {
    for (size_t i = 0; i + 4 <= length; ++i)
        if (memcmp(bytes + i, "PK\1\2", 4) == 0 && which-- == 0) return bytes + i;
    fail();
    return bytes;
}

/* Each of two members is within the file, but one lies within the other. */
static void members_share_the_bytes_of_the_file(void **state) {
    static double const values[1000];
    npz_member const inner = {"b.npy", F8("(1000,)"), values, sizeof values, 1};
    size_t inner_length, length;
    rs_arrays npz;
    (void)state;
    char *const whole = npz_bytes(&inner, 1, ZIP_CM_STORE, &inner_length);
    char header[128];
    snprintf(header, sizeof header, F8("(%zu,)"), inner_length / 8);
    npz_member const member[] = {{"a.npy", header, whole, inner_length / 8 * 8, 1},
                                 {"b.npy", F8("(1,)"), values, sizeof *values, 1}};
    char *const bytes = npz_bytes(member, 2, ZIP_CM_STORE, &length);
    char *const entry = directory_entry(bytes, length, 2); /* behind those of a.npy and in it */
    memcpy(entry, directory_entry(whole, inner_length, 0), 46 + 5); /* with the name */
    uint32_t const inside = 30 + 5 + 10 + (uint32_t)strlen(header) + 1;
    assert_memory_equal(bytes + inside, "PK\3\4", 4);
    memcpy(entry + 42, &inside, 4); /* where it begins */
    expect_refused(rs_arrays_read_memory(bytes, length, "test", &npz), &npz,
                   "b.npy: damaged: members larger than the file");
    free(bytes);
    free(whole);
}

/* A cut file is refused wherever it is cut, and leaves nothing. */
static void truncated_files_are_refused(void **state) {
    (void)state;
    for (size_t f = 0; f < COUNT(numpy_files); ++f) {
        size_t length;
        char *bytes = file_bytes(numpy_files[f], &length);
        for (size_t cut = 0; cut < length; ++cut) {
            char *copy = malloc(cut + 1); /* of its own, so that a read beyond it is seen */
            rs_arrays npz;
            assert_non_null(copy);
            memcpy(copy, bytes, cut);
            expect_refused(rs_arrays_read_memory(copy, cut, "test", &npz), &npz, "test: ");
            free(copy);
        }
        free(bytes);
    }
}

static bool same_arrays(const rs_arrays *a, const rs_arrays *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; ++i) {
        const rs_array *x = &a->array[i], *y = &b->array[i];
        if (strcmp(x->name, y->name) != 0 || x->n_dims != y->n_dims || x->size != y->size ||
            memcmp(x->shape, y->shape, sizeof x->shape) != 0 ||
            memcmp(x->data, y->data, x->size * sizeof *x->data) != 0)
            return false;
    }
    return true;
}

/* Any single wrong bit is noticed, or stands where it means nothing (a date, a version). */
static void no_wrong_bit_changes_an_array(void **state) {
    (void)state;
    for (size_t f = 0; f < COUNT(numpy_files); ++f) {
        size_t length, noticed = 0;
        char *bytes = file_bytes(numpy_files[f], &length);
        rs_arrays whole, npz;
        assert_int_equal(rs_arrays_read_memory(bytes, length, "test", &whole), RS_OK);
        for (size_t bit = 0; bit < 8 * length; ++bit) {
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
            if (rs_arrays_read_memory(bytes, length, "test", &npz) != RS_OK)
                ++noticed;
            else if (!same_arrays(&whole, &npz))
                fail_msg("%s: bit %zu of byte %zu", numpy_files[f], bit % 8, bit / 8);
            rs_arrays_free(&npz);
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        }
        assert_true(noticed > 4 * length);
        rs_arrays_free(&whole);
        free(bytes);
    }
}

static void paths_that_are_no_npz_are_refused(void **state) {
    static const struct {
        const char *path, *part;
    } bad[] = {
        {"data/missing.npz", "data/missing.npz: No such file"},
        {"data", "data: is a folder"},
        {"/dev/null", "not a regular file"},
        {"data/single.npy", "numpy.savez"},
        {"data/make_npz.py", "neither .npz (a zip file) nor .safetensors"},
        {"data/make_npz.py/x", "Not a directory"},
    };
    rs_arrays npz;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); ++i)
        expect_refused(rs_arrays_read(bad[i].path, &npz), &npz, bad[i].part);
    char path[] = "/tmp/rhosweep_test_XXXXXX";
    int const file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    expect_refused(rs_arrays_read(path, &npz), &npz, "is empty");
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numpys_own_files_are_read),
        cmocka_unit_test(scalars_and_empty_arrays_are_read),
        cmocka_unit_test(headers_may_vary_as_numpys_do),
        cmocka_unit_test(fortran_order_is_turned),
        cmocka_unit_test(large_arrays_are_read),
        cmocka_unit_test(nonfinite_and_tiny_values_pass),
        cmocka_unit_test(a_file_without_arrays_is_empty),
        cmocka_unit_test(other_dtypes_are_named),
        cmocka_unit_test(broken_headers_are_refused),
        cmocka_unit_test(members_that_are_no_arrays_are_refused),
        cmocka_unit_test(too_many_members_are_refused),
        cmocka_unit_test(two_members_of_one_name_are_refused),
        cmocka_unit_test(other_zip_methods_are_refused),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(members_share_the_bound_of_values),
        cmocka_unit_test(members_share_the_bytes_of_the_file),
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(no_wrong_bit_changes_an_array),
        cmocka_unit_test(paths_that_are_no_npz_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
