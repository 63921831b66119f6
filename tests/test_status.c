/* The status type: one line per failure, relayed upward, one exit code for each. */
#include "../kernels/base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

static void test_fail_records_and_returns(void **state) {
    (void)state;
    assert_int_equal(rs_fail(RS_EINPUT, "hidden: %d is below %s", 0, "1"), RS_EINPUT);
    assert_string_equal(rs_message(), "hidden: 0 is below 1");
    assert_int_equal(rs_fail(RS_EIO, "later"), RS_EIO);
    assert_string_equal(rs_message(), "later");
}

static void test_fail_may_quote_the_last_message(void **state) {
    (void)state;
    rs_fail(RS_EIO, "disk full");
    assert_int_equal(rs_fail(RS_ESTORE, "store: %s, %s", rs_message(), rs_message()), RS_ESTORE);
    assert_string_equal(rs_message(), "store: disk full, disk full");
}

static void test_fail_in_puts_the_context_first(void **state) {
    (void)state;
    rs_fail(RS_EINPUT, "\"x\" is not a number");
    assert_int_equal(rs_fail_in(RS_EINPUT, "%s", "rho"), RS_EINPUT);
    assert_int_equal(rs_fail_in(RS_EMEMORY, "a.ini:%d", 7), RS_EMEMORY);
    assert_string_equal(rs_message(), "a.ini:7: rho: \"x\" is not a number");
}

static void test_fail_in_leaves_success_alone(void **state) {
    (void)state;
    rs_fail(RS_EIO, "before");
    assert_int_equal(rs_fail_in(RS_OK, "context"), RS_OK);
    assert_string_equal(rs_message(), "before");
}

static void test_message_is_one_line(void **state) {
    (void)state;
    rs_fail(RS_EIO, "a\nb%s", "\r\nc");
    assert_string_equal(rs_message(), "a b  c");
    rs_fail_in(RS_EIO, "file\n1");
    assert_string_equal(rs_message(), "file 1: a b  c");
}

static void test_a_terminal_obeys_nothing_in_a_message(void **state) {
    (void)state;
    rs_fail(RS_EINPUT, "a\033[2Jb\tc\x7f\xc2\x9b\xc3\xa9\xc2\xa0");
    assert_string_equal(rs_message(), "a?[2Jb?c???\xc3\xa9\xc2\xa0");
}

static void test_long_message_is_cut(void **state) {
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    rs_fail(RS_EIO, "start %s", text);
    assert_true(strncmp(rs_message(), "start xxx", 9) == 0);
    size_t const most = strlen(rs_message());
    assert_true(most >= 255 && most < sizeof text);
    rs_fail_in(RS_EIO, "%s", text); /* both parts too long: something of each is left */
    assert_int_equal(strlen(rs_message()), most);
    assert_non_null(strstr(rs_message(), "x: start x"));
}

static void *fail_in_thread(void *first) {
    strcpy(first, rs_message());
    rs_fail(RS_EIO, "of the thread");
    return NULL;
}

static void test_message_belongs_to_the_thread(void **state) {
    (void)state;
    char first[2048] = "unset";
    pthread_t thread;
    rs_fail(RS_EIO, "of main");
    assert_int_equal(pthread_create(&thread, NULL, fail_in_thread, first), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(first, "");
    assert_string_equal(rs_message(), "of main");
}

static rs_status step(rs_status status, int *calls) {
    ++*calls;
    return status;
}

static rs_status two_steps(rs_status first, int *calls) {
    RS_TRY(step(first, calls));
    RS_TRY(step(RS_OK, calls));
    return RS_OK;
}

static void test_try_relays_the_first_failure(void **state) {
    (void)state;
    int calls = 0;
    assert_int_equal(two_steps(RS_EDEVICE, &calls), RS_EDEVICE);
    assert_int_equal(calls, 1);
    assert_int_equal(two_steps(RS_OK, &calls), RS_OK);
    assert_int_equal(calls, 3);
}

static void test_exit_codes(void **state) {
    (void)state;
    static int const expected[RS_N_STATUS] = {
        [RS_OK] = 0,     [RS_EINPUT] = 2,  [RS_EMEMORY] = 1,       [RS_EIO] = 1,
        [RS_ESTORE] = 1, [RS_EDEVICE] = 1, [RS_EINTERRUPTED] = 130};
    for (int status = 0; status < RS_N_STATUS; ++status)
        assert_int_equal(rs_exit_code((rs_status)status), expected[status]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_records_and_returns),
        cmocka_unit_test(test_fail_may_quote_the_last_message),
        cmocka_unit_test(test_fail_in_puts_the_context_first),
        cmocka_unit_test(test_fail_in_leaves_success_alone),
        cmocka_unit_test(test_message_is_one_line),
        cmocka_unit_test(test_a_terminal_obeys_nothing_in_a_message),
        cmocka_unit_test(test_long_message_is_cut),
        cmocka_unit_test(test_message_belongs_to_the_thread),
        cmocka_unit_test(test_try_relays_the_first_failure),
        cmocka_unit_test(test_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
