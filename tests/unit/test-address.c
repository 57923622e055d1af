/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Addresses in words, as the C library would have them. */

#include <stdio.h>

#include "harness.h"

#include "prng.h"
#include "transport/address.h"

static void assert_text(SocketAddress a, const char *want) {
        char text[ADDRESS_TEXT_MAX];

        assert_string_equal(address_format(&a, text), want);
}

static SocketAddress make_in(uint32_t host, uint16_t port) {
        return (SocketAddress){
                .in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host), .sin_port = htons(port)}};
}

static SocketAddress make_in6(const char *host, uint16_t port) {
        SocketAddress a = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};

        assert_int_equal(inet_pton(AF_INET6, host, &a.in6.sin6_addr), 1);
        return a;
}

static void test_ipv4(_unused_ void **state) {
        assert_text(make_in(0, 0), "0.0.0.0:0");
        assert_text(make_in(UINT32_MAX, UINT16_MAX), "255.255.255.255:65535");
        assert_text(make_in(0xc0000207, 4711), "192.0.2.7:4711");
}

static void test_any_ipv4_is_as_inet_ntop_has_it(_unused_ void **state) {
        Prng prng = prng_init();
        char host[INET_ADDRSTRLEN], want[ADDRESS_TEXT_MAX];

        for (unsigned i = 0; i < 100000; i++) {
                SocketAddress a = make_in((uint32_t) prng_next(&prng) >> prng_below(&prng, 32),
                                          (uint16_t) (prng_next(&prng) >> prng_below(&prng, 64)));

                inet_ntop(AF_INET, &a.in.sin_addr, host, sizeof host);
                snprintf(want, sizeof want, "%s:%u", host, ntohs(a.in.sin_port));
                assert_text(a, want);
        }
}

static void test_ipv6(_unused_ void **state) {
        assert_text(make_in6("2001:db8::7", 4711), "[2001:db8::7]:4711");
        assert_text(make_in6("::", 0), "[::]:0");
}

static void test_ipv4_by_way_of_an_ipv6_socket_is_ipv4(_unused_ void **state) {
        assert_text(make_in6("::ffff:192.0.2.10", 65535), "192.0.2.10:65535");
}

static void test_loopback_is_a_whole_network_in_ipv4_and_one_address_in_ipv6(_unused_ void **state) {
        SocketAddress inside[] = {make_in(0x7f000001, 0), make_in(0x7fffffff, 80), make_in6("::1", 0)};
        SocketAddress outside[] = {make_in(0, 0), make_in(0x80000001, 0), make_in(0x7effffff, 0), make_in6("::", 0),
                                   make_in6("::2", 0)};

        for (size_t i = 0; i < ELEMENTSOF(inside); i++)
                assert_true(address_is_loopback(&inside[i]));
        for (size_t i = 0; i < ELEMENTSOF(outside); i++)
                assert_false(address_is_loopback(&outside[i]));
}

static void test_a_local_socket_has_no_address(_unused_ void **state) {
        assert_text((SocketAddress){.un = {.sun_family = AF_UNIX, .sun_path = "/run/x"}}, "local socket");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ipv4),
                cmocka_unit_test(test_any_ipv4_is_as_inet_ntop_has_it),
                cmocka_unit_test(test_ipv6),
                cmocka_unit_test(test_ipv4_by_way_of_an_ipv6_socket_is_ipv4),
                cmocka_unit_test(test_loopback_is_a_whole_network_in_ipv4_and_one_address_in_ipv6),
                cmocka_unit_test(test_a_local_socket_has_no_address),
        };

        return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
