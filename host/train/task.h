/* task: the problems that networks are trained on. Every batch is a function of (seed, update,
 * sample) alone, so that nothing is stored and any process can make any part of any batch. */
#ifndef RS_TASK_H
#define RS_TASK_H

#include "../../kernels/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum rs_task { RS_ADDING, RS_TEMPORAL_ORDER, RS_COPY, RS_N_TASK } rs_task;

typedef enum rs_criterion {
    RS_SQUARED_ERROR, /* of numbers */
    RS_CROSS_ENTROPY  /* of classes, behind a softmax */
} rs_criterion;

/* adding: of each step a number U[0, 1) and a mark, which is 1 once in each half and 0 else. After
 *     the last step the sum of the two marked numbers is asked for (Hochreiter & Schmidhuber 1997
 * in the form of Le, Jaitly & Hinton 2015). To say 1 always has the mean squared error 1/6.
 * temporal-order: of each step one of the symbols A B c d e f, as ones and zeros. With m = L / 10,
 *     rounded down, two of them are A or B: one in [m, 2 m), one in [n, n + m), n = L / 2 rounded
 *     down; all others are one of the last four. The order is asked for, AA, BA, AB or BB, by the
 *     first symbol and twice the second (Pascanu, Mikolov & Bengio 2013, section 4.1, with the
 *     positions of their released code).
 * copy: of each step one of ten symbols. Ten of the first eight, L - 1 blanks, a mark, ten blanks;
 *     asked for at every step: L + 10 blanks, and then the ten symbols (Arjovsky, Shah & Bengio
 *     2016). To say blank and then anything has the cross-entropy 10 ln 8 / (L + 20). */
typedef struct rs_task_info {
    const char *name;
    size_t inputs, outputs; /* I; O, numbers or classes */
    rs_criterion criterion;
    bool every_step;     /* whether something is asked for at every step, else after the last */
    size_t least_length; /* L that the task allows */
    size_t more_steps;   /* T = L + these */
} rs_task_info;

const rs_task_info *rs_task_of(rs_task task);

/* RS_EINPUT, naming those there are, where none has the name. */
rs_status rs_task_named(const char *name, rs_task *out);

/* RS_EINPUT, saying what the task allows, unless it does. */
rs_status rs_task_allows(rs_task task, size_t length);

/* T of a length, and how many of its steps are asked about. */
size_t rs_task_steps(rs_task task, size_t length);
size_t rs_task_targets(rs_task task, size_t length);

/* Which samples: those of one update of training, or of one evaluation, which no update ever sees.
 */
typedef struct rs_batch_place {
    uint64_t seed;
    bool evaluates;
    uint32_t number;       /* of the update or evaluation */
    uint32_t first_sample; /* the batch's first one */
} rs_batch_place;

/* Fills input [T][batch][I], and target [rs_task_targets()][batch]: numbers, or the class. */
void rs_task_fill(rs_task task, size_t length, const rs_batch_place *at, size_t batch,
                  double *input, double *target);

#endif
