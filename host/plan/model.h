/* An imported recurrent layer: the arrays of nn.RNN's state_dict, checked against each other. */
#ifndef RS_MODEL_H
#define RS_MODEL_H

#include "npz.h"

#include <stdint.h>

typedef struct rs_model {
    char *name;              /* file name without folders */
    uint64_t digest;         /* FNV-1a over names, shapes and values: tells models apart */
    size_t hidden;           /* H */
    size_t input_size;       /* I; 0 where neither weight_ih nor input is there */
    size_t steps;            /* rows of input; 0 without */
    size_t batch;            /* samples of input or h0; 0 without */
    const double *weight_hh; /* [H][H] */
    const double *weight_ih; /* [H][I] or NULL */
    const double *bias_ih;   /* [H] or NULL */
    const double *bias_hh;   /* [H] or NULL */
    const double *input;     /* [steps][batch][I] or NULL */
    const double *h0, *c0;   /* [batch][H] or NULL; [1][B][H] in the file is taken too */
    rs_npz file;             /* owns the arrays above */
    char *unused;            /* "decoder.weight, ...": what is in the file and not above; or NULL */
} rs_model;

/* Reads and checks a model. Names as in PyTorch, with or without "_l0"; other members, such as a
 * decoder's weights, are left unused. RS_EINPUT, naming file and array, for: a name that is nearly
 * one of those or a parameter of other layers, no weight_hh, weight_hh not square (and a word on
 * LSTM and GRU where it is [4H][H] or [3H][H]), shapes that do not fit each other, values that are
 * not finite, more layers or directions than one. */
rs_status rs_model_read(const char *path, rs_model *out);
void rs_model_free(rs_model *model);

#endif
