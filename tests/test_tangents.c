/* Tangents: QR, when it comes, singular values of graded products; the reference engine against
 * differences of its steps, every other engine against the reference, and what holds exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "each_engine.h"
#include "engine_case.h"

#include "../kernels/base/random.h"
#include "../kernels/drive.h"
#include "../kernels/reference/cells.h"
#include "../kernels/tangent/frame.h"
#include "../kernels/tangent/schedule.h"
#include "../kernels/tangent/singular.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double const ln10 = 2.302585092994045684;

/* ---- small matrices -------------------------------------------------------------------------- */

static double *numbers(size_t n) {
    double *const made = calloc(n > 0 ? n : 1, sizeof *made);
    assert_non_null(made);
    return made;
}

static double *normal_numbers(size_t n, uint64_t seed) {
    double *const x = numbers(n);
    for (size_t i = 0; i < n; ++i) {
        double pair[2];
        rs_normal_pair(seed, (rs_stream)99, 0, 0, (uint32_t)i, pair);
        x[i] = pair[0];
    }
    return x;
}

/* out = a b of column-major matrices of n rows and columns. */
static void multiply(size_t n, const double *a, const double *b, double *out) {
    memset(out, 0, n * n * sizeof *out);
    for (size_t j = 0; j < n; ++j)
        for (size_t l = 0; l < n; ++l)
            for (size_t i = 0; i < n; ++i) out[j * n + i] += a[l * n + i] * b[j * n + l];
}

static void assert_near(double got, double want, double tolerance) {
    if (fabs(got - want) <= tolerance || got == want) return;
    fail_msg("%.17g, not %.17g: off by %g", got, want, got - want);
}

/* QR of a [k][rows] with scratch of its own. */
static void orthonormalise(size_t rows, size_t k, double *a, double *log_r, double *r) {
    rs_block block = rs_block_measure(sizeof(double));
    (void)rs_frame_deal(k, &block);
    void *const memory = malloc((size_t)block.used);
    assert_non_null(memory);
    block = rs_block_deal(memory, sizeof(double));
    rs_frame_work const work = rs_frame_deal(k, &block);
    assert_int_equal(rs_frame_orthonormalise(rows, k, a, log_r, r, &work), RS_OK);
    free(memory);
}

/* Singular values of a [n][n], descending; a is lost. */
static void singular_values(size_t n, double *a, double *out) {
    lapack_int const size = (lapack_int)n;
    double none;
    assert_int_equal(
        LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'N', size, size, a, size, out, &none, 1, &none, 1), 0);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void expect_orthonormal(size_t rows, size_t k, const double *q) {
    for (size_t a = 0; a < k; ++a)
        for (size_t b = 0; b <= a; ++b) {
            double dot = 0.0;
            for (size_t i = 0; i < rows; ++i) dot += q[a * rows + i] * q[b * rows + i];
            assert_near(dot, a == b ? 1.0 : 0.0, 1e-13);
        }
}

/* q r is what was given, and r upper triangular with the diagonal e^log_r. */
static void expect_product(size_t rows, size_t k, const double *q, const double *r,
                           const double *log_r, const double *given) {
    for (size_t j = 0; j < k; ++j) {
        assert_true(r[j * k + j] >= 0.0);
        assert_near(log_r[j], log(r[j * k + j]), 1e-13);
        for (size_t i = j + 1; i < k; ++i) assert_true(r[j * k + i] == 0.0);
        for (size_t i = 0; i < rows; ++i) {
            double sum = 0.0;
            for (size_t l = 0; l < k; ++l) sum += q[l * rows + i] * r[j * k + l];
            assert_near(sum, given[j * rows + i], 1e-12);
        }
    }
}

static void expect_frame(size_t rows, size_t k, bool has_zeros) {
    double *const given = normal_numbers(rows * k, rows + k), *const q = numbers(rows * k);
    double *const log_r = numbers(k), *const r = numbers(k * k);
    if (has_zeros) memset(given + (k / 2) * rows, 0, rows * sizeof *given);
    memcpy(q, given, rows * k * sizeof *q);
    orthonormalise(rows, k, q, log_r, r);
    expect_orthonormal(rows, k, q);
    expect_product(rows, k, q, r, log_r, given);
    if (has_zeros) assert_true(log_r[k / 2] < log(1e-14));
    memcpy(q, given, rows * k * sizeof *q);
    orthonormalise(rows, k, q, log_r, NULL);
    expect_orthonormal(rows, k, q);
    free(given);
    free(q);
    free(log_r);
    free(r);
}

static void frames_are_orthonormal(void **state) {
    (void)state;
    static const size_t size[][2] = {{1, 1}, {7, 3}, {40, 40}, {130, 100}};
    for (size_t i = 0; i < sizeof size / sizeof *size; ++i) {
        expect_frame(size[i][0], size[i][1], false);
        expect_frame(size[i][0], size[i][1], true);
    }
}

