/* The engine table: cuts a pass into pieces that fit the device and sends them through. Two lanes
 * take turns where there are several, so that one piece travels while the other is worked on. */
#include "cuda.h"

#include "check.cuh"
#include "clock.cuh"
#include "memory.cuh"
#include "piece.cuh"

#include "../base/sizes.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

namespace {

enum { LANES = 2 };

struct cuda_engine {
    int device; /* every entry point makes it the thread's own */
    loaded_weights weights;
    lane lanes[LANES];
    unsigned char *memory; /* the weights, and behind them that of all lanes */
    uint64_t size;
};

/* One run() under way. */
struct course {
    cuda_engine *self;
    const rs_pass *pass;
    rs_record *out;
    size_t lanes;           /* in use */
    size_t begun, finished; /* pieces */
    piece at[LANES];        /* what each lane works on */
};

/* ---- a piece's way --------------------------------------------------------------------------- */

lane *lane_of(course *c, size_t number) { return &c->self->lanes[number % c->lanes]; }

/* Queues all of it but the way back. Passes of different lanes do not overlap: each would only slow
 * the other, and neither could be timed. */
rs_status begin(course *c, const piece *p) {
    lane *on = lane_of(c, c->begun);
    marks const *m = &on->mark;
    cudaStream_t const stream = on->context.stream;
    CUDA_TRY(cudaEventRecord(m->send, stream));
    RS_TRY(piece_send(on, &c->self->weights, c->pass, p));
    CUDA_TRY(cudaEventRecord(m->sent, stream));
    if (c->lanes > 1 && c->begun > 0)
        CUDA_TRY(cudaStreamWaitEvent(stream, lane_of(c, c->begun - 1)->mark.end, 0));
    CUDA_TRY(cudaEventRecord(m->start, stream));
    RS_TRY(piece_run(on, p, false));
    CUDA_TRY(cudaEventRecord(m->forward, stream));
    if (p->shape.directions > 0) RS_TRY(piece_tangents(on, p, &c->out->qr_seconds));
    CUDA_TRY(cudaEventRecord(m->tangents, stream));
    RS_TRY(piece_run(on, p, true));
    CUDA_TRY(cudaEventRecord(m->backward, stream));
    if (p->shape.gradients) RS_TRY(piece_gradients(on, p));
    CUDA_TRY(cudaEventRecord(m->end, stream));
    c->at[c->begun++ % c->lanes] = *p;
    return RS_OK;
}

/* Of the tangents' way; what its QRs took is not in tangent_seconds. */
rs_status add_tangent_times(lane *on, rs_record *out) {
    RS_TRY(on->qr.read_all(&out->qr_seconds));
    return add_time(on->mark.forward, on->mark.tangents, &out->tangent_seconds);
}

rs_status receive(course *c, lane *on, const piece *p) {
    marks const *m = &on->mark;
    CUDA_TRY(cudaEventRecord(m->receive, on->context.stream));
    RS_TRY(piece_receive(on, c->pass, p, c->out));
    CUDA_TRY(cudaEventRecord(m->received, on->context.stream));
    CUDA_TRY(cudaEventSynchronize(m->received));
    RS_TRY(add_time(m->send, m->sent, &c->out->transfer_seconds));
    RS_TRY(add_time(m->start, m->forward, &c->out->forward_seconds));
    if (p->shape.directions > 0) RS_TRY(add_tangent_times(on, c->out));
    RS_TRY(add_time(m->tangents, m->backward, &c->out->backward_seconds));
    if (p->shape.gradients) RS_TRY(add_time(m->backward, m->end, &c->out->gradient_seconds));
    return add_time(m->receive, m->received, &c->out->transfer_seconds);
}

rs_status finish(course *c) {
    size_t const batch = c->pass->shape.batch, all = c->pass->shape.radii * batch;
    const piece *p = &c->at[c->finished % c->lanes];
    RS_TRY(receive(c, lane_of(c, c->finished), p));
    ++c->finished;
    size_t const done = p->first_radius * batch + p->first_sample + p->shape.radii * p->shape.batch;
    if (c->pass->tick && !c->pass->tick(c->pass->tick_arg, (double)done / (double)all))
        return rs_fail(RS_EINTERRUPTED, "engine cuda: interrupted");
    return RS_OK;
}

/* ---- a pass's way ---------------------------------------------------------------------------- */

/* Deals the memory behind the weights. One lane has all of it where that holds the pass, or must
 * hold the smallest piece. */
rs_status open_lanes(course *c) {
    cuda_engine *self = c->self;
    const device_limits *limits = &self->lanes[0].context.limits;
    uint64_t const begin = self->weights.bytes, rest = self->size - begin;
    uint64_t const part = rest / LANES / ALIGNMENT * ALIGNMENT;
    rs_shape smallest = c->pass->shape;
    smallest.radii = 1;
    if (!smallest.gradients) smallest.batch = 1;
    uint64_t all, least;
    RS_TRY(piece_bytes(limits, &c->pass->shape, &all));
    RS_TRY(piece_bytes(limits, &smallest, &least));
    c->lanes = all <= rest || least > part ? 1 : LANES;
    for (size_t i = 0; i < LANES; ++i) {
        if (i >= c->lanes) self->lanes[i].packed = packing(); /* lane 0 writes over them */
        self->lanes[i].memory = self->memory + begin + i * part;
        self->lanes[i].size = c->lanes == 1 ? rest : part;
    }
    return RS_OK;
}

rs_status fail_for_memory(const lane *on, const rs_shape *s, uint64_t needed) {
    return rs_fail(RS_EMEMORY,
                   "engine cuda: %s of %zu units and %zu steps needs %llu bytes, the device gave "
                   "%llu",
                   s->gradients
                       ? "one radius with weight gradients, which take all samples at once,"
                       : "one column",
                   s->hidden, s->steps, (unsigned long long)needed, (unsigned long long)on->size);
}

/* Runs the piece, or its halves where it does not fit a lane: radii first, then samples of a single
 * radius, unless their gradients are to be added up. */
rs_status run_within(course *c, const piece *p) {
    const lane *on = &c->self->lanes[0];
    uint64_t needed;
    RS_TRY(piece_bytes(&on->context.limits, &p->shape, &needed));
    if (needed <= on->size) {
        if (c->begun - c->finished == c->lanes) RS_TRY(finish(c));
        return begin(c, p);
    }
    piece first = *p, second = *p;
    bool const by_radius = p->shape.radii > 1;
    auto const size = by_radius ? &rs_shape::radii : &rs_shape::batch;
    auto const start = by_radius ? &piece::first_radius : &piece::first_sample;
    if (p->shape.*size == 1 || (!by_radius && p->shape.gradients))
        return fail_for_memory(on, &p->shape, needed);
    first.shape.*size = p->shape.*size / 2;
    second.shape.*size = p->shape.*size - first.shape.*size;
    second.*start += first.shape.*size;
    RS_TRY(run_within(c, &first));
    return run_within(c, &second);
}

rs_status run_all(course *c) {
    piece const whole = {c->pass->shape, 0, 0};
    RS_TRY(open_lanes(c));
    RS_TRY(run_within(c, &whole));
    while (c->finished < c->begun) RS_TRY(finish(c));
    return RS_OK;
}

rs_status load(void *handle, const rs_shape *shape, const rs_parameters *of) {
    cuda_engine *self = (cuda_engine *)handle;
    CUDA_TRY(cudaSetDevice(self->device));
    return weights_load(&self->lanes[0].host, self->memory, self->size, shape, of, &self->weights);
}

rs_status run(void *handle, const rs_pass *pass, rs_record *out) {
    course c = {};
    c.self = (cuda_engine *)handle;
    c.pass = pass;
    c.out = out;
    out->forward_seconds = out->backward_seconds = 0.0;
    out->gradient_seconds = out->transfer_seconds = 0.0;
    out->tangent_seconds = out->qr_seconds = 0.0;
    CUDA_TRY(cudaSetDevice(c.self->device));
    for (lane &on : c.self->lanes) on.qr.taken = on.qr.read = 0;
    rs_status const status = run_all(&c);
    out->tangent_seconds -= out->qr_seconds;
    if (status != RS_OK) /* nothing that was queued may outlive the pass's arrays */
        for (const lane &on : c.self->lanes) (void)cudaStreamSynchronize(on.context.stream);
    return status;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* Makes a device current, and at the end of its scope again the one that was so before. */
class visit {
  public:
    visit() = default;
    visit(const visit &) = delete;
    ~visit() {
        if (left_) (void)cudaSetDevice(before_);
    }
    rs_status enter(int device) {
        CUDA_TRY(cudaGetDevice(&before_));
        CUDA_TRY(cudaSetDevice(device));
        left_ = true;
        return RS_OK;
    }

  private:
    int before_ = 0;
    bool left_ = false;
};

/* Why no device can be counted. CUDA calls a missing driver one that is too old. */
rs_status fail_count(cudaError_t error) {
    int driver = 0, runtime = 0;
    (void)cudaGetLastError();
    if (error == cudaErrorNoDevice)
        return rs_fail(RS_EDEVICE, "engine cuda: no NVIDIA GPU is visible: use --engine cpu");
    if (error != cudaErrorInsufficientDriver)
        return rs_fail(RS_EDEVICE, "engine cuda: no device: %s: use --engine cpu",
                       cudaGetErrorString(error));
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    (void)cudaGetLastError();
    if (driver == 0)
        return rs_fail(RS_EDEVICE, "engine cuda: no NVIDIA driver found: use --engine cpu");
    return rs_fail(RS_EDEVICE,
                   "engine cuda: the NVIDIA driver is too old for this build: it has CUDA %d.%d, "
                   "the build needs %d.%d: use --engine cpu",
                   driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
}

/* RS_EDEVICE where there is no device of that index. */
rs_status find_device(size_t index) {
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaSuccess && count == 0) error = cudaErrorNoDevice;
    if (error != cudaSuccess) return fail_count(error);
    if (index < (size_t)count) return RS_OK;
    return rs_fail(RS_EDEVICE, "engine cuda: no device %zu: %d %s visible", index, count,
                   count == 1 ? "is" : "are");
}

void describe(const cudaDeviceProp *properties, rs_device *out) {
    snprintf(out->name, sizeof out->name, "%.*s", (int)sizeof out->name - 1, properties->name);
    snprintf(out->abilities, sizeof out->abilities,
             "compute capability %d.%d, %d processors, %zu KiB shared memory a block",
             properties->major, properties->minor, properties->multiProcessorCount,
             properties->sharedMemPerBlockOptin / 1024);
    out->threads = 1;
    /* Every processor's share: four warps a scheduler on the small path, eight tiles of 64 columns
     * on the persistent one. */
    out->columns_wanted = (size_t)properties->multiProcessorCount * 512;
}

rs_status device(size_t index, rs_device *out) {
    int driver, runtime;
    const char *path;
    cudaDeviceProp properties;
    size_t free_bytes, total_bytes;
    visit there;
    RS_TRY(wanted_path(&path));
    RS_TRY(find_device(index));
    RS_TRY(there.enter((int)index));
    CUDA_TRY(cudaGetDeviceProperties(&properties, (int)index));
    CUDA_TRY(cudaMemGetInfo(&free_bytes, &total_bytes));
    CUDA_TRY(cudaDriverGetVersion(&driver));
    CUDA_TRY(cudaRuntimeGetVersion(&runtime));
    *out = rs_device();
    describe(&properties, out);
    snprintf(out->identity, sizeof out->identity, "cuda%s%s", path ? "-" : "", path ? path : "");
    snprintf(out->driver, sizeof out->driver, "CUDA driver %d.%d, runtime %d.%d", driver / 1000,
             driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    out->free_bytes = free_bytes;
    return RS_OK;
}

/* The weights, and the whole pass as one piece. */
rs_status bytes_on(const device_limits *limits, const rs_shape *shape, uint64_t *out) {
    uint64_t pieces;
    if (shape->learns)
        return rs_fail(RS_EINPUT, "engine cuda: does not learn yet: use --engine reference");
    RS_TRY(piece_bytes(limits, shape, &pieces));
    *out = rs_size_add(weights_bytes(shape), pieces);
    return RS_OK;
}

rs_status bytes(size_t device, const rs_shape *shape, const rs_resources *, uint64_t *out) {
    device_limits limits;
    visit there;
    RS_TRY(find_device(device));
    RS_TRY(there.enter((int)device));
    RS_TRY(ask_limits((int)device, &limits));
    return bytes_on(&limits, shape, out);
}

/* All events of a lane. */
struct lane_events {
    enum { SINGLE = 11 };
    cudaEvent_t *event[SINGLE + 2 * part_clock::PAIRS];

    explicit lane_events(lane *on)
        : event{&on->mark.send,     &on->mark.sent,      &on->mark.start,    &on->mark.forward,
                &on->mark.tangents, &on->mark.backward,  &on->mark.end,      &on->mark.receive,
                &on->mark.received, &on->host.copied[0], &on->host.copied[1]} {
        for (int i = 0; i < part_clock::PAIRS; ++i) {
            event[SINGLE + 2 * i] = &on->qr.begin[i];
            event[SINGLE + 2 * i + 1] = &on->qr.end[i];
        }
    }
};

rs_status open_lane(lane *on, const device_limits *limits) {
    on->context.limits = *limits;
    CUDA_TRY(cudaStreamCreateWithFlags(&on->context.stream, cudaStreamNonBlocking));
    on->host.stream = on->context.stream;
    for (cudaEvent_t *event : lane_events(on).event) CUDA_TRY(cudaEventCreate(event));
    CUDA_TRY(cudaMallocHost((void **)&on->host.memory, 2 * PINNED_HALF));
    return RS_OK;
}

void close_lane(lane *on) {
    if (on->context.state) on->context.close(&on->context);
    for (cudaEvent_t *event : lane_events(on).event)
        if (*event) (void)cudaEventDestroy(*event);
    if (on->context.stream) (void)cudaStreamDestroy(on->context.stream);
    if (on->host.memory) (void)cudaFreeHost(on->host.memory);
}

/* A device that was lost cannot be tidied: what closing says is of no use to anyone. */
void close_cuda(void *handle) {
    cuda_engine *self = (cuda_engine *)handle;
    if (!self) return;
    (void)cudaSetDevice(self->device);
    for (lane &on : self->lanes) close_lane(&on);
    if (self->memory) (void)cudaFree(self->memory);
    free(self);
}

/* Takes `bytes`, or half, or a quarter, ...: run() cuts its work to what there is. */
rs_status allocate(cuda_engine *self, uint64_t bytes) {
    for (;; bytes /= 2) {
        cudaError_t const error = cudaMalloc((void **)&self->memory, (size_t)bytes);
        self->size = bytes;
        if (error == cudaSuccess) return RS_OK;
        self->memory = NULL;
        if (error != cudaErrorMemoryAllocation || bytes < 2 * ALIGNMENT)
            return cuda_fail(error, "cudaMalloc");
        (void)cudaGetLastError();
    }
}

rs_status fill_engine(cuda_engine *self, const rs_shape *largest) {
    device_limits limits;
    uint64_t needed = 0;
    RS_TRY(find_device((size_t)self->device));
    CUDA_TRY(cudaSetDevice(self->device));
    RS_TRY(ask_limits(self->device, &limits));
    RS_TRY(bytes_on(&limits, largest, &needed));
    if (needed >= SIZE_MAX) return rs_fail(RS_EMEMORY, "engine cuda: the pass is too large");
    for (lane &on : self->lanes) RS_TRY(open_lane(&on, &limits));
    return allocate(self, needed);
}

rs_status open_cuda(size_t device, const rs_shape *largest, const rs_resources *, void **handle) {
    cuda_engine *self = (cuda_engine *)calloc(1, sizeof *self);
    if (!self) return rs_fail(RS_EMEMORY, "engine cuda: no memory");
    self->device = device < INT_MAX ? (int)device : INT_MAX;
    rs_status const status = fill_engine(self, largest);
    if (status != RS_OK) {
        close_cuda(self);
        return status;
    }
    *handle = self;
    return RS_OK;
}

} // namespace

const rs_engine rs_engine_cuda = {
    "cuda", device, bytes, open_cuda, load, run, NULL, NULL, close_cuda,
};
