#include "worker.h"

#include "../../kernels/base/clock.h"
#include "../../kernels/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

rs_status rs_weight_source_make(rs_weight_source *source, const rs_launches *launches) {
    source->groups = launches->groups;
    source->latest = calloc(source->groups, sizeof *source->latest);
    if (source->latest) return RS_OK;
    return rs_fail(RS_EMEMORY, "sweep: no memory for launches of %zu cases", source->groups);
}

void rs_weight_source_free(rs_weight_source *source) {
    for (size_t g = 0; source->latest && g < source->groups; ++g)
        rs_shared_weights_release(source->latest[g]);
    free(source->latest);
    source->latest = NULL;
}

rs_status rs_worker_make(rs_worker *worker, const rs_launches *launches) {
    worker->parameters = calloc(launches->groups, sizeof *worker->parameters);
    worker->columns = calloc(launches->groups, sizeof *worker->columns);
    if (worker->parameters && worker->columns) return RS_OK;
    return rs_fail(RS_EMEMORY, "sweep: no memory for launches of %zu cases", launches->groups);
}

void rs_worker_free(rs_worker *worker) {
    free(worker->columns);
    free(worker->parameters);
    worker->columns = NULL;
    worker->parameters = NULL;
}

rs_status rs_work_make(const rs_launches *launches, rs_work *out) {
    *out = (rs_work){0};
    RS_TRY(rs_launch_make(launches, &out->launch));
    out->task = calloc(launches->groups, sizeof *out->task);
    return out->task ? RS_OK
                     : rs_fail(RS_EMEMORY, "sweep: no memory for %zu cases", launches->groups);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void free_norms(rs_norms *norms) {
    rs_record_free(&norms->record);
    *norms = (rs_norms){0};
}

static rs_status allocate_norms(const rs_launch *launch, size_t tasks, rs_norms *norms) {
    rs_shape const largest = rs_launch_piece(launch, tasks);
    free_norms(norms);
    return rs_fail_in(rs_record_make(&largest, &norms->record), "sweep");
}

static void free_sums(rs_task *task) {
    free(task->stretch);
    free(task->stretches);
    task->stretch = NULL;
    task->stretches = NULL;
}

/* All but the weights. */
static void free_results(rs_task *task) {
    free_sums(task);
    free(task->gradient);
    free(task->point);
    free(task->tangents);
    free(task->profiles);
    free(task->reason);
    task->gradient = NULL;
    task->point = NULL;
    task->tangents = NULL;
    task->profiles = NULL;
    task->reason = NULL;
}

void rs_work_clear(rs_work *work) {
    free_norms(&work->norms);
    for (size_t g = 0; g < work->launch.groups; ++g) {
        free_results(&work->task[g]);
        rs_shared_weights_release(work->task[g].weights);
        work->task[g].weights = NULL;
    }
    work->launch.groups = 0;
}

void rs_work_free(rs_work *work) {
    if (work->task) rs_work_clear(work);
    free(work->task);
    work->task = NULL;
    rs_launch_free(&work->launch);
}

/* ---- begin ----------------------------------------------------------------------------------- */

/* The weights of the place in the launch before, or new ones in their stead. */
static rs_shared_weights *weights_for(rs_weight_source *source, size_t place, const rs_case *one) {
    rs_shared_weights **latest = &source->latest[place];
    if (!*latest || !rs_shared_weights_fit(*latest, one)) {
        rs_shared_weights_release(*latest);
        *latest = rs_shared_weights_new(one);
    }
    return *latest ? rs_shared_weights_use(*latest) : NULL;
}

rs_status rs_weight_source_check(rs_weight_source *source, const rs_case *one) {
    source->latest[0] = rs_shared_weights_new(one);
    if (!source->latest[0]) return rs_fail(RS_EMEMORY, "sweep: no memory for weights");
    return rs_shared_weights_make(source->latest[0], source->model, source->radii);
}

void rs_work_begin(rs_weight_source *source, rs_work *work) {
    for (size_t g = 0; g < work->launch.groups; ++g) {
        const rs_case *one = &work->launch.one[g];
        work->task[g] = (rs_task){.one = one, .weights = weights_for(source, g, one)};
    }
}

/* ---- prepare --------------------------------------------------------------------------------- */

static void settle(rs_task *task, rs_status status) {
    task->status = status;
    free(task->reason);
    task->reason = status == RS_OK ? NULL : strdup(rs_message());
}

size_t rs_task_curve_length(const rs_launch *launch) {
    return launch->radii * rs_curves_of(launch->whole.cell) * RS_CURVE_ARRAYS * launch->whole.steps;
}

/* The next of the profiles that `at` points into. */
static rs_log_profile deal_profile(double **at, size_t steps) {
    double *const from = *at;
    *at += RS_CURVE_ARRAYS * steps;
    return (rs_log_profile){from, from + steps, from + 2 * steps, from + 3 * steps};
}

static void deal_profiles(const rs_launch *launch, rs_task *task) {
    const rs_cell_info *cell = rs_cell_of(launch->whole.cell);
    size_t const steps = launch->whole.steps;
    double *at = task->profiles;
    for (size_t r = 0; r < launch->radii; ++r) {
        rs_point *const point = &task->point[r];
        point->profile = deal_profile(&at, steps);
        for (size_t k = 0; cell->states > 1 && k < cell->states; ++k)
            point->state[k] = deal_profile(&at, steps);
    }
}

size_t rs_task_tangent_length(const rs_launch *launch) {
    return launch->radii * rs_tangent_results(&launch->whole);
}

static void deal_tangents(const rs_launch *launch, rs_task *task) {
    const rs_shape *const whole = &launch->whole;
    size_t const k = whole->directions, measured = (2 + whole->n_singular) * k;
    size_t const each = rs_tangent_results(whole);
    for (size_t r = 0; r < launch->radii; ++r) {
        double *const at = task->tangents + r * each;
        task->point[r].lyapunov =
            (rs_lyapunov){.exponent = at,
                          .standard_error = at + k,
                          .singular = whole->n_singular ? at + 2 * k : NULL,
                          .predicted = each > measured ? at + measured : NULL};
    }
}

rs_status rs_task_make_points(const rs_launch *launch, bool curves, rs_task *task) {
    size_t const tangents = rs_task_tangent_length(launch);
    task->point = calloc(launch->radii, sizeof *task->point);
    if (curves) task->profiles = calloc(rs_task_curve_length(launch), sizeof *task->profiles);
    if (tangents > 0) task->tangents = calloc(tangents, sizeof *task->tangents);
    if (!task->point || (curves && !task->profiles) || (tangents > 0 && !task->tangents))
        return rs_fail(RS_EMEMORY, "sweep: no memory for a case of %zu steps and %zu radii",
                       launch->whole.steps, launch->radii);
    if (curves) deal_profiles(launch, task);
    if (tangents > 0) deal_tangents(launch, task);
    return RS_OK;
}

/* The sums that the points' exponents come from. */
static rs_status make_sums(const rs_launch *launch, rs_task *task) {
    const rs_shape *const whole = &launch->whole;
    size_t const each = rs_tangent_sums(whole), blocks = RS_STRETCH_BLOCKS * whole->directions;
    if (each == 0) return RS_OK;
    task->stretch = calloc(launch->radii, sizeof *task->stretch);
    task->stretches = calloc(launch->radii * each, sizeof *task->stretches);
    if (!task->stretch || !task->stretches)
        return rs_fail(RS_EMEMORY, "sweep: no memory for %zu exponents of %zu radii",
                       whole->directions, launch->radii);
    for (size_t r = 0; r < launch->radii; ++r) {
        double *const at = task->stretches + r * each;
        task->stretch[r] =
            (rs_stretch_sum){.stretch = at, .singular = whole->n_singular ? at + blocks : NULL};
    }
    return RS_OK;
}

/* Of the block whose spectral radius is the network's. */
static double scale_of(const rs_launch *launch, size_t radius) {
    const rs_cell_info *cell = rs_cell_of(launch->whole.cell);
    return launch->scale[radius * cell->gates + cell->candidate];
}

static void begin_points(const rs_launch *launch, rs_task *task) {
    const rs_weights *weights = rs_shared_weights_get(task->weights);
    for (size_t r = 0; r < launch->radii; ++r) {
        double const scale = scale_of(launch, r);
        rs_point *const point = &task->point[r];
        point->rho_asked = launch->rho[r];
        point->rho = scale * weights->radius;
        point->g = scale * weights->coupling;
    }
}

static rs_status allocate_gradient(const rs_launch *launch, rs_task *task) {
    task->gradient = calloc(launch->whole.batch * launch->whole.hidden, sizeof *task->gradient);
    return task->gradient ? RS_OK
                          : rs_fail(RS_EMEMORY, "sweep: no memory for a gradient of %zu samples",
                                    launch->whole.batch);
}

static rs_status prepare_task(const rs_weight_source *source, const rs_launch *launch,
                              rs_task *task) {
    const rs_case *one = task->one;
    if (!task->weights) return rs_fail(RS_EMEMORY, "sweep: no memory for weights");
    RS_TRY(rs_shared_weights_make(task->weights, source->model, source->radii));
    RS_TRY(rs_task_make_points(launch, true, task));
    RS_TRY(make_sums(launch, task));
    RS_TRY(allocate_gradient(launch, task));
    begin_points(launch, task);
    task->step_gradient =
        rs_loss_gradient(one->loss, one->seed, one->steps, one->batch, one->hidden, task->gradient);
    return RS_OK;
}

void rs_work_prepare(const rs_weight_source *source, rs_work *work) {
    for (size_t g = 0; g < work->launch.groups; ++g)
        settle(&work->task[g], prepare_task(source, &work->launch, &work->task[g]));
}

static void renew_task(const rs_weight_source *source, rs_work *work, size_t g) {
    free_results(&work->task[g]);
    settle(&work->task[g], prepare_task(source, &work->launch, &work->task[g]));
}

void rs_work_renew(const rs_weight_source *source, rs_work *work) {
    for (size_t g = 0; g < work->launch.groups; ++g) renew_task(source, work, g);
}

/* ---- from norms to points -------------------------------------------------------------------- */

/* One sample's, to the profile of the whole state and, where it is a pair, to those of its parts.
 */
static void add_norms(const rs_norm_view *norms, size_t sample, size_t steps, rs_point *point) {
    rs_profile_add(&point->profile, sample, steps, norms);
    for (size_t k = 0; norms->states > 1 && k < norms->states; ++k) {
        rs_norm_view one = *norms;
        one.norm2 += k * norms->stride;
        one.states = 1;
        rs_profile_add(&point->state[k], sample, steps, &one);
    }
}

/* Adds the norms of one task's columns, in the order of their samples, to the profiles of their
 * radii, and what their tangents stretched to the sums. `first` is the task's first column among
 * those of all tasks. */
static void reduce_task(const rs_norms *norms, const rs_shape *whole, size_t first, rs_task *task) {
    const rs_chunk *chunk = &norms->chunk;
    size_t const columns = chunk->radii * chunk->batch, steps = whole->steps;
    size_t const states = rs_cell_of(task->one->cell)->states;
    for (size_t column = 0; column < columns; ++column) {
        size_t const r = column / chunk->batch, b = column % chunk->batch;
        rs_point *point = &task->point[chunk->first_radius + r];
        rs_norm_view const view = {.norm2 = norms->record.norm2 + states * first * steps + column,
                                   .exponent = norms->record.exponent + first * steps + column,
                                   .states = states,
                                   .stride = columns,
                                   .norm_stride = states * columns};
        add_norms(&view, chunk->first_sample + b, steps, point);
        if (whole->directions > 0)
            rs_lyapunov_add(whole, &norms->record, first + column,
                            &task->stretch[chunk->first_radius + r]);
        long const nonfinite = (long)norms->record.nonfinite_step[first + column];
        if (nonfinite && (!point->forward_nonfinite || nonfinite < point->forward_nonfinite))
            point->forward_nonfinite = nonfinite;
    }
}

/* Those of the weights' gradients. */
static void take_gradients(const rs_norms *norms, size_t task, rs_task *to) {
    const rs_chunk *chunk = &norms->chunk;
    for (size_t r = 0; r < chunk->radii; ++r) {
        rs_point *point = &to->point[chunk->first_radius + r];
        size_t const at = (task * chunk->radii + r) * RS_N_GRADIENT;
        point->has_gradients = true;
        for (size_t k = 0; k < RS_N_GRADIENT; ++k)
            point->gradient[k] = rs_log10_norm(norms->record.gradient2[at + k],
                                               norms->record.gradient_exponent[at + k]);
    }
}

/* Makes the norms free to be written again. */
static void reduce(rs_work *work) {
    rs_norms *norms = &work->norms;
    size_t const columns = norms->chunk.radii * norms->chunk.batch;
    for (size_t g = 0; g < norms->tasks; ++g) {
        rs_task *task = &work->task[norms->first_task + g];
        reduce_task(norms, &work->launch.whole, g * columns, task);
        if (work->launch.whole.gradients) take_gradients(norms, g, task);
    }
    norms->tasks = 0;
}

/* ln |det W_hh| of a radius is that of W0 and H times ln s. */
static void finish_tangents(const rs_launch *launch, rs_task *task) {
    const rs_weights *weights = rs_shared_weights_get(task->weights);
    const rs_shape *const whole = &launch->whole;
    for (size_t r = 0; r < launch->radii; ++r) {
        double const scale = scale_of(launch, r);
        double const log_det = weights->log_det + (double)whole->hidden * log(scale);
        rs_lyapunov *const lyapunov = &task->point[r].lyapunov;
        rs_lyapunov_finish(whole, whole->batch, &task->stretch[r], log_det, lyapunov);
        if (lyapunov->predicted) rs_weights_predict(task->one, weights, scale, lyapunov->predicted);
    }
    free_sums(task);
}

static void fit_points(const rs_launch *launch, rs_task *task) {
    const rs_case *one = task->one;
    size_t const elements = one->hidden * rs_cell_of(one->cell)->states;
    for (size_t r = 0; r < launch->radii; ++r) {
        rs_point *point = &task->point[r];
        rs_profile_finish(&point->profile, launch->whole.batch, one->steps);
        for (size_t k = 0; k < RS_MAX_STATES && point->state[k].mean; ++k)
            rs_profile_finish(&point->state[k], launch->whole.batch, one->steps);
        point->decay_rate = rs_decay_rate(point->profile.mean, one->steps, one->fit_skip);
        point->range = rs_range_find(&point->profile, one->steps, elements);
    }
}

static void fit_task(const rs_launch *launch, rs_task *task) {
    fit_points(launch, task);
    if (launch->whole.directions > 0) finish_tangents(launch, task);
}

void rs_work_finish(rs_work *work) {
    reduce(work);
    free_norms(&work->norms);
    for (size_t g = 0; g < work->launch.groups; ++g)
        if (work->task[g].status == RS_OK) fit_task(&work->launch, &work->task[g]);
}

/* ---- run ------------------------------------------------------------------------------------- */

/* Some tasks of a launch that run together, and what part of the launch they are. */
typedef struct run {
    rs_worker *worker;
    rs_work *work;
    size_t first, tasks;
    double done, piece; /* parts of the launch: before this piece, and this piece */
    double seconds[3];  /* forward, backward, transfer */
} run;

static bool on_tick(void *arg, double fraction) {
    const run *r = arg;
    const rs_worker *worker = r->worker;
    return !worker->tick || worker->tick(worker->tick_arg, r->done + fraction * r->piece);
}

static const rs_weights *weights_of(const run *r, size_t g) {
    return rs_shared_weights_get(r->work->task[r->first + g].weights);
}

static rs_columns columns_of(const run *r, const rs_chunk *chunk, size_t g) {
    const rs_task *task = &r->work->task[r->first + g];
    const rs_weights *weights = weights_of(r, g);
    size_t const first = chunk->first_sample * task->one->hidden;
    size_t const gates = rs_cell_of(task->one->cell)->gates;
    return (rs_columns){
        .scale = r->work->launch.scale + chunk->first_radius * gates,
        .start = {weights->h0 ? weights->h0 + first : NULL,
                  weights->c0 ? weights->c0 + first : NULL},
        .delta = task->gradient + first,
        .step_delta = task->step_gradient,
        .drive = rs_weights_drive(task->one, r->worker->source->model, chunk->first_sample),
    };
}

/* Once for all pieces. */
static rs_status load_weights(run *r) {
    rs_worker *worker = r->worker;
    rs_shape const largest = rs_launch_piece(&r->work->launch, r->tasks);
    for (size_t g = 0; g < r->tasks; ++g)
        worker->parameters[g] = rs_weights_parameters(weights_of(r, g));
    double const start = rs_seconds();
    rs_status const status =
        worker->engine->load(worker->engine_state, &largest, worker->parameters);
    double const seconds = rs_seconds() - start;
    worker->engine_seconds += seconds;
    r->seconds[worker->on_host ? 0 : 2] += seconds;
    if (!worker->on_host) worker->transfer_seconds += seconds;
    return status;
}

static rs_status run_piece(run *r, const rs_chunk *chunk) {
    rs_worker *worker = r->worker;
    rs_norms *norms = &r->work->norms;
    rs_shape piece = rs_launch_piece(&r->work->launch, r->tasks);
    piece.radii = chunk->radii;
    piece.batch = chunk->batch;
    for (size_t g = 0; g < r->tasks; ++g) worker->columns[g] = columns_of(r, chunk, g);
    rs_pass const pass = {.shape = piece, .of = worker->columns, .tick = on_tick, .tick_arg = r};
    double const start = rs_seconds();
    rs_status const status = worker->engine->run(worker->engine_state, &pass, &norms->record);
    worker->engine_seconds += rs_seconds() - start;
    RS_TRY(status);
    r->seconds[0] +=
        norms->record.forward_seconds + norms->record.tangent_seconds + norms->record.qr_seconds;
    r->seconds[1] += norms->record.backward_seconds + norms->record.gradient_seconds;
    r->seconds[2] += norms->record.transfer_seconds;
    worker->transfer_seconds += norms->record.transfer_seconds;
    norms->chunk = *chunk;
    norms->first_task = r->first;
    norms->tasks = r->tasks;
    return RS_OK;
}

/* All pieces. Norms are reduced only when the next piece needs their place: those of the last one,
 * which is mostly the only one, wait for finish and do not keep the engine waiting. */
static rs_status run_pieces(run *r) {
    const rs_launch *launch = &r->work->launch;
    double const columns = (double)(launch->radii * launch->whole.batch);
    double const part = (double)r->tasks / (double)launch->groups;
    rs_chunk chunk;
    RS_TRY(allocate_norms(launch, r->tasks, &r->work->norms));
    RS_TRY(load_weights(r));
    for (size_t k = 0; rs_launch_chunk(launch, k, &chunk); ++k) {
        reduce(r->work);
        r->piece = part * (double)(chunk.radii * chunk.batch) / columns;
        RS_TRY(run_piece(r, &chunk));
        r->done += r->piece;
    }
    return RS_OK;
}

static rs_status run_tasks(rs_worker *worker, rs_work *work, size_t first, size_t tasks) {
    run r = {.worker = worker,
             .work = work,
             .first = first,
             .tasks = tasks,
             .done = (double)first / (double)work->launch.groups};
    rs_status const status = run_pieces(&r);
    if (status != RS_OK) free_norms(&work->norms);
    for (size_t g = first; g < first + tasks; ++g) {
        settle(&work->task[g], status);
        work->task[g].forward_seconds = r.seconds[0] / (double)tasks;
        work->task[g].backward_seconds = r.seconds[1] / (double)tasks;
        work->task[g].transfer_seconds = r.seconds[2] / (double)tasks;
    }
    return status;
}

static bool is_prepared(const rs_work *work) {
    for (size_t g = 0; g < work->launch.groups; ++g)
        if (work->task[g].status != RS_OK) return false;
    return true;
}

static rs_status run_alone(rs_worker *worker, rs_work *work, size_t g) {
    rs_task *task = &work->task[g];
    renew_task(worker->source, work, g);
    if (task->status != RS_OK) return RS_OK;
    rs_status const status = run_tasks(worker, work, g, 1);
    reduce(work);
    return status == RS_EINTERRUPTED ? status : RS_OK;
}

static void mark_not_run(rs_work *work, size_t first) {
    rs_fail(RS_EINTERRUPTED, "interrupted");
    for (size_t g = first; g < work->launch.groups; ++g) settle(&work->task[g], RS_EINTERRUPTED);
}

rs_status rs_work_run(rs_worker *worker, rs_work *work) {
    size_t const groups = work->launch.groups;
    bool const prepared = is_prepared(work);
    if (prepared) {
        rs_status const status = run_tasks(worker, work, 0, groups);
        if (status == RS_OK || status == RS_EINTERRUPTED) return status;
    }
    if (groups == 1) return RS_OK;
    for (size_t g = 0; g < groups; ++g) free_results(&work->task[g]);
    for (size_t g = 0; g < groups; ++g) {
        rs_status const status = run_alone(worker, work, g);
        if (status == RS_OK) continue;
        mark_not_run(work, g);
        return status;
    }
    return RS_OK;
}

const char *rs_work_device_failure(const rs_work *work) {
    for (size_t g = 0; g < work->launch.groups; ++g)
        if (work->task[g].status != RS_EDEVICE) return NULL;
    if (work->launch.groups == 0) return NULL;
    return work->task[0].reason ? work->task[0].reason : "out of memory";
}
