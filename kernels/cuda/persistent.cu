/* The persistent path: a block owns a tile of columns through all steps. Its states live in shared
 * memory, and so does W0 where it fits; otherwise W0 streams through shared memory from L2, a few
 * rows at a time, ahead of the arithmetic. Blocks never talk to each other. */
#include "stream.cuh"
#include "tile_cells.cuh"

namespace {

/* Rows of the product that a thread holds: with eight, a number from shared memory is multiplied
 * more often; with four there are twice the warps. */
enum { SHORT = 4, TALL = 8 };

/* ---- the product ----------------------------------------------------------------------------- */

/* The thread's part of W times the tile's states, added to acc. Ends with all threads past their
 * last read. `row`: its first one. `another`: this is not the last product. */
template <typename real, int RM, int RN, int GATES>
__device__ static void product(const shared_arrays<real> &s, weight_stream<real> &stream,
                               const tiling &t, int row, int local, bool another,
                               real acc[RM][RN]) {
    if (t.resident)
        multiply<real, RM, RN, GATES>(s.w + row, s.state + local, t.terms, t.padded, t.width, acc);
    for (int k = 0; !t.resident && k < t.terms; k += t.stage_rows) {
        const real *const rows = stream.take(k, another);
        int const count = t.terms - k < t.stage_rows ? t.terms - k : t.stage_rows;
        multiply<real, RM, RN, GATES>(rows + row, s.state + k * t.width + local, count, t.padded,
                                      t.width, acc);
        stream.give_back();
    }
    __syncthreads();
}

template <typename real>
__device__ static void load_resident(const shared_arrays<real> &s, const real *weights,
                                     const tiling &t) {
    if (!t.resident) return;
    fetch(s.w, weights, t.terms * t.padded);
    __pipeline_wait_prior(0);
    __syncthreads();
}

/* ---- the passes ------------------------------------------------------------------------------ */

/* Whether the drive is on its way during the product. Copies by all threads take the registers that
 * it needs there beside TALL rows. */
template <int RM> __device__ constexpr bool drive_is_early() { return RS_SM90 || RM < TALL; }

template <typename real, int RM, int RN, cell_kind KIND>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    forward_kernel(problem p, arrays<real> a, tiling t) {
    using part_type = forward_part<real, RM, RN, KIND>;
    using cell = cell_of_kind<KIND>;
    constexpr int units = part_type::UNITS;
    shared_arrays<real> const s = carve<real>(rs_shared, t);
    place<units, RN> const at(p, t, 0);
    const real *weights = a.forward_w.of(at.group);
    const real *h0 = a.start[0] + at.group * a.sheet_stride;
    real *state = s.state + at.part(t);
    part_type part(p, a, t, s, at);

#pragma unroll
    for (int i = 0; i < units; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j) state[i * t.width + j] = at.sample_value(p, h0, i, j);
    if ((int)threadIdx.x < t.width) s.nonfinite[threadIdx.x] = NEVER;
    load_resident(s, weights, t);
    int const all = p.warmup + p.steps;
    weight_stream<real> stream(s, weights, t, true);
    __syncthreads();

    for (int step = 0; step < all; ++step) {
        const real *const drive = drive_at(p, a, at.group, step);
        real acc[RM][RN];
        if (p.gradients && step >= p.warmup)
            keep_part<real, units, RN>(
                state, t.width,
                a.history + at.trace_at(p, t, trace_rows<1>(p, t), step - p.warmup));
        if (drive_is_early<RM>()) part.load_drive(p, at, drive);
        clear<real, RM, RN>(acc);
        product<real, RM, RN, rows_used<KIND>()>(s, stream, t, at.row * cell::SLOTS, at.local,
                                                 step + 1 < all, acc);
        if (!drive_is_early<RM>()) part.load_drive(p, at, drive);
        part.finish(p, a, t, s, at, drive, acc, step, state, state,
                    a.kept + at.trace_at(p, t, trace_rows<cell::KEPT>(p, t), p.kept_sheet(step)));
        __syncthreads();
    }
    int const column = at.tile * t.width + threadIdx.x;
    if ((int)threadIdx.x < t.width && column < p.columns)
        a.nonfinite[at.group * p.columns + column] = s.nonfinite[threadIdx.x];
}

template <typename real, int RM, int RN, cell_kind KIND>
__global__ void __launch_bounds__(most_back_threads(cell_of_kind<KIND>::GATES), 1)
    backward_kernel(problem p, arrays<real> a, tiling t) {
    using cell = cell_of_kind<KIND>;
    shared_arrays<real> const s = carve<real>(rs_shared, t);
    place<RM, RN> const at(p, t, 0);
    const real *weights = a.backward_w.of(at.group);
    const real *loss = a.loss + at.group * a.sheet_stride;
    bool const keeper = (int)threadIdx.x < t.width; /* looks after column threadIdx.x of the tile */
    int const rows = trace_rows<cell::KEPT>(p, t);
    column_range<real> range = column_range_start(a.own[at.group]);
    backward_part<real, RM, RN, KIND> part(p, a, t, s, at);
    real delta[RM][RN];
    if (keeper) s.norm_factor[threadIdx.x] = 1.0;
    load_resident(s, weights, t);
    weight_stream<real> stream(s, weights, t, p.steps > 1);
    __syncthreads();

#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j) delta[i][j] = at.sample_value(p, loss, i, j);
    real *kept = a.kept + at.trace_at(p, t, rows, p.steps - 1);
    for (int step = p.steps;; --step) {
        part.begin(p, a, t, s, at, kept, p.gradients, delta, s.partial,
                   s.state + at.row * cell::GATES * t.width + at.local);
        __syncthreads();
        if (keeper)
            end_column<cell::STATES>(p, a, t, s, s.partial, at.group,
                                     at.tile * t.width + (int)threadIdx.x, true, step, &range);
        if (step == 1) break;
        kept -= at.trace_step(p, t, rows);
        product<real, RM, RN, STRIP>(s, stream, t, at.row, at.local, step > 2, delta);
        part.finish(p, s, at, delta);
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

/* One pass's tiling. Threads of cells with several gates have short parts of the way back: their
 * rows are a quarter of the forward ones. */
template <typename real>
static tiling tile_with(const device_limits *limits, const rs_shape *shape, bool back, int rm,
                        int tc) {
    bool const plain = gates_of(shape) == 1;
    int const units = padded_units<real>(shape, plain ? rm : (int)STRIP, 1);
    tiling t = tiling_of<real>(shape, back, units, 1, back && !plain ? (int)SHORT : rm, tc);
    t.buffers = 1;
    t.shared = shared_bytes<real>(&t);
    t.resident = t.shared <= limits->shared_most;
    if (!t.resident) make_ring<real>(limits, &t);
    return t;
}

template <typename real>
static tilings tiles_with(const device_limits *limits, const rs_shape *shape, int rm, int tc) {
    return {tile_with<real>(limits, shape, false, rm, tc),
            tile_with<real>(limits, shape, true, rm, tc)};
}

static bool fits(const device_limits *limits, const tiling *t) {
    return t->threads <= t->most_threads && t->shared <= limits->shared_most;
}
static bool fit(const device_limits *limits, const tilings *t) {
    return fits(limits, &t->forward) && fits(limits, &t->back);
}

/* Wide tiles use each row of W0 more often; narrow ones give every processor a tile. The narrowest
 * where none that fits does both. */
template <typename real>
static tilings widest(const device_limits *limits, const rs_shape *shape, int rm) {
    for (int tc = 16; tc > 4; tc /= 2) {
        tilings const t = tiles_with<real>(limits, shape, rm, tc);
        if (fit(limits, &t) &&
            (size_t)t.forward.tiles * shape->groups >= (size_t)limits->processors)
            return t;
    }
    return tiles_with<real>(limits, shape, rm, 4);
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

/* Tall parts for many rows, unless they leave a scheduler fewer than two warps. No bit depends on
 * it. */
template <typename real> static tilings choose(const device_limits *limits, const rs_shape *shape) {
    tilings const short_parts = widest<real>(limits, shape, SHORT);
    bool const few = slots_of(shape) * shape->hidden <= 32;
    if (kind_of(shape) == LEAKY || few || (kind_of(shape) == PLAIN && sizeof(real) > sizeof(float)))
        return short_parts;
    tilings const tall_parts = widest<real>(limits, shape, TALL);
    int const threads = threads_at_once(limits, shape, &tall_parts.forward);
    bool const starved = threads < 2 * SCHEDULERS * WARP;
    return starved && fit(limits, &short_parts) ? short_parts : tall_parts;
}

static int rows_of(const tiling *t) { return t->rows / t->tr; }

/* If a tile of any width fits, then the narrowest does: no more columns change the answer. */
template <typename real> static bool takes(const device_limits *limits, const rs_shape *shape) {
    if (shape->hidden > 4096) return false; /* keeps the sums below inside int */
    tilings const t = choose<real>(limits, shape);
    return fit(limits, &t);
}

/* Beyond, the stepwise path's larger tiles use each number more often once it is on the processor:
 * from so many units of f64 on, and of f32 where not even half the widest tile fits. By H,
 * precision and device alone: the stepwise path sums norms in another order. */
template <typename real> static bool suits(const device_limits *limits, const rs_shape *shape) {
    size_t const many = many_units(shape);
    if (shape->hidden < many) return true;
    if (shape->hidden > many || sizeof(real) > sizeof(float)) return false;
    tilings const half = tiles_with<real>(limits, shape, TALL, 8);
    return fit(limits, &half);
}

template <typename real>
static int padded(const device_limits *limits, const rs_shape *shape, bool back) {
    tilings const t = choose<real>(limits, shape);
    return back ? t.back.padded : t.forward.padded;
}

template <typename real>
static trace_strides strides(const device_limits *limits, const rs_shape *shape, size_t rows) {
    tilings const t = choose<real>(limits, shape);
    return tile_strides(shape, &t.forward, rows);
}

/* Which kinds of cells have kernels with tall parts. */
template <typename real, cell_kind KIND> constexpr bool tall_forward() {
    return KIND == LSTM || KIND == GRU || (KIND == PLAIN && sizeof(real) == sizeof(float));
}
template <typename real, cell_kind KIND> constexpr bool tall_back() {
    return KIND == PLAIN && tall_forward<real, KIND>();
}

template <typename real, cell_kind KIND> static tile_kernel<real> forward_with(int rows) {
    constexpr int rn = columns_of<real>(), tall = tall_forward<real, KIND>() ? TALL : SHORT;
    return rows == TALL ? forward_kernel<real, tall, rn, KIND>
                        : forward_kernel<real, SHORT, rn, KIND>;
}
template <typename real, cell_kind KIND> static tile_kernel<real> backward_with(int rows) {
    constexpr int rn = columns_of<real>(), tall = tall_back<real, KIND>() ? TALL : SHORT;
    return rows == TALL ? backward_kernel<real, tall, rn, KIND>
                        : backward_kernel<real, SHORT, rn, KIND>;
}

template <typename real> static tile_kernel<real> forward_of(cell_kind kind, int rows) {
    switch (kind) {
    case LSTM: return forward_with<real, LSTM>(rows);
    case GRU: return forward_with<real, GRU>(rows);
    case LEAKY: return forward_with<real, LEAKY>(rows);
    default: return forward_with<real, PLAIN>(rows);
    }
}
template <typename real> static tile_kernel<real> backward_of(cell_kind kind, int rows) {
    switch (kind) {
    case LSTM: return backward_with<real, LSTM>(rows);
    case GRU: return backward_with<real, GRU>(rows);
    case LEAKY: return backward_with<real, LEAKY>(rows);
    default: return backward_with<real, PLAIN>(rows);
    }
}

template <typename real>
static rs_status forward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    tiling const t = choose<real>(&context->limits, shape).forward;
    return run_tiles(context, shape, a, t, "forward_kernel",
                     forward_of<real>(kind_of(shape), rows_of(&t)));
}

template <typename real>
static rs_status backward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    tiling const t = choose<real>(&context->limits, shape).back;
    return run_tiles(context, shape, a, t, "backward_kernel",
                     backward_of<real>(kind_of(shape), rows_of(&t)));
}

} // namespace

template <typename real>
const cuda_path<real> cuda_paths<real>::persistent = {
    "persistent",  takes<real>, suits<real>,   padded<real>,   tile_sheet,
    strides<real>, no_scratch,  forward<real>, backward<real>,
};
template const cuda_path<float> cuda_paths<float>::persistent;
template const cuda_path<double> cuda_paths<double>::persistent;
