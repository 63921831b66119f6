/* The weights of all networks, as load() was given them: on the device once, for every lane and
 * piece to pack its own from. */
#ifndef RS_CUDA_WEIGHTS_CUH
#define RS_CUDA_WEIGHTS_CUH

#include "transfer.cuh"

#include "../engine.h"

/* Device arrays in double. */
struct loaded_weights {
    uint64_t number;           /* of the load, from 1 */
    uint64_t bytes;            /* of all arrays */
    double *weight_hh;         /* [G][K H][H] */
    double *weight_ih;         /* [G][K H][I] of a weighted drive */
    double *bias_ih, *bias_hh; /* [G][K H]; zeros where there are none */
};

/* Bytes of the arrays, each of which begins on a boundary. */
uint64_t weights_bytes(const rs_shape *shape);

/* Puts them at the beginning of `memory`, in the place of those before, and waits until they are
 * there. RS_EMEMORY where they take more than `size` bytes. */
rs_status weights_load(channel *c, unsigned char *memory, uint64_t size, const rs_shape *shape,
                       const rs_parameters *of, loaded_weights *out);

#endif
