/* What all functions of the runtime share: one lock, planned failures, the last error, and things
 * that are handed out and must come back. */
#ifndef CUDA_ON_CPU_API_H
#define CUDA_ON_CPU_API_H

#include "include/cuda_runtime.h"

#include <memory>
#include <mutex>
#include <set>

namespace cuda_on_cpu {

std::mutex &api_lock();

/* The failure that is due in this call, if any. */
cudaError_t due_failure(const char *call);

int device_count();
int current_device(); /* the calling thread's */

bool device_lost();
cudaError_t remember(cudaError_t error); /* for cudaGetLastError; returns it */

/* Things held: see rs_cuda_on_cpu_held. */
void count_held(int change);

template <class Body> cudaError_t call(const char *name, Body body) {
    std::lock_guard<std::mutex> const lock(api_lock());
    cudaError_t const failure = due_failure(name);
    return remember(failure == cudaSuccess ? body() : failure);
}

/* For calls that give something back: they do so even when they report a failure, as the end of a
 * lost device's context would. */
template <class Body> cudaError_t give_back(const char *name, Body body) {
    std::lock_guard<std::mutex> const lock(api_lock());
    cudaError_t const failure = due_failure(name), result = body();
    return remember(failure == cudaSuccess ? result : failure);
}

/* The living objects of one type, so that a stale handle is an error and not a crash. Each belongs
 * to the device on which it was made, and is not to be had on others. */
template <class T> class Handles {
  public:
    T *add(std::unique_ptr<T> object) {
        object->device = current_device();
        count_held(1);
        T *const handle = object.release();
        living_.insert(handle);
        return handle;
    }
    bool has(T *object) const {
        return living_.count(object) != 0 && object->device == current_device();
    }
    bool remove(T *object) {
        if (!has(object)) return false;
        living_.erase(object);
        count_held(-1);
        delete object;
        return true;
    }
    const std::set<T *> &all() const { return living_; }

  private:
    std::set<T *> living_;
};

} // namespace cuda_on_cpu

#endif
