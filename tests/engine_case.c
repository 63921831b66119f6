#include "engine_case.h"

#include "../host/fit/fit.h"
#include "../kernels/base/random.h"

#include <stdio.h>
#include <stdlib.h>

enum { INPUT_SIZE = 2 };

cell_kind cell_kind_at(size_t i) {
    static const cell_kind leaky[] = {{RS_TANH, 0.3}, {RS_RELU, 0.6}, {RS_LINEAR, 0.45}};
    return i < RS_N_CELL ? (cell_kind){.cell = (rs_cell)i} : leaky[i - RS_N_CELL];
}

/* Without a test library, which a cross compiler need not have: an error ends the program. */
static void must(bool done, const char *what) {
    if (done) return;
    fprintf(stderr, "engine_case: %s\n", what);
    abort();
}

static void draw(uint64_t seed, uint32_t stream, size_t n, double scale, double *out) {
    for (size_t i = 0; i < n; ++i) {
        double pair[2];
        rs_normal_pair(seed, (rs_stream)(100 + stream), 0, 0, (uint32_t)i, pair);
        out[i] = scale * pair[0];
    }
}

static void make_unit(double *x, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) sum += x[i] * x[i];
    for (size_t i = 0; i < n; ++i) x[i] /= sqrt(sum);
}

/* The numbers of a group, and where they are. */
static size_t numbers_of(const rs_shape *s) {
    const rs_cell_info *cell = rs_cell_of(s->cell);
    size_t const rows = cell->gates * (s->hidden + s->input_size + 2);
    return s->hidden * (rows + (cell->states + 1) * s->batch);
}

static void make_group(const rs_shape *shape, uint64_t key, double *at, const double *scale,
                       rs_parameters *parameters, rs_columns *columns) {
    const rs_cell_info *cell = rs_cell_of(shape->cell);
    size_t const h = shape->hidden, b = shape->batch, inputs = shape->input_size;
    size_t const rows = cell->gates * h;
    bool const gated = cell->gates > 1, biased = gated || shape->drive == RS_DRIVE_WEIGHTED;
    double *w = at, *start = w + rows * h, *delta = start + b * h, *w_ih = delta + b * h;
    double *bias_ih = w_ih + rows * inputs, *bias_hh = bias_ih + rows, *c0 = bias_hh + rows;
    draw(key, 1, rows * h, 1.0 / sqrt((double)h), w);
    draw(key, 2, b * h, 0.5, start);
    draw(key, 3, b * h, 1.0, delta);
    draw(key, 4, rows * inputs, 0.7, w_ih);
    draw(key, 5, rows, 0.3, bias_ih);
    draw(key, 6, rows, 0.3, bias_hh);
    if (cell->states > 1) draw(key, 7, b * h, 0.5, c0);
    for (size_t s = 0; s < b; ++s) make_unit(delta + s * h, h);
    *parameters = (rs_parameters){.weight_hh = w,
                                  .weight_ih = w_ih,
                                  .bias_ih = biased ? bias_ih : NULL,
                                  .bias_hh = gated ? bias_hh : NULL};
    *columns = (rs_columns){.scale = scale,
                            .start = {start, cell->states > 1 ? c0 : NULL},
                            .delta = delta,
                            .drive = {.seed = key}};
}

engine_case engine_case_make(rs_shape shape, double low, double high, uint64_t seed) {
    if (shape.drive == RS_DRIVE_WEIGHTED && shape.input_size == 0) shape.input_size = INPUT_SIZE;
    size_t const size = numbers_of(&shape), gates = rs_cell_of(shape.cell)->gates;
    engine_case c = {.pass.shape = shape};
    c.parameters = calloc(shape.groups, sizeof *c.parameters);
    c.columns = calloc(shape.groups, sizeof *c.columns);
    c.numbers = calloc(shape.groups * size, sizeof *c.numbers);
    c.scale = calloc(shape.radii * gates, sizeof *c.scale);
    must(c.parameters && c.columns && c.numbers && c.scale, "no memory");
    for (size_t i = 0; i < shape.radii * gates; ++i) {
        double const radius = (double)(i / gates), last = (double)(shape.radii - 1);
        double const scale = shape.radii > 1 ? low + (high - low) * radius / last : high;
        c.scale[i] = scale * (1.0 + 0.25 * (double)(i % gates));
    }
    for (size_t g = 0; g < shape.groups; ++g)
        make_group(&shape, seed * 1000 + g, c.numbers + g * size, c.scale, &c.parameters[g],
                   &c.columns[g]);
    c.pass.of = c.columns;
    return c;
}

void engine_case_free(engine_case *c) {
    free(c->parameters);
    free(c->columns);
    free(c->numbers);
    free(c->scale);
}

rs_record record_make(const rs_shape *shape) {
    rs_record record;
    must(rs_record_make(shape, &record) == RS_OK, rs_message());
    return record;
}

rs_record run_engine(const rs_engine *engine, const rs_pass *pass, const rs_parameters *parameters,
                     int threads) {
    rs_resources const resources = {.threads = threads};
    rs_record record = record_make(&pass->shape);
    void *state = NULL;
    rs_status status = engine->open(0, &pass->shape, &resources, &state);
    if (status == RS_OK) status = engine->load(state, &pass->shape, parameters);
    if (status == RS_OK) status = engine->run(state, pass, &record);
    engine->close(state);
    must(status == RS_OK, rs_message());
    return record;
}

rs_record run_case(const rs_engine *engine, const engine_case *c, int threads) {
    return run_engine(engine, &c->pass, c->parameters, threads);
}

bool engine_takes(const rs_engine *engine, const rs_shape *shape) {
    uint64_t bytes;
    return engine->bytes(0, shape, &(rs_resources){.threads = 1}, &bytes) == RS_OK;
}

bool paths_cancel(const rs_shape *shape) {
    bool const gated = rs_cell_is_gated(shape->cell);
    return gated && shape->hidden < 5 && shape->precision == RS_F32;
}

double log_state_norm(const rs_shape *shape, const rs_record *record, size_t g, size_t t, size_t c,
                      size_t state) {
    size_t const columns = shape->radii * shape->batch, step = g * shape->steps + t - 1;
    size_t const states = rs_cell_of(shape->cell)->states;
    return rs_log10_norm(record->norm2[(step * states + state) * columns + c],
                         record->exponent[step * columns + c]);
}

double log_norm(const rs_shape *shape, const rs_record *record, size_t g, size_t t, size_t c) {
    size_t const columns = shape->radii * shape->batch, step = g * shape->steps + t - 1;
    size_t const states = rs_cell_of(shape->cell)->states;
    double sum = 0.0;
    for (size_t k = 0; k < states; ++k) sum += record->norm2[(step * states + k) * columns + c];
    return rs_log10_norm(sum, record->exponent[step * columns + c]);
}
