#include "peak.h"

#ifdef RS_HAVE_CUDA
#include "cuda_ceilings.h"
#endif

#include "../kernels/base/clock.h"
#include "../kernels/cpu/kernel.h"
#include "gbench.h"
#include "suite.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- FMA ----------------------------------------------------------------------------------- */

#if defined(__x86_64__)
extern const rs_bench_fma rs_bench_fma_avx512_f32, rs_bench_fma_avx512_f64;
extern const rs_bench_fma rs_bench_fma_avx2_f32, rs_bench_fma_avx2_f64;
#endif
#if defined(__aarch64__)
extern const rs_bench_fma rs_bench_fma_neon_f32, rs_bench_fma_neon_f64;
#else
extern const rs_bench_fma rs_bench_fma_baseline_f32, rs_bench_fma_baseline_f64;
#endif

static const rs_bench_fma *const built[] = {
#if defined(__x86_64__)
    &rs_bench_fma_avx512_f32, &rs_bench_fma_avx512_f64,
    &rs_bench_fma_avx2_f32,   &rs_bench_fma_avx2_f64,
#endif
#if defined(__aarch64__)
    &rs_bench_fma_neon_f32,   &rs_bench_fma_neon_f64,
#else
    &rs_bench_fma_baseline_f32,
    &rs_bench_fma_baseline_f64,
#endif
};
enum { N_BUILT = sizeof built / sizeof *built };

/* A run is long beside a barrier of threads and short beside a slice of time that another program
 * takes: some milliseconds. */
enum { PASSES = 1 << 19, RUNS = 40 };

typedef struct fma_peak {
    const rs_bench_fma *kernel;
    int threads;
} fma_peak;

/* The loop of this precision for the instruction set that the engine has first. */
static rs_status find_kernel(rs_precision precision, const rs_bench_fma **out) {
    const char *isa = rs_cpu_kernels(precision)[0]->isa;
    for (size_t i = 0; i < N_BUILT; ++i)
        if (built[i]->precision == precision && strcmp(built[i]->isa, isa) == 0) {
            *out = built[i];
            return RS_OK;
        }
    return rs_fail(RS_EDEVICE, "peak/fma: has no loop for %s", isa);
}

/* Every thread runs the loop once; returns the seconds from a common start to the last end. */
static double run_once(const fma_peak *peak, double *sum) {
    double start = 0.0, total = 0.0;
#pragma omp parallel num_threads(peak->threads) reduction(+ : total)
    {
#pragma omp barrier
#pragma omp single
        start = rs_seconds();
        total += peak->kernel->run(PASSES);
    }
    *sum = total;
    return rs_seconds() - start;
}

static double flops_of_run(const fma_peak *peak) {
    return peak->kernel->flops * (double)PASSES * (double)peak->threads;
}

/* Every chain ends at 2, so the loop ran, on every thread. */
static rs_status check_sum(const fma_peak *peak, double sum) {
    double const one = peak->kernel->run(PASSES);
    if (one > 0.0 && sum == one * (double)peak->threads) return RS_OK;
    return rs_fail(RS_EDEVICE, "peak/fma: wrong result: %g on %d threads, %g on one", sum,
                   peak->threads, one);
}

rs_status rs_bench_peak(rs_precision precision, int threads, double *flops_per_s) {
    static struct {
        int threads;
        double best;
    } known[RS_N_PRECISION];
    if (known[precision].threads != threads) {
        fma_peak peak = {.threads = threads};
        RS_TRY(find_kernel(precision, &peak.kernel));
        double seconds = INFINITY, sum = 0.0;
        for (int i = 0; i < RUNS; ++i) seconds = fmin(seconds, run_once(&peak, &sum));
        RS_TRY(check_sum(&peak, sum));
        known[precision].threads = threads;
        known[precision].best = flops_of_run(&peak) / seconds;
    }
    *flops_per_s = known[precision].best;
    return RS_OK;
}

rs_status rs_bench_peak_of(const rs_engine *engine, rs_precision precision, int threads,
                           double *flops_per_s) {
    rs_device device;
    RS_TRY(engine->device(0, &device));
#ifdef RS_HAVE_CUDA
    if (!device.on_host) return rs_cuda_fma_rate(precision, flops_per_s);
#endif
    return rs_bench_peak(precision, threads, flops_per_s);
}

static rs_status open_fma(void *self) {
    const fma_peak *peak = self;
    double sum;
    run_once(peak, &sum);
    return RS_OK;
}

static rs_status check_fma(void *self) {
    const fma_peak *peak = self;
    double sum;
    run_once(peak, &sum);
    return check_sum(peak, sum);
}

