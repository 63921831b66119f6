/* spectra: what the tables of exponents and singular values have in common: arrays of a point,
 * which come from an inner statement, as rows or as a summary. */
#ifndef RS_TABLE_SPECTRA_H
#define RS_TABLE_SPECTRA_H

#include "definition.h"

enum { RS_SPECTRUM_ARRAYS = 3 };

/* The arrays of the row that the outer statement has come to. */
typedef struct rs_spectrum {
    const char *array[RS_SPECTRUM_ARRAYS]; /* [n] doubles each, unaligned, borrowed from the inner
                                              statement; NULL where the database has none */
    size_t n, at;                          /* numbers; those that have been rows */
    size_t all;                            /* S H of the case: as many as there can be */
} rs_spectrum;

/* Goes on to the next row of the outer statement and binds its columns from `first` behind the
 * table's on to the inner one's parameters, `keys` of them. *more is false where there is none. */
rs_status rs_spectrum_next(source *from, int keys, size_t arrays, rs_spectrum *out, bool *more);

/* Likewise, but only once all numbers of the present one have been rows. */
rs_status rs_spectrum_next_number(source *from, int keys, size_t arrays, rs_spectrum *out,
                                  bool *more);

/* Number i of an array; NaN where the array is not there. */
double rs_spectrum_value(const rs_spectrum *of, size_t array, size_t i);

/* Columns that these tables share. */
#define SPECTRA_NAMES                                                                              \
    {"rho",                                                                                        \
     REAL,                                                                                         \
     ALWAYS,                                                                                       \
     NAMES,                                                                                        \
     "p.rho",                                                                                      \
     "$\\rho$",                                                                                    \
     "spectral radius of W_hh: measured, not the one asked for"},                                  \
        {"g",                                                                                      \
         REAL,                                                                                     \
         ALWAYS,                                                                                   \
         NAMES,                                                                                    \
         "p.g",                                                                                    \
         "$g$",                                                                                    \
         "coupling, the Frobenius norm of W_hh over sqrt(hidden)"},                                \
        {"seed", UNSIGNED, ALWAYS, NAMES, "c.seed", NULL, "seed of the weights and inputs"}, {     \
        "transient", WHOLE, IF_VARIES, NAMES, "x.transient", NULL,                                 \
            "steps before the recorded ones in which tangents were carried too"                    \
    }
#define SPECTRA_TAIL                                                                               \
    {"qr_asked",                                                                                   \
     WHOLE,                                                                                        \
     NEVER,                                                                                        \
     NAMES,                                                                                        \
     "x.qr_asked",                                                                                 \
     NULL,                                                                                         \
     "steps between two QRs as asked for; 0: chosen by their spread"},                             \
    {                                                                                              \
        "rho_asked", REAL, NEVER, NAMES, "p.rho_asked", NULL,                                      \
            "spectral radius asked for; empty for W_hh as drawn or imported"                       \
    }

#endif
