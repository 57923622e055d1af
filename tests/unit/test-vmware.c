/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * VMware's suboptions: that every one of them, with 0xFF wherever it may stand, comes out of the wire as it
 * went in, what codes there are and what they are called, and UUIDs as ESXi and others write them.
 */

#include "harness.h"

#include "telnet/vmware.h"
#include "wire.h"

static const struct {
        uint8_t code;
        const char *name;
} codes[] = { /* protocol.md */
        {0, "KNOWN-SUBOPTIONS-1"},
        {1, "KNOWN-SUBOPTIONS-2"},
        {2, "UNKNOWN-SUBOPTION-RCVD-1"},
        {3, "UNKNOWN-SUBOPTION-RCVD-2"},
        {40, "VMOTION-BEGIN"},
        {41, "VMOTION-GOAHEAD"},
        {43, "VMOTION-NOTNOW"},
        {44, "VMOTION-PEER"},
        {45, "VMOTION-PEER-OK"},
        {46, "VMOTION-COMPLETE"},
        {48, "VMOTION-ABORT"},
        {70, "DO-PROXY"},
        {71, "WILL-PROXY"},
        {73, "WONT-PROXY"},
        {80, "VM-VC-UUID"},
        {81, "GET-VM-VC-UUID"},
        {82, "VM-NAME"},
        {83, "GET-VM-NAME"},
        {84, "VM-BIOS-UUID"},
        {85, "GET-VM-BIOS-UUID"},
        {86, "VM-LOCATION-UUID"},
        {87, "GET-VM-LOCATION-UUID"},
};

/* Puts a suboption on the wire, reads it back @step bytes at a time, and compares. */
static void assert_round_trip(uint8_t code, const uint8_t *data, size_t n, size_t step) {
        _cleanup_(buffer_clear) Buffer wire = BUFFER_INIT(4096);
        VMwareSuboption s;
        TelnetEvent e = {};
        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
        TelnetDecoder d;

        assert_int_equal(vmware_put(&wire, code, data, n), 0);

        telnet_decoder_init(&d, TELNET_CR_LF_KEPT);
        for (size_t i = 0; i < wire.size;) {
                assert_int_equal(e.type, TELNET_EVENT_NONE);
                i += telnet_decode(&d, subnegotiation, buffer_data(&wire) + i, MIN(step, wire.size - i), &e);
        }

        assert_int_equal(e.type, TELNET_EVENT_SUBNEGOTIATION);
        assert_int_equal(e.option, TELNET_VMWARE);
        assert_int_equal(vmware_parse(&e, &s), 0);
        assert_int_equal(s.code, code);
        assert_int_equal(s.size, n);
        if (n > 0)
                assert_memory_equal(s.data, data, n);
}

static void test_0xff_at_any_place_of_any_suboption_comes_through(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                for (size_t n = 1; n <= 20; n++)
                        for (size_t at = 0; at < n; at++) {
                                uint8_t data[20];

                                memset(data, 'x', sizeof data);
                                data[at] = 0xff;
                                assert_round_trip(codes[i].code, data, n, SIZE_MAX);
                                assert_round_trip(codes[i].code, data, n, 1);
                        }
}

static void test_nothing_but_0xff_comes_through(_unused_ void **state) {
        uint8_t data[TELNET_SUBNEGOTIATION_MAX - 1];

        memset(data, 0xff, sizeof data);
        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                for (size_t n = 0; n <= 40; n++)
                        assert_round_trip(codes[i].code, data, n, 1);

        assert_round_trip(VMWARE_VMOTION_PEER, data, sizeof data, SIZE_MAX);
        assert_round_trip(0xff, data, 3, 1);
}

static void test_a_suboption_on_the_wire(_unused_ void **state) {
        static const uint8_t want[] = IAC SB VMWARE "\x29" "\x01" IAC IAC "\x02" IAC SE;
        _cleanup_(buffer_clear) Buffer wire = BUFFER_INIT(64);

        assert_int_equal(vmware_put(&wire, VMWARE_VMOTION_GOAHEAD, "\x01\xff\x02", 3), 0);
        assert_int_equal(wire.size, sizeof want - 1);
        assert_memory_equal(buffer_data(&wire), want, sizeof want - 1);
}

static void test_a_suboption_without_data_on_the_wire(_unused_ void **state) {
        static const uint8_t want[] = IAC SB VMWARE "\x47" IAC SE;
        _cleanup_(buffer_clear) Buffer wire = BUFFER_INIT(64);

        assert_int_equal(vmware_put(&wire, VMWARE_WILL_PROXY, NULL, 0), 0);
        assert_int_equal(wire.size, sizeof want - 1);
        assert_memory_equal(buffer_data(&wire), want, sizeof want - 1);
}

static void test_more_than_a_decoder_would_take_is_not_sent(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer wire = BUFFER_INIT(65536);
        static const uint8_t data[2000];

        assert_int_equal(vmware_put(&wire, VMWARE_VM_NAME, data, TELNET_SUBNEGOTIATION_MAX), -ENOBUFS);
        assert_int_equal(vmware_put(&wire, VMWARE_VM_NAME, data, sizeof data), -ENOBUFS);
        assert_int_equal(wire.size, 0);
        assert_int_equal(vmware_put(&wire, VMWARE_VM_NAME, data, TELNET_SUBNEGOTIATION_MAX - 1), 0);
}

static void test_a_full_buffer_refuses_a_suboption(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer wire = BUFFER_INIT(6);

        assert_int_equal(vmware_put(&wire, VMWARE_VM_NAME, "a", 1), -ENOBUFS);
        assert_int_equal(wire.size, 0);
}

