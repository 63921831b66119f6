/* The loops of the baseline for one precision. Every function works on the columns first .. end
 * alone, which one thread has for itself. */
#include "baseline.h"

#include "../kernels/drive.h"

#include <cblas.h>
#include <math.h>

#if RS_REAL_BITS == 32
typedef float real;
#define GEMM  cblas_sgemm
#define TANH  tanhf
#define LEAST 1e-30 /* squared norms outside of LEAST .. 1 / LEAST are brought back to 1 */
#else
typedef double real;
#define GEMM  cblas_dgemm
#define TANH  tanh
#define LEAST 1e-200
#endif

static size_t columns_of(const rs_shape *shape) { return shape->radii * shape->batch; }

/* Some columns of out [H][R B] = W or W^T times in [H][R B]. */
static void multiply(const rs_bench_stepwise *s, CBLAS_TRANSPOSE transpose, size_t first,
                     size_t end, const real *in, real *out) {
    blasint const h = (blasint)s->shape.hidden, stride = (blasint)columns_of(&s->shape);
    GEMM(CblasRowMajor, transpose, CblasNoTrans, h, (blasint)(end - first), h, (real)1, s->weight,
         h, in + first, stride, (real)0, out + first, stride);
}

static void load(const rs_bench_stepwise *s, const double *weight_hh) {
    size_t const hidden = s->shape.hidden;
    real *const weight = s->weight;
    for (size_t i = 0; i < hidden * hidden; ++i) weight[i] = (real)weight_hh[i];
}

static void load_scale(const rs_bench_stepwise *s, const double *scale) {
    real *const of_column = s->scale;
    for (size_t c = 0; c < columns_of(&s->shape); ++c)
        of_column[c] = (real)scale[c / s->shape.batch];
}

static void load_input(const rs_bench_stepwise *s, const rs_drive *drive, size_t step,
                       double *row) {
    size_t const hidden = s->shape.hidden, batch = s->shape.batch;
    real *const input = (real *)s->input + step * hidden * batch;
    for (size_t b = 0; b < batch; ++b) {
        rs_drive_fill(&s->shape, &s->network, drive, step, b, row);
        for (size_t i = 0; i < hidden; ++i) input[i * batch + b] = (real)row[i];
    }
}

/* h [H][R B], in: W h_{t-1}, out: h_t. */
static void activate(const rs_bench_stepwise *s, size_t first, size_t end, const real *input,
                     real *h) {
    size_t const batch = s->shape.batch, columns = columns_of(&s->shape);
    const real *const scale = s->scale;
    for (size_t i = 0; i < s->shape.hidden; ++i)
        for (size_t c = first, b = first % batch; c < end; ++c) {
            h[i * columns + c] = TANH(scale[c] * h[i * columns + c] + input[i * batch + b]);
            if (++b == batch) b = 0;
        }
}

static void forward(const rs_bench_stepwise *s, size_t first, size_t end) {
    size_t const hidden = s->shape.hidden, columns = columns_of(&s->shape);
    real *h = s->state;
    for (size_t i = 0; i < hidden; ++i)
        for (size_t c = first; c < end; ++c) h[i * columns + c] = 0;
    const real *input = s->input;
    for (size_t t = 0; t < s->shape.steps; ++t) {
        multiply(s, CblasNoTrans, first, end, h, h + hidden * columns);
        h += hidden * columns;
        activate(s, first, end, input, h);
        input += hidden * s->shape.batch;
    }
}

/* Brings a column back near 1, so that it neither underflows nor slows down in subnormals. */
static void rescale(const rs_bench_stepwise *s, size_t column, double norm2) {
    if (norm2 == 0.0 || (norm2 >= LEAST && norm2 <= 1.0 / LEAST)) return;
    int const shift = ilogb(norm2) / 2;
    size_t const columns = columns_of(&s->shape);
    real *const inner = s->inner;
    real const factor = (real)ldexp(1.0, -shift);
    for (size_t i = 0; i < s->shape.hidden; ++i) inner[i * columns + column] *= factor;
    s->exponent[column] += shift;
}

/* Norms of step t, and what the next product multiplies, from delta_t without its scale; `scale`
 * is NULL for delta_T, which no product made. */
static void finish_step(const rs_bench_stepwise *s, size_t first, size_t end, size_t t,
                        const real *scale, rs_record *out) {
    size_t const hidden = s->shape.hidden, columns = columns_of(&s->shape);
    const real *const h = (const real *)s->state + t * hidden * columns, *const delta = s->delta;
    real *const inner = s->inner;
    double *const norm2 = out->norm2 + (t - 1) * columns;
    for (size_t c = first; c < end; ++c) norm2[c] = 0.0;
    for (size_t i = 0; i < hidden; ++i)
        for (size_t c = first; c < end; ++c) {
            size_t const at = i * columns + c;
            real const d = scale ? scale[c] * delta[at] : delta[at];
            norm2[c] += (double)d * (double)d;
            inner[at] = ((real)1 - h[at] * h[at]) * d;
        }
    for (size_t c = first; c < end; ++c) {
        out->exponent[(t - 1) * columns + c] = s->exponent[c];
        rescale(s, c, norm2[c]);
    }
}

static void backward(const rs_bench_stepwise *s, const double *loss, size_t first, size_t end,
                     rs_record *out) {
    size_t const hidden = s->shape.hidden, columns = columns_of(&s->shape);
    real *const delta = s->delta;
    for (size_t c = first; c < end; ++c) {
        s->exponent[c] = 0;
        const double *const from = loss + c % s->shape.batch * hidden;
        for (size_t i = 0; i < hidden; ++i) delta[i * columns + c] = (real)from[i];
    }
    finish_step(s, first, end, s->shape.steps, NULL, out);
    for (size_t t = s->shape.steps - 1; t > 0; --t) {
        multiply(s, CblasTrans, first, end, s->inner, s->delta);
        finish_step(s, first, end, t, s->scale, out);
    }
}

const rs_bench_loops RS_KERNEL = {
    .real_bytes = sizeof(real),
    .load = load,
    .load_scale = load_scale,
    .load_input = load_input,
    .forward = forward,
    .backward = backward,
};
