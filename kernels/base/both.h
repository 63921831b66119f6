/* Text that host and device share: plain C that C++ and nvcc compile too. */
#ifndef RS_BASE_BOTH_H
#define RS_BASE_BOTH_H

#ifdef __CUDACC__
#define RS_BOTH __host__ __device__
#else
#define RS_BOTH
#endif

#endif
