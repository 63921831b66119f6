#include "api.h"

#include "cuda_on_cpu.h"
#include "failure.h"

#include <string>
#include <vector>

namespace cuda_on_cpu {

struct PlannedFailure {
    std::string call; /* empty: any */
    uint64_t countdown;
    int error;
};

struct State {
    std::mutex lock;
    std::vector<PlannedFailure> planned;
    cudaError_t lost = cudaSuccess; /* why the device is gone */
    uint64_t calls = 0, held = 0;
    int devices = 1;
};

static State &state() {
    static State &only = *new State; /* outlives everything that may still use it */
    return only;
}

static thread_local cudaError_t last_error = cudaSuccess;
static thread_local int current = 0;

std::mutex &api_lock() { return state().lock; }

static bool loses_device(cudaError_t error) {
    return error == cudaErrorECCUncorrectable || error == cudaErrorIllegalAddress ||
           error == cudaErrorLaunchFailure;
}

int device_count() { return state().devices; }

int current_device() { return current; }

bool device_lost() { return state().lost != cudaSuccess; }

cudaError_t remember(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    if (loses_device(error)) state().lost = error;
    return error;
}

void count_held(int change) { state().held += static_cast<uint64_t>(change); }

/* Counts the call; the plan that is due in it, if any, is taken from the list. */
static bool take_due(const char *call, PlannedFailure *due) {
    auto &planned = state().planned;
    ++state().calls;
    bool found = false;
    for (size_t i = 0; i < planned.size();) {
        bool const meant = planned[i].call.empty() || planned[i].call == call;
        if (meant && --planned[i].countdown == 0) {
            *due = planned[i];
            found = true;
            planned.erase(planned.begin() + static_cast<std::ptrdiff_t>(i));
        } else {
            ++i;
        }
    }
    return found;
}

cudaError_t due_failure(const char *call) {
    PlannedFailure due;
    if (take_due(call, &due)) return static_cast<cudaError_t>(due.error);
    return state().lost;
}

} // namespace cuda_on_cpu

using namespace cuda_on_cpu;

void rs_cuda_on_cpu_reset(void) {
    std::lock_guard<std::mutex> const lock(api_lock());
    state().planned.clear();
    state().lost = last_error = cudaSuccess;
    state().calls = 0;
}

void rs_cuda_on_cpu_fail(const char *call, uint64_t nth, int error) {
    std::lock_guard<std::mutex> const lock(api_lock());
    state().planned.push_back({call ? call : "", nth, error});
}

void rs_cuda_on_cpu_set_devices(int count) {
    std::lock_guard<std::mutex> const lock(api_lock());
    if (count < 1 || count > 8) fail("rs_cuda_on_cpu_set_devices: not in 1 .. 8");
    state().devices = count;
}

uint64_t rs_cuda_on_cpu_calls(void) {
    std::lock_guard<std::mutex> const lock(api_lock());
    return state().calls;
}

uint64_t rs_cuda_on_cpu_held(void) {
    std::lock_guard<std::mutex> const lock(api_lock());
    return state().held;
}

cudaError_t cudaGetDeviceCount(int *count) {
    return call("cudaGetDeviceCount", [&] {
        *count = device_count();
        return cudaSuccess;
    });
}

extern "C" int rs_cuda_on_cpu_device(void) { return current; }

cudaError_t cudaGetDevice(int *device) {
    return call("cudaGetDevice", [&] {
        *device = current;
        return cudaSuccess;
    });
}

cudaError_t cudaSetDevice(int device) {
    return call("cudaSetDevice", [&] {
        if (device < 0 || device >= device_count()) return cudaErrorInvalidDevice;
        current = device;
        return cudaSuccess;
    });
}

/* A lost device stays lost, whoever asks. */
cudaError_t cudaPeekAtLastError() { return last_error; }

cudaError_t cudaGetLastError() {
    std::lock_guard<std::mutex> const lock(api_lock());
    cudaError_t const error = last_error;
    last_error = state().lost;
    return error;
}

struct ErrorText {
    cudaError_t error;
    const char *name, *text;
};

static const ErrorText error_texts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "driver is too old"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources",
     "too many resources requested for launch"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when a stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "the capture failed because of an earlier error"},
    {cudaErrorInvalidClusterSize, "cudaErrorInvalidClusterSize", "cluster misconfiguration"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

const char *cudaGetErrorName(cudaError_t error) {
    for (const ErrorText &known : error_texts)
        if (known.error == error) return known.name;
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
    for (const ErrorText &known : error_texts)
        if (known.error == error) return known.text;
    return "unrecognized error code";
}
