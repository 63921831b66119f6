#include "fake_mpi.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* On its way until it is received; freed by the one who asks whether it was sent. */
typedef struct parcel {
    struct parcel *next;
    int from, to, tag;
    unsigned char *data;
    size_t blocks;
    bool received;
} parcel;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static parcel *first;
static _Thread_local int own_rank;

void (*fake_mpi_meddle)(int from, int tag, unsigned char *data, size_t blocks);

int fake_mpi_rank(void) { return own_rank; }

static bool begin(rs_mpi_place *out) {
    (void)out;
    return true;
}

static void *send_blocks(int to, int tag, const void *data, size_t blocks) {
    parcel *const sent = calloc(1, sizeof *sent);
    unsigned char *const copy = malloc(blocks * RS_MPI_BLOCK);
    memcpy(copy, data, blocks * RS_MPI_BLOCK);
    if (fake_mpi_meddle) fake_mpi_meddle(own_rank, tag, copy, blocks);
    *sent = (parcel){.from = own_rank, .to = to, .tag = tag, .data = copy, .blocks = blocks};
    pthread_mutex_lock(&lock);
    parcel **at = &first;
    while (*at) at = &(*at)->next;
    *at = sent;
    pthread_mutex_unlock(&lock);
    return sent;
}

static bool is_sent(void *sending) {
    parcel *const sent = sending;
    pthread_mutex_lock(&lock);
    bool const received = sent->received;
    pthread_mutex_unlock(&lock);
    if (received) free(sent);
    return received;
}

/* Where the oldest message for this rank hangs that has the tag, of this rank or of any. */
static parcel **find(int from, int tag) {
    parcel **at = &first;
    while (*at &&
           ((*at)->to != own_rank || (*at)->tag != tag || (from >= 0 && (*at)->from != from)))
        at = &(*at)->next;
    return at;
}

static bool probe(int tag, int *from, size_t *blocks) {
    pthread_mutex_lock(&lock);
    const parcel *const found = *find(-1, tag);
    if (found) {
        *from = found->from;
        *blocks = found->blocks;
    }
    pthread_mutex_unlock(&lock);
    return found != NULL;
}

static void receive(int from, int tag, void *data, size_t blocks) {
    pthread_mutex_lock(&lock);
    parcel **const at = find(from, tag);
    parcel *const found = *at;
    *at = found->next;
    memcpy(data, found->data, blocks * RS_MPI_BLOCK);
    free(found->data);
    found->received = true;
    pthread_mutex_unlock(&lock);
}

static void finish(void) {}

static void end_job(int exit_code) { (void)exit_code; }

static const rs_mpi table = {
    .begin = begin,
    .send = send_blocks,
    .sent = is_sent,
    .probe = probe,
    .receive = receive,
    .finish = finish,
    .end_job = end_job,
};

typedef struct process {
    pthread_t thread;
    rs_ranks ranks;
    void (*body)(rs_ranks *ranks, void *arg);
    void *arg;
} process;

static void *live(void *arg) {
    process *const p = arg;
    own_rank = p->ranks.place.rank;
    p->body(&p->ranks, p->arg);
    rs_ranks_end(&p->ranks, RS_OK);
    return NULL;
}

/* Each of them is on a machine of its own. */
void fake_mpi_run(int size, void (*body)(rs_ranks *ranks, void *arg), void *arg) {
    process p[FAKE_MPI_RANKS] = {0};
    for (int i = 0; i < size; ++i) {
        p[i] = (process){.body = body, .arg = arg};
        p[i].ranks =
            (rs_ranks){.mpi = &table,
                       .place = {.rank = i, .size = size, .local = 0, .locals = 1, .sharing = 1}};
        pthread_create(&p[i].thread, NULL, live, &p[i]);
    }
    for (int i = 0; i < size; ++i) pthread_join(p[i].thread, NULL);
}
