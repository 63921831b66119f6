/* The arrays of a case: laws of the ensembles, what a model gives, scaling, loss and drive. */
#include "../host/work/spectrum.h"
#include "../host/work/weights.h"
#include "../kernels/base/random.h"
#include "../kernels/drive.h"
#include "../kernels/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

typedef struct fixture {
    rs_spec spec;
    rs_case one; /* sizes and seed; the spec has the settings */
} fixture;

static void expect_near(double actual, double expected, double tolerance) {
    if (!(fabs(actual - expected) <= tolerance))
        fail_msg("%.17g is not within %g of %.17g", actual, tolerance, expected);
}

static void set(fixture *f, const char *key, const char *value) {
    if (rs_spec_set(&f->spec, key, value, RS_FROM_OPTION) != RS_OK) fail_msg("%s", rs_message());
}

static fixture make(rs_ensemble_kind ensemble, size_t hidden) {
    fixture f = {.one = {.ensemble = {ensemble, ensemble == RS_SPARSE ? 0.5 : 0.0},
                         .hidden = hidden,
                         .seed = 42,
                         .steps = 10,
                         .batch = 3,
                         .input_size = 2}};
    assert_int_equal(rs_spec_init(&f.spec), RS_OK);
    set(&f, "precision", "f64");
    set(&f, "input", "zero");
    return f;
}

/* The case with the settings of the spec, as the plan resolves them. */
static rs_case case_of(const fixture *f, const rs_model *model) {
    rs_case one = f->one;
    bool const from_model = model && model->h0 && !rs_spec_given(&f->spec, "h0");
    one.input = f->spec.input[0];
    one.input_size = one.input.kind == RS_INPUT_PYTORCH ? f->one.input_size : 0;
    one.h0 = from_model ? (rs_start){.kind = RS_START_MODEL} : f->spec.h0;
    one.precision = f->spec.precision;
    one.native = f->spec.native;
    one.loss = f->spec.loss;
    return one;
}

static rs_weights weights_of(const fixture *f, const rs_model *model) {
    rs_weights w;
    rs_case const one = case_of(f, model);
    if (rs_weights_make(&one, model, NULL, &w) != RS_OK) fail_msg("%s", rs_message());
    assert_int_equal(w.hidden, f->one.hidden);
    return w;
}

static void expect_refused(const fixture *f, const rs_model *model, const char *part) {
    rs_weights w;
    rs_case const one = case_of(f, model);
    assert_int_equal(rs_weights_make(&one, model, NULL, &w), RS_EINPUT);
    if (!strstr(rs_message(), part)) fail_msg("'%s' does not say '%s'", rs_message(), part);
    rs_weights_free(&w);
    assert_null(w.weight_hh);
}

static bool same(size_t n, const double *a, const double *b) {
    return memcmp(a, b, n * sizeof *a) == 0;
}

/* Ensembles */

typedef struct moments {
    double mean, variance, fourth, max;
} moments;

static moments moments_of(size_t n, const double *a) {
    moments m = {0};
    for (size_t i = 0; i < n; ++i) {
        m.mean += a[i] / (double)n;
        m.variance += a[i] * a[i] / (double)n;
        m.fourth += pow(a[i], 4) / (double)n;
        m.max = fmax(m.max, fabs(a[i]));
    }
    return m;
}