static void frames_that_are_not_finite_are_left(void **state) {
    (void)state;
    double q[6] = {1.0, 2.0, 3.0, 4.0, NAN, INFINITY}, log_r[2] = {0.0}, r[4] = {0.0};
    double same[6];
    memcpy(same, q, sizeof q);
    orthonormalise(3, 2, q, log_r, r);
    assert_memory_equal(q, same, sizeof q);
    assert_true(isnan(log_r[0]) && isnan(log_r[1]));
    for (size_t i = 0; i < 4; ++i) assert_true(isnan(r[i]));
}

/* ---- products of triangles ------------------------------------------------------------------- */

enum { MOST_ROWS = 24 };

typedef struct triangle_memory {
    rs_triangle t;
    void *memory;
} triangle_memory;

static triangle_memory triangle_make(size_t n) {
    rs_block block = rs_block_measure(sizeof(double));
    (void)rs_triangle_deal(n, &block);
    triangle_memory made = {.memory = malloc((size_t)block.used)};
    assert_non_null(made.memory);
    block = rs_block_deal(made.memory, sizeof(double));
    made.t = rs_triangle_deal(n, &block);
    rs_triangle_identity(&made.t);
    return made;
}

/* ln of the singular values of r^times. */
static void values_of_power(size_t n, const double *r, size_t times, double *out) {
    triangle_memory m = triangle_make(n);
    for (size_t i = 0; i < times; ++i) rs_triangle_multiply(r, &m.t);
    rs_triangle_singular_values(&m.t, out);
    free(m.memory);
}

/* Products of a few triangles that LAPACK can take as they are. */
static void triangles_are_as_lapack_has_them(void **state) {
    (void)state;
    enum { N = 12 };
    triangle_memory m = triangle_make(N);
    double product[N * N] = {0.0}, next[N * N], got[N], want[N];
    for (size_t i = 0; i < N; ++i) product[i * N + i] = 1.0;
    for (uint64_t seed = 0; seed < 3; ++seed) {
        double *const r = normal_numbers((size_t)N * N, seed);
        for (size_t j = 0; j < N; ++j)
            for (size_t i = 0; i < N; ++i)
                r[j * N + i] = i > j ? 0.0 : i < j ? 0.3 * r[j * N + i] : 1.5 - 0.1 * (double)i;
        rs_triangle_multiply(r, &m.t);
        multiply(N, r, product, next);
        memcpy(product, next, sizeof next);
        free(r);
    }
    rs_triangle_singular_values(&m.t, got);
    singular_values(N, product, want);
    for (size_t i = 0; i < N; ++i) assert_near(got[i], log(want[i]), 1e-12);
    free(m.memory);
}

static void diagonal_triangles_are_exact_far_out(void **state) {
    (void)state;
    double const r[9] = {1.0, 0.0, 0.0, 0.0, 10.0, 0.0, 0.0, 0.0, 0.1};
    double got[3];
    values_of_power(3, r, 600, got);
    assert_near(got[0], 600.0 * ln10, 1e-9);
    assert_near(got[1], 0.0, 1e-9);
    assert_near(got[2], -600.0 * ln10, 1e-9);
}

/* [a b; 0 1/a]^m has a^m and a^-m on its diagonal and b (a^m - a^-m) / (a - 1/a) above, m b for
 * a = 1: the determinant is 1, and the larger singular value of e^x has 2 cosh(2 x) as its square
 * plus that of the other. */
static void expect_pair(double a, double b, double m) {
    double const r[4] = {a, 0.0, b, 1.0 / a};
    double got[2];
    values_of_power(2, r, (size_t)m, got);
    double const above = a == 1.0 ? 0.0 : b / (a - 1.0 / a);
    double const want =
        a == 1.0 ? asinh(0.5 * m * b) : m * log(a) + 0.5 * log1p(above * above); /* a^m is large */
    assert_near(got[0], want, 1e-12 * (1.0 + fabs(want)));
    assert_near(got[1], -want, 1e-12 * (1.0 + fabs(want)));
}

static void graded_triangles_are_exact_far_out(void **state) {
    (void)state;
    expect_pair(1.0, 2.0, 1.0);
    expect_pair(1.0, 0.25, 300.0);
    expect_pair(2.0, 3.0, 50.0);
    expect_pair(2.0, 3.0, 2000.0);
    expect_pair(1e3, -7e2, 200.0);
}

/* Two blocks of such pairs, one far above the other, whose rows stand between each other. */
static void blocks_stay_apart(void **state) {
    (void)state;
    double r[16] = {0.0}, got[4];
    r[0] = r[10] = 1e2, r[8] = 30.0;   /* rows 0 and 2: 100 [1 .3; 0 1] */
    r[5] = r[15] = 1e-2, r[13] = 4e-3; /* rows 1 and 3: [1 .4; 0 1] / 100 */
    values_of_power(4, r, 300, got);
    double const far = 600.0 * ln10, upper = asinh(0.5 * 300.0 * 0.3);
    double const lower = asinh(0.5 * 300.0 * 0.4);
    double const want[4] = {far + upper, far - upper, -far + lower, -far - lower};
    for (size_t i = 0; i < 4; ++i) assert_near(got[i], want[i], 1e-9);
}

