/* values: what a spec holds, and how its values are named. */
#ifndef RS_VALUES_H
#define RS_VALUES_H

#include "../../kernels/engine.h"

/* What one gate's block of weight_hh is. */
typedef enum rs_ensemble_kind {
    RS_GAUSSIAN,   /* W_ij ~ N(0, 1/H) */
    RS_UNIFORM,    /* W_ij ~ U(-1/sqrt(H), 1/sqrt(H)), PyTorch's default */
    RS_ORTHOGONAL, /* Haar: Q of a Gaussian matrix, signs fixed (Mezzadri 2007) */
    RS_IDENTITY,
    RS_SYMMETRIC, /* W_ij = W_ji ~ N(0, 1/H), diagonal N(0, 2/H) */
    RS_RING,      /* unit i is fed by unit i - 1 */
    RS_NORMAL,    /* Q' D Q: Q Haar, eigenvalues uniform in the unit disk */
    RS_SPARSE,    /* W_ij ~ N(0, 1/(P H)) with probability P, else 0 */
    RS_MODEL,     /* imported with --model */
    RS_N_ENSEMBLE
} rs_ensemble_kind;

typedef struct rs_ensemble {
    rs_ensemble_kind kind;
    double density; /* P of RS_SPARSE, else 0 */
} rs_ensemble;

typedef enum rs_input_kind { RS_INPUT_ZERO, RS_INPUT_PYTORCH, RS_INPUT_NOISE } rs_input_kind;

typedef struct rs_input {
    rs_input_kind kind;
    double sigma; /* of RS_INPUT_NOISE, else 0 */
} rs_input;

typedef enum rs_start_kind { RS_START_ZERO, RS_START_NORMAL, RS_START_MODEL } rs_start_kind;

/* h0. A spec asks for zero or normal; the plan takes a model's h0 where a spec asks for none. */
typedef struct rs_start {
    rs_start_kind kind;
    double sigma; /* of RS_START_NORMAL, else 0 */
} rs_start;

/* The whole bias of a gated cell's memory gate: bias_ih and bias_hh together. */
typedef enum rs_gate_bias_kind {
    RS_BIAS_DRAWN, /* as drawn or imported, as those of the other gates */
    RS_BIAS_GIVEN, /* one value */
    RS_BIAS_CHRONO /* ln U(1, TMAX - 1) for each unit (Tallec & Ollivier 2018) */
} rs_gate_bias_kind;

typedef struct rs_gate_bias {
    rs_gate_bias_kind kind;
    double value; /* the bias, or TMAX; 0 where it is drawn */
} rs_gate_bias;

/* What is scaled to a spectral radius: all blocks by the candidate's factor, or that block alone.
 */
typedef enum rs_gate_scale { RS_SCALE_SAME, RS_SCALE_NATIVE, RS_N_GATE_SCALE } rs_gate_scale;

typedef enum rs_loss { RS_LAST_MEAN, RS_ALL_MEAN, RS_RANDOM, RS_N_LOSS } rs_loss;

/* Cases are dealt out among `count` processes; the one numbered `index` from 0 computes its own. */
typedef struct rs_shard {
    uint64_t index, count;
} rs_shard;

enum { RS_MAX_KEYS = 40 };

/* Where a value came from; a later source wins, and two values that contradict each other are an
 * error only within one source. */
typedef enum rs_source { RS_FROM_DEFAULT, RS_FROM_FILE, RS_FROM_OPTION } rs_source;

typedef struct rs_spec {
    char *output; /* path of the database */
    rs_cell cell[RS_N_CELL];
    size_t n_cell;
    rs_ensemble *ensemble; /* [n_ensemble] by kind and density, none twice; a model's alone */
    size_t n_ensemble;
    char *model;    /* path of the file, or NULL */
    bool native;    /* --rho native: weight_hh as it is, rho unused */
    double *rho;    /* [n_rho] ascending, no value twice, all > 0 */
    size_t n_rho;   /* 1 with native */
    size_t *hidden; /* [n_hidden] ascending; empty with a model until the plan fills it */
    size_t n_hidden;
    size_t *steps; /* [n_steps] ascending */
    size_t n_steps;
    size_t batch;
    uint64_t *seeds; /* [n_seeds] ascending */
    size_t n_seeds;
    rs_input *input; /* [n_input] by kind and sigma, none twice */
    size_t n_input;
    size_t input_size;
    rs_start h0;
    size_t warmup;
    rs_gate_bias *gate_bias; /* [n_gate_bias] of cells with gates; by kind and value, none twice */
    size_t n_gate_bias;
    rs_gate_scale gate_scale; /* likewise */
    double *leak; /* [n_leak] of cells with one gate; ascending, in (0, 1], none twice */
    size_t n_leak;
    rs_loss loss;
    size_t fit_skip; /* SIZE_MAX: the default, min(20, steps / 4) */
    rs_precision precision;
    char *engine;      /* "auto" or an engine's name */
    uint64_t *devices; /* [n_devices] of the engine's devices; none for all */
    size_t n_devices;
    rs_shard shard;
    int threads;     /* 0: all that this process may use */
    uint64_t memory; /* bytes; 0: three quarters of what is free */
    bool raw;
    bool profiles; /* keep a curve per point; not part of a case's identity */
    double clip;   /* total norm that gradients are clipped to; NaN: the weights' gradients are not
                      measured; not part of a case's identity */
    size_t lyapunov;  /* exponents of so many directions; SIZE_MAX: all, 0: none; neither this nor
                         the next three are part of a case's identity, but for steps before the
                         recorded ones */
    size_t transient; /* steps; SIZE_MAX: the default, steps / 10 */
    size_t qr_every;  /* steps; 0: chosen */
    size_t *singular_at; /* [n_singular_at] ascending; empty: no singular values */
    size_t n_singular_at;
    bool quiet;
    /* Source of every key, indexed like rs_spec_keys(): tells given values from defaults. */
    rs_source source[RS_MAX_KEYS];
} rs_spec;

const char *rs_loss_name(rs_loss loss);
const char *rs_gate_scale_name(rs_gate_scale scale); /* "same", "native" */

/* "gaussian", "sparse:0.1", "model"; "zero", "pytorch", "noise:0.5"; "zero", "normal:1", "model";
 * and "drawn", "1", "chrono:50". Exact; written into buffer[64], or static; returned. */
const char *rs_ensemble_text(rs_ensemble ensemble, char buffer[64]);
const char *rs_input_text(rs_input input, char buffer[64]);
const char *rs_start_text(rs_start h0, char buffer[64]);
const char *rs_gate_bias_text(rs_gate_bias bias, char buffer[64]);

/* Order of lists: by kind, then by number. 0 where both are the same. */
int rs_compare_ensembles(rs_ensemble a, rs_ensemble b);
int rs_compare_inputs(rs_input a, rs_input b);
int rs_compare_gate_biases(rs_gate_bias a, rs_gate_bias b);

#endif
