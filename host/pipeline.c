#include "pipeline.h"

#include "../kernels/clock.h"
#include "fit.h"
#include "interrupt.h"
#include "plan.h"
#include "progress.h"
#include "provenance.h"
#include "store.h"
#include "weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A place for one case in a launch: its weights are kept for the next case that has the same. */
typedef struct slot {
    const rs_case *one;
    rs_weights weights;
    const rs_case *weights_of; /* whose weights they are, NULL for nobody's */
    double *gradient;          /* [B][H] */
    rs_point *point;           /* [radii of the launch] */
    double *profiles;          /* [radii][3][T], what the points' profiles point into */
} slot;

typedef struct sweep {
    const rs_spec *spec;
    rs_model model_storage;
    const rs_model *model; /* NULL without one */
    rs_plan plan;
    const rs_engine *engine;
    rs_device device;
    rs_resources resources;
    uint64_t memory;
    rs_cut *cut;   /* [plan.n] of a launch that starts with the case */
    size_t groups; /* most of any cut */
    void *engine_state;
    rs_store *store;
    int64_t run_id;
    bool *done;      /* [plan.n][n_rho] in the database already */
    bool *taken;     /* [plan.n] finished, skipped or failed */
    slot *slot;      /* [groups] */
    rs_group *group; /* [groups] */
    double *rho;     /* [n_rho] of the launch */
    double *scale;   /* [n_rho] of the launch */
    size_t radii;    /* of the launch */
    rs_profile profile;
    rs_progress progress;
    double work_before; /* finished launches */
    double work_piece, work_launch, work_pieces_done;
    rs_sweep_outcome *outcome;
} sweep;

/* ---- preparation: nothing is written here ---------------------------------------------------- */

static rs_status choose_engine(const char *name, const rs_engine **out) {
    if (strcmp(name, "auto") != 0) {
        *out = rs_engine_named(name);
        if (!*out)
            return rs_fail(RS_EINPUT, "engine: %s is not in this build: see `rhosweep devices`",
                           name);
        return RS_OK;
    }
    for (const rs_engine *const *engine = rs_engines(); *engine; ++engine) {
        rs_device device;
        *out = *engine;
        if ((*engine)->device(&device) == RS_OK) return RS_OK;
    }
    return RS_EDEVICE; /* with the message of the last engine asked */
}

static rs_status read_model(sweep *s) {
    if (!s->spec->model) return RS_OK;
    RS_TRY(rs_model_read(s->spec->model, &s->model_storage));
    s->model = &s->model_storage;
    return RS_OK;
}

static double work_of(const sweep *s, const rs_case *one, size_t radii) {
    double const h = (double)one->hidden;
    return h * h * (double)(one->steps + s->spec->warmup) * (double)radii * (double)s->plan.batch;
}

static bool same_shape(const rs_case *a, const rs_case *b) {
    return a->hidden == b->hidden && a->steps == b->steps && a->nonlinearity == b->nonlinearity;
}

/* Cases of one shape that a launch should hold to fill the device. */
static size_t wanted_groups(const sweep *s, size_t first) {
    size_t const columns = s->spec->n_rho * s->plan.batch;
    size_t wanted = (s->device.columns_wanted + columns - 1) / columns;
    double const work = work_of(s, &s->plan.at[first], s->spec->n_rho);
    if (s->device.work_wanted > 0.0 && (double)wanted * work > s->device.work_wanted)
        wanted = (size_t)ceil(s->device.work_wanted / work);
    size_t same = 0;
    for (size_t i = first; i < s->plan.n && same < wanted; ++i)
        same += same_shape(&s->plan.at[first], &s->plan.at[i]);
    return same;
}

/* Cases of one shape follow each other at short distance: a few steps back stands the same cut. */
static const rs_cut *cut_before(const sweep *s, size_t i) {
    enum { FAR = 64 };
    for (size_t back = 1; back <= i && back <= FAR; ++back)
        if (same_shape(&s->plan.at[i], &s->plan.at[i - back])) return &s->cut[i - back];
    return NULL;
}

