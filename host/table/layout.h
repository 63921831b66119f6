/* layout: which columns a reader sees, in what order and where. */
#ifndef RS_TABLE_LAYOUT_H
#define RS_TABLE_LAYOUT_H

#include "writer.h"

/* Notes what a row looks like. RS_EMEMORY. */
rs_status rs_layout_look(sink *to, const cell *row);

/* Chooses the columns, after all rows have been looked at. What is the same in every row becomes a
 * constant; where a line has no room for the rest, the least useful columns are left out, of these
 * the last first, of a range both ends, and long texts are cut. */
void rs_layout_choose(sink *to, const writer *writer);

/* Shows every column. */
void rs_layout_all(sink *to);

/* Shows the columns of `list`, names with commas between them, in that order. RS_EINPUT for a name
 * that the table does not have, and for one that comes twice. */
rs_status rs_layout_list(sink *to, const char *list);

void rs_layout_free(sink *to);

#endif
