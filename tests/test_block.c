/* A block deals out what it measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../kernels/base/block.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 };

typedef struct parts {
    char *first, *none, *second;
    double *third;
} parts;

static parts lay_out(rs_block *block) {
    parts p;
    p.first = rs_block_take(block, 1, 1);
    p.none = rs_block_take(block, 0, sizeof(double));
    p.second = rs_block_take(block, 3, ALIGNMENT);
    p.third = rs_block_take(block, 9, sizeof(double));
    return p;
}

static void test_measures(void **state) {
    (void)state;
    rs_block block = rs_block_measure(ALIGNMENT);
    parts const p = lay_out(&block);
    assert_null(p.first);
    assert_null(p.none);
    assert_null(p.second);
    assert_null(p.third);
    assert_int_equal(block.used, ALIGNMENT + 3 * ALIGNMENT + 2 * ALIGNMENT);
}

static void test_deals_what_it_measured(void **state) {
    (void)state;
    rs_block measured = rs_block_measure(ALIGNMENT);
    (void)lay_out(&measured);
    char *const memory = aligned_alloc(ALIGNMENT, measured.used);
    assert_non_null(memory);
    rs_block dealt = rs_block_deal(memory, ALIGNMENT);
    parts const p = lay_out(&dealt);
    assert_int_equal(dealt.used, measured.used);
    assert_ptr_equal(p.first, memory);
    assert_ptr_equal(p.none, memory + ALIGNMENT);
    assert_ptr_equal(p.second, memory + ALIGNMENT);
    assert_ptr_equal(p.third, memory + 4 * ALIGNMENT);
    free(memory);
}

/* Without gaps, for arrays of one type. */
static void test_alignment_of_an_item(void **state) {
    (void)state;
    double memory[5];
    rs_block block = rs_block_deal(memory, sizeof(double));
    assert_ptr_equal(rs_block_take(&block, 3, sizeof(double)), memory);
    assert_ptr_equal(rs_block_take(&block, 2, sizeof(double)), memory + 3);
    assert_int_equal(block.used, sizeof memory);
}

static uint64_t used_by(uint64_t count, uint64_t size, uint64_t more) {
    rs_block block = rs_block_measure(ALIGNMENT);
    (void)rs_block_take(&block, count, size);
    (void)rs_block_take(&block, 1, more);
    return block.used;
}

/* What does not fit into 64 bits never looks small, whichever step leaves them. */
static void test_saturates(void **state) {
    (void)state;
    uint64_t const half = UINT64_C(1) << 63;
    assert_true(used_by(half, 2, 0) == UINT64_MAX);           /* the product */
    assert_true(used_by(1, UINT64_MAX - 1, 0) == UINT64_MAX); /* the rounding */
    assert_true(used_by(1, half, half) == UINT64_MAX);        /* the sum */
    assert_true(used_by(UINT64_MAX, 1, 1) == UINT64_MAX);     /* and it stays there */
    assert_true(used_by(1, half, half - 2 * ALIGNMENT) == UINT64_MAX - 2 * ALIGNMENT + 1);
}

static void test_round_up(void **state) {
    (void)state;
    assert_int_equal(rs_size_round_up(0, 256), 0);
    assert_int_equal(rs_size_round_up(1, 256), 256);
    assert_int_equal(rs_size_round_up(256, 256), 256);
    assert_int_equal(rs_size_round_up(257, 3), 258);
    assert_true(rs_size_round_up(UINT64_MAX - 255, 256) == UINT64_MAX - 255);
    assert_true(rs_size_round_up(UINT64_MAX - 254, 256) == UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measures),
        cmocka_unit_test(test_deals_what_it_measured),
        cmocka_unit_test(test_alignment_of_an_item),
        cmocka_unit_test(test_saturates),
        cmocka_unit_test(test_round_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
