/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The numbers in the records of links, clients and vMotions name the objects that the pointers beside them point to, and lists
 * are in the order of these numbers. */

#include <sys/socket.h>
#include <utlist.h>

#include "harness.h"

#include "concentrator.h"
#include "console/client.h"
#include "console/console-vmotion.h"
#include "console/identification.h"

#define PEERS_MAX 8U

static Console *console;
static int peers[PEERS_MAX];
static size_t n_peers;

static int begin(_unused_ void **state) {
        Settings settings;

        settings_init(&settings);
        settings.vm_ports = false;
        begin_concentrator(&settings);
        console = new_console(1);
        return 0;
}

static int finish(void **state) {
        while (n_peers > 0)
                close(peers[--n_peers]);
        return end(state);
}

static int new_socket(void) {
        int pair[2];

        assert_in_range(n_peers, 0, PEERS_MAX - 1);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        peers[n_peers++] = pair[1];
        return pair[0];
}

/* A link of the VM that @console is, of which it is not known yet. */
static Link *new_link(void) {
        SocketAddress nowhere = {.any.sa_family = AF_INET};

        assert_int_equal(link_new(concentrator, new_socket(), &nowhere), 0);
        Link *l = container_of(concentrator_timeouts(concentrator, TIMEOUT_HANDSHAKE)->oldest->prev, Link, timeout);
        l->uri = strdup("s0");
        l->name = strdup("web01");
        assert_true(l->uri && l->name);
        l->record.identity.uuids[VM_UUID_VC].state = VM_UUID_TOLD;
        memcpy(l->record.identity.uuids[VM_UUID_VC].uuid, console->record.uuid, 16);
        return l;
}

static void identify(Link *l) {
        assert_int_equal(link_identify(l), 0);
        assert_int_equal(l->record.state, LINK_LIVE);
}

static uint64_t link_number(const Link *l) {
        return l ? l->record.number : 0;
}

static void assert_link_agrees(const Link *l) {
        assert_int_equal(l->record.console, l->console ? l->console->record.number : 0);
        assert_int_equal(l->record.doubted_at, l->doubted_at ? l->doubted_at->record.number : 0);
        assert_int_equal(l->record.handover_from, link_number(l->handover_from));
        assert_true(!l->handover_from || l->handover_from->handover_to == l);
        assert_true(!l->handover_to || l->handover_to->handover_from == l);
        assert_true(!l->timeout.queue || l->record.timeout_since == l->timeout.since_usec);
}

static void assert_all_agree(void) {
        uint64_t last = 0;
        const Client *client;
        const VMotion *v;
        const Link *l;

        DL_FOREACH2(console->links, l, console_next) {
                assert_ptr_equal(l->console, console);
                assert_link_agrees(l);
                assert_true(l->record.number > last);
                last = l->record.number;
        }

        DL_FOREACH2(console->doubtful, l, console_next) {
                assert_ptr_equal(l->doubted_at, console);
                assert_link_agrees(l);
        }

        DL_FOREACH(console->vmotions, v) {
                assert_int_equal(v->record.console, console->record.number);
                assert_int_equal(v->record.source, link_number(v->source));
                assert_int_equal(v->record.target, link_number(v->target));
                assert_true(!v->source || v->source->vmotion == v);
                assert_true(!v->target || v->target->vmotion == v);
        }

        last = 0;
        DL_FOREACH(console->clients, client) {
                assert_int_equal(client->record.console, console->record.number);
                assert_true(client->record.number > last);
                last = client->record.number;
        }
}

static void settle(void) {
        assert_all_agree();
        concentrator_settle(concentrator);
        assert_all_agree();
}

static void test_links_are_in_the_order_in_which_they_have_connected(_unused_ void **state) {
        Link *first = new_link(), *second = new_link();

        identify(second);
        settle();
        identify(first);
        settle();
        assert_ptr_equal(console->links, first);
        assert_ptr_equal(console_active_link(console), second);
}

static void test_a_vmotion_and_its_handover(_unused_ void **state) {
        Link *source = new_link(), *target = new_link();
        uint8_t data[4 + VMOTION_SECRET_SIZE] = "abcd";

        identify(source);
        assert_int_equal(vmotion_begin(source, data, 4), 0);
        settle();
        memcpy(data + 4, console->vmotions->record.secret, VMOTION_SECRET_SIZE);
        assert_int_equal(vmotion_take_target(target, data, sizeof data), 0);
        settle();
        vmotion_complete(target, data, 4);
        assert_null(console->vmotions);
        assert_int_equal(target->record.handover_from, source->record.number);
        settle();
        link_close(source, TELNET_E_ENDED);
        settle();
        assert_int_equal(target->record.handover_from, 0);
}

static void test_a_vmotion_whose_source_has_closed(_unused_ void **state) {
        Link *source = new_link();

        identify(source);
        assert_int_equal(vmotion_begin(source, (const uint8_t *) "abcd", 4), 0);
        link_close(source, TELNET_E_ENDED);
        settle();
        assert_int_equal(console->vmotions->record.source, 0);
}

static void test_a_doubtful_link(_unused_ void **state) {
        Link *known = new_link(), *doubtful = new_link();

        identify(known);
        doubtful->name[0] = 'W'; /* another VM */
        doubtful->record.identity.uuids[VM_UUID_BIOS].state = VM_UUID_TOLD;
        assert_int_equal(link_identify(doubtful), 0);
        settle();
        assert_ptr_equal(console->doubtful, doubtful);
        assert_int_equal(doubtful->record.doubted_at, console->record.number);

        vm_identity_give_up(&known->record.identity);
        console_links_changed(console);
        settle();
        assert_null(console->doubtful);
        assert_int_equal(doubtful->record.doubted_at, 0);
        assert_int_equal(doubtful->record.console, console->record.number);
}

static void test_clients_are_in_the_order_in_which_they_have_connected(_unused_ void **state) {
        ClientRequest request = {
                .access = ACCESS_MODE_FREE_FOR_ALL, .granted = ACCESS_FREE_FOR_ALL, .mode = TELNET_MODE_TELNET};

        peer_init_local(&request.peer, 0, 1);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(client_new(console, WIRE_PLAIN(new_socket()), &request), 0);
        settle();
        client_close(console->clients->next, TELNET_E_ENDED);
        settle();
        assert_int_equal(console->n_clients, 2);
}

#define record_test(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void) {
        const struct CMUnitTest tests[] = {
                record_test(test_links_are_in_the_order_in_which_they_have_connected),
                record_test(test_a_vmotion_and_its_handover),
                record_test(test_a_vmotion_whose_source_has_closed),
                record_test(test_a_doubtful_link),
                record_test(test_clients_are_in_the_order_in_which_they_have_connected),
        };

        return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
