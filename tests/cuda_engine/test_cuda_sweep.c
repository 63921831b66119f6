/* A whole sweep by the CUDA engine on two devices of the CPU runner: the tables of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../host/store/store.h"
#include "../../host/sweep/pipeline.h"
#include "../../host/table/table.h"
#include "../../kernels/cuda/cuda.h"
#include "../cuda_on_cpu/cuda_on_cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A folder of its own, the current one. */
static int enter_folder(void **state) {
    static char path[] = "/tmp/rhosweep-XXXXXX";
    *state = path;
    return mkdtemp(path) && chdir(path) == 0 ? 0 : 1;
}

static int leave_folder(void **state) {
    unlink("one.db");
    unlink("two.db");
    return rmdir(*state);
}

static void sweep(const char *output, size_t devices) {
    static const char *const pairs[] = {
        "quiet", "yes",       "hidden", "10,70",   "steps",    "6",      "batch", "3",
        "seeds", "0:5",       "rho",    "0.5,1,2", "loss",     "random", "input", "noise:0.5",
        "cell",  "tanh,lstm", "memory", "4M",      "lyapunov", "2"};
    rs_spec spec;
    rs_sweep_outcome outcome;
    assert_int_equal(rs_spec_init(&spec), RS_OK);
    assert_int_equal(rs_spec_set(&spec, "output", output, RS_FROM_OPTION), RS_OK);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i += 2)
        assert_int_equal(rs_spec_set(&spec, pairs[i], pairs[i + 1], RS_FROM_OPTION), RS_OK);
    rs_cuda_on_cpu_set_devices((int)devices);
    if (rs_sweep_on(&rs_engine_cuda, &spec, "rhosweep sweep", &outcome) != RS_OK)
        fail_msg("%s", rs_message());
    assert_int_equal(outcome.workers, devices);
    assert_int_equal(outcome.done, outcome.cases);
    rs_spec_free(&spec);
}

static char *table(const char *path, const char *name) {
    rs_table_request const asked = {.name = name, .format = RS_CSV};
    rs_store *store;
    char *text = NULL;
    size_t length;
    FILE *const out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_int_equal(rs_store_open_readonly(path, &store), RS_OK);
    assert_int_equal(rs_table_write(store, &asked, out), RS_OK);
    rs_store_close(store);
    fclose(out);
    return text;
}

static void test_two_devices_give_the_tables_of_one(void **state) {
    static const char *const names[] = {"profile", "decay", "seeds", "critical", "lyapunov"};
    (void)state;
    sweep("one.db", 1);
    sweep("two.db", 2);
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        char *const one = table("one.db", names[i]), *const two = table("two.db", names[i]);
        assert_string_equal(one, two);
        assert_non_null(strchr(one, '\n'));
        free(one);
        free(two);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_devices_give_the_tables_of_one, enter_folder,
                                        leave_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
