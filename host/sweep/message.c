#include "message.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 256 };

/* ---- writing --------------------------------------------------------------------------------- */

static bool make_room(rs_message_out *message, size_t size) {
    size_t room = message->room ? message->room : FIRST_ROOM;
    while (room - message->size < size) room *= 2;
    if (room == message->room) return true;
    unsigned char *const data = realloc(message->data, room);
    if (!data) return false;
    message->data = data;
    message->room = room;
    return true;
}

void rs_put(rs_message_out *message, const void *bytes, size_t size) {
    if (size == 0 || message->failed) return;
    message->failed = !make_room(message, size);
    if (message->failed) return;
    memcpy(message->data + message->size, bytes, size);
    message->size += size;
}

void rs_put_whole(rs_message_out *message, uint64_t value) {
    rs_put(message, &value, sizeof value);
}

void rs_put_real(rs_message_out *message, double value) { rs_put(message, &value, sizeof value); }

void rs_put_text(rs_message_out *message, const char *text) {
    if (!text) text = "";
    rs_put(message, text, strlen(text) + 1);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void fail(rs_message_in *message) {
    message->failed = true;
    message->left = 0;
}

void rs_get(rs_message_in *message, void *bytes, size_t size) {
    if (size == 0) return;
    if (size > message->left) {
        fail(message);
        memset(bytes, 0, size);
        return;
    }
    memcpy(bytes, message->at, size);
    message->at += size;
    message->left -= size;
}

uint64_t rs_get_whole(rs_message_in *message) {
    uint64_t value;
    rs_get(message, &value, sizeof value);
    return value;
}

double rs_get_real(rs_message_in *message) {
    double value;
    rs_get(message, &value, sizeof value);
    return value;
}

size_t rs_get_count(rs_message_in *message, size_t each) {
    uint64_t const count = rs_get_whole(message);
    if (count <= message->left / each) return (size_t)count;
    fail(message);
    return 0;
}

const char *rs_get_text(rs_message_in *message) {
    const unsigned char *const end = message->left ? memchr(message->at, 0, message->left) : NULL;
    if (!end) {
        fail(message);
        return "";
    }
    const char *const text = (const char *)message->at;
    message->left -= (size_t)(end - message->at) + 1;
    message->at = end + 1;
    return text;
}

rs_status rs_get_end(const rs_message_in *message) {
    if (!message->failed && message->left == 0) return RS_OK;
    return rs_fail(RS_EIO, "MPI: a message of another rank is damaged");
}
