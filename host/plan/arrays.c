#include "arrays.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