static void rows_of_zeros_and_nan(void **state) {
    (void)state;
    double r[9] = {2.0, 0.0, 0.0, 1.0, 0.0, 0.0, 3.0, 0.0, 4.0}, got[3];
    values_of_power(3, r, 1, got);
    assert_true(isfinite(got[0]) && isfinite(got[1]) && got[2] == -INFINITY);
    assert_near(got[0] + got[1], 0.5 * log(4.0 * 16.0 + 16.0), 1e-13);
    r[4] = NAN;
    values_of_power(3, r, 2, got);
    for (size_t i = 0; i < 3; ++i) assert_true(isnan(got[i]));
}

/* ---- the schedule ---------------------------------------------------------------------------- */

static rs_shape schedule_shape(size_t every, rs_precision precision) {
    static const size_t at[] = {3, 50};
    return (rs_shape){.groups = 1,
                      .radii = 1,
                      .batch = 1,
                      .hidden = 4,
                      .steps = 90,
                      .warmup = 7,
                      .precision = precision,
                      .directions = 4,
                      .transient = 7,
                      .qr_every = every,
                      .n_singular = 2,
                      .singular_at = at};
}

/* Whether QR must come after this step whatever the gap. */
static bool is_forced(const rs_shape *shape, size_t step) {
    if (step <= shape->transient) return step == shape->transient;
    size_t const recorded = step - shape->transient;
    for (size_t b = 1; b <= RS_STRETCH_BLOCKS; ++b)
        if (recorded == rs_stretch_start(shape->steps, b)) return true;
    return recorded == shape->singular_at[0] || recorded == shape->singular_at[1];
}

/* Goes through all steps; a way of n steps spreads ln R_ii over n `spread`. Returns the most steps
 * of a way at the end. */
static size_t go_through(const rs_shape *shape, double spread, size_t gap) {
    rs_qr_schedule s = rs_qr_begin(shape);
    for (size_t step = 1, last = 0; step <= shape->transient + shape->steps; ++step) {
        bool const due = rs_qr_is_due(&s, shape, shape->singular_at, step);
        if (gap > 0) assert_true(due == (is_forced(shape, step) || step - last == gap));
        if (is_forced(shape, step)) assert_true(due);
        if (!due) continue;
        rs_qr_note(&s, shape, shape->singular_at, step, 0.0, (double)(step - last) * spread);
        last = step;
    }
    assert_true(s.block == RS_STRETCH_BLOCKS && s.value == 2);
    return s.most;
}

static void given_gaps_are_kept(void **state) {
    (void)state;
    for (size_t every = 1; every <= 5; ++every) {
        rs_shape const shape = schedule_shape(every, RS_F64);
        assert_int_equal(go_through(&shape, 100.0, every), every);
    }
}

static void chosen_gaps_follow_the_spread(void **state) {
    (void)state;
    rs_shape shape = schedule_shape(0, RS_F64);
    shape.steps = 900;
    assert_int_equal(go_through(&shape, 0.01, 0), RS_MOST_GAP);
    assert_int_equal(go_through(&shape, 20.0, 0), 1);
    size_t const middle = go_through(&shape, 3.0, 0);
    assert_int_equal(middle, 6); /* a spread of 18 */
}

static void chosen_gaps_shrink_again(void **state) {
    (void)state;
    rs_shape shape = schedule_shape(0, RS_F64);
    rs_qr_schedule s = {.gap = 16, .longest = 16, .latest = 100};
    shape.transient = 10000;
    rs_qr_note(&s, &shape, shape.singular_at, 116, 0.0, 40.0);
    assert_int_equal(s.gap, 7);
    rs_qr_note(&s, &shape, shape.singular_at, 123, -INFINITY, 0.0);
    assert_int_equal(s.gap, 1);
    rs_qr_note(&s, &shape, shape.singular_at, 124, 0.0, 1.0);
    assert_int_equal(s.gap, 2);
    rs_qr_note(&s, &shape, shape.singular_at, 126, 0.0, 20.0);
    rs_qr_note(&s, &shape, shape.singular_at, 127, 0.0, 1.0);
    assert_int_equal(s.gap, 1); /* two steps were too many once */
}

/* ---- engines: what holds exactly ------------------------------------------------------------- */

static size_t state_rows(const rs_shape *s) { return rs_cell_of(s->cell)->states * s->hidden; }

static rs_shape tangent_shape(rs_cell cell, size_t hidden, size_t steps) {
    return (rs_shape){.groups = 1,
                      .radii = 1,
                      .batch = 1,
                      .hidden = hidden,
                      .steps = steps,
                      .cell = cell,
                      .precision = RS_F64,
                      .directions = rs_cell_of(cell)->states * hidden};
}

/* Sums of ln R_ii over the first blocks of a column, into out [k]. */
static void stretches(const rs_shape *s, const rs_record *record, size_t column, size_t blocks,
                      double *out) {
    size_t const k = s->directions;
    memset(out, 0, k * sizeof *out);
    for (size_t b = 0; b < blocks; ++b)
        for (size_t i = 0; i < k; ++i)
            out[i] += record->stretch[(column * RS_STRETCH_BLOCKS + b) * k + i];
}

