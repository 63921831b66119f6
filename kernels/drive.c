/* Compiled once for everyone and once more for each instruction set of the CPU engine, which then
 * names the function with RS_DRIVE_FILL. The bits are the same: see random.h. */
#include "drive.h"

#include "base/random.h"

#ifndef RS_DRIVE_FILL
#define RS_DRIVE_FILL rs_drive_fill
#endif

/* Pairs that are made together, in plain loops that a compiler can turn into vectors. */
enum { BLOCK = 16 };

static void normal_block(uint64_t seed, rs_stream stream, uint32_t row, uint32_t column,
                         uint32_t first, double *restrict even, double *restrict odd) {
    double u[BLOCK], v[BLOCK];
    for (uint32_t i = 0; i < BLOCK; ++i) {
        double pair[2];
        rs_uniform_pair(seed, stream, row, column, first + i, pair);
        u[i] = pair[0];
        v[i] = pair[1];
    }
    for (int i = 0; i < BLOCK; ++i) u[i] = rs_random_log(u[i]);
    for (int i = 0; i < BLOCK; ++i) u[i] = rs_normal_radius(u[i]);
    for (int i = 0; i < BLOCK; ++i) {
        double cosine, sine;
        rs_random_cos_sin(v[i], &cosine, &sine);
        even[i] = u[i] * cosine;
        odd[i] = u[i] * sine;
    }
}

static void fill_normals(const rs_drive *drive, rs_stream stream, size_t step, size_t sample,
                         size_t count, double scale, double *out) {
    for (size_t first = 0; first < count; first += 2 * BLOCK) {
        double even[BLOCK], odd[BLOCK];
        normal_block(drive->seed, stream, (uint32_t)step, (uint32_t)sample, (uint32_t)(first / 2),
                     even, odd);
        size_t const left = count - first < 2 * BLOCK ? count - first : 2 * BLOCK;
        for (size_t i = 0; i < left; ++i) out[first + i] = scale * (i % 2 ? odd : even)[i / 2];
    }
}

/* Inputs are drawn a pair at a time, so that no buffer of input_size is needed. */
static void add_drawn_input(const rs_shape *shape, const double *weight_ih, const rs_drive *drive,
                            size_t step, size_t sample, double *u) {
    size_t const input_size = shape->input_size, rows = rs_gate_rows(shape);
    for (size_t i = 0; i < input_size; i += 2) {
        double x[2];
        rs_normal_pair(drive->seed, RS_STREAM_INPUT, (uint32_t)step, (uint32_t)sample,
                       (uint32_t)(i / 2), x);
        for (size_t h = 0; h < rows; ++h) {
            const double *w = weight_ih + h * input_size + i;
            u[h] = fma(w[0], x[0], u[h]);
            if (i + 1 < input_size) u[h] = fma(w[1], x[1], u[h]);
        }
    }
}

static void add_given_input(const rs_shape *shape, const double *weight_ih, const double *x,
                            double *u) {
    size_t const input_size = shape->input_size, rows = rs_gate_rows(shape);
    for (size_t h = 0; h < rows; ++h)
        for (size_t i = 0; i < input_size; ++i)
            u[h] = fma(weight_ih[h * input_size + i], x[i], u[h]);
}

/* Rows first .. end. */
static void add_biases(const double *bias_ih, const double *bias_hh, size_t first, size_t end,
                       double *u) {
    for (size_t h = first; h < end && (bias_ih || bias_hh); ++h)
        u[h] += (bias_ih ? bias_ih[h] : 0.0) + (bias_hh ? bias_hh[h] : 0.0);
}

rs_drive_filler RS_DRIVE_FILL; /* declares what follows, whatever its name */

void RS_DRIVE_FILL(const rs_shape *shape, const rs_parameters *of, const rs_drive *drive,
                   size_t step, size_t sample, double *u) {
    size_t const s = drive->first_sample + sample, rows = rs_gate_rows(shape);
    size_t const candidate = shape->cell == RS_GRU ? RS_GRU_N * shape->hidden : rows;
    if (shape->drive == RS_DRIVE_NOISE)
        fill_normals(drive, RS_STREAM_NOISE, step, s, rows, drive->sigma, u);
    else
        for (size_t h = 0; h < rows; ++h) u[h] = 0.0;
    if (shape->drive == RS_DRIVE_WEIGHTED && drive->input)
        add_given_input(shape, of->weight_ih,
                        drive->input + (step * drive->input_batch + s) * shape->input_size, u);
    else if (shape->drive == RS_DRIVE_WEIGHTED)
        add_drawn_input(shape, of->weight_ih, drive, step, s, u);
    add_biases(of->bias_ih, of->bias_hh, 0, candidate, u);
    add_biases(of->bias_ih, NULL, candidate, rows, u);
}
