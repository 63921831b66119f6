#include "drive.h"

#include "random.h"

static void fill_normals(const rs_drive *drive, rs_stream stream, size_t step, size_t sample,
                         size_t count, double scale, double *out) {
    for (size_t i = 0; i < count; i += 2) {
        double pair[2];
        rs_normal_pair(drive->seed, stream, (uint32_t)step, (uint32_t)sample, (uint32_t)(i / 2),
                       pair);
        out[i] = scale * pair[0];
        if (i + 1 < count) out[i + 1] = scale * pair[1];
    }
}

/* Inputs are drawn a pair at a time, so that no buffer of input_size is needed. */
static void add_drawn_input(const rs_drive *drive, size_t hidden, size_t step, size_t sample,
                            double *u) {
    size_t const input_size = drive->input_size;
    for (size_t i = 0; i < input_size; i += 2) {
        double x[2];
        rs_normal_pair(drive->seed, RS_STREAM_INPUT, (uint32_t)step, (uint32_t)sample,
                       (uint32_t)(i / 2), x);
        for (size_t h = 0; h < hidden; ++h) {
            const double *w = drive->weight_ih + h * input_size + i;
            u[h] = fma(w[0], x[0], u[h]);
            if (i + 1 < input_size) u[h] = fma(w[1], x[1], u[h]);
        }
    }
}

static void add_given_input(const rs_drive *drive, size_t hidden, const double *x, double *u) {
    size_t const input_size = drive->input_size;
    for (size_t h = 0; h < hidden; ++h)
        for (size_t i = 0; i < input_size; ++i)
            u[h] = fma(drive->weight_ih[h * input_size + i], x[i], u[h]);
}

void rs_drive_fill(const rs_drive *drive, size_t hidden, size_t step, size_t sample, double *u) {
    size_t const s = drive->first_sample + sample;
    if (drive->kind == RS_DRIVE_NOISE) {
        fill_normals(drive, RS_STREAM_NOISE, step, s, hidden, drive->sigma, u);
        return;
    }
    for (size_t h = 0; h < hidden; ++h) u[h] = 0.0;
    if (drive->kind == RS_DRIVE_ZERO) return;
    if (drive->input)
        add_given_input(drive, hidden,
                        drive->input + (step * drive->input_batch + s) * drive->input_size, u);
    else
        add_drawn_input(drive, hidden, step, s, u);
    for (size_t h = 0; h < hidden; ++h) u[h] += drive->bias[h];
}