/* Exponents of a column, descending. */
static void exponents(const rs_shape *s, const rs_record *record, size_t column, double *out) {
    stretches(s, record, column, RS_STRETCH_BLOCKS, out);
    for (size_t i = 0; i < s->directions; ++i) out[i] /= (double)s->steps;
    rs_sort_descending(s->directions, out);
}

/* A linear network of this W [H][H] at radius 1: exponents `want`, which are sorted here, and all
 * singular values at T. */
static void expect_linear(const rs_engine *engine, size_t hidden, const double *w, double *want) {
    enum { STEPS = 100 };
    static const size_t at[] = {STEPS};
    rs_shape shape = tangent_shape(RS_LINEAR, hidden, STEPS);
    shape.n_singular = 1;
    shape.singular_at = at;
    shape.warmup = shape.transient = 10;
    engine_case c = engine_case_make(shape, 1.0, 1.0, 1);
    c.parameters[0].weight_hh = w;
    if (takes(engine, &c.pass.shape)) {
        rs_record got = run_case(engine, &c, 1);
        double *const exponent = numbers(hidden);
        exponents(&shape, &got, 0, exponent);
        rs_sort_descending(hidden, want);
        for (size_t i = 0; i < hidden; ++i) {
            assert_near(exponent[i], want[i], 1e-12);
            assert_near(got.singular[i], STEPS * want[i], STEPS * 1e-12);
        }
        free(exponent);
        rs_record_free(&got);
    }
    engine_case_free(&c);
}

static void check_diagonal(const rs_engine *engine) {
    enum { H = 9 };
    double w[H * H] = {0.0}, want[H];
    for (size_t i = 0; i < H; ++i) {
        double const size = pow(10.0, -2.0 + 0.5 * (double)((4 * i) % H));
        w[i * H + i] = i % 2 ? -size : size;
        want[i] = log(size);
    }
    expect_linear(engine, H, w, want);
}

static void check_orthogonal(const rs_engine *engine) {
    enum { H = 24 };
    double *const w = normal_numbers((size_t)H * H, 5), log_r[H], want[H];
    orthonormalise(H, H, w, log_r, NULL);
    for (size_t i = 0; i < (size_t)H * H; ++i) w[i] *= 0.7;
    for (size_t i = 0; i < H; ++i) want[i] = log(0.7);
    expect_linear(engine, H, w, want);
    free(w);
}

/* Mean of all exponents = ln s + <ln phi'> + ln|det W| / H (ln|det J| = sum ln R_ii). */
static void expect_sum_rule(const rs_engine *engine, double g, rs_drive_kind kind, size_t every) {
    enum { H = 20 };
    rs_shape shape = tangent_shape(RS_TANH, H, 150);
    shape.drive = kind;
    shape.batch = 2;
    shape.warmup = 20;
    shape.transient = 15;
    shape.qr_every = every;
    engine_case c = engine_case_make(shape, g, g, 3);
    c.columns[0].drive.sigma = 0.5;
    if (takes(engine, &c.pass.shape)) {
        rs_record got = run_case(engine, &c, 1);
        double w[H * H], log_r[H], exponent[H], determinant = 0.0;
        memcpy(w, c.parameters[0].weight_hh, sizeof w);
        orthonormalise(H, H, w, log_r, NULL);
        for (size_t i = 0; i < H; ++i) determinant += log_r[i];
        for (size_t column = 0; column < shape.batch; ++column) {
            double mean = 0.0;
            exponents(&shape, &got, column, exponent);
            for (size_t i = 0; i < H; ++i) mean += exponent[i] / H;
            assert_near(mean, log(g) + got.log_slope[column] + determinant / H, 1e-8);
        }
        rs_record_free(&got);
    }
    engine_case_free(&c);
}

static void check_sum_rule(const rs_engine *engine) {
    for (int g = 1; g <= 3; ++g) {
        if (few_shapes() && g != 2) continue;
        expect_sum_rule(engine, g, RS_DRIVE_ZERO, 1);
        if (!few_shapes()) expect_sum_rule(engine, g, RS_DRIVE_NOISE, 1);
    }
    expect_sum_rule(engine, 1.0, RS_DRIVE_NOISE, 0);
}

/* |det| of a product is that of its singular values, and of its R's, at every time. */
static void check_determinants(const rs_engine *engine) {
    for (size_t kind = 0; kind < N_CELL_KIND; ++kind) {
        static const size_t at[] = {20, 64};
        rs_shape shape = tangent_shape(cell_kind_at(kind).cell, 6, 64);
        size_t const k = shape.directions;
        if (shape.cell == RS_RELU) continue; /* of no determinant */
        shape.leak = cell_kind_at(kind).leak;
        shape.n_singular = 2;
        shape.singular_at = at;
        engine_case c = engine_case_make(shape, 0.9, 0.9, 4);
        if (takes(engine, &c.pass.shape)) {
            rs_record got = run_case(engine, &c, 1);
            for (size_t value = 0; value < 2; ++value) {
                double sum[MOST_ROWS], difference = 0.0;
                stretches(&shape, &got, 0, at[value] / 4, sum);
                for (size_t i = 0; i < k; ++i) difference += got.singular[value * k + i] - sum[i];
                assert_near(difference, 0.0, 1e-9);
                for (size_t i = 1; i < k; ++i)
                    assert_true(got.singular[value * k + i] <= got.singular[value * k + i - 1]);
            }
            rs_record_free(&got);
        }
        engine_case_free(&c);
    }
}

