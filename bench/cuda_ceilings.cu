#include "cuda_ceilings.h"

#include "cublas_api.cuh"

#include "../kernels/base/random.h"
#include "../kernels/cuda/check.cuh"

#include <math.h>

namespace {

enum {
    DEVICE = 0,
    RUNS = 10,
    THREADS = 256,
    CHAINS = 8,
    PASSES = 1 << 13,
    BLOCKS_PER_PROCESSOR = 8
};

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

/* ---- random numbers -------------------------------------------------------------------------- */

template <typename real> __global__ void random_kernel(real *to, size_t count) {
    size_t const at = ((size_t)blockIdx.x * THREADS + threadIdx.x) * 2;
    if (at >= count) return;
    double pair[2];
    rs_normal_pair(1, RS_STREAM_NOISE, (uint32_t)(at >> 32), 0, (uint32_t)at, pair);
    to[at] = (real)pair[0];
    if (at + 1 < count) to[at + 1] = (real)pair[1];
}

/* Zeros would cost less power, and run at a higher clock, than any work does. */
template <typename real> rs_status fill_at_random(real *to, size_t count) {
    unsigned const blocks = (unsigned)((count / 2 + THREADS) / THREADS);
    RS_TRY(launch("random_kernel", random_kernel<real>, dim3(blocks), dim3(THREADS), 0, NULL, to,
                  count));
    CUDA_TRY(cudaDeviceSynchronize());
    return RS_OK;
}

/* ---- fma ------------------------------------------------------------------------------------- */

/* Independent chains of x <- x^2 + c, which never settle: all bits of both factors change all the
 * time, as in real work. The power that this takes may lower the clock. */
template <typename real> __host__ __device__ real chain_start(int thread, int chain) {
    return (real)0.001 * (real)(thread * CHAINS + chain) - (real)1;
}
template <typename real> __host__ __device__ real chain_step(real x) {
    return fma(x, x, (real)-1.9);
}

template <typename real> __global__ void fma_kernel(real *out) {
    real x[CHAINS];
#pragma unroll
    for (int i = 0; i < CHAINS; ++i) x[i] = chain_start<real>(threadIdx.x, i);
    for (int pass = 0; pass < PASSES; ++pass)
#pragma unroll
        for (int i = 0; i < CHAINS; ++i) x[i] = chain_step(x[i]);
    real sum = 0;
#pragma unroll
    for (int i = 0; i < CHAINS; ++i) sum += x[i];
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

/* What the first thread of every block must find. */
template <typename real> real sum_on_host() {
    real sum = 0;
    for (int i = 0; i < CHAINS; ++i) {
        real x = chain_start<real>(0, i);
        for (int pass = 0; pass < PASSES; ++pass) x = chain_step(x);
        sum += x;
    }
    return sum;
}

template <typename real> struct fma_work : work {
    unsigned blocks;
    real *out;
    rs_status queue(cudaStream_t stream) override {
        return launch("fma_kernel", fma_kernel<real>, dim3(blocks), dim3(THREADS), 0, stream, out);
    }
};

template <typename real> rs_status check_sums(const fma_work<real> &w) {
    real const right = sum_on_host<real>();
    for (unsigned block = 0; block < w.blocks; ++block) {
        real sum;
        CUDA_TRY(cudaMemcpy(&sum, w.out + block, sizeof sum, cudaMemcpyDeviceToHost));
        if (sum != right)
            return rs_fail(RS_EDEVICE, "peak/cuda/fma: block %u gave %.17g, not %.17g", block,
                           (double)sum, (double)right);
    }
    return RS_OK;
}

template <typename real> rs_status fma_rate(double *flops_per_s) {
    int processors;
    CUDA_TRY(cudaSetDevice(DEVICE));
    CUDA_TRY(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, DEVICE));
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

auto batched(const cublas_api *api, float) { return api->SgemmStridedBatched; }
auto batched(const cublas_api *api, double) { return api->DgemmStridedBatched; }

/* W0 times the states, laid out as the stepwise path has both, [k][units] and [k][columns], or as a
 * BLAS is mostly called, units next to each other. */
template <typename real> struct gemm_work : work {
    const cublas_api *api;
    cublasHandle_t handle;
    int hidden, columns;
    bool units_last;
    real *w, *x, *y;

    rs_status queue(cudaStream_t stream) override {
        real const one = 1, zero = 0;
        int const m = units_last ? hidden : columns, n = units_last ? columns : hidden;
        cublasOperation_t const second = units_last ? CUBLAS_OP_N : CUBLAS_OP_T;
        const real *a = units_last ? w : x, *b = units_last ? x : w;
        CUBLAS_TRY(api, SetStream(handle, stream));
        cublasStatus_t const status =
            batched(api, one)(handle, CUBLAS_OP_N, second, m, n, hidden, &one, a, m, 0, b, hidden,
                              0, &zero, y, m, 0, 1);
        return status == CUBLAS_STATUS_SUCCESS ? RS_OK : cublas_fail(api, status, "cublasGemm");
    }
};

template <typename real> rs_status time_layouts(gemm_work<real> &g, double *seconds) {
    CUBLAS_TRY(g.api, SetMathMode(g.handle, CUBLAS_PEDANTIC_MATH));
    for (int layout = 0; layout < 2; ++layout) {
        double found = INFINITY;
        g.units_last = layout == 1;
        RS_TRY(time_work(g, &found));
        *seconds = fmin(*seconds, found);
    }
    return RS_OK;
}

template <typename real> rs_status time_gemm(gemm_work<real> &g, double *seconds) {
    RS_TRY(load_cublas(&g.api));
    CUBLAS_TRY(g.api, Create(&g.handle));
    rs_status const status = time_layouts(g, seconds);
    (void)g.api->Destroy(g.handle);
    return status;
}

template <typename real> rs_status gemm_rate(size_t hidden, size_t columns, double *flops_per_s) {
    gemm_work<real> g;
    size_t const matrix = hidden * hidden, states = hidden * columns, all = matrix + 2 * states;
    real *memory;
    CUDA_TRY(cudaSetDevice(DEVICE));
    CUDA_TRY(cudaMalloc((void **)&memory, all * sizeof(real)));
    g.hidden = (int)hidden;
    g.columns = (int)columns;
    g.w = memory;
    g.x = g.w + matrix;
    g.y = g.x + states;
    double seconds = INFINITY;
    rs_status status = fill_at_random(memory, all);
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
    CUDA_TRY(cudaSetDevice(DEVICE));
    CUDA_TRY(cudaMemGetInfo(&free_bytes, &total));
    copy_work w;
    size_t const most = (size_t)1 << 30;
    w.bytes = free_bytes / 8 < most ? free_bytes / 8 : most;
    CUDA_TRY(cudaMalloc(&w.from, 2 * w.bytes));
    w.to = (char *)w.from + w.bytes;
    double seconds = INFINITY;
    rs_status status = fill_at_random((float *)w.from, 2 * w.bytes / sizeof(float));
    if (status == RS_OK) status = time_work(w, &seconds);
    cudaFree(w.from);
    *bytes_per_s = 2.0 * (double)w.bytes / seconds;
    return status;
}

rs_status rs_cuda_gemm_rate(rs_precision precision, size_t hidden, size_t columns,
                            double *flops_per_s) {
    return precision == RS_F32 ? gemm_rate<float>(hidden, columns, flops_per_s)
                               : gemm_rate<double>(hidden, columns, flops_per_s);
}
