/* rhosweep plot: decay rates over the radius, drawn with characters. */
#ifndef RS_PLOT_H
#define RS_PLOT_H

#include "../../kernels/base/status.h"

#include <stddef.h>
#include <stdio.h>

typedef enum rs_plot_axis { RS_PLOT_RHO, RS_PLOT_G, RS_N_PLOT_AXIS } rs_plot_axis;

/* "rho", "g"; NULL behind the last. */
const char *rs_plot_axis_name(size_t i);

/* RS_EINPUT for another word. */
rs_status rs_plot_parse_axis(const char *word, rs_plot_axis *out);

/* Draws a plot for each kind of network in the database, as wide as the terminal; networks with
 * one radius get a line of text. In braille where the locale has UTF-8; in colour on a terminal
 * without NO_COLOR. RS_EINPUT where there is no rate to draw. */
rs_status rs_plot(const char *path, rs_plot_axis x, FILE *out);

/* The same, with nothing drawn for a database of more kinds than fit a screen, or of none. */
rs_status rs_plot_few(const char *path, FILE *out);

#endif
