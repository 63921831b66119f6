/* The CUDA engine: all radii of all groups in one launch. The only symbol of this folder that the
 * rest of the project sees. */
#ifndef RS_CUDA_H
#define RS_CUDA_H

#include "../engine.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const rs_engine rs_engine_cuda;

#ifdef __cplusplus
}
#endif

#endif
