/* Launches under way: their order, their bound in number and bytes, and the end. */
#include "../host/sweep/queue.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { PLACES = 4, MAX_LAUNCHES = 400 };

#define STAGE(name) (1u << RS_STAGE_##name)

/* What enters: so many launches, of so many bytes each. */
typedef struct source {
    size_t next, launches;
    uint64_t bytes, making;
    size_t in_place[PLACES]; /* number of the launch that lies there */
} source;

static rs_queue_load fill(void *arg, size_t place) {
    source *from = arg;
    assert_true(place < PLACES);
    if (from->next == from->launches) return (rs_queue_load){0};
    from->in_place[place] = from->next++;
    return (rs_queue_load){.bytes = from->bytes, .making = from->making};
}

static void make(rs_queue *queue, source *from, uint64_t most_bytes) {
    assert_int_equal(rs_queue_make(queue, PLACES, most_bytes, fill, from), RS_OK);
}

static rs_ticket take(rs_queue *queue, unsigned stages) {
    rs_ticket ticket = {0};
    assert_int_equal(rs_queue_take(queue, stages, 0.0, &ticket), RS_TAKEN);
    return ticket;
}

static rs_taken look(rs_queue *queue, unsigned stages) {
    rs_ticket ticket;
    return rs_queue_take(queue, stages, 0.0, &ticket);
}

/* Takes a launch through a stage; returns its number. */
static size_t through(rs_queue *queue, const source *from, unsigned stages) {
    rs_ticket const ticket = take(queue, stages);
    size_t const launch = from->in_place[ticket.place];
    rs_queue_pass(queue, ticket);
    return launch;
}

/* Two launches may wait together, but only one of them be prepared at a time. */
static void test_bytes_for_making_are_free_once_it_is_made(void **state) {
    (void)state;
    source from = {.launches = 3, .bytes = 10, .making = 25};
    rs_queue queue;
    make(&queue, &from, 55);
    rs_ticket const first = take(&queue, STAGE(PREPARE));
    assert_int_equal(look(&queue, STAGE(PREPARE)), RS_TAKEN_LATER); /* 70 */
    rs_queue_pass(&queue, first);
    rs_ticket const second = take(&queue, STAGE(PREPARE)); /* 45 */
    rs_queue_pass(&queue, second);
    rs_ticket const third = take(&queue, STAGE(PREPARE)); /* 55 */
    rs_queue_pass(&queue, third);
    assert_int_equal(queue.bytes, 30);
    rs_queue_free(&queue);
}

static void test_a_launch_passes_every_stage(void **state) {
    (void)state;
    source from = {.launches = 1, .bytes = 1};
    rs_queue queue;
    make(&queue, &from, 1);
    for (unsigned stage = 0; stage < RS_N_STAGE; ++stage) {
        for (unsigned other = 0; other < RS_N_STAGE; ++other)
            if (other != stage)
                assert_int_equal(look(&queue, 1u << other),
                                 other < stage ? RS_TAKEN_NEVER : RS_TAKEN_LATER);
        assert_int_equal(through(&queue, &from, 1u << stage), 0);
    }
    for (unsigned stage = 0; stage < RS_N_STAGE; ++stage)
        assert_int_equal(look(&queue, 1u << stage), RS_TAKEN_NEVER);
    rs_queue_free(&queue);
}

static void test_nothing_to_do_is_over_at_once(void **state) {
    (void)state;
    source from = {0};
    rs_queue queue;
    make(&queue, &from, 1);
    for (unsigned stage = 0; stage < RS_N_STAGE; ++stage)
        assert_int_equal(look(&queue, 1u << stage), RS_TAKEN_NEVER);
    rs_queue_free(&queue);
}

/* The second launch is prepared first, and must wait. */
static void test_the_engine_sees_the_launches_in_order(void **state) {
    (void)state;
    source from = {.launches = 2, .bytes = 1};
    rs_queue queue;
    make(&queue, &from, 10);
    rs_ticket const first = take(&queue, STAGE(PREPARE)), second = take(&queue, STAGE(PREPARE));
    rs_queue_pass(&queue, second);
    assert_int_equal(look(&queue, STAGE(RUN)), RS_TAKEN_LATER);
    rs_queue_pass(&queue, first);
    assert_int_equal(through(&queue, &from, STAGE(RUN)), 0);
    assert_int_equal(through(&queue, &from, STAGE(RUN)), 1);
    assert_int_equal(look(&queue, STAGE(RUN)), RS_TAKEN_NEVER);
    rs_queue_free(&queue);
}