static rs_status cut_launches(sweep *s) {
    s->cut = calloc(s->plan.n, sizeof *s->cut);
    if (!s->cut) return rs_fail(RS_EMEMORY, "plan: no memory for %zu cases", s->plan.n);
    for (size_t i = 0; i < s->plan.n; ++i) {
        const rs_cut *before = cut_before(s, i);
        if (before) {
            s->cut[i] = *before;
            continue;
        }
        rs_shape whole = rs_plan_shape(s->spec, &s->plan, &s->plan.at[i], s->spec->n_rho);
        RS_TRY(s->engine->supports(&whole));
        whole.groups = wanted_groups(s, i);
        RS_TRY(rs_plan_cut(s->engine, &s->resources, &whole, s->device.on_host, s->memory,
                           &s->cut[i]));
        if (s->cut[i].groups > s->groups) s->groups = s->cut[i].groups;
    }
    return RS_OK;
}

static rs_status allocate_lists(sweep *s) {
    size_t const n_rho = s->spec->n_rho;
    s->done = calloc(s->plan.n, n_rho * sizeof *s->done);
    s->taken = calloc(s->plan.n, sizeof *s->taken);
    s->slot = calloc(s->groups, sizeof *s->slot);
    s->group = calloc(s->groups, sizeof *s->group);
    s->rho = calloc(n_rho, sizeof *s->rho);
    s->scale = calloc(n_rho, sizeof *s->scale);
    if (!s->done || !s->taken || !s->slot || !s->group || !s->rho || !s->scale)
        return rs_fail(RS_EMEMORY, "sweep: no memory for %zu cases", s->plan.n);
    return RS_OK;
}

static rs_status make_weights(sweep *s, slot *slot, const rs_case *one) {
    const rs_case *had = slot->weights_of;
    if (had && had->ensemble == one->ensemble && had->hidden == one->hidden &&
        had->seed == one->seed)
        return RS_OK;
    slot->weights_of = NULL;
    rs_weights_free(&slot->weights);
    rs_status const status = rs_weights_make(s->spec, &s->plan, s->model, one, &slot->weights);
    if (status == RS_OK) slot->weights_of = one;
    return status;
}

/* All that can be found wrong before a byte is written. */
static rs_status prepare(sweep *s) {
    RS_TRY(s->engine->device(&s->device));
    RS_TRY(rs_store_probe(s->spec->output));
    RS_TRY(read_model(s));
    RS_TRY(rs_plan_make(s->spec, s->model, &s->plan));
    s->resources.threads = s->spec->threads ? s->spec->threads : s->device.threads;
    s->memory = s->spec->memory ? s->spec->memory : s->device.free_bytes / 4 * 3;
    RS_TRY(cut_launches(s));
    RS_TRY(allocate_lists(s));
    /* A model is the user's input: what is wrong with it is found here, not in every case. */
    if (s->model) RS_TRY(make_weights(s, &s->slot[0], &s->plan.at[0]));
    return RS_OK;
}

static rs_shape piece_shape(const sweep *s, size_t i) {
    rs_shape piece = rs_plan_shape(s->spec, &s->plan, &s->plan.at[i], s->cut[i].radii);
    piece.groups = s->cut[i].groups;
    piece.batch = s->cut[i].batch;
    return piece;
}

static rs_status open_engine(sweep *s) {
    size_t largest = 0;
    for (size_t i = 1; i < s->plan.n; ++i)
        if (s->cut[i].engine_bytes > s->cut[largest].engine_bytes) largest = i;
    rs_shape const shape = piece_shape(s, largest);
    return s->engine->open(&shape, &s->resources, &s->engine_state);
}

