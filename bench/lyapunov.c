/* Lyapunov exponents on every engine: what tangents and their QRs cost. */
#include "../kernels/base/clock.h"
#include "gbench.h"
#include "job.h"
#include "peak.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct lyapunov {
    const rs_engine *engine;
    rs_shape shape;
    rs_resources resources;
    double peak;  /* flop/s of the device's multiply-adds */
    bool on_host; /* the engine shares the host's clock */
    rs_bench_job work;
    void *state; /* of the engine */
} lyapunov;

/* ---- the body ------------------------------------------------------------------------------ */

static void close_lyapunov(void *self) {
    lyapunov *l = self;
    l->engine->close(l->state);
    l->state = NULL;
    rs_bench_job_free(&l->work);
}

static rs_status prepare(lyapunov *l) {
    rs_device device;
    RS_TRY(l->engine->device(0, &device));
    l->on_host = device.on_host;
    RS_TRY(rs_bench_peak_of(l->engine, l->shape.precision, l->resources.threads, &l->peak));
    RS_TRY(rs_bench_job_make(&l->shape, &l->work));
    RS_TRY(l->engine->open(0, &l->shape, &l->resources, &l->state));
    return rs_bench_job_run(&l->work, l->engine, l->state);
}

static rs_status open_lyapunov(void *self) {
    rs_status const status = prepare(self);
    if (status != RS_OK) close_lyapunov(self);
    return status;
}

static rs_status check_lyapunov(void *self) {
    const lyapunov *l = self;
    RS_TRY(rs_bench_job_check(&l->work, l->engine, l->state));
    return rs_bench_tangents_check(&l->work, l->engine, l->resources.threads);
}

/* Steps of all columns along which tangents are carried. */
static double column_steps_of(const rs_shape *s) {
    return (double)s->radii * (double)s->batch * (double)(s->transient + s->steps);
}

/* Products of the W_k with k tangents, in every step of every column. */
static double amount_of_flops(const rs_shape *s) {
    double const h = (double)s->hidden, gates = (double)rs_cell_of(s->cell)->gates;
    return 2.0 * gates * h * h * (double)s->directions * column_steps_of(s);
}

/* Of all columns. */
static uint32_t longest_gap(const lyapunov *l) {
    uint32_t longest = 0;
    for (size_t i = 0; i < l->shape.radii * l->shape.batch; ++i)
        if (l->work.record.qr_gap[i] > longest) longest = l->work.record.qr_gap[i];
    return longest;
}

/* Seconds of n passes, without their transfers on a GPU. */
typedef struct seconds {
    double passes, tangents, qr;
} seconds;

static rs_status run_passes(lyapunov *l, int64_t n, seconds *out) {
    const rs_record *const record = &l->work.record;
    for (int64_t i = 0; i < n; ++i) {
        RS_TRY(rs_bench_job_run(&l->work, l->engine, l->state));
        out->passes += record->forward_seconds + record->backward_seconds;
        out->tangents += record->tangent_seconds;
        out->qr += record->qr_seconds;
    }
    return RS_OK;
}

static double share(double part, double whole) { return whole > 0.0 ? part / whole : 0.0; }

static void count(const lyapunov *l, int64_t n, seconds took, rs_bench_report *report) {
    const rs_shape *const s = &l->shape;
    double const flops = (double)n * amount_of_flops(s);
    double const exponents = (double)(s->radii * s->batch) * (double)s->directions;
    rs_bench_counter *c = report->counter;
    *c++ = (rs_bench_counter){"gflops", 1e-9 * share(flops, took.tangents), false};
    *c++ = (rs_bench_counter){"peak_fraction", share(flops / l->peak, took.tangents), false};
    *c++ = (rs_bench_counter){"qr_share", share(took.qr, report->seconds), false};
    *c++ = (rs_bench_counter){"tangent_share", share(took.tangents, report->seconds), false};
    *c++ = (rs_bench_counter){"qr_gap", longest_gap(l), false};
    *c++ = (rs_bench_counter){"column_steps_per_s", column_steps_of(s), true};
    *c = (rs_bench_counter){"exponents_per_s", exponents, true};
}

static rs_status run_lyapunov(void *self, int64_t n, rs_bench_report *report) {
    lyapunov *l = self;
    seconds took = {0};
    double const start = rs_seconds();
    RS_TRY(run_passes(l, n, &took));
    double const wall = rs_seconds() - start;
    report->seconds = l->on_host ? wall : took.passes + took.tangents + took.qr;
    count(l, n, took, report);
    return RS_OK;
}

/* ---- the list ------------------------------------------------------------------------------ */

static void name_of(const rs_engine *engine, const rs_shape *s, char *out, size_t size) {
    char every[32] = "";
    if (s->qr_every > 0) snprintf(every, sizeof every, "/qr:%zu", s->qr_every);
    snprintf(out, size, "lyapunov/%s/%s/%s/H:%zu/B:%zu/R:%zu/T:%zu/K:%zu%s", engine->name,
             rs_precision_name(s->precision), rs_cell_name(s->cell), s->hidden, s->batch, s->radii,
             s->steps, s->directions, every);
}

/* A tenth of the steps goes before them, as in sweeps. */
static rs_shape shape_of(const rs_bench_shape *size, rs_cell cell,
                         const rs_bench_options *options) {
    rs_shape out = rs_bench_job_shape(size, RS_F64, cell);
    size_t const all = rs_cell_of(cell)->states * size->hidden;
    size_t const asked = options->directions;
    out.directions = asked > 0 && asked < all ? asked : all;
    out.transient = out.warmup = size->steps / 10;
    out.qr_every = options->qr_every;
    return out;
}

static rs_status add_one(const rs_engine *engine, rs_shape shape, int threads) {
    static const rs_bench_body body = {.open = open_lyapunov,
                                       .check = check_lyapunov,
                                       .run = run_lyapunov,
                                       .close = close_lyapunov,
                                       .release = free};
    char name[256];
    name_of(engine, &shape, name, sizeof name);
    uint64_t bytes;
    rs_resources const resources = {.threads = threads};
    if (engine->bytes(0, &shape, &resources, &bytes) != RS_OK) {
        fprintf(stderr, "rhosweep-bench: %s left out: %s\n", name, rs_message());
        return RS_OK;
    }
    lyapunov *const l = calloc(1, sizeof *l);
    if (!l) return rs_fail(RS_EMEMORY, "%s: out of memory", name);
    l->engine = engine;
    l->shape = shape;
    l->resources = resources;
    return rs_bench_add(name, &body, l);
}

static rs_status add_engine(const rs_engine *engine, const rs_bench_options *options) {
    static rs_cell const cell[] = {RS_TANH, RS_LSTM, RS_GRU};
    for (size_t i = 0; i < options->n_spectra; ++i)
        for (size_t n = 0; n < (i == 0 ? sizeof cell / sizeof *cell : 1); ++n)
            RS_TRY(add_one(engine, shape_of(&options->spectrum[i], cell[n], options),
                           options->threads));
    return RS_OK;
}

rs_status rs_bench_add_lyapunov(const rs_bench_options *options) {
    for (const rs_engine *const *e = rs_engines(); *e; ++e) {
        rs_device device; /* rs_bench_add_engines says which engines are left out */
        if (strcmp((*e)->name, "reference") == 0 || (*e)->device(0, &device) != RS_OK) continue;
        RS_TRY(add_engine(*e, options));
    }
    return RS_OK;
}
