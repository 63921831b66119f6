/* Ranks: what the environment says of a launcher, and who takes which devices. */
#include "../host/sweep/ranks.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS",
                                        "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"};
enum { N_VARIABLES = sizeof variables / sizeof *variables };

static int clear(void **state) {
    (void)state;
    for (size_t i = 0; i < N_VARIABLES; ++i) unsetenv(variables[i]);
    return 0;
}

static unsigned long launched_with(const char *variable, const char *value) {
    const char *named;
    clear(NULL);
    setenv(variable, value, 1);
    unsigned long const number = rs_ranks_launched(&named);
    assert_int_equal(named != NULL, number > 1);
    if (named) assert_string_equal(named, variable);
    return number;
}

static void test_a_launcher_says_how_many_it_started(void **state) {
    (void)state;
    const char *named = "";
    assert_int_equal(rs_ranks_launched(&named), 1);
    assert_null(named);
    for (size_t i = 0; i < N_VARIABLES - 1; ++i) {
        assert_int_equal(launched_with(variables[i], "3"), 3);
        assert_int_equal(launched_with(variables[i], "1"), 1);
        assert_int_equal(launched_with(variables[i], ""), 1);
        assert_int_equal(launched_with(variables[i], "many"), 1);
    }
}

static void test_a_batch_script_is_no_launcher(void **state) {
    (void)state;
    assert_int_equal(launched_with("SLURM_NTASKS", "64"), 1);
}

static void test_a_process_alone_loads_nothing(void **state) {
    (void)state;
    rs_ranks ranks;
    assert_int_equal(rs_ranks_begin(&ranks), RS_OK);
    assert_null(ranks.mpi);
    assert_true(rs_ranks_is_first(&ranks));
    assert_false(rs_ranks_are_several(&ranks));
    assert_int_equal(rs_ranks_agree(&ranks, RS_EDEVICE, 1), RS_EDEVICE);
    assert_int_equal(rs_ranks_agree(NULL, RS_OK, 1), RS_OK);
    rs_ranks_end(&ranks, RS_OK);
}

/* This program is not where the library is. */
static void test_without_the_library_copies_are_refused(void **state) {
    (void)state;
    rs_ranks ranks;
    setenv("PMI_SIZE", "2", 1);
    assert_int_equal(rs_ranks_begin(&ranks), RS_EINPUT);
    assert_null(ranks.mpi);
    assert_non_null(strstr(rs_message(), "2 processes were started (PMI_SIZE)"));
    assert_non_null(strstr(rs_message(), "this build has no MPI"));
}

/* How often each of `n` devices is taken by `locals` ranks. */
static void count(size_t n, int locals, size_t *taken) {
    memset(taken, 0, n * sizeof *taken);
    for (int local = 0; local < locals; ++local) {
        size_t first, step, own = 0;
        rs_ranks_share(n, local, locals, &first, &step);
        for (size_t i = first; i < n; i += step, ++own) ++taken[i];
        assert_true(own > 0);
        if ((size_t)locals > n) assert_int_equal(own, 1);
    }
}

static void test_every_device_has_its_rank(void **state) {
    (void)state;
    enum { MOST = 9 };
    size_t taken[MOST];
    for (size_t n = 1; n <= MOST; ++n)
        for (int locals = 1; locals <= 12; ++locals) {
            size_t const ranks = (size_t)locals;
            count(n, locals, taken);
            for (size_t i = 0; i < n; ++i) {
                if (ranks <= n)
                    assert_int_equal(taken[i], 1);
                else
                    assert_in_range(taken[i], ranks / n, ranks / n + 1);
            }
        }
}

static void test_devices_go_round(void **state) {
    (void)state;
    size_t first, step;
    rs_ranks_share(8, 1, 3, &first, &step); /* 1, 4, 7 */
    assert_int_equal(first, 1);
    assert_int_equal(step, 3);
    rs_ranks_share(2, 3, 4, &first, &step); /* 1 alone */
    assert_int_equal(first, 1);
    assert_true(first + step >= 2);
    rs_ranks_share(4, 0, 0, &first, &step); /* a process alone */
    assert_int_equal(first, 0);
    assert_int_equal(step, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_launcher_says_how_many_it_started, clear),
        cmocka_unit_test_setup(test_a_batch_script_is_no_launcher, clear),
        cmocka_unit_test_setup(test_a_process_alone_loads_nothing, clear),
        cmocka_unit_test_setup(test_without_the_library_copies_are_refused, clear),
        cmocka_unit_test_setup(test_every_device_has_its_rank, clear),
        cmocka_unit_test_setup(test_devices_go_round, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
