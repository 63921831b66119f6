/* A piece of a pass, as it runs on the device: its memory, what is sent, and what comes back. */
#ifndef RS_CUDA_PIECE_CUH
#define RS_CUDA_PIECE_CUH

#include "clock.cuh"
#include "path.cuh"
#include "transfer.cuh"
#include "weights.cuh"

/* Some radii, or some samples of one radius: columns that are neighbours in every row. With
 * gradients all samples of a radius, over which they are sums. */
struct piece {
    rs_shape shape;
    size_t first_radius, first_sample; /* among the pass's */
};

/* When a piece's parts were done, on its lane's stream: `start` comes once the passes of other
 * lanes are over. */
struct marks {
    cudaEvent_t send, sent, start, forward, tangents, backward, end, receive, received;
};

/* How the weights at the beginning of a lane's memory were packed. */
struct packing {
    uint64_t load; /* the number of the weights; 0 where there are none */
    rs_precision precision;
    int forward_padded, backward_padded;
    const unsigned char *memory;
};

/* Where pieces run, one after the other. */
struct lane {
    path_context context;
    channel host;          /* on the same stream */
    unsigned char *memory; /* dealt out anew for every piece, the packed weights first */
    uint64_t size;
    packing packed;
    marks mark;
    part_clock qr; /* times the QRs of tangents */
};

/* Bytes of a lane's memory that a piece takes; UINT64_MAX where it is too large for one launch. */
rs_status piece_bytes(const device_limits *limits, const rs_shape *shape, uint64_t *out);

/* All of these queue work on the lane's stream, on whose device the calling thread must be; the
 * last one then waits for it. What is sent may be changed as soon as piece_send is back. */
rs_status piece_send(lane *on, const loaded_weights *weights, const rs_pass *pass, const piece *p);
rs_status piece_run(lane *on, const piece *p, bool back);               /* one pass */
rs_status piece_tangents(lane *on, const piece *p, double *qr_seconds); /* between both */
rs_status piece_gradients(lane *on, const piece *p); /* of the weights, behind both */
rs_status piece_receive(lane *on, const rs_pass *pass, const piece *p, rs_record *out);

#endif