static void test_an_empty_subnegotiation_is_no_suboption(_unused_ void **state) {
        TelnetEvent e = {TELNET_EVENT_SUBNEGOTIATION, .option = TELNET_VMWARE, .data = (const uint8_t *) ""};
        VMwareSuboption s;

        assert_int_equal(vmware_parse(&e, &s), -EBADMSG);
}

static void test_every_code_has_its_name(_unused_ void **state) {
        for (unsigned code = 0, i = 0; code < 256; code++) {
                bool known = i < ELEMENTSOF(codes) && codes[i].code == code;

                assert_string_equal(vmware_code_name((uint8_t) code), known ? codes[i].name : "suboption");
                i += known;
        }
}

static void test_what_we_say_we_know_is_every_code(_unused_ void **state) {
        assert_int_equal(n_vmware_known, ELEMENTSOF(codes));
        for (size_t i = 0; i < n_vmware_known; i++)
                assert_int_equal(vmware_known[i], codes[i].code);
}

static const uint8_t uuid[16] = {0x50, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde,
                                 0xf0, 0x0f, 0xed, 0xcb, 0xa9, 0x87, 0x65, 0xff};

static void assert_uuid(const char *text) {
        uint8_t got[16];

        if (vmware_parse_uuid((const uint8_t *) text, strlen(text), got) != 0 || memcmp(got, uuid, 16) != 0)
                fail_msg("not taken for the UUID: %s", text);
}

static void test_a_uuid_as_esxi_writes_it(_unused_ void **state) {
        assert_uuid("50 12 34 56 78 9a bc de-f0 0f ed cb a9 87 65 ff");
}

static void test_a_uuid_in_other_forms(_unused_ void **state) {
        assert_uuid("50123456-789a-bcde-f00f-edcba98765ff");
        assert_uuid("50123456789abcdef00fedcba98765ff");
        assert_uuid("50123456789ABCDEF00FEDCBA98765FF");
        assert_uuid(" - 5-0 12 34 56 78 9A bc de-f0 0f ed cb a9 87 65 f f -- ");
}

static void test_a_uuid_ends_where_its_size_says(_unused_ void **state) {
        static const uint8_t text[] = "50123456789abcdef00fedcba98765ffaa";
        uint8_t got[16];

        assert_int_equal(vmware_parse_uuid(text, 32, got), 0);
        assert_memory_equal(got, uuid, sizeof got);
        assert_int_equal(vmware_parse_uuid(text, 31, got), -EBADMSG);
        assert_int_equal(vmware_parse_uuid(text, 33, got), -EBADMSG);
}

static void test_what_is_no_uuid_is_refused_and_changes_nothing(_unused_ void **state) {
        static const struct {
                const uint8_t *text;
                size_t n;
        } bad[] = {
                {BYTES("")},
                {BYTES(" - ")},
                {BYTES("50 12 34 56 78 9a bc de-f0 0f ed cb a9 87 65 f")},       /* 31 digits */
                {BYTES("50 12 34 56 78 9a bc de-f0 0f ed cb a9 87 65 ff 0")},    /* 33 */
                {BYTES("50 12 34 56 78 9a bc de-f0 0f ed cb a9 87 65 ff\n")},
                {BYTES("50 12 34 56 78 9a bc de-f0 0f ed cb a9 87 65 ff\x00")},
                {BYTES("50 12 34 56 78 9a bc de-f0 0f ed cb a9 87 65 fg")},
                {BYTES("{50123456-789a-bcde-f00f-edcba98765ff}")},
                {BYTES("0x50123456789abcdef00fedcba98765")},
                {BYTES("50\xff" "123456789abcdef00fedcba98765ff")},
                {BYTES("/0123456789abcdef00fedcba98765ff")}, /* the neighbours of 0 … 9, A … F, a … f */
                {BYTES(":0123456789abcdef00fedcba98765ff")},
                {BYTES("@0123456789abcdef00fedcba98765ff")},
                {BYTES("G0123456789abcdef00fedcba98765ff")},
                {BYTES("`0123456789abcdef00fedcba98765ff")},
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                uint8_t got[16], untouched[16];

                memset(got, 0xee, sizeof got);
                memset(untouched, 0xee, sizeof untouched);
                if (vmware_parse_uuid(bad[i].text, bad[i].n, got) != -EBADMSG)
                        fail_msg("taken for a UUID: %s", bad[i].text);
                assert_memory_equal(got, untouched, sizeof got);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_0xff_at_any_place_of_any_suboption_comes_through),
                cmocka_unit_test(test_nothing_but_0xff_comes_through),
                cmocka_unit_test(test_a_suboption_on_the_wire),
                cmocka_unit_test(test_a_suboption_without_data_on_the_wire),
                cmocka_unit_test(test_more_than_a_decoder_would_take_is_not_sent),
                cmocka_unit_test(test_a_full_buffer_refuses_a_suboption),
                cmocka_unit_test(test_an_empty_subnegotiation_is_no_suboption),
                cmocka_unit_test(test_every_code_has_its_name),
                cmocka_unit_test(test_what_we_say_we_know_is_every_code),
                cmocka_unit_test(test_a_uuid_as_esxi_writes_it),
                cmocka_unit_test(test_a_uuid_in_other_forms),
                cmocka_unit_test(test_a_uuid_ends_where_its_size_says),
                cmocka_unit_test(test_what_is_no_uuid_is_refused_and_changes_nothing),
        };

        return cmocka_run_group_tests_name("vmware", tests, NULL, NULL);
}
