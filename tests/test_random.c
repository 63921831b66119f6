/* The random numbers and the drive made of them: right, and the same wherever they are made. */
#include "../kernels/base/random.h"
#include "../kernels/drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { HIDDEN = 7, STEPS = 5, SAMPLES = 6, INPUTS = 3, MANY = 200000 };

static const uint64_t seed = 0x123456789abcdef0u;

static void expect_near(double actual, double expected, double tolerance) {
    if (!(fabs(actual - expected) <= tolerance))
        fail_msg("%.17g is not within %g of %.17g", actual, tolerance, expected);
}

/* The vectors that the authors of Philox publish with Random123 (kat_vectors, philox4x32 10). */
static void philox_gives_the_published_numbers(void **state) {
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
         {UINT32_MAX, UINT32_MAX},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)state;
    for (size_t k = 0; k < sizeof kat / sizeof kat[0]; ++k) {
        philox4x32_ctr_t counter;
        philox4x32_key_t key;
        memcpy(counter.v, kat[k].counter, sizeof kat[k].counter);
        memcpy(key.v, kat[k].key, sizeof kat[k].key);
        philox4x32_ctr_t const bits = philox4x32(counter, key);
        assert_memory_equal(bits.v, kat[k].expected, sizeof kat[k].expected);
    }
}

/* The third vector again, through the layout of counter and key that all results depend on. */
static void a_position_is_a_counter(void **state) {
    double u[2];
    (void)state;
    rs_uniform_pair(0x299f31d0a4093822u, (rs_stream)0x03707344, 0x13198a2e, 0x85a308d3, 0x243f6a88,
                    u);
    assert_true(u[0] == (double)((0x94fdccebd16cfe09u >> 11) + 1) * 0x1p-53);
    assert_true(u[1] == (double)(0x24126ea15001e420u >> 11) * 0x1p-53);
}

static void log_is_accurate(void **state) {
    (void)state;
    assert_true(rs_random_log(1.0) == 0.0);
    for (int i = 0; i < MANY; ++i) {
        double u[2];
        rs_uniform_pair(seed, RS_STREAM_LOSS, 0, 0, (uint32_t)i, u);
        double const x[] = {u[0], u[0] * 0x1p-20, u[0] * 0x1p-33, 1.0 - u[0] * 0x1p-20};
        for (size_t k = 0; k < sizeof x / sizeof x[0]; ++k)
            expect_near(rs_random_log(x[k]), log(x[k]), 1e-15 * fmax(1.0, fabs(log(x[k]))));
    }
    expect_near(rs_random_log(0x1p-53), -53.0 * log(2.0), 1e-14);
}

static void cos_sin_are_accurate(void **state) {
    double const two_pi = 6.283185307179586476925286766559;
    (void)state;
    for (int i = 0; i < MANY; ++i) {
        double u[2], c, s;
        rs_uniform_pair(seed, RS_STREAM_LOSS, 0, 1, (uint32_t)i, u);
        rs_random_cos_sin(u[1], &c, &s);
        expect_near(c, cos(two_pi * u[1]), 2e-15); /* libm's argument is itself off by 4e-16 */
        expect_near(s, sin(two_pi * u[1]), 2e-15);
        expect_near(c * c + s * s, 1.0, 1e-15);
    }
}

