/* libFuzzer target: any bytes as a spec file. What is accepted and checked must print as a spec
 * that reads back as the same. */
#include "../host/spec/spec.h"

#include <stdlib.h>
#include <string.h>

static void expect(bool truth) {
    if (!truth) abort();
}

static void check_round_trip(const rs_spec *spec) {
    rs_spec again;
    char *text, *same;
    expect(rs_spec_print(spec, &text) == RS_OK);
    expect(rs_spec_init(&again) == RS_OK);
    expect(rs_spec_parse(&again, text, strlen(text), "printed") == RS_OK);
    expect(rs_spec_check(&again) == RS_OK);
    expect(rs_spec_print(&again, &same) == RS_OK);
    expect(strcmp(text, same) == 0);
    expect(strcmp(spec->output, again.output) == 0);
    expect(!spec->model || strcmp(spec->model, again.model) == 0);
    free(text);
    free(same);
    rs_spec_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rs_spec spec;
    expect(rs_spec_init(&spec) == RS_OK);
    rs_status const status = rs_spec_parse(&spec, (const char *)data, size, "fuzz");
    expect(status == RS_OK || (status == RS_EINPUT && *rs_message()));
    if (status == RS_OK && rs_spec_check(&spec) == RS_OK) check_round_trip(&spec);
    rs_spec_free(&spec);
    return 0;
}
