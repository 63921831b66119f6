/* The persistent path: a block owns a tile of columns through all steps. Its states live in shared
 * memory, and so does W0 where it fits; otherwise W0 streams through shared memory from L2, a few
 * rows at a time, ahead of the arithmetic. Blocks never talk to each other. */
#include "stream.cuh"

namespace {

/* Rows of the product that a thread holds: with eight, a number from shared memory is multiplied
 * more often; with four there are twice the warps. */
enum { SHORT = 4, TALL = 8 };

/* ---- the product ----------------------------------------------------------------------------- */

/* The thread's part of W times the tile's states. Ends with all threads past their last read.
 * `another`: this is not the last product. */
template <typename real, int RM, int RN>
__device__ static void product(const shared_arrays<real> &s, weight_stream<real> &stream,
                               const tiling &t, int hidden, const place<RM, RN> &at, bool another,
                               real acc[RM][RN]) {
    clear<real, RM, RN>(acc);
    if (t.resident)
        multiply<real, RM, RN>(s.w + at.row, s.state + at.local, hidden, t.padded, t.width, acc);
    for (int k = 0; !t.resident && k < hidden; k += t.stage_rows) {
        const real *const rows = stream.take(k, another);
        int const count = hidden - k < t.stage_rows ? hidden - k : t.stage_rows;
        multiply<real, RM, RN>(rows + at.row, s.state + k * t.width + at.local, count, t.padded,
                               t.width, acc);
        stream.give_back();
    }
    __syncthreads();
}

template <typename real>
__device__ static void load_resident(const shared_arrays<real> &s, const real *weights,
                                     const tiling &t, int hidden) {
    if (!t.resident) return;
    fetch(s.w, weights, hidden * t.padded);
    __pipeline_wait_prior(0);
    __syncthreads();
}

/* ---- the passes ------------------------------------------------------------------------------ */

/* Whether the drive is on its way during the product. Copies by all threads take the registers that
 * it needs there beside TALL rows. */
template <int RM> __device__ constexpr bool drive_is_early() { return RS_SM90 || RM < TALL; }

template <typename real, int RM, int RN>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    forward_kernel(problem p, arrays<real> a, tiling t) {
    shared_arrays<real> const s = carve<real>(rs_shared, t);
    place<RM, RN> const at(p, t, 0);
    const real *weights = a.forward_w.of(at.group);
    const real *h0 = a.start[0] + at.group * a.sheet_stride;
    real *state = s.state + at.part(t);
    real scale[RN];
    at.scales(p, a.scale + at.group * a.scale_stride, scale);

#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j) state[i * t.width + j] = at.sample_value(p, h0, i, j);
    if ((int)threadIdx.x < t.width) s.nonfinite[threadIdx.x] = NEVER;
    load_resident(s, weights, t, p.hidden);
    int const all = p.warmup + p.steps;
    weight_stream<real> stream(s, weights, t, p.hidden, true);
    __syncthreads();

    for (int step = 0; step < all; ++step) {
        const real *const drive = drive_at(p, a, at.group, step);
        size_t const trace = at.slope_at(p, t, step < p.warmup ? 0 : step - p.warmup);
        real acc[RM][RN], u[STRIP][RN];
        if (p.gradients && step >= p.warmup)
            keep_part<real, RM, RN>(state, t.width, a.history + trace);
        if (drive_is_early<RM>()) load_drive<real, RM, RN>(p, at, drive, 0, u);
        product<real, RM, RN>(s, stream, t, p.hidden, at, step + 1 < all, acc);
        if (!drive_is_early<RM>()) load_drive<real, RM, RN>(p, at, drive, 0, u);
        activate_part<real, RM, RN>(p, at, scale, drive, u, acc, step, t.width, state,
                                    a.kept + trace, s.nonfinite);
        __syncthreads();
    }
    int const column = at.tile * t.width + threadIdx.x;
    if ((int)threadIdx.x < t.width && column < p.columns)
        a.nonfinite[at.group * p.columns + column] = s.nonfinite[threadIdx.x];
}

template <typename real, int RM, int RN>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    backward_kernel(problem p, arrays<real> a, tiling t) {
    shared_arrays<real> const s = carve<real>(rs_shared, t);
    place<RM, RN> const at(p, t, 0);
    const real *weights = a.backward_w.of(at.group);
    const real *loss = a.loss + at.group * a.sheet_stride;
    bool const keeper = (int)threadIdx.x < t.width; /* looks after column threadIdx.x of the tile */
    column_range<real> range = column_range_start(a.own[at.group]);
    real scale[RN], delta[RM][RN];
    at.scales(p, a.scale + at.group * a.scale_stride, scale);
    if (keeper) s.norm_factor[threadIdx.x] = 1.0;
    load_resident(s, weights, t, p.hidden);
    weight_stream<real> stream(s, weights, t, p.hidden, p.steps > 1);
    __syncthreads();

#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j) delta[i][j] = at.sample_value(p, loss, i, j);
    real *slope = a.kept + at.slope_at(p, t, p.steps - 1);
    for (int step = p.steps;; --step) {
        begin_step<real, RM, RN>(p, at, t, slope, s.norm_factor, delta, p.gradients, s.partial,
                                 s.state + at.part(t));
        __syncthreads();
        if (keeper)
            end_column(p, a, t, s, s.partial, at.group, at.tile * t.width + (int)threadIdx.x, true,
                       step, &range);
        if (step == 1) break;
        slope -= at.slope_step(p, t);
        product<real, RM, RN>(s, stream, t, p.hidden, at, step > 2, delta);
        finish_delta<real, RM, RN>(p, at, s, scale, delta);
    }
}

/* ---- choosing and launching ------------------------------------------------------------------ */

enum { SCHEDULERS = 4 };

/* A ring for W0 beside the states: the most stages and the longest that fit. The least is taken
 * where none does. It is shorter than W0, which else would fit as a whole. */
template <typename real> static void make_ring(const device_limits *limits, tiling *t) {
    static const struct { int stages, rows; } rings[] = {{4, 16}, {4, 8}, {3, 8}, {2, 8}};
    for (auto const &ring : rings) {
        t->stages = ring.stages;
        t->stage_rows = ring.rows;
        t->w_rows = ring.stages * ring.rows;
        t->shared = shared_bytes<real>(t);
        if (t->shared <= limits->shared_most) return;
    }
}

template <typename real>
static tiling tile_with(const device_limits *limits, const rs_shape *shape, int rm, int tc) {
    tiling t;
    int const rn = columns_of<real>(), tr = ((int)shape->hidden + rm - 1) / rm;
    t.tc = tc;
    t.tr = tr < rn ? rn : tr; /* a thread for every column of the tile */
    t.threads = t.tr * tc;
    t.width = tc * rn;
    t.tiles = (int)((shape->radii * shape->batch + t.width - 1) / t.width);
    t.blocks = 1;
    t.padded = t.rows = t.tr * rm;
    t.buffers = 1;
    t.w_rows = (int)shape->hidden;
    t.stages = t.stage_rows = 0;
    t.shared = shared_bytes<real>(&t);
    t.resident = t.shared <= limits->shared_most;
    if (!t.resident) make_ring<real>(limits, &t);
    return t;
}

static bool fits(const device_limits *limits, const tiling *t) {
    return t->threads <= MOST_THREADS && t->shared <= limits->shared_most;
}

/* Wide tiles use each row of W0 more often; narrow ones give every processor a tile. The narrowest
 * where none that fits does both. */
template <typename real>
static tiling widest(const device_limits *limits, const rs_shape *shape, int rm) {
    for (int tc = 16; tc > 4; tc /= 2) {
        tiling const t = tile_with<real>(limits, shape, rm, tc);
        if (fits(limits, &t) && (size_t)t.tiles * shape->groups >= (size_t)limits->processors)
            return t;
    }
    return tile_with<real>(limits, shape, rm, 4);
}

/* Threads that run on a processor at once, where the work is spread evenly. The launch bounds give
 * registers for MOST_THREADS. */
static int threads_at_once(const device_limits *limits, const rs_shape *shape, const tiling *t) {
    size_t const all = (size_t)t->tiles * shape->groups;
    size_t const share = (all + limits->processors - 1) / limits->processors;
    size_t const room = limits->shared_processor / (t->shared + limits->shared_reserved);
    size_t const most = (size_t)MOST_THREADS / t->threads;
    size_t const blocks = share < room ? share : room;
    return (int)(blocks < most ? blocks : most) * t->threads;
}

/* Tall parts for large H, unless they leave a scheduler fewer than two warps. No bit depends on
 * it. */
template <typename real> static tiling choose(const device_limits *limits, const rs_shape *shape) {
    tiling const short_parts = widest<real>(limits, shape, SHORT);
    if (sizeof(real) > sizeof(float) || shape->hidden <= 32) return short_parts;
    tiling const tall_parts = widest<real>(limits, shape, TALL);
    bool const starved = threads_at_once(limits, shape, &tall_parts) < 2 * SCHEDULERS * WARP;
    return starved && fits(limits, &short_parts) ? short_parts : tall_parts;
}

static int rows_of(const tiling *t) { return t->rows / t->tr; }

/* If a tile of any width fits, then the narrowest does: no more columns change the answer. */
template <typename real> static bool takes(const device_limits *limits, const rs_shape *shape) {
    if (!is_plain(shape) || shape->hidden > 4096)
        return false; /* keeps the sums below inside int */
    tiling const t = choose<real>(limits, shape);
    return fits(limits, &t);
}

/* Beyond, the stepwise path's larger tiles use each number more often once it is on the processor:
 * from 512 units of f64 on, and of f32 where not even half the widest tile fits. By H, precision
 * and device alone: the stepwise path sums norms in another order. */
template <typename real> static bool suits(const device_limits *limits, const rs_shape *shape) {
    if (shape->hidden < 512) return true;
    if (shape->hidden > 512 || sizeof(real) > sizeof(float)) return false;
    tiling const half = tile_with<real>(limits, shape, TALL, 8);
    return fits(limits, &half);
}

template <typename real>
static int padded(const device_limits *limits, const rs_shape *shape, bool) {
    return choose<real>(limits, shape).padded;
}

template <typename real>
static trace_strides strides(const device_limits *limits, const rs_shape *shape, size_t) {
    tiling const t = choose<real>(limits, shape);
    return tile_strides(shape, &t);
}

/* The kernel for parts of so many rows; f64 has short ones alone. */
static tile_kernel<float> forward_of(float, int rows) {
    return rows == TALL ? forward_kernel<float, TALL, 4> : forward_kernel<float, SHORT, 4>;
}
static tile_kernel<double> forward_of(double, int) { return forward_kernel<double, SHORT, 2>; }
static tile_kernel<float> backward_of(float, int rows) {
    return rows == TALL ? backward_kernel<float, TALL, 4> : backward_kernel<float, SHORT, 4>;
}
static tile_kernel<double> backward_of(double, int) { return backward_kernel<double, SHORT, 2>; }

template <typename real>
static rs_status forward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    tiling const t = choose<real>(&context->limits, shape);
    return run_tiles(context, shape, a, t, "forward_kernel", forward_of(real(), rows_of(&t)));
}

template <typename real>
static rs_status backward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    tiling const t = choose<real>(&context->limits, shape);
    return run_tiles(context, shape, a, t, "backward_kernel", backward_of(real(), rows_of(&t)));
}

} // namespace

template <typename real>
const cuda_path<real> cuda_paths<real>::persistent = {
    "persistent",  takes<real>, suits<real>,   padded<real>,   tile_sheet,
    strides<real>, no_scratch,  forward<real>, backward<real>,
};
template const cuda_path<float> cuda_paths<float>::persistent;
template const cuda_path<double> cuda_paths<double>::persistent;