/* What another device is done with is finished, stored and followed by the next meanwhile. */
static void test_a_slow_device_holds_nobody_up(void **state) {
    (void)state;
    source from = {.launches = 9, .bytes = 1};
    rs_queue queue;
    make(&queue, &from, 100);
    for (size_t i = 0; i < PLACES; ++i) through(&queue, &from, STAGE(PREPARE));
    rs_ticket const slow = take(&queue, STAGE(RUN));
    for (size_t i = 1; i < 7; ++i) {
        assert_int_equal(through(&queue, &from, STAGE(RUN)), i);
        assert_int_equal(through(&queue, &from, STAGE(FINISH)), i);
        assert_int_equal(through(&queue, &from, STAGE(STORE)), i);
        if (i < 6) through(&queue, &from, STAGE(PREPARE));
    }
    rs_queue_pass(&queue, slow);
    assert_int_equal(through(&queue, &from, STAGE(FINISH)), 0);
    rs_queue_free(&queue);
}

/* A device that is lost gives its launch back: the others wait for it, and take it first. */
static void test_a_launch_that_is_returned_is_taken_again(void **state) {
    (void)state;
    source from = {.launches = 3, .bytes = 1};
    rs_queue queue;
    make(&queue, &from, 100);
    for (size_t i = 0; i < 3; ++i) through(&queue, &from, STAGE(PREPARE));
    rs_ticket const lost = take(&queue, STAGE(RUN));
    through(&queue, &from, STAGE(RUN));
    rs_queue_return(&queue, lost);
    assert_int_equal(through(&queue, &from, STAGE(RUN)), 0);
    rs_ticket const last = take(&queue, STAGE(RUN));
    assert_int_equal(look(&queue, STAGE(RUN)), RS_TAKEN_LATER); /* it may be returned too */
    assert_int_equal(look(&queue, STAGE(PREPARE)), RS_TAKEN_NEVER);
    rs_queue_pass(&queue, last);
    assert_int_equal(look(&queue, STAGE(RUN)), RS_TAKEN_NEVER);
    rs_queue_free(&queue);
}

static void test_finishing_comes_before_preparing(void **state) {
    (void)state;
    source from = {.launches = 3, .bytes = 1};
    rs_queue queue;
    make(&queue, &from, 10);
    unsigned const both = STAGE(PREPARE) | STAGE(FINISH);
    assert_int_equal(take(&queue, both).stage, RS_STAGE_PREPARE);
    rs_queue_pass(&queue, (rs_ticket){RS_STAGE_PREPARE, 0});
    through(&queue, &from, STAGE(RUN));
    assert_int_equal(take(&queue, both).stage, RS_STAGE_FINISH);
    assert_int_equal(take(&queue, both).stage, RS_STAGE_PREPARE);
    rs_queue_free(&queue);
}

static void test_as_many_are_under_way_as_there_are_places(void **state) {
    (void)state;
    source from = {.launches = 9, .bytes = 1};
    rs_queue queue;
    make(&queue, &from, 100);
    for (size_t i = 0; i < PLACES; ++i) through(&queue, &from, STAGE(PREPARE));
    assert_int_equal(look(&queue, STAGE(PREPARE)), RS_TAKEN_LATER);
    through(&queue, &from, STAGE(RUN));
    through(&queue, &from, STAGE(FINISH));
    assert_int_equal(look(&queue, STAGE(PREPARE)), RS_TAKEN_LATER);
    through(&queue, &from, STAGE(STORE));
    assert_int_equal(through(&queue, &from, STAGE(PREPARE)), PLACES);
    rs_queue_free(&queue);
}