static rs_status open_store(sweep *s, const char *command_line) {
    rs_provenance_text text;
    rs_provenance provenance;
    rs_status status = rs_provenance_make(s->spec, s->engine, &s->device, &s->resources, s->memory,
                                          command_line, &text, &provenance);
    if (status == RS_OK) status = rs_store_open(s->spec->output, &s->store);
    if (status == RS_OK) status = rs_store_begin_run(s->store, &provenance, &s->run_id);
    rs_provenance_free(&text);
    return status;
}

/* ---- what is left to do ---------------------------------------------------------------------- */

static rs_case_key key_of(const sweep *s, const rs_case *one) {
    return (rs_case_key){s->spec, &s->plan, s->model, one, s->engine->name};
}

static size_t count_missing(const sweep *s, size_t i) {
    size_t missing = 0;
    for (size_t r = 0; r < s->spec->n_rho; ++r) missing += !s->done[i * s->spec->n_rho + r];
    return missing;
}

static rs_status find_work(sweep *s) {
    double const native = NAN; /* how the store knows a radius that was not asked for */
    const double *rho = s->spec->native ? &native : s->spec->rho;
    double total = 0.0;
    size_t left = 0;
    for (size_t i = 0; i < s->plan.n; ++i) {
        rs_case_key const key = key_of(s, &s->plan.at[i]);
        RS_TRY(rs_store_done(s->store, &key, rho, s->spec->n_rho, s->done + i * s->spec->n_rho));
        size_t const missing = count_missing(s, i);
        s->taken[i] = missing == 0;
        if (missing == 0) ++s->outcome->skipped;
        left += missing > 0;
        total += work_of(s, &s->plan.at[i], missing);
    }
    rs_progress_start(&s->progress, s->spec->quiet, left, total);
    return RS_OK;
}

/* Gathers the cases of the next launch into the slots; 0 when none is left. */
static size_t gather(sweep *s, size_t *first) {
    size_t const n_rho = s->spec->n_rho;
    while (*first < s->plan.n && s->taken[*first]) ++*first;
    if (*first == s->plan.n) return 0;
    const bool *done = s->done + *first * n_rho;
    s->radii = 0;
    for (size_t r = 0; r < n_rho; ++r) {
        if (done[r]) continue;
        s->rho[s->radii] = s->spec->native ? NAN : s->spec->rho[r];
        s->scale[s->radii++] = rs_weights_scale(s->spec, s->spec->native ? 1.0 : s->spec->rho[r]);
    }
    size_t groups = 0;
    for (size_t i = *first; i < s->plan.n && groups < s->cut[*first].groups; ++i) {
        if (s->taken[i] || !same_shape(&s->plan.at[*first], &s->plan.at[i]) ||
            memcmp(done, s->done + i * n_rho, n_rho * sizeof *done) != 0)
            continue;
        s->taken[i] = true;
        s->slot[groups++].one = &s->plan.at[i];
    }
    return groups;
}

/* ---- one launch ------------------------------------------------------------------------------ */

static bool on_tick(void *arg, double fraction) {
    sweep *s = arg;
    double const done = s->work_pieces_done + fraction * s->work_piece;
    rs_progress_update(&s->progress, s->work_before + done);
    return !rs_interrupted();
}

static rs_status allocate_slot(const sweep *s, slot *slot, const rs_shape *piece) {
    size_t const steps = piece->steps;
    slot->gradient = calloc(s->plan.batch * piece->hidden, sizeof *slot->gradient);
    slot->point = calloc(s->radii, sizeof *slot->point);
    slot->profiles = calloc(s->radii, 3 * steps * sizeof *slot->profiles);
    if (!slot->gradient || !slot->point || !slot->profiles)
        return rs_fail(RS_EMEMORY, "sweep: no memory for a case of %zu steps and %zu radii", steps,
                       s->radii);
    for (size_t r = 0; r < s->radii; ++r) {
        double *at = slot->profiles + 3 * steps * r;
        slot->point[r].profile = (rs_log_profile){at, at + steps, at + 2 * steps};
        slot->point[r].rho_asked = s->rho[r];
        slot->point[r].rho = s->scale[r] * slot->weights.radius;
        slot->point[r].g = s->scale[r] * slot->weights.coupling;
    }
    return RS_OK;
}

