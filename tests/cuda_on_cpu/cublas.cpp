#include "api.h"
#include "memory.h"
#include "stream.h"

#include <algorithm>
#include <vector>

using namespace cuda_on_cpu;

struct cublasContext {
    cudaStream_t stream = nullptr;
};

static Handles<cublasContext> handles;

cublasStatus_t cublasCreate(cublasHandle_t *handle) {
    return blas_call("cublasCreate", [&] {
        *handle = handles.add(std::make_unique<cublasContext>());
        return CUBLAS_STATUS_SUCCESS;
    });
}

/* Gives back even when it reports a failure. */
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
    std::lock_guard<std::mutex> const lock(api_lock());
    cublasStatus_t const failure = due_blas_failure("cublasDestroy");
    if (!handles.remove(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    return failure;
}

template <class Body>
static cublasStatus_t handle_call(const char *name, cublasHandle_t handle, Body body) {
    return blas_call(name,
                     [&] { return handles.has(handle) ? body() : CUBLAS_STATUS_NOT_INITIALIZED; });
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
    return handle_call("cublasSetStream", handle, [&] {
        handle->stream = stream;
        return CUBLAS_STATUS_SUCCESS;
    });
}

/* All modes are alike here. */
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    return handle_call("cublasSetMathMode", handle, [&] {
        bool const known = mode == CUBLAS_DEFAULT_MATH || mode == CUBLAS_PEDANTIC_MATH ||
                           mode == CUBLAS_TF32_TENSOR_OP_MATH;
        return known ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
    });
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *workspace, size_t bytes) {
    return handle_call("cublasSetWorkspace", handle, [&] {
        bool const fits = bytes == 0 || is_on_device(workspace, bytes);
        return fits ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
    });
}

/* ---- products -----------------------------------------------------------------------------------
 */

template <class T> struct Operand {
    T *elements;
    bool transposed;
    size_t rows, columns, leading; /* as stored */
    long long stride;
};

template <class T> struct Product {
    size_t m, n, k, batch;
    T alpha, beta;
    Operand<const T> a, b;
    Operand<T> c;
};

template <class T> static bool fits(const Operand<T> &x, size_t batch) {
    if (x.leading < std::max<size_t>(1, x.rows) || x.stride < 0) return false;
    if (x.rows == 0 || x.columns == 0 || batch == 0) return true;
    size_t const last = (x.columns - 1) * x.leading + x.rows;
    return is_on_device(x.elements,
                        ((batch - 1) * static_cast<size_t>(x.stride) + last) * sizeof(T));
}

/* op(X) of one matrix of the batch, packed column by column. */
template <class T> static std::vector<T> packed(const Operand<const T> &x, size_t i) {
    const T *const from = x.elements + i * static_cast<size_t>(x.stride);
    std::vector<T> to;
    to.reserve(x.rows * x.columns);
    if (x.transposed) {
        for (size_t r = 0; r < x.rows; ++r)
            for (size_t c = 0; c < x.columns; ++c) to.push_back(from[c * x.leading + r]);
    } else {
        for (size_t c = 0; c < x.columns; ++c)
            to.insert(to.end(), from + c * x.leading, from + c * x.leading + x.rows);
    }
    return to;
}

/* Each element's sum runs over k in order. */
template <class T> static void multiply(const Product<T> &p, size_t i) {
    std::vector<T> const a = packed(p.a, i), b = packed(p.b, i);
    std::vector<T> sum(p.m);
    for (size_t column = 0; column < p.n; ++column) {
        std::fill(sum.begin(), sum.end(), T{0});
        for (size_t k = 0; k < p.k; ++k)
            for (size_t row = 0; row < p.m; ++row)
                sum[row] += a[k * p.m + row] * b[column * p.k + k];
        T *const c = p.c.elements + i * static_cast<size_t>(p.c.stride) + column * p.c.leading;
        for (size_t row = 0; row < p.m; ++row)
            c[row] = p.alpha * sum[row] + (p.beta == T{0} ? T{0} : p.beta * c[row]);
    }
}

template <class T>
static cublasStatus_t gemm(const char *name, cublasHandle_t handle, const Product<T> &p) {
    return handle_call(name, handle, [&] {
        if (!fits(p.a, p.batch) || !fits(p.b, p.batch) || !fits(p.c, p.batch))
            return CUBLAS_STATUS_INVALID_VALUE;
        cudaError_t const error = submit(handle->stream, [p] {
            for (size_t i = 0; i < p.batch; ++i) multiply(p, i);
        });
        return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
    });
}

template <class T>
static Operand<T> operand(T *elements, cublasOperation_t op, int rows, int columns, int leading,
                          long long stride) {
    bool const transposed = op == CUBLAS_OP_T;
    return {elements,
            transposed,
            static_cast<size_t>(transposed ? columns : rows),
            static_cast<size_t>(transposed ? rows : columns),
            static_cast<size_t>(std::max(leading, 0)),
            stride};
}

/* Two functions that differ in name and type. */
#define GEMM(function, T)                                                                          \
    cublasStatus_t function(                                                                       \
        cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,   \
        int k, const T *alpha, const T *a, int lda, long long stride_a, const T *b, int ldb,       \
        long long stride_b, const T *beta, T *c, int ldc, long long stride_c, int batch) {         \
        if (m < 0 || n < 0 || k < 0 || batch < 0) return CUBLAS_STATUS_INVALID_VALUE;              \
        return gemm<T>(#function, handle,                                                          \
                       {static_cast<size_t>(m), static_cast<size_t>(n), static_cast<size_t>(k),    \
                        static_cast<size_t>(batch), *alpha, *beta,                                 \
                        operand(a, transa, m, k, lda, stride_a),                                   \
                        operand(b, transb, k, n, ldb, stride_b),                                   \
                        operand(c, CUBLAS_OP_N, m, n, ldc, stride_c)});                            \
    }
GEMM(cublasSgemmStridedBatched, float)
GEMM(cublasDgemmStridedBatched, double)
#undef GEMM

/* ---- names --------------------------------------------------------------------------------------
 */

const char *cublasGetStatusName(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    }
    return "CUBLAS_UNKNOWN";
}

const char *cublasGetStatusString(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED: return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE: return "an unsupported value or parameter was passed";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "the function failed to launch on the GPU";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "an internal operation failed";
    }
    return "unknown status";
}
