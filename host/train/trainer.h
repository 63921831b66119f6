/* trainer: networks of one shape that learn a task beside each other, by plain stochastic gradient
 * descent. Each has its own weights, read-out, data, rate and clipping; what one learns depends on
 * none of the others. */
#ifndef RS_TRAINER_H
#define RS_TRAINER_H

#include "../../kernels/engine.h"
#include "task.h"

typedef enum rs_clipping {
    RS_CLIP_NONE,
    RS_CLIP_NORM, /* gradients times min(1, limit / (norm + 1e-6)), as PyTorch's clip_grad_norm_ */
    RS_CLIP_VALUE /* each element to -limit .. limit, as PyTorch's clip_grad_value_ */
} rs_clipping;

/* One network, before it learns. Arrays are borrowed until rs_trainer_open is back. */
typedef struct rs_novice {
    rs_parameters recurrent;      /* W_hh as it is, not to be scaled */
    const double *readout_weight; /* [O][H] */
    const double *readout_bias;   /* [O] */
    uint64_t seed;                /* of its data */
    double rate;                  /* lr, above 0 */
    rs_clipping clipping;
    double limit; /* above 0; not read without clipping */
} rs_novice;

/* What all networks have in common. */
typedef struct rs_lesson {
    rs_task task;
    size_t length, batch, hidden;
    rs_cell cell;
    double leak; /* as in rs_shape */
    rs_precision precision;
} rs_lesson;

/* What the last update, or evaluation, found of a network. */
typedef struct rs_progress_of {
    double loss;          /* of that batch, before its step */
    double wrong;         /* part of what was asked that was wrong: see rs_readout_result */
    double norm;          /* of all gradients together, before clipping */
    double coefficient;   /* that they were multiplied with: 1 but for RS_CLIP_NORM */
    uint64_t diverged_at; /* first update, from 1, whose loss or norm was not finite; it takes no
                             step any more. 0 before */
} rs_progress_of;

typedef struct rs_trainer rs_trainer;

/* Opens the engine on a device for `networks` of them. Errors of the engine, which also says what
 * it does not learn; of memory; RS_EINPUT where the task does not allow the length. */
rs_status rs_trainer_open(const rs_engine *engine, size_t device, const rs_resources *resources,
                          const rs_lesson *lesson, size_t networks, const rs_novice *of,
                          rs_trainer **out);

/* The next update of all networks: batch number `update`, counted from 1, of each one's data. */
rs_status rs_trainer_update(rs_trainer *t);
uint64_t rs_trainer_updates(const rs_trainer *t);

/* Loss and wrong of fresh data, which no update sees: evaluation `number`. Norms and coefficients
 * stay those of the last update. */
rs_status rs_trainer_evaluate(rs_trainer *t, uint32_t number);

/* [networks], the trainer's own. */
const rs_progress_of *rs_trainer_progress(const rs_trainer *t);

/* Copies a network's weights as they are now; NULL for what is not wanted. */
rs_status rs_trainer_fetch(rs_trainer *t, size_t network, const rs_parameter_arrays *recurrent,
                           double *readout_weight, double *readout_bias);

/* NULL is allowed. */
void rs_trainer_close(rs_trainer *t);

#endif
