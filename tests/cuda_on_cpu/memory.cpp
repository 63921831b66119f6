#include "memory.h"

#include "api.h"
#include "cuda_on_cpu.h"
#include "stream.h"

#include <cstdlib>
#include <map>
#include <vector>

using namespace cuda_on_cpu;

/* Allocations of one kind, on one device or another. Fresh memory holds NaN bits. */
class Heap {
  public:
    void *allocate(size_t bytes) {
        void *memory = nullptr;
        if (posix_memalign(&memory, 256, bytes) != 0) return nullptr;
        std::memset(memory, 0xff, bytes);
        blocks_[static_cast<const char *>(memory)] = {bytes, current_device()};
        used_[current_device()] += bytes;
        count_held(1);
        return memory;
    }

    bool release(void *memory) {
        auto const block = blocks_.find(static_cast<const char *>(memory));
        if (block == blocks_.end() || block->second.device != current_device()) return false;
        used_[current_device()] -= block->second.bytes;
        blocks_.erase(block);
        count_held(-1);
        std::free(memory);
        return true;
    }

    /* Whether all of [memory, memory + bytes) lies in one allocation of the current device. */
    bool has(const void *memory, size_t bytes) const {
        const auto *const block = find(memory);
        if (!block || block->second.device != current_device()) return false;
        auto const offset = static_cast<size_t>(static_cast<const char *>(memory) - block->first);
        return bytes <= block->second.bytes - offset;
    }

    /* Whether any device has it. */
    bool has_anywhere(const void *memory) const { return find(memory) != nullptr; }

    uint64_t used() { return used_[current_device()]; }

  private:
    struct Block {
        size_t bytes;
        int device;
    };
    /* The allocation that the address lies in. */
    const std::pair<const char *const, Block> *find(const void *memory) const {
        auto const first = static_cast<const char *>(memory);
        auto block = blocks_.upper_bound(first);
        if (block == blocks_.begin()) return nullptr;
        --block;
        return static_cast<size_t>(first - block->first) < block->second.bytes ? &*block : nullptr;
    }

    std::map<const char *, Block> blocks_;
    std::map<int, uint64_t> used_;
};

static Heap device, pinned;
static uint64_t device_bytes = uint64_t{1} << 30;

void rs_cuda_on_cpu_set_memory(uint64_t bytes) {
    std::lock_guard<std::mutex> const lock(api_lock());
    device_bytes = bytes;
}

uint64_t cuda_on_cpu::device_memory() { return device_bytes; }

static size_t free_bytes() {
    return device_bytes > device.used() ? device_bytes - device.used() : 0;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
    return call("cudaMemGetInfo", [&] {
        *free = free_bytes();
        *total = device_bytes;
        return cudaSuccess;
    });
}

cudaError_t cudaMalloc(void **memory, size_t bytes) {
    return call("cudaMalloc", [&] {
        if (cudaError_t const error = refuse_in_capture()) return error;
        *memory = nullptr;
        if (bytes == 0) return cudaSuccess;
        if (bytes <= free_bytes()) *memory = device.allocate(bytes);
        return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
    });
}

cudaError_t cudaMallocHost(void **memory, size_t bytes) {
    return call("cudaMallocHost", [&] {
        if (cudaError_t const error = refuse_in_capture()) return error;
        *memory = bytes > 0 ? pinned.allocate(bytes) : nullptr;
        return *memory || bytes == 0 ? cudaSuccess : cudaErrorMemoryAllocation;
    });
}

/* All work is done first: some of it may use the memory. */
static cudaError_t release(const char *name, Heap *heap, void *memory) {
    return give_back(name, [&] {
        if (cudaError_t const error = refuse_in_capture()) return error;
        finish_all();
        return !memory || heap->release(memory) ? cudaSuccess : cudaErrorInvalidValue;
    });
}

cudaError_t cudaFree(void *memory) { return release("cudaFree", &device, memory); }

cudaError_t cudaFreeHost(void *memory) { return release("cudaFreeHost", &pinned, memory); }

/* ---- copies -------------------------------------------------------------------------------------
 */

struct Rows {
    void *to;
    size_t to_pitch;
    const void *from;
    size_t from_pitch, width, height;
};

static size_t extent(const Rows &rows, size_t pitch) {
    return (rows.height - 1) * pitch + rows.width;
}

static void copy_rows(const Rows &rows) {
    for (size_t i = 0; i < rows.height; ++i)
        std::memcpy(static_cast<char *>(rows.to) + i * rows.to_pitch,
                    static_cast<const char *>(rows.from) + i * rows.from_pitch, rows.width);
}

/* Memory that is neither the device's nor page-locked: a copy from it may be made before the call
 * returns, and a copy to it is. */
static bool is_pageable(const void *memory) {
    return !device.has(memory, 1) && !pinned.has(memory, 1);
}

static cudaError_t submit_from_pageable(const Rows &rows, cudaStream_t stream) {
    auto const kept = std::make_shared<std::vector<char>>(rows.width * rows.height);
    copy_rows({kept->data(), rows.width, rows.from, rows.from_pitch, rows.width, rows.height});
    return submit(stream, [rows, kept] {
        copy_rows({rows.to, rows.to_pitch, kept->data(), rows.width, rows.width, rows.height});
    });
}

static cudaError_t check(const Rows &rows, cudaMemcpyKind kind) {
    bool const to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool const from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDeviceToDevice)
        return cudaErrorInvalidMemcpyDirection;
    if (rows.width > rows.to_pitch || rows.width > rows.from_pitch) return cudaErrorInvalidValue;
    bool const to_fits = device.has(rows.to, extent(rows, rows.to_pitch));
    bool const from_fits = device.has(rows.from, extent(rows, rows.from_pitch));
    if (to_device ? !to_fits : device.has_anywhere(rows.to)) return cudaErrorInvalidValue;
    if (from_device ? !from_fits : device.has_anywhere(rows.from)) return cudaErrorInvalidValue;
    return cudaSuccess;
}

static cudaError_t copy(const Rows &rows, cudaMemcpyKind kind, cudaStream_t stream) {
    if (rows.width == 0 || rows.height == 0) return cudaSuccess;
    if (cudaError_t const error = check(rows, kind)) return error;
    if (is_capturing(stream)) return submit(stream, [rows] { copy_rows(rows); });
    if (is_pageable(rows.from)) return submit_from_pageable(rows, stream);
    if (cudaError_t const error = submit(stream, [rows] { copy_rows(rows); })) return error;
    if (stream && is_pageable(rows.to)) finish(stream);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    return call("cudaMemcpy", [&] {
        return copy({to, bytes, from, bytes, bytes, 1}, kind, nullptr);
    });
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    return call("cudaMemcpyAsync", [&] {
        return copy({to, bytes, from, bytes, bytes, 1}, kind, stream);
    });
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
    return call("cudaMemcpy2DAsync", [&] {
        return copy({to, to_pitch, from, from_pitch, width, height}, kind, stream);
    });
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream) {
    return call("cudaMemsetAsync", [&] {
        if (bytes == 0) return cudaSuccess;
        if (!device.has(memory, bytes)) return cudaErrorInvalidValue;
        return submit(stream, [=] { std::memset(memory, value, bytes); });
    });
}
