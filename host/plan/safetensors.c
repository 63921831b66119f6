#include "safetensors.h"

#include "../spec/words.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_HEADER = 1 << 20, /* bytes; 256 arrays with long names have 64 KiB */
    CHUNK = 1 << 16       /* bytes read at a time; a multiple of every item size */
};

/* ---- numbers --------------------------------------------------------------------------------- */

static double widen_bf16(const unsigned char *bytes) { /* the upper half of an f32 */
    unsigned char const whole[4] = {0, 0, bytes[0], bytes[1]};
    return rs_widen_f32(whole);
}

/* IEEE 754 binary16: a sign, 5 bits of exponent, 10 of fraction. */
static double widen_f16(const unsigned char *bytes) {
    int const bits = bytes[0] | bytes[1] << 8;
    int const exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) value = fraction ? (double)NAN : (double)INFINITY;
    return bits >> 15 ? -value : value;
}

typedef struct dtype {
    const char *name;
    size_t item; /* bytes of a number */
    double (*widen)(const unsigned char *bytes);
} dtype;

static const dtype dtypes[] = {{"F64", 8, rs_widen_f64},
                               {"F32", 4, rs_widen_f32},
                               {"F16", 2, widen_f16},
                               {"BF16", 2, widen_bf16}};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

/* ---- the header ------------------------------------------------------------------------------ */

/* Text for people, beside the arrays. */
static const char metadata[] = "__metadata__";

/* One array as the header has it: its numbers are bytes begin .. end of those after the header. */
typedef struct entry {
    rs_array array;
    const dtype *dtype;
    uint64_t begin, end;
} entry;

static rs_status parse_dtype(const json_t *value, entry *out) {
    const char *const name = json_string_value(value);
    if (!name) return rs_fail(RS_EINPUT, "dtype: missing, or not a string");
    for (size_t i = 0; i < N_DTYPES && !out->dtype; ++i)
        if (strcmp(name, dtypes[i].name) == 0) out->dtype = &dtypes[i];
    if (!out->dtype)
        return rs_fail(RS_EINPUT,
                       "dtype %.20s: only F64, F32, F16 and BF16 arrays are read; save it with "
                       ".double() or leave it out",
                       rs_array_name_is_plain(name) ? name : "?");
    strcpy(out->array.dtype, out->dtype->name);
    return RS_OK;
}

/* A whole number from 0 on. */
static bool take_size(const json_t *value, uint64_t *out) {
    json_int_t const whole = json_integer_value(value);
    *out = (uint64_t)whole;
    return json_is_integer(value) && whole >= 0;
}

static rs_status parse_shape(const json_t *value, entry *out) {
    rs_array *const a = &out->array;
    a->n_dims = json_array_size(value);
    if (!json_is_array(value)) return rs_fail(RS_EINPUT, "shape: missing, or not a list");
    if (a->n_dims > RS_MAX_DIMS)
        return rs_fail(RS_EINPUT, "shape: more than %d dimensions", (int)RS_MAX_DIMS);
    for (size_t d = 0; d < a->n_dims; ++d) {
        uint64_t size;
        if (!take_size(json_array_get(value, d), &size))
            return rs_fail(RS_EINPUT, "shape: must be non-negative integers");
        a->shape[d] = size;
    }
    return rs_array_measure(a);
}

static rs_status parse_offsets(const json_t *value, entry *out) {
    bool const are_two = json_array_size(value) == 2 &&
                         take_size(json_array_get(value, 0), &out->begin) &&
                         take_size(json_array_get(value, 1), &out->end);
    if (!are_two || out->end < out->begin)
        return rs_fail(RS_EINPUT, "data_offsets: must be two ascending non-negative integers");
    return RS_OK;
}

static rs_status check_bytes(const entry *e) {
    size_t bytes;
    if (__builtin_mul_overflow(e->array.size, e->dtype->item, &bytes))
        return rs_fail(RS_EINPUT, "shape: too large");
    if (bytes == e->end - e->begin) return RS_OK;
    return rs_fail(RS_EINPUT, "shape needs %zu bytes, data_offsets are %" PRIu64 " apart", bytes,
                   e->end - e->begin);
}

static rs_status parse_entry(const json_t *value, entry *out) {
    if (!json_is_object(value))
        return rs_fail(RS_EINPUT, "not an array's dtype, shape and offsets");
    RS_TRY(parse_dtype(json_object_get(value, "dtype"), out));
    RS_TRY(parse_shape(json_object_get(value, "shape"), out));
    RS_TRY(parse_offsets(json_object_get(value, "data_offsets"), out));
    return check_bytes(out);
}

