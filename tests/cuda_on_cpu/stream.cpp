#include "stream.h"

#include "api.h"

#include <chrono>
#include <deque>
#include <thread>
#include <vector>

using namespace cuda_on_cpu;

namespace cuda_on_cpu {

class Queue {
  public:
    uint64_t push(Work work) {
        waiting_.push_back(std::move(work));
        return ++pushed_;
    }
    uint64_t pushed() const { return pushed_; }
    bool has_done(uint64_t position) const { return done_ >= position; }

    /* A lost device does nothing more. Work may itself wait for earlier work of other queues. */
    void finish(uint64_t position) {
        while (done_ < position) {
            Work const work = std::move(waiting_.front());
            waiting_.pop_front();
            if (!device_lost()) work();
            ++done_;
        }
    }

  private:
    std::deque<Work> waiting_;
    uint64_t pushed_ = 0, done_ = 0;
};

/* One record of an event: a place in a queue, which may outlive stream and event. */
struct Mark {
    std::shared_ptr<Queue> queue;
    uint64_t position;
    std::chrono::steady_clock::time_point when;
};

} // namespace cuda_on_cpu

struct CUgraph_st {
    int device = 0;
    std::vector<Work> nodes;
};

struct CUgraphExec_st {
    int device = 0;
    std::vector<Work> nodes;
};

struct CUstream_st {
    int device = 0;
    std::shared_ptr<Queue> queue = std::make_shared<Queue>();
    bool non_blocking = false, invalidated = false;
    std::unique_ptr<CUgraph_st> capture;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal; /* of the capture */
    std::thread::id capturer;
};

struct CUevent_st {
    int device = 0;
    bool timed = true;
    std::shared_ptr<Mark> mark; /* none: never recorded */
};

static Handles<CUstream_st> streams;
static Handles<CUevent_st> events;
static Handles<CUgraph_st> graphs;
static Handles<CUgraphExec_st> graph_execs;

namespace cuda_on_cpu {

void finish(cudaStream_t stream) { stream->queue->finish(stream->queue->pushed()); }

void finish_all() {
    for (CUstream_st *stream : streams.all()) finish(stream);
}

static void finish_blocking() {
    for (CUstream_st *stream : streams.all())
        if (!stream->non_blocking && streams.has(stream)) finish(stream);
}

bool is_capturing(cudaStream_t stream) { return streams.has(stream) && stream->capture; }

cudaError_t refuse_in_capture() {
    cudaError_t error = cudaSuccess;
    for (CUstream_st *stream : streams.all())
        if (stream->capture && (stream->mode == cudaStreamCaptureModeGlobal ||
                                stream->capturer == std::this_thread::get_id())) {
            stream->invalidated = true;
            error = cudaErrorStreamCaptureUnsupported;
        }
    return error;
}

cudaError_t submit(cudaStream_t stream, Work work) {
    if (!stream) {
        if (cudaError_t const error = refuse_in_capture()) return error;
        finish_blocking();
        work();
    } else if (!streams.has(stream)) {
        return cudaErrorInvalidResourceHandle;
    } else if (stream->capture) {
        stream->capture->nodes.push_back(std::move(work));
    } else {
        stream->queue->push(std::move(work));
    }
    return cudaSuccess;
}

} // namespace cuda_on_cpu

/* ---- streams ------------------------------------------------------------------------------------
 */

