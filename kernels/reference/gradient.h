/* The weights' gradients of one radius, by their definition: a sum over steps for each sample, and
 * over the samples in ascending order. */
#ifndef RS_REFERENCE_GRADIENT_H
#define RS_REFERENCE_GRADIENT_H

#include "../base/block.h"
#include "../engine.h"

/* sum [K H][columns], times 2^exponent where it is not 0 throughout. */
typedef struct rs_scaled_sum {
    double *sum;
    size_t columns;
    int64_t exponent;
    bool empty; /* nothing was added but zeros */
} rs_scaled_sum;

typedef struct rs_reference_gradient {
    rs_scaled_sum sum[RS_N_GRADIENT]; /* of the samples so far */
    double *sample;                   /* [K H][widest] of one sample */
    double *q, *v;                    /* [K H], [widest] of one step, brought near 1 */
} rs_reference_gradient;

/* A column's steps. Entry t - 1 of each array belongs to step t. */
typedef struct rs_reference_trace {
    const double *q;      /* [T][K H] dL/dp times 2^-shift */
    const double *v;      /* [T][K H] dL/du likewise */
    const int32_t *shift; /* [T] */
    const double *state;  /* [T][S H] (h, c)_{t-1} */
    const double *x;      /* [T][I] */
} rs_reference_trace;

void rs_reference_gradient_deal(const rs_shape *shape, rs_block *block, rs_reference_gradient *out);

/* Back to zero, for the first sample of a radius. */
void rs_reference_gradient_start(const rs_shape *shape, rs_reference_gradient *gradient);

void rs_reference_gradient_add(const rs_shape *shape, const rs_reference_trace *trace,
                               rs_reference_gradient *gradient);

/* The norms of all kinds, into entries [RS_N_GRADIENT] of a record. */
void rs_reference_gradient_norms(const rs_shape *shape, const rs_reference_gradient *gradient,
                                 double *gradient2, int32_t *exponent);

#endif
