#include "cuda_ceilings.h"

#include "cublas_api.cuh"

#include "../kernels/cuda/check.cuh"

#include <math.h>

namespace {

enum { RUNS = 10, THREADS = 256, CHAINS = 8, PASSES = 1 << 13, BLOCKS_PER_PROCESSOR = 8 };

/* Queues work once more on the stream; called for each timed run. */
struct work {
    virtual rs_status queue(cudaStream_t stream) = 0;
    virtual ~work() {}
};

rs_status best_of(cudaStream_t stream, cudaEvent_t from, cudaEvent_t to, work &w, double *seconds) {
    *seconds = INFINITY;
    for (int run = 0; run <= RUNS; ++run) {
        float milliseconds;
        CUDA_TRY(cudaEventRecord(from, stream));
        RS_TRY(w.queue(stream));
        CUDA_TRY(cudaEventRecord(to, stream));
        CUDA_TRY(cudaEventSynchronize(to));
        CUDA_TRY(cudaEventElapsedTime(&milliseconds, from, to));
        if (run > 0)
            *seconds = fmin(*seconds, 1e-3 * (double)milliseconds); /* the first warms up */
    }
    return RS_OK;
}

rs_status time_with_events(cudaStream_t stream, work &w, double *seconds) {
    cudaEvent_t from, to;
    CUDA_TRY(cudaEventCreate(&from));
    cudaError_t const error = cudaEventCreate(&to);
    rs_status const status = error == cudaSuccess ? best_of(stream, from, to, w, seconds)
                                                  : cuda_fail(error, "cudaEventCreate");
    cudaEventDestroy(from);
    if (error == cudaSuccess) cudaEventDestroy(to);
    return status;
}

rs_status time_work(work &w, double *seconds) {
    cudaStream_t stream;
    CUDA_TRY(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    rs_status const status = time_with_events(stream, w, seconds);
    cudaStreamDestroy(stream);
    return status;
}

/* ---- fma ------------------------------------------------------------------------------------- */

/* Independent chains that all end at 2 if every fma is done: x <- x / 2 + 1. */
template <typename real> __global__ void fma_kernel(real *out) {
    real x[CHAINS];
#pragma unroll
    for (int i = 0; i < CHAINS; ++i) x[i] = (real)(threadIdx.x + i);
    for (int pass = 0; pass < PASSES; ++pass)
#pragma unroll
        for (int i = 0; i < CHAINS; ++i) x[i] = fma(x[i], (real)0.5, (real)1);
    real sum = 0;
#pragma unroll
    for (int i = 0; i < CHAINS; ++i) sum += x[i];
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

template <typename real> struct fma_work : work {
    unsigned blocks;
    real *out;
    rs_status queue(cudaStream_t stream) override {
        return launch("fma_kernel", fma_kernel<real>, dim3(blocks), dim3(THREADS), 0, stream, out);
    }
};

template <typename real> rs_status check_sums(const fma_work<real> &w) {
    for (unsigned block = 0; block < w.blocks; ++block) {
        real sum;
        CUDA_TRY(cudaMemcpy(&sum, w.out + block, sizeof sum, cudaMemcpyDeviceToHost));
        if (sum != (real)(2 * CHAINS))
            return rs_fail(RS_EDEVICE, "peak/cuda/fma: block %u gave %g", block, (double)sum);
    }
    return RS_OK;
}

template <typename real> rs_status fma_rate(double *flops_per_s) {
    int device, processors;
    CUDA_TRY(cudaGetDevice(&device));
    CUDA_TRY(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    fma_work<real> w;
    w.blocks = (unsigned)processors * BLOCKS_PER_PROCESSOR;
    CUDA_TRY(cudaMalloc((void **)&w.out, w.blocks * sizeof *w.out));
    double seconds = INFINITY;
    rs_status status = time_work(w, &seconds);
    if (status == RS_OK) status = check_sums(w);
    cudaFree(w.out);
    *flops_per_s = 2.0 * CHAINS * PASSES * THREADS * (double)w.blocks / seconds;
    return status;
}

/* ---- copy ------------------------------------------------------------------------------------ */

struct copy_work : work {
    size_t bytes;
    void *from, *to;
    rs_status queue(cudaStream_t stream) override {
        CUDA_TRY(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream));
        return RS_OK;
    }
};

/* ---- gemm ------------------------------------------------------------------------------------ */

template <typename real> struct gemm_work : work {
    const cublas_api *api;
    cublasHandle_t handle;
    int hidden, columns;
    real *w, *x, *y;

    rs_status queue(cudaStream_t stream) override {
        CUBLAS_TRY(api, SetStream(handle, stream));
        return multiply();
    }
    rs_status multiply();
};

template <> rs_status gemm_work<float>::multiply() {
    float const one = 1, zero = 0;
    CUBLAS_TRY(api, SgemmStridedBatched(handle, CUBLAS_OP_N, CUBLAS_OP_N, hidden, columns, hidden,
                                        &one, w, hidden, 0, x, hidden, 0, &zero, y, hidden, 0, 1));
    return RS_OK;
}
template <> rs_status gemm_work<double>::multiply() {
    double const one = 1, zero = 0;
    CUBLAS_TRY(api, DgemmStridedBatched(handle, CUBLAS_OP_N, CUBLAS_OP_N, hidden, columns, hidden,
                                        &one, w, hidden, 0, x, hidden, 0, &zero, y, hidden, 0, 1));
    return RS_OK;
}

template <typename real> rs_status time_gemm(gemm_work<real> &g, double *seconds) {
    RS_TRY(load_cublas(&g.api));
    CUBLAS_TRY(g.api, Create(&g.handle));
    cublasStatus_t const set = g.api->SetMathMode(g.handle, CUBLAS_PEDANTIC_MATH);
    rs_status const status = set == CUBLAS_STATUS_SUCCESS
                                 ? time_work(g, seconds)
                                 : cublas_fail(g.api, set, "cublasSetMathMode");
    (void)g.api->Destroy(g.handle);
    return status;
}

template <typename real> rs_status gemm_rate(size_t hidden, size_t columns, double *flops_per_s) {
    gemm_work<real> g;
    size_t const matrix = hidden * hidden, states = hidden * columns;
    real *memory;
    CUDA_TRY(cudaMalloc((void **)&memory, (matrix + 2 * states) * sizeof(real)));
    g.hidden = (int)hidden;
    g.columns = (int)columns;
    g.w = memory;
    g.x = g.w + matrix;
    g.y = g.x + states;
    double seconds = INFINITY;
    cudaError_t const error = cudaMemset(memory, 0, (matrix + 2 * states) * sizeof(real));
    rs_status status = error == cudaSuccess ? RS_OK : cuda_fail(error, "cudaMemset");
    if (status == RS_OK) status = time_gemm(g, &seconds);
    cudaFree(memory);
    *flops_per_s = 2.0 * (double)matrix * (double)columns / seconds;
    return status;
}

} // namespace

rs_status rs_cuda_fma_rate(rs_precision precision, double *flops_per_s) {
    return precision == RS_F32 ? fma_rate<float>(flops_per_s) : fma_rate<double>(flops_per_s);
}

rs_status rs_cuda_copy_rate(double *bytes_per_s) {
    size_t free_bytes, total;
    CUDA_TRY(cudaMemGetInfo(&free_bytes, &total));
    copy_work w;
    size_t const most = (size_t)1 << 30;
    w.bytes = free_bytes / 8 < most ? free_bytes / 8 : most;
    CUDA_TRY(cudaMalloc(&w.from, 2 * w.bytes));
    w.to = (char *)w.from + w.bytes;
    double seconds = INFINITY;
    rs_status const status = time_work(w, &seconds);
    cudaFree(w.from);
    *bytes_per_s = 2.0 * (double)w.bytes / seconds;
    return status;
}

rs_status rs_cuda_gemm_rate(rs_precision precision, size_t hidden, size_t columns,
                            double *flops_per_s) {
    return precision == RS_F32 ? gemm_rate<float>(hidden, columns, flops_per_s)
                               : gemm_rate<double>(hidden, columns, flops_per_s);
}
