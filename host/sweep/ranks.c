#include "ranks.h"

#include "../../kernels/base/clock.h"
#include "../store/provenance.h"
#include "interrupt.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double const grace = 0.5; /* seconds after Ctrl-C that other ranks are waited for */

/* ---- the launcher ---------------------------------------------------------------------------- */

/* SLURM_NTASKS is not among them: batch scripts have it too, where nothing was started together. */
static const char *const counts[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS",
                                     "SLURM_STEP_NUM_TASKS"};

unsigned long rs_ranks_launched(const char **variable) {
    unsigned long most = 1;
    *variable = NULL;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i) {
        const char *const text = getenv(counts[i]);
        unsigned long const number = text ? strtoul(text, NULL, 10) : 0;
        if (number <= most) continue;
        most = number;
        *variable = counts[i];
    }
    return most;
}

/* ---- the library ----------------------------------------------------------------------------- */

/* Where it lies from the program's folder: installed, and built. */
static const char *const places[] = {RS_LIBRARIES_FROM_PROGRAM, "."};

static bool find_library(char path[PATH_MAX]) {
    char program[PATH_MAX];
    ssize_t const length = readlink("/proc/self/exe", program, PATH_MAX - 1);
    if (length < 0) return false;
    program[length] = '\0';
    *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
        int const n = snprintf(path, PATH_MAX, "%s/%s/rhosweep_mpi.so", program, places[i]);
        if (n > 0 && n < PATH_MAX && access(path, R_OK) == 0) return true;
    }
    return false;
}

static rs_status refuse(unsigned long launched, const char *variable, const char *why) {
    return rs_fail(RS_EINPUT,
                   "MPI: %lu processes were started (%s), and each would do all the work: %s; "
                   "start one, or unset %s where they have nothing to do with each other",
                   launched, variable, why, variable);
}

/* MPI's own plug-ins look for its symbols among those of the program. */
static rs_status load(rs_ranks *ranks, unsigned long launched, const char *variable) {
    char path[PATH_MAX];
    if (!find_library(path)) return refuse(launched, variable, "this build has no MPI");
    void *const library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    ranks->mpi = library ? dlsym(library, RS_MPI_SYMBOL) : NULL;
    if (ranks->mpi) return RS_OK;
    const char *const why = dlerror();
    return refuse(launched, variable, why ? why : "rhosweep_mpi.so is damaged");
}

rs_status rs_ranks_begin(rs_ranks *ranks) {
    const char *variable;
    unsigned long const launched = rs_ranks_launched(&variable);
    *ranks = (rs_ranks){0};
    if (launched < 2) return RS_OK;
    RS_TRY(load(ranks, launched, variable));
    bool const begun = ranks->mpi->begin(&ranks->place);
    if (begun && ranks->place.size > 1) return RS_OK;
    if (begun) ranks->mpi->finish();
    ranks->mpi = NULL;
    return refuse(launched, variable,
                  begun ? "the MPI of this build is not that of the launcher"
                        : "the MPI of this build does not start");
}

/* ---- messages -------------------------------------------------------------------------------- */

/* A message on its way. It fills whole blocks, and ends with its size. */
typedef struct rs_sending {
    struct rs_sending *next;
    void *request;
    unsigned char *data;
} rs_sending;

static rs_status fail_memory(void) { return rs_fail(RS_EMEMORY, "MPI: no memory for a message"); }

static rs_sending *close_message(rs_message_out *message, size_t *blocks) {
    uint64_t const size = message->size;
    *blocks = (message->size + sizeof size + RS_MPI_BLOCK - 1) / RS_MPI_BLOCK;
    rs_sending *const sending = message->failed ? NULL : malloc(sizeof *sending);
    unsigned char *const data = sending ? realloc(message->data, *blocks * RS_MPI_BLOCK) : NULL;
    if (!data) {
        free(sending);
        return NULL;
    }
    message->data = NULL;
    memset(data + size, 0, *blocks * RS_MPI_BLOCK - size);
    memcpy(data + *blocks * RS_MPI_BLOCK - sizeof size, &size, sizeof size);
    sending->data = data;
    return sending;
}

rs_status rs_ranks_send(rs_ranks *ranks, int to, rs_rank_tag tag, rs_message_out *message) {
    size_t blocks;
    rs_sending *const sending = close_message(message, &blocks);
    if (sending) sending->request = ranks->mpi->send(to, (int)tag, sending->data, blocks);
    if (!sending || !sending->request) {
        if (sending) free(sending->data);
        free(sending);
        free(message->data);
        *message = (rs_message_out){0};
        return fail_memory();
    }
    *message = (rs_message_out){0};
    sending->next = ranks->sending;
    ranks->sending = sending;
    ++ranks->unsent;
    return RS_OK;
}

static void let_go(rs_ranks *ranks) {
    for (rs_sending **at = &ranks->sending; *at;) {
        rs_sending *const sending = *at;
        if (!ranks->mpi->sent(sending->request)) {
            at = &sending->next;
            continue;
        }
        *at = sending->next;
        free(sending->data);
        free(sending);
        --ranks->unsent;
    }
}

/* The message that lies in the blocks. */
static rs_message_in open_message(const unsigned char *data, size_t blocks) {
    uint64_t size;
    size_t const all = blocks * RS_MPI_BLOCK;
    if (!data || all < sizeof size) return (rs_message_in){.failed = true};
    memcpy(&size, data + all - sizeof size, sizeof size);
    if (size > all - sizeof size) return (rs_message_in){.failed = true};
    return (rs_message_in){.at = data, .left = size};
}

