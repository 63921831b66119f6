#include "values.h"

#include "words.h"

#include <stdio.h>

static const char *const ensemble_names[RS_N_ENSEMBLE] = {
    [RS_GAUSSIAN] = "gaussian", [RS_UNIFORM] = "uniform",     [RS_ORTHOGONAL] = "orthogonal",
    [RS_IDENTITY] = "identity", [RS_SYMMETRIC] = "symmetric", [RS_RING] = "ring",
    [RS_NORMAL] = "normal",     [RS_SPARSE] = "sparse",       [RS_MODEL] = "model"};
static const char *const loss_names[RS_N_LOSS] = {
    [RS_LAST_MEAN] = "last-mean", [RS_ALL_MEAN] = "all-mean", [RS_RANDOM] = "random"};

const char *rs_loss_name(rs_loss loss) { return loss_names[loss]; }

const char *rs_gate_scale_name(rs_gate_scale scale) {
    return scale == RS_SCALE_SAME ? "same" : "native";
}

const char *rs_ensemble_text(rs_ensemble ensemble, char buffer[64]) {
    char density[RS_REAL_TEXT];
    const char *const name = ensemble_names[ensemble.kind];
    if (ensemble.kind != RS_SPARSE) return name;
    snprintf(buffer, 64, "%s:%s", name, rs_real_text(ensemble.density, density));
    return buffer;
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

static int compare(int kind, int other_kind, double value, double other) {
    if (kind != other_kind) return kind < other_kind ? -1 : 1;
    return (value > other) - (value < other);
}

int rs_compare_ensembles(rs_ensemble a, rs_ensemble b) {
    return compare((int)a.kind, (int)b.kind, a.density, b.density);
}

int rs_compare_inputs(rs_input a, rs_input b) {
    return compare((int)a.kind, (int)b.kind, a.sigma, b.sigma);
}

int rs_compare_gate_biases(rs_gate_bias a, rs_gate_bias b) {
    return compare((int)a.kind, (int)b.kind, a.value, b.value);
}
