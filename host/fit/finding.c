#include "finding.h"

#include "../spec/words.h"
#include "fit.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* ---- collecting ------------------------------------------------------------------------------ */

/* By insertion, as the list is short and mostly in order. */
static void sort_radii(const rs_spec *spec, size_t *ascending) {
    for (size_t r = 0; r < spec->n_rho; ++r) {
        size_t at = r;
        for (; at > 0 && !spec->native && spec->rho[ascending[at - 1]] > spec->rho[r]; --at)
            ascending[at] = ascending[at - 1];
        ascending[at] = r;
    }
}

rs_status rs_finding_make(const rs_spec *spec, rs_finding *out) {
    *out = (rs_finding){.spec = spec, .ascending = calloc(spec->n_rho, sizeof(size_t))};
    if (!out->ascending) return rs_fail(RS_EMEMORY, "sweep: no memory for its finding");
    sort_radii(spec, out->ascending);
    return RS_OK;
}

void rs_finding_free(rs_finding *finding) {
    for (size_t i = 0; i < finding->n; ++i) {
        free(finding->curve[i].mean);
        free(finding->curve[i].squares);
        free(finding->curve[i].seeds);
    }
    free(finding->curve);
    free(finding->ascending);
    *finding = (rs_finding){0};
}

/* What has a line of its own. */
static bool same_kind(const rs_case *a, const rs_case *b) {
    return rs_compare_ensembles(a->ensemble, b->ensemble) == 0 && a->cell == b->cell &&
           rs_compare_gate_biases(a->gate_bias, b->gate_bias) == 0 &&
           a->gate_scale == b->gate_scale && a->leak == b->leak;
}

static bool same_curve(const rs_case *a, const rs_case *b) {
    return same_kind(a, b) && a->hidden == b->hidden && a->steps == b->steps &&
           rs_compare_inputs(a->input, b->input) == 0;
}

static rs_status new_curve(rs_finding *f, const rs_case *one) {
    size_t const n_rho = f->spec->n_rho;
    if (f->n == f->room) {
        size_t const room = f->room ? 2 * f->room : 16;
        rs_rate_curve *curve = realloc(f->curve, room * sizeof *curve);
        if (!curve) return rs_fail(RS_EMEMORY, "sweep: no memory for its finding");
        f->curve = curve;
        f->room = room;
    }
    rs_rate_curve *curve = &f->curve[f->n++];
    *curve = (rs_rate_curve){.one = *one,
                             .mean = calloc(n_rho, sizeof *curve->mean),
                             .squares = calloc(n_rho, sizeof *curve->squares),
                             .seeds = calloc(n_rho, sizeof *curve->seeds)};
    if (curve->mean && curve->squares && curve->seeds) return RS_OK;
    return rs_fail(RS_EMEMORY, "sweep: no memory for its finding");
}

/* Curves come in turns, so the search starts behind the latest. */
static rs_status find_curve(rs_finding *f, const rs_case *one) {
    for (size_t k = 1; k <= f->n; ++k) {
        size_t const at = (f->latest + k) % f->n;
        if (!same_curve(&f->curve[at].one, one)) continue;
        f->latest = at;
        return RS_OK;
    }
    RS_TRY(new_curve(f, one));
    f->latest = f->n - 1;
    return RS_OK;
}

rs_status rs_finding_add(rs_finding *finding, const rs_case *one, const double *rates) {
    RS_TRY(find_curve(finding, one));
    rs_rate_curve *curve = &finding->curve[finding->latest];
    for (size_t r = 0; r < finding->spec->n_rho; ++r) {
        if (isnan(rates[r])) continue;
        double const deviation = rates[r] - curve->mean[r];
        curve->mean[r] += deviation / (double)++curve->seeds[r];
        curve->squares[r] += deviation * (rates[r] - curve->mean[r]);
    }
    return RS_OK;
}

/* ---- saying ---------------------------------------------------------------------------------- */

typedef enum behaviour {
    NO_RATE,
    VANISHES, /* at every radius, and so on */
    EXPLODES,
    STEADY,
    SLOW,
    UNCLEAR,
    TURNS, /* from vanishing to not vanishing as the radius grows */
    FADES, /* from vanishing to nothing clear */
    SOME_VANISH,
    SOME_EXPLODE,
    SOME_OF_BOTH,
    N_BEHAVIOUR
} behaviour;

