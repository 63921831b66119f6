/* Cells: what a unit does with the sums of its gates. Formulas and order of gates are PyTorch's;
 * its GRU resets the product, not the state, and b is the candidate's bias_hh. With a = p + u of
 * each gate and sigma(a) = 1 / (1 + e^-a), for one unit at step t:
 *
 *     tanh, relu, linear   h_t = phi(a)
 *     lstm  i, f, g, o     c_t = sigma(a_f) c_{t-1} + sigma(a_i) tanh(a_g),
 *                          h_t = sigma(a_o) tanh(c_t)
 *     gru   r, z, n        n_t = tanh(u_n + sigma(a_r) (p_n + b)),
 *                          h_t = (1 - sigma(a_z)) n_t + sigma(a_z) h_{t-1}
 *
 * Sources: Hochreiter & Schmidhuber 1997 with the forget gate of Gers, Schmidhuber & Cummins 2000;
 * Cho et al. 2014. */
#ifndef RS_CELL_H
#define RS_CELL_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rs_cell { RS_TANH, RS_RELU, RS_LINEAR, RS_LSTM, RS_GRU, RS_N_CELL } rs_cell;

enum { RS_MAX_GATES = 4, RS_MAX_STATES = 2 };

/* Blocks of rows, in PyTorch's order. */
enum { RS_LSTM_I, RS_LSTM_F, RS_LSTM_G, RS_LSTM_O };
enum { RS_GRU_R, RS_GRU_Z, RS_GRU_N };

typedef struct rs_cell_info {
    const char *name; /* "tanh", "relu", "linear", "lstm", "gru" */
    size_t gates;     /* K */
    size_t states;    /* S: 1, h; 2, h and c */
    size_t candidate; /* gate whose spectral radius is that of the network */
    size_t memory;    /* gate that keeps the state: f of lstm, z of gru; 0, like others, for cells
                         of one gate */
} rs_cell_info;

/* Static; for any cell of the enumeration. */
const rs_cell_info *rs_cell_of(rs_cell cell);

const char *rs_cell_name(rs_cell cell);

/* Whether it has gates beside its candidate, and with them a memory. */
bool rs_cell_is_gated(rs_cell cell);

#ifdef __cplusplus
}
#endif

#endif
