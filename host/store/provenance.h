/* Where a run's results come from: versions, machine, command line. */
#ifndef RS_PROVENANCE_H
#define RS_PROVENANCE_H

#include "store.h"

enum { RS_LIBRARIES_TEXT = 512 };

/* All that the bits of an eigenvalue depend on is among them. */
void rs_describe_libraries(char out[RS_LIBRARIES_TEXT]);

/* Storage behind the strings of an rs_provenance. */
typedef struct rs_provenance_text {
    char libraries[RS_LIBRARIES_TEXT], system[256];
    char *spec;
} rs_provenance_text;

enum { RS_HOST_NAME = 128 };

/* The name of this machine, "unknown" where it has none. */
void rs_host_name(char out[RS_HOST_NAME]);

/* Fills *out but for the workers; its strings live in *text, *device and the arguments. Free with
 * rs_provenance_free in any case. */
rs_status rs_provenance_make(const rs_spec *spec, const rs_engine *engine, const rs_device *device,
                             uint64_t memory, const char *command_line, rs_provenance_text *text,
                             rs_provenance *out);
void rs_provenance_free(rs_provenance_text *text);

#endif