/* One curve's radii that have a rate, ascending. */
typedef struct span {
    size_t radii, regimes[RS_N_REGIME];
    size_t last_vanishing, first_other; /* first that does not fall, in finding->ascending */
    double slowest;                     /* least mean rate */
} span;

static rs_regime regime_at(const rs_rate_curve *curve, size_t r) {
    size_t const n = curve->seeds[r];
    if (n == 0) return RS_REGIME_UNKNOWN;
    double const variance = n > 1 ? curve->squares[r] / (double)(n - 1) : NAN;
    double const t = n > 1 ? rs_student_t975(n - 1) : NAN;
    return rs_regime_of(curve->mean[r], t * sqrt(variance / (double)n), curve->one.steps);
}

static span look_at(const rs_finding *f, const rs_rate_curve *curve) {
    span s = {.first_other = SIZE_MAX, .slowest = INFINITY};
    for (size_t k = 0; k < f->spec->n_rho; ++k) {
        size_t const r = f->ascending[k];
        rs_regime const regime = regime_at(curve, r);
        if (regime == RS_REGIME_UNKNOWN) continue;
        ++s.radii;
        ++s.regimes[regime];
        s.slowest = fmin(s.slowest, curve->mean[r]);
        if (regime == RS_VANISHING) s.last_vanishing = k;
        bool const falls = curve->mean[r] > RS_STEADY_RATE; /* vanishing, or slow */
        if (!falls && regime != RS_MIXED && s.first_other == SIZE_MAX) s.first_other = k;
    }
    return s;
}

/* No radius below the last vanishing one is of another regime. */
static bool vanishes_up_to(const rs_finding *f, const rs_rate_curve *curve, size_t last) {
    for (size_t k = 0; k < last; ++k) {
        rs_regime const regime = regime_at(curve, f->ascending[k]);
        if (regime != RS_VANISHING && regime != RS_REGIME_UNKNOWN) return false;
    }
    return true;
}

/* Where the mean first falls to 0 behind the last radius that clearly vanishes. */
static double turn_of(const rs_finding *f, const rs_rate_curve *curve, size_t last) {
    double rho_before = NAN, before = NAN;
    for (size_t k = last; k < f->spec->n_rho; ++k) {
        size_t const r = f->ascending[k];
        if (curve->seeds[r] == 0) continue;
        double const rho = f->spec->rho[r], rate = curve->mean[r];
        bool const falls = k > last && rate <= RS_STEADY_RATE;
        if (falls) return rho_before + (rho - rho_before) * before / (before - fmin(rate, 0.0));
        rho_before = rho;
        before = rate;
    }
    return NAN;
}

/* Of one curve; *at is the radius of TURNS, the last vanishing one of FADES, the least rate of
 * VANISHES. */
static behaviour behaviour_of(const rs_finding *f, const rs_rate_curve *curve, double *at) {
    span const s = look_at(f, curve);
    size_t const vanishing = s.regimes[RS_VANISHING], exploding = s.regimes[RS_EXPLODING];
    *at = s.slowest;
    if (s.radii == 0) return NO_RATE;
    if (vanishing == s.radii) return VANISHES;
    if (exploding == s.radii) return EXPLODES;
    if (s.regimes[RS_STEADY] == s.radii) return STEADY;
    if (s.regimes[RS_SLOW] == s.radii) return SLOW;
    if (vanishing + exploding == 0) return UNCLEAR;
    if (vanishing == 0) return SOME_EXPLODE;
    if (s.first_other != SIZE_MAX && s.last_vanishing < s.first_other) {
        *at = turn_of(f, curve, s.last_vanishing);
        return TURNS;
    }
    if (exploding > 0) return SOME_OF_BOTH;
    if (s.first_other != SIZE_MAX || !vanishes_up_to(f, curve, s.last_vanishing))
        return SOME_VANISH;
    *at = f->spec->rho[f->ascending[s.last_vanishing]];
    return FADES;
}

