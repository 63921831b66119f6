/* WALL 1: all that the driver knows of an engine, and all that an engine knows of its work.
 *
 * An engine unrolls recurrent networks of K gates and S states a unit (cell.h has the formulas)
 *
 *     p_k = s_k (W_k h_{t-1}),  u_k = V_k x_t + b_k,  k = 1 .. K          t = 1 .. T
 *     (h, c)_t = step(p, u, (h, c)_{t-1})                 unit by unit
 *     delta_T = (dL/dh_T, 0),  delta_{t-1} = sum_k s_k W_k^T dL/dp_k + what step hands back + c
 *
 * (backpropagation through time, e.g. Pascanu, Mikolov & Bengio 2013, section 1.1) and records the
 * Euclidean norms of every delta_t, and where asked for the norms of the weights' gradients, and
 * how tangents stretch. One launch holds `groups`; a group is one network, of base matrices W_k,
 * with `radii` x `batch` columns. Column r * batch + b has the scales s_k of radius r and the input
 * and start state of sample b. All engines apply s_k to sums, not to weights, so that they agree to
 * rounding.
 *
 * The state of an LSTM is the pair (h, c), and delta_t is a pair in state coordinates: dL/dh_t of
 * the h_t that enters step t + 1 while c_t is held fixed, and dL/dc_t while h_t is. Other cells
 * have h alone.
 *
 * Weights are loaded once and any number of passes run with them:
 *
 *     open -> load -> run, run, ... -> load -> run, ... -> close
 *
 * or are learnt:
 *
 *     open -> load -> run, learn, run, learn, ... -> fetch -> close
 */
#ifndef RS_ENGINE_H
#define RS_ENGINE_H

#include "base/status.h"
#include "cell.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rs_precision { RS_F32, RS_F64, RS_N_PRECISION } rs_precision;

typedef enum rs_drive_kind {
    RS_DRIVE_ZERO,    /* V x = 0 */
    RS_DRIVE_NOISE,   /* V x iid N(0, sigma^2) per unit and gate */
    RS_DRIVE_WEIGHTED /* V x = weight_ih x; x given, or iid N(0, 1) */
} rs_drive_kind;

/* Spectral radii that range extension is made for. A step may change a norm by about 1e28 in f32
 * and 1e76 in f64 before numbers or their squares leave their format, and with it the norm its
 * digits. */
#define RS_LEAST_RADIUS 1e-20
#define RS_MOST_RADIUS  1e20

/* What all columns of a launch have in common. */
typedef struct rs_shape {
    size_t groups;       /* G: networks */
    size_t radii;        /* R: scales per group */
    size_t batch;        /* B: samples per group; a group has R * B columns */
    size_t hidden;       /* H: units */
    size_t input_size;   /* I of a weighted drive; 0 for others */
    size_t steps;        /* T: recorded steps */
    size_t warmup;       /* forward steps before the recorded ones, without gradient */
    rs_drive_kind drive; /* of all groups */
    rs_cell cell;
    double leak;            /* A of a cell with one gate: h_t = (1 - A) h_{t-1} + A phi(a_t); 0: h_t
                               = phi(a_t), which 1 would give too. 0 for cells with more gates */
    rs_precision precision; /* of arrays and arithmetic; norms are summed in double */
    bool raw;               /* plain arithmetic: no range extension, slopes from values: 1 - h^2 */
    bool gradients;         /* record the weights' gradients too */
    bool learns;            /* of gradients, one radius and scales of 1: keep the gradients
                               themselves, for learn() and fetch(), of a loss that the pass asks
                               for */
    bool every_step;        /* of shapes that learn: the loss is asked about every recorded step,
                               else about the last */
    size_t directions;      /* k, 1 .. S H: tangents of each column (see rs_record); 0: none */
    size_t transient;       /* of the warm-up's last steps, along which tangents are carried too;
                               0 without */
    size_t qr_every;        /* steps between their QRs; 0: chosen for each column by its spread, as
                               tangent/schedule.h says; 0 without */
    size_t n_singular;      /* times at which singular values are recorded; only where k = S H */
    const size_t *singular_at; /* [n_singular] ascending, 1 .. T; borrowed */
} rs_shape;

/* Blocks that recorded steps are cut into, for batch means; a step each where there are fewer. */
enum { RS_STRETCH_BLOCKS = 16 };

/* K H. Sizes of a pass that has memory: the product fits. */
static inline size_t rs_gate_rows(const rs_shape *shape) {
    return rs_cell_of(shape->cell)->gates * shape->hidden;
}

/* True where a step's Jacobian is phi'(a) W_hh: of cells with one gate and without a leak. */
static inline bool rs_has_slopes(const rs_shape *shape) {
    return rs_cell_of(shape->cell)->gates == 1 && !(shape->leak > 0.0);
}

/* The weights of one network, named and ordered as in PyTorch's nn.RNN, nn.LSTM and nn.GRU: blocks
 * of H rows, one for each gate. Arrays are borrowed, and finite. */
