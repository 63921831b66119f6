/* RS_SM90: whether this device code may use what came with compute capability 9.0: clusters, bulk
 * copies, mbarriers that count bytes. nvcc compiles every source once for each architecture; the
 * CPU runner plays one, CUDA_ON_CPU_ARCH. */
#ifndef RS_CUDA_SM90_CUH
#define RS_CUDA_SM90_CUH

#if defined(__CUDA_ARCH__)
#define RS_SM90 (__CUDA_ARCH__ >= 900)
#elif defined(CUDA_ON_CPU_ARCH)
#define RS_SM90 (CUDA_ON_CPU_ARCH >= 900)
#else
#define RS_SM90 1 /* host code: nothing depends on it */
#endif

#endif
