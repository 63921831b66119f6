/* message: bytes that one rank sends another. Both run the same program on the same kind of
 * processor, so numbers are sent as they lie in memory. */
#ifndef RS_MESSAGE_H
#define RS_MESSAGE_H

#include "../../kernels/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message that is being written; all zeros begins one. The bytes are the caller's to free. */
typedef struct rs_message_out {
    unsigned char *data;
    size_t size, room;
    bool failed; /* there was no memory; nothing of it is to be sent */
} rs_message_out;

void rs_put(rs_message_out *message, const void *bytes, size_t size);
void rs_put_whole(rs_message_out *message, uint64_t value);
void rs_put_real(rs_message_out *message, double value);
void rs_put_text(rs_message_out *message, const char *text); /* NULL is "" */

/* A message that is being read. What is beyond its end reads as zeros, and marks it as failed. */
typedef struct rs_message_in {
    const unsigned char *at;
    size_t left;
    bool failed;
} rs_message_in;

void rs_get(rs_message_in *message, void *bytes, size_t size);
uint64_t rs_get_whole(rs_message_in *message);
double rs_get_real(rs_message_in *message);

/* A number of things of at least `each` bytes that follow; 0, and failed, where they cannot. */
size_t rs_get_count(rs_message_in *message, size_t each);

/* Within the message, "" where it fails. */
const char *rs_get_text(rs_message_in *message);

/* RS_EIO unless it was read to its end, and no further. */
rs_status rs_get_end(const rs_message_in *message);

#endif
