/* The .safetensors reader: what the format allows is read, everything else is refused and leaves
 * nothing. */
#include "../host/plan/array_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { MOST_HEADER = 1 << 20 }; /* that is read */

/* A whole file, malloc'd: the length of the header, the header, `data`. */
static unsigned char *file_of(const char *header, size_t header_length, const void *data,
                              size_t length, size_t *size) {
    unsigned char *const bytes = malloc(8 + header_length + length + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < 8; ++i) bytes[i] = (unsigned char)((uint64_t)header_length >> 8 * i);
    memcpy(bytes + 8, header, header_length);
    if (length) memcpy(bytes + 8 + header_length, data, length);
    *size = 8 + header_length + length;
    return bytes;
}

static rs_status read_text(const char *header, const void *data, size_t length, rs_arrays *out) {
    size_t size;
    unsigned char *const bytes = file_of(header, strlen(header), data, length, &size);
    rs_status const status = rs_arrays_read_memory(bytes, size, "test", out);
    free(bytes);
    return status;
}

static void expect_refused(rs_status status, const rs_arrays *arrays, const char *part) {
    assert_int_equal(status, RS_EINPUT);
    assert_true(arrays->n == 0 && arrays->array == NULL);
    if (!strstr(rs_message(), part)) fail_msg("'%s' does not say '%s'", rs_message(), part);
    assert_null(strchr(rs_message(), '\n'));
    assert_null(strchr(rs_message(), '\x1b'));
}

static const double zeros[64];

static void refuse(const char *header, size_t length, const char *part) {
    rs_arrays arrays;
    expect_refused(read_text(header, zeros, length, &arrays), &arrays, part);
}

static void expect_array(const rs_arrays *arrays, const char *name, const char *dtype,
                         size_t n_dims, const size_t *shape, const double *data) {
    const rs_array *const a = rs_arrays_find(arrays, name);
    size_t size = 1;
    assert_non_null(a);
    assert_string_equal(a->dtype, dtype);
    assert_int_equal(a->n_dims, n_dims);
    for (size_t d = 0; d < n_dims; ++d) {
        assert_int_equal(a->shape[d], shape[d]);
        size *= shape[d];
    }
    assert_int_equal(a->size, size);
    for (size_t i = 0; i < size; ++i) assert_true(a->data[i] == data[i]);
}

/* ---- what is read ---------------------------------------------------------------------------- */

/* In the order of the bytes, whatever that of the header is; text beside them is passed over. */
static void arrays_of_both_types_are_read(void **state) {
    struct {
        float matrix[6];
        double one[3];
    } data = {{0.0f, 0.25f, 0.5f, 0.75f, 1.0f, (float)(1.0 / 3.0)}, {-1.5, 1e300, 1.0 / 3.0}};
    double const wide[] = {0.0, 0.25, 0.5, 0.75, 1.0, (double)(float)(1.0 / 3.0)};
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"vector\":{\"data_offsets\":[24,48],\"shape\":[3],\"dtype\":\"F64\"},"
        "\"weight_hh_l0\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[48,48]}}     ";
    rs_arrays arrays;
    (void)state;
    assert_int_equal(read_text(header, &data, sizeof data, &arrays), RS_OK);
    assert_int_equal(arrays.n, 3);
    assert_string_equal(arrays.array[0].name, "weight_hh_l0");
    expect_array(&arrays, "weight_hh_l0", "F32", 2, (const size_t[]){2, 3}, wide);
    expect_array(&arrays, "vector", "F64", 1, (const size_t[]){3}, data.one);
    expect_array(&arrays, "empty", "F32", 2, (const size_t[]){0, 3}, NULL);
    rs_arrays_free(&arrays);
}

