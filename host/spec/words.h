/* words: the text of single values, read and printed. A value is understood or refused with
 * RS_EINPUT; what a parser writes to is changed by success alone. */
#ifndef RS_WORDS_H
#define RS_WORDS_H

#include "../../kernels/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { RS_MAX_VALUES = 100000 };                 /* of a list */
enum { RS_REAL_TEXT = 32, RS_WORDS_TEXT = 256 }; /* room for the text of a double, of words */

/* Cuts blanks off both ends, in place. */
char *rs_trim(char *text);

/* strdup() with a status. */
rs_status rs_duplicate(const char *text, char **out);

/* The name closest to a mistyped word, or NULL where none is close. */
const char *rs_nearest_word(const char *word, const char *const *names, size_t n);

/* What an errno of opening a file is: RS_EINPUT where the name is wrong or nothing has it, RS_EIO
 * where the machine refuses: permissions, disks, limits. */
rs_status rs_errno_status(int error);

/* ---- one value ---- */

/* RS_EINPUT: `word` is none of names [n]. */
rs_status rs_fail_word(const char *word, const char *const *names, size_t n);
rs_status rs_parse_word(const char *word, const char *const *names, size_t n, size_t *out);

/* The same with a list as a function: its i-th word, NULL behind the last. */
typedef const char *rs_word_list(size_t i);
rs_status rs_fail_listed(const char *word, rs_word_list *list);
rs_status rs_parse_listed(const char *word, rs_word_list *list, size_t *out);

/* Fills the names of a list, of which there are fewer; returns their number. */
enum { RS_MOST_WORDS = 32 };
size_t rs_list_words(rs_word_list *list, const char *names[RS_MOST_WORDS]);

/* Decimal digits only: no sign, no exponent, no blanks. */
rs_status rs_parse_whole(const char *text, uint64_t least, uint64_t most, uint64_t *out);

/* A finite decimal number above 0; "nan", "inf" and hexadecimal are not. */
rs_status rs_parse_positive(const char *text, double *out);

/* Bytes, as a whole number of at least 1 or as a number with K, M, G, T and "iB" or without. */
rs_status rs_parse_size(const char *value, uint64_t most, uint64_t *out);

/* yes, no, true or false. NULL, a switch that is given as an option, is yes. */
rs_status rs_parse_switch(const char *value, bool *on);

/* Replaces *path, which is freed, by a copy. */
rs_status rs_parse_path(const char *value, char **path);

/* ---- lists: a,b,c, each a number, start:stop or start:stop:step, both ends included ---- */

/* Replace *at, which is freed, by [n] numbers, ascending and none twice: reals above 0, or whole
 * numbers within the limits. */
rs_status rs_parse_reals(const char *value, double **at, size_t *n);
rs_status rs_parse_signed_reals(const char *value, double **at, size_t *n); /* of either sign, 0 */
rs_status rs_parse_wholes(const char *value, uint64_t least, uint64_t most, uint64_t **at,
                          size_t *n);

/* A LIST of words; chosen [n] starts as false. */
rs_status rs_parse_words(const char *value, const char *const *names, size_t n, bool *chosen);

/* ---- printing ---- */

/* "1 byte", "2048 bytes", "9781760 bytes (9.3 MiB)". */
enum { RS_BYTES_TEXT = 48 };
const char *rs_bytes_text(uint64_t bytes, char buffer[RS_BYTES_TEXT]);

/* The shortest decimal that reads back as the same double. */
const char *rs_real_text(double value, char buffer[RS_REAL_TEXT]);

/* "a, b, c"; what does not fit is cut off. */
const char *rs_words_text(const char *const *names, size_t n, char buffer[RS_WORDS_TEXT]);

/* Between entries i - 1 and i of a list. It goes on in the next line after some commas, so that no
 * line grows too long to be read. */
void rs_print_separator(FILE *out, size_t i);

/* Text without control characters, in quotes and over several lines where a file needs that. */
void rs_print_text(FILE *out, const char *text);

/* Numbers at equal distances as a range. */
void rs_print_wholes(FILE *out, const uint64_t *at, size_t n);

#endif
