/* spec: what the user asks for, from an INI file and the command line. Strict: every value
 * is understood or refused with RS_EINPUT, and the file and the options go through one setter. */
#ifndef RS_SPEC_H
#define RS_SPEC_H

#include "keys.h"

/* Fills *spec with the defaults. The caller frees it with rs_spec_free in any case. */
rs_status rs_spec_init(rs_spec *spec);
void rs_spec_free(rs_spec *spec);

/* Sets one key. `value` is NULL for a switch given as an option. RS_EINPUT names the key, the
 * value and what would be understood; the spec then keeps its earlier value. */
rs_status rs_spec_set(rs_spec *spec, const char *key, const char *value, rs_source source);

/* Reads the [sweep] section of an INI file. RS_EINPUT with file and line for anything unknown,
 * a key given twice, another section, or a file that cannot be read. */
rs_status rs_spec_load(rs_spec *spec, const char *path);

/* The same from text of `length` bytes, `name` standing for the file in messages (for tests). */
rs_status rs_spec_parse(rs_spec *spec, const char *text, size_t length, const char *name);

/* Checks what no single key can: model against ensemble, fit_skip against steps, keys that need
 * another cell, sizes whose product overflows. Call it once, after the last rs_spec_set. */
rs_status rs_spec_check(const rs_spec *spec);

/* Checks the keys that some cells alone have a use for against the cells of the sweep, which a
 * model may settle; a part of rs_spec_check where it does not. */
rs_status rs_spec_check_cells(const rs_spec *spec, const rs_cell *cell, size_t n);

/* Cases of a cell that differ in nothing but what it has of gate biases or leaks. */
size_t rs_spec_variants(const rs_spec *spec, rs_cell cell);

/* True when `key` was set by a file or an option. */
bool rs_spec_given(const rs_spec *spec, const char *key);

/* The spec as an INI file that reproduces it, keys in a fixed order, numbers exact; the caller
 * frees *text. Output, threads, memory and quiet are included: it is provenance. */
rs_status rs_spec_print(const rs_spec *spec, char **text);

#endif