/* Gradients go back along the transposes of the Jacobians: their slope is the same exponent. */
static void expect_slope(const rs_engine *engine, cell_kind kind) {
    enum { STEPS = 600, ALIGNED = STEPS - 30 };
    rs_shape shape = tangent_shape(kind.cell, 24, STEPS);
    shape.leak = kind.leak;
    shape.directions = 1;
    shape.drive = RS_DRIVE_NOISE;
    shape.warmup = shape.transient = 30;
    engine_case c = engine_case_make(shape, 0.9, 0.9, 5);
    c.columns[0].drive.sigma = 0.4;
    if (takes(engine, &c.pass.shape)) {
        rs_record got = run_case(engine, &c, 1);
        double largest;
        exponents(&shape, &got, 0, &largest);
        double const first = log_norm(&shape, &got, 0, 1, 0);
        double const last = log_norm(&shape, &got, 0, ALIGNED, 0);
        assert_near(largest, (first - last) * ln10 / (ALIGNED - 1), 0.01);
        rs_record_free(&got);
    }
    engine_case_free(&c);
}

static void check_slope_of_gradients(const rs_engine *engine) {
    for (size_t kind = 0; kind < N_CELL_KIND; kind += few_shapes() ? 3 : 1)
        expect_slope(engine, cell_kind_at(kind));
}

/* A column whose states leave double's range has NaN throughout, even where its Jacobians are known
 * as those of linear cells are; others are left alone. */
static void expect_nothing_known(const rs_engine *engine, rs_cell cell) {
    enum { H = 8, STEPS = 40 };
    static const size_t at[] = {1, STEPS};
    rs_shape shape = tangent_shape(cell, H, STEPS);
    shape.radii = 2;
    shape.n_singular = 2;
    shape.singular_at = at;
    engine_case c = engine_case_make(shape, 1e20, 0.5, 6);
    if (takes(engine, &c.pass.shape)) {
        rs_record got = run_case(engine, &c, 1);
        size_t const stretched = (size_t)RS_STRETCH_BLOCKS * H, values = (size_t)2 * H;
        assert_true(got.nonfinite_step[0] > 1 && got.nonfinite_step[1] == 0);
        for (size_t i = 0; i < stretched; ++i)
            assert_true(isnan(got.stretch[i]) && !isnan(got.stretch[stretched + i]));
        for (size_t i = 0; i < values; ++i)
            assert_true(isnan(got.singular[i]) && !isnan(got.singular[values + i]));
        assert_true(isnan(got.log_slope[0]) && !isnan(got.log_slope[1]));
        rs_record_free(&got);
    }
    engine_case_free(&c);
}

static void check_nonfinite(const rs_engine *engine) {
    expect_nothing_known(engine, RS_RELU);
    expect_nothing_known(engine, RS_LINEAR);
}

/* Gaps that are given are met, and differ in rounding alone. */
static void check_gaps(const rs_engine *engine) {
    enum { H = 10 };
    static const size_t every[] = {1, 2, 4, 0};
    double want[H], got[H];
    for (size_t i = 0; i < 4; ++i) {
        rs_shape shape = tangent_shape(RS_TANH, H, 80);
        shape.qr_every = every[i];
        shape.drive = RS_DRIVE_NOISE;
        engine_case c = engine_case_make(shape, 0.8, 0.8, 7);
        c.columns[0].drive.sigma = 0.3;
        if (takes(engine, &c.pass.shape)) {
            rs_record record = run_case(engine, &c, 1);
            exponents(&shape, &record, 0, i == 0 ? want : got);
            if (every[i] > 0) assert_int_equal(record.qr_gap[0], every[i]);
            assert_true(record.qr_gap[0] >= 1 && record.qr_gap[0] <= RS_MOST_GAP);
            assert_true(record.tangent_seconds > 0.0 && record.qr_seconds > 0.0);
            for (size_t j = 0; i > 0 && j < H; ++j)
                if ((want[0] - want[j]) * (double)record.qr_gap[0] < 15.0)
                    assert_near(got[j], want[j], 1e-9);
            rs_record_free(&record);
        }
        engine_case_free(&c);
    }
}

