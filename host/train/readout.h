/* readout: from the states of a batch to a loss and back: y = W h + b of every state that is asked
 * about, with the mean of a criterion over them. In double; every sum in a fixed order. */
#ifndef RS_READOUT_H
#define RS_READOUT_H

#include "task.h"

/* What is read and asked of one network. Arrays are borrowed. */
typedef struct rs_readout {
    rs_criterion criterion;
    size_t hidden, outputs; /* H, O */
    const double *weight;   /* [O][H] */
    const double *bias;     /* [O] */
} rs_readout;

/* What comes of a batch. Arrays are the caller's. */
typedef struct rs_readout_result {
    double loss;    /* mean over states; of numbers the mean over O too, as PyTorch's MSELoss */
    double wrong;   /* part of the states whose class is not the one of the largest y, the first of
                       them where some are equal; of numbers, of which any is off by .04 or more
                       (Hochreiter & Schmidhuber 1997) */
    double *weight; /* [O][H] dL/dW; NULL where no gradient is asked for, as the next two */
    double *bias;   /* [O] dL/db */
    double *state;  /* [states][H] dL/dh */
    double *y;      /* [O] scratch, never NULL */
} rs_readout_result;

/* `state` [states][H] in the order in which sums run, `target` [states] numbers or classes; with
 * numbers O is 1. A state or weight that is not finite makes the loss so. */
void rs_readout_run(const rs_readout *of, size_t states, const double *state, const double *target,
                    rs_readout_result *out);

#endif
