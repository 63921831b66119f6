/* keys: the one table of the keys of a spec file and the options of rhosweep sweep. */
#ifndef RS_KEYS_H
#define RS_KEYS_H

#include "kinds.h"

/* All keys, in the order of --help; *n receives their number, at most RS_MAX_KEYS. */
const rs_spec_key *rs_spec_keys(size_t *n);

/* Index of the key with that name or alias, or RS_MAX_KEYS. */
size_t rs_key_find(const char *name);

/* RS_EINPUT: there is no key `name`. */
rs_status rs_key_unknown(const char *name);

rs_status rs_key_set(const rs_spec_key *key, rs_spec *spec, const char *value);
void rs_key_print(const rs_spec_key *key, FILE *out, const rs_spec *spec);

/* False where the spec has none: no path was given. */
bool rs_key_has_value(const rs_spec_key *key, const rs_spec *spec);

/* Frees what the spec owns of it; the spec has no value then. */
void rs_key_free(const rs_spec_key *key, rs_spec *spec);

#endif