/* Tangents need room, the more the more there are; without any, nothing is timed. */
static void check_room(const rs_engine *engine) {
    rs_resources const resources = {.threads = 2};
    for (rs_cell cell = RS_TANH; cell < RS_N_CELL; ++cell) {
        rs_shape shape = tangent_shape(cell, 20, 9);
        size_t const most = shape.directions;
        uint64_t last = 0, size;
        for (shape.directions = 0; shape.directions <= most; ++shape.directions) {
            if (!takes(engine, &shape)) continue;
            assert_int_equal(engine->bytes(0, &shape, &resources, &size), RS_OK);
            assert_true(shape.directions == 1 ? size > last : size >= last);
            last = size;
        }
        shape.directions = 0;
        engine_case c = engine_case_make(shape, 0.5, 0.5, 8);
        if (takes(engine, &c.pass.shape)) {
            rs_record got = run_case(engine, &c, 1);
            assert_null(got.stretch);
            assert_true(got.tangent_seconds == 0.0 && got.qr_seconds == 0.0);
            rs_record_free(&got);
        }
        engine_case_free(&c);
    }
}

/* ---- the reference against differences ------------------------------------------------------- */

/* One step from the state x [S H] to out, by the cell's formulas. */
static void step_of(const engine_case *c, size_t step, const double *x, double *out) {
    const rs_shape *s = &c->pass.shape;
    const rs_parameters *of = &c->parameters[0];
    double p[RS_MAX_GATES * MOST_ROWS], u[RS_MAX_GATES * MOST_ROWS];
    for (size_t i = 0; i < rs_gate_rows(s); ++i) {
        p[i] = 0.0;
        for (size_t j = 0; j < s->hidden; ++j) p[i] += of->weight_hh[i * s->hidden + j] * x[j];
        p[i] *= c->columns[0].scale[i / s->hidden];
        if (s->cell == RS_GRU && i / s->hidden == RS_GRU_N) p[i] += of->bias_hh[i];
    }
    rs_drive_fill(s, of, &c->columns[0].drive, step, 0, u);
    rs_reference_forward(s, &(rs_reference_step){.p = p, .u = u, .before = x, .after = out});
}

/* Column j of the Jacobian at j n, by central differences. */
static void difference(const engine_case *c, size_t step, const double *x, double *out) {
    size_t const n = state_rows(&c->pass.shape);
    double const h = 1e-5;
    double moved[MOST_ROWS], up[MOST_ROWS], down[MOST_ROWS];
    for (size_t j = 0; j < n; ++j) {
        memcpy(moved, x, n * sizeof *x);
        moved[j] = x[j] + h;
        step_of(c, step, moved, up);
        moved[j] = x[j] - h;
        step_of(c, step, moved, down);
        for (size_t i = 0; i < n; ++i) out[j * n + i] = (up[i] - down[i]) / (2.0 * h);
    }
}

/* The product of the Jacobians of `steps` steps after the warm-up of the only column. */
static void product_of_differences(const engine_case *c, size_t steps, double *product) {
    const rs_shape *s = &c->pass.shape;
    size_t const n = state_rows(s);
    double x[MOST_ROWS], after[MOST_ROWS];
    double one[MOST_ROWS * MOST_ROWS], next[MOST_ROWS * MOST_ROWS];
    for (size_t i = 0; i < n; ++i) x[i] = c->columns[0].start[i / s->hidden][i % s->hidden];
    memset(product, 0, n * n * sizeof *product);
    for (size_t i = 0; i < n; ++i) product[i * n + i] = 1.0;
    for (size_t step = 0; step < s->warmup + steps; ++step) {
        if (step >= s->warmup) {
            difference(c, step, x, one);
            multiply(n, one, product, next);
            memcpy(product, next, n * n * sizeof *product);
        }
        step_of(c, step, x, after);
        memcpy(x, after, n * sizeof *x);
    }
}

/* All singular values at `steps`, whatever the transient, and without one the volumes of the
 * first k unit vectors: of the part of the larger ones, as differences are right to about 1e-10. */
static void expect_derivative(const engine_case *c, size_t steps, const rs_record *full,
                              const rs_record *few, size_t k) {
    size_t const n = state_rows(&c->pass.shape);
    double product[MOST_ROWS * MOST_ROWS], want[MOST_ROWS], got[MOST_ROWS];
    product_of_differences(c, steps, product);
    if (few) {
        rs_shape shape = c->pass.shape;
        shape.directions = k;
        double frame[MOST_ROWS * MOST_ROWS];
        memcpy(frame, product, sizeof frame);
        orthonormalise(n, k, frame, want, NULL);
        stretches(&shape, few, 0, RS_STRETCH_BLOCKS, got);
        for (size_t i = 0; i < k; ++i) assert_near(exp(got[i]), exp(want[i]), 1e-8);
    }
    singular_values(n, product, want);
    const double *at = full->singular + (steps == 1 ? 0 : n);
    for (size_t i = 0; i < n; ++i) assert_near(exp(at[i]), want[i], 1e-8);
}

