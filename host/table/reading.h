/* reading: cells as readers want them: numbers rounded, with their uncertainty.
 *
 * A number with a 95% interval is rounded to the second significant digit of the interval's half
 * width, the practice of CODATA and the default of siunitx: 0.0459(93) is 0.0459 +- 0.0093. The
 * digits in parentheses are in units of the last digit; from 1 on they keep their point, 12.3(1.1),
 * and whole digits that are not known are zeros, 1230(120). An interval with ends of its own is
 * 1.557 [1.553, 1.561], all three to the first digit of half its length, and to the second where
 * that is below 3.55, the rule of the Particle Data Group; an end that is 0 or inf has no digits.
 * Below 1e-4 and from 1e6 on a power of ten follows: 1.58(38)e-07. A number without an interval has
 * four significant digits, and so has one whose interval is of no length, 0.6931(0), or below its
 * ninth digit. */
#ifndef RS_TABLE_READING_H
#define RS_TABLE_READING_H

#include "../spec/words.h"
#include "definition.h"

enum { RS_READING_TEXT = 5 * RS_REAL_TEXT };

/* The text of cell i of a row: its own, or its number printed into buffer. */
const char *rs_reading_text(const table *of, const cell *row, size_t i,
                            char buffer[RS_READING_TEXT]);

#endif
