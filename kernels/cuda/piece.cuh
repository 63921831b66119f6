/* A piece of a job, as it runs on the device: its memory, what is sent, and what comes back. */
#ifndef RS_CUDA_PIECE_CUH
#define RS_CUDA_PIECE_CUH

#include "path.cuh"

/* Some radii, or some samples of one radius: columns that stand together in every row. */
struct piece {
    rs_shape shape;
    size_t first_radius, first_sample; /* among the job's */
};

/* Page-locked memory of the host, in two halves that take turns: copies from and to pageable memory
 * would wait for the stream. */
static const size_t PINNED_HALF = 512 << 10; /* bytes */
struct pinned {
    unsigned char *memory; /* [2][PINNED_HALF] */
    size_t half, used;     /* what is filled next */
    cudaEvent_t copied[2]; /* nothing is copied from or to the half any more */
};

/* When a piece's parts were done, on its lane's stream: `start` comes once the passes of other
 * lanes are over. */
struct marks {
    cudaEvent_t send, sent, start, middle, end, receive, received;
};

/* Where pieces run, one after the other. */
struct lane {
    path_context context;
    const cuda_path *last; /* whose state the context holds */
    unsigned char *memory; /* dealt out anew for every piece */
    uint64_t size;
    pinned host;
    marks mark;
};

/* Bytes of a lane's memory that a piece takes; UINT64_MAX where it is too large for one launch. */
rs_status piece_bytes(const device_limits *limits, const rs_shape *shape, uint64_t *out);

/* All three queue work on the lane's stream, on whose device the calling thread must be; the last
 * one then waits for it. What is sent may be changed as soon as piece_send is back. */
rs_status piece_send(lane *on, const rs_job *job, const piece *p);
rs_status piece_run(lane *on, const piece *p, bool back); /* one pass */
rs_status piece_receive(lane *on, const rs_job *job, const piece *p, rs_profile *out);

#endif
