/* The words of CUDA's device code, for a C++ compiler: keywords, vector types, indices, barriers,
 * warp primitives, atomics. What has to wait for other threads ends in meet_block or meet_warp,
 * which the runner implements; everything else is inline here, so that a sanitizer sees it.
 *
 * Differences that matter: a mask must name existing, running lanes only; all threads of a block
 * must reach a __syncthreads, or an arrival at the cluster's barrier, in the same source line;
 * __shared__ variables stand in a kernel's body (elsewhere they would not be filled with NaN), or
 * are rs_shared, declared outside namespaces.
 */
#ifndef CUDA_ON_CPU_DEVICE_H
#define CUDA_ON_CPU_DEVICE_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <math.h>

#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __shared__      thread_local
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

extern thread_local uint3 threadIdx, blockIdx;
extern thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

#define CUDA_ON_CPU_VECTOR2(scalar, name, alignment)                                               \
    struct alignas(alignment) name {                                                               \
        scalar x, y;                                                                               \
    };                                                                                             \
    inline name make_##name(scalar x, scalar y) { return {x, y}; }
#define CUDA_ON_CPU_VECTOR4(scalar, name)                                                          \
    struct alignas(16) name {                                                                      \
        scalar x, y, z, w;                                                                         \
    };                                                                                             \
    inline name make_##name(scalar x, scalar y, scalar z, scalar w) { return {x, y, z, w}; }
CUDA_ON_CPU_VECTOR2(float, float2, 8)
CUDA_ON_CPU_VECTOR2(int, int2, 8)
CUDA_ON_CPU_VECTOR2(unsigned, uint2, 8)
CUDA_ON_CPU_VECTOR2(double, double2, 16)
CUDA_ON_CPU_VECTOR4(float, float4)
CUDA_ON_CPU_VECTOR4(int, int4)
CUDA_ON_CPU_VECTOR4(unsigned, uint4)
#undef CUDA_ON_CPU_VECTOR2
#undef CUDA_ON_CPU_VECTOR4

/* ---- bits ---------------------------------------------------------------------------------- */

namespace cuda_on_cpu {
template <class To, class From> inline To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From), "bits are kept, so sizes must agree");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
} // namespace cuda_on_cpu

inline unsigned __float_as_uint(float x) { return cuda_on_cpu::bits_as<unsigned>(x); }
inline int __float_as_int(float x) { return cuda_on_cpu::bits_as<int>(x); }
inline float __uint_as_float(unsigned x) { return cuda_on_cpu::bits_as<float>(x); }
inline float __int_as_float(int x) { return cuda_on_cpu::bits_as<float>(x); }
inline long long __double_as_longlong(double x) { return cuda_on_cpu::bits_as<long long>(x); }
inline double __longlong_as_double(long long x) { return cuda_on_cpu::bits_as<double>(x); }

template <class T> inline T __ldg(const T *p) { return *p; }

/* ---- meeting points ------------------------------------------------------------------------ */

namespace cuda_on_cpu {

/* Where the device code calls a primitive. */
struct Site {
    const char *file;
    int line;

    /* As a default argument: the line of the call. */
    static constexpr Site here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
        return {file, line};
    }
};

enum Primitive {
    SYNCTHREADS,
    CLUSTER_SYNC,
    CLUSTER_ARRIVE,
    CLUSTER_WAIT,
    MBARRIER_WAIT,
    SYNCWARP,
    SHFL,
    SHFL_UP,
    SHFL_DOWN,
    SHFL_XOR,
    BALLOT
};

/* Returns once all threads of the block have come. */
void meet_block(Site at);

/* The halves of a barrier of all threads of the cluster: `primitive` is what the kernel called. */
void cluster_arrive(Primitive primitive, Site at);
void cluster_wait(Primitive primitive, Site at);

/* Returns once all lanes of mask have come: the value that lane `source` brought; of BALLOT, a bit
 * for each lane whose value is not 0. */
uint64_t meet_warp(Primitive primitive, unsigned mask, uint64_t value, unsigned source, Site at);

