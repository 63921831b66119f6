/* When tangents are made orthonormal again, and how the recorded steps are cut into blocks for
 * batch means. Engines on host and device share this text, so it is plain C that C++ compiles too.
 *
 * Steps of tangents count from 1 at the first of the transient. QR comes after a step
 *
 *     that is `gap` steps after the last QR,
 *     that ends the transient, a block of the recorded steps, or all of them,
 *     whose Jacobian product's singular values are asked for.
 *
 * In floating point the exponent i of a frame that has gone n steps is wrong by about
 * eps e^(n (lambda_1 - lambda_i)). Where the gap is not given it is chosen anew after every QR, by
 * the spread that it met, so that this stays far below 1e-6 (e^18 eps is about 1e-8). In f32 it
 * cannot: there QR comes after every step of a spread of 3 or more. */
#ifndef RS_TANGENT_SCHEDULE_H
#define RS_TANGENT_SCHEDULE_H

#include "../base/both.h"
#include "../engine.h"

#include <math.h>

/* Steps that a chosen gap never exceeds. */
enum { RS_MOST_GAP = 16 };

/* Blocks of the recorded steps: as many as there are steps, RS_STRETCH_BLOCKS at most. */
RS_BOTH static inline size_t rs_stretch_blocks(size_t steps) {
    return steps < RS_STRETCH_BLOCKS ? steps : (size_t)RS_STRETCH_BLOCKS;
}

/* Recorded steps before block b, which are those before its first one; T for b = all of them. */
RS_BOTH static inline size_t rs_stretch_start(size_t steps, size_t b) {
    return b * steps / rs_stretch_blocks(steps);
}

/* Of one column. */
typedef struct rs_qr_schedule {
    size_t gap;     /* steps to the next QR */
    size_t longest; /* that a chosen gap may be */
    size_t latest;  /* step of the last one */
    size_t block;   /* of the recorded steps that is going on */
    size_t value;   /* of shape->singular_at that comes next */
    size_t most;    /* longest way between two QRs of recorded steps so far */
} rs_qr_schedule;

RS_BOTH static inline rs_qr_schedule rs_qr_begin(const rs_shape *shape) {
    rs_qr_schedule s = {0, RS_MOST_GAP, 0, 0, 0, 0};
    s.gap = shape->qr_every > 0 ? shape->qr_every : 1;
    return s;
}

/* Whether QR comes after this step. `singular_at` is the shape's, where its caller can read it. */
RS_BOTH static inline bool rs_qr_is_due(const rs_qr_schedule *s, const rs_shape *shape,
                                        const size_t *singular_at, size_t step) {
    if (step - s->latest >= s->gap || step == shape->transient) return true;
    if (step < shape->transient) return false;
    size_t const recorded = step - shape->transient;
    if (recorded == rs_stretch_start(shape->steps, s->block + 1)) return true;
    return s->value < shape->n_singular && recorded == singular_at[s->value];
}

/* Chooses the gap after `way` steps have met a strain of which 1 is the most they should: as many
 * steps as that allows, at most twice as many as there were. Spreads vary, and the rare large one
 * is what tells: a way that was too long is never gone again, nor a longer one. */
RS_BOTH static inline void rs_qr_choose(rs_qr_schedule *s, size_t way, double strain) {
    if (strain > 1.0 && way <= s->longest) s->longest = way > 1 ? way - 1 : 1;
    size_t const most = 2 * way < s->longest ? 2 * way : s->longest;
    double const fits = (double)way / strain;
    if (strain > 1.0 || way >= s->gap) s->gap = fits < (double)most ? (size_t)fits : most;
    if (s->gap == 0) s->gap = 1;
}

/* Takes note of a QR after `step`, whose ln R_ii run from `least` to `most`; NaN or -inf as they
 * come. */
RS_BOTH static inline void rs_qr_note(rs_qr_schedule *s, const rs_shape *shape,
                                      const size_t *singular_at, size_t step, double least,
                                      double most) {
    bool const wide = shape->precision == RS_F64;
    double const spread = (most - least) / (wide ? 18.0 : 3.0);
    double const size = fmax(fabs(most), fabs(least)) / (wide ? 300.0 : 40.0);
    double const strain = spread > size ? spread : size;
    size_t const way = step - s->latest;
    if (shape->qr_every == 0) rs_qr_choose(s, way, strain);
    s->latest = step;
    if (step <= shape->transient) return;
    size_t const recorded = step - shape->transient;
    if (way > s->most) s->most = way;
    if (recorded == rs_stretch_start(shape->steps, s->block + 1)) ++s->block;
    if (s->value < shape->n_singular && recorded == singular_at[s->value]) ++s->value;
}

#endif