static void quarter_turns_are_exact(void **state) {
    static const double expected[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
    (void)state;
    for (int q = 0; q < 4; ++q) {
        double c, s;
        rs_random_cos_sin(0.25 * q, &c, &s);
        assert_true(c == expected[q][0] && s == expected[q][1]);
    }
}

/* Moments 1 to 4 of z over positions along one axis, within five standard errors. */
static void check_normal_moments(uint32_t rows, uint32_t columns, uint32_t pairs) {
    double sum[4] = {0}, cross = 0.0;
    double const n = 2.0 * rows * columns * pairs;
    for (uint32_t r = 0; r < rows; ++r)
        for (uint32_t c = 0; c < columns; ++c)
            for (uint32_t p = 0; p < pairs; ++p) {
                double z[2];
                rs_normal_pair(seed, RS_STREAM_NOISE, r, c, p, z);
                cross += z[0] * z[1];
                for (int k = 0; k < 2; ++k)
                    for (int m = 0; m < 4; ++m) sum[m] += pow(z[k], m + 1);
            }
    expect_near(sum[0] / n, 0.0, 5.0 * sqrt(1.0 / n));
    expect_near(sum[1] / n, 1.0, 5.0 * sqrt(2.0 / n));
    expect_near(sum[2] / n, 0.0, 5.0 * sqrt(15.0 / n));
    expect_near(sum[3] / n, 3.0, 5.0 * sqrt(96.0 / n));
    expect_near(2.0 * cross / n, 0.0, 5.0 * sqrt(2.0 / n));
}

static void normals_have_normal_moments(void **state) {
    (void)state;
    check_normal_moments(MANY, 1, 1);
    check_normal_moments(1, MANY, 1);
    check_normal_moments(1, 1, MANY);
}

static void uniforms_fill_the_interval(void **state) {
    double sum[2] = {0}, squares[2] = {0};
    (void)state;
    for (int i = 0; i < MANY; ++i) {
        double u[2];
        rs_uniform_pair(seed, RS_STREAM_WEIGHT_IH, (uint32_t)i, 0, 0, u);
        assert_true(u[0] > 0.0 && u[0] <= 1.0 && u[1] >= 0.0 && u[1] < 1.0);
        for (int k = 0; k < 2; ++k) {
            sum[k] += u[k];
            squares[k] += u[k] * u[k];
        }
    }
    for (int k = 0; k < 2; ++k) {
        expect_near(sum[k] / MANY, 0.5, 5.0 * sqrt(1.0 / 12.0 / MANY));
        expect_near(squares[k] / MANY, 1.0 / 3.0, 5.0 * sqrt(4.0 / 45.0 / MANY));
    }
}

/* Changing any part of the position, or the seed, changes the numbers. */
static void every_part_of_the_position_counts(void **state) {
    double base[2], other[6][2];
    (void)state;
    rs_normal_pair(seed, RS_STREAM_H0, 1, 2, 3, base);
    rs_normal_pair(seed + 1, RS_STREAM_H0, 1, 2, 3, other[0]);
    rs_normal_pair(seed ^ 1ull << 40, RS_STREAM_H0, 1, 2, 3, other[1]);
    rs_normal_pair(seed, RS_STREAM_LOSS, 1, 2, 3, other[2]);
    rs_normal_pair(seed, RS_STREAM_H0, 2, 1, 3, other[3]);
    rs_normal_pair(seed, RS_STREAM_H0, 1, 3, 2, other[4]);
    rs_normal_pair(seed, RS_STREAM_H0, 1, 2, 4, other[5]);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; ++i)
        assert_true(other[i][0] != base[0] && other[i][1] != base[1]);
}

/* Drives of every kind over the same sizes, for the tests that hold for all of them. */

static double weight_ih[HIDDEN * INPUTS], bias_ih[HIDDEN], bias_hh[HIDDEN],
    input[STEPS * SAMPLES * INPUTS];

static int make_arrays(void **state) {
    (void)state;
    for (size_t i = 0; i < HIDDEN * INPUTS; ++i) weight_ih[i] = sin((double)i);
    for (size_t i = 0; i < HIDDEN; ++i) {
        bias_ih[i] = cos((double)i);
        bias_hh[i] = sin(3.0 * (double)i);
    }
    for (size_t i = 0; i < STEPS * SAMPLES * INPUTS; ++i) input[i] = sin(0.7 * (double)i);
    return 0;
}

/* A drive, and the sizes and weights that go with it. */
typedef struct driven {
    rs_shape shape;
    rs_drive drive;
} driven;