[[noreturn]] void trap(Site at);

unsigned lane_id();

/* Lanes are grouped in segments of `width`; a source outside one's own is oneself. */
unsigned source_lane(Primitive primitive, unsigned operand, unsigned width);

template <class T>
inline T shuffle(Primitive primitive, unsigned mask, T var, unsigned operand, int width, Site at) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    uint64_t value = 0;
    std::memcpy(&value, &var, sizeof var);
    value = meet_warp(primitive, mask, value,
                      source_lane(primitive, operand, static_cast<unsigned>(width)), at);
    std::memcpy(&var, &value, sizeof var);
    return var;
}

} // namespace cuda_on_cpu

[[noreturn]] inline void __trap(cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    cuda_on_cpu::trap(at);
}

inline void __syncthreads(cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    cuda_on_cpu::meet_block(at);
}

inline void __syncwarp(unsigned mask = 0xffffffffu,
                       cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    cuda_on_cpu::meet_warp(cuda_on_cpu::SYNCWARP, mask, 0, cuda_on_cpu::lane_id(), at);
}

template <class T>
inline T __shfl_sync(unsigned mask, T var, int source, int width = warpSize,
                     cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    return cuda_on_cpu::shuffle(cuda_on_cpu::SHFL, mask, var, static_cast<unsigned>(source), width,
                                at);
}

template <class T>
inline T __shfl_up_sync(unsigned mask, T var, unsigned delta, int width = warpSize,
                        cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    return cuda_on_cpu::shuffle(cuda_on_cpu::SHFL_UP, mask, var, delta, width, at);
}

template <class T>
inline T __shfl_down_sync(unsigned mask, T var, unsigned delta, int width = warpSize,
                          cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    return cuda_on_cpu::shuffle(cuda_on_cpu::SHFL_DOWN, mask, var, delta, width, at);
}

template <class T>
inline T __shfl_xor_sync(unsigned mask, T var, int lanes, int width = warpSize,
                         cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    return cuda_on_cpu::shuffle(cuda_on_cpu::SHFL_XOR, mask, var, static_cast<unsigned>(lanes),
                                width, at);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    return static_cast<unsigned>(cuda_on_cpu::meet_warp(cuda_on_cpu::BALLOT, mask, predicate != 0,
                                                        cuda_on_cpu::lane_id(), at));
}

inline int __any_sync(unsigned mask, int predicate,
                      cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    return __ballot_sync(mask, predicate, at) != 0;
}

inline int __all_sync(unsigned mask, int predicate,
                      cuda_on_cpu::Site at = cuda_on_cpu::Site::here()) {
    return __ballot_sync(mask, predicate, at) == mask;
}

/* ---- atomics: relaxed, as CUDA's, so that they order nothing else -----------------------------
 */

namespace cuda_on_cpu {
template <class T> inline T atomic_choose(T *address, T value, bool (*replaces)(T value, T old)) {
    T old = __atomic_load_n(address, __ATOMIC_RELAXED);
    while (replaces(value, old) && !__atomic_compare_exchange_n(address, &old, value, true,
                                                                __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    return old;
}
} // namespace cuda_on_cpu

#define CUDA_ON_CPU_ATOMICS(type)                                                                  \
    inline type atomicAdd(type *address, type value) {                                             \
        return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);                               \
    }                                                                                              \
    inline type atomicMin(type *address, type value) {                                             \
        return cuda_on_cpu::atomic_choose<type>(address, value,                                    \
                                                [](type v, type old) { return v < old; });         \
    }                                                                                              \
    inline type atomicMax(type *address, type value) {                                             \
        return cuda_on_cpu::atomic_choose<type>(address, value,                                    \
                                                [](type v, type old) { return v > old; });         \
    }
CUDA_ON_CPU_ATOMICS(int)
CUDA_ON_CPU_ATOMICS(unsigned)
CUDA_ON_CPU_ATOMICS(unsigned long long)
#undef CUDA_ON_CPU_ATOMICS

#endif
