/* The stepwise path, for large H: each step is one cuBLAS product of W0 with all columns of all
 * groups and one kernel for the rest. A whole pass is a CUDA graph, kept for the next piece of the
 * same shape. States have units last: [G][columns][H]. */
#include "check.cuh"
#include "cublas_api.cuh"
#include "math.cuh"
#include "path.cuh"

#include "../sizes.h"

#include <stdlib.h>
#include <string.h>

namespace {

enum { WARP = 32, COLUMNS_PER_BLOCK = 4, THREADS = WARP * COLUMNS_PER_BLOCK };

/* Of cuBLAS: enough for it to run, too little to split sums over H, which it would for few columns
 * and not for many: the bits of a column would depend on how many others there are. */
enum { WORKSPACE = 16 << 10 };

/* Arrays of the path's own, behind the slopes. */
template <typename real> struct step_arrays {
    real *product;             /* [G][columns][H] */
    real *state;               /* [G][columns][H] h, or phi' * delta on the way back */
    column_range<real> *range; /* [G][columns] */
    void *workspace;
};

/* A block has a warp for each of its columns; lanes go through the units. */
struct own_column {
    int group, column, lane;
    bool is_real;
    size_t flat; /* among all columns of all groups */

    __device__ explicit own_column(const problem &p) {
        int const blocks = (p.columns + COLUMNS_PER_BLOCK - 1) / COLUMNS_PER_BLOCK;
        group = blockIdx.x / blocks;
        column = blockIdx.x % blocks * COLUMNS_PER_BLOCK + threadIdx.x / WARP;
        lane = threadIdx.x % WARP;
        is_real = column < p.columns;
        flat = (size_t)group * p.columns + column;
    }
};

/* Start of the sample's row in row `row` of a group's [rows][B][H]. */
__device__ static size_t sample_at(const problem &p, const own_column &own, int row) {
    return ((size_t)row * p.batch + own.column % p.batch) * p.hidden;
}

/* ---- forward --------------------------------------------------------------------------------- */

template <typename real>
__global__ void start_forward(problem p, arrays<real> a, step_arrays<real> s) {
    own_column const own(p);
    if (!own.is_real) return;
    const real *h0 = a.h0 + own.group * a.sheet_stride + sample_at(p, own, 0);
    for (int i = own.lane; i < p.hidden; i += WARP) s.state[own.flat * p.hidden + i] = h0[i];
    if (own.lane == 0) a.nonfinite[own.flat] = NEVER;
}

/* h_t from the product; `step` counts from 0 and includes the warm-up. */
template <typename real>
__global__ void forward_step(problem p, arrays<real> a, step_arrays<real> s, int step) {
    own_column const own(p);
    if (!own.is_real) return;
    const real *drive =
        a.drive + own.group * a.drive_stride + sample_at(p, own, p.driven ? step : 0);
    real const scale = a.scale[own.group * a.scale_stride + own.column / p.batch];
    bool const recorded = step >= p.warmup;
    size_t const columns = (size_t)p.groups * p.columns;
    real *slopes = a.slope + ((recorded ? step - p.warmup : 0) * columns + own.flat) * p.hidden;
    bool finite = true;
    for (int i = own.lane; i < p.hidden; i += WARP) {
        size_t const at = own.flat * p.hidden + i;
        real h, slope;
        activate(p.nonlinearity, p.raw, fma(scale, s.product[at], drive[i]), &h, &slope);
        s.state[at] = h;
        if (p.nonlinearity != RS_LINEAR) slopes[i] = slope;
        finite = finite && isfinite(h);
    }
    if (recorded && !finite) atomicMin(&a.nonfinite[own.flat], (unsigned)(step - p.warmup + 1));
}

/* ---- backward -------------------------------------------------------------------------------- */

/* delta_t of one column, from the loss at T and from the product before: its norm goes out, and
 * phi'(a_t) * delta_t stays. Lanes sum over units in a fixed order. */
template <typename real>
__global__ void backward_step(problem p, arrays<real> a, step_arrays<real> s, int t) {
    own_column const own(p);
    if (!own.is_real) return;
    bool const first = t == p.steps;
    column_range<real> range = first ? column_range_start(a.own[own.group]) : s.range[own.flat];
    real const scale = a.scale[own.group * a.scale_stride + own.column / p.batch];
    const real *loss = a.loss + own.group * a.sheet_stride + sample_at(p, own, 0);
    size_t const columns = (size_t)p.groups * p.columns;
    const real *slopes = a.slope + ((t - 1) * columns + own.flat) * p.hidden;
    double norm2 = 0.0;
    for (int i = own.lane; i < p.hidden; i += WARP) {
        size_t const at = own.flat * p.hidden + i;
        real const delta = first ? loss[i] : fma(scale, s.product[at] * range.factor, range.own);
        double const x = p.raw ? (double)delta * range.norm_factor : (double)delta;
        norm2 = fma(x, x, norm2);
        s.state[at] = p.nonlinearity != RS_LINEAR ? slopes[i] * delta : delta;
    }
    for (int step = 1; step < WARP; step *= 2) norm2 += __shfl_xor_sync(0xFFFFFFFFu, norm2, step);
    if (own.lane != 0) return;
    size_t const out = ((size_t)own.group * p.steps + t - 1) * p.columns + own.column;
    a.norm2[out] = norm2;
    a.exponent[out] = range.exponent;
    column_range_update(&range, p.raw, norm2);
    s.range[own.flat] = range;
}

/* ---- products and graphs --------------------------------------------------------------------- */

/* cuBLAS, bound to the engine's stream. */
struct products {
    const cublas_api *api;
    cublasHandle_t handle;
};

static rs_status make_products(cudaStream_t stream, products *out) {
    RS_TRY(load_cublas(&out->api));
    CUBLAS_TRY(out->api, Create(&out->handle));
    CUBLAS_TRY(out->api, SetStream(out->handle, stream));
    CUBLAS_TRY(out->api, SetMathMode(out->handle, CUBLAS_PEDANTIC_MATH)); /* no TF32 */
    return RS_OK;
}

static auto batched(const cublas_api *api, float) { return api->SgemmStridedBatched; }
static auto batched(const cublas_api *api, double) { return api->DgemmStridedBatched; }

/* y = op(W0) x, for the columns of each group. */
template <typename real>
static rs_status gemm(const products *with, cublasOperation_t how, const problem *p,
                      const arrays<real> *a, const real *w, const real *x, real *y) {
    real const one = 1, zero = 0;
    int const h = p->hidden;
    long long const states = (long long)p->columns * h;
    cublasStatus_t const status = batched(with->api, one)(
        with->handle, how, CUBLAS_OP_N, h, p->columns, h, &one, w, h, (long long)a->weight_stride,
        x, h, states, &zero, y, h, states, p->groups);
    const char *name = sizeof one == 4 ? "cublasSgemmStridedBatched" : "cublasDgemmStridedBatched";
    return status == CUBLAS_STATUS_SUCCESS ? RS_OK : cublas_fail(with->api, status, name);
}

/* A pass that has been captured, and what for. */
struct captured {
    cudaGraphExec_t graph;
    rs_shape shape;
    unsigned char device_arrays[sizeof(arrays<double>)];
};

struct stepwise_state {
    products multiply;
    captured forward, backward;
};

static uint64_t align(uint64_t bytes) { return rs_size_add(bytes, 255) / 256 * 256; }

template <typename real> struct layout {
    uint64_t slopes, states, ranges;

    explicit layout(const rs_shape *shape) {
        uint64_t const columns =
            rs_size_mul(shape->groups, rs_size_mul(shape->radii, shape->batch));
        uint64_t const traced = shape->nonlinearity == RS_LINEAR ? 0 : shape->steps;
        states = align(rs_size_mul(rs_size_mul(columns, shape->hidden), sizeof(real)));
        slopes = rs_size_mul(traced, states);
        ranges = align(rs_size_mul(columns, sizeof(column_range<real>)));
    }
    uint64_t total() const {
        return rs_size_add(rs_size_add(slopes, rs_size_add(ranges, WORKSPACE)),
                           rs_size_mul(2, states));
    }
    step_arrays<real> at(real *trace) const {
        unsigned char *base = (unsigned char *)trace + slopes;
        step_arrays<real> s;
        s.product = (real *)base;
        s.state = (real *)(base + states);
        s.range = (column_range<real> *)(base + 2 * states);
        s.workspace = base + 2 * states + ranges;
        return s;
    }
};

template <typename real> struct step_launcher {
    path_context *context;
    const products *multiply;
    problem p;
    arrays<real> a;
    step_arrays<real> s;
    dim3 grid;

    step_launcher(path_context *c, const rs_shape *shape, const arrays<real> &device)
        : context(c), multiply(&((stepwise_state *)c->state)->multiply), p(problem_of(shape)),
          a(device), s(layout<real>(shape).at(device.slope)),
          grid((unsigned)((p.columns + COLUMNS_PER_BLOCK - 1) / COLUMNS_PER_BLOCK * p.groups)) {}

    rs_status forward() const {
        RS_TRY(launch("start_forward", start_forward<real>, grid, dim3(THREADS), 0, context->stream,
                      p, a, s));
        for (int step = 0; step < p.warmup + p.steps; ++step) {
            /* Row-major W0 is column-major W0^T. */
            RS_TRY(gemm(multiply, CUBLAS_OP_T, &p, &a, a.forward_w, s.state, s.product));
            RS_TRY(launch("forward_step", forward_step<real>, grid, dim3(THREADS), 0,
                          context->stream, p, a, s, step));
        }
        return RS_OK;
    }
    rs_status backward() const {
        for (int t = p.steps; t > 0; --t) {
            RS_TRY(launch("backward_step", backward_step<real>, grid, dim3(THREADS), 0,
                          context->stream, p, a, s, t));
            if (t > 1)
                RS_TRY(gemm(multiply, CUBLAS_OP_N, &p, &a, a.backward_w, s.state, s.product));
        }
        return RS_OK;
    }
};

template <typename real>
static rs_status record(path_context *context, const rs_shape *shape, const arrays<real> &a,
                        bool back, cudaGraph_t *graph) {
    step_launcher<real> const launcher(context, shape, a);
    const products *multiply = launcher.multiply;
    CUBLAS_TRY(multiply->api, SetWorkspace(multiply->handle, launcher.s.workspace, WORKSPACE));
    CUDA_TRY(cudaStreamBeginCapture(context->stream, cudaStreamCaptureModeThreadLocal));
    rs_status const status = back ? launcher.backward() : launcher.forward();
    cudaError_t const error = cudaStreamEndCapture(context->stream, graph);
    if (status != RS_OK && error == cudaSuccess) (void)cudaGraphDestroy(*graph);
    RS_TRY(status);
    return error == cudaSuccess ? RS_OK : cuda_fail(error, "cudaStreamEndCapture");
}

/* Makes the graph of a pass anew unless it is the one that was made last. */
template <typename real>
static rs_status capture(path_context *context, const rs_shape *shape, const arrays<real> &a,
                         bool back, captured *kept) {
    bool const same = kept->graph && memcmp(&kept->shape, shape, sizeof *shape) == 0 &&
                      memcmp(kept->device_arrays, &a, sizeof a) == 0;
    if (same) return RS_OK;
    if (kept->graph) (void)cudaGraphExecDestroy(kept->graph);
    kept->graph = NULL;
    cudaGraph_t graph;
    RS_TRY(record(context, shape, a, back, &graph));
    cudaError_t const error = cudaGraphInstantiate(&kept->graph, graph, 0);
    (void)cudaGraphDestroy(graph);
    if (error != cudaSuccess) {
        kept->graph = NULL;
        return cuda_fail(error, "cudaGraphInstantiate");
    }
    kept->shape = *shape;
    memcpy(kept->device_arrays, &a, sizeof a);
    return RS_OK;
}

static void close_stepwise(path_context *context) {
    stepwise_state *state = (stepwise_state *)context->state;
    if (!state) return;
    if (state->forward.graph) (void)cudaGraphExecDestroy(state->forward.graph);
    if (state->backward.graph) (void)cudaGraphExecDestroy(state->backward.graph);
    if (state->multiply.handle) (void)state->multiply.api->Destroy(state->multiply.handle);
    free(state);
    context->state = NULL;
}

static rs_status make_state(path_context *context) {
    if (context->state) return RS_OK;
    stepwise_state *state = (stepwise_state *)calloc(1, sizeof *state);
    if (!state) return rs_fail(RS_EMEMORY, "engine cuda: no memory for a graph");
    context->state = state;
    rs_status const status = make_products(context->stream, &state->multiply);
    if (status != RS_OK) close_stepwise(context);
    return status;
}

static rs_status run(path_context *context, const rs_shape *shape, const void *a, bool back) {
    RS_TRY(make_state(context));
    stepwise_state *state = (stepwise_state *)context->state;
    captured *kept = back ? &state->backward : &state->forward;
    if (shape->precision == RS_F64)
        RS_TRY(capture(context, shape, *(const arrays<double> *)a, back, kept));
    else
        RS_TRY(capture(context, shape, *(const arrays<float> *)a, back, kept));
    CUDA_TRY(cudaGraphLaunch(kept->graph, context->stream));
    return RS_OK;
}

static rs_status forward(path_context *context, const rs_shape *shape, const void *a) {
    return run(context, shape, a, false);
}

static rs_status backward(path_context *context, const rs_shape *shape, const void *a) {
    return run(context, shape, a, true);
}

static bool takes(const device_limits *, const rs_shape *) { return true; }

static int padded(const device_limits *, const rs_shape *) { return 0; }

static uint64_t trace_bytes(const device_limits *, const rs_shape *shape) {
    return shape->precision == RS_F32 ? layout<float>(shape).total()
                                      : layout<double>(shape).total();
}

} // namespace

const cuda_path path_stepwise = {
    "stepwise", takes, takes, padded, true, trace_bytes, forward, backward, close_stepwise,
};
