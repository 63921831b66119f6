/* What fuzz_npz and fuzz_safetensors require of arrays that were read. */
#ifndef RS_FUZZ_ARRAYS_H
#define RS_FUZZ_ARRAYS_H

#include "../host/plan/arrays.h"

#include <stdlib.h>

static void require(int condition) {
    if (!condition) abort();
}

/* The sum of all values: every one is there to be read. */
static double check_array(const rs_array *a) {
    size_t size = 1;
    double sum = 0.0;
    require(a->name && a->data && a->n_dims <= RS_MAX_DIMS);
    for (size_t d = 0; d < a->n_dims; ++d) size *= a->shape[d];
    require(size == a->size);
    for (size_t i = 0; i < size; ++i) sum += a->data[i];
    return sum;
}

/* Takes over what a reader gave. */
static void check_arrays(rs_status status, rs_arrays *arrays) {
    static volatile double sink;
    if (status == RS_OK) {
        require(arrays->n <= RS_MAX_ARRAYS);
        for (size_t i = 0; i < arrays->n; ++i) sink = check_array(&arrays->array[i]);
    } else {
        require(rs_message()[0] != '\0');
    }
    rs_arrays_free(arrays);
    (void)sink;
}

#endif
