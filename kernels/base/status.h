/* One status type for the whole project. It is relayed upward with RS_TRY; only main() exits. */
#ifndef RS_STATUS_H
#define RS_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum rs_status {
    RS_OK,
    RS_EINPUT,       /* bad usage or bad input: the caller must change what they asked for */
    RS_EMEMORY,      /* out of memory, on the host or on a device */
    RS_EIO,          /* a file could not be read or written */
    RS_ESTORE,       /* the results database refused: locked, full, read-only */
    RS_EDEVICE,      /* a device failed or was lost */
    RS_EINTERRUPTED, /* the user asked to stop */
    RS_N_STATUS
} rs_status;

/* Records "what: why" for the calling thread and returns `status`, so that a failure is one line:
 *     return rs_fail(RS_EINPUT, "hidden: must be at least 1");
 * A later failure replaces the message. Line breaks in the result are turned into spaces. */
rs_status rs_fail(rs_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " before the recorded message and returns `status`. Does nothing for RS_OK. */
rs_status rs_fail_in(rs_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The message of this thread's last failure; "" if there was none. Valid until the next failure. */
const char *rs_message(void);

/* Exit code of the command line: 0 done, 1 run-time failure, 2 bad input, 130 interrupted. */
int rs_exit_code(rs_status status);

#ifdef __clang_analyzer__
/* The static analyzer sees one file at a time: tell it that what is given is what is returned. */
#define rs_fail(status, ...)    ((void)rs_fail(status, __VA_ARGS__), (status))
#define rs_fail_in(status, ...) ((void)rs_fail_in(status, __VA_ARGS__), (status))
#endif

/* Returns from the calling function with the status of `call` unless it is RS_OK. */
#define RS_TRY(call)                                                                               \
    do {                                                                                           \
        rs_status rs_try_ = (call);                                                                \
        if (rs_try_ != RS_OK) return rs_try_;                                                      \
    } while (0)

#ifdef __cplusplus
}
#endif

#endif