/* Every value by its definition: sign, exponent, fraction. */
static void halves_are_widened_exactly(void **state) {
    static const struct {
        unsigned bits;
        double value;
    } f16[] = {{0x0000, 0.0},       {0x3C00, 1.0},
               {0xC000, -2.0},      {0x3555, 1365.0 / 4096.0},
               {0x7BFF, 65504.0},   {0x0400, 0x1p-14},
               {0x03FF, 0x3FFp-24}, {0x0001, 0x1p-24},
               {0x8001, -0x1p-24},  {0x7C00, INFINITY},
               {0xFC00, -INFINITY}},
      bf16[] = {{0x0000, 0.0},         {0x3F80, 1.0},      {0xC000, -2.0},     {0x3EAB, 0x1.56p-2},
                {0x7F7F, 0x1.FEp+127}, {0x0080, 0x1p-126}, {0x0001, 0x1p-133}, {0xFF80, -INFINITY}};
    unsigned char data[2 * (COUNT(f16) + COUNT(bf16) + 3)] = {0};
    char header[256];
    rs_arrays arrays;
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(f16); ++i, ++n) {
        data[2 * n] = (unsigned char)(f16[i].bits & 255);
        data[2 * n + 1] = (unsigned char)(f16[i].bits >> 8);
    }
    for (size_t i = 0; i < COUNT(bf16); ++i, ++n) {
        data[2 * n] = (unsigned char)(bf16[i].bits & 255);
        data[2 * n + 1] = (unsigned char)(bf16[i].bits >> 8);
    }
    data[2 * n + 1] = 0x80;                         /* minus zero */
    data[2 * n + 2] = 1, data[2 * n + 3] = 0x7C;    /* a NaN */
    data[2 * n + 4] = 0xC1, data[2 * n + 5] = 0x7F; /* one of bf16 */
    snprintf(header, sizeof header,
             "{\"a\":{\"dtype\":\"F16\",\"shape\":[%zu],\"data_offsets\":[0,%zu]},"
             "\"b\":{\"dtype\":\"BF16\",\"shape\":[%zu],\"data_offsets\":[%zu,%zu]},"
             "\"c\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[%zu,%zu]},"
             "\"d\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[%zu,%zu]}}",
             COUNT(f16), 2 * COUNT(f16), COUNT(bf16), 2 * COUNT(f16), 2 * n, 2 * n, 2 * n + 4,
             2 * n + 4, 2 * n + 6);
    assert_int_equal(read_text(header, data, sizeof data, &arrays), RS_OK);
    for (size_t i = 0; i < COUNT(f16); ++i)
        assert_true(rs_arrays_find(&arrays, "a")->data[i] == f16[i].value);
    for (size_t i = 0; i < COUNT(bf16); ++i)
        assert_true(rs_arrays_find(&arrays, "b")->data[i] == bf16[i].value);
    const double *const special = rs_arrays_find(&arrays, "c")->data;
    assert_true(special[0] == 0.0 && signbit(special[0]) && isnan(special[1]));
    assert_true(isnan(rs_arrays_find(&arrays, "d")->data[0]));
    rs_arrays_free(&arrays);
}

/* Longer than any buffer of the reader. */
static void large_arrays_are_read(void **state) {
    enum { N = 100001 };
    float *const data = malloc(N * sizeof *data);
    char header[128];
    rs_arrays arrays;
    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < N; ++i) data[i] = (float)i;
    snprintf(header, sizeof header,
             "{\"a\":{\"dtype\":\"F32\",\"shape\":[%d],\"data_offsets\":[0,%d]}}", N, 4 * N);
    assert_int_equal(read_text(header, data, N * sizeof *data, &arrays), RS_OK);
    for (size_t i = 0; i < N; ++i) assert_true(arrays.array[0].data[i] == (double)i);
    rs_arrays_free(&arrays);
    free(data);
}

static void a_file_without_arrays_is_read(void **state) {
    rs_arrays arrays;
    (void)state;
    assert_int_equal(read_text("{}", NULL, 0, &arrays), RS_OK);
    assert_int_equal(arrays.n, 0);
    rs_arrays_free(&arrays);
    assert_int_equal(read_text("{\"__metadata__\":{}}", NULL, 0, &arrays), RS_OK);
    rs_arrays_free(&arrays);
}

/* By its first bytes, not by its name. */
static void the_name_of_the_file_says_nothing(void **state) {
    static const char header[] = "{\"a\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]}}";
    char path[] = "/tmp/rhosweep_arrays_XXXXXX.npz";
    double const value = -2.5;
    size_t size;
    rs_arrays arrays;
    (void)state;
    int const number = mkstemps(path, 4);
    assert_true(number >= 0);
    unsigned char *const bytes = file_of(header, strlen(header), &value, sizeof value, &size);
    assert_int_equal(write(number, bytes, size), size);
    assert_int_equal(rs_arrays_read(path, &arrays), RS_OK);
    expect_array(&arrays, "a", "F64", 0, NULL, &value);
    rs_arrays_free(&arrays);
    assert_int_equal(ftruncate(number, (off_t)size - 1), 0);
    expect_refused(rs_arrays_read(path, &arrays), &arrays, path);
    free(bytes);
    close(number);
    unlink(path);
}

/* ---- what is refused ------------------------------------------------------------------------- */