typedef struct rs_parameters {
    const double *weight_hh; /* [K H][H]  W_k; row i of a block feeds unit i */
    const double *weight_ih; /* [K H][I]  of a weighted drive; not read for others */
    const double *bias_ih;   /* [K H]  of every drive; NULL for zeros */
    const double *bias_hh;   /* [K H]  likewise; added to bias_ih first, but for the candidate of
                                       a GRU, where it is added to p */
} rs_parameters;

/* The input u_t of a sample. Whatever is drawn is a function of (seed, step, sample, unit) alone.
 */
typedef struct rs_drive {
    uint64_t seed;       /* of the Philox streams that noise and x are drawn from */
    double sigma;        /* RS_DRIVE_NOISE: standard deviation */
    size_t first_sample; /* sample 0 of the pass is this one of the whole batch */
    const double *input; /* RS_DRIVE_WEIGHTED: x [warmup + T][input_batch][I], or NULL to draw it */
    size_t input_batch;  /* samples in a row of `input` */
} rs_drive;

/* The same to be written to; NULL for what is not wanted. */
typedef struct rs_parameter_arrays {
    double *weight_hh, *weight_ih, *bias_ih, *bias_hh;
} rs_parameter_arrays;

/* What the columns of one group are given. All arrays are borrowed for the call, and finite. */
typedef struct rs_columns {
    const double *scale;                /* [R][K]  s_k of every radius */
    const double *start[RS_MAX_STATES]; /* [B][H] each: h and c before the first step; NULL for
                                           zeros */
    const double *delta;                /* [B][H]  dL/dh_T */
    double step_delta; /* c: the loss's own term at every h_t, t < T (0 but for all-mean) */
    rs_drive drive;    /* u_t of every sample */
} rs_columns;

/* Called now and then from the thread that called run(), with the part of the work done, 0 .. 1.
 * Returns false to stop: run() then ends early with RS_EINTERRUPTED. */
typedef bool (*rs_tick)(void *arg, double fraction);

/* Asked once for every group, after its forward pass; groups may be asked about at once, by any
 * threads. `state` [asked][B][H] has h_t of every recorded step, or of the last one; fills `delta`,
 * alike, with the loss's own dL/dh_t. */
typedef void (*rs_loss_asked)(void *arg, size_t group, const double *state, double *delta);

/* One unroll of the networks that are loaded. */
typedef struct rs_pass {
    rs_shape shape;       /* groups as loaded; any part of their radii and samples */
    const rs_columns *of; /* [G] */
    rs_tick tick;         /* may be NULL */
    void *tick_arg;
    rs_loss_asked loss; /* of shapes that learn, in the place of the columns' delta and step_delta,
                           which are not read */
    void *loss_arg;
} rs_pass;

/* The weights' gradients, in the order of PyTorch's parameters. */
typedef enum rs_gradient {
    RS_WEIGHT_IH,
    RS_WEIGHT_HH,
    RS_BIAS_IH,
    RS_BIAS_HH,
    RS_N_GRADIENT
} rs_gradient;

/* What run() fills; made and freed by record.h. With n = R * B columns per group, |dL/dh_t| of
 * group g, step t, column c is sqrt(norm2[(i S + 0) n + c]) * 2^exponent[i n + c], i = g T + t - 1,
 * and |dL/dc_t| likewise with 1 in the place of 0: the states of a column share an exponent.
 * It is 0 until the norm of the pair leaves the safe band of its precision. From there on delta
 * itself is kept scaled by that power of two; in a raw pass only the norm is, so that it neither
 * underflows nor overflows where the plain numbers have not.
 *
 * With q = dL/dp and v = dL/du of all gates, [K H] of each recorded step, the gradients are
 *
 *     dL/dW_hh = sum q h_{t-1}^T,   dL/dweight_ih = sum v x_t^T,
 *     dL/dbias_hh = sum q,          dL/dbias_ih = sum v
 *
 * over the steps and samples of a radius, of W_hh = s W0. q and v are the same but for the
 * candidate of a GRU, where q = sigma(a_r) * v. Without a weighted drive there is no weight_ih, and
 * its norm is 0. The Frobenius norm of kind k of group g at radius r is
 * sqrt(gradient2[i]) * 2^gradient_exponent[i], i = (g R + r) RS_N_GRADIENT + k. Terms are added up
 * scaled by powers of two, so that norms are right beyond the range of the precision; in a raw pass
 * they are added as they are.
 *
 * Tangents v [S H][k] of a column begin as the first k unit vectors before the transient, and
 * every step takes them along,
 *
 *     v_t = J_t v_{t-1},  J_t = d(h, c)_t / d(h, c)_{t-1}
 *
 * of which delta's way back is the transpose. Now and then QR makes them orthonormal again, v = Q R
 * with R_ii >= 0; ln R_ii, added up over the recorded steps, grows by the i-th Lyapunov exponent in
 * the mean of a step (Benettin et al. 1980). With k = S H the R's of the first t recorded steps
 * multiply to the triangle of J_t .. J_1, with the same singular values. A column that is not
 * finite has NaN. */
