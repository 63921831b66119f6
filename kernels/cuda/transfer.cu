#include "transfer.cuh"

#include "check.cuh"

#include <string.h>

namespace {

/* Bytes [offset, offset + bytes) of rows of `width` bytes, `pitch` apart, seen as one after the
 * other: between their places and `packed`. */
void move_rows(unsigned char *rows, size_t width, size_t pitch, size_t offset, size_t bytes,
               unsigned char *packed, bool to_rows) {
    while (bytes > 0) {
        size_t const at = offset % width, some = width - at < bytes ? width - at : bytes;
        unsigned char *const row = rows + offset / width * pitch + at;
        memcpy(to_rows ? row : packed, to_rows ? packed : row, some);
        packed += some;
        offset += some;
        bytes -= some;
    }
}

unsigned char *half_of(const channel *c, size_t half) { return c->memory + half * PINNED_HALF; }

/* The other half, once nothing is copied from it any more. */
rs_status turn_over(channel *c) {
    CUDA_TRY(cudaEventRecord(c->copied[c->half], c->stream));
    c->half ^= 1;
    c->used = 0;
    CUDA_TRY(cudaEventSynchronize(c->copied[c->half]));
    return RS_OK;
}

} // namespace

rs_status send_rows(channel *c, const void *from, size_t width, size_t pitch, size_t rows,
                    void *to) {
    size_t const all = width * rows;
    for (size_t done = 0, some; done < all; done += some) {
        if (c->used == PINNED_HALF) RS_TRY(turn_over(c));
        size_t const room = PINNED_HALF - c->used;
        some = all - done < room ? all - done : room;
        unsigned char *const here = half_of(c, c->half) + c->used;
        move_rows((unsigned char *)from, width, pitch, done, some, here, false);
        CUDA_TRY(cudaMemcpyAsync((unsigned char *)to + done, here, some, cudaMemcpyHostToDevice,
                                 c->stream));
        c->used += some;
    }
    return RS_OK;
}

rs_status receive_rows(channel *c, const void *from, void *to, size_t width, size_t pitch,
                       size_t rows) {
    size_t const all = width * rows, parts = (all + PINNED_HALF - 1) / PINNED_HALF;
    for (size_t part = 0; part <= parts; ++part) {
        size_t const begin = part * PINNED_HALF;
        if (part < parts) {
            size_t const some = all - begin < PINNED_HALF ? all - begin : PINNED_HALF;
            CUDA_TRY(cudaMemcpyAsync(half_of(c, part % 2), (const unsigned char *)from + begin,
                                     some, cudaMemcpyDeviceToHost, c->stream));
            CUDA_TRY(cudaEventRecord(c->copied[part % 2], c->stream));
        }
        if (part == 0) continue;
        size_t const before = begin - PINNED_HALF;
        size_t const some = all - before < PINNED_HALF ? all - before : PINNED_HALF;
        CUDA_TRY(cudaEventSynchronize(c->copied[(part - 1) % 2]));
        move_rows((unsigned char *)to, width, pitch, before, some, half_of(c, (part - 1) % 2),
                  true);
    }
    return RS_OK;
}

rs_status send_numbers(channel *c, const double *from, size_t count, double *to) {
    size_t const bytes = count * sizeof *from;
    return send_rows(c, from, bytes, bytes, 1, to);
}
