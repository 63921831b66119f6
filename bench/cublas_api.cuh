/* cuBLAS, which the engine does not need, for what it is measured against: loaded when it is first
 * needed, so that the benchmarks run where it is not. */
#ifndef RS_BENCH_CUBLAS_API_CUH
#define RS_BENCH_CUBLAS_API_CUH

#include "../kernels/base/status.h"

#include <cublas_v2.h>

/* The functions that are called, by their names without "cublas". */
struct cublas_api {
    decltype(&cublasCreate) Create;
    decltype(&cublasDestroy) Destroy;
    decltype(&cublasSetStream) SetStream;
    decltype(&cublasSetMathMode) SetMathMode;
    decltype(&cublasSetWorkspace) SetWorkspace;
    decltype(&cublasSgemmStridedBatched) SgemmStridedBatched;
    decltype(&cublasDgemmStridedBatched) DgemmStridedBatched;
    decltype(&cublasGetStatusString) GetStatusString;
};

/* RS_EDEVICE, saying what is missing, where the library or a function cannot be had. */
rs_status load_cublas(const cublas_api **out);

/* RS_EMEMORY where memory is out, else RS_EDEVICE; `call` names the function. */
rs_status cublas_fail(const cublas_api *api, cublasStatus_t error, const char *call);

#define CUBLAS_TRY(api, call)                                                                      \
    do {                                                                                           \
        cublasStatus_t cublas_try_ = (api)->call;                                                  \
        if (cublas_try_ != CUBLAS_STATUS_SUCCESS)                                                  \
            return cublas_fail(api, cublas_try_, "cublas" #call);                                  \
    } while (0)

#endif