static void expect_derivatives(cell_kind kind, rs_drive_kind drive, size_t warmup,
                               size_t transient) {
    enum { STEPS = 3, FEW = 3 };
    static const size_t at[] = {1, STEPS};
    const rs_engine *reference = rs_engine_named("reference");
    rs_shape shape = tangent_shape(kind.cell, 7, STEPS);
    shape.leak = kind.leak;
    shape.drive = drive;
    shape.warmup = warmup;
    shape.transient = transient;
    shape.n_singular = 2;
    shape.singular_at = at;
    engine_case c = engine_case_make(shape, 1.1, 1.1, 9);
    c.columns[0].drive.sigma = 0.4;
    rs_record full = run_case(reference, &c, 1);
    rs_pass pass = c.pass;
    pass.shape.directions = FEW;
    pass.shape.n_singular = 0;
    rs_record few = run_engine(reference, &pass, c.parameters, 1);
    expect_derivative(&c, 1, &full, NULL, 0);
    expect_derivative(&c, STEPS, &full, transient == 0 ? &few : NULL, FEW);
    rs_record_free(&full);
    rs_record_free(&few);
    engine_case_free(&c);
}

static void reference_has_the_jacobians(void **state) {
    (void)state;
    for (size_t kind = 0; kind < N_CELL_KIND; ++kind) {
        expect_derivatives(cell_kind_at(kind), RS_DRIVE_ZERO, 0, 0);
        expect_derivatives(cell_kind_at(kind), RS_DRIVE_NOISE, 2, 0);
        expect_derivatives(cell_kind_at(kind), RS_DRIVE_WEIGHTED, 4, 3);
    }
}

/* ---- engines against the reference ----------------------------------------------------------- */

/* What an exponent that is `below` the largest one may differ by between engines, where QR comes
 * every `gap` steps: frames are wrong by about eps e^(gap below), and with a gap that is chosen all
 * of f64 stays below 1e-6. Infinite where nothing is said. */
static double tolerance_of(rs_precision precision, double below, size_t gap) {
    double const strain = below * (double)gap;
    if (precision == RS_F64) return strain < 10.0 ? 1e-9 : 1e-6;
    return strain < 4.0 ? 2e-4 : INFINITY;
}

/* Exponents of a column that rounding leaves right, and the mean of ln phi'. */
static void compare(const rs_engine *engine, const rs_shape *s, const rs_record *got,
                    const rs_record *want, size_t column) {
    double *const g = numbers(s->directions), *const w = numbers(s->directions);
    size_t const ours = got->qr_gap[column], theirs = want->qr_gap[column];
    char text[160];
    describe(engine, s, text);
    exponents(s, got, column, g);
    exponents(s, want, column, w);
    for (size_t i = 0; i < s->directions; ++i) {
        double const most = tolerance_of(s->precision, w[0] - w[i], ours > theirs ? ours : theirs);
        if (g[i] != w[i] && !(fabs(g[i] - w[i]) <= most))
            fail_msg("%s: column %zu, exponent %zu: %.12g, not %.12g", text, column, i, g[i], w[i]);
    }
    double const slope = got->log_slope[column], wanted = want->log_slope[column];
    double const most = tolerance_of(s->precision, 0.0, 1);
    if (isnan(slope) != isnan(wanted) || fabs(slope - wanted) > most)
        fail_msg("%s: column %zu, mean of ln phi': %.12g, not %.12g", text, column, slope, wanted);
    free(g);
    free(w);
}

/* Norms and weight gradients beside them: the transient's steps are kept with those of the way
 * back. */
static void compare_gradients(const rs_engine *engine, const rs_shape *s, const rs_record *got,
                              const rs_record *want) {
    double const most = s->precision == RS_F64 ? 1e-9 : 1e-3;
    char text[160];
    describe(engine, s, text);
    for (size_t g = 0; g < s->groups; ++g)
        for (size_t t = 1; t <= s->steps; ++t)
            for (size_t c = 0; c < s->radii * s->batch; ++c) {
                double const ours = log_norm(s, got, g, t, c), theirs = log_norm(s, want, g, t, c);
                if (ours != theirs && !(fabs(ours - theirs) <= most))
                    fail_msg("%s: log10 |delta_%zu|: %.12g, not %.12g", text, t, ours, theirs);
            }
    for (size_t i = 0; s->gradients && i < s->groups * s->radii * RS_N_GRADIENT; ++i) {
        double const ours = ldexp(got->gradient2[i], 2 * got->gradient_exponent[i]);
        double const theirs = ldexp(want->gradient2[i], 2 * want->gradient_exponent[i]);
        if (!(fabs(ours - theirs) <= most * theirs))
            fail_msg("%s: gradient %zu squared: %.12g, not %.12g", text, i, ours, theirs);
    }
}

/* Singular values that are not lost beside the largest one. */
static void compare_singular_values(const rs_engine *engine, const rs_shape *s,
                                    const rs_record *got, const rs_record *want, size_t column) {
    double const most = s->precision == RS_F64 ? 1e-9 : 1e-3;
    double const lost = s->precision == RS_F64 ? 12.0 : 4.0;
    char text[160];
    describe(engine, s, text);
    for (size_t value = 0; value < s->n_singular; ++value) {
        size_t const first = (column * s->n_singular + value) * s->directions;
        const double *g = got->singular + first, *w = want->singular + first;
        for (size_t i = 0; i < s->directions; ++i)
            if (w[0] - w[i] < lost && !(fabs(g[i] - w[i]) <= most * (double)s->steps))
                fail_msg("%s: column %zu, singular value %zu at %zu: %.12g, not %.12g", text,
                         column, i, s->singular_at[value], g[i], w[i]);
    }
}

