/* case: one seed and shape with all its radii, the unit of work and of storage. A case is
 * complete by itself: it names everything that its results depend on, apart from the radii. */
#ifndef RS_CASE_H
#define RS_CASE_H

#include "../spec/spec.h"

/* What is asked for of the Jacobians' product. Without directions all of it is 0. */
typedef struct rs_tangents {
    size_t directions;         /* resolved: 1 .. S H; 0: none */
    size_t transient;          /* resolved; the last of the case's warm-up */
    size_t qr_every;           /* as asked for; 0: chosen */
    size_t n_singular;         /* only where all directions are asked for */
    const size_t *singular_at; /* [n_singular] ascending, 1 .. T; borrowed */
} rs_tangents;

typedef struct rs_case {
    rs_cell cell;
    rs_ensemble ensemble;
    size_t hidden; /* H */
    size_t steps;  /* T */
    uint64_t seed;
    size_t batch; /* B */
    rs_input input;
    size_t input_size; /* I of RS_INPUT_PYTORCH, 0 for the other inputs */
    rs_start h0;       /* resolved: RS_START_MODEL where the model's h0 is used */
    size_t warmup;     /* forward steps before the recorded ones, those of a transient included */
    rs_loss loss;
    size_t fit_skip;          /* resolved */
    rs_gate_bias gate_bias;   /* of cells with gates; else drawn */
    rs_gate_scale gate_scale; /* likewise; else same */
    double leak;              /* A of cells with one gate; 1 for none, and for all others */
    rs_precision precision;
    bool raw;
    const char *engine;    /* name, static */
    uint64_t model_digest; /* of the imported arrays; 0 unless ensemble is RS_MODEL */
    const char *model;     /* their file's name, "" without; borrowed; a label, no identity */
    bool gradients; /* of the weights are recorded too: no identity, it changes nothing else */
    rs_tangents tangents; /* likewise: the store knows what they gave by point and by these */
    bool native; /* weight_hh unscaled: the store knows it by a point without a radius asked for */
} rs_case;

/* The shape of the whole case with `radii` radii. */
rs_shape rs_case_shape(const rs_case *one, size_t radii);

/* Curves of a point: one of h, or three where the state is a pair: of the pair, h and c. */
size_t rs_curves_of(rs_cell cell);

enum { RS_CURVE_ARRAYS = 4 }; /* of a curve: mean, min, max, fraction of zeros */

/* Numbers that a radius of the shape has of its tangents: sums over the samples while they are
 * added up, and results; of a linear cell those predicted by all eigenvalues too. */
size_t rs_tangent_sums(const rs_shape *shape);
size_t rs_tangent_results(const rs_shape *shape);

/* True where the arrays of the case have the determinant of W_hh: for the sum rule of all exponents
 * of a cell with one gate and without a leak. */
bool rs_case_has_determinant(const rs_case *one);

/* True where they have the eigenvalues of W_hh: a linear cell's exponents are known from them. */
bool rs_case_has_eigenvalues(const rs_case *one);

/* True where one launch can hold both cases. */
bool rs_case_same_shape(const rs_case *a, const rs_case *b);

/* ---- identity ------------------------------------------------------------------------------- */

typedef enum rs_identity_kind { RS_IDENTITY_TEXT, RS_IDENTITY_WHOLE } rs_identity_kind;

typedef struct rs_identity_value {
    const char *text; /* of RS_IDENTITY_TEXT; static, or points into `buffer` */
    int64_t whole;    /* of RS_IDENTITY_WHOLE; a seed from 2^63 on is the same 64 bits */
    char buffer[64];
} rs_identity_value;

/* How much a column says of a case: what its arrays' sizes and laws are, which of the seeds it is,
 * and all the other settings. */
typedef enum rs_identity_part {
    RS_PART_SHAPE,
    RS_PART_SEED,
    RS_PART_SETTING,
    RS_PART_DIGEST /* a setting for programs, not for people */
} rs_identity_part;

typedef struct rs_identity_column {
    const char *name; /* in tables and in the database */
    rs_identity_kind kind;
    rs_identity_part part;
    void (*get)(const rs_case *one, rs_identity_value *out);
} rs_identity_column;

enum { RS_MAX_IDENTITY = 19 };

/* The columns that tell cases apart, in the order of tables; *n receives their number, at
 * most RS_MAX_IDENTITY. Two cases with equal values have equal results. The store finds cases by
 * them, tables lead with them. */
const rs_identity_column *rs_identity_columns(size_t *n);

#endif
