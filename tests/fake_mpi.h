/* MPI without processes: ranks are threads of the test program. */
#ifndef RS_TEST_FAKE_MPI_H
#define RS_TEST_FAKE_MPI_H

#include "../host/sweep/ranks.h"

enum { FAKE_MPI_RANKS = 3 };

/* Runs the body in a thread for each of `size` ranks, and waits for all. */
void fake_mpi_run(int size, void (*body)(rs_ranks *ranks, void *arg), void *arg);

/* Rank of the calling thread. */
int fake_mpi_rank(void);

/* Changes messages on their way: called with each; NULL to leave them as they are. */
extern void (*fake_mpi_meddle)(int from, int tag, unsigned char *data, size_t blocks);

#endif
