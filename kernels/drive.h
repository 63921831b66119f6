/* The input u_t = weight_ih x_t + bias that drives a sample, made where it is needed.
 *
 * Every number is a function of (seed, step, sample, unit) alone, so any part can be made in any
 * order, on any thread, and any chunk of the work sees the same inputs. */
#ifndef RS_DRIVE_H
#define RS_DRIVE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rs_drive_kind {
    RS_DRIVE_ZERO,    /* u = 0 */
    RS_DRIVE_NOISE,   /* u iid N(0, sigma^2) per unit */
    RS_DRIVE_WEIGHTED /* u = weight_ih x + bias; x given, or iid N(0, 1) */
} rs_drive_kind;

typedef struct rs_drive {
    rs_drive_kind kind;
    uint64_t seed;           /* of the Philox streams that noise and x are drawn from */
    double sigma;            /* NOISE: standard deviation */
    size_t first_sample;     /* sample 0 of the job is this one of the whole batch */
    size_t input_size;       /* WEIGHTED: I */
    const double *weight_ih; /* WEIGHTED: [H][I] */
    const double *bias;      /* WEIGHTED: [H]  bias_ih + bias_hh */
    const double *input;     /* WEIGHTED: [steps][input_batch][I], or NULL to draw x */
    size_t input_batch;      /* samples in a row of `input` */
} rs_drive;

/* Fills u[0 .. hidden) for one step and one sample of the job. `step` counts from 0 and includes
 * the warm-up. Sums run over i = 0 .. I - 1 in that order, the bias last. Cannot fail. */
typedef void rs_drive_filler(const rs_drive *drive, size_t hidden, size_t step, size_t sample,
                             double *u);
rs_drive_filler rs_drive_fill;

#ifdef __cplusplus
}
#endif

#endif
