/* The cluster path, for W0 beyond one processor's shared memory and columns too few to fill the
 * device with streamed tiles: a cluster of blocks owns a tile of columns through all steps. Each
 * block keeps its rows of W0 and all states of the tile in shared memory, and sends the states of
 * its rows to the others after every step. Sums run as on the persistent path: the same bits. */
#include "cluster.cuh"
#include "tile_cells.cuh"

namespace {

enum { RM = STRIP };

static int log2_of(int power) { return __builtin_ctz((unsigned)power); }

/* Bytes that each of so many blocks of one processor may have. */
static size_t shared_of(const device_limits *limits, int blocks) {
    size_t const part = limits->shared_processor / (size_t)blocks - limits->shared_reserved;
    return part < limits->shared_most ? part : limits->shared_most;
}

/* ---- between blocks -------------------------------------------------------------------------- */

/* The thread's own rows, `pitch` apart, to the same place in every other block. Each block begins
 * with its neighbour, so that they do not all write to one. */
template <typename T, int ROWS, int COLUMNS>
__device__ static void send(T *own, int pitch, int rank, int blocks) {
#pragma unroll 1
    for (int other = 1; other < blocks; ++other) {
        T *const peer = cluster_peer(own, (rank + other) % blocks);
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            T row[COLUMNS];
            load<T, COLUMNS>(own + i * pitch, row);
            store<T, COLUMNS>(peer + i * pitch, row);
        }
    }
}

/* The block's rows of W0, which are columns of the packed weights. */
template <typename real>
__device__ static void load_rows(const shared_arrays<real> &s, const real *weights, const tiling &t,
                                 int rank) {
    int const each = per_move<real>(), pieces = t.rows / each;
    for (int i = threadIdx.x; i < t.terms * pieces; i += blockDim.x) {
        int const k = i / pieces, j = i % pieces * each;
        __pipeline_memcpy_async(s.w + k * t.rows + j, weights + k * t.padded + rank * t.rows + j,
                                16);
    }
    __pipeline_commit();
    __pipeline_wait_prior(0);
}

/* ---- the passes ------------------------------------------------------------------------------ */

/* From a step's end to its arrival at the cluster's barrier what it keeps is held back: global
 * writes before the arrival would make the other blocks wait for them too. */
template <typename real, int RN, cell_kind KIND>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    cluster_forward_kernel(problem p, arrays<real> a, tiling t) {
    using part_type = forward_part<real, RM, RN, KIND>;
    using cell = cell_of_kind<KIND>;
    constexpr int units = part_type::UNITS;
    shared_arrays<real> const s = carve<real>(rs_shared, t);
    int const rank = cluster_rank(), buffer = state_numbers(t);
    place<units, RN> const at(p, t, rank);
    const real *h0 = a.start[0] + at.group * a.sheet_stride;
    real *const own = s.state + at.part(t);
    part_type part(p, a, t, s, at);

#pragma unroll
    for (int i = 0; i < units; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j) own[i * t.width + j] = at.sample_value(p, h0, i, j);
    if ((int)threadIdx.x < t.width) s.nonfinite[threadIdx.x] = NEVER;
    load_rows(s, a.forward_w.of(at.group), t, rank);
    cluster_sync(); /* all blocks have begun */
    send<real, units, RN>(own, t.width, rank, t.blocks);
    cluster_sync();

    int const all = p.warmup + p.steps;
    for (int step = 0, now = 0; step < all; ++step, now ^= 1) {
        const real *const drive = drive_at(p, a, at.group, step);
        real *const before = own + now * buffer, *const after = own + (now ^ 1) * buffer;
        real acc[RM][RN];
        part.load_drive(p, at, drive);
        clear<real, RM, RN>(acc);
        multiply<real, RM, RN, rows_used<KIND>()>(s.w + at.local_row * cell::SLOTS,
                                                  s.state + now * buffer + at.local, t.terms,
                                                  t.rows, t.width, acc);
        part.hold(p, a, t, s, at, drive, acc, step, before, after);
        send<real, units, RN>(after, t.width, rank, t.blocks);
        cluster_arrive();
        if (step >= p.warmup - p.transient)
            part.keep(p, t, s, at,
                      a.kept +
                          at.trace_at(p, t, trace_rows<cell::KEPT>(p, t), p.kept_sheet(step)));
        if (step >= p.warmup && p.gradients)
            keep_part<real, units, RN>(
                before, t.width,
                a.history + at.trace_at(p, t, trace_rows<1>(p, t), step - p.warmup));
        cluster_wait();
    }
    int const column = at.tile * t.width + threadIdx.x;
    if (rank == 0 && (int)threadIdx.x < t.width && column < p.columns) {
        unsigned first = NEVER;
        for (int block = 0; block < t.blocks; ++block) {
            unsigned const theirs = *cluster_peer(s.nonfinite + threadIdx.x, block);
            if (theirs < first) first = theirs;
        }
        a.nonfinite[at.group * p.columns + column] = first;
    }
    cluster_sync(); /* no block ends while another reads its memory */
}

