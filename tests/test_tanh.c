/* The vector tanh and gate against the mathematical library in the next wider format. By default a
 * dense stratified sample; `test_tanh all` goes through all 2^32 floats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tanh_probe.h"

#include "../kernels/cpu/kernel.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 4096 };

/* In units of the last place of the true value. A slope's error grows with |a|, as its condition
 * does: rounding a by half an ulp moves sech^2 a by |a| ulp. */
static double const tanh_ulp = 3.0, slope_ulp = 6.0, slope_ulp_per_a = 1.0;
static double const tanh_ulp_f64 = 3.5, slope_ulp_f64 = 6.0;

/* Of sigma(a) and 1 - sigma(a) the larger and the smaller one, and of the slope; under saturation
 * too. */
typedef struct gate_limit {
    double large, small, slope;
} gate_limit;
static gate_limit const gate_ulp = {2.0, 5.0, 5.5}, gate_ulp_f64 = {2.0, 3.5, 5.5};

static uint64_t stride = 509; /* prime: all parts of the mantissa are met */

typedef struct probe {
    const char *isa;
    tanh_probe *f32, *f64;
    sigmoid_probe *gate_f32, *gate_f64;
} probe;

#define PROBE(isa)                                                                                 \
    { #isa, tanh_##isa##_f32, tanh_##isa##_f64, tanh_##isa##_f32_sigmoid, tanh_##isa##_f64_sigmoid }

static const probe probes[] = {
#if defined(__x86_64__)
    PROBE(avx512),
    PROBE(avx2),
#endif
#if defined(__aarch64__)
    PROBE(neon),
#else
    PROBE(baseline),
#endif
};

static bool runs_here(const char *isa) {
    for (const rs_cpu_kernel *const *k = rs_cpu_kernels(RS_F32); *k; ++k)
        if (strcmp((*k)->isa, isa) == 0) return true;
    print_message("skipped: %s does not run on this processor\n", isa);
    return false;
}

static double ulp_f32(double x) {
    int exponent;
    frexp(x, &exponent);
    return ldexp(1.0, exponent < -125 ? -149 : exponent - 24);
}

static double sech2(double a) {
    double const e = exp(-2.0 * fabs(a));
    return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

static void check_f32(const char *isa, float a, float h, float slope) {
    if (isnan(a)) {
        if (!isnan(h) || !isnan(slope)) fail_msg("%s: NaN became %g, %g", isa, h, slope);
        return;
    }
    double const want = tanh((double)a), want_slope = sech2((double)a);
    double const error = fabs((double)h - want) / ulp_f32(want);
    double const slope_error = fabs((double)slope - want_slope) / ulp_f32(want_slope);
    double const slope_limit = slope_ulp + slope_ulp_per_a * fmin(fabs((double)a), 60.0);
    if (!(error <= tanh_ulp) || signbit(h) != signbit(a))
        fail_msg("%s: tanh(%.9g) = %.9g, not %.9g (%.3g ulp)", isa, (double)a, (double)h, want,
                 error);
    if (!(slope_error <= slope_limit))
        fail_msg("%s: sech^2(%.9g) = %.9g, not %.9g (%.3g ulp)", isa, (double)a, (double)slope,
                 want_slope, slope_error);
}

/* a [BATCH] whose bits are `bits`, bits + stride, .. */
static void fill_floats(uint64_t bits, float *a) {
    for (size_t i = 0; i < BATCH; ++i) {
        uint32_t const at = (uint32_t)(bits + i * stride);
        memcpy(&a[i], &at, sizeof at);
    }
}

static void floats(void **state) {
    (void)state;
    static float a[BATCH], h[BATCH], slope[BATCH];
    for (size_t p = 0; p < sizeof probes / sizeof *probes; ++p) {
        if (!runs_here(probes[p].isa)) continue;
        for (uint64_t bits = 0; bits <= UINT32_MAX; bits += BATCH * stride) {
            fill_floats(bits, a);
            probes[p].f32(BATCH, a, h, slope);
            for (size_t i = 0; i < BATCH; ++i) check_f32(probes[p].isa, a[i], h[i], slope[i]);
        }
    }
}

static void check_f64(const char *isa, double a, double h, double slope) {
    long double const want = tanhl((long double)a), e = expl(-2.0L * fabsl((long double)a));
    long double const want_slope = 4.0L * e / ((1.0L + e) * (1.0L + e));
    double const ulp = nextafter(fabs((double)want), INFINITY) - fabs((double)want);
    double const slope_step = nextafter((double)want_slope, INFINITY) - (double)want_slope;
    double const error = (double)fabsl((long double)h - want) / ulp;
    double const slope_error = (double)fabsl((long double)slope - want_slope) / slope_step;
    if (!(error <= tanh_ulp_f64) || signbit(h) != signbit(a))
        fail_msg("%s: tanh(%.17g) = %.17g, %.3g ulp off", isa, a, h, error);
    if (!(slope_error <= slope_ulp_f64))
        fail_msg("%s: sech^2(%.17g) = %.17g, %.3g ulp off", isa, a, slope, slope_error);
}

/* Mantissas from a full-period sequence, exponents from 2^-40 to 2^9. */
static void fill_doubles(uint64_t *mantissa, double *a) {
    for (size_t i = 0; i < BATCH; ++i) {
        *mantissa = *mantissa * 6364136223846793005u + 1442695040888963407u;
        double const m = 1.0 + (double)(*mantissa >> 12) * 0x1p-52;
        a[i] = ldexp(i % 2 ? m : -m, (int)(i / 2 % 50) - 40);
    }
}

static void doubles(void **state) {
    (void)state;
    static double a[BATCH], h[BATCH], slope[BATCH];
    uint64_t mantissa = 1;
    for (size_t p = 0; p < sizeof probes / sizeof *probes; ++p) {
        if (!runs_here(probes[p].isa)) continue;
        for (int batch = 0; batch < 150; ++batch) {
            fill_doubles(&mantissa, a);
            probes[p].f64(BATCH, a, h, slope);
            for (size_t i = 0; i < BATCH; ++i) check_f64(probes[p].isa, a[i], h[i], slope[i]);
        }
    }
}

static void edges(void **state) {
    (void)state;
    for (size_t p = 0; p < sizeof probes / sizeof *probes; ++p) {
        if (!runs_here(probes[p].isa)) continue;
        double a[16] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e300, -1e300, 5e-324};
        double h[16], slope[16];
        probes[p].f64(16, a, h, slope);
        assert_true(h[0] == 0.0 && !signbit(h[0]) && h[1] == 0.0 && signbit(h[1]));
        assert_true(h[2] == 1.0 && h[3] == -1.0 && h[5] == 1.0 && h[6] == -1.0);
        assert_true(isnan(h[4]) && isnan(slope[4]) && h[7] == 5e-324);
        assert_true(slope[0] == 1.0 && slope[1] == 1.0 && slope[2] == 0.0 && slope[5] == 0.0);
    }
}

/* ---- gates ----------------------------------------------------------------------------------- */

/* What a gate became, or should have. */
typedef struct gate {
    double open, shut, slope;
} gate;

/* Units in the last place of `want` that `got` is off. */
static double ulp_off(double got, long double want, rs_precision precision) {
    double const near = (double)want;
    double const ulp = precision == RS_F32 ? ulp_f32(near) : nextafter(near, INFINITY) - near;
    return (double)fabsl((long double)got - want) / ulp;
}

static void check_gate(const char *isa, rs_precision precision, double a, gate got) {
    if (isnan(a)) {
        if (!isnan(got.open) || !isnan(got.shut) || !isnan(got.slope))
            fail_msg("%s: NaN became %g, %g, %g", isa, got.open, got.shut, got.slope);
        return;
    }
    long double const e = expl(-fabsl((long double)a)), large = 1.0L / (1.0L + e);
    long double const small = e / (1.0L + e);
    bool const negative = signbit(a);
    const gate_limit *limit = precision == RS_F32 ? &gate_ulp : &gate_ulp_f64;
    double const large_off = ulp_off(negative ? got.shut : got.open, large, precision);
    double const small_off = ulp_off(negative ? got.open : got.shut, small, precision);
    double const slope_off = ulp_off(got.slope, large * small, precision);
    if (!(large_off <= limit->large && small_off <= limit->small && slope_off <= limit->slope))
        fail_msg("%s: the gate of %.17g is %.17g, %.17g, slope %.17g: %.3g, %.3g, %.3g ulp off",
                 isa, a, got.open, got.shut, got.slope, large_off, small_off, slope_off);
}

static void gates_of_floats(void **state) {
    (void)state;
    static float a[BATCH], open[BATCH], shut[BATCH], slope[BATCH];
    for (size_t p = 0; p < sizeof probes / sizeof *probes; ++p) {
        if (!runs_here(probes[p].isa)) continue;
        for (uint64_t bits = 0; bits <= UINT32_MAX; bits += BATCH * stride) {
            fill_floats(bits, a);
            probes[p].gate_f32(BATCH, a, open, shut, slope);
            for (size_t i = 0; i < BATCH; ++i)
                check_gate(probes[p].isa, RS_F32, (double)a[i],
                           (gate){(double)open[i], (double)shut[i], (double)slope[i]});
        }
    }
}

static void gates_of_doubles(void **state) {
    (void)state;
    static double a[BATCH], open[BATCH], shut[BATCH], slope[BATCH];
    uint64_t mantissa = 1;
    for (size_t p = 0; p < sizeof probes / sizeof *probes; ++p) {
        if (!runs_here(probes[p].isa)) continue;
        for (int batch = 0; batch < 150; ++batch) {
            fill_doubles(&mantissa, a);
            probes[p].gate_f64(BATCH, a, open, shut, slope);
            for (size_t i = 0; i < BATCH; ++i)
                check_gate(probes[p].isa, RS_F64, a[i], (gate){open[i], shut[i], slope[i]});
        }
    }
}

static void edges_of_gates(void **state) {
    (void)state;
    for (size_t p = 0; p < sizeof probes / sizeof *probes; ++p) {
        if (!runs_here(probes[p].isa)) continue;
        double a[16] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e300, -1e300, -740.0, 740.0};
        double open[16], shut[16], slope[16];
        probes[p].gate_f64(16, a, open, shut, slope);
        for (size_t i = 0; i < 2; ++i)
            assert_true(open[i] == 0.5 && shut[i] == 0.5 && slope[i] == 0.25);
        for (size_t i = 2; i < 7; i += i == 3 ? 2 : 1) {
            assert_true(open[i] == (signbit(a[i]) ? 0.0 : 1.0) && slope[i] == 0.0);
            assert_true(shut[i] == 1.0 - open[i]);
        }
        assert_true(isnan(open[4]) && isnan(shut[4]) && isnan(slope[4]));
        /* Gradual underflow */
        assert_true(open[7] > 0.0 && open[7] < DBL_MIN && shut[8] == open[7]);
        assert_true(slope[7] == open[7] && slope[8] == open[7]);
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "all") == 0) stride = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats),
        cmocka_unit_test(doubles),
        cmocka_unit_test(edges),
        cmocka_unit_test(gates_of_floats),
        cmocka_unit_test(gates_of_doubles),
        cmocka_unit_test(edges_of_gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