static driven weighted(const double *x) {
    return (driven){{.drive = RS_DRIVE_WEIGHTED, .hidden = HIDDEN, .input_size = INPUTS},
                    {.seed = seed, .input = x, .input_batch = SAMPLES}};
}

static driven noise(double sigma) {
    return (driven){{.drive = RS_DRIVE_NOISE, .hidden = HIDDEN}, {.seed = seed, .sigma = sigma}};
}

/* With biases where there are weights. */
static void fill(const driven *d, size_t step, size_t sample, double *u) {
    bool const weighted = d->shape.drive == RS_DRIVE_WEIGHTED;
    rs_parameters const of = {.weight_ih = weight_ih,
                              .bias_ih = weighted ? bias_ih : NULL,
                              .bias_hh = weighted ? bias_hh : NULL};
    rs_drive_fill(&d->shape, &of, &d->drive, step, sample, u);
}

static void zero_drive_is_zero(void **state) {
    driven const drive = {{.drive = RS_DRIVE_ZERO, .hidden = HIDDEN}, {.seed = seed}};
    double u[HIDDEN];
    (void)state;
    for (size_t i = 0; i < HIDDEN; ++i) u[i] = NAN;
    fill(&drive, 3, 2, u);
    for (size_t i = 0; i < HIDDEN; ++i) assert_true(u[i] == 0.0);
}

/* Element i of a row of normals at (step, sample), by the definition. */
static double normal_at(rs_stream stream, size_t step, size_t sample, size_t i) {
    double z[2];
    rs_normal_pair(seed, stream, (uint32_t)step, (uint32_t)sample, (uint32_t)(i / 2), z);
    return z[i % 2];
}

static void noise_is_scaled_normals(void **state) {
    driven const drive = noise(0.25);
    double u[HIDDEN];
    (void)state;
    fill(&drive, 3, 2, u);
    for (size_t i = 0; i < HIDDEN; ++i)
        assert_true(u[i] == 0.25 * normal_at(RS_STREAM_NOISE, 3, 2, i));
}

/* Of either, alone and together, whatever drives the units. */
static void biases_are_added_to_every_drive(void **state) {
    driven const drive[] = {{{.drive = RS_DRIVE_ZERO, .hidden = HIDDEN}, {.seed = seed}},
                            noise(0.25)};
    (void)state;
    for (size_t k = 0; k < 2; ++k)
        for (unsigned which = 1; which < 4; ++which) {
            rs_parameters const of = {.bias_ih = which & 1 ? bias_ih : NULL,
                                      .bias_hh = which & 2 ? bias_hh : NULL};
            double without[HIDDEN], with[HIDDEN];
            fill(&drive[k], 3, 2, without);
            rs_drive_fill(&drive[k].shape, &of, &drive[k].drive, 3, 2, with);
            for (size_t i = 0; i < HIDDEN; ++i) {
                double const bias = (which & 1 ? bias_ih[i] : 0.0) + (which & 2 ? bias_hh[i] : 0.0);
                assert_true(with[i] == without[i] + bias);
            }
        }
}

/* Every gate of every unit has a number of its own, and the candidate of a GRU leaves one of its
 * biases to the product. */
static void gates_are_driven_each_by_itself(void **state) {
    enum { GATES = 3 };
    driven const drive = {{.cell = RS_GRU, .drive = RS_DRIVE_NOISE, .hidden = HIDDEN},
                          {.seed = seed, .sigma = 0.25}};
    double ih[GATES * HIDDEN], hh[GATES * HIDDEN], u[GATES * HIDDEN];
    (void)state;
    for (size_t i = 0; i < GATES * HIDDEN; ++i) {
        ih[i] = 1.0 + (double)i;
        hh[i] = 100.0 * (double)i;
    }
    rs_parameters const of = {.bias_ih = ih, .bias_hh = hh};
    rs_drive_fill(&drive.shape, &of, &drive.drive, 3, 2, u);
    for (size_t i = 0; i < GATES * HIDDEN; ++i) {
        double const bias = i < RS_GRU_N * HIDDEN ? ih[i] + hh[i] : ih[i];
        assert_true(u[i] == 0.25 * normal_at(RS_STREAM_NOISE, 3, 2, i) + bias);
    }
}