static rs_status run_fma(void *self, int64_t n, rs_bench_report *report) {
    const fma_peak *peak = self;
    double best, sum;
    RS_TRY(rs_bench_peak(peak->kernel->precision, peak->threads, &best));
    for (int64_t i = 0; i < n; ++i) report->seconds += run_once(peak, &sum);
    report->counter[0] = (rs_bench_counter){"gflops", 1e-9 * flops_of_run(peak), true};
    report->counter[1] = (rs_bench_counter){"best_gflops", 1e-9 * best, false};
    return RS_OK;
}

static void close_nothing(void *self) { (void)self; }

static rs_status add_fma(rs_precision precision, int threads) {
    static const rs_bench_body body = {.open = open_fma,
                                       .check = check_fma,
                                       .run = run_fma,
                                       .close = close_nothing,
                                       .release = free};
    fma_peak *const peak = malloc(sizeof *peak);
    if (!peak) return rs_fail(RS_EMEMORY, "peak/fma: out of memory");
    peak->threads = threads;
    rs_status const status = find_kernel(precision, &peak->kernel);
    if (status != RS_OK) {
        free(peak);
        return status;
    }
    char name[32];
    snprintf(name, sizeof name, "peak/fma/%s", rs_precision_name(precision));
    return rs_bench_add(name, &body, peak);
}

/* ---- bandwidth ----------------------------------------------------------------------------- */

/* a = b + s c as in STREAM (McCalpin 1995), on three arrays that no cache of today holds. Counted
 * are the 24 bytes of a line of the loop, not the read of `a` that the cache makes of its own. */
enum { ARRAYS = 3 };
static size_t const array_bytes = (size_t)320 << 20;

typedef struct bandwidth {
    int threads;
    double *array[ARRAYS];
} bandwidth;

static size_t length(void) { return array_bytes / sizeof(double); }

static void close_bandwidth(void *self) {
    bandwidth *b = self;
    for (size_t i = 0; i < ARRAYS; ++i) {
        free(b->array[i]);
        b->array[i] = NULL;
    }
}

static void triad(const bandwidth *b, double factor) {
    double *restrict const a = b->array[0];
    const double *restrict const x = b->array[1], *restrict const y = b->array[2];
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (size_t i = 0; i < length(); ++i) a[i] = x[i] + factor * y[i];
}

/* Each thread touches first what it will use. */
static rs_status open_bandwidth(void *self) {
    bandwidth *b = self;
    for (size_t i = 0; i < ARRAYS; ++i) {
        b->array[i] = malloc(array_bytes);
        if (b->array[i]) continue;
        close_bandwidth(b);
        return rs_fail(RS_EMEMORY, "peak/bandwidth: no memory for %d arrays of %zu bytes",
                       (int)ARRAYS, array_bytes);
    }
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (size_t i = 0; i < length(); ++i) {
        b->array[0][i] = 0.0;
        b->array[1][i] = (double)i;
        b->array[2][i] = 1.0;
    }
    return RS_OK;
}

static rs_status check_bandwidth(void *self) {
    const bandwidth *b = self;
    triad(b, 0.5);
    for (size_t i = 0; i < length(); i += 4093)
        if (b->array[0][i] != (double)i + 0.5)
            return rs_fail(RS_EDEVICE, "peak/bandwidth: wrong result at %zu", i);
    return RS_OK;
}

static rs_status run_bandwidth(void *self, int64_t n, rs_bench_report *report) {
    const bandwidth *b = self;
    double const start = rs_seconds();
    for (int64_t i = 0; i < n; ++i) triad(b, 0.25);
    report->seconds = rs_seconds() - start;
    report->counter[0] =
        (rs_bench_counter){"bytes_per_s", (double)ARRAYS * (double)array_bytes, true};
    report->counter[1] = (rs_bench_counter){"array_bytes", (double)array_bytes, false};
    return RS_OK;
}

static rs_status add_bandwidth(int threads) {
    static const rs_bench_body body = {.open = open_bandwidth,
                                       .check = check_bandwidth,
                                       .run = run_bandwidth,
                                       .close = close_bandwidth,
                                       .release = free};
    bandwidth *const b = calloc(1, sizeof *b);
    if (!b) return rs_fail(RS_EMEMORY, "peak/bandwidth: out of memory");
    b->threads = threads;
    return rs_bench_add("peak/bandwidth", &body, b);
}

rs_status rs_bench_add_peaks(const rs_bench_options *options) {
    RS_TRY(add_fma(RS_F32, options->threads));
    RS_TRY(add_fma(RS_F64, options->threads));
    return add_bandwidth(options->threads);
}
