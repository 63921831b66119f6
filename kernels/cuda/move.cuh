/* Sixteen bytes at a time between memory and registers. */
#ifndef RS_CUDA_MOVE_CUH
#define RS_CUDA_MOVE_CUH

#include <cuda_runtime.h>

template <typename T> __host__ __device__ constexpr int per_move() { return 16 / (int)sizeof(T); }

__device__ inline void load_some(const float *from, float *to) {
    float4 const some = *(const float4 *)from;
    to[0] = some.x, to[1] = some.y, to[2] = some.z, to[3] = some.w;
}
__device__ inline void load_some(const double *from, double *to) {
    double2 const some = *(const double2 *)from;
    to[0] = some.x, to[1] = some.y;
}
__device__ inline void store_some(float *to, const float *from) {
#ifdef __CUDA_ARCH__ /* nvcc 13 makes four stores of one float4, with bank conflicts. No load is   \
                      * moved across: what should be in flight is loaded before. */
    asm volatile("st.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to), "f"(from[0]), "f"(from[1]),
                 "f"(from[2]), "f"(from[3])
                 : "memory");
#else
    *(float4 *)to = make_float4(from[0], from[1], from[2], from[3]);
#endif
}
__device__ inline void store_some(double *to, const double *from) {
#ifdef __CUDA_ARCH__
    asm volatile("st.v2.f64 [%0], {%1, %2};" ::"l"(to), "d"(from[0]), "d"(from[1]) : "memory");
#else
    *(double2 *)to = make_double2(from[0], from[1]);
#endif
}

/* N numbers, which begin on a boundary of 16 bytes. */
template <typename T, int N> __device__ static void load(const T *from, T to[N]) {
#pragma unroll
    for (int i = 0; i < N; i += per_move<T>()) load_some(from + i, to + i);
}

template <typename T, int N> __device__ static void store(T *to, const T from[N]) {
#pragma unroll
    for (int i = 0; i < N; i += per_move<T>()) store_some(to + i, from + i);
}

/* Column j of rows in registers, and back. */
template <typename T, int ROWS, int COLUMNS>
__device__ static void take_column(const T (&from)[ROWS][COLUMNS], int j, T to[ROWS]) {
#pragma unroll
    for (int i = 0; i < ROWS; ++i) to[i] = from[i][j];
}

template <typename T, int ROWS, int COLUMNS>
__device__ static void put_column(const T from[ROWS], int j, T (&to)[ROWS][COLUMNS]) {
#pragma unroll
    for (int i = 0; i < ROWS; ++i) to[i][j] = from[i];
}

#endif
