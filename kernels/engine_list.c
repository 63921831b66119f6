#include "engine.h"

#include "cpu/cpu.h"
#ifdef RS_HAVE_CUDA
#include "cuda/cuda.h"
#endif
#include "reference/reference.h"

#include <string.h>

const rs_engine *const *rs_engines(void) {
    static const rs_engine *const engines[] = {
#ifdef RS_HAVE_CUDA
        &rs_engine_cuda,
#endif
        &rs_engine_cpu, &rs_engine_reference, NULL};
    return engines;
}

const rs_engine *rs_engine_named(const char *name) {
    for (const rs_engine *const *engine = rs_engines(); *engine; ++engine)
        if (strcmp((*engine)->name, name) == 0) return *engine;
    return NULL;
}

const char *rs_precision_name(rs_precision precision) {
    return precision == RS_F32 ? "f32" : "f64";
}
