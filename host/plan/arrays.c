#include "arrays.h"

#include "../spec/words.h"
#include "npz.h"
#include "safetensors.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- which kind of file ---------------------------------------------------------------------- */

/* Enough to tell. */
enum { START = RS_SAFETENSORS_START + 1 };

static rs_status read_kind(const char *start, size_t length, const rs_file *file, rs_arrays *out) {
    if (length == 0) return rs_fail(RS_EINPUT, "the file is empty");
    if (length >= 6 && memcmp(start, "\x93NUMPY", 6) == 0)
        return rs_fail(RS_EINPUT, "a single .npy array, not a .npz: write it with "
                                  "numpy.savez(path, weight_hh_l0=...)");
    if (length >= 2 && memcmp(start, "PK", 2) == 0) return rs_npz_read(file, out);
    if (length >= START && start[RS_SAFETENSORS_START] == '{')
        return rs_safetensors_read(file, out);
    return rs_fail(RS_EINPUT, "neither .npz (a zip file) nor .safetensors: write it with "
                              "numpy.savez(path, **state_dict)");
}

static rs_status read_start(const char *path, char start[START], size_t *got) {
    FILE *const file = fopen(path, "rb");
    if (!file) return rs_fail(rs_errno_status(errno), "%s", strerror(errno));
    *got = fread(start, 1, START, file);
    bool const failed = ferror(file);
    fclose(file);
    return failed ? rs_fail(RS_EIO, "cannot be read") : RS_OK;
}

static rs_status read_file(const char *path, rs_arrays *out) {
    struct stat info;
    char start[START];
    size_t got = 0;
    if (stat(path, &info) != 0) return rs_fail(rs_errno_status(errno), "%s", strerror(errno));
    if (S_ISDIR(info.st_mode)) return rs_fail(RS_EINPUT, "is a folder, not a file of weights");
    if (!S_ISREG(info.st_mode)) return rs_fail(RS_EINPUT, "not a regular file");
    RS_TRY(read_start(path, start, &got));
    rs_file const file = {.path = path, .length = (uint64_t)info.st_size};
    return read_kind(start, got, &file, out);
}

static rs_status finish(rs_status status, const char *name, rs_arrays *out) {
    if (status != RS_OK) rs_arrays_free(out);
    return rs_fail_in(status, "%s", name);
}

rs_status rs_arrays_read(const char *path, rs_arrays *out) {
    *out = (rs_arrays){0};
    return finish(read_file(path, out), path, out);
}

rs_status rs_arrays_read_memory(const void *bytes, size_t length, const char *name,
                                rs_arrays *out) {
    rs_file const file = {.bytes = bytes, .length = length};
    *out = (rs_arrays){0};
    return finish(read_kind(bytes, length, &file, out), name, out);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

const rs_array *rs_arrays_find(const rs_arrays *arrays, const char *name) {
    for (size_t i = 0; i < arrays->n; ++i)
        if (strcmp(arrays->array[i].name, name) == 0) return &arrays->array[i];
    return NULL;
}

void rs_arrays_free(rs_arrays *arrays) {
    for (size_t i = 0; i < arrays->n; ++i) {
        free(arrays->array[i].name);
        free(arrays->array[i].data);
    }
    free(arrays->array);
    *arrays = (rs_arrays){0};
}

rs_status rs_arrays_make(size_t n, rs_arrays *out) {
    if (n > RS_MAX_ARRAYS)
        return rs_fail(RS_EINPUT, "%zu arrays, more than %d", n, (int)RS_MAX_ARRAYS);
    out->array = calloc(n + 1, sizeof *out->array);
    return out->array ? RS_OK : rs_fail(RS_EMEMORY, "no memory for %zu arrays", n);
}

rs_status rs_array_measure(rs_array *array) {
    array->size = 1;
    for (size_t d = 0; d < array->n_dims; ++d)
        if (__builtin_mul_overflow(array->size, array->shape[d], &array->size))
            return rs_fail(RS_EINPUT, "shape: too large");
    return RS_OK;
}

rs_status rs_array_make(rs_array *array, uint64_t *values_left) {
    if (array->size > *values_left)
        return rs_fail(RS_EINPUT, "too large: more than %" PRIu64 " values in one file",
                       RS_MAX_ARRAY_VALUES);
    *values_left -= array->size;
    array->data = calloc(array->size ? array->size : 1, sizeof(double));
    return array->data ? RS_OK : rs_fail(RS_EMEMORY, "no memory for %zu values", array->size);
}

bool rs_array_name_is_plain(const char *name) {
    for (; *name; ++name)
        if ((unsigned char)*name < ' ' || *name == 0x7f) return false;
    return true;
}

double rs_widen_f32(const unsigned char *bytes) {
    uint32_t bits;
    float value;
    memcpy(&bits, bytes, sizeof bits);
    bits = le32toh(bits);
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

double rs_widen_f64(const unsigned char *bytes) {
    uint64_t bits;
    double value;
    memcpy(&bits, bytes, sizeof bits);
    bits = le64toh(bits);
    memcpy(&value, &bits, sizeof value);
    return value;
}
