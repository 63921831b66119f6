/* libFuzzer target of the .safetensors reader: no input may crash it, leak, or give arrays that
 * lie. */
#include "../host/plan/safetensors.h"
#include "fuzz_arrays.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    rs_file const file = {.bytes = data, .length = length};
    rs_arrays arrays = {0};
    if (length <= RS_SAFETENSORS_START) return 0; /* which arrays.c sorts out */
    rs_status const status = rs_safetensors_read(&file, &arrays);
    check_arrays(status, &arrays);
    return 0;
}
