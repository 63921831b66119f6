/* spec: what the user asks for, from an INI file and the command line. Strict: every value
 * is understood or refused with RS_EINPUT, and the file and the options go through one setter. */
#ifndef RS_SPEC_H
#define RS_SPEC_H

#include "../../kernels/engine.h"

typedef enum rs_ensemble {
    RS_GAUSSIAN,   /* W_ij ~ N(0, 1/H) */
    RS_UNIFORM,    /* W_ij ~ U(-1/sqrt(H), 1/sqrt(H)), PyTorch's default */
    RS_ORTHOGONAL, /* Haar: Q of a Gaussian matrix, signs fixed (Mezzadri 2007) */
    RS_IDENTITY,
    RS_SYMMETRIC, /* W_ij = W_ji ~ N(0, 1/H), diagonal N(0, 2/H) */
    RS_MODEL,     /* imported with --model */
    RS_N_ENSEMBLE
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

typedef enum rs_loss { RS_LAST_MEAN, RS_ALL_MEAN, RS_RANDOM, RS_N_LOSS } rs_loss;

/* Where a value came from; a later source wins, and two values that contradict each other are an
 * error only within one source. */
typedef enum rs_source { RS_FROM_DEFAULT, RS_FROM_FILE, RS_FROM_OPTION } rs_source;

typedef struct rs_spec {
    char *output; /* path of the database */
    rs_nonlinearity cell[RS_N_NONLINEARITY];
    size_t n_cell;
    rs_ensemble ensemble[RS_N_ENSEMBLE]; /* {RS_MODEL} with a model */
    size_t n_ensemble;
    char *model;    /* path of the .npz, or NULL */
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
    rs_loss loss;
    size_t fit_skip; /* SIZE_MAX: the default, min(20, steps / 4) */
    rs_precision precision;
    char *engine;    /* "auto" or an engine's name */
    int threads;     /* 0: all that this process may use */
    uint64_t memory; /* bytes; 0: three quarters of what is free */
    bool raw;
    bool profiles; /* keep a curve per point; not part of a case's identity */
    bool quiet;
    /* Source of every key, indexed like rs_spec_keys(): tells given values from defaults. */
    rs_source source[32];
} rs_spec;

/* One key of the [sweep] section and option of the command line. */
typedef struct rs_spec_key {
    const char *name;     /* "spectral radius" is "rho"; the option is --name */
    const char *alias;    /* another name of key and option, or NULL */
    const char *argument; /* "LIST", "N", ...; NULL for a switch, which in a file takes yes or no */
    const char *help;     /* one sentence for --help, default included */
    const char *group;    /* heading in --help; keys of one group stand together */
    char short_option;    /* 0 for none */
    const char *initial;  /* the default as a file has it; NULL for none */
    bool of_model;        /* a model settles it where it is not given */
    /* For spec.c: how its text is read and printed, where in rs_spec its value stands, and the
     * number of values of a list, and the limits of whole numbers. */
    const struct rs_key_kind *kind;
    size_t offset, offset_n;
    uint64_t least, most;
} rs_spec_key;

/* All keys, in the order of --help; *n receives their number (below 32). */
const rs_spec_key *rs_spec_keys(size_t *n);

/* Fills *spec with the defaults. The caller frees it with rs_spec_free in any case. */
rs_status rs_spec_init(rs_spec *spec);
void rs_spec_free(rs_spec *spec);

/* Sets one key. `value` is NULL for a switch given as an option. RS_EINPUT names the key, the
 * value and what would be understood; the spec then keeps its earlier value. */
rs_status rs_spec_set(rs_spec *spec, const char *key, const char *value, rs_source source);

/* Reads the [sweep] section of an INI file. RS_EINPUT with file and line for anything unknown,
 * a key given twice, another section, or a file that cannot be read. */
rs_status rs_spec_load(rs_spec *spec, const char *path);

/* The same from text of `length` bytes, `name` standing for the file in messages (for tests). */
rs_status rs_spec_parse(rs_spec *spec, const char *text, size_t length, const char *name);

/* Checks what no single key can: model against ensemble, fit_skip against steps, sizes whose
 * product overflows. Call it once, after the last rs_spec_set. */
rs_status rs_spec_check(const rs_spec *spec);

/* True when `key` was set by a file or an option. */
bool rs_spec_given(const rs_spec *spec, const char *key);

/* The spec as an INI file that reproduces it, keys in a fixed order, numbers exact; the caller
 * frees *text. Output, threads, memory and quiet are included: it is provenance. A path that no
 * INI file can hold, longer than a line or with a blank before ';', is printed as it is. */
rs_status rs_spec_print(const rs_spec *spec, char **text);

const char *rs_ensemble_name(rs_ensemble ensemble);
const char *rs_loss_name(rs_loss loss);

/* "zero", "pytorch", "noise:0.5"; and "zero", "normal:1", "model". Exact; written into buffer[64],
 * or static; returned. */
const char *rs_input_text(rs_input input, char buffer[64]);
const char *rs_start_text(rs_start h0, char buffer[64]);

#endif
