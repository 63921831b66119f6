/* An engine without mathematics, clock or device: profiles by a formula, failures on demand, and a
 * record of the launches it was given. There is one, as engines have no state before open(), with
 * any number of devices, that threads of their own may run. */
#ifndef RS_TEST_FAKE_ENGINE_H
#define RS_TEST_FAKE_ENGINE_H

#include "../kernels/engine.h"

enum { FAKE_MAX_LAUNCHES = 512, FAKE_MAX_GROUPS = 8, FAKE_MAX_RADII = 16, FAKE_MAX_DEVICES = 8 };

/* What run() was given. */
typedef struct fake_launch {
    rs_shape shape;
    size_t device;
    uint64_t seed[FAKE_MAX_GROUPS]; /* of every group */
    double scale[FAKE_MAX_RADII];
    size_t first_sample;
    const double *weight_hh; /* of the first group, borrowed: to tell whether it is the same */
} fake_launch;

/* What is open on a device. */
typedef struct fake_handle {
    size_t device, runs;
    rs_shape loaded;                /* that load() got, with these weights: */
    double weight[FAKE_MAX_GROUPS]; /* the first of each network */
    const double *weight_hh;        /* of the first network, borrowed */
} fake_handle;

typedef struct fake_engine_state {
    /* Settings; fake_reset() makes it a device that never fails. */
    rs_device device;
    size_t devices; /* all like that one */
    size_t
        bad_from[FAKE_MAX_DEVICES]; /* a device fails from this run on, counted from 1; 0: never */
    bool together;                  /* a run ends once every device has begun one */
    rs_status device_status, supports_status, open_status;
    double rho_limit;      /* out of memory in a launch with a scale above */
    uint64_t bad_seed;     /* the device fails in a launch with this seed; UINT64_MAX for none */
    size_t lose_at;        /* the device is lost in this run, counted from 1; 0 for never */
    size_t interrupt_at;   /* SIGINT comes in this run, before its first tick; 0 for never */
    bool interrupt_late;   /* after its last tick instead */
    double infinite_above; /* states of a scale above this are not finite */

    /* Record. */
    fake_launch launch[FAKE_MAX_LAUNCHES];
    size_t launches, opened, closed;
    rs_shape largest; /* that open() got */
    fake_handle handle[FAKE_MAX_DEVICES];
    rs_resources resources;
} fake_engine_state;

extern fake_engine_state fake;
extern const rs_engine fake_engine;

void fake_reset(void);

/* log10 |delta_t| of a sample whose arrays start with these numbers: all of a group's arrays take
 * part, so that one that stands in the wrong place shows. */
double fake_log10_norm(size_t sample, double weight, double h0, double gradient, double rho,
                       size_t steps_back);

/* log10 of the norm of gradient `kind` of a network whose W0 starts with this number. */
double fake_log10_gradient(double weight, double rho, size_t kind);

/* Nats per step that a direction of a sample's column grows in the mean of blocks but the first,
 * which has fake_first_block more; mean of ln phi'; longest way between QRs. */
double fake_exponent(size_t sample, double rho, size_t direction);
double fake_log_slope(size_t sample);
uint32_t fake_qr_gap(size_t sample);
static double const fake_first_block = 2.0;

/* First step at which sample's state is not finite, where it is not: falls with the sample. */
uint32_t fake_nonfinite_step(size_t sample);

/* Seconds that every run says it took. */
static double const fake_forward_seconds = 2.0, fake_backward_seconds = 3.0,
                    fake_gradient_seconds = 1.5, fake_transfer_seconds = 0.5,
                    fake_tangent_seconds = 0.75, fake_qr_seconds = 0.25;

/* What h has of the square of a pair's norm; c has the rest. */
static double const fake_share_of_h = 0.25;

#endif
