/* Cases and points made by hand, for the tests of the store and of the tables. */
#ifndef RS_STORE_FIXTURE_H
#define RS_STORE_FIXTURE_H

#include "../host/store/store.h"

#include <math.h>
#include <string.h>

enum { FIXTURE_STEPS = 5, FIXTURE_RADII = 8 };

/* One case with the points of its radii. */
typedef struct fixture {
    rs_case one;
    rs_point point[FIXTURE_RADII];
    double curve[FIXTURE_RADII][FIXTURE_STEPS], zero[FIXTURE_RADII][FIXTURE_STEPS];
    double state[FIXTURE_RADII][RS_MAX_STATES][2][FIXTURE_STEPS]; /* curve and zero of each */
} fixture;

/* Takes away what version 3 had not. */
static const char fixture_to_version3[] =
    "DROP TABLE lyapunov; DROP TABLE singular_values;"
    "ALTER TABLE runs DROP COLUMN workers; ALTER TABLE timings DROP COLUMN host;"
    "ALTER TABLE timings DROP COLUMN rank; ALTER TABLE timings DROP COLUMN device_index;"
    "DROP TABLE state_curves; CREATE TABLE old AS SELECT * FROM cases; DROP TABLE cases;"
    "ALTER TABLE old DROP COLUMN gate_bias; ALTER TABLE old DROP COLUMN gate_scale;"
    "ALTER TABLE old DROP COLUMN leak; ALTER TABLE old RENAME TO cases; PRAGMA user_version = 3";

/* And what version 2 had not. */
static const char fixture_to_version2[] =
    "DROP TABLE gradients; DROP TABLE clips; PRAGMA user_version = 2";

static inline fixture fixture_make(uint64_t seed) {
    return (fixture){
        .one = {.cell = RS_TANH,
                .ensemble.kind = RS_GAUSSIAN,
                .hidden = 10,
                .steps = FIXTURE_STEPS,
                .seed = seed,
                .batch = 4,
                .input = {.kind = RS_INPUT_PYTORCH},
                .input_size = 3,
                .loss = RS_RANDOM,
                .fit_skip = 1,
                .leak = 1.0,
                .precision = RS_F64,
                .engine = "reference",
                .model = ""},
    };
}

/* Makes the case one of imported weights. */
static inline void fixture_import(fixture *f) {
    f->one.ensemble.kind = RS_MODEL;
    f->one.model = "a,b\"c.npz";
    f->one.model_digest = 0xABCDEF;
}

/* Fills point i: norms of 10^(-rate (T - t)), which no format's range can hold for ever. */
static inline rs_point *fixture_point(fixture *f, size_t i, double rho, double rate) {
    double *const curve = f->curve[i];
    for (size_t t = 0; t < FIXTURE_STEPS; ++t) curve[t] = -rate * (double)(FIXTURE_STEPS - 1 - t);
    f->point[i] = (rs_point){.rho_asked = rho,
                             .rho = isnan(rho) ? 0.625 : rho,
                             .g = isnan(rho) ? 0.5 : 0.75 * rho,
                             .decay_rate = rate,
                             .range = {-1, -1, -1, -1, -1, -1, -1},
                             .profile = {curve, curve, curve, f->zero[i]}};
    return &f->point[i];
}

/* Makes the case one of an LSTM of this bias of the forget gate. */
static inline void fixture_gate(fixture *f, double gate_bias) {
    f->one.cell = RS_LSTM;
    f->one.gate_bias = (rs_gate_bias){RS_BIAS_GIVEN, gate_bias};
}

/* Gives point i, which is filled, curves of both states of a pair: half and a quarter of its norms,
 * and none of c at step T, where the loss does not depend on it. */
static inline void fixture_states(fixture *f, size_t i) {
    static double const shift[RS_MAX_STATES] = {-0.30103, -0.60206};
    for (size_t k = 0; k < RS_MAX_STATES; ++k) {
        double *const curve = f->state[i][k][0], *const zero = f->state[i][k][1];
        for (size_t t = 0; t < FIXTURE_STEPS; ++t) curve[t] = f->curve[i][t] + shift[k];
        f->point[i].state[k] = (rs_log_profile){curve, curve, curve, zero};
    }
    f->state[i][1][0][FIXTURE_STEPS - 1] = -INFINITY;
    f->state[i][1][1][FIXTURE_STEPS - 1] = 1.0;
}

/* Gives a point the norms 10^log10_norm of the weights' gradients. */
static inline void fixture_gradients(rs_point *point, double weight_ih, double weight_hh,
                                     double bias_ih, double bias_hh) {
    point->has_gradients = true;
    point->gradient[RS_WEIGHT_IH] = weight_ih;
    point->gradient[RS_WEIGHT_HH] = weight_hh;
    point->gradient[RS_BIAS_IH] = bias_ih;
    point->gradient[RS_BIAS_HH] = bias_hh;
}

static const rs_origin fixture_origin = {.host = "box", .device = "A CPU", .threads = 2};

static inline rs_case_result fixture_result(const fixture *f, size_t n) {
    return (rs_case_result){.one = &f->one,
                            .status = RS_OK,
                            .point = f->point,
                            .n = n,
                            .origin = &fixture_origin,
                            .forward_seconds = 0.25,
                            .backward_seconds = 0.75,
                            .transfer_seconds = 0.125};
}

static inline rs_case_result fixture_failure(const fixture *f, const char *reason) {
    return (rs_case_result){.one = &f->one, .status = RS_EDEVICE, .reason = reason};
}

/* Which of the radii rho [n] (NULL for the one of a native case) of a case are stored. */
typedef struct fixture_radii {
    const double *rho;
    size_t n;
    bool *done;
} fixture_radii;

static inline rs_status fixture_mark(void *arg, const rs_stored_point *point) {
    const fixture_radii *radii = arg;
    for (size_t i = 0; i < radii->n; ++i)
        if (radii->rho ? radii->rho[i] == point->rho_asked : isnan(point->rho_asked))
            radii->done[i] = true;
    return RS_OK;
}

static inline rs_status fixture_done(rs_store *store, const rs_case *one, const double *rho,
                                     size_t n, unsigned wanted, bool *done) {
    fixture_radii radii = {rho, n, done};
    memset(done, 0, n * sizeof *done);
    return rs_store_points(store, one, (uint64_t[]){one->seed, one->seed}, wanted, fixture_mark,
                           &radii);
}

static inline rs_provenance fixture_provenance(void) {
    return (rs_provenance){.version = "0.1.0",
                           .commit = "abc1234",
                           .libraries = "SQLite 3",
                           .system = "Linux 6 x86_64",
                           .engine = "reference",
                           .driver = "",
                           .isa = "",
                           .first = fixture_origin,
                           .workers = 1,
                           .memory = 1000000,
                           .command_line = "rhosweep sweep --rho 1,2",
                           .spec = "[sweep]\nrho = 1,2\n"};
}

#endif