/* What the curves of one cell and ensemble do. */
typedef struct tally {
    size_t curves[N_BEHAVIOUR], all;
    double low[N_BEHAVIOUR], high[N_BEHAVIOUR]; /* of `at` of behaviour_of */
} tally;

static void add_curve(const rs_finding *f, const rs_rate_curve *curve, tally *t) {
    double at;
    behaviour const what = behaviour_of(f, curve, &at);
    t->low[what] = t->curves[what] ? fmin(t->low[what], at) : at;
    t->high[what] = t->curves[what] ? fmax(t->high[what], at) : at;
    t->all += what != NO_RATE;
    ++t->curves[what];
}

static tally count(const rs_finding *f, const rs_case *like) {
    tally t = {0};
    for (size_t i = 0; i < f->n; ++i) {
        if (same_kind(&f->curve[i].one, like)) add_curve(f, &f->curve[i], &t);
    }
    return t;
}

static void print_range(const tally *t, behaviour what, FILE *out) {
    char low[32], high[32];
    snprintf(low, sizeof low, "%.3g", t->low[what]);
    snprintf(high, sizeof high, "%.3g", t->high[what]);
    fprintf(out, " rho = %s", low);
    if (t->high[what] > t->low[what]) fprintf(out, " to %s", high);
}

static void print_behaviour(const rs_finding *f, const tally *t, behaviour what, FILE *out) {
    static const char *const words[N_BEHAVIOUR] = {
        [VANISHES] = "vanish",
        [EXPLODES] = "explode",
        [STEADY] = "keep their norm",
        [SLOW] = "change by less than a factor of 1000",
        [UNCLEAR] = "neither clearly vanish nor explode",
        [TURNS] = "stop vanishing at",
        [FADES] = "vanish up to",
        [SOME_VANISH] = "vanish at some radii and not at others",
        [SOME_EXPLODE] = "explode at some radii and not at others",
        [SOME_OF_BOTH] = "vanish at some radii and explode at others"};
    bool const every = what < TURNS && f->spec->n_rho > 1;
    fputs(words[what], out);
    if (every) fputs(what == UNCLEAR ? " at any radius" : " at every radius", out);
    if (what == TURNS || what == FADES) print_range(t, what, out);
    if (what == FADES) fputs(", beyond that they neither clearly vanish nor explode", out);
    if (what == VANISHES && every)
        fprintf(out, ", by at least %.2g nats per step", t->low[VANISHES]);
}

static void print_tally(const rs_finding *f, const tally *t, FILE *out) {
    const char *before = " gradients ";
    for (behaviour what = VANISHES; what < N_BEHAVIOUR; ++what) {
        if (t->curves[what] == 0) continue;
        fputs(before, out);
        print_behaviour(f, t, what, out);
        if (t->curves[what] < t->all) fprintf(out, " (%zu of %zu shapes)", t->curves[what], t->all);
        before = "; they ";
    }
    fputs("\n", out);
}

static bool is_first_of_its_kind(const rs_finding *f, size_t i) {
    for (size_t k = 0; k < i; ++k)
        if (same_kind(&f->curve[k].one, &f->curve[i].one)) return false;
    return true;
}

/* "lstm, uniform, gate bias 1:", with what the sweep has several of. */
static void print_kind(const rs_finding *f, const rs_case *one, FILE *out) {
    char text[64], leak[RS_REAL_TEXT];
    bool const gated = rs_cell_is_gated(one->cell);
    fprintf(out, "%s, %s", rs_cell_name(one->cell), rs_ensemble_text(one->ensemble, text));
    if (gated && f->spec->n_gate_bias > 1)
        fprintf(out, ", gate bias %s", rs_gate_bias_text(one->gate_bias, text));
    if (!gated && f->spec->n_leak > 1) fprintf(out, ", leak %s", rs_real_text(one->leak, leak));
    fputs(":", out);
}

void rs_finding_print(const rs_finding *finding, FILE *out) {
    for (size_t i = 0; i < finding->n; ++i) {
        if (!is_first_of_its_kind(finding, i)) continue;
        const rs_case *one = &finding->curve[i].one;
        tally const t = count(finding, one);
        if (t.all == 0) continue;
        print_kind(finding, one, out);
        print_tally(finding, &t, out);
    }
}
