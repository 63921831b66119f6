/* rates: the tables decay and critical as curves over the radius, for the plot in the terminal. */
#ifndef RS_RATES_H
#define RS_RATES_H

#include "../plan/case.h"
#include "../table/reading.h"

typedef struct rs_mean_rate {
    double rho, g, rate; /* means over seeds */
} rs_mean_rate;

/* A number, and how tables for reading show it with its interval. */
typedef struct rs_shown {
    double value; /* NaN for none */
    char text[RS_READING_TEXT];
} rs_shown;

/* Networks of one size over the radius. */
typedef struct rs_rate_line {
    int64_t hidden, steps;
    rs_mean_rate *point; /* [n] with a rate, ascending by radius */
    size_t n, room;
    rs_shown first_rate; /* of point 0 */
    rs_shown rho, g;     /* where they turn */
    rs_shown g_predicted;
} rs_rate_line;

/* Networks that differ in size, radius and seed alone. */
typedef struct rs_rate_kind {
    char *setting[RS_MAX_IDENTITY]; /* of rs_identity_columns(); NULL for those named above */
    char *model;                    /* name of its file, or "" */
    rs_rate_line *line;             /* [n] */
    size_t n, room;
} rs_rate_kind;

typedef struct rs_rates {
    rs_rate_kind *kind; /* [n] in the order of the tables */
    size_t n, room, latest;
} rs_rates;

/* Reads all that have a rate. Freed with rs_rates_free in any case. */
rs_status rs_rates_read(rs_store *store, rs_rates *out);
void rs_rates_free(rs_rates *rates);

/* "tanh, gaussian, input noise:0.5": cell and ensemble, and the settings in which kinds differ. */
void rs_rates_print_kind(const rs_rates *rates, size_t i, FILE *out);

#endif
