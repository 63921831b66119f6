#include "devices.h"

#include "../../kernels/engine.h"

static rs_status describe(const rs_engine *engine, FILE *out) {
    rs_device device = {0};
    rs_status const status = engine->device(&device);
    if (status == RS_EINPUT) return status; /* a variable of the environment is wrong */
    fprintf(out, "%s\n", engine->name);
    if (status != RS_OK) {
        fprintf(out, "  not usable: %s\n", rs_message());
        return RS_OK;
    }
    fprintf(out, "  device     %s\n", device.name);
    if (device.driver[0]) fprintf(out, "  driver     %s\n", device.driver);
    if (device.abilities[0]) fprintf(out, "  abilities  %s\n", device.abilities);
    fprintf(out, "  memory     %.1f GiB free\n", (double)device.free_bytes * 0x1p-30);
    return RS_OK;
}

rs_status rs_devices(FILE *out) {
    for (const rs_engine *const *engine = rs_engines(); *engine; ++engine)
        RS_TRY(describe(*engine, out));
    fputs("\nrhosweep sweep --engine auto takes the first of them that is usable.\n", out);
    return RS_OK;
}
