/* The cluster path, for W0 beyond one processor's shared memory and columns too few to fill the
 * device with streamed tiles: a cluster of blocks owns a tile of columns through all steps. Each
 * block keeps its rows of W0 and all states of the tile in shared memory, and sends the states of
 * its rows to the others after every step. Sums run as on the persistent path: the same bits. */
#include "cluster.cuh"
#include "tile.cuh"

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

/* From a step's end to its arrival at the cluster's barrier a thread's slopes wait in shared
 * memory: global writes before the arrival would make the other blocks wait for them too. Their
 * room is that of the sums of squares, [2][padded / STRIP][width] doubles, which the forward pass
 * does not use: [rows][width] numbers need no more, because a block has at most half of the padded
 * rows. */
template <typename real, int RN>
__device__ static real *held_slopes(const shared_arrays<real> &s, const tiling &t,
                                    const place<RM, RN> &at) {
    return (real *)s.partial + at.local_row * t.width + at.local;
}

/* The block's rows of W0, which are columns of the packed weights. */
template <typename real>
__device__ static void load_rows(const shared_arrays<real> &s, const real *weights, const tiling &t,
                                 int rank, int hidden) {
    int const each = per_move<real>(), pieces = t.rows / each;
    for (int i = threadIdx.x; i < hidden * pieces; i += blockDim.x) {
        int const k = i / pieces, j = i % pieces * each;
        __pipeline_memcpy_async(s.w + k * t.rows + j, weights + k * t.padded + rank * t.rows + j,
                                16);
    }
    __pipeline_commit();
    __pipeline_wait_prior(0);
}

/* ---- the passes ------------------------------------------------------------------------------ */

/* The block's part of W times the tile's states. */
template <typename real, int RN>
__device__ static void product(const shared_arrays<real> &s, const real *state, const tiling &t,
                               int hidden, const place<RM, RN> &at, real acc[RM][RN]) {
    clear<real, RM, RN>(acc);
    multiply<real, RM, RN>(s.w + at.local_row, state + at.local, hidden, t.rows, t.width, acc);
}

