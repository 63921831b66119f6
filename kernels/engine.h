/* WALL 1: all that the driver knows of an engine, and all that an engine knows of its work.
 *
 * An engine unrolls recurrent networks
 *
 *     a_t = s (W0 h_{t-1}) + u_t,   h_t = phi(a_t),                       t = 1 .. T
 *     delta_T = dL/dh_T,   delta_{t-1} = s W0^T (phi'(a_t) * delta_t) + c
 *
 * (backpropagation through time, e.g. Pascanu, Mikolov & Bengio 2013, section 1.1) and returns the
 * Euclidean norm of every delta_t. One launch holds `groups`; a group is one base matrix W0 with
 * `radii` x `batch` columns. Column r * batch + b has the scale s of radius r and the input and
 * start state of sample b. All engines apply s after the product, so that they agree to rounding.
 */
#ifndef RS_ENGINE_H
#define RS_ENGINE_H

#include "base/status.h"
#include "drive.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rs_cell { RS_TANH, RS_RELU, RS_LINEAR, RS_N_CELL } rs_cell;
typedef enum rs_precision { RS_F32, RS_F64, RS_N_PRECISION } rs_precision;

/* Spectral radii that range extension is made for. A step may change a norm by about 1e28 in f32
 * and 1e76 in f64 before numbers or their squares leave their format, and with it the norm its
 * digits. */
#define RS_LEAST_RADIUS 1e-20
#define RS_MOST_RADIUS  1e20

/* What all columns of a launch have in common. */
typedef struct rs_shape {
    size_t groups;     /* G: base matrices */
    size_t radii;      /* R: scales per group */
    size_t batch;      /* B: samples per group; a group has R * B columns */
    size_t hidden;     /* H: units */
    size_t input_size; /* I of a weighted drive; 0 for others */
    size_t steps;      /* T: recorded steps */
    size_t warmup;     /* forward steps before the recorded ones, without gradient */
    rs_cell cell;
    rs_precision precision; /* of arrays and arithmetic; norms are summed in double */
    bool raw;               /* plain arithmetic: no range extension, phi' = 1 - h^2 */
    bool driven;            /* false: u = 0 throughout, whatever the drive says */
} rs_shape;

/* One base matrix and what its columns need. All arrays are borrowed for the call, and finite. */
typedef struct rs_group {
    const double *weight_hh;     /* [H][H]  W0; row i feeds unit i */
    const double *scale;         /* [R]     s of every radius */
    const double *h0;            /* [B][H]  start state, or NULL for zeros */
    const double *loss_gradient; /* [B][H]  delta_T */
    double step_gradient;        /* c: the loss's own term at every t < T (0 but for all-mean) */
    rs_drive drive;              /* u_t of every sample */
} rs_group;

/* Called now and then from the thread that called run(), with the part of the work done, 0 .. 1.
 * Returns false to stop: run() then ends early with RS_EINTERRUPTED. */
typedef bool (*rs_tick)(void *arg, double fraction);

typedef struct rs_job {
    rs_shape shape;
    const rs_group *group; /* [G] */
    rs_tick tick;          /* may be NULL */
    void *tick_arg;
} rs_job;

/* What run() fills; the arrays belong to the caller. With n = R * B columns per group, |delta_t| of
 * group g, step t, column c is sqrt(norm2[i]) * 2^exponent[i], i = (g T + t - 1) n + c.
 * The exponent is 0 until a norm leaves the safe band of its precision. From there on delta itself
 * is kept scaled by that power of two; in a raw job only the norm is, so that it neither underflows
 * nor overflows where the plain numbers have not. */
typedef struct rs_profile {
    double *norm2;            /* [G][T][R * B]  sum of squares; 0, inf and NaN as they come */
    int32_t *exponent;        /* [G][T][R * B]  binary exponent beside it */
    uint32_t *nonfinite_step; /* [G][R * B]     first t whose h_t is not finite, 0 for none */
    double forward_seconds;   /* wall time of the forward passes; packing and input included where
                                 the engine's memory is the host's */
    double backward_seconds;  /* wall time of the backward passes, norms included */
    double transfer_seconds;  /* wall time that weights, input and start states take to the device,
                                 packing and drawing there included, and norms take back; part of
                                 it may pass beside the passes of other columns. 0 where the
                                 engine's memory is the host's */
} rs_profile;

/* The machine part that an engine runs on. */
typedef struct rs_device {
    char name[128];        /* "AMD EPYC 9654 (AVX-512)", "NVIDIA H200" */
    char driver[64];       /* driver and runtime versions, "" where there is none */
    char abilities[192];   /* for people: threads, instruction set, memory */
    char isa[16];          /* instruction set of the engine's kernels, "" where it has no choice */
    char identity[24];     /* to keep results under: those of one name have the same bits */
    bool on_host;          /* its memory is the host's */
    uint64_t free_bytes;   /* memory that can be had now */
    int threads;           /* hardware threads usable by this process; 1 for a GPU */
    size_t columns_wanted; /* columns that fill the device; the plan packs cases up to this many */
    double work_wanted; /* H^2 (warm-up + T) columns at which it packs no more; 0: no such bound */
} rs_device;

typedef struct rs_resources {
    int threads; /* at least 1; CPU engines use at most so many */
    int device;  /* which of the engine's devices, from 0; the host's engines have the one */
} rs_resources;

/* An engine. Every function but close() relays its failures as a status. Handles are independent of
 * each other: each may be used by one thread at a time, different ones at once, on whichever
 * devices. device() and supports() speak of the first device. */
typedef struct rs_engine {
    const char *name; /* "reference", "cpu", "cuda" */

    /* Describes the device. RS_EDEVICE, saying what is missing, where the engine cannot run. */
    rs_status (*device)(rs_device *out);

    /* RS_EINPUT, with the way out, where this engine cannot run such shapes at all. */
    rs_status (*supports)(const rs_shape *shape);

    /* Bytes that open() will allocate for this shape. Never decreases when a size grows.
     * UINT64_MAX where the number does not fit. */
    uint64_t (*bytes)(const rs_shape *shape, const rs_resources *resources);

    /* Allocates all that any job needs whose bytes() is at most that of `largest`. */
    rs_status (*open)(const rs_shape *largest, const rs_resources *resources, void **self);

    /* Runs one job. The result depends on the job alone: not on threads, nor on which columns
     * stand beside which. Allocates nothing. */
    rs_status (*run)(void *self, const rs_job *job, rs_profile *out);

    /* Frees all; NULL is allowed. */
    void (*close)(void *self);
} rs_engine;

/* The engines of this build, best first, ended by NULL. */
const rs_engine *const *rs_engines(void);

/* The engine of that name, or NULL. */
const rs_engine *rs_engine_named(const char *name);

/* "tanh", "relu", "linear"; "f32", "f64". */
const char *rs_cell_name(rs_cell cell);
const char *rs_precision_name(rs_precision precision);

#ifdef __cplusplus
}
#endif

#endif
