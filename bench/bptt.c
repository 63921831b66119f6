#include "bptt.h"

#include "../kernels/base/clock.h"
#include "gbench.h"
#include "job.h"
#include "peak.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bptt {
    const rs_engine *engine;
    rs_shape shape;
    rs_resources resources;
    rs_bench_pass pass;
    double peak;  /* flop/s of the device's multiply-adds */
    bool on_host; /* the engine shares the host's clock */
    rs_bench_job work;
    void *state; /* of the engine */
} bptt;

/* ---- the body ------------------------------------------------------------------------------ */

static void close_bptt(void *self) {
    bptt *b = self;
    b->engine->close(b->state);
    b->state = NULL;
    rs_bench_job_free(&b->work);
}

static rs_status prepare(bptt *b) {
    rs_device device;
    RS_TRY(b->engine->device(0, &device));
    b->on_host = device.on_host;
    RS_TRY(rs_bench_peak_of(b->engine, b->shape.precision, b->resources.threads, &b->peak));
    RS_TRY(rs_bench_job_make(&b->shape, &b->work));
    RS_TRY(b->engine->open(0, &b->shape, &b->resources, &b->state));
    return rs_bench_job_run(&b->work, b->engine, b->state);
}

static rs_status open_bptt(void *self) {
    rs_status const status = prepare(self);
    if (status != RS_OK) close_bptt(self);
    return status;
}

static rs_status check_bptt(void *self) {
    const bptt *b = self;
    return rs_bench_job_check(&b->work, b->engine, b->state);
}

/* What a pass takes of three parts: itself, or all that the shape has. */
static double of_pass(const bptt *b, double forward, double backward, double gradient) {
    switch (b->pass) {
    case RS_BENCH_FORWARD: return forward;
    case RS_BENCH_BACKWARD: return backward;
    case RS_BENCH_GRADIENT: return gradient;
    default: return forward + backward + (b->shape.gradients ? gradient : 0.0);
    }
}

static double column_steps_of(const rs_shape *s) {
    return (double)s->radii * (double)s->batch * (double)s->steps;
}

/* Reals of a unit and step that go from the forward pass to the backward pass: a slope, or the
 * gates and c; of a GRU with the candidate's product and h. */
static double trace_of(rs_cell cell) {
    static double const reals[RS_N_CELL] = {
        [RS_TANH] = 1.0, [RS_RELU] = 1.0, [RS_LSTM] = 5.0, [RS_GRU] = 5.0};
    return reals[cell];
}

static double amount_of_bytes(const bptt *b) {
    const rs_shape *s = &b->shape;
    const rs_cell_info *cell = rs_cell_of(s->cell);
    double const real = s->precision == RS_F32 ? sizeof(float) : sizeof(double);
    double const state = (double)s->hidden * real, column_steps = column_steps_of(s);
    double const trace = trace_of(s->cell) * column_steps * state;
    double const states = s->gradients ? column_steps * state : 0.0;
    double const kept = s->cell == RS_GRU ? 0.0 : states; /* its trace has them */
    double const input = (double)(cell->gates * s->batch * s->steps) * state;
    double const norms = column_steps * (double)(cell->states * sizeof(double) + sizeof(int32_t));
    return of_pass(b, trace + kept + input, trace + norms, states);
}

static double amount_of_flops(const bptt *b) {
    double const h = (double)b->shape.hidden, gates = (double)rs_cell_of(b->shape.cell)->gates;
    double const product = 2.0 * gates * h * h * column_steps_of(&b->shape);
    return of_pass(b, product, product, product);
}

static void count(const bptt *b, double transfer_ms, rs_bench_report *report) {
    double const flops = amount_of_flops(b);
    rs_bench_counter *c = report->counter;
    *c++ = (rs_bench_counter){"gflops", 1e-9 * flops, true};
    *c++ = (rs_bench_counter){"column_steps_per_s", column_steps_of(&b->shape), true};
    *c++ = (rs_bench_counter){"bytes_per_s", amount_of_bytes(b), true};
    *c++ = (rs_bench_counter){"peak_fraction", flops / b->peak, true};
    *c = (rs_bench_counter){"transfer_ms", transfer_ms, false};
}

