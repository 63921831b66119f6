/* Prints the lines of tests/golden/engine_bits.txt: to make that file anew where bits are meant to
 * change, and for scripts/check-neon, which compares them. */
#include "engine_bits.h"

#include <stdio.h>

int main(void) {
    for (size_t i = 0; i < engine_bits_cases(); ++i) {
        char line[128];
        engine_bits_line(i, line);
        puts(line);
    }
    return 0;
}