/* The thread's part of what all blocks need: its rows of the state, and its strip's sums. */
template <typename real, int RN, cell_kind KIND>
__device__ static void send_step_back(const tiling &t, const place<RM, RN> &at, int rank,
                                      real *state, double *partial) {
    using cell = cell_of_kind<KIND>;
    send<real, RM * cell::GATES, RN>(state, t.width, rank, t.blocks);
#pragma unroll
    for (int k = 0; k < cell::STATES; ++k)
        send<double, 1, RN>(partial + (k * (t.units / STRIP) + at.row / STRIP) * t.width + at.local,
                            0, rank, t.blocks);
}

template <typename real, int RN, cell_kind KIND>
__global__ void __launch_bounds__(most_back_threads(cell_of_kind<KIND>::GATES), 1)
    cluster_backward_kernel(problem p, arrays<real> a, tiling t) {
    using part_type = backward_part<real, RM, RN, KIND>;
    using cell = cell_of_kind<KIND>;
    shared_arrays<real> const s = carve<real>(rs_shared, t);
    int const rank = cluster_rank(), buffer = state_numbers(t);
    place<RM, RN> const at(p, t, rank);
    const real *loss = a.loss + at.group * a.sheet_stride;
    bool const keeper = (int)threadIdx.x < t.width; /* looks after column threadIdx.x of the tile */
    int const rows = trace_rows<cell::KEPT>(p, t);
    column_range<real> range = column_range_start(a.own[at.group]);
    part_type part(p, a, t, s, at);
    real delta[RM][RN];
    if (keeper) s.norm_factor[threadIdx.x] = 1.0;
    load_rows(s, a.backward_w.of(at.group), t, rank);
    cluster_sync(); /* all blocks have begun */

#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j) delta[i][j] = at.sample_value(p, loss, i, j);
    real *kept = a.kept + at.trace_at(p, t, rows, p.steps - 1);
    for (int step = p.steps, now = 0;; --step, now ^= 1) {
        double *const partial = s.partial + now * sum_numbers(t);
        real *const state = s.state + now * buffer;
        real *const own = state + at.row * cell::GATES * t.width + at.local;
        part.begin(p, a, t, s, at, kept, p.gradients && !part_type::STATE_IS_Q, delta, partial,
                   own);
        send_step_back<real, RN, KIND>(t, at, rank, own, partial);
        cluster_sync();
        if (keeper) /* in every block: all go on with the same range */
            end_column<cell::STATES>(p, a, t, s, partial, at.group,
                                     at.tile * t.width + (int)threadIdx.x, rank == 0, step, &range);
        if (p.gradients && part_type::STATE_IS_Q) keep_part<real, RM, RN>(own, t.width, kept);
        if (step == 1) break;
        kept -= at.trace_step(p, t, rows);
        multiply<real, RM, RN>(s.w + at.local_row, state + at.local, t.terms, t.rows, t.width,
                               delta);
        __syncthreads();
        part.finish(p, s, at, delta);
    }
}

/* ---- choosing and launching ------------------------------------------------------------------ */

