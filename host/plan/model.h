/* An imported recurrent layer: the arrays of the state_dict of nn.RNN, nn.LSTM or nn.GRU, checked
 * against each other. */
#ifndef RS_MODEL_H
#define RS_MODEL_H

#include "../../kernels/cell.h"
#include "arrays.h"

#include <stdint.h>

typedef struct rs_model {
    char *name;              /* file name without folders */
    uint64_t digest;         /* FNV-1a over names, shapes and values: tells models apart */
    size_t hidden;           /* H */
    size_t input_size;       /* I; 0 without weight_ih and input */
    size_t steps;            /* rows of input; 0 without */
    size_t batch;            /* samples of input, h0 and c0; 0 without */
    rs_cell cell;            /* by weight_hh's K = 4 or 3 blocks lstm or gru; else tanh, nn.RNN's
                              * default, which arrays do not tell from relu */
    const double *weight_hh; /* [K H][H] */
    const double *weight_ih; /* [K H][I] or NULL */
    const double *bias_ih;   /* [K H] or NULL */
    const double *bias_hh;   /* [K H] or NULL */
    const double *input;     /* [steps][batch][I] or NULL */
    const double *h0, *c0;   /* [batch][H] or NULL; [1][B][H] in the file is taken too */
    rs_arrays file;          /* owns the arrays above */
    char *unused;            /* "decoder.weight, ...": what is in the file and not above; or NULL */
} rs_model;

/* Reads and checks a model. Names as in PyTorch, with or without "_l0"; other arrays, such as a
 * decoder's weights, are left unused. RS_EINPUT, naming file and array, for: a name that is nearly
 * one of those or a parameter of other layers, no weight_hh, weight_hh that is none of [H][H],
 * [3 H][H], [4 H][H], shapes that do not fit each other, c0 without an LSTM, values that are not
 * finite, more layers or directions than one, projections. */
rs_status rs_model_read(const char *path, rs_model *out);
void rs_model_free(rs_model *model);

/* "an nn.RNN", "an LSTM", "a GRU". */
const char *rs_model_kind(const rs_model *model);

#endif
