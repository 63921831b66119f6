#include "finding.h"

#include <math.h>
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
        free(finding->curve[i].sum);
        free(finding->curve[i].seeds);
    }
    free(finding->curve);
    free(finding->ascending);
    *finding = (rs_finding){0};
}

static bool same_curve(const rs_case *a, const rs_case *b) {
    return a->ensemble == b->ensemble && a->cell == b->cell && a->hidden == b->hidden &&
           a->steps == b->steps && a->input.kind == b->input.kind &&
           a->input.sigma == b->input.sigma;
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
                             .sum = calloc(n_rho, sizeof *curve->sum),
                             .seeds = calloc(n_rho, sizeof *curve->seeds)};
    if (curve->sum && curve->seeds) return RS_OK;
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
        curve->sum[r] += rates[r];
        ++curve->seeds[r];
    }
    return RS_OK;
}

/* ---- saying ---------------------------------------------------------------------------------- */

/* |rate| up to this is neither growth nor decay: as RS_REGIME_STEADY. */
static double const steady = 1e-6;

typedef enum behaviour {
    NO_RATE,
    VANISHES, /* at every radius, and so on */
    GROWS,
    STEADY,
    TURNS, /* from vanishing to not vanishing as the radius grows */
    VARIES,
    N_BEHAVIOUR
} behaviour;

/* Of one curve; *turn is the radius of TURNS. */
static behaviour behaviour_of(const rs_finding *f, const rs_rate_curve *curve, double *turn) {
    size_t vanishing = 0, growing = 0, points = 0;
    double rho_before = NAN, before = NAN;
    *turn = NAN;
    for (size_t k = 0; k < f->spec->n_rho; ++k) {
        size_t const r = f->ascending[k];
        if (curve->seeds[r] == 0) continue;
        double const rho = f->spec->native ? NAN : f->spec->rho[r];
        double const rate = curve->sum[r] / (double)curve->seeds[r];
        ++points;
        vanishing += rate > steady;
        growing += rate < -steady;
        if (isnan(*turn) && before > steady && rate <= steady)
            *turn = rho_before + (rho - rho_before) * before / (before - fmin(rate, 0.0));
        rho_before = rho;
        before = rate;
    }
    if (points == 0) return NO_RATE;
    if (vanishing == points) return VANISHES;
    if (growing == points) return GROWS;
    if (vanishing + growing == 0) return STEADY;
    return isnan(*turn) ? VARIES : TURNS;
}

/* What the curves of one nonlinearity and ensemble do. */
typedef struct tally {
    size_t curves[N_BEHAVIOUR], all;
    double turn_min, turn_max;
} tally;

static tally count(const rs_finding *f, const rs_case *like) {
    tally t = {.turn_min = INFINITY, .turn_max = -INFINITY};
    for (size_t i = 0; i < f->n; ++i) {
        const rs_case *one = &f->curve[i].one;
        double turn;
        if (one->ensemble != like->ensemble || one->cell != like->cell) continue;
        behaviour const what = behaviour_of(f, &f->curve[i], &turn);
        t.all += what != NO_RATE;
        ++t.curves[what];
        if (what != TURNS) continue;
        t.turn_min = fmin(t.turn_min, turn);
        t.turn_max = fmax(t.turn_max, turn);
    }
    return t;
}

static void print_turn(const tally *t, FILE *out) {
    char low[32], high[32];
    snprintf(low, sizeof low, "%.3g", t->turn_min);
    snprintf(high, sizeof high, "%.3g", t->turn_max);
    fprintf(out, "stop vanishing at rho = %s", low);
    if (t->turn_max > t->turn_min) fprintf(out, " to %s", high);
}

static void print_tally(const rs_finding *f, const tally *t, FILE *out) {
    static const char *const verb[N_BEHAVIOUR] = {[VANISHES] = "vanish",
                                                  [GROWS] = "grow",
                                                  [STEADY] = "keep their norm",
                                                  [VARIES] =
                                                      "grow at some radii and not at others"};
    const char *before = " gradients ";
    for (int what = VANISHES; what < N_BEHAVIOUR; ++what) {
        if (t->curves[what] == 0) continue;
        fputs(before, out);
        if (what == TURNS)
            print_turn(t, out);
        else
            fputs(verb[what], out);
        if (what < TURNS && f->spec->n_rho > 1) fputs(" at every radius", out);
        if (t->curves[what] < t->all) fprintf(out, " (%zu of %zu shapes)", t->curves[what], t->all);
        before = "; they ";
    }
    fputs("\n", out);
}

static bool is_first_of_its_kind(const rs_finding *f, size_t i) {
    const rs_case *one = &f->curve[i].one;
    for (size_t k = 0; k < i; ++k)
        if (f->curve[k].one.ensemble == one->ensemble && f->curve[k].one.cell == one->cell)
            return false;
    return true;
}

void rs_finding_print(const rs_finding *finding, FILE *out) {
    for (size_t i = 0; i < finding->n; ++i) {
        if (!is_first_of_its_kind(finding, i)) continue;
        const rs_case *one = &finding->curve[i].one;
        tally const t = count(finding, one);
        if (t.all == 0) continue;
        fprintf(out, "%s, %s:", rs_nonlinearity_name(one->cell), rs_ensemble_name(one->ensemble));
        print_tally(finding, &t, out);
    }
}