static void test_as_many_are_under_way_as_there_are_bytes(void **state) {
    (void)state;
    source from = {.launches = 9, .bytes = 10};
    rs_queue queue;
    make(&queue, &from, 29);
    through(&queue, &from, STAGE(PREPARE));
    through(&queue, &from, STAGE(PREPARE));
    assert_int_equal(look(&queue, STAGE(PREPARE)), RS_TAKEN_LATER);
    through(&queue, &from, STAGE(RUN));
    through(&queue, &from, STAGE(FINISH));
    through(&queue, &from, STAGE(STORE));
    assert_int_equal(through(&queue, &from, STAGE(PREPARE)), 2);
    rs_queue_free(&queue);
}

static void test_one_launch_too_large_enters_alone(void **state) {
    (void)state;
    source from = {.launches = 2, .bytes = UINT64_MAX};
    rs_queue queue;
    make(&queue, &from, 5);
    for (size_t i = 0; i < 2; ++i) {
        assert_int_equal(through(&queue, &from, STAGE(PREPARE)), i);
        assert_int_not_equal(look(&queue, STAGE(PREPARE)), RS_TAKEN);
        through(&queue, &from, STAGE(RUN));
        through(&queue, &from, STAGE(FINISH));
        through(&queue, &from, STAGE(STORE));
    }
    rs_queue_free(&queue);
}

/* What has run is finished and stored; what was only prepared is not. */
static void test_closing_keeps_what_has_run(void **state) {
    (void)state;
    source from = {.launches = 9, .bytes = 1};
    rs_queue queue;
    make(&queue, &from, 100);
    for (size_t i = 0; i < 3; ++i) through(&queue, &from, STAGE(PREPARE));
    through(&queue, &from, STAGE(RUN));
    rs_ticket const running = take(&queue, STAGE(RUN));
    rs_queue_close(&queue);
    assert_int_equal(look(&queue, STAGE(PREPARE)), RS_TAKEN_NEVER);
    assert_int_equal(look(&queue, STAGE(RUN)), RS_TAKEN_NEVER);
    assert_int_equal(through(&queue, &from, STAGE(FINISH)), 0);
    assert_int_equal(look(&queue, STAGE(FINISH) | STAGE(PREPARE)), RS_TAKEN_LATER);
    rs_queue_pass(&queue, running);
    assert_int_equal(through(&queue, &from, STAGE(FINISH)), 1);
    assert_int_equal(look(&queue, STAGE(FINISH)), RS_TAKEN_NEVER);
    assert_int_equal(through(&queue, &from, STAGE(STORE)), 0);
    assert_int_equal(through(&queue, &from, STAGE(STORE)), 1);
    assert_int_equal(look(&queue, STAGE(STORE)), RS_TAKEN_NEVER);
    rs_queue_free(&queue);
}

static void test_abandoning_ends_the_wait_for_what_runs(void **state) {
    (void)state;
    source from = {.launches = 2, .bytes = 1};
    rs_queue queue;
    make(&queue, &from, 2);
    for (int i = 0; i < 2; ++i) through(&queue, &from, STAGE(PREPARE));
    through(&queue, &from, STAGE(RUN));
    rs_ticket const runs = take(&queue, STAGE(RUN));
    through(&queue, &from, STAGE(FINISH));
    rs_queue_close(&queue);
    assert_int_equal(look(&queue, STAGE(FINISH)), RS_TAKEN_LATER);
    rs_queue_abandon(&queue);
    assert_int_equal(look(&queue, STAGE(FINISH)), RS_TAKEN_NEVER);
    assert_int_equal(through(&queue, &from, STAGE(STORE)), 0); /* what is ready is still stored */
    assert_int_equal(look(&queue, STAGE(STORE)), RS_TAKEN_NEVER);
    rs_queue_pass(&queue, runs); /* the thread that was left behind */
    rs_queue_free(&queue);
}

static void test_waiting_ends_after_its_time(void **state) {
    (void)state;
    source from = {.launches = 1, .bytes = 1};
    rs_queue queue;
    rs_ticket ticket;
    make(&queue, &from, 1);
    assert_int_equal(rs_queue_take(&queue, STAGE(RUN), 0.02, &ticket), RS_TAKEN_LATER);
    rs_queue_free(&queue);
}

/* --- with threads ----------------------------------------------------------------------------- */

typedef struct crew {
    rs_queue queue;
    source from;
    size_t order[2][MAX_LAUNCHES]; /* in which engine and store saw the launches */
    size_t seen[2];
    atomic_size_t under_way, most_under_way;
} crew;

