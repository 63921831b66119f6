/* What the progress display prints, and when. Its clock is turned back instead of waited for. */
#include "../host/sweep/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* stderr goes into a file between these two. */
typedef struct capture {
    FILE *file;
    int kept;
    char text[4096];
} capture;

static void begin(capture *c) {
    fflush(stderr);
    c->file = tmpfile();
    c->kept = dup(STDERR_FILENO);
    assert_true(c->file && c->kept >= 0);
    assert_true(dup2(fileno(c->file), STDERR_FILENO) >= 0);
}

static const char *end(capture *c) {
    fflush(stderr);
    dup2(c->kept, STDERR_FILENO);
    close(c->kept);
    rewind(c->file);
    size_t const length = fread(c->text, 1, sizeof c->text - 1, c->file);
    c->text[length] = '\0';
    fclose(c->file);
    return c->text;
}

/* As if it had started, and printed last, so many seconds ago. */
static void let_pass(rs_progress *p, double seconds) {
    p->started -= seconds;
    p->last -= seconds;
}

static size_t count(const char *text, const char *part) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, part)); ++at) ++n;
    return n;
}

static void test_quiet_says_nothing(void **state) {
    (void)state;
    capture c;
    rs_progress p;
    begin(&c);
    rs_progress_start(&p, true, 2, 10.0);
    let_pass(&p, 100.0);
    rs_progress_update(&p, 5.0);
    rs_progress_points(&p, 1, 5.0);
    rs_progress_end(&p);
    assert_string_equal(end(&c), "");
    assert_int_equal(p.points_done, 1);
}

static void test_what_ends_at_once_shows_nothing(void **state) {
    (void)state;
    capture c;
    rs_progress p;
    begin(&c);
    rs_progress_start(&p, false, 1, 10.0);
    rs_progress_update(&p, 5.0);
    rs_progress_points(&p, 1, 10.0);
    rs_progress_end(&p);
    assert_string_equal(end(&c), "");
}

static void test_a_line_where_there_is_no_terminal(void **state) {
    (void)state;
    capture c;
    rs_progress p;
    begin(&c);
    rs_progress_start(&p, false, 4, 10.0); /* stderr is a file here */
    let_pass(&p, 3725.0);
    rs_progress_points(&p, 1, 5.0);
    assert_string_equal(end(&c), "rhosweep:  50%  1 of 4 points, 0.000268/s, 1:02:05 left\n");
}

static void test_lines_keep_their_distance(void **state) {
    (void)state;
    capture c;
    rs_progress p;
    begin(&c);
    rs_progress_start(&p, false, 4, 10.0);
    let_pass(&p, 2.0);
    rs_progress_update(&p, 1.0);
    rs_progress_update(&p, 2.0); /* at once: not shown */
    let_pass(&p, 4.0);
    rs_progress_update(&p, 3.0); /* 4 seconds later: not shown */
    let_pass(&p, 2.0);
    rs_progress_update(&p, 4.0);
    const char *text = end(&c);
    assert_int_equal(count(text, "\n"), 2);
    assert_non_null(strstr(text, " 10%"));
    assert_non_null(strstr(text, " 40%"));
}

static void test_a_bar_on_a_terminal(void **state) {
    (void)state;
    capture c;
    rs_progress p;
    begin(&c);
    rs_progress_start(&p, false, 8, 4.0);
    p.terminal = true;
    let_pass(&p, 100.0);
    rs_progress_update(&p, 2.0);
    rs_progress_update(&p, 2.1); /* at once: not shown */
    const char *text = end(&c);
    assert_string_equal(text,
                        "\r\033[K[############............]  50%  0 of 8 points, 0/s, 1:40 left");
}

static void test_a_bar_goes_on_ten_times_a_second(void **state) {
    (void)state;
    capture c;
    rs_progress p;
    begin(&c);
    rs_progress_start(&p, false, 8, 4.0);
    p.terminal = true;
    let_pass(&p, 10.0);
    for (int i = 0; i < 5; ++i) {
        rs_progress_update(&p, 1.0);
        let_pass(&p, 0.11);
    }
    assert_int_equal(count(end(&c), "\r\033[K["), 5);
}

static void test_the_bar_goes_at_the_end(void **state) {
    (void)state;
    capture c;
    rs_progress p;
    begin(&c);
    rs_progress_start(&p, false, 1, 1.0);
    p.terminal = true;
    let_pass(&p, 10.0);
    rs_progress_points(&p, 1, 1.0);
    rs_progress_end(&p);
    rs_progress_end(&p); /* again: nothing is left to wipe */
    const char *text = end(&c);
    size_t const length = strlen(text);
    assert_non_null(strstr(text, "[########################] 100%  1 of 1 points"));
    assert_string_equal(text + length - 4, "\r\033[K");
    assert_int_equal(count(text, "\r\033[K"), 2);
}

static void test_a_remark_does_not_tear_the_bar(void **state) {
    (void)state;
    capture c;
    rs_progress p;
    begin(&c);
    rs_progress_start(&p, false, 2, 1.0);
    p.terminal = true;
    let_pass(&p, 10.0);
    rs_progress_update(&p, 0.5);
    rs_progress_say(&p, "case %d failed", 3);
    const char *text = end(&c);
    const char *remark = strstr(text, "\r\033[Kcase 3 failed\n\r\033[K[####");
    assert_non_null(remark);
    assert_int_equal(count(text, "50%"), 2);
}

static void test_a_remark_comes_even_when_quiet(void **state) {
    (void)state;
    capture c;
    rs_progress p;
    begin(&c);
    rs_progress_start(&p, true, 2, 1.0);
    rs_progress_say(&p, "case %d failed", 3);
    assert_string_equal(end(&c), "case 3 failed\n");
}

static void test_odd_amounts_of_work(void **state) {
    (void)state;
    static const struct {
        double total, done, elapsed;
        const char *part, *left;
    } odd[] = {
        {0.0, 0.0, 10.0, "100%", "0:00 left"}, /* nothing to do */
        {1.0, 0.0, 10.0, "  0%", "? left"},    /* no rate yet */
        {1.0, 1.5, 10.0, "100%", "0:00 left"}, /* more than was thought */
        {1e300, 1.0, 10.0, "  0%", "? left"},  /* not in a lifetime */
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; ++i) {
        capture c;
        rs_progress p;
        begin(&c);
        rs_progress_start(&p, false, 1, odd[i].total);
        let_pass(&p, odd[i].elapsed);
        rs_progress_update(&p, odd[i].done);
        const char *text = end(&c);
        assert_non_null(strstr(text, odd[i].part));
        assert_non_null(strstr(text, odd[i].left));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet_says_nothing),
        cmocka_unit_test(test_what_ends_at_once_shows_nothing),
        cmocka_unit_test(test_a_line_where_there_is_no_terminal),
        cmocka_unit_test(test_lines_keep_their_distance),
        cmocka_unit_test(test_a_bar_on_a_terminal),
        cmocka_unit_test(test_a_bar_goes_on_ten_times_a_second),
        cmocka_unit_test(test_the_bar_goes_at_the_end),
        cmocka_unit_test(test_a_remark_does_not_tear_the_bar),
        cmocka_unit_test(test_a_remark_comes_even_when_quiet),
        cmocka_unit_test(test_odd_amounts_of_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