#define ARRAY(dtype, shape, offsets)                                                               \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void headers_of_no_arrays_are_refused(void **state) {
    static const struct {
        const char *header, *part;
    } bad[] = {
        {"{", "the header is not JSON"},
        {"{]", "the header is not JSON"},
        {"{} {}", "the header is not JSON"},
        {"{\"a\":}", "the header is not JSON"},
        {"{\"a\\u0000b\":{}}", "the header is not JSON"},
        {"{\"\xff\":{}}", "the header is not JSON"},
        {"{\"a\":1}", "a: not an array's dtype"},
        {"{\"a\":{}}", "a: dtype: missing"},
        {"{\"a\":[]}", "a: not an array's dtype"},
        {"{\"\x7f\":{}}", "name has control characters"},
        {"{\"a\\u001b[2J\":{}}", "name has control characters"},
        {ARRAY("3", "[2]", "[0,16]"), "a: dtype: missing, or not a string"},
        {ARRAY("\"F8_E4M3\"", "[2]", "[0,2]"), "a: dtype F8_E4M3: only F64, F32, F16 and BF16"},
        {ARRAY("\"I64\"", "[2]", "[0,16]"), "a: dtype I64: only F64, F32, F16 and BF16 arrays are "
                                            "read; save it with .double() or leave it out"},
        {ARRAY("\"\"", "[2]", "[0,16]"), "a: dtype : only"},
        {ARRAY("\"f64\"", "[2]", "[0,16]"), "dtype f64"},
        {ARRAY("\"F\\u001b[2J\"", "[2]", "[0,16]"), "dtype ?"},
        {ARRAY("\"F64\"", "2", "[0,16]"), "a: shape: missing, or not a list"},
        {ARRAY("\"F64\"", "[1,1,1,1,2]", "[0,16]"), "a: shape: more than 4 dimensions"},
        {ARRAY("\"F64\"", "[-2]", "[0,16]"), "a: shape: must be non-negative"},
        {ARRAY("\"F64\"", "[2.0]", "[0,16]"), "a: shape: must be non-negative"},
        {ARRAY("\"F64\"", "[\"2\"]", "[0,16]"), "a: shape: must be non-negative"},
        {ARRAY("\"F64\"", "[99999999999999999999]", "[0,16]"), "the header is not JSON"},
        {ARRAY("\"F64\"", "[4294967296,4294967296]", "[0,16]"), "a: shape: too large"},
        {ARRAY("\"F64\"", "[2305843009213693952]", "[0,16]"), "a: shape: too large"},
        {ARRAY("\"F64\"", "[3]", "[0,16]"), "a: shape needs 24 bytes, data_offsets are 16 apart"},
        {ARRAY("\"F32\"", "[2]", "[0,16]"), "a: shape needs 8 bytes"},
        {ARRAY("\"F64\"", "[2]", "[16,0]"),
         "a: data_offsets: must be two ascending non-negative integers"},
        {ARRAY("\"F64\"", "[2]", "[-16,0]"),
         "a: data_offsets: must be two ascending non-negative integers"},
        {ARRAY("\"F64\"", "[2]", "[0]"), "a: data_offsets: must be two ascending"},
        {ARRAY("\"F64\"", "[2]", "[0,16,32]"), "a: data_offsets: must be two ascending"},
        {ARRAY("\"F64\"", "[2]", "[0.0,16]"), "a: data_offsets: must be two ascending"},
        {ARRAY("\"F64\"", "[2]", "16"), "a: data_offsets: must be two ascending"},
        {ARRAY("\"F64\"", "[2]", "[8,24]"), "a: begins at byte 8, but the array before ends at 0"},
        {ARRAY("\"F64\"", "[3]", "[0,24]"), "damaged: 16 bytes of arrays, the header says 24"},
        {ARRAY("\"F64\"", "[1]", "[0,8]"), "damaged: 16 bytes of arrays, the header says 8"},
        {"{\"a\":{\"dtype\":\"F64\",\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}",
         "a name occurs twice"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); ++i) refuse(bad[i].header, 16, bad[i].part);
}

#define F64(name, from, to)                                                                        \
    "\"" name "\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[" from "," to "]}"

/* Every byte belongs to one array. */
static void bytes_of_two_arrays_or_none_are_refused(void **state) {
    (void)state;
    refuse("{" F64("a", "0", "16") "," F64("b", "0", "16") "}", 16, "b: begins at byte 0, but");
    refuse("{" F64("a", "0", "16") "," F64("b", "8", "24") "}", 24, "b: begins at byte 8, but");
    refuse("{" F64("a", "0", "16") "," F64("b", "24", "40") "}", 40, "b: begins at byte 24, but");
    refuse("{" F64("b", "16", "32") "," F64("a", "0", "16") "}", 40, "40 bytes of arrays");
    refuse("{" F64("a", "0", "16") "," F64("a", "16", "32") "}", 32, "a name occurs twice");
    refuse("{" F64("a", "18446744073709551600", "18446744073709551616") "}", 16, "not JSON");
    refuse("{" F64("a", "9223372036854775791", "9223372036854775807") "}", 16, "begins at byte");
}