static void *helper(void *arg) {
    crew *c = arg;
    rs_ticket ticket;
    while (rs_queue_take(&c->queue, STAGE(PREPARE) | STAGE(FINISH), INFINITY, &ticket) ==
           RS_TAKEN) {
        if (ticket.stage == RS_STAGE_PREPARE) {
            size_t const now = atomic_fetch_add(&c->under_way, 1) + 1;
            size_t most = atomic_load(&c->most_under_way);
            while (now > most && !atomic_compare_exchange_weak(&c->most_under_way, &most, now))
                ;
        }
        if (ticket.place % 2) usleep(50); /* so that launches overtake each other */
        rs_queue_pass(&c->queue, ticket);
    }
    return NULL;
}

static void *in_order(crew *c, rs_stage stage, size_t which) {
    rs_ticket ticket;
    while (rs_queue_take(&c->queue, 1u << stage, INFINITY, &ticket) == RS_TAKEN) {
        c->order[which][c->seen[which]++] = c->from.in_place[ticket.place];
        if (stage == RS_STAGE_STORE) atomic_fetch_sub(&c->under_way, 1);
        rs_queue_pass(&c->queue, ticket);
    }
    return NULL;
}

static void *storing(void *arg) { return in_order(arg, RS_STAGE_STORE, 1); }

static void test_any_number_of_helpers_keeps_the_order(void **state) {
    (void)state;
    static crew c;
    for (size_t helpers = 1; helpers <= 5; ++helpers) {
        pthread_t thread[6];
        memset(&c, 0, sizeof c);
        c.from = (source){.launches = MAX_LAUNCHES, .bytes = 10};
        make(&c.queue, &c.from, 35);
        for (size_t i = 0; i < helpers; ++i)
            assert_int_equal(pthread_create(&thread[i], NULL, helper, &c), 0);
        assert_int_equal(pthread_create(&thread[helpers], NULL, storing, &c), 0);
        in_order(&c, RS_STAGE_RUN, 0);
        for (size_t i = 0; i <= helpers; ++i) assert_int_equal(pthread_join(thread[i], NULL), 0);
        bool stored[MAX_LAUNCHES] = {false};
        for (size_t which = 0; which < 2; ++which) assert_int_equal(c.seen[which], MAX_LAUNCHES);
        for (size_t i = 0; i < MAX_LAUNCHES; ++i) assert_int_equal(c.order[0][i], i);
        for (size_t i = 0; i < MAX_LAUNCHES; ++i) stored[c.order[1][i]] = true;
        for (size_t i = 0; i < MAX_LAUNCHES; ++i) assert_true(stored[i]);
        assert_in_range(atomic_load(&c.most_under_way), 1, 3); /* of 10 bytes in 35 */
        rs_queue_free(&c.queue);
    }
}

/* ---- guests and later launches --------------------------------------------------------------- */

static void enter(rs_queue *queue, uint64_t bytes, rs_ticket *ticket) {
    assert_int_equal(rs_queue_enter(queue, bytes, ticket), RS_TAKEN);
    assert_true(ticket->place >= PLACES);
}

/* It is stored, and nothing else is done with it. */
static void test_a_guest_is_stored(void **state) {
    (void)state;
    source from = {0};
    rs_queue queue;
    rs_ticket guest;
    make(&queue, &from, 10);
    assert_int_equal(look(&queue, STAGE(STORE)), RS_TAKEN_NEVER);
    assert_int_equal(rs_queue_invite(&queue, 2), RS_OK);
    assert_int_equal(look(&queue, STAGE(STORE)), RS_TAKEN_LATER);
    enter(&queue, 5, &guest);
    assert_int_equal(look(&queue, STAGE(STORE)), RS_TAKEN_LATER); /* it is not there yet */
    rs_queue_return(&queue, guest);
    for (unsigned stage = 0; stage < RS_STAGE_STORE; ++stage)
        assert_int_equal(look(&queue, 1u << stage), RS_TAKEN_NEVER);
    rs_queue_close(&queue);
    rs_ticket const ticket = take(&queue, STAGE(STORE));
    assert_int_equal(ticket.place, guest.place);
    rs_queue_pass(&queue, ticket);
    assert_int_equal(queue.bytes, 0);
    assert_int_equal(look(&queue, STAGE(STORE)), RS_TAKEN_LATER);
    rs_queue_dismiss(&queue);
    assert_int_equal(look(&queue, STAGE(STORE)), RS_TAKEN_NEVER);
    rs_queue_free(&queue);
}