static rs_status run_bptt(void *self, int64_t n, rs_bench_report *report) {
    bptt *b = self;
    double forward = 0.0, backward = 0.0, gradient = 0.0, transfer = 0.0;
    double const start = rs_seconds();
    for (int64_t i = 0; i < n; ++i) {
        RS_TRY(rs_bench_job_run(&b->work, b->engine, b->state));
        forward += b->work.record.forward_seconds;
        backward += b->work.record.backward_seconds;
        gradient += b->work.record.gradient_seconds;
        transfer += b->work.record.transfer_seconds;
    }
    double const wall = rs_seconds() - start;
    /* A GPU's passes are timed with its own events, so that a bus does not hide a kernel; what the
     * bus takes is a counter. */
    bool const whole = b->pass == RS_BENCH_BPTT && b->on_host;
    report->seconds = whole ? wall : of_pass(b, forward, backward, gradient);
    count(b, 1e3 * transfer / (double)n, report);
    return RS_OK;
}

static const rs_bench_body body = {
    .open = open_bptt,
    .check = check_bptt,
    .run = run_bptt,
    .close = close_bptt,
    .release = free,
};

rs_status rs_bench_add_bptt(const char *prefix, const rs_engine *engine, const rs_shape *shape,
                            int threads, rs_bench_pass pass) {
    char name[256];
    snprintf(name, sizeof name, "%s/%s/%s/H:%zu/B:%zu/R:%zu/T:%zu", prefix,
             rs_precision_name(shape->precision), rs_cell_name(shape->cell), shape->hidden,
             shape->batch, shape->radii, shape->steps);
    uint64_t bytes;
    rs_resources const resources = {.threads = threads};
    if (engine->bytes(0, shape, &resources, &bytes) != RS_OK) {
        fprintf(stderr, "rhosweep-bench: %s left out: %s\n", name, rs_message());
        return RS_OK;
    }
    bptt *const b = calloc(1, sizeof *b);
    if (!b) return rs_fail(RS_EMEMORY, "%s: out of memory", name);
    b->engine = engine;
    b->shape = *shape;
    b->resources = resources;
    b->pass = pass;
    return rs_bench_add(name, &body, b);
}

/* ---- the list ------------------------------------------------------------------------------ */

static rs_status add_passes(const rs_engine *engine, rs_shape shape, int threads) {
    static const struct {
        const char *name;
        rs_bench_pass pass;
        bool gradients;
    } timed[] = {
        {"bptt", RS_BENCH_BPTT, false},         {"forward", RS_BENCH_FORWARD, false},
        {"backward", RS_BENCH_BACKWARD, false}, {"bptt+gradients", RS_BENCH_BPTT, true},
        {"gradient", RS_BENCH_GRADIENT, true},
    };
    for (size_t i = 0; i < sizeof timed / sizeof *timed; ++i) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "%s/%s", timed[i].name, engine->name);
        shape.gradients = timed[i].gradients;
        RS_TRY(rs_bench_add_bptt(prefix, engine, &shape, threads, timed[i].pass));
    }
    return RS_OK;
}

static rs_status add_engine(const rs_engine *engine, const rs_bench_options *options) {
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p)
        for (size_t i = 0; i < options->n_shapes; ++i)
            for (rs_cell n = RS_TANH; n < RS_N_CELL; ++n) {
                if (i > 0 && (n == RS_RELU || n == RS_LINEAR)) continue;
                rs_shape const shape = rs_bench_job_shape(&options->shape[i], p, n);
                RS_TRY(add_passes(engine, shape, options->threads));
            }
    return RS_OK;
}

/* The device of an engine, for the head of the output. */
static rs_status describe(const rs_engine *engine, const rs_device *device) {
    char key[64], value[512];
    snprintf(key, sizeof key, "engine_%s", engine->name);
    snprintf(value, sizeof value, "%s; %s; %s", device->name, device->abilities, device->driver);
    return rs_bench_context(key, value);
}

rs_status rs_bench_add_engines(const rs_bench_options *options) {
    for (const rs_engine *const *e = rs_engines(); *e; ++e) {
        rs_device device;
        if (strcmp((*e)->name, "reference") == 0) continue;
        if ((*e)->device(0, &device) != RS_OK) {
            fprintf(stderr, "rhosweep-bench: engine %s left out: %s\n", (*e)->name, rs_message());
            continue;
        }
        RS_TRY(describe(*e, &device));
        RS_TRY(add_engine(*e, options));
    }
    return RS_OK;
}
