#include "stored.h"

#include "interrupt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Reads which points of some cases, which differ in their seed alone, are in the database. */
typedef struct reading {
    const rs_stored *s;
    size_t first;   /* of these cases */
    size_t seed;    /* index of the case that is being read; n_seeds for none */
    bool has_rates; /* in s->rates, of that case */
} reading;

static int by_size(const void *left, const void *right) {
    uint64_t const l = *(const uint64_t *)left, r = *(const uint64_t *)right;
    return (l > r) - (l < r);
}

static int by_radius(const void *left, const void *right) {
    double const l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

/* Index of the radius in the spec, whose radii ascend; n_rho where it is not asked for. */
static size_t radius_index(const rs_spec *spec, double rho) {
    if (spec->native || isnan(rho)) return spec->native && isnan(rho) ? 0 : spec->n_rho;
    const double *at = bsearch(&rho, spec->rho, spec->n_rho, sizeof *spec->rho, by_radius);
    return at ? (size_t)(at - spec->rho) : spec->n_rho;
}

static size_t seed_index(const rs_spec *spec, uint64_t seed) {
    const uint64_t *at = bsearch(&seed, spec->seeds, spec->n_seeds, sizeof seed, by_size);
    return at ? (size_t)(at - spec->seeds) : spec->n_seeds;
}

static size_t case_index(const reading *r) {
    return r->first + r->seed * rs_plan_seed_stride(r->s->plan);
}

/* Rates that are in the database already are part of the finding. */
static rs_status finish_case(reading *r) {
    const rs_stored *s = r->s;
    if (!r->has_rates || s->spec->quiet) return RS_OK;
    rs_case const one = rs_plan_case(s->plan, case_index(r));
    RS_TRY(rs_finding_add(s->finding, &one, s->rates));
    for (size_t i = 0; i < s->spec->n_rho; ++i) s->rates[i] = NAN;
    r->has_rates = false;
    return RS_OK;
}

static rs_status read_point(void *arg, const rs_stored_point *point) {
    reading *r = arg;
    const rs_spec *spec = r->s->spec;
    if (r->seed == spec->n_seeds || spec->seeds[r->seed] != point->seed) {
        if (rs_interrupted()) return rs_fail(RS_EINTERRUPTED, "interrupted");
        RS_TRY(finish_case(r));
        r->seed = seed_index(spec, point->seed);
    }
    size_t const radius = radius_index(spec, point->rho_asked);
    if (r->seed == spec->n_seeds || radius == spec->n_rho) return RS_OK;
    if (!rs_plan_in_shard(r->s->plan, case_index(r))) return RS_OK;
    r->s->launches->done[case_index(r) * spec->n_rho + radius] = true;
    r->s->rates[radius] = point->decay_rate;
    r->has_rates = true;
    return RS_OK;
}

static rs_status read_points(const rs_stored *s) {
    const rs_spec *spec = s->spec;
    unsigned const wanted = (spec->profiles ? RS_WITH_CURVE : 0) |
                            (isnan(spec->clip) ? 0 : RS_WITH_GRADIENTS) |
                            (spec->lyapunov > 0 ? RS_WITH_TANGENTS : 0);
    uint64_t const seeds[2] = {spec->seeds[0], spec->seeds[spec->n_seeds - 1]};
    size_t const stride = rs_plan_seed_stride(s->plan);
    for (size_t i = 0; i < spec->n_rho; ++i) s->rates[i] = NAN;
    for (size_t block = 0; block < s->plan->n; block += stride * spec->n_seeds)
        for (size_t i = 0; i < stride; ++i) {
            reading r = {.s = s, .first = block + i, .seed = spec->n_seeds};
            rs_case const like = rs_plan_case(s->plan, r.first);
            RS_TRY(rs_store_points(s->store, &like, seeds, wanted, read_point, &r));
            RS_TRY(finish_case(&r));
        }
    return RS_OK;
}

static bool is_any_done(const rs_stored *s, size_t i) {
    const bool *const done = s->launches->done + i * s->spec->n_rho;
    return memchr(done, true, s->spec->n_rho * sizeof *done) != NULL;
}

/* Stored gradients are not computed again for another norm. */
static rs_status add_clips(const rs_stored *s) {
    for (size_t i = 0; i < s->plan->n; ++i) {
        if (!is_any_done(s, i)) continue;
        if (rs_interrupted()) return rs_fail(RS_EINTERRUPTED, "interrupted");
        rs_case const one = rs_plan_case(s->plan, i);
        RS_TRY(rs_store_add_clip(s->store, s->run_id, &one, s->spec->clip));
    }
    return RS_OK;
}

rs_status rs_stored_read(const rs_stored *s) {
    RS_TRY(read_points(s));
    if (isnan(s->spec->clip)) return RS_OK;
    RS_TRY(rs_store_begin(s->store));
    return rs_store_end(s->store, add_clips(s));
}
