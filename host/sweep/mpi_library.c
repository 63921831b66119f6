#include "mpi_library.h"

#include <mpi.h>
#include <sched.h>
#include <stdlib.h>

static MPI_Datatype block;

/* Ranks of this machine that may use a processor which this one may use. */
static int count_sharing(MPI_Comm machine, int locals) {
    cpu_set_t own, both;
    if (sched_getaffinity(0, sizeof own, &own) != 0) return locals;
    cpu_set_t *const all = calloc((size_t)locals, sizeof *all);
    if (!all) return locals;
    MPI_Allgather(&own, sizeof own, MPI_BYTE, all, sizeof own, MPI_BYTE, machine);
    int sharing = 0;
    for (int i = 0; i < locals; ++i) {
        CPU_AND(&both, &own, &all[i]);
        sharing += CPU_COUNT(&both) > 0;
    }
    free(all);
    return sharing > 0 ? sharing : 1;
}

static void find_place(rs_mpi_place *out) {
    MPI_Comm machine;
    MPI_Comm_rank(MPI_COMM_WORLD, &out->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &out->size);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, out->rank, MPI_INFO_NULL, &machine);
    MPI_Comm_rank(machine, &out->local);
    MPI_Comm_size(machine, &out->locals);
    out->sharing = count_sharing(machine, out->locals);
    MPI_Comm_free(&machine);
}

static bool begin(rs_mpi_place *out) {
    int level;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS ||
        level < MPI_THREAD_FUNNELED)
        return false;
    MPI_Type_contiguous(RS_MPI_BLOCK, MPI_BYTE, &block);
    MPI_Type_commit(&block);
    find_place(out);
    return true;
}

/* Synchronous: what is not received yet waits here, not in MPI's buffers there. */
static void *send_blocks(int to, int tag, const void *data, size_t blocks) {
    MPI_Request *const sending = malloc(sizeof *sending);
    if (sending) MPI_Issend(data, (int)blocks, block, to, tag, MPI_COMM_WORLD, sending);
    return sending;
}

static bool is_sent(void *sending) {
    int sent;
    MPI_Test(sending, &sent, MPI_STATUS_IGNORE);
    if (sent) free(sending);
    return sent != 0;
}

static bool probe(int tag, int *from, size_t *blocks) {
    MPI_Status status;
    int there, count;
    MPI_Iprobe(MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, &there, &status);
    if (!there) return false;
    MPI_Get_count(&status, block, &count);
    *from = status.MPI_SOURCE;
    *blocks = (size_t)count;
    return true;
}

static void receive(int from, int tag, void *data, size_t blocks) {
    MPI_Recv(data, (int)blocks, block, from, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void finish(void) {
    MPI_Type_free(&block);
    MPI_Finalize();
}

static void end_job(int exit_code) { MPI_Abort(MPI_COMM_WORLD, exit_code); }

const rs_mpi rs_mpi_table = {
    .begin = begin,
    .send = send_blocks,
    .sent = is_sent,
    .probe = probe,
    .receive = receive,
    .finish = finish,
    .end_job = end_job,
};
