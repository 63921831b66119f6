/* The fast CPU engine: W0 packed once for all columns, tiles of columns that stay in cache through
 * all steps, forward and backward of a tile in one go, threads over tiles. */
#ifndef RS_CPU_H
#define RS_CPU_H

#include "../engine.h"

extern const rs_engine rs_engine_cpu;

#endif