static void weighted_drive_is_the_formula(void **state) {
    (void)state;
    for (int drawn = 0; drawn < 2; ++drawn) {
        driven const drive = weighted(drawn ? NULL : input);
        for (size_t step = 0; step < STEPS; ++step)
            for (size_t sample = 0; sample < SAMPLES; ++sample) {
                double u[HIDDEN];
                fill(&drive, step, sample, u);
                for (size_t h = 0; h < HIDDEN; ++h) {
                    double expected = bias_ih[h] + bias_hh[h];
                    for (size_t i = 0; i < INPUTS; ++i)
                        expected += weight_ih[h * INPUTS + i] *
                                    (drawn ? normal_at(RS_STREAM_INPUT, step, sample, i)
                                           : input[(step * SAMPLES + sample) * INPUTS + i]);
                    expect_near(u[h], expected, 1e-14);
                }
            }
    }
}

/* Filled backwards, and in two parts with an offset, the drive is the same to the bit. */
static void order_and_chunks_change_nothing(void **state) {
    driven const drives[] = {noise(1.5), weighted(NULL), weighted(input)};
    (void)state;
    for (size_t d = 0; d < sizeof drives / sizeof drives[0]; ++d) {
        double whole[STEPS][SAMPLES][HIDDEN], other[HIDDEN];
        driven part = drives[d];
        part.drive.first_sample = 2;
        for (size_t t = 0; t < STEPS; ++t)
            for (size_t b = 0; b < SAMPLES; ++b) fill(&drives[d], t, b, whole[t][b]);
        for (size_t t = STEPS; t-- > 0;)
            for (size_t b = SAMPLES; b-- > 0;) {
                if (b < part.drive.first_sample)
                    fill(&drives[d], t, b, other);
                else
                    fill(&part, t, b - part.drive.first_sample, other);
                assert_memory_equal(other, whole[t][b], sizeof other);
            }
        assert_memory_not_equal(whole[0][0], whole[0][1], sizeof other);
        assert_memory_not_equal(whole[0][0], whole[1][0], sizeof other);
    }
}

/* The first units of a wider network see the same noise. */
static void noise_does_not_depend_on_the_width(void **state) {
    driven drive = noise(1.0);
    double narrow[HIDDEN], wide[4 * HIDDEN];
    (void)state;
    fill(&drive, 1, 1, narrow);
    drive.shape.hidden = 4 * HIDDEN;
    fill(&drive, 1, 1, wide);
    assert_memory_equal(narrow, wide, sizeof narrow);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_numbers),
        cmocka_unit_test(a_position_is_a_counter),
        cmocka_unit_test(log_is_accurate),
        cmocka_unit_test(cos_sin_are_accurate),
        cmocka_unit_test(quarter_turns_are_exact),
        cmocka_unit_test(normals_have_normal_moments),
        cmocka_unit_test(uniforms_fill_the_interval),
        cmocka_unit_test(every_part_of_the_position_counts),
        cmocka_unit_test(zero_drive_is_zero),
        cmocka_unit_test(noise_is_scaled_normals),
        cmocka_unit_test(biases_are_added_to_every_drive),
        cmocka_unit_test(gates_are_driven_each_by_itself),
        cmocka_unit_test(weighted_drive_is_the_formula),
        cmocka_unit_test(order_and_chunks_change_nothing),
        cmocka_unit_test(noise_does_not_depend_on_the_width),
    };
    return cmocka_run_group_tests(tests, make_arrays, NULL);
}