static void test_guests_wait_for_room(void **state) {
    (void)state;
    source from = {.launches = 2, .bytes = 6};
    rs_queue queue;
    rs_ticket first, second;
    make(&queue, &from, 10);
    assert_int_equal(rs_queue_invite(&queue, 2), RS_OK);
    enter(&queue, 100, &first); /* one is always let in */
    assert_int_equal(rs_queue_enter(&queue, 1, &second), RS_TAKEN_LATER);
    rs_ticket const own = take(&queue, STAGE(PREPARE)); /* and so is one of our own */
    assert_int_equal(look(&queue, STAGE(PREPARE)), RS_TAKEN_LATER);
    rs_queue_return(&queue, first);
    rs_queue_pass(&queue, take(&queue, STAGE(STORE)));
    assert_int_equal(queue.bytes, 6);
    assert_int_equal(queue.guest_bytes, 0);
    enter(&queue, 2, &first);
    enter(&queue, 2, &second);
    assert_int_equal(rs_queue_enter(&queue, 0, &second), RS_TAKEN_LATER); /* no place */
    rs_queue_pass(&queue, own);
    rs_queue_abandon(&queue);
    assert_int_equal(rs_queue_enter(&queue, 1, &second), RS_TAKEN_NEVER);
    rs_queue_free(&queue);
}

/* Launches that come one by one, from elsewhere. */
typedef struct trickle {
    size_t ready;
    bool ended;
} trickle;

static rs_queue_load fill_later(void *arg, size_t place) {
    trickle *from = arg;
    (void)place;
    if (from->ready == 0) return (rs_queue_load){.later = !from->ended};
    --from->ready;
    return (rs_queue_load){.bytes = 1};
}

static void test_launches_may_come_later(void **state) {
    (void)state;
    trickle from = {0};
    rs_queue queue;
    assert_int_equal(rs_queue_make(&queue, PLACES, 10, fill_later, &from), RS_OK);
    for (unsigned stage = 0; stage < RS_N_STAGE; ++stage)
        assert_int_equal(look(&queue, 1u << stage), RS_TAKEN_LATER);
    from.ready = 1;
    rs_queue_refill(&queue);
    for (unsigned stage = 0; stage < RS_N_STAGE; ++stage)
        rs_queue_pass(&queue, take(&queue, 1u << stage));
    assert_int_equal(look(&queue, STAGE(STORE)), RS_TAKEN_LATER);
    from.ended = true;
    rs_queue_refill(&queue);
    for (unsigned stage = 0; stage < RS_N_STAGE; ++stage)
        assert_int_equal(look(&queue, 1u << stage), RS_TAKEN_NEVER);
    rs_queue_free(&queue);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_for_making_are_free_once_it_is_made),
        cmocka_unit_test(test_a_launch_passes_every_stage),
        cmocka_unit_test(test_nothing_to_do_is_over_at_once),
        cmocka_unit_test(test_a_guest_is_stored),
        cmocka_unit_test(test_guests_wait_for_room),
        cmocka_unit_test(test_launches_may_come_later),
        cmocka_unit_test(test_the_engine_sees_the_launches_in_order),
        cmocka_unit_test(test_a_slow_device_holds_nobody_up),
        cmocka_unit_test(test_a_launch_that_is_returned_is_taken_again),
        cmocka_unit_test(test_finishing_comes_before_preparing),
        cmocka_unit_test(test_as_many_are_under_way_as_there_are_places),
        cmocka_unit_test(test_as_many_are_under_way_as_there_are_bytes),
        cmocka_unit_test(test_one_launch_too_large_enters_alone),
        cmocka_unit_test(test_closing_keeps_what_has_run),
        cmocka_unit_test(test_abandoning_ends_the_wait_for_what_runs),
        cmocka_unit_test(test_waiting_ends_after_its_time),
        cmocka_unit_test(test_any_number_of_helpers_keeps_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
