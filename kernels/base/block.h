/* A block of memory and the parts that it is dealt out in. One walk over the parts serves both
 * purposes, to measure and to deal, so the two cannot disagree:
 *
 *     rs_block block = rs_block_measure(64);
 *     lay_out(&shape, &block);               block.used bytes are wanted
 *     block = rs_block_deal(memory, 64);
 *     lay_out(&shape, &block);               the same parts, in `memory`, which begins on such a
 *                                            boundary */
#ifndef RS_BLOCK_H
#define RS_BLOCK_H

#include "sizes.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct rs_block {
    unsigned char *memory;
    bool measures;      /* there is no memory */
    uint64_t alignment; /* of every part, in bytes */
    uint64_t used;      /* bytes of the parts so far, each rounded up to the alignment */
} rs_block;

static inline rs_block rs_block_measure(uint64_t alignment) {
    rs_block const block = {NULL, true, alignment, 0};
    return block;
}

static inline rs_block rs_block_deal(void *memory, uint64_t alignment) {
    rs_block const block = {(unsigned char *)memory, false, alignment, 0};
    return block;
}

/* The next part, `count` things of `size` bytes; NULL while measuring. A sum or product beyond 64
 * bits leaves `used` at UINT64_MAX, which no memory has. */
static inline void *rs_block_take(rs_block *block, uint64_t count, uint64_t size) {
    void *const part = block->measures ? NULL : block->memory + block->used;
    uint64_t const bytes = rs_size_round_up(rs_size_mul(count, size), block->alignment);
    block->used = rs_size_add(block->used, bytes);
    return part;
}

#endif
