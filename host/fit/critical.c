#include "critical.h"

#include "../../kernels/base/random.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* ---- one crossing ---------------------------------------------------------------------------- */

typedef struct rate_samples {
    const rs_rate_sample *sample;
    size_t n;
} rate_samples;

/* The mean over the samples of one radius. */
typedef struct mean_rate {
    double rho, g, decay_rate;
} mean_rate;

/* Reads the samples of one radius from *at on, each as often as times[seed] says; false if that
 * leaves none. */
static bool next_radius(const rate_samples *set, const double *times, size_t *at, mean_rate *mean) {
    size_t const radius = set->sample[*at].radius;
    double count = 0.0, rho = 0.0, g = 0.0, decay_rate = 0.0;
    for (; *at < set->n && set->sample[*at].radius == radius; ++*at) {
        const rs_rate_sample *const one = &set->sample[*at];
        double const weight = times[one->seed];
        count += weight;
        rho += weight * one->rho;
        g += weight * one->g;
        decay_rate += weight * one->decay_rate;
    }
    *mean = (mean_rate){rho / count, g / count, decay_rate / count};
    return count > 0.0;
}

typedef struct crossing {
    bool found;
    double rho, g; /* if not found: 0 or infinite */
} crossing;

static crossing between(const mean_rate *before, const mean_rate *here) {
    double const share = before->decay_rate / (before->decay_rate - here->decay_rate);
    return (crossing){true, before->rho + share * (here->rho - before->rho),
                      before->g + share * (here->g - before->g)};
}

static crossing find_crossing(const rate_samples *set, const double *times) {
    mean_rate before = {NAN, NAN, NAN}, here;
    for (size_t at = 0; at < set->n;) {
        if (!next_radius(set, times, &at, &here)) continue;
        if (before.decay_rate > 0.0 && here.decay_rate <= 0.0) return between(&before, &here);
        before = here;
    }
    double const beyond = before.decay_rate > 0.0 ? INFINITY : 0.0;
    return (crossing){false, beyond, beyond};
}

/* ---- the bootstrap --------------------------------------------------------------------------- */

typedef struct bootstrap {
    double *times;   /* [seeds] that a seed was drawn */
    size_t *present; /* [n] seeds that have a sample */
    size_t n;
    double *rho, *g; /* [RS_BOOTSTRAP_RESAMPLES] */
} bootstrap;

static void free_bootstrap(bootstrap *b) {
    free(b->times);
    free(b->present);
    free(b->rho);
    free(b->g);
}

static rs_status make_bootstrap(size_t seeds, bootstrap *b) {
    *b = (bootstrap){.times = calloc(seeds, sizeof *b->times),
                     .present = calloc(seeds, sizeof *b->present),
                     .rho = calloc(RS_BOOTSTRAP_RESAMPLES, sizeof *b->rho),
                     .g = calloc(RS_BOOTSTRAP_RESAMPLES, sizeof *b->g)};
    if (b->times && b->present && b->rho && b->g) return RS_OK;
    return rs_fail(RS_EMEMORY, "critical radius: out of memory");
}

/* Leaves every seed that has a sample drawn once. */
static void find_present(const rate_samples *set, size_t seeds, bootstrap *b) {
    for (size_t i = 0; i < set->n; ++i) b->times[set->sample[i].seed] = 1.0;
    for (size_t seed = 0; seed < seeds; ++seed)
        if (b->times[seed] > 0.0) b->present[b->n++] = seed;
}

static void draw(bootstrap *b, double uniform) {
    b->times[b->present[(size_t)(uniform * (double)b->n)]] += 1.0;
}

/* Draws as many seeds as there are, with replacement. The key is fixed: the same samples always
 * have the same interval. */
static void draw_seeds(bootstrap *b, uint32_t turn) {
    static uint64_t const key = 0;
    for (size_t k = 0; k < b->n; ++k) b->times[b->present[k]] = 0.0;
    for (size_t k = 0; k < b->n; k += 2) {
        double uniform[2];
        rs_uniform_pair(key, RS_STREAM_BOOTSTRAP, turn, (uint32_t)(k / 2), 0, uniform);
        draw(b, 1.0 - uniform[0]); /* [0, 1) */
        if (k + 1 < b->n) draw(b, uniform[1]);
    }
}

static int compare(const void *a, const void *b) {
    double const x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of ascending values, linear between neighbours. Infinite neighbours have no difference. */
static double percentile(const double *value, size_t n, double fraction) {
    double const at = fraction * (double)(n - 1);
    size_t const below = (size_t)at;
    double const low = value[below], high = value[below + 1 < n ? below + 1 : below];
    return low == high ? low : low + (at - (double)below) * (high - low);
}

static void put_interval(double *value, rs_estimate *out) {
    qsort(value, RS_BOOTSTRAP_RESAMPLES, sizeof *value, compare);
    out->low = percentile(value, RS_BOOTSTRAP_RESAMPLES, 0.025);
    out->high = percentile(value, RS_BOOTSTRAP_RESAMPLES, 0.975);
}

static void find_intervals(const rate_samples *set, bootstrap *b, rs_critical *out) {
    for (uint32_t turn = 0; turn < RS_BOOTSTRAP_RESAMPLES; ++turn) {
        draw_seeds(b, turn);
        crossing const here = find_crossing(set, b->times);
        b->rho[turn] = here.rho;
        b->g[turn] = here.g;
    }
    put_interval(b->rho, &out->rho);
    put_interval(b->g, &out->g);
}

/* ---- both ------------------------------------------------------------------------------------ */

static size_t count_radii(const rate_samples *set) {
    size_t radii = 0;
    for (size_t i = 0; i < set->n; ++i)
        radii += i == 0 || set->sample[i].radius != set->sample[i - 1].radius;
    return radii;
}

static void find(const rate_samples *set, size_t seeds, bootstrap *b, rs_critical *out) {
    find_present(set, seeds, b);
    out->seeds = b->n;
    out->radii = count_radii(set);
    crossing const mean = find_crossing(set, b->times);
    if (!mean.found) return;
    out->rho.value = mean.rho;
    out->g.value = mean.g;
    if (b->n > 1) find_intervals(set, b, out);
}

rs_status rs_critical_find(const rs_rate_sample *sample, size_t n, size_t seeds, rs_critical *out) {
    rs_estimate const none = {NAN, NAN, NAN};
    rate_samples const set = {sample, n};
    *out = (rs_critical){.rho = none, .g = none};
    if (n == 0) return RS_OK;
    bootstrap b;
    rs_status const status = make_bootstrap(seeds, &b);
    if (status == RS_OK) find(&set, seeds, &b, out);
    free_bootstrap(&b);
    return status;
}