static void free_slot(slot *slot) {
    free(slot->gradient);
    free(slot->point);
    free(slot->profiles);
    slot->gradient = NULL;
    slot->point = NULL;
    slot->profiles = NULL;
}

static rs_status allocate_profile(sweep *s, const rs_shape *piece) {
    size_t const columns = piece->groups * piece->radii * piece->batch;
    s->profile.norm2 = calloc(columns, piece->steps * sizeof(double));
    s->profile.exponent = calloc(columns, piece->steps * sizeof(int32_t));
    s->profile.nonfinite_step = calloc(columns, sizeof(uint32_t));
    if (!s->profile.norm2 || !s->profile.exponent || !s->profile.nonfinite_step)
        return rs_fail(RS_EMEMORY, "sweep: no memory for the norms of %zu columns", columns);
    return RS_OK;
}

static void free_profile(sweep *s) {
    free(s->profile.norm2);
    free(s->profile.exponent);
    free(s->profile.nonfinite_step);
    s->profile = (rs_profile){0};
}

/* Adds the norms of one piece, in the order of its samples, to the profiles of its radii. */
static void reduce_piece(const sweep *s, const rs_shape *piece, const rs_chunk *chunk, slot *slot,
                         size_t group) {
    size_t const columns = piece->radii * piece->batch;
    for (size_t column = 0; column < columns; ++column) {
        size_t const r = column / piece->batch, b = column % piece->batch;
        rs_point *point = &slot->point[chunk->first_radius + r];
        size_t const at = group * piece->steps * columns + column;
        rs_profile_add(&point->profile, chunk->first_sample + b, piece->steps,
                       s->profile.norm2 + at, s->profile.exponent + at, columns);
        long const nonfinite = (long)s->profile.nonfinite_step[group * columns + column];
        if (nonfinite && (!point->forward_nonfinite || nonfinite < point->forward_nonfinite))
            point->forward_nonfinite = nonfinite;
    }
}

static rs_status run_piece(sweep *s, size_t groups, const rs_chunk *chunk, double seconds[2]) {
    const rs_case *one = s->slot[0].one;
    rs_shape piece = rs_plan_shape(s->spec, &s->plan, one, chunk->radii);
    piece.groups = groups;
    piece.batch = chunk->batch;
    for (size_t g = 0; g < groups; ++g) {
        slot *slot = &s->slot[g];
        size_t const first = chunk->first_sample * one->hidden;
        rs_group *group = &s->group[g];
        double const own = group->step_gradient;
        *group = (rs_group){
            .weight_hh = slot->weights.weight_hh,
            .scale = s->scale + chunk->first_radius,
            .h0 = slot->weights.h0 ? slot->weights.h0 + first : NULL,
            .loss_gradient = slot->gradient + first,
            .step_gradient = own,
            .drive = rs_weights_drive(s->spec, &s->plan, s->model, slot->one, &slot->weights,
                                      chunk->first_sample),
        };
    }
    rs_job const job = {.shape = piece, .group = s->group, .tick = on_tick, .tick_arg = s};
    RS_TRY(s->engine->run(s->engine_state, &job, &s->profile));
    for (size_t g = 0; g < groups; ++g) reduce_piece(s, &piece, chunk, &s->slot[g], g);
    seconds[0] += s->profile.forward_seconds;
    seconds[1] += s->profile.backward_seconds;
    s->outcome->transfer_seconds += s->profile.transfer_seconds;
    return RS_OK;
}