template <typename real>
static tiling tile_with(const rs_shape *shape, bool back, int blocks, int tc) {
    int const units = padded_units<real>(shape, RM, blocks);
    tiling t = tiling_of<real>(shape, back, units, blocks, RM, tc);
    t.buffers = 2;
    t.resident = true;
    t.shared = shared_bytes<real>(&t);
    return t;
}

template <typename real> static tilings tiles_with(const rs_shape *shape, int blocks, int tc) {
    return {tile_with<real>(shape, false, blocks, tc), tile_with<real>(shape, true, blocks, tc)};
}

static bool fits(const device_limits *limits, const tiling *t) {
    return t->threads <= t->most_threads && t->shared <= limits->shared_most;
}
static bool fit(const device_limits *limits, const rs_shape *shape, const tilings *t) {
    return fits(limits, &t->forward) && fits(limits, &t->back) &&
           t->forward.padded <= (int)(shape->hidden * slots_of(shape)) + MOST_PADDING;
}

/* Blocks of the tiling that a processor holds at once, by registers and shared memory. */
static int blocks_together(const device_limits *limits, const tiling *t) {
    int most = 1;
    for (int blocks = 2; blocks <= MOST_TOGETHER; blocks *= 2)
        if (blocks * t->threads <= t->most_threads && t->shared <= shared_of(limits, blocks))
            most = blocks;
    return most;
}

/* Steps of a processor's time, which works on four warps at once; SIZE_MAX where the device runs no
 * such cluster. */
static size_t cost(const device_limits *limits, const rs_shape *shape, const tiling *t) {
    int const together = blocks_together(limits, t);
    size_t const at_once = (size_t)limits->clusters_at_once[log2_of(t->blocks)][log2_of(together)];
    size_t const clusters = (size_t)t->tiles * shape->groups;
    if (at_once == 0) return SIZE_MAX;
    size_t const wave = clusters < at_once ? clusters : at_once,
                 waves = (clusters + at_once - 1) / at_once;
    size_t const held = (wave * t->blocks + limits->processors - 1) / limits->processors;
    return waves * ((held * t->threads + 4 * WARP - 1) / (4 * WARP));
}

/* Of both passes. */
static size_t cost(const device_limits *limits, const rs_shape *shape, const tilings *t) {
    size_t const forward = cost(limits, shape, &t->forward), back = cost(limits, shape, &t->back);
    return forward < SIZE_MAX && back < SIZE_MAX ? forward + back : SIZE_MAX;
}

/* The cheapest tiling; among equals the smallest cluster and its widest tile. False where none
 * fits. */
template <typename real>
static bool choose(const device_limits *limits, const rs_shape *shape, tilings *out) {
    size_t least = SIZE_MAX;
    for (int blocks = 2; blocks <= MOST_CLUSTER; blocks *= 2)
        for (int tc = 16; tc >= 4; tc /= 2) {
            tilings const t = tiles_with<real>(shape, blocks, tc);
            if (!fit(limits, shape, &t) || cost(limits, shape, &t) >= least) continue;
            least = cost(limits, shape, &t);
            *out = t;
        }
    return least < SIZE_MAX;
}

template <typename real> static bool takes(const device_limits *limits, const rs_shape *shape) {
    tilings t;
    return shape->hidden <= 1024 && choose<real>(limits, shape, &t);
}

/* Where W0 fits one processor, or every processor gets a streamed tile, the persistent path needs
 * no exchange. Columns decide between these two alone, whose bits are the same. */
template <typename real> static bool suits(const device_limits *limits, const rs_shape *shape) {
    size_t const narrowest = 4 * columns_of<real>(), rows = slots_of(shape) * shape->hidden;
    size_t const alone = shape->hidden * (rows + narrowest) * sizeof(real);
    return shape->hidden < many_units(shape) && cuda_paths<real>::persistent.takes(limits, shape) &&
           alone > limits->shared_most && columns_in_all(shape) <= limits->processors * narrowest;
}

template <typename real>
static int padded(const device_limits *limits, const rs_shape *shape, bool back) {
    tilings t;
    if (!choose<real>(limits, shape, &t)) return 0;
    return back ? t.back.padded : t.forward.padded;
}

