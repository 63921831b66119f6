/* mpi_library: what the sweep needs of MPI, as a table of functions. Only mpi_library.c calls MPI.
 * It is a library of its own, rhosweep_mpi.so, which ranks.c loads where a launcher has started
 * several processes; so the program itself needs no MPI, neither to be built nor to run.
 *
 * Messages are whole numbers of blocks, because MPI counts in an int: so they may have 128 GiB. An
 * error of MPI ends the job, with MPI's message. */
#ifndef RS_MPI_LIBRARY_H
#define RS_MPI_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

enum { RS_MPI_BLOCK = 64 }; /* bytes */

typedef struct rs_mpi_place {
    int rank, size;
    int local, locals; /* rank and number of ranks on this machine */
    int sharing;       /* of them, those that may use some of this one's processors; at least 1 */
} rs_mpi_place;

/* All of them on the thread that called begin. */
typedef struct rs_mpi {
    /* False where MPI does not start. */
    bool (*begin)(rs_mpi_place *out);
    /* Begins to send; the data must stay until `sent` says that they have been received. NULL where
     * there is no memory for it. */
    void *(*send)(int to, int tag, const void *data, size_t blocks);
    bool (*sent)(void *sending); /* once true, `sending` is gone */
    /* Whether a message with the tag waits to be received. */
    bool (*probe)(int tag, int *from, size_t *blocks);
    void (*receive)(int from, int tag, void *data, size_t blocks);
    void (*finish)(void); /* waits for all ranks to do so */
    void (*end_job)(int exit_code);
} rs_mpi;

#define RS_MPI_SYMBOL "rs_mpi_table"
extern const rs_mpi rs_mpi_table;

#endif