/* All pieces of a launch: samples of a radius in ascending order, as its sums need them. */
static rs_status run_pieces(sweep *s, size_t groups, const rs_cut *cut, double seconds[2]) {
    s->work_pieces_done = 0.0;
    for (size_t r = 0; r < s->radii; r += cut->radii)
        for (size_t b = 0; b < s->plan.batch; b += cut->batch) {
            size_t const radii = s->radii - r < cut->radii ? s->radii - r : cut->radii;
            size_t const batch = s->plan.batch - b < cut->batch ? s->plan.batch - b : cut->batch;
            rs_chunk const chunk = {r, radii, b, batch};
            s->work_piece =
                s->work_launch * (double)(radii * batch) / (double)(s->radii * s->plan.batch);
            RS_TRY(run_piece(s, groups, &chunk, seconds));
            s->work_pieces_done += s->work_piece;
        }
    return RS_OK;
}

static void fit_points(const sweep *s, slot *slot) {
    const rs_case *one = slot->one;
    for (size_t r = 0; r < s->radii; ++r) {
        rs_point *point = &slot->point[r];
        rs_profile_finish(&point->profile, s->plan.batch, one->steps);
        point->decay_rate = rs_decay_rate(point->profile.mean, one->steps, one->fit_skip);
        point->range = rs_range_find(&point->profile, one->steps, one->hidden);
    }
}

static rs_status compute_launch(sweep *s, size_t groups, const rs_cut *cut, double seconds[2]) {
    rs_shape piece = rs_plan_shape(s->spec, &s->plan, s->slot[0].one, cut->radii);
    piece.groups = groups;
    piece.batch = cut->batch;
    RS_TRY(allocate_profile(s, &piece));
    for (size_t g = 0; g < groups; ++g) {
        slot *slot = &s->slot[g];
        RS_TRY(make_weights(s, slot, slot->one));
        RS_TRY(allocate_slot(s, slot, &piece));
        s->group[g].step_gradient =
            rs_loss_gradient(s->spec->loss, slot->one->seed, slot->one->steps, s->plan.batch,
                             slot->one->hidden, slot->gradient);
    }
    RS_TRY(run_pieces(s, groups, cut, seconds));
    for (size_t g = 0; g < groups; ++g) fit_points(s, &s->slot[g]);
    return RS_OK;
}

/* Stores every case of a launch, each in a transaction of its own, with its share of the time. */
static rs_status store_launch(sweep *s, size_t groups, rs_status status, const double seconds[2]) {
    char reason[1024];
    snprintf(reason, sizeof reason, "%s", rs_message());
    for (size_t g = 0; g < groups; ++g) {
        rs_case_result const result = {
            .key = key_of(s, s->slot[g].one),
            .status = status,
            .reason = status == RS_OK ? NULL : reason,
            .point = status == RS_OK ? s->slot[g].point : NULL,
            .n = status == RS_OK ? s->radii : 0,
            .forward_seconds = seconds[0] / (double)groups,
            .backward_seconds = seconds[1] / (double)groups,
        };
        RS_TRY(rs_store_put(s->store, s->run_id, &result));
        if (status == RS_OK)
            ++s->outcome->done;
        else
            ++s->outcome->failed;
        rs_progress_case(&s->progress,
                         s->work_before + s->work_launch * (double)(g + 1) / (double)groups);
    }
    if (status != RS_OK) rs_progress_say(&s->progress, "rhosweep: a case failed: %s", reason);
    return RS_OK;
}

/* Runs the cases of the first slots together and stores them. When several fail together one of
 * them may be to blame for all: then nothing is stored, and *again is set. */