template <typename real, int RN>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    cluster_forward_kernel(problem p, arrays<real> a, tiling t) {
    shared_arrays<real> const s = carve<real>(rs_shared, t);
    int const rank = cluster_rank(), buffer = t.padded * t.width;
    place<RM, RN> const at(p, t, rank);
    const real *h0 = a.start[0] + at.group * a.sheet_stride;
    real *const own = s.state + at.part(t);
    real scale[RN];
    at.scales(p, a.scale + at.group * a.scale_stride, scale);

#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j) own[i * t.width + j] = at.sample_value(p, h0, i, j);
    if ((int)threadIdx.x < t.width) s.nonfinite[threadIdx.x] = NEVER;
    load_rows(s, a.forward_w.of(at.group), t, rank, p.hidden);
    cluster_sync(); /* all blocks have begun */
    send<real, RM, RN>(own, t.width, rank, t.blocks);
    cluster_sync();

    int const all = p.warmup + p.steps;
    for (int step = 0, now = 0; step < all; ++step, now ^= 1) {
        const real *const drive = drive_at(p, a, at.group, step);
        real acc[RM][RN], u[STRIP][RN];
        load_drive<real, RM, RN>(p, at, drive, 0, u);
        product<real, RN>(s, s.state + now * buffer, t, p.hidden, at, acc);
        real *const next = own + (now ^ 1) * buffer, *const held = held_slopes(s, t, at);
        activate_part<real, RM, RN>(p, at, scale, drive, u, acc, step, t.width, next, held,
                                    s.nonfinite);
        send<real, RM, RN>(next, t.width, rank, t.blocks);
        cluster_arrive();
        size_t const trace = at.slope_at(p, t, step < p.warmup ? 0 : step - p.warmup);
        if (step >= p.warmup && p.cell != RS_LINEAR)
            keep_part<real, RM, RN>(held, t.width, a.kept + trace);
        if (step >= p.warmup && p.gradients)
            keep_part<real, RM, RN>(own + now * buffer, t.width, a.history + trace);
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

template <typename real, int RN>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    cluster_backward_kernel(problem p, arrays<real> a, tiling t) {
    shared_arrays<real> const s = carve<real>(rs_shared, t);
    int const rank = cluster_rank(), buffer = t.padded * t.width;
    place<RM, RN> const at(p, t, rank);
    const real *loss = a.loss + at.group * a.sheet_stride;
    bool const keeper = (int)threadIdx.x < t.width; /* looks after column threadIdx.x of the tile */
    column_range<real> range = column_range_start(a.own[at.group]);
    real scale[RN], delta[RM][RN];
    at.scales(p, a.scale + at.group * a.scale_stride, scale);
    if (keeper) s.norm_factor[threadIdx.x] = 1.0;
    load_rows(s, a.backward_w.of(at.group), t, rank, p.hidden);
    cluster_sync(); /* all blocks have begun */

#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j) delta[i][j] = at.sample_value(p, loss, i, j);
    real *slope = a.kept + at.slope_at(p, t, p.steps - 1);
    for (int step = p.steps, now = 0;; --step, now ^= 1) {
        double *const partial = s.partial + now * (buffer / STRIP);
        real *const own = s.state + now * buffer + at.part(t);
        begin_step<real, RM, RN>(p, at, t, slope, s.norm_factor, delta, false, partial, own);
        send<real, RM, RN>(own, t.width, rank, t.blocks);
        send<double, 1, RN>(partial + at.row / STRIP * t.width + at.local, 0, rank, t.blocks);
        cluster_sync();
        if (keeper) /* in every block: all go on with the same range */
            end_column(p, a, t, s, partial, at.group, at.tile * t.width + (int)threadIdx.x,
                       rank == 0, step, &range);
        if (p.gradients) keep_part<real, RM, RN>(own, t.width, slope);
        if (step == 1) break;
        slope -= at.slope_step(p, t);
        product<real, RN>(s, s.state + now * buffer, t, p.hidden, at, delta);
        __syncthreads();
        finish_delta<real, RM, RN>(p, at, s, scale, delta);
    }
}

/* ---- choosing and launching ------------------------------------------------------------------ */

template <typename real> static tiling tile_with(const rs_shape *shape, int blocks, int tc) {
    tiling t;
    int const rn = columns_of<real>(), strips = ((int)shape->hidden + RM - 1) / RM;
    int const tr = (strips + blocks - 1) / blocks;
    t.tc = tc;
    t.tr = tr < rn ? rn : tr; /* a thread for every column of the tile */
    t.threads = t.tr * tc;
    t.width = tc * rn;
    t.tiles = (int)((shape->radii * shape->batch + t.width - 1) / t.width);
    t.blocks = blocks;
    t.rows = t.tr * RM;
    t.padded = blocks * t.rows;
    t.w_rows = (int)shape->hidden;
    t.stages = t.stage_rows = 0;
    t.buffers = 2;
    t.resident = true;
    t.shared = shared_bytes<real>(&t);
    return t;
}

static bool fits(const device_limits *limits, const rs_shape *shape, const tiling *t) {
    return t->threads <= MOST_THREADS && t->shared <= limits->shared_most &&
           t->padded <= (int)shape->hidden + MOST_PADDING;
}

/* Blocks of the tiling that a processor holds at once, by registers and shared memory. */
static int blocks_together(const device_limits *limits, const tiling *t) {
    int most = 1;
    for (int blocks = 2; blocks <= MOST_TOGETHER; blocks *= 2)
        if (blocks * t->threads <= MOST_THREADS && t->shared <= shared_of(limits, blocks))
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

/* The cheapest tiling; among equals the smallest cluster and its widest tile. False where none
 * fits. */
template <typename real>
static bool choose(const device_limits *limits, const rs_shape *shape, tiling *out) {
    size_t least = SIZE_MAX;
    for (int blocks = 2; blocks <= MOST_CLUSTER; blocks *= 2)
        for (int tc = 16; tc >= 4; tc /= 2) {
            tiling const t = tile_with<real>(shape, blocks, tc);
            if (!fits(limits, shape, &t) || cost(limits, shape, &t) >= least) continue;
            least = cost(limits, shape, &t);
            *out = t;
        }
    return least < SIZE_MAX;
}

template <typename real> static bool takes(const device_limits *limits, const rs_shape *shape) {
    tiling t;
    return is_plain(shape) && shape->hidden <= 1024 && choose<real>(limits, shape, &t);
}

/* Where W0 fits one processor, or every processor gets a streamed tile, the persistent path needs
 * no exchange. Columns decide between these two alone, whose bits are the same. */
template <typename real> static bool suits(const device_limits *limits, const rs_shape *shape) {
    size_t const narrowest = 4 * columns_of<real>();
    size_t const alone = shape->hidden * (shape->hidden + narrowest) * sizeof(real);
    return shape->hidden < 512 && cuda_paths<real>::persistent.takes(limits, shape) &&
           alone > limits->shared_most && columns_in_all(shape) <= limits->processors * narrowest;
}

template <typename real>
static int padded(const device_limits *limits, const rs_shape *shape, bool) {
    tiling t;
    return choose<real>(limits, shape, &t) ? t.padded : 0;
}

template <typename real>
static trace_strides strides(const device_limits *limits, const rs_shape *shape, size_t) {
    tiling t;
    return choose<real>(limits, shape, &t) ? tile_strides(shape, &t) : trace_strides();
}

template <typename real>
static rs_status run(path_context *context, const rs_shape *shape, const arrays<real> &a,
                     const char *name, tile_kernel<real> kernel) {
    tiling t;
    if (!choose<real>(&context->limits, shape, &t))
        return rs_fail(RS_EINPUT, "engine cuda: path cluster does not take %zu units",
                       shape->hidden);
    return run_tiles(context, shape, a, t, name, kernel);
}

template <typename real>
static rs_status forward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    return run(context, shape, a, "cluster_forward_kernel",
               cluster_forward_kernel<real, columns_of<real>()>);
}

template <typename real>
static rs_status backward(path_context *context, const rs_shape *shape, const arrays<real> &a) {
    return run(context, shape, a, "cluster_backward_kernel",
               cluster_backward_kernel<real, columns_of<real>()>);
}

/* A kernel that was compiled for devices without clusters, whose PTX the driver has translated,
 * cannot run in them. */
static rs_status compiled_for_clusters(bool *out) {
    cudaFuncAttributes attributes;
    CUDA_TRY(cudaFuncGetAttributes(&attributes, cluster_forward_kernel<float, 4>));
    *out = attributes.ptxVersion >= 90;
    return RS_OK;
}

/* Blocks that fill their part of a processor: its shared memory, and its registers as far as
 * __launch_bounds__ promises. */
static rs_status ask_clusters_at_once(const device_limits *limits, int blocks, int together,
                                      int *out) {
    launch_config const how(dim3((unsigned)blocks), dim3(MOST_THREADS / together), blocks,
                            shared_of(limits, together), NULL);
    CUDA_TRY(cudaOccupancyMaxActiveClusters(out, cluster_forward_kernel<float, 4>, &how.config));
    return RS_OK;
}

} // namespace

rs_status ask_clusters(device_limits *limits) {
    bool able = false;
    RS_TRY(compiled_for_clusters(&able));
    if (!able) return RS_OK;
    CUDA_TRY(cudaFuncSetAttribute((const void *)cluster_forward_kernel<float, 4>,
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