static int by_place(const void *a, const void *b) {
    const entry *const x = a, *const y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Sorted: they lie one after the other, and each byte belongs to one of them. */
static rs_status check_places(const entry *e, size_t n, uint64_t length) {
    uint64_t at = 0;
    for (size_t i = 0; i < n; ++i) {
        if (e[i].begin != at)
            return rs_fail(RS_EINPUT,
                           "%s: begins at byte %" PRIu64 ", but the array before ends at "
                           "%" PRIu64,
                           e[i].array.name, e[i].begin, at);
        at = e[i].end;
    }
    if (at == length) return RS_OK;
    return rs_fail(RS_EINPUT, "damaged: %" PRIu64 " bytes of arrays, the header says %" PRIu64,
                   length, at);
}

static rs_status parse_entries(json_t *header, entry *out, size_t *n) {
    const char *name;
    json_t *value;
    json_object_foreach(header, name, value) {
        if (strcmp(name, metadata) == 0) continue;
        if (!rs_array_name_is_plain(name))
            return rs_fail(RS_EINPUT, "an array's name has control characters");
        entry *const e = &out[(*n)++];
        e->array.name = strdup(name);
        if (!e->array.name) return rs_fail(RS_EMEMORY, "no memory for a name");
        rs_status const status = parse_entry(value, e);
        if (status != RS_OK) return rs_fail_in(status, "%s", name);
    }
    return RS_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

static rs_status read_bytes(FILE *file, void *to, size_t length) {
    if (fread(to, 1, length, file) == length) return RS_OK;
    return ferror(file) ? rs_fail(RS_EIO, "cannot be read")
                        : rs_fail(RS_EINPUT, "damaged: ends too early");
}

static rs_status read_values(FILE *file, const dtype *of, rs_array *array) {
    unsigned char chunk[CHUNK];
    size_t const item = of->item;
    double *to = array->data;
    for (size_t left = array->size; left > 0;) {
        size_t const values = left < CHUNK / item ? left : CHUNK / item;
        RS_TRY(read_bytes(file, chunk, values * item));
        for (size_t i = 0; i < values; ++i) *to++ = of->widen(chunk + i * item);
        left -= values;
    }
    return RS_OK;
}

/* The text of the header, for the caller to free. */
static rs_status read_header(FILE *file, uint64_t length, char **text, size_t *size) {
    uint64_t header;
    RS_TRY(read_bytes(file, &header, sizeof header));
    header = le64toh(header);
    if (header > length - sizeof header)
        return rs_fail(RS_EINPUT,
                       "damaged: its header of %" PRIu64 " bytes is longer than the file", header);
    if (header > MAX_HEADER)
        return rs_fail(RS_EINPUT, "the header has %" PRIu64 " bytes, more than %d", header,
                       (int)MAX_HEADER);
    *size = header;
    *text = malloc(header + 1);
    if (!*text) return rs_fail(RS_EMEMORY, "no memory for a header of %zu bytes", *size);
    rs_status const status = read_bytes(file, *text, *size);
    if (status != RS_OK) free(*text);
    return status;
}

static rs_status parse_header(FILE *file, uint64_t length, json_t **out, uint64_t *data) {
    char *text;
    size_t size = 0;
    json_error_t error;
    RS_TRY(read_header(file, length, &text, &size));
    *data = length - RS_SAFETENSORS_START - size;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (json_is_object(*out)) return RS_OK;
    json_decref(*out);
    if (json_error_code(&error) == json_error_out_of_memory)
        return rs_fail(RS_EMEMORY, "no memory for the header");
    return rs_fail(RS_EINPUT, "damaged: the header is not JSON: byte %d: %s", error.position,
                   json_error_code(&error) == json_error_duplicate_key ? "a name occurs twice"
                                                                       : "syntax error");
}

/* The numbers of sorted entries, into the arrays that were made of them. */
static rs_status read_all(FILE *file, const entry *e, size_t n, rs_arrays *out) {
    uint64_t values_left = RS_MAX_ARRAY_VALUES;
    for (size_t i = 0; i < n; ++i) {
        rs_array *const to = &out->array[i];
        rs_status status = rs_array_make(to, &values_left);
        if (status == RS_OK) status = read_values(file, e[i].dtype, to);
        if (status != RS_OK) return rs_fail_in(status, "%s", to->name);
    }
    return RS_OK;
}

static rs_status read_entries(FILE *file, json_t *header, uint64_t data, entry *e, rs_arrays *out) {
    size_t n = 0;
    rs_status status = parse_entries(header, e, &n);
    qsort(e, n, sizeof *e, by_place);
    for (size_t i = 0; i < n; ++i) out->array[i] = e[i].array;
    out->n = n;
    if (status == RS_OK) status = check_places(e, n, data);
    return status == RS_OK ? read_all(file, e, n, out) : status;
}

static rs_status read_arrays(FILE *file, json_t *header, uint64_t data, rs_arrays *out) {
    size_t const n = json_object_size(header) - (json_object_get(header, metadata) ? 1 : 0);
    RS_TRY(rs_arrays_make(n, out));
    entry *const e = calloc(n + 1, sizeof *e);
    if (!e) return rs_fail(RS_EMEMORY, "no memory for %zu arrays", n);
    rs_status const status = read_entries(file, header, data, e, out);
    free(e);
    return status;
}

static rs_status read_stream(FILE *file, uint64_t length, rs_arrays *out) {
    json_t *header;
    uint64_t data;
    RS_TRY(parse_header(file, length, &header, &data));
    rs_status const status = read_arrays(file, header, data, out);
    json_decref(header);
    return status;
}

rs_status rs_safetensors_read(const rs_file *file, rs_arrays *out) {
    FILE *const stream =
        file->path ? fopen(file->path, "rb") : fmemopen((void *)file->bytes, file->length, "rb");
    if (!stream) return rs_fail(rs_errno_status(errno), "%s", strerror(errno));
    rs_status const status = read_stream(stream, file->length, out);
    fclose(stream);
    return status;
}