static rs_status attempt(sweep *s, size_t groups, const rs_cut *cut, bool *again) {
    s->work_launch = (double)groups * work_of(s, s->slot[0].one, s->radii);
    double seconds[2] = {0.0, 0.0};
    rs_status status = compute_launch(s, groups, cut, seconds);
    bool const stopped = status == RS_EINTERRUPTED;
    *again = status != RS_OK && !stopped && groups > 1;
    if (*again)
        status = RS_OK;
    else if (!stopped)
        status = store_launch(s, groups, status, seconds);
    if (!*again) s->work_before += s->work_launch;
    for (size_t g = 0; g < groups; ++g) free_slot(&s->slot[g]);
    free_profile(s);
    return status;
}

static rs_status run_launch(sweep *s, size_t groups, const rs_cut *cut) {
    bool again, alone_again;
    RS_TRY(attempt(s, groups, cut, &again));
    for (size_t g = 0; again && g < groups; ++g) {
        slot const first = s->slot[0]; /* weights go with their case */
        s->slot[0] = s->slot[g];
        s->slot[g] = first;
        RS_TRY(attempt(s, 1, cut, &alone_again));
    }
    return RS_OK;
}

/* ---- the sweep ------------------------------------------------------------------------------- */

static rs_status run_all(sweep *s) {
    size_t first = 0, groups;
    while ((groups = gather(s, &first)) > 0) {
        if (rs_interrupted()) return rs_fail(RS_EINTERRUPTED, "interrupted");
        RS_TRY(run_launch(s, groups, &s->cut[first]));
    }
    return RS_OK;
}

/* Closes the run in the database and says how things stand. */
static rs_status conclude(sweep *s, rs_status status) {
    rs_progress_end(&s->progress);
    const rs_sweep_outcome *o = s->outcome;
    if (status == RS_EINTERRUPTED) {
        RS_TRY(rs_store_finish_run(s->store, s->run_id, "interrupted"));
        return rs_fail(RS_EINTERRUPTED,
                       "interrupted: %zu of %zu cases are stored in %s: the same command finishes "
                       "the rest",
                       o->done + o->skipped, o->cases, s->spec->output);
    }
    RS_TRY(status);
    RS_TRY(rs_store_finish_run(s->store, s->run_id, o->failed ? "some cases failed" : "done"));
    if (o->failed)
        return rs_fail(RS_EDEVICE,
                       "sweep: %zu of %zu cases failed: `rhosweep table failures %s` says why, the "
                       "same command tries them again",
                       o->failed, o->cases, s->spec->output);
    return RS_OK;
}

static rs_status execute(sweep *s, const char *command_line) {
    RS_TRY(prepare(s));
    s->outcome->cases = s->plan.n;
    RS_TRY(open_engine(s));
    RS_TRY(open_store(s, command_line));
    RS_TRY(find_work(s));
    rs_interrupt_watch();
    return conclude(s, run_all(s));
}

static void release(sweep *s) {
    rs_store_close(s->store);
    if (s->engine_state) s->engine->close(s->engine_state);
    for (size_t g = 0; s->slot && g < s->groups; ++g) rs_weights_free(&s->slot[g].weights);
    free(s->done);
    free(s->taken);
    free(s->slot);
    free(s->group);
    free(s->rho);
    free(s->scale);
    free(s->cut);
    rs_plan_free(&s->plan);
    if (s->model) rs_model_free(&s->model_storage);
}

rs_status rs_sweep_on(const rs_engine *engine, const rs_spec *spec, const char *command_line,
                      rs_sweep_outcome *outcome) {
    double const start = rs_seconds();
    *outcome = (rs_sweep_outcome){0};
    sweep s = {.spec = spec, .engine = engine, .outcome = outcome};
    rs_status const status = execute(&s, command_line);
    release(&s);
    outcome->seconds = rs_seconds() - start;
    return status;
}

rs_status rs_sweep(const rs_spec *spec, const char *command_line, rs_sweep_outcome *outcome) {
    const rs_engine *engine;
    *outcome = (rs_sweep_outcome){0};
    RS_TRY(choose_engine(spec->engine, &engine));
    return rs_sweep_on(engine, spec, command_line, outcome);
}
