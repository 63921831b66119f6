#include "values.h"

#include "words.h"

#include <stdio.h>

static const char *const ensemble_names[RS_N_ENSEMBLE] = {
    [RS_GAUSSIAN] = "gaussian", [RS_UNIFORM] = "uniform",     [RS_ORTHOGONAL] = "orthogonal",
    [RS_IDENTITY] = "identity", [RS_SYMMETRIC] = "symmetric", [RS_MODEL] = "model"};
static const char *const loss_names[RS_N_LOSS] = {
    [RS_LAST_MEAN] = "last-mean", [RS_ALL_MEAN] = "all-mean", [RS_RANDOM] = "random"};

const char *rs_ensemble_name(rs_ensemble ensemble) { return ensemble_names[ensemble]; }
const char *rs_loss_name(rs_loss loss) { return loss_names[loss]; }

const char *rs_gate_scale_name(rs_gate_scale scale) {
    return scale == RS_SCALE_SAME ? "same" : "native";
}

const char *rs_input_text(rs_input input, char buffer[64]) {
    char sigma[RS_REAL_TEXT];
    switch (input.kind) {
    case RS_INPUT_ZERO: return "zero";
    case RS_INPUT_PYTORCH: return "pytorch";
    default: snprintf(buffer, 64, "noise:%s", rs_real_text(input.sigma, sigma)); return buffer;
    }
}

const char *rs_start_text(rs_start h0, char buffer[64]) {
    char sigma[RS_REAL_TEXT];
    switch (h0.kind) {
    case RS_START_ZERO: return "zero";
    case RS_START_MODEL: return "model";
    default: snprintf(buffer, 64, "normal:%s", rs_real_text(h0.sigma, sigma)); return buffer;
    }
}

const char *rs_gate_bias_text(rs_gate_bias bias, char buffer[64]) {
    char value[RS_REAL_TEXT];
    if (bias.kind == RS_BIAS_DRAWN) return "drawn";
    snprintf(buffer, 64, "%s%s", bias.kind == RS_BIAS_CHRONO ? "chrono:" : "",
             rs_real_text(bias.value, value));
    return buffer;
}