/* N(0, 1/H): within five standard errors. */
static void gaussian_elements_are_gaussian(void **state) {
    enum { H = 200 };
    double const n = H * H;
    fixture f = make(RS_GAUSSIAN, H);
    (void)state;
    set(&f, "rho", "native");
    rs_weights w = weights_of(&f, NULL);
    moments const m = moments_of(H * H, w.weight_hh);
    expect_near(m.mean * sqrt(H), 0.0, 5.0 / sqrt(n));
    expect_near(m.variance * H, 1.0, 5.0 * sqrt(2.0 / n));
    expect_near(m.fourth * H * H, 3.0, 5.0 * sqrt(96.0 / n));
    expect_near(w.coupling, sqrt(m.variance * H), 1e-12);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

/* U(-1/sqrt(H), 1/sqrt(H)), as nn.RNN draws; SCIENCE B: g = 0.577, rho about 0.597 at H = 256. */
static void uniform_is_pytorchs_default(void **state) {
    enum { H = 256 };
    double const n = H * H;
    fixture f = make(RS_UNIFORM, H);
    (void)state;
    set(&f, "rho", "native");
    rs_weights w = weights_of(&f, NULL);
    moments const m = moments_of(H * H, w.weight_hh);
    assert_true(m.max <= 1.0 / sqrt(H) && m.max > 0.999 / sqrt(H));
    expect_near(m.mean * sqrt(H), 0.0, 5.0 * sqrt(1.0 / 3.0 / n));
    expect_near(m.variance * H, 1.0 / 3.0, 5.0 * sqrt(4.0 / 45.0 / n));
    expect_near(w.coupling, 0.577, 0.005);
    expect_near(w.radius, 0.597, 5.0 * 0.025 * 0.577);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

static void symmetric_is_symmetric_to_the_bit(void **state) {
    enum { H = 200 };
    fixture f = make(RS_SYMMETRIC, H);
    double diagonal = 0.0, rest = 0.0;
    (void)state;
    set(&f, "rho", "native");
    rs_weights w = weights_of(&f, NULL);
    for (size_t i = 0; i < H; ++i) {
        diagonal += w.weight_hh[i * H + i] * w.weight_hh[i * H + i];
        for (size_t j = 0; j < i; ++j) {
            assert_true(w.weight_hh[i * H + j] == w.weight_hh[j * H + i]);
            rest += w.weight_hh[i * H + j] * w.weight_hh[i * H + j];
        }
    }
    expect_near(diagonal, 2.0, 5.0 * 2.0 * sqrt(2.0 / H));
    expect_near(rest * 2.0 / (H - 1), 1.0, 5.0 * sqrt(4.0 / (H * (H - 1.0))));
    expect_near(w.radius, 2.0, 0.1); /* the edge of Wigner's semicircle */
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

static void orthogonal_is_orthogonal_and_haar(void **state) {
    enum { H = 64, SMALL = 3, DRAWS = 2000 };
    fixture f = make(RS_ORTHOGONAL, H);
    double trace = 0.0, squares = 0.0;
    (void)state;
    set(&f, "rho", "native");
    rs_weights w = weights_of(&f, NULL);
    for (size_t i = 0; i < H; ++i)
        for (size_t j = 0; j < H; ++j) {
            double dot = 0.0;
            for (size_t k = 0; k < H; ++k) dot += w.weight_hh[i * H + k] * w.weight_hh[j * H + k];
            expect_near(dot, i == j ? 1.0 : 0.0, 1e-14);
        }
    expect_near(w.radius, 1.0, 1e-13);
    expect_near(w.coupling, 1.0, 1e-14);
    rs_weights_free(&w);
    /* The trace of a Haar matrix has mean 0 and variance 1; with signs unfixed it has not. */
    f.one.hidden = SMALL;
    for (f.one.seed = 0; f.one.seed < DRAWS; ++f.one.seed) {
        w = weights_of(&f, NULL);
        double t = 0.0;
        for (size_t i = 0; i < SMALL; ++i) t += w.weight_hh[i * SMALL + i];
        trace += t / DRAWS;
        squares += t * t / DRAWS;
        rs_weights_free(&w);
    }
    expect_near(trace, 0.0, 5.0 / sqrt(DRAWS));
    expect_near(squares, 1.0, 5.0 * sqrt(2.0 / DRAWS));
    rs_spec_free(&f.spec);
}

static void identity_is_the_identity(void **state) {
    enum { H = 5 };
    fixture f = make(RS_IDENTITY, H);
    (void)state;
    rs_weights w = weights_of(&f, NULL);
    for (size_t i = 0; i < H * H; ++i)
        assert_true(w.weight_hh[i] == (i % (H + 1) == 0 ? 1.0 : 0.0));
    assert_true(w.radius == 1.0 && w.drawn_radius == 1.0 && w.coupling == 1.0);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

static void ring_is_the_cyclic_shift(void **state) {
    (void)state;
    for (size_t h = 1; h <= 7; ++h) {
        fixture f = make(RS_RING, h);
        f.one.cell = RS_LSTM;
        rs_weights w = weights_of(&f, NULL);
        for (size_t i = 0; i < 4 * h; ++i)
            for (size_t j = 0; j < h; ++j)
                expect_near(w.weight_hh[i * h + j], j == (i + h - 1) % h ? 1.0 : 0.0, 1e-14);
        expect_near(w.drawn_radius, 1.0, 1e-14);
        rs_weights_free(&w);
        rs_spec_free(&f.spec);
    }
}

static double dot(size_t n, const double *a, size_t a_stride, const double *b, size_t b_stride) {
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) sum += a[i * a_stride] * b[i * b_stride];
    return sum;
}

/* W W' = W' W, in every gate. */
static void normal_is_normal(void **state) {
    enum { H = 37 };
    fixture f = make(RS_NORMAL, H);
    (void)state;
    f.one.cell = RS_GRU;
    set(&f, "rho", "native");
    rs_weights w = weights_of(&f, NULL);
    for (size_t k = 0; k < 3; ++k) {
        const double *a = w.weight_hh + k * H * H;
        for (size_t i = 0; i < H; ++i)
            for (size_t j = 0; j < H; ++j)
                expect_near(dot(H, a + i * H, 1, a + j * H, 1), dot(H, a + i, H, a + j, H), 1e-14);
        if (k > 0) /* which are other eigenvalues, not the same ones turned */
            assert_true(fabs(rs_coupling(H, a) - rs_coupling(H, w.weight_hh)) > 1e-6);
    }
    assert_true(w.radius < 1.0 && w.radius > 0.8);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

typedef struct disk {
    double re, squares, pair_re2, alone_squares, alone_re; /* means over draws */
} disk;

/* Over draws of H eigenvalues: pairs, and for odd H one alone. */
static disk eigenvalues_of(size_t hidden, size_t draws) {
    fixture f = make(RS_NORMAL, hidden);
    disk mean = {0};
    set(&f, "rho", "native");
    for (f.one.seed = 0; f.one.seed < draws; ++f.one.seed) {
        double re[8], im[8];
        size_t real = 0;
        rs_weights w = weights_of(&f, NULL);
        assert_int_equal(rs_eigenvalues(hidden, w.weight_hh, re, im), RS_OK);
        for (size_t i = 0; i < hidden; ++i) {
            double const square = re[i] * re[i] + im[i] * im[i], n = (double)draws;
            assert_true(square <= 1.0 + 1e-12);
            if (im[i] == 0.0) {
                mean.alone_squares += square / n;
                mean.alone_re += re[i] / n;
                ++real;
                continue;
            }
            mean.re += re[i] / n / (double)(hidden - hidden % 2);
            mean.squares += square / n / (double)(hidden - hidden % 2);
            mean.pair_re2 += re[i] * re[i] / n / (double)(hidden - hidden % 2);
        }
        assert_int_equal(real, hidden % 2);
        rs_weights_free(&w);
    }
    rs_spec_free(&f.spec);
    return mean;
}

/* Uniform in the disk: |eigenvalue|^2 is U(0, 1), and the angle is uniform. */
static void eigenvalues_of_normal_fill_the_disk(void **state) {
    enum { DRAWS = 3000 };
    double const error = 5.0 / sqrt(DRAWS);
    (void)state;
    for (size_t h = 4; h <= 5; ++h) {
        disk const mean = eigenvalues_of(h, DRAWS);
        double const pairs = error / sqrt(2.0); /* two of them in each draw */
        expect_near(mean.re, 0.0, pairs * sqrt(0.25));
        expect_near(mean.squares, 0.5, pairs * sqrt(1.0 / 12.0));
        expect_near(mean.pair_re2, 0.25, pairs * sqrt(0.125 - 0.0625));
        if (h % 2 == 0) continue;
        expect_near(mean.alone_squares, 0.5, error * sqrt(1.0 / 12.0));
        expect_near(mean.alone_re, 0.0, error * sqrt(0.5));
    }
}

static void sparse_keeps_a_part_of_the_elements(void **state) {
    enum { H = 100, GATES = 4, N = GATES * H * H };
    double const density = 0.1;
    fixture dense = make(RS_GAUSSIAN, H), f = make(RS_SPARSE, H);
    size_t kept = 0;
    (void)state;
    dense.one.cell = f.one.cell = RS_LSTM;
    set(&dense, "rho", "native");
    set(&f, "rho", "native");
    f.one.ensemble.density = density;
    rs_weights all = weights_of(&dense, NULL), w = weights_of(&f, NULL);
    f.one.ensemble.density = 0.6;
    rs_weights more = weights_of(&f, NULL);
    f.one.ensemble.density = 1.0;
    rs_weights whole = weights_of(&f, NULL);
    for (size_t i = 0; i < N; ++i) {
        kept += w.weight_hh[i] != 0.0;
        if (w.weight_hh[i] != 0.0)
            expect_near(w.weight_hh[i] * sqrt(density), all.weight_hh[i], 1e-15);
        assert_true(w.weight_hh[i] == 0.0 || more.weight_hh[i] != 0.0);
    }
    assert_true(same(N, whole.weight_hh, all.weight_hh));
    expect_near((double)kept / N, density, 5.0 * sqrt(density * (1.0 - density) / N));
    for (size_t k = 1; k < GATES; ++k) { /* each gate keeps others: 0.18 of them differ */
        size_t differ = 0;
        for (size_t i = 0; i < H * H; ++i)
            differ += (w.weight_hh[i] == 0.0) != (w.weight_hh[k * H * H + i] == 0.0);
        expect_near((double)differ / (H * H), 0.18, 0.03);
    }
    rs_weights_free(&all);
    rs_weights_free(&w);
    rs_weights_free(&more);
    rs_weights_free(&whole);
    rs_spec_free(&f.spec);
    rs_spec_free(&dense.spec);
}

static void a_sparse_matrix_may_be_nilpotent(void **state) {
    fixture f = make(RS_SPARSE, 8);
    (void)state;
    f.one.ensemble.density = 1e-12;
    expect_refused(&f, NULL, "weight_hh: its spectral radius is 0 (nilpotent)");
    set(&f, "rho", "native");
    rs_weights w = weights_of(&f, NULL);
    assert_true(w.radius == 0.0 && w.coupling == 0.0);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

/* ---- gates ---- */

/* The first block has the numbers that a cell with one gate has, and no two are alike. */
static void every_gate_is_drawn_by_itself(void **state) {
    enum { H = 12 };
    static const rs_ensemble_kind drawn[] = {RS_GAUSSIAN,  RS_UNIFORM, RS_ORTHOGONAL,
                                             RS_SYMMETRIC, RS_NORMAL,  RS_SPARSE};
    (void)state;
    for (size_t e = 0; e < COUNT(drawn); ++e) {
        fixture f = make(drawn[e], H);
        set(&f, "rho", "native");
        rs_weights elman = weights_of(&f, NULL);
        f.one.cell = RS_LSTM;
        rs_weights lstm = weights_of(&f, NULL);
        assert_true(same(H * H, elman.weight_hh, lstm.weight_hh));
        for (size_t a = 0; a < 4; ++a)
            for (size_t b = 0; b < a; ++b)
                assert_false(same(H * H, lstm.weight_hh + a * H * H, lstm.weight_hh + b * H * H));
        rs_weights_free(&elman);
        rs_weights_free(&lstm);
        rs_spec_free(&f.spec);
    }
}

/* The candidate, block 2 of either cell, has radius 1; the others its factor, or none. */
static void a_gated_cell_is_scaled_by_its_candidate(void **state) {
    enum { H = 20 };
    static const rs_cell cells[] = {RS_LSTM, RS_GRU};
    (void)state;
    for (size_t c = 0; c < COUNT(cells); ++c)
        for (rs_gate_scale scale = RS_SCALE_SAME; scale <= RS_SCALE_NATIVE; ++scale) {
            fixture f = make(RS_GAUSSIAN, H);
            double radius, again;
            f.one.cell = cells[c];
            f.one.gate_scale = scale;
            rs_weights w = weights_of(&f, NULL);
            rs_case const one = case_of(&f, NULL);
            set(&f, "rho", "native");
            rs_weights native = weights_of(&f, NULL);
            assert_int_equal(rs_spectral_radius(H, native.weight_hh + 2 * H * H, &radius), RS_OK);
            assert_int_equal(rs_spectral_radius(H, w.weight_hh + 2 * H * H, &again), RS_OK);
            assert_true(w.drawn_radius == radius && w.radius == again);
            expect_near(w.radius, 1.0, 1e-13);
            assert_true(w.coupling == rs_coupling(H, w.weight_hh + 2 * H * H));
            for (size_t k = 0; k < rs_cell_of(cells[c])->gates; ++k) {
                bool const scaled = scale == RS_SCALE_SAME || k == 2;
                for (size_t i = k * H * H; i < (k + 1) * H * H; ++i)
                    assert_true(w.weight_hh[i] == native.weight_hh[i] / (scaled ? radius : 1.0));
                assert_true(rs_weights_scale(&one, 0.7, k) == (scaled ? 0.7 : 1.0));
            }
            rs_weights_free(&w);
            rs_weights_free(&native);
            rs_spec_free(&f.spec);
        }
}

/* Both biases of gate k together; those of others are as drawn. */
static void a_gate_bias_takes_the_place_of_both(void **state) {
    enum { H = 9 };
    static const struct {
        rs_cell cell;
        size_t memory;
    } gated[] = {{RS_LSTM, 1}, {RS_GRU, 1}}; /* f of i, f, g, o; z of r, z, n */
    (void)state;
    for (size_t c = 0; c < COUNT(gated); ++c)
        for (int weighted = 0; weighted < 2; ++weighted) {
            fixture f = make(RS_GAUSSIAN, H);
            size_t const rows = rs_cell_of(gated[c].cell)->gates * H;
            f.one.cell = gated[c].cell;
            set(&f, "input", weighted ? "pytorch" : "zero");
            rs_weights drawn = weights_of(&f, NULL);
            f.one.gate_bias = (rs_gate_bias){RS_BIAS_GIVEN, 1.25};
            rs_weights w = weights_of(&f, NULL);
            for (size_t i = 0; i < rows; ++i) {
                double const ih = weighted ? drawn.bias_ih[i] : 0.0;
                double const hh = weighted ? drawn.bias_hh[i] : 0.0;
                bool const of_memory = i / H == gated[c].memory;
                assert_true(w.bias_ih[i] + w.bias_hh[i] == (of_memory ? 1.25 : ih + hh));
                assert_true(of_memory || w.bias_hh[i] == hh);
            }
            assert_true(!weighted || !same(H, drawn.bias_ih, drawn.bias_ih + H));
            rs_weights_free(&w);
            rs_weights_free(&drawn);
            rs_spec_free(&f.spec);
        }
}

/* ln U(1, TMAX - 1); SCIENCE G has the mean of -ln sigma(b). */
static void chrono_biases_have_their_law(void **state) {
    enum { H = 20000 };
    static const struct {
        double horizon, mean;
    } law[] = {{10.0, 0.2331}, {100.0, 0.0430}, {1000.0, 0.00653}};
    (void)state;
    for (size_t i = 0; i < COUNT(law); ++i) {
        fixture f = make(RS_IDENTITY, 1);
        double uniform = 0.0, rate = 0.0;
        f.one.cell = RS_LSTM;
        f.one.gate_bias = (rs_gate_bias){RS_BIAS_CHRONO, law[i].horizon};
        for (f.one.seed = 0; f.one.seed < H; ++f.one.seed) {
            rs_weights w = weights_of(&f, NULL);
            double const memory = exp(w.bias_ih[1] + w.bias_hh[1]);
            assert_true(memory >= 1.0 - 1e-12 && memory <= (law[i].horizon - 1.0) * (1.0 + 1e-12));
            uniform += (memory - 1.0) / (law[i].horizon - 2.0) / H;
            rate += log1p(1.0 / memory) / H;
            rs_weights_free(&w);
        }
        expect_near(uniform, 0.5, 5.0 / sqrt(12.0 * H));
        expect_near(rate, law[i].mean, 0.05 * law[i].mean);
        rs_spec_free(&f.spec);
    }
    fixture f = make(RS_IDENTITY, 3); /* units have biases of their own */
    f.one.cell = RS_GRU;
    f.one.gate_bias = (rs_gate_bias){RS_BIAS_CHRONO, 50.0};
    rs_weights w = weights_of(&f, NULL);
    assert_true(w.bias_ih[3] != w.bias_ih[4] && w.bias_ih[4] != w.bias_ih[5]);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

static void a_drawn_start_has_a_c0_too(void **state) {
    enum { H = 300, B = 3 };
    fixture f = make(RS_IDENTITY, H);
    (void)state;
    set(&f, "h0", "normal:0.5");
    rs_weights elman = weights_of(&f, NULL);
    f.one.cell = RS_LSTM;
    rs_weights lstm = weights_of(&f, NULL);
    f.one.cell = RS_GRU;
    rs_weights gru = weights_of(&f, NULL);
    assert_true(same(B * H, elman.h0, lstm.h0) && same(B * H, elman.h0, gru.h0));
    assert_true(!elman.c0 && !gru.c0);
    moments const m = moments_of(B * H, lstm.c0);
    expect_near(m.variance, 0.25, 0.25 * 5.0 * sqrt(2.0 / (B * H)));
    expect_near(dot(B * H, lstm.c0, 1, lstm.h0, 1) / (B * H), 0.0, 0.25 * 5.0 / sqrt(B * H));
    rs_weights_free(&elman);
    rs_weights_free(&lstm);
    rs_weights_free(&gru);
    rs_spec_free(&f.spec);
}

static void gates_decide_what_is_shared(void **state) {
    fixture f = make(RS_SPARSE, 6);
    (void)state;
    f.one.cell = RS_LSTM;
    rs_case const first = case_of(&f, NULL);
    rs_case other[6] = {first, first, first, first, first, first};
    other[0].cell = RS_GRU;
    other[1].cell = RS_TANH;
    other[2].gate_scale = RS_SCALE_NATIVE;
    other[3].gate_bias = (rs_gate_bias){RS_BIAS_GIVEN, 0.0};
    other[4].gate_bias = (rs_gate_bias){RS_BIAS_CHRONO, 9.0};
    other[5].ensemble.density = 0.25;
    for (size_t i = 0; i < COUNT(other); ++i)
        for (size_t k = 0; k < i; ++k) {
            assert_false(rs_weights_shared(&first, &other[i]));
            assert_false(rs_weights_shared(&other[k], &other[i]));
        }
    rs_case longer = first;
    longer.steps = 99;
    assert_true(rs_weights_shared(&first, &longer));
    rs_case leaky = other[1], tanh = other[1];
    leaky.leak = 0.5;
    assert_true(rs_weights_shared(&leaky, &tanh));
    rs_spec_free(&f.spec);
}

/* Determinant and eigenvalues are there where a case's exponents are compared with them, and cases
 * without share nothing with those that have them. */
static void predictions_are_made_where_they_are_asked_for(void **state) {
    static const struct {
        rs_cell cell;
        double leak;
        size_t directions; /* of 6 units */
        bool determinant, eigenvalues;
    } asked[] = {
        {RS_TANH, 1.0, 0, false, false},   {RS_TANH, 1.0, 6, true, false},
        {RS_TANH, 1.0, 5, false, false},   {RS_RELU, 0.5, 6, false, false},
        {RS_LINEAR, 1.0, 0, false, false}, {RS_LINEAR, 1.0, 6, true, true},
        {RS_LINEAR, 0.5, 6, false, true},  {RS_LINEAR, 1.0, 1, false, true},
    };
    fixture f = make(RS_GAUSSIAN, 6);
    rs_case other[COUNT(asked)];
    (void)state;
    for (size_t i = 0; i < COUNT(asked); ++i) {
        f.one.cell = asked[i].cell;
        f.one.leak = asked[i].leak;
        f.one.tangents.directions = asked[i].directions;
        other[i] = case_of(&f, NULL);
        rs_weights w = weights_of(&f, NULL);
        assert_int_equal(!isnan(w.log_det), asked[i].determinant);
        assert_int_equal(w.eigenvalue != NULL, asked[i].eigenvalues);
        rs_weights_free(&w);
        for (size_t k = 0; k < i; ++k)
            assert_int_equal(rs_weights_shared(&other[i], &other[k]),
                             asked[i].determinant == asked[k].determinant &&
                                 asked[i].eigenvalues == asked[k].eigenvalues);
    }
    f.one.cell = RS_LSTM;
    f.one.tangents.directions = 6;
    rs_weights w = weights_of(&f, NULL);
    assert_true(isnan(w.log_det) && !w.eigenvalue);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

/* The eigenvalues of (1 - A) 1 + A s W0, found of that matrix itself. */
static void linear_exponents_are_predicted(void **state) {
    enum { H = 7 };
    static double const leaks[] = {1.0, 0.25}, scales[] = {0.5, 3.0};
    fixture f = make(RS_GAUSSIAN, H);
    (void)state;
    f.one.cell = RS_LINEAR;
    f.one.tangents.directions = H;
    for (size_t i = 0; i < 4; ++i) {
        double const a = f.one.leak = leaks[i / 2], s = scales[i % 2];
        double jacobian[H * H], re[H], im[H], predicted[H], sum = 0.0, log_det;
        rs_weights w = weights_of(&f, NULL);
        for (size_t j = 0; j < H * H; ++j)
            jacobian[j] = a * s * w.weight_hh[j] + (j % (H + 1) == 0 ? 1.0 - a : 0.0);
        assert_int_equal(rs_eigenvalues(H, jacobian, re, im), RS_OK);
        rs_weights_predict(&f.one, &w, s, predicted);
        for (size_t j = 0; j < H; ++j) {
            expect_near(predicted[j], log(hypot(re[j], im[j])), 1e-13);
            sum += predicted[j];
        }
        assert_int_equal(rs_log_abs_determinant(H, jacobian, &log_det), RS_OK);
        expect_near(sum, log_det, 1e-12);
        if (a == 1.0) expect_near(w.log_det + H * log(s), log_det, 1e-12);
        rs_weights_free(&w);
    }
    rs_spec_free(&f.spec);
}

/* ---- gradients of linear cells ---- */

enum { LAW_H = 256, LAW_B = 8, LAW_T = 10, LAW_SEEDS = 12 };

/* |delta_{T-k}|^2 of a network, the mean over samples, from an engine. */
static void squares_of(rs_ensemble_kind ensemble, uint64_t seed, double square[LAW_T]) {
    fixture f = make(ensemble, LAW_H);
    double delta[LAW_B * LAW_H], one[] = {1.0};
    set(&f, "rho", "native");
    f.one.cell = RS_LINEAR;
    f.one.seed = seed;
    rs_weights w = weights_of(&f, NULL);
    rs_loss_gradient(RS_RANDOM, seed, LAW_T, LAW_B, LAW_H, delta);
    rs_shape const shape = {.groups = 1,
                            .radii = 1,
                            .batch = LAW_B,
                            .hidden = LAW_H,
                            .steps = LAW_T,
                            .drive = RS_DRIVE_ZERO,
                            .cell = RS_LINEAR,
                            .precision = RS_F64};
    rs_parameters const parameters = rs_weights_parameters(&w);
    rs_columns const columns = {.scale = one, .delta = delta};
    rs_pass const pass = {.shape = shape, .of = &columns};
    rs_resources const resources = {1};
    const rs_engine *const engine = rs_engine_named("reference");
    rs_record record;
    void *self;
    assert_int_equal(rs_record_make(&shape, &record), RS_OK);
    assert_int_equal(engine->open(0, &shape, &resources, &self), RS_OK);
    assert_int_equal(engine->load(self, &shape, &parameters), RS_OK);
    assert_int_equal(engine->run(self, &pass, &record), RS_OK);
    for (size_t k = 0; k < LAW_T; ++k) {
        square[k] = 0.0;
        for (size_t b = 0; b < LAW_B; ++b)
            square[k] += record.norm2[(LAW_T - 1 - k) * LAW_B + b] / LAW_B;
    }
    engine->close(self);
    rs_record_free(&record);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

/* Alike in their eigenvalues, uniform in the disk; but with orthogonal eigenvectors |delta_{T-k}|^2
 * is 1 / (k + 1) in the mean, and with Gaussian elements it stays (SCIENCE H: .497, .200, .103 and
 * .997, .987, .965 measured). Within three standard errors over seeds, which are themselves small.
 */
static void normal_matrices_lose_what_gaussian_ones_keep(void **state) {
    static const struct {
        rs_ensemble_kind ensemble;
        double expected[3], most_error[3]; /* at k = 1, 4, 9 */
    } law[] = {{RS_NORMAL, {0.5, 0.2, 0.1}, {0.012, 0.012, 0.008}},
               {RS_GAUSSIAN, {1.0, 1.0, 1.0}, {0.01, 0.03, 0.06}}};
    static const size_t at[] = {1, 4, 9};
    (void)state;
    for (size_t e = 0; e < COUNT(law); ++e) {
        double sum[3] = {0}, squares[3] = {0};
        for (uint64_t seed = 0; seed < LAW_SEEDS; ++seed) {
            double square[LAW_T];
            squares_of(law[e].ensemble, seed, square);
            expect_near(square[0], 1.0, 1e-12);
            for (size_t k = 0; k < 3; ++k) {
                sum[k] += square[at[k]] / LAW_SEEDS;
                squares[k] += square[at[k]] * square[at[k]] / LAW_SEEDS;
            }
        }
        for (size_t k = 0; k < 3; ++k) {
            double const error = sqrt((squares[k] - sum[k] * sum[k]) / (LAW_SEEDS - 1));
            assert_true(error < law[e].most_error[k]);
            expect_near(sum[k], law[e].expected[k], 3.0 * error);
        }
    }
}

/* An element depends on its place, not on H but for the factor 1/sqrt(H). */
static void a_larger_matrix_begins_with_the_smaller(void **state) {
    enum { SMALL = 16, LARGE = 64 }; /* roots 4 and 8: exact */
    static const rs_ensemble_kind ensemble[] = {RS_GAUSSIAN, RS_UNIFORM, RS_SYMMETRIC};
    (void)state;
    for (size_t e = 0; e < COUNT(ensemble); ++e) {
        fixture f = make(ensemble[e], SMALL);
        set(&f, "rho", "native");
        rs_weights small = weights_of(&f, NULL);
        f.one.hidden = LARGE;
        rs_weights large = weights_of(&f, NULL);
        for (size_t i = 0; i < SMALL; ++i)
            for (size_t j = 0; j < SMALL; ++j)
                assert_true(small.weight_hh[i * SMALL + j] == 2.0 * large.weight_hh[i * LARGE + j]);
        rs_weights_free(&small);
        rs_weights_free(&large);
        rs_spec_free(&f.spec);
    }
}

/* Scaling */

static double scale_of(const fixture *f, double rho) {
    rs_case const one = case_of(f, NULL);
    return rs_weights_scale(&one, rho, 0);
}

static void the_radius_is_one_after_scaling(void **state) {
    static const struct {
        const char *precision;
        double tolerance;
    } kind[] = {{"f64", 1e-12}, {"f32", 1e-5}};
    (void)state;
    for (rs_ensemble_kind e = RS_GAUSSIAN; e < RS_MODEL; ++e)
        for (size_t k = 0; k < COUNT(kind); ++k) {
            fixture f = make(e, 50);
            double again;
            set(&f, "precision", kind[k].precision);
            rs_weights w = weights_of(&f, NULL);
            expect_near(w.radius, 1.0, kind[k].tolerance);
            assert_int_equal(rs_spectral_radius(50, w.weight_hh, &again), RS_OK);
            assert_true(w.radius == again && w.coupling == rs_coupling(50, w.weight_hh));
            for (size_t i = 0; i < 50 * 50 && k == 1; ++i)
                assert_true(w.weight_hh[i] == (double)(float)w.weight_hh[i]);
            rs_weights_free(&w);
            rs_spec_free(&f.spec);
        }
}

static void native_leaves_the_matrix(void **state) {
    fixture f = make(RS_GAUSSIAN, 40);
    (void)state;
    rs_weights scaled = weights_of(&f, NULL);
    set(&f, "rho", "native");
    rs_weights native = weights_of(&f, NULL);
    assert_true(native.radius == native.drawn_radius && native.radius == scaled.drawn_radius);
    for (size_t i = 0; i < 40 * 40; ++i)
        assert_true(scaled.weight_hh[i] == native.weight_hh[i] / native.radius);
    assert_true(scale_of(&f, 3.0) == 1.0);
    rs_weights_free(&scaled);
    rs_weights_free(&native);
    rs_spec_free(&f.spec);
}

/* How many radii had to be computed for weight_hh. */
static size_t radii_computed(fixture *f, const char *precision) {
    rs_radii radii;
    rs_weights w;
    size_t n;
    set(f, "precision", precision);
    rs_case const one = case_of(f, NULL);
    assert_int_equal(rs_radii_make(&radii), RS_OK);
    assert_int_equal(rs_weights_make(&one, NULL, &radii, &w), RS_OK);
    rs_weights_free(&w);
    free(rs_radii_take_found(&radii, &n));
    rs_radii_free(&radii);
    return n;
}

static void no_radius_is_computed_twice(void **state) {
    fixture f = make(RS_GAUSSIAN, 40);
    (void)state;
    assert_int_equal(radii_computed(&f, "f64"), 2); /* as drawn, and scaled */
    assert_int_equal(radii_computed(&f, "f32"), 2);
    set(&f, "rho", "native");
    assert_int_equal(radii_computed(&f, "f64"), 1);
    assert_int_equal(radii_computed(&f, "f32"), 2); /* as drawn, and rounded */
    rs_spec_free(&f.spec);
}

static void scales_are_rounded_to_the_precision(void **state) {
    fixture f = make(RS_GAUSSIAN, 4);
    (void)state;
    assert_true(scale_of(&f, 0.1) == 0.1);
    set(&f, "precision", "f32");
    assert_true(scale_of(&f, 0.1) == (double)0.1f);
    rs_spec_free(&f.spec);
}

/* Which radii are swept, how many samples, which loss: nothing of it touches the weights. */
static void weights_depend_on_seed_and_shape_alone(void **state) {
    fixture f = make(RS_GAUSSIAN, 20);
    (void)state;
    set(&f, "input", "pytorch");
    rs_weights first = weights_of(&f, NULL);
    f.one.batch = 7;
    f.one.steps = 77;
    f.one.cell = RS_RELU;
    set(&f, "rho", "0.5:1.5:0.25");
    set(&f, "loss", "random");
    rs_weights second = weights_of(&f, NULL);
    assert_true(same(20 * 20, first.weight_hh, second.weight_hh));
    assert_true(same(20 * 2, first.weight_ih, second.weight_ih));
    assert_true(same(20, first.bias_ih, second.bias_ih));
    assert_true(same(20, first.bias_hh, second.bias_hh));
    f.one.seed++;
    rs_weights other = weights_of(&f, NULL);
    for (size_t i = 0; i < 20; ++i) {
        assert_true(other.weight_hh[i] != first.weight_hh[i]);
        assert_true(other.bias_ih[i] != first.bias_ih[i]);
        assert_true(other.bias_hh[i] != first.bias_hh[i]);
    }
    rs_weights_free(&first);
    rs_weights_free(&second);
    rs_weights_free(&other);
    rs_spec_free(&f.spec);
}

/* Input weights and start states */

static void drawn_input_weights_have_pytorchs_bounds(void **state) {
    enum { H = 400, I = 51 };
    double const bound = 1.0 / sqrt(H);
    fixture f = make(RS_GAUSSIAN, H);
    (void)state;
    f.one.input_size = I;
    set(&f, "input", "pytorch");
    rs_weights w = weights_of(&f, NULL);
    moments const ih = moments_of(H * I, w.weight_ih);
    assert_true(ih.max <= bound && ih.max > 0.99 * bound);
    expect_near(ih.variance * H, 1.0 / 3.0, 5.0 * sqrt(4.0 / 45.0 / (H * I)));
    for (int i = 0; i < 2; ++i) {
        moments const bias = moments_of(H, i ? w.bias_hh : w.bias_ih);
        assert_true(bias.max <= bound && bias.max > 0.9 * bound);
        expect_near(bias.variance * H, 1.0 / 3.0, 5.0 * sqrt(4.0 / 45.0 / H));
    }
    assert_true(!same(H, w.bias_ih, w.bias_hh));
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

static void other_inputs_have_no_weights(void **state) {
    static const char *const input[] = {"zero", "noise:0.5"};
    (void)state;
    for (size_t i = 0; i < COUNT(input); ++i) {
        fixture f = make(RS_GAUSSIAN, 8);
        set(&f, "input", input[i]);
        rs_weights w = weights_of(&f, NULL);
        assert_true(!w.weight_ih && !w.bias_ih && !w.bias_hh && !w.h0);
        rs_weights_free(&w);
        rs_spec_free(&f.spec);
    }
}

/* Philox counts units by the pair and samples by the column (kernels/base/random.h), for ever. */
static void h0_is_that_of_its_seed(void **state) {
    enum { H = 5, B = 3 };
    fixture f = make(RS_GAUSSIAN, H);
    (void)state;
    f.one.batch = B;
    set(&f, "h0", "normal:3");
    rs_weights w = weights_of(&f, NULL);
    for (uint32_t b = 0; b < B; ++b)
        for (uint32_t i = 0; i < H; ++i) {
            double pair[2];
            rs_normal_pair(42, RS_STREAM_H0, 0, b, i / 2, pair);
            assert_true(w.h0[b * H + i] == 3.0 * pair[i % 2]);
        }
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

static void normal_h0_has_its_sigma(void **state) {
    enum { H = 50, B = 40 };
    fixture f = make(RS_GAUSSIAN, H);
    (void)state;
    f.one.batch = B;
    set(&f, "h0", "normal:3");
    rs_weights w = weights_of(&f, NULL);
    moments const m = moments_of(B * H, w.h0);
    expect_near(m.mean, 0.0, 5.0 * 3.0 / sqrt(B * H));
    expect_near(m.variance, 9.0, 5.0 * 9.0 * sqrt(2.0 / (B * H)));
    f.one.batch = 2; /* the first samples stay as they are */
    rs_weights few = weights_of(&f, NULL);
    assert_true(same(2 * H, few.h0, w.h0));
    rs_weights_free(&few);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

/* Weights are kept from case to case where this says so: it must never say so of other arrays. */
static void only_equal_arrays_are_shared(void **state) {
    static const char *const change[][2] = {{"input", "pytorch"},
                                            {"h0", "normal:1"},
                                            {"h0", "normal:2"},
                                            {"rho", "native"},
                                            {"precision", "f32"}};
    fixture f = make(RS_GAUSSIAN, 6);
    rs_case const first = case_of(&f, NULL);
    (void)state;
    for (size_t i = 0; i < COUNT(change); ++i) {
        rs_case const before = case_of(&f, NULL);
        set(&f, change[i][0], change[i][1]);
        rs_case const after = case_of(&f, NULL);
        assert_false(rs_weights_shared(&before, &after));
        assert_true(rs_weights_shared(&after, &after));
    }
    rs_case other = first;
    other.steps = 99;
    other.cell = RS_RELU;
    other.input = (rs_input){RS_INPUT_NOISE, 0.5};
    assert_true(rs_weights_shared(&first, &other));
    other.seed++;
    assert_false(rs_weights_shared(&first, &other));
    rs_spec_free(&f.spec);
}

/* Models */

enum { MH = 2, MI = 2, MB = 3, MT = 10 };

static const double model_hh[] = {0.0, -4.0, 1.0, 0.0}; /* eigenvalues +-2i */
static const double model_ih[] = {1.0, 2.0, 3.0, 4.0};
static const double model_bias_ih[] = {0.5, -0.25}, model_bias_hh[] = {1.0, 2.0};
static const double model_input[MT * MB * MI] = {9.0, 8.0};
static const double model_h0[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6};

static rs_model whole_model(void) {
    return (rs_model){.hidden = MH,
                      .input_size = MI,
                      .steps = MT,
                      .batch = MB,
                      .weight_hh = model_hh,
                      .weight_ih = model_ih,
                      .bias_ih = model_bias_ih,
                      .bias_hh = model_bias_hh,
                      .input = model_input,
                      .h0 = model_h0};
}

static fixture make_for_model(void) {
    fixture f = make(RS_MODEL, MH);
    set(&f, "input", "pytorch");
    return f;
}

static void a_models_arrays_are_taken(void **state) {
    fixture f = make_for_model();
    rs_model const m = whole_model();
    (void)state;
    rs_weights w = weights_of(&f, &m);
    expect_near(w.drawn_radius, 2.0, 1e-15);
    expect_near(w.radius, 1.0, 1e-15);
    for (size_t i = 0; i < MH * MH; ++i) expect_near(w.weight_hh[i], model_hh[i] / 2.0, 1e-15);
    assert_true(same(MH * MI, w.weight_ih, model_ih) && same(MB * MH, w.h0, model_h0));
    assert_true(same(MH, w.bias_ih, model_bias_ih) && same(MH, w.bias_hh, model_bias_hh));
    rs_weights_free(&w);
    set(&f, "rho", "native");
    w = weights_of(&f, &m);
    assert_true(same(MH * MH, w.weight_hh, model_hh));
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

static void what_a_model_lacks(void **state) {
    fixture f = make_for_model();
    fixture plain = make(RS_GAUSSIAN, MH);
    rs_model m = whole_model();
    (void)state;
    m.bias_hh = NULL; /* one bias is used alone */
    rs_weights w = weights_of(&f, &m);
    assert_true(same(MH, w.bias_ih, model_bias_ih));
    assert_true(w.bias_hh[0] == 0.0 && w.bias_hh[1] == 0.0);
    rs_weights_free(&w);
    m.bias_ih = NULL; /* weight_ih without biases has none */
    w = weights_of(&f, &m);
    assert_true(w.bias_ih[0] == 0.0 && w.bias_ih[1] == 0.0 && w.bias_hh[1] == 0.0);
    rs_weights_free(&w);
    m.weight_ih = NULL; /* without weight_ih all is drawn as for an ensemble */
    set(&plain, "input", "pytorch");
    w = weights_of(&f, &m);
    rs_weights drawn = weights_of(&plain, NULL);
    assert_true(same(MH * MI, w.weight_ih, drawn.weight_ih) && same(MH, w.bias_ih, drawn.bias_ih) &&
                same(MH, w.bias_hh, drawn.bias_hh));
    rs_weights_free(&w);
    rs_weights_free(&drawn);
    rs_spec_free(&plain.spec);
    rs_spec_free(&f.spec);
}

static const double gated_hh[4 * MH * MH] = {1.0, 0.0, 0.0,  1.0, 5.0, 6.0, 7.0, 8.0,
                                             0.0, 3.0, -3.0, 0.0, 0.5, 0.5, 0.5, 0.5};
static const double gated_ih[4 * MH * MI] = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0};
static const double gated_bias[4 * MH] = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0};
static const double model_c0[] = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0};

/* Its g is 3 J, whose radius is 3. */
static void a_gated_models_arrays_are_taken(void **state) {
    fixture f = make_for_model();
    rs_model m = whole_model();
    (void)state;
    m.cell = f.one.cell = RS_LSTM;
    m.weight_hh = gated_hh;
    m.weight_ih = gated_ih;
    m.bias_ih = m.bias_hh = gated_bias;
    m.c0 = model_c0;
    rs_weights w = weights_of(&f, &m);
    expect_near(w.drawn_radius, 3.0, 1e-15);
    for (size_t i = 0; i < COUNT(gated_hh); ++i)
        expect_near(w.weight_hh[i], gated_hh[i] / 3.0, 1e-15);
    assert_true(same(COUNT(gated_ih), w.weight_ih, gated_ih));
    assert_true(same(COUNT(gated_bias), w.bias_ih, gated_bias));
    assert_true(same(COUNT(gated_bias), w.bias_hh, gated_bias));
    assert_true(same(MB * MH, w.h0, model_h0) && same(MB * MH, w.c0, model_c0));
    rs_weights_free(&w);
    m.h0 = NULL; /* then it is zero */
    f.one.gate_bias = (rs_gate_bias){RS_BIAS_GIVEN, -1.0};
    rs_case one = case_of(&f, &m);
    one.h0 = (rs_start){.kind = RS_START_MODEL};
    assert_int_equal(rs_weights_make(&one, &m, NULL, &w), RS_OK);
    assert_true(!w.h0 && same(MB * MH, w.c0, model_c0));
    for (size_t i = 0; i < COUNT(gated_bias); ++i)
        assert_true(w.bias_ih[i] + w.bias_hh[i] == (i / MH == 1 ? -1.0 : 2.0 * gated_bias[i]));
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

static void a_model_without_recurrence_runs_native(void **state) {
    static const double zero[4 * MH * MH];
    fixture f = make_for_model();
    rs_model m = whole_model();
    (void)state;
    m.cell = f.one.cell = RS_LSTM;
    m.weight_hh = zero;
    m.weight_ih = gated_ih;
    m.bias_ih = m.bias_hh = gated_bias;
    expect_refused(&f, &m, "weight_hh: its spectral radius is 0");
    set(&f, "rho", "native");
    rs_weights w = weights_of(&f, &m);
    assert_true(w.radius == 0.0 && w.coupling == 0.0 && same(4 * MH * MH, w.weight_hh, zero));
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

/* The sum fits f32, but the candidate of a GRU has both by themselves. */
static void biases_of_a_grus_candidate_must_fit_apart(void **state) {
    fixture f = make_for_model();
    rs_model m = whole_model();
    double large[3 * MH] = {0.0, 0.0, 0.0, 0.0, 1e39, 0.0}, minus[3 * MH] = {[4] = -1e39};
    (void)state;
    m.cell = f.one.cell = RS_GRU;
    m.weight_hh = gated_hh;
    m.weight_ih = gated_ih;
    m.bias_ih = large;
    m.bias_hh = minus;
    set(&f, "precision", "f32");
    expect_refused(&f, &m, "bias_ih: 1e+39 is beyond the range of f32");
    set(&f, "precision", "f64");
    rs_weights w = weights_of(&f, &m);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

static void a_given_h0_wins_over_the_models(void **state) {
    fixture f = make_for_model();
    rs_model const m = whole_model();
    (void)state;
    set(&f, "h0", "zero");
    rs_weights w = weights_of(&f, &m);
    assert_null(w.h0);
    rs_weights_free(&w);
    set(&f, "h0", "normal:1");
    w = weights_of(&f, &m);
    assert_true(w.h0 && !same(MB * MH, w.h0, model_h0));
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

static void an_h0_of_too_few_samples_is_refused(void **state) {
    fixture f = make_for_model();
    rs_model const m = whole_model();
    (void)state;
    f.one.batch = MB + 1;
    expect_refused(&f, &m, "h0: has 3 samples, the batch is 4");
    rs_spec_free(&f.spec);
}

static void a_nilpotent_model_runs_only_native(void **state) {
    static const double nilpotent[] = {0.0, 5.0, 0.0, 0.0};
    fixture f = make_for_model();
    rs_model m = whole_model();
    (void)state;
    m.weight_hh = nilpotent;
    expect_refused(&f, &m, "--rho native");
    set(&f, "rho", "native");
    rs_weights w = weights_of(&f, &m);
    assert_true(w.radius == 0.0 && w.drawn_radius == 0.0);
    assert_true(same(MH * MH, w.weight_hh, nilpotent));
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

/* Q U Q^T with U strictly upper triangular: in double its eigenvalues are roots of rounding. */
static void a_radius_made_of_rounding_is_refused(void **state) {
    enum { H = 12 };
    double q[H * H], u[H * H], a[H * H];
    rs_model m = {.hidden = H, .weight_hh = a};
    fixture f = make(RS_MODEL, H);
    (void)state;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        for (size_t i = 0; i < H * H; ++i) {
            double z[2];
            rs_normal_pair(seed, RS_STREAM_WEIGHT_HH, (uint32_t)i, 0, 0, z);
            q[i] = z[0];
            u[i] = i % H > i / H ? z[1] : 0.0;
        }
        assert_int_equal(rs_orthogonal_factor(H, q), RS_OK);
        for (size_t i = 0; i < H * H; ++i) {
            a[i] = 0.0;
            for (size_t k = 0; k < H * H; ++k)
                a[i] += q[i / H * H + k / H] * u[k] * q[i % H * H + k % H];
        }
        expect_refused(&f, &m, "lost in rounding");
    }
    rs_spec_free(&f.spec);
}

/* A leaky delay line: its eigenvalues are as touchy, but exact zeros hold them in place. */
static void a_triangular_model_is_scaled(void **state) {
    enum { H = 12 };
    double a[H * H] = {0.0};
    rs_model const m = {.hidden = H, .weight_hh = a};
    fixture f = make(RS_MODEL, H);
    (void)state;
    for (size_t i = 0; i < H; ++i) {
        a[i * H + i] = 0.9;
        if (i > 0) a[i * H + i - 1] = 1.0;
    }
    rs_weights w = weights_of(&f, &m);
    expect_near(w.drawn_radius, 0.9, 1e-15);
    expect_near(w.radius, 1.0, 1e-15);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

static void values_beyond_f32_are_refused(void **state) {
    static const double huge[] = {1e39, 0.0, 0.0, 1.0, 0.0, 0.0};
    fixture f = make_for_model();
    (void)state;
    set(&f, "precision", "f32");
    rs_model m = whole_model();
    m.weight_ih = huge;
    expect_refused(&f, &m, "weight_ih: 1e+39 is beyond the range of f32");
    m = whole_model();
    m.bias_hh = huge;
    expect_refused(&f, &m, "bias_ih + bias_hh: 1e+39");
    m = whole_model();
    m.h0 = huge;
    expect_refused(&f, &m, "h0: 1e+39");
    double input[MT * MB * MI] = {0.0, 1e39};
    m = whole_model();
    m.input = input;
    expect_refused(&f, &m, "input: 1e+39");
    m = whole_model();
    m.weight_hh = huge; /* scaled it fits */
    rs_weights w = weights_of(&f, &m);
    expect_near(w.drawn_radius, 1e39, 1e24);
    assert_true(w.weight_hh[0] == 1.0);
    rs_weights_free(&w);
    set(&f, "rho", "native");
    expect_refused(&f, &m, "weight_hh: 1e+39 is beyond the range of f32; try --precision f64");
    rs_spec_free(&f.spec);
}

static void steps_that_no_range_can_follow_are_refused(void **state) {
    static const double of[] = {1e39, 1e-21, 1e19, 1e-19, 0.0};
    fixture f = make_for_model();
    (void)state;
    set(&f, "rho", "native");
    set(&f, "precision", "f64");
    for (size_t i = 0; i < COUNT(of); ++i) {
        double const matrix[4] = {of[i], 0.0, 0.0, of[i]};
        rs_model m = whole_model();
        m.weight_hh = matrix;
        if (i < 2) {
            expect_refused(&f, &m, "is not between 1e-20 and 1e+20");
            continue;
        }
        rs_weights w = weights_of(&f, &m);
        assert_true(w.weight_hh[0] == of[i]);
        rs_weights_free(&w);
    }
    rs_spec_free(&f.spec);
}

/* Loss and drive */

static void mean_losses_are_constant(void **state) {
    double g[4 * 5];
    (void)state;
    assert_true(rs_loss_gradient(RS_LAST_MEAN, 1, 7, 4, 5, g) == 0.0);
    for (size_t i = 0; i < COUNT(g); ++i) assert_true(g[i] == 1.0 / 20.0);
    assert_true(rs_loss_gradient(RS_ALL_MEAN, 1, 7, 4, 5, g) == 1.0 / 140.0);
    for (size_t i = 0; i < COUNT(g); ++i) assert_true(g[i] == 1.0 / 140.0);
}

static void random_losses_are_unit_vectors(void **state) {
    enum { H = 33, B = 500 };
    double *g = malloc(B * H * sizeof *g), few[2 * H], mean[H] = {0}, other[H];
    (void)state;
    assert_non_null(g);
    assert_true(rs_loss_gradient(RS_RANDOM, 1, 7, B, H, g) == 0.0);
    for (size_t b = 0; b < B; ++b) {
        double sum = 0.0;
        for (size_t i = 0; i < H; ++i) {
            sum += g[b * H + i] * g[b * H + i];
            mean[i] += g[b * H + i] / B;
        }
        expect_near(sum, 1.0, 1e-14);
    }
    for (size_t i = 0; i < H; ++i) expect_near(mean[i], 0.0, 5.0 / sqrt(H * B));
    rs_loss_gradient(RS_RANDOM, 1, 99, 2, H, few); /* steps and batch do not matter */
    assert_true(same(2 * H, few, g));
    rs_loss_gradient(RS_RANDOM, 2, 7, 1, H, other);
    assert_true(!same(H, other, g));
    free(g);
}

static rs_drive drive_of(const fixture *f, const rs_model *model, size_t first_sample) {
    rs_case const one = case_of(f, model);
    return rs_weights_drive(&one, model, first_sample);
}

static rs_shape shape_of(const fixture *f, const rs_model *model) {
    rs_case const one = case_of(f, model);
    return rs_case_shape(&one, 1);
}

static void drives_follow_the_input(void **state) {
    fixture f = make(RS_GAUSSIAN, MH);
    (void)state;
    assert_int_equal(shape_of(&f, NULL).drive, RS_DRIVE_ZERO);
    set(&f, "input", "noise:0.25");
    rs_drive d = drive_of(&f, NULL, 5);
    assert_int_equal(shape_of(&f, NULL).drive, RS_DRIVE_NOISE);
    assert_true(d.sigma == 0.25 && d.seed == 42 && d.first_sample == 5);
    set(&f, "input", "pytorch");
    d = drive_of(&f, NULL, 1);
    assert_int_equal(shape_of(&f, NULL).drive, RS_DRIVE_WEIGHTED);
    assert_int_equal(shape_of(&f, NULL).input_size, 2);
    assert_true(d.seed == 42 && d.first_sample == 1 && d.input == NULL);
    rs_spec_free(&f.spec);
}

static void parameters_are_the_arrays(void **state) {
    fixture f = make(RS_GAUSSIAN, MH);
    (void)state;
    set(&f, "input", "pytorch");
    rs_weights w = weights_of(&f, NULL);
    rs_parameters const p = rs_weights_parameters(&w);
    assert_true(p.weight_hh == w.weight_hh && p.weight_ih == w.weight_ih);
    assert_true(p.bias_ih == w.bias_ih && p.bias_hh == w.bias_hh);
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

/* u_t of a model by the formula of nn.RNN, for a chunk that begins with sample 1. */
static void a_models_drive_is_its_input(void **state) {
    fixture f = make_for_model();
    double input[MT * MB * MI], u[MH], kept[MI];
    rs_model m = whole_model();
    (void)state;
    for (size_t i = 0; i < COUNT(input); ++i) input[i] = sin((double)i);
    m.input = input;
    rs_weights w = weights_of(&f, &m);
    rs_drive const d = drive_of(&f, &m, 1);
    rs_shape const shape = shape_of(&f, &m);
    rs_parameters const parameters = rs_weights_parameters(&w);
    for (size_t t = 0; t < MT; ++t)
        for (size_t b = 0; b + 1 < MB; ++b) {
            const double *x = input + (t * MB + b + 1) * MI;
            rs_drive_input(&shape, &d, t, b, kept);
            assert_true(same(MI, kept, x));
            rs_drive_fill(&shape, &parameters, &d, t, b, u);
            for (size_t h = 0; h < MH; ++h)
                expect_near(u[h],
                            model_ih[h * MI] * x[0] + model_ih[h * MI + 1] * x[1] +
                                model_bias_ih[h] + model_bias_hh[h],
                            1e-14);
        }
    rs_weights_free(&w);
    rs_spec_free(&f.spec);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaussian_elements_are_gaussian),
        cmocka_unit_test(uniform_is_pytorchs_default),
        cmocka_unit_test(symmetric_is_symmetric_to_the_bit),
        cmocka_unit_test(orthogonal_is_orthogonal_and_haar),
        cmocka_unit_test(identity_is_the_identity),
        cmocka_unit_test(ring_is_the_cyclic_shift),
        cmocka_unit_test(normal_is_normal),
        cmocka_unit_test(eigenvalues_of_normal_fill_the_disk),
        cmocka_unit_test(sparse_keeps_a_part_of_the_elements),
        cmocka_unit_test(a_sparse_matrix_may_be_nilpotent),
        cmocka_unit_test(every_gate_is_drawn_by_itself),
        cmocka_unit_test(a_gated_cell_is_scaled_by_its_candidate),
        cmocka_unit_test(a_gate_bias_takes_the_place_of_both),
        cmocka_unit_test(chrono_biases_have_their_law),
        cmocka_unit_test(a_drawn_start_has_a_c0_too),
        cmocka_unit_test(gates_decide_what_is_shared),
        cmocka_unit_test(predictions_are_made_where_they_are_asked_for),
        cmocka_unit_test(linear_exponents_are_predicted),
        cmocka_unit_test(normal_matrices_lose_what_gaussian_ones_keep),
        cmocka_unit_test(a_gated_models_arrays_are_taken),
        cmocka_unit_test(a_model_without_recurrence_runs_native),
        cmocka_unit_test(biases_of_a_grus_candidate_must_fit_apart),
        cmocka_unit_test(a_larger_matrix_begins_with_the_smaller),
        cmocka_unit_test(the_radius_is_one_after_scaling),
        cmocka_unit_test(native_leaves_the_matrix),
        cmocka_unit_test(no_radius_is_computed_twice),
        cmocka_unit_test(scales_are_rounded_to_the_precision),
        cmocka_unit_test(weights_depend_on_seed_and_shape_alone),
        cmocka_unit_test(drawn_input_weights_have_pytorchs_bounds),
        cmocka_unit_test(other_inputs_have_no_weights),
        cmocka_unit_test(h0_is_that_of_its_seed),
        cmocka_unit_test(normal_h0_has_its_sigma),
        cmocka_unit_test(only_equal_arrays_are_shared),
        cmocka_unit_test(a_models_arrays_are_taken),
        cmocka_unit_test(what_a_model_lacks),
        cmocka_unit_test(a_given_h0_wins_over_the_models),
        cmocka_unit_test(an_h0_of_too_few_samples_is_refused),
        cmocka_unit_test(a_nilpotent_model_runs_only_native),
        cmocka_unit_test(a_radius_made_of_rounding_is_refused),
        cmocka_unit_test(a_triangular_model_is_scaled),
        cmocka_unit_test(values_beyond_f32_are_refused),
        cmocka_unit_test(steps_that_no_range_can_follow_are_refused),
        cmocka_unit_test(mean_losses_are_constant),
        cmocka_unit_test(random_losses_are_unit_vectors),
        cmocka_unit_test(drives_follow_the_input),
        cmocka_unit_test(parameters_are_the_arrays),
        cmocka_unit_test(a_models_drive_is_its_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