static cudaError_t create_stream(const char *name, cudaStream_t *stream, unsigned flags) {
    return call(name, [&] {
        if (flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
        auto made = std::make_unique<CUstream_st>();
        made->non_blocking = flags == cudaStreamNonBlocking;
        *stream = streams.add(std::move(made));
        return cudaSuccess;
    });
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    return create_stream("cudaStreamCreate", stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
    return create_stream("cudaStreamCreateWithFlags", stream, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    return give_back("cudaStreamDestroy", [&] {
        if (!streams.has(stream)) return cudaErrorInvalidResourceHandle;
        finish(stream);
        streams.remove(stream);
        return cudaSuccess;
    });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return call("cudaStreamSynchronize", [&] {
        if (!stream) return submit(nullptr, [] {});
        if (!streams.has(stream)) return cudaErrorInvalidResourceHandle;
        if (cudaError_t const error = refuse_in_capture()) return error;
        finish(stream);
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceSynchronize() {
    return call("cudaDeviceSynchronize", [] {
        if (cudaError_t const error = refuse_in_capture()) return error;
        finish_all();
        return cudaSuccess;
    });
}

/* ---- events -------------------------------------------------------------------------------------
 */

static cudaError_t create_event(const char *name, cudaEvent_t *event, unsigned flags) {
    return call(name, [&] {
        if (flags != cudaEventDefault && flags != cudaEventDisableTiming)
            return cudaErrorInvalidValue;
        auto made = std::make_unique<CUevent_st>();
        made->timed = flags == cudaEventDefault;
        *event = events.add(std::move(made));
        return cudaSuccess;
    });
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
    return create_event("cudaEventCreate", event, cudaEventDefault);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
    return create_event("cudaEventCreateWithFlags", event, flags);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    return give_back("cudaEventDestroy", [&] {
        return events.remove(event) ? cudaSuccess : cudaErrorInvalidResourceHandle;
    });
}

/* Events are no part of a graph here. */
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return call("cudaEventRecord", [&] {
        if (!events.has(event) || (stream && !streams.has(stream)))
            return cudaErrorInvalidResourceHandle;
        if (is_capturing(stream)) return refuse_in_capture();
        auto const mark = std::make_shared<Mark>();
        if (stream) mark->queue = stream->queue;
        mark->position = stream ? stream->queue->pushed() + 1 : 0;
        event->mark = mark;
        return submit(stream, [mark] { mark->when = std::chrono::steady_clock::now(); });
    });
}

static void finish_mark(const Mark &mark) {
    if (mark.queue) mark.queue->finish(mark.position);
}

static bool is_done(const Mark &mark) { return !mark.queue || mark.queue->has_done(mark.position); }

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    return call("cudaStreamWaitEvent", [&] {
        if (!events.has(event)) return cudaErrorInvalidResourceHandle;
        if (flags != 0) return cudaErrorInvalidValue;
        if (is_capturing(stream)) return refuse_in_capture();
        return submit(stream, [mark = event->mark] {
            if (mark) finish_mark(*mark);
        });
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return call("cudaEventSynchronize", [&] {
        if (!events.has(event)) return cudaErrorInvalidResourceHandle;
        if (cudaError_t const error = refuse_in_capture()) return error;
        if (event->mark) finish_mark(*event->mark);
        return cudaSuccess;
    });
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
    return call("cudaEventElapsedTime", [&] {
        for (cudaEvent_t const event : {start, end})
            if (!events.has(event) || !event->timed || !event->mark)
                return cudaErrorInvalidResourceHandle;
        if (!is_done(*start->mark) || !is_done(*end->mark)) return cudaErrorNotReady;
        *milliseconds =
            std::chrono::duration<float, std::milli>(end->mark->when - start->mark->when).count();
        return cudaSuccess;
    });
}

/* ---- graphs -------------------------------------------------------------------------------------
 */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    return call("cudaStreamBeginCapture", [&] {
        if (!stream || is_capturing(stream)) return cudaErrorStreamCaptureUnsupported;
        if (!streams.has(stream)) return cudaErrorInvalidResourceHandle;
        stream->capture = std::make_unique<CUgraph_st>();
        stream->invalidated = false;
        stream->mode = mode;
        stream->capturer = std::this_thread::get_id();
        return cudaSuccess;
    });
}

/* The capture ends, whatever is reported. */
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    return give_back("cudaStreamEndCapture", [&] {
        *graph = nullptr;
        if (!streams.has(stream)) return cudaErrorInvalidResourceHandle;
        std::unique_ptr<CUgraph_st> captured = std::move(stream->capture);
        if (!captured) return cudaErrorInvalidValue;
        if (stream->invalidated) return cudaErrorStreamCaptureInvalidated;
        *graph = graphs.add(std::move(captured));
        return cudaSuccess;
    });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags) {
    return call("cudaGraphInstantiate", [&] {
        if (!graphs.has(graph)) return cudaErrorInvalidResourceHandle;
        if (flags != 0) return cudaErrorInvalidValue;
        auto made = std::make_unique<CUgraphExec_st>();
        made->nodes = graph->nodes;
        *exec = graph_execs.add(std::move(made));
        return cudaSuccess;
    });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    return call("cudaGraphLaunch", [&] {
        if (!graph_execs.has(exec)) return cudaErrorInvalidResourceHandle;
        return submit(stream, [nodes = exec->nodes] {
            for (const Work &node : nodes) node();
        });
    });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    return give_back("cudaGraphDestroy", [&] {
        return graphs.remove(graph) ? cudaSuccess : cudaErrorInvalidResourceHandle;
    });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    return give_back("cudaGraphExecDestroy", [&] {
        return graph_execs.remove(exec) ? cudaSuccess : cudaErrorInvalidResourceHandle;
    });
}
