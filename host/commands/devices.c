#include "devices.h"

#include "../../kernels/engine.h"

static void print_device(size_t index, const rs_device *device, FILE *out) {
    fprintf(out, "  device %zu   %s\n", index, device->name);
    if (device->driver[0]) fprintf(out, "  driver     %s\n", device->driver);
    if (device->abilities[0]) fprintf(out, "  abilities  %s\n", device->abilities);
    fprintf(out, "  memory     %.1f GiB free\n", (double)device->free_bytes * 0x1p-30);
}

static rs_status describe(const rs_engine *engine, FILE *out) {
    rs_device device = {0};
    rs_status status = engine->device(0, &device);
    if (status == RS_EINPUT) return status; /* a variable of the environment is wrong */
    fprintf(out, "%s\n", engine->name);
    if (status != RS_OK) fprintf(out, "  not usable: %s\n", rs_message());
    for (size_t i = 0; status == RS_OK; status = engine->device(++i, &device))
        print_device(i, &device, out);
    return RS_OK;
}

rs_status rs_devices(FILE *out) {
    for (const rs_engine *const *engine = rs_engines(); *engine; ++engine)
        RS_TRY(describe(*engine, out));
    fputs("\nrhosweep sweep --engine auto takes the first of them that is usable.\n", out);
    return RS_OK;
}