static void expect_parity(const rs_engine *engine, rs_shape shape) {
    engine_case c = engine_case_make(shape, 0.4, 0.9, 11);
    for (size_t g = 0; g < shape.groups; ++g) c.columns[g].drive.sigma = 0.3;
    if (takes(engine, &c.pass.shape)) {
        const rs_shape *s = &c.pass.shape;
        rs_record got = run_case(engine, &c, 2);
        rs_record want = run_case(rs_engine_named("reference"), &c, 1);
        for (size_t column = 0; column < s->groups * s->radii * s->batch; ++column) {
            compare(engine, s, &got, &want, column);
            compare_singular_values(engine, s, &got, &want, column);
        }
        compare_gradients(engine, s, &got, &want);
        rs_record_free(&got);
        rs_record_free(&want);
    }
    engine_case_free(&c);
}

static void check_parity(const rs_engine *engine) {
    static const size_t hidden[] = {1, 5, 16, 33}, at[] = {1, 5};
    for (size_t i = 0; i < 4 * RS_N_PRECISION * N_CELL_KIND; ++i) {
        cell_kind const kind = cell_kind_at(i % N_CELL_KIND);
        size_t const steps = fewest_shapes() ? 6 : 24;
        rs_shape shape = tangent_shape(kind.cell, hidden[(i / N_CELL_KIND) % 4], steps);
        if (kind.cell == RS_RELU) shape.directions = 1; /* others are lost with its units */
        if (i % 3 == 1 && shape.directions > 4) shape.directions = 4;
        if (few_shapes() && i % 3 != 1) continue;
        if (fewest_shapes() && shape.hidden > 5) continue;
        shape.precision = i < (size_t)4 * N_CELL_KIND ? RS_F64 : RS_F32;
        shape.leak = kind.leak;
        shape.groups = 2;
        shape.radii = 2;
        shape.batch = 3;
        shape.drive = (rs_drive_kind)(i % 3);
        shape.warmup = 8;
        shape.transient = i % 8;
        shape.gradients = i % 2 && shape.precision == RS_F64;
        shape.n_singular = shape.directions == state_rows(&shape) ? 2 : 0;
        shape.singular_at = at;
        expect_parity(engine, shape);
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static void reference_is_right_by_itself(void **state) {
    (void)state;
    const rs_engine *reference = rs_engine_named("reference");
    check_diagonal(reference);
    check_orthogonal(reference);
    check_sum_rule(reference);
    check_determinants(reference);
    check_slope_of_gradients(reference);
    check_nonfinite(reference);
    check_gaps(reference);
    check_room(reference);
}

#define CHECK(name)                                                                                \
    static void name(void **state) {                                                               \
        (void)state;                                                                               \
        for_each_engine(check_##name);                                                             \
    }
CHECK(diagonal)
CHECK(orthogonal)
CHECK(sum_rule)
CHECK(determinants)
CHECK(slope_of_gradients)
CHECK(nonfinite)
CHECK(gaps)
CHECK(room)
CHECK(parity)

int main(void) {
    const struct CMUnitTest engines[] = {
        cmocka_unit_test(diagonal),  cmocka_unit_test(orthogonal),
        cmocka_unit_test(sum_rule),  cmocka_unit_test(determinants),
        cmocka_unit_test(nonfinite), cmocka_unit_test(slope_of_gradients),
        cmocka_unit_test(gaps),      cmocka_unit_test(room),
        cmocka_unit_test(parity),
    };
    const struct CMUnitTest definition[] = {
        cmocka_unit_test(frames_are_orthonormal),
        cmocka_unit_test(frames_that_are_not_finite_are_left),
        cmocka_unit_test(triangles_are_as_lapack_has_them),
        cmocka_unit_test(diagonal_triangles_are_exact_far_out),
        cmocka_unit_test(graded_triangles_are_exact_far_out),
        cmocka_unit_test(blocks_stay_apart),
        cmocka_unit_test(rows_of_zeros_and_nan),
        cmocka_unit_test(given_gaps_are_kept),
        cmocka_unit_test(chosen_gaps_follow_the_spread),
        cmocka_unit_test(chosen_gaps_shrink_again),
        cmocka_unit_test(reference_has_the_jacobians),
        cmocka_unit_test(reference_is_right_by_itself),
    };
    /* Under sanitizers: all code once, not all that is known of its numbers. */
    const struct CMUnitTest fewest[] = {cmocka_unit_test(parity)};
    int failed = 0;
    if (!getenv("RHOSWEEP_TEST_ENGINE")) failed = cmocka_run_group_tests(definition, NULL, NULL);
    return failed + (fewest_shapes() ? cmocka_run_group_tests(fewest, NULL, NULL)
                                     : cmocka_run_group_tests(engines, NULL, NULL));
}