typedef struct rs_record {
    double *norm2;              /* [G][T][S][R * B]  sum of squares; 0, inf and NaN as they come */
    int32_t *exponent;          /* [G][T][R * B]  binary exponent beside it */
    uint32_t *nonfinite_step;   /* [G][R * B]     first t whose state is not finite, 0 for none */
    double *gradient2;          /* [G][R][RS_N_GRADIENT]  likewise; NULL without gradients */
    int32_t *gradient_exponent; /* [G][R][RS_N_GRADIENT] */
    double *stretch;         /* [G][R * B][RS_STRETCH_BLOCKS][k]  sum of ln R_ii over the steps of
                                each block of recorded ones; 0 for blocks that are not there;
                                NULL without directions, as the next three */
    uint32_t *qr_gap;        /* [G][R * B]  most steps between two QRs of recorded ones */
    double *log_slope;       /* [G][R * B]  mean of ln phi'(a) over recorded steps and units; NaN
                                for cells that have more gates than one, or a leak */
    double *singular;        /* [G][R * B][n_singular][k]  ln of singular values of J_t .. J_1,
                                descending; NULL without */
    double forward_seconds;  /* wall time of the forward passes; input included where the
                                engine's memory is the host's */
    double backward_seconds; /* wall time of the backward passes, norms included */
    double gradient_seconds; /* wall time of the weights' gradients, likewise; 0 without */
    double tangent_seconds;  /* wall time of carrying tangents; 0 without */
    double qr_seconds;       /* wall time of their QRs and of singular values; 0 without */
    double transfer_seconds; /* wall time that input and start states take to the device, packing
                                and drawing there included, and norms take back; part of it may
                                pass beside the passes of other columns. 0 where the engine's
                                memory is the host's */
} rs_record;

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
    double work_wanted;    /* K H^2 (warm-up + T + k (transient + T)) columns at which it packs no
                              more;    0: no such bound */
} rs_device;

typedef struct rs_resources {
    int threads; /* at least 1; CPU engines use at most so many */
} rs_resources;

/* parameter -= rate times its gradient, of which no element counts as more than `most`: INFINITY,
 * or what PyTorch's clip_grad_value_ is given. A rate of 0 leaves a group as it is, whatever its
 * gradient. */
typedef struct rs_learning_step {
    double rate, most;
} rs_learning_step;

/* What is subtracted. NaN stays. */
static inline double rs_learning_move(const rs_learning_step *step, double gradient) {
    double const most = step->most;
    return step->rate * (gradient > most ? most : gradient < -most ? -most : gradient);
}

/* An engine. Every function but close() relays its failures as a status. Handles are independent of
 * each other: each may be used by one thread at a time, different ones at once, on whichever
 * devices. */
typedef struct rs_engine {
    const char *name; /* "reference", "cpu", "cuda" */

    /* Describes the device of that index; those of an engine count from 0, and a host's engine has
     * one. RS_EDEVICE, saying what is missing, past the last one. */
    rs_status (*device)(size_t index, rs_device *out);

    /* Bytes that open() will allocate for this shape; never fewer when a size grows. UINT64_MAX
     * where the number does not fit. RS_EINPUT, with the way out, where the engine cannot run such
     * shapes at all. */
    rs_status (*bytes)(size_t device, const rs_shape *shape, const rs_resources *resources,
                       uint64_t *out);

    /* Allocates all that any shape needs whose bytes() is at most that of `largest`. */
    rs_status (*open)(size_t device, const rs_shape *largest, const rs_resources *resources,
                      void **self);

    /* Takes the weights of shape->groups networks, in the place of those before. `shape` is that of
     * the passes to come, or larger. The arrays are free once it is back. Allocates nothing. */
    rs_status (*load)(void *self, const rs_shape *shape, const rs_parameters *of);

    /* Runs one pass. The result depends on it and the weights alone: not on threads, nor on which
     * columns stand beside which. Allocates nothing. */
    rs_status (*run)(void *self, const rs_pass *pass, rs_record *out);

    /* After a pass that learns: a step [G] of every group's parameters down its gradient, in
     * double; W is rounded to the precision for the passes to come. NULL, as fetch, for an engine
     * that does not learn, whose bytes() refuses such shapes. */
    rs_status (*learn)(void *self, const rs_learning_step *of);

    /* Copies a group's parameters as they are now, or the gradients of the last pass. */
    rs_status (*fetch)(void *self, size_t group, bool gradient, const rs_parameter_arrays *out);

    /* Frees all; NULL is allowed. */
    void (*close)(void *self);
} rs_engine;

/* The engines of this build, best first, ended by NULL. */
const rs_engine *const *rs_engines(void);

/* The engine of that name, or NULL. */
const rs_engine *rs_engine_named(const char *name);

/* "f32", "f64". */
const char *rs_precision_name(rs_precision precision);

#ifdef __cplusplus
}
#endif

#endif
