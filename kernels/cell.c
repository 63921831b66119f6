#include "cell.h"

const rs_cell_info *rs_cell_of(rs_cell cell) {
    static const rs_cell_info info[RS_N_CELL] = {
        [RS_TANH] = {.name = "tanh", .gates = 1, .states = 1},
        [RS_RELU] = {.name = "relu", .gates = 1, .states = 1},
        [RS_LINEAR] = {.name = "linear", .gates = 1, .states = 1},
        [RS_LSTM] =
            {.name = "lstm", .gates = 4, .states = 2, .candidate = RS_LSTM_G, .memory = RS_LSTM_F},
        [RS_GRU] =
            {.name = "gru", .gates = 3, .states = 1, .candidate = RS_GRU_N, .memory = RS_GRU_Z},
    };
    return &info[cell];
}

const char *rs_cell_name(rs_cell cell) { return rs_cell_of(cell)->name; }

bool rs_cell_is_gated(rs_cell cell) { return rs_cell_of(cell)->gates > 1; }
