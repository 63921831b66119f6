/* Runs a check on every engine of the build, in every way that it can be run here. */
#ifndef EACH_ENGINE_H
#define EACH_ENGINE_H

#include "../kernels/engine.h"

typedef void (*engine_check)(const rs_engine *engine);

/* Every engine but the reference: the CPU's on each instruction set, CUDA's as it chooses and by
 * each path. RHOSWEEP_TEST_ENGINE leaves one of them, which must then be usable: nothing passes by
 * being absent. */
void for_each_engine(engine_check run);

/* A path that was asked for need not take every shape; the engine as it chooses must. */
bool takes(const rs_engine *engine, const rs_shape *shape);

/* Engine, path and sizes, for messages. */
void describe(const rs_engine *engine, const rs_shape *shape, char text[160]);

/* RHOSWEEP_TEST_SMALL thins the shapes out, for runs that are slowed down many times over. */
bool few_shapes(void);
bool fewest_shapes(void); /* and where it is 2, tests */

#endif
