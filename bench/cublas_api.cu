#include "cublas_api.cuh"

#include <dlfcn.h>
#include <mutex>
#include <string.h>

rs_status cublas_fail(const cublas_api *api, cublasStatus_t error, const char *call) {
    return rs_fail(error == CUBLAS_STATUS_ALLOC_FAILED ? RS_EMEMORY : RS_EDEVICE, "%.*s: %s",
                   (int)strcspn(call, "("), call, api->GetStatusString(error));
}

#define TEXT(x)  TEXT_(x)
#define TEXT_(x) #x

namespace {

/* Where the system finds it, else where it was when this was built. */
void *open_library() {
    void *const library = dlopen("libcublas.so." TEXT(CUBLAS_VER_MAJOR), RTLD_LAZY | RTLD_LOCAL);
    return library ? library : dlopen(RS_CUBLAS_PATH, RTLD_LAZY | RTLD_LOCAL);
}

template <typename function> bool find(void *library, const char *name, function *out) {
    void *const symbol = dlsym(library, name);
    memcpy(out, &symbol, sizeof symbol); /* C++ has no cast from an object to a function */
    return symbol != NULL;
}

bool find_all(void *library, cublas_api *api) {
    return find(library, TEXT(cublasCreate), &api->Create) &&
           find(library, TEXT(cublasDestroy), &api->Destroy) &&
           find(library, TEXT(cublasSetStream), &api->SetStream) &&
           find(library, TEXT(cublasSetMathMode), &api->SetMathMode) &&
           find(library, TEXT(cublasSetWorkspace), &api->SetWorkspace) &&
           find(library, TEXT(cublasSgemmStridedBatched), &api->SgemmStridedBatched) &&
           find(library, TEXT(cublasDgemmStridedBatched), &api->DgemmStridedBatched) &&
           find(library, TEXT(cublasGetStatusString), &api->GetStatusString);
}

} // namespace

/* The library stays until the program ends. */
rs_status load_cublas(const cublas_api **out) {
    static std::mutex lock;
    static cublas_api api;
    static void *library;
    std::lock_guard<std::mutex> const locked(lock);
    if (!library) {
        library = open_library();
        if (!library || !find_all(library, &api)) {
            const char *why = dlerror();
            library = NULL;
            return rs_fail(RS_EDEVICE, "cuBLAS: %s: install it, or leave out peak/cuda/gemm",
                           why ? why : "not found");
        }
    }
    *out = &api;
    return RS_OK;
}