size_t rs_ranks_peek(rs_ranks *ranks, rs_rank_tag tag) {
    int from;
    size_t blocks;
    return ranks->mpi->probe((int)tag, &from, &blocks) ? blocks * RS_MPI_BLOCK : 0;
}

bool rs_ranks_receive(rs_ranks *ranks, rs_rank_tag tag, rs_received *out) {
    size_t blocks;
    *out = (rs_received){0};
    if (!ranks->mpi->probe((int)tag, &out->from, &blocks)) return false;
    out->data = malloc(blocks * RS_MPI_BLOCK);
    if (out->data) ranks->mpi->receive(out->from, (int)tag, out->data, blocks);
    out->in = open_message(out->data, blocks);
    return true;
}

void rs_ranks_pause(rs_ranks *ranks) {
    struct timespec const moment = {.tv_nsec = 500000};
    let_go(ranks);
    nanosleep(&moment, NULL);
}

rs_status rs_ranks_wait(rs_ranks *ranks, rs_rank_tag tag, rs_received *out) {
    double interrupted = 0.0;
    while (!rs_ranks_receive(ranks, tag, out)) {
        if (rs_interrupted() && interrupted == 0.0) interrupted = rs_seconds();
        if (interrupted > 0.0 && rs_seconds() - interrupted > grace) {
            ranks->broken = true;
            return rs_fail(RS_EINTERRUPTED, "interrupted");
        }
        rs_ranks_pause(ranks);
    }
    return RS_OK;
}

void rs_ranks_end(rs_ranks *ranks, rs_status status) {
    if (!ranks->mpi) return;
    bool const in_haste = ranks->broken || status == RS_EINTERRUPTED;
    if (in_haste && ranks->place.rank == 0) ranks->mpi->end_job(rs_exit_code(status));
    if (ranks->broken) return;
    if (status == RS_EINTERRUPTED) alarm(5); /* others may be gone: its signal ends the process */
    while (ranks->unsent > 0) rs_ranks_pause(ranks);
    ranks->mpi->finish();
}

/* ---- agreeing -------------------------------------------------------------------------------- */

/* The failure of the lowest rank that has one. */
typedef struct worst {
    int rank;
    rs_status status;
    char message[1024];
} worst;

static void note(worst *w, int rank, rs_status status, const char *host, const char *message) {
    if (status == RS_OK || (w->status != RS_OK && w->rank < rank)) return;
    w->rank = rank;
    w->status = status;
    snprintf(w->message, sizeof w->message, "rank %d on %s: %s", rank, host, message);
}

static rs_status hear(rs_ranks *ranks, uint64_t about, worst *w) {
    rs_received got;
    RS_TRY(rs_ranks_wait(ranks, RS_TAG_STATUS, &got));
    rs_status status = (rs_status)rs_get_whole(&got.in);
    bool const same = rs_get_whole(&got.in) == about;
    const char *const host = rs_get_text(&got.in);
    const char *message = rs_get_text(&got.in);
    if (status == RS_OK && !same) {
        status = RS_EINPUT;
        message = "was started with another command line, program, model or kind of device "
                  "than rank 0";
    }
    note(w, got.from, status, host, message);
    free(got.data);
    return RS_OK;
}

static rs_status lead(rs_ranks *ranks, rs_status status, uint64_t about) {
    worst w = {.status = status};
    snprintf(w.message, sizeof w.message, "%s", rs_message());
    for (int i = 1; i < ranks->place.size; ++i) RS_TRY(hear(ranks, about, &w));
    for (int i = 1; i < ranks->place.size; ++i) {
        rs_message_out verdict = {0};
        rs_put_whole(&verdict, (uint64_t)w.status);
        rs_put_text(&verdict, w.message);
        RS_TRY(rs_ranks_send(ranks, i, RS_TAG_VERDICT, &verdict));
    }
    return w.status == RS_OK ? RS_OK : rs_fail(w.status, "%s", w.message);
}

static rs_status follow(rs_ranks *ranks, rs_status status, uint64_t about) {
    char host[RS_HOST_NAME];
    rs_message_out own = {0};
    rs_received got;
    rs_host_name(host);
    rs_put_whole(&own, (uint64_t)status);
    rs_put_whole(&own, about);
    rs_put_text(&own, host);
    rs_put_text(&own, status == RS_OK ? "" : rs_message());
    RS_TRY(rs_ranks_send(ranks, 0, RS_TAG_STATUS, &own));
    RS_TRY(rs_ranks_wait(ranks, RS_TAG_VERDICT, &got));
    rs_status const verdict = (rs_status)rs_get_whole(&got.in);
    if (verdict != RS_OK) rs_fail(verdict, "%s", rs_get_text(&got.in));
    free(got.data);
    return verdict;
}

rs_status rs_ranks_agree(rs_ranks *ranks, rs_status status, uint64_t about) {
    if (!rs_ranks_are_several(ranks)) return status;
    return ranks->place.rank == 0 ? lead(ranks, status, about) : follow(ranks, status, about);
}

/* ---- sharing --------------------------------------------------------------------------------- */

void rs_ranks_share(size_t n, int local, int locals, size_t *first, size_t *step) {
    *step = locals > 1 ? (size_t)locals : 1;
    *first = locals > 1 && n > 0 ? (size_t)local % n : 0;
}
