#include "tangent.h"

#include "../base/clock.h"
#include "../base/sizes.h"

#include <math.h>
#include <string.h>

/* S H */
static size_t state_rows(const rs_shape *shape) {
    return rs_cell_of(shape->cell)->states * shape->hidden;
}

void rs_reference_tangent_deal(const rs_shape *shape, rs_block *block, rs_reference_tangent *out) {
    size_t const k = shape->directions;
    uint64_t const column = rs_size_mul(k, sizeof(double));
    out->v = rs_block_take(block, state_rows(shape), column);
    out->log_r = rs_block_take(block, 1, column);
    out->scratch = rs_frame_deal(k, block);
    out->r = NULL;
    if (shape->n_singular == 0) return;
    out->r = rs_block_take(block, k, column);
    out->triangle = rs_triangle_deal(k, block);
}

double *rs_reference_tangent_at(const rs_shape *shape, const rs_reference_tangent *t, size_t j) {
    return t->v + j * state_rows(shape);
}

void rs_reference_tangent_start(const rs_shape *shape, rs_tangent_place to,
                                rs_reference_tangent *t) {
    size_t const k = shape->directions;
    memset(t->v, 0, k * state_rows(shape) * sizeof *t->v);
    for (size_t j = 0; j < k; ++j) rs_reference_tangent_at(shape, t, j)[j] = 1.0;
    memset(to.stretch, 0, RS_STRETCH_BLOCKS * k * sizeof *to.stretch);
    t->schedule = rs_qr_begin(shape);
    t->slopes = 0.0;
    t->finite = true;
    t->to = to;
    if (shape->n_singular > 0) rs_triangle_identity(&t->triangle);
}

/* Adds ln R_ii to the block that is going on; R to the product. */
static void add_stretch(const rs_shape *shape, rs_reference_tangent *t) {
    size_t const k = shape->directions;
    double *const block = t->to.stretch + t->schedule.block * k;
    for (size_t i = 0; i < k; ++i) block[i] += t->log_r[i];
    if (t->schedule.value < shape->n_singular) rs_triangle_multiply(t->r, &t->triangle);
}

static void put_singular_values(const rs_shape *shape, size_t number, rs_reference_tangent *t) {
    size_t const value = t->schedule.value;
    if (value == shape->n_singular || shape->singular_at[value] + shape->transient != number)
        return;
    rs_triangle_singular_values(&t->triangle, t->to.singular + value * shape->directions);
}

/* The smallest and the largest ln R_ii; NaN where any is. */
static void bounds_of(size_t k, const double *log_r, double *least, double *most) {
    *least = *most = log_r[0];
    for (size_t i = 1; i < k; ++i) {
        if (!(log_r[i] >= *least)) *least = log_r[i];
        if (!(log_r[i] <= *most)) *most = log_r[i];
    }
}

static rs_status orthonormalise(const rs_shape *shape, size_t number, rs_reference_tangent *t) {
    double least, most;
    RS_TRY(rs_frame_orthonormalise(state_rows(shape), shape->directions, t->v, t->log_r, t->r,
                                   &t->scratch));
    if (number > shape->transient) {
        add_stretch(shape, t);
        put_singular_values(shape, number, t);
    }
    bounds_of(shape->directions, t->log_r, &least, &most);
    t->finite = t->finite && !isnan(least);
    rs_qr_note(&t->schedule, shape, shape->singular_at, number, least, most);
    return RS_OK;
}

static void add_slopes(const rs_shape *shape, const rs_reference_step *step,
                       rs_reference_tangent *t) {
    if (!rs_has_slopes(shape)) return;
    for (size_t i = 0; i < shape->hidden; ++i) t->slopes += rs_reference_log_slope(shape, step, i);
}

rs_status rs_reference_tangent_end(const rs_shape *shape, const rs_reference_step *step,
                                   size_t number, rs_reference_tangent *t) {
    if (number > shape->transient) add_slopes(shape, step, t);
    if (!rs_qr_is_due(&t->schedule, shape, shape->singular_at, number)) return RS_OK;
    double const start = rs_seconds();
    RS_TRY(orthonormalise(shape, number, t));
    t->qr_seconds += rs_seconds() - start;
    return RS_OK;
}

static void fill(double *to, size_t n, double x) {
    for (size_t i = 0; i < n; ++i) to[i] = x;
}

void rs_reference_tangent_finish(const rs_shape *shape, bool finite,
                                 const rs_reference_tangent *t) {
    size_t const k = shape->directions;
    bool const known = finite && t->finite;
    *t->to.qr_gap = (uint32_t)t->schedule.most;
    *t->to.log_slope = known && rs_has_slopes(shape)
                           ? t->slopes / ((double)shape->hidden * (double)shape->steps)
                           : NAN;
    if (known) return;
    fill(t->to.stretch, rs_stretch_blocks(shape->steps) * k, NAN);
    fill(t->to.singular, shape->n_singular * k, NAN);
}
