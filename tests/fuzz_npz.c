/* libFuzzer target of the .npz reader: no input may crash it, leak, or give arrays that lie. */
#include "../host/plan/arrays.h"

#include <stdint.h>
#include <stdlib.h>

static void require(int condition) {
    if (!condition) abort();
}

static double check_array(const rs_array *a) {
    size_t size = 1;
    double sum = 0.0;
    require(a->name && a->data && a->n_dims <= RS_MAX_DIMS);
    for (size_t d = 0; d < a->n_dims; ++d) size *= a->shape[d];
    require(size == a->size);
    for (size_t i = 0; i < size; ++i) sum += a->data[i]; /* every value is there to be read */
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    static volatile double sink;
    rs_arrays npz;
    if (rs_arrays_read_memory(data, length, "fuzz", &npz) == RS_OK) {
        require(npz.n <= RS_MAX_ARRAYS);
        for (size_t i = 0; i < npz.n; ++i) sink = check_array(&npz.array[i]);
    } else {
        require(npz.n == 0 && npz.array == NULL && rs_message()[0] != '\0');
    }
    rs_arrays_free(&npz);
    (void)sink;
    return 0;
}
