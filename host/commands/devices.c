#include "devices.h"

#include "../../kernels/engine.h"
#include "../store/provenance.h"

#include <stdlib.h>

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

/* ---- many machines --------------------------------------------------------------------------- */

/* As text to be freed. */
static rs_status list(char **text) {
    size_t size;
    FILE *const out = open_memstream(text, &size);
    if (!out) return rs_fail(RS_EMEMORY, "devices: out of memory");
    rs_status const status = rs_devices(out);
    return fclose(out) == 0 ? status : rs_fail(RS_EMEMORY, "devices: out of memory");
}

static rs_status send_list(rs_ranks *ranks, const char *text) {
    char host[RS_HOST_NAME];
    rs_message_out message = {0};
    rs_host_name(host);
    rs_put_text(&message, host);
    rs_put_text(&message, text);
    return rs_ranks_send(ranks, 0, RS_TAG_FACTS, &message);
}

static rs_status receive_lists(rs_ranks *ranks, rs_received *of) {
    for (int i = 1; i < ranks->place.size; ++i) {
        rs_received got;
        RS_TRY(rs_ranks_wait(ranks, RS_TAG_FACTS, &got));
        of[got.from] = got;
    }
    return RS_OK;
}

static rs_status print_lists(rs_ranks *ranks, const char *own, FILE *out) {
    char host[RS_HOST_NAME];
    rs_received *const of = calloc((size_t)ranks->place.size, sizeof *of);
    if (!of) return rs_fail(RS_EMEMORY, "devices: out of memory");
    rs_host_name(host);
    fprintf(out, "rank 0 on %s\n\n%s", host, own);
    rs_status const status = receive_lists(ranks, of);
    for (int i = 1; i < ranks->place.size; ++i) {
        const char *const other = rs_get_text(&of[i].in);
        fprintf(out, "\nrank %d on %s\n\n%s", i, other, rs_get_text(&of[i].in));
        free(of[i].data);
    }
    free(of);
    return status;
}

rs_status rs_devices_among(rs_ranks *ranks, FILE *out) {
    if (!rs_ranks_are_several(ranks)) return rs_devices(out);
    char *own = NULL;
    rs_status status = rs_ranks_agree(ranks, list(&own), 0);
    if (status == RS_OK)
        status = rs_ranks_is_first(ranks) ? print_lists(ranks, own, out) : send_list(ranks, own);
    free(own);
    return status;
}
