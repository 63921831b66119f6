/* Settings of a sweep, as a command line would give them. */
#ifndef RS_BENCH_SETTING_H
#define RS_BENCH_SETTING_H

#include "../host/spec/spec.h"

/* Sets one key of the spec to a text made as by printf. */
__attribute__((format(printf, 3, 4))) rs_status rs_bench_set(rs_spec *spec, const char *key,
                                                             const char *format, ...);

#endif
