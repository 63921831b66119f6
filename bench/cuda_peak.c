/* peak/cuda/: the ceilings of the GPU as rows beside the engine's. */
#include "cuda_ceilings.h"
#include "gbench.h"
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>

typedef enum ceiling { FMA, COPY, GEMM } ceiling;

typedef struct cuda_peak {
    ceiling kind;
    rs_precision precision;
    size_t hidden, columns; /* of a gemm */
} cuda_peak;

static rs_status measure(const cuda_peak *peak, double *rate) {
    switch (peak->kind) {
    case FMA: return rs_cuda_fma_rate(peak->precision, rate);
    case COPY: return rs_cuda_copy_rate(rate);
    default: return rs_cuda_gemm_rate(peak->precision, peak->hidden, peak->columns, rate);
    }
}

static rs_status open_peak(void *self) {
    double rate; /* warms up, and shows whether it can be measured at all */
    return measure(self, &rate);
}

/* The time is that of 10^9 operations, or bytes, at the best rate. */
static rs_status run_peak(void *self, int64_t n, rs_bench_report *report) {
    const cuda_peak *peak = self;
    double rate = 0.0;
    RS_TRY(measure(peak, &rate));
    report->seconds = (double)n * 1e9 / rate;
    report->counter[0] = peak->kind == COPY ? (rs_bench_counter){"bytes_per_s", rate, false}
                                            : (rs_bench_counter){"gflops", 1e-9 * rate, false};
    return RS_OK;
}

static void close_nothing(void *self) { (void)self; }

static rs_status add(const char *name, cuda_peak wanted) {
    static const rs_bench_body body = {
        .open = open_peak, .run = run_peak, .close = close_nothing, .release = free};
    cuda_peak *const peak = malloc(sizeof *peak);
    if (!peak) return rs_fail(RS_EMEMORY, "%s: out of memory", name);
    *peak = wanted;
    return rs_bench_add(name, &body, peak);
}

static rs_status add_precision(rs_precision precision, const rs_bench_options *options) {
    char name[128];
    snprintf(name, sizeof name, "peak/cuda/fma/%s", rs_precision_name(precision));
    RS_TRY(add(name, (cuda_peak){.kind = FMA, .precision = precision}));
    for (size_t i = 0; i < options->n_shapes; ++i) {
        size_t const hidden = options->shape[i].hidden;
        size_t const columns = options->shape[i].radii * options->shape[i].batch;
        snprintf(name, sizeof name, "peak/cuda/gemm/%s/H:%zu/columns:%zu",
                 rs_precision_name(precision), hidden, columns);
        RS_TRY(add(name, (cuda_peak){GEMM, precision, hidden, columns}));
    }
    return RS_OK;
}

rs_status rs_bench_add_cuda_peaks(const rs_bench_options *options) {
    const rs_engine *cuda = rs_engine_named("cuda");
    rs_device device;
    if (!cuda || cuda->device(0, &device) != RS_OK) return RS_OK; /* the engine's part says so */
    RS_TRY(add("peak/cuda/copy", (cuda_peak){.kind = COPY}));
    for (rs_precision p = RS_F32; p < RS_N_PRECISION; ++p) RS_TRY(add_precision(p, options));
    return RS_OK;
}