template <typename real>
static trace_strides strides(const device_limits *limits, const rs_shape *shape, size_t rows) {
    tilings t;
    return choose<real>(limits, shape, &t) ? tile_strides(shape, &t.forward, rows)
                                           : trace_strides();
}

template <typename real> static tile_kernel<real> forward_of(cell_kind kind) {
    constexpr int rn = columns_of<real>();
    switch (kind) {
    case LSTM: return cluster_forward_kernel<real, rn, LSTM>;
    case GRU: return cluster_forward_kernel<real, rn, GRU>;
    case LEAKY: return cluster_forward_kernel<real, rn, LEAKY>;
    default: return cluster_forward_kernel<real, rn, PLAIN>;
    }
}
template <typename real> static tile_kernel<real> backward_of(cell_kind kind) {
    constexpr int rn = columns_of<real>();
    switch (kind) {
    case LSTM: return cluster_backward_kernel<real, rn, LSTM>;
    case GRU: return cluster_backward_kernel<real, rn, GRU>;
    case LEAKY: return cluster_backward_kernel<real, rn, LEAKY>;
    default: return cluster_backward_kernel<real, rn, PLAIN>;
    }
}

template <typename real>
static rs_status run(path_context *context, const rs_shape *shape, const arrays<real> &a,
                     bool back) {
    tilings t;
    if (!choose<real>(&context->limits, shape, &t))
        return rs_fail(RS_EINPUT, "engine cuda: path cluster does not take %zu units",
                       shape->hidden);
    cell_kind const kind = kind_of(shape);
    return back ? run_tiles(context, shape, a, t.back, "cluster_backward_kernel",
                            backward_of<real>(kind))
                : run_tiles(context, shape, a, t.forward, "cluster_forward_kernel",
                            forward_of<real>(kind));
}

template <typename real>
static rs_status forward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    return run(context, shape, a, false);
}

template <typename real>
static rs_status backward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    return run(context, shape, a, true);
}

/* A kernel that was compiled for devices without clusters, whose PTX the driver has translated,
 * cannot run in them. */
static rs_status compiled_for_clusters(bool *out) {
    cudaFuncAttributes attributes;
    CUDA_TRY(cudaFuncGetAttributes(&attributes, cluster_forward_kernel<float, 4, PLAIN>));
    *out = attributes.ptxVersion >= 90;
    return RS_OK;
}

/* Blocks that fill their part of a processor: its shared memory, and its registers as far as
 * __launch_bounds__ promises. */
static rs_status ask_clusters_at_once(const device_limits *limits, int blocks, int together,
                                      int *out) {
    launch_config const how(dim3((unsigned)blocks), dim3(MOST_THREADS / together), blocks,
                            shared_of(limits, together), NULL);
    CUDA_TRY(
        cudaOccupancyMaxActiveClusters(out, cluster_forward_kernel<float, 4, PLAIN>, &how.config));
    return RS_OK;
}

} // namespace

rs_status ask_clusters(device_limits *limits) {
    bool able = false;
    RS_TRY(compiled_for_clusters(&able));
    if (!able) return RS_OK;
    CUDA_TRY(cudaFuncSetAttribute((const void *)cluster_forward_kernel<float, 4, PLAIN>,
                                  cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  (int)limits->shared_most));
    for (int blocks = 2; blocks <= MOST_CLUSTER; blocks *= 2)
        for (int together = 1; together <= MOST_TOGETHER; together *= 2)
            RS_TRY(ask_clusters_at_once(
                limits, blocks, together,
                &limits->clusters_at_once[log2_of(blocks)][log2_of(together)]));
    return RS_OK;
}

template <typename real>
const cuda_path<real> cuda_paths<real>::cluster = {
    "cluster",     takes<real>, suits<real>,   padded<real>,   tile_sheet,
    strides<real>, no_scratch,  forward<real>, backward<real>,
};
template const cuda_path<float> cuda_paths<float>::cluster;
template const cuda_path<double> cuda_paths<double>::cluster;