static void too_many_arrays_are_refused(void **state) {
    (void)state;
    for (size_t extra = 0; extra < 2; ++extra) {
        size_t length;
        char *header = NULL;
        rs_arrays arrays;
        FILE *const out = open_memstream(&header, &length);
        fputs("{\"__metadata__\":{}", out);
        for (size_t i = 0; i < RS_MAX_ARRAYS + extra; ++i)
            fprintf(out, ",\"%zu\":{\"dtype\":\"F64\",\"shape\":[0],\"data_offsets\":[0,0]}", i);
        fputs("}", out);
        fclose(out);
        rs_status const status = read_text(header, NULL, 0, &arrays);
        if (extra)
            expect_refused(status, &arrays, "257 arrays, more than 256");
        else
            assert_int_equal(status, RS_OK);
        rs_arrays_free(&arrays);
        free(header);
    }
}

/* `length` bytes of header, of which the file says that they are `said`. */
static void refuse_length(uint64_t said, size_t length, const char *part) {
    unsigned char *const bytes = calloc(length + 8, 1);
    rs_arrays arrays;
    assert_non_null(bytes);
    memset(bytes + 8, ' ', length);
    if (length) bytes[8] = '{';
    for (size_t i = 0; i < 8; ++i) bytes[i] = (unsigned char)(said >> 8 * i);
    expect_refused(rs_arrays_read_memory(bytes, length + 8, "test", &arrays), &arrays, part);
    free(bytes);
}

static void headers_longer_than_the_file_are_refused(void **state) {
    (void)state;
    refuse_length(3, 2, "test: damaged: its header of 3 bytes is longer than the file");
    refuse_length(UINT64_MAX, 20, "longer than the file");
    refuse_length(UINT64_MAX - 7, 20, "longer than the file");
    refuse_length(0, 2, "the header is not JSON");
    refuse_length(0, 0, "neither .npz (a zip file) nor .safetensors");
    refuse_length(MOST_HEADER + 1, MOST_HEADER + 1, "has 1048577 bytes, more than 1048576");
    refuse_length(MOST_HEADER, MOST_HEADER, "the header is not JSON");
}

/* Deep JSON ends somewhere, and takes no stack with it. */
static void deep_headers_are_refused(void **state) {
    enum { DEPTH = 500000 };
    static char header[DEPTH + 8] = "{\"a\":";
    (void)state;
    memset(header + 5, '[', DEPTH);
    refuse(header, 0, "the header is not JSON");
}

static void every_cut_is_refused(void **state) {
    static const char header[] = "{" F64("a", "0", "16") "," F64("b", "16", "32") "}";
    size_t size;
    unsigned char *const bytes = file_of(header, strlen(header), zeros, 32, &size);
    (void)state;
    for (size_t cut = 0; cut < size; ++cut) {
        rs_arrays arrays;
        unsigned char *const copy = malloc(cut + 1); /* so that ASan sees what reads on */
        memcpy(copy, bytes, cut);
        expect_refused(rs_arrays_read_memory(copy, cut, "test", &arrays), &arrays, "test: ");
        free(copy);
    }
    free(bytes);
}

/* No flipped bit of the header gives arrays that lie, or more than one line. */
static void no_flipped_bit_is_believed(void **state) {
    static const char header[] = "{" F64("a", "0", "16") "," F64("b", "16", "32") "}";
    size_t size;
    unsigned char *const bytes = file_of(header, strlen(header), zeros, 32, &size);
    (void)state;
    for (size_t bit = 0; bit < 8 * (size - 32); ++bit) {
        rs_arrays arrays;
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        rs_status const status = rs_arrays_read_memory(bytes, size, "test", &arrays);
        if (status != RS_OK)
            expect_refused(status, &arrays, "test: ");
        else {
            assert_true(arrays.n <= 2);
            for (size_t i = 0; i < arrays.n; ++i) {
                assert_int_equal(arrays.array[i].size, 2); /* another name, or another dtype */
                assert_true(arrays.array[i].data[1] == 0.0);
            }
        }
        rs_arrays_free(&arrays);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_of_both_types_are_read),
        cmocka_unit_test(halves_are_widened_exactly),
        cmocka_unit_test(large_arrays_are_read),
        cmocka_unit_test(a_file_without_arrays_is_read),
        cmocka_unit_test(the_name_of_the_file_says_nothing),
        cmocka_unit_test(headers_of_no_arrays_are_refused),
        cmocka_unit_test(bytes_of_two_arrays_or_none_are_refused),
        cmocka_unit_test(too_many_arrays_are_refused),
        cmocka_unit_test(headers_longer_than_the_file_are_refused),
        cmocka_unit_test(deep_headers_are_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(no_flipped_bit_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
