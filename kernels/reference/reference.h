/* The reference engine: plain C, naive loops, double arithmetic. It is the definition that every
 * other engine is judged against. With precision f32 its inputs are rounded to float as every f32
 * engine rounds them, and the arithmetic is still double. */
#ifndef RS_REFERENCE_H
#define RS_REFERENCE_H

#include "../engine.h"

extern const rs_engine rs_engine_reference;

#endif
