/* Passes for engines, made from a shape and a seed, and the records they give. */
#ifndef ENGINE_CASE_H
#define ENGINE_CASE_H

#include "../kernels/record.h"

/* Every cell, and after them those of one gate that leak. */
typedef struct cell_kind {
    rs_cell cell;
    double leak;
} cell_kind;
enum { N_CELL_KIND = RS_N_CELL + 3 };
cell_kind cell_kind_at(size_t i);

typedef struct engine_case {
    rs_pass pass;
    rs_parameters *parameters; /* [G] */
    rs_columns *columns;       /* [G] what the pass points to */
    double *numbers;           /* all arrays of all groups */
    double *scale;             /* [R][K] of all groups */
} engine_case;

/* Gaussian W0 with g = 1 in every block; scales of the first gate spread evenly over [low, high],
 * those of gate k larger by 1 + k / 4; h0 and c0 ~ N(0, 1/4), a random unit loss vector; a weighted
 * input, where the shape has one, is of size 2 unless it says another, with a bias; gated cells
 * have both biases whatever the input. Everything from `seed`. */
engine_case engine_case_make(rs_shape shape, double low, double high, uint64_t seed);
void engine_case_free(engine_case *c);

/* An allocated record for the shape; freed with rs_record_free. */
rs_record record_make(const rs_shape *shape);

/* Opens the engine, loads the parameters [G], runs the pass on `threads` threads and closes it; an
 * error ends the program. */
rs_record run_engine(const rs_engine *engine, const rs_pass *pass, const rs_parameters *parameters,
                     int threads);
rs_record run_case(const rs_engine *engine, const engine_case *c, int threads);

/* Whether the engine can run such shapes; rs_message() says why not. */
bool engine_takes(const rs_engine *engine, const rs_shape *shape);

/* Whether a few gated units, whose paths may cancel, leave a float fewer digits than others. */
bool paths_cancel(const rs_shape *shape);

/* log10 |delta_t| of group g, step t, column c: of the pair where the state is one, and of one of
 * its states alone. */
double log_state_norm(const rs_shape *shape, const rs_record *record, size_t g, size_t t, size_t c,
                      size_t state);
double log_norm(const rs_shape *shape, const rs_record *record, size_t g, size_t t, size_t c);

#endif
