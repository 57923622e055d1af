/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which UUID a VM is known by. A few hosts as stories; then all sequences of up to five things that a host can say or
 * leave unsaid, against what must hold whatever it says.
 */

#include "harness.h"

#include "telnet/vm-identity.h"

#define VC "50 12 00 00 00 00 00 00-00 00 00 00 00 00 00 01"
#define BIOS "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 02"
#define LOCATION "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 03"

enum { WALK_MAX = 5 };

/* What a host says; the last two are what it does not say, and that it is asked */
static const struct {
        const char *name;
        uint8_t code;
        const uint8_t *data;
        size_t n;
} events[] = {
        {"vc", VMWARE_VM_VC_UUID, BYTES(VC)},
        {"vc-empty", VMWARE_VM_VC_UUID, BYTES("")},
        {"vc-bad", VMWARE_VM_VC_UUID, BYTES("5")},
        {"vc-unknown", VMWARE_UNKNOWN_SUBOPTION_RCVD_1, BYTES("\x51")},
        {"80-unknown", VMWARE_KNOWN_SUBOPTIONS_1, BYTES("\x51\x52")},
        {"bios", VMWARE_VM_BIOS_UUID, BYTES(BIOS)},
        {"bios-empty", VMWARE_VM_BIOS_UUID, BYTES(" - ")},
        {"bios-unknown", VMWARE_UNKNOWN_SUBOPTION_RCVD_1, BYTES("\x55")},
        {"location", VMWARE_VM_LOCATION_UUID, BYTES(LOCATION)},
        {"location-bad", VMWARE_VM_LOCATION_UUID, BYTES("5")},
        {"nothing", 0xff, NULL, 0},
        {"asked", 0xfe, NULL, 0},
};

static int say(VmIdentity *i, uint8_t code, const uint8_t *data, size_t n) {
        return vm_identity_handle(i, &(VMwareSuboption){.code = code, .data = data, .size = n});
}

static void assert_asks(VmIdentity *i, unsigned want) {
        VMwareCode question = 0;

        assert_int_equal(vm_identity_ask_next(i, &question) ? question : 0, want);
}

static void assert_known_by(const VmIdentity *i, uint8_t last_byte) {
        const uint8_t *uuid = vm_identity_uuid(i);

        assert_non_null(uuid);
        assert_int_equal(uuid[15], last_byte);
}

static void test_a_vm_of_a_vcenter_is_asked_one_thing(_unused_ void **state) {
        VmIdentity i = {};

        assert_asks(&i, VMWARE_GET_VM_VC_UUID);
        assert_asks(&i, 0);
        assert_true(vm_identity_is_waiting(&i));
        assert_null(vm_identity_uuid(&i));
        assert_int_equal(say(&i, VMWARE_VM_VC_UUID, BYTES(VC)), 0);
        assert_false(vm_identity_is_waiting(&i));
        assert_known_by(&i, 1);
        assert_asks(&i, 0);
}

static void test_one_without_an_instance_uuid_is_asked_for_the_next(_unused_ void **state) {
        VmIdentity i = {};

        assert_asks(&i, VMWARE_GET_VM_VC_UUID);
        assert_int_equal(say(&i, VMWARE_VM_VC_UUID, NULL, 0), 0);
        assert_asks(&i, VMWARE_GET_VM_BIOS_UUID);
        vm_identity_give_up(&i);
        assert_asks(&i, VMWARE_GET_VM_LOCATION_UUID);
        assert_int_equal(say(&i, VMWARE_UNKNOWN_SUBOPTION_RCVD_1, BYTES("\x57")), 0);
        assert_asks(&i, 0);

        /* Who was silent may speak yet. */
        assert_false(vm_identity_is_hopeless(&i));
        assert_int_equal(say(&i, VMWARE_VM_BIOS_UUID, NULL, 0), 0);
        assert_true(vm_identity_is_hopeless(&i));
}

static void test_giving_up_is_taken_back_by_an_answer(_unused_ void **state) {
        VmIdentity i = {};

        assert_asks(&i, VMWARE_GET_VM_VC_UUID);
        vm_identity_give_up(&i);
        assert_asks(&i, VMWARE_GET_VM_BIOS_UUID);
        assert_int_equal(say(&i, VMWARE_VM_VC_UUID, BYTES(VC)), 0);
        assert_known_by(&i, 1);
}

static void test_what_is_told_unasked_is_not_asked_for(_unused_ void **state) {
        VmIdentity i = {};
        VMwareCode question;

        assert_int_equal(say(&i, VMWARE_VM_BIOS_UUID, BYTES(BIOS)), 0);
        assert_false(vm_identity_ask(&i, VM_UUID_BIOS, &question));
        assert_asks(&i, VMWARE_GET_VM_VC_UUID);
        assert_null(vm_identity_uuid(&i));
        assert_int_equal(say(&i, VMWARE_KNOWN_SUBOPTIONS_1, NULL, 0), 0);
        assert_known_by(&i, 2);
}

static void test_only_an_instance_uuid_that_is_none_is_an_error(_unused_ void **state) {
        VmIdentity i = {};

        assert_int_equal(say(&i, VMWARE_VM_VC_UUID, BYTES("x")), -EBADMSG);
        assert_int_equal(say(&i, VMWARE_VM_BIOS_UUID, BYTES("x")), 0);
        assert_int_equal(say(&i, VMWARE_VM_LOCATION_UUID, BYTES("x")), 0);
        assert_int_equal(say(&i, VMWARE_VM_NAME, BYTES("x")), 0);
        assert_int_equal(say(&i, VMWARE_UNKNOWN_SUBOPTION_RCVD_1, NULL, 0), 0);
        assert_true(vm_identity_is_hopeless(&i));
}

static const char *violation(const VmIdentity *before, const VmIdentity *i, const unsigned *n_asked) {
        bool better_known = true; /* of all kinds so far: that there is none */
        bool all_none = true;

        for (VmUuidKind kind = 0; kind < _VM_UUID_KIND_MAX; kind++) {
                const uint8_t *old = vm_identity_get(before, kind), *new = vm_identity_get(i, kind);

                if (n_asked[kind] > 1)
                        return "asked twice";
                if (old && (!new || memcmp(old, new, 16) != 0))
                        return "what was told is not true any more";
                if (new && vm_identity_uuid(i) == new && !better_known)
                        return "known by a UUID before it is known that there is no better one";
                better_known &= vm_identity_is_settled(i, kind) && !new;
                all_none &= i->uuids[kind].state == VM_UUID_NONE;
        }

        if (all_none != vm_identity_is_hopeless(i))
                return "hopeless, or not, without reason";
        return better_known && vm_identity_uuid(i) ? "known though there is nothing" : NULL;
}

static VmUuidKind kind_of(VMwareCode question) {
        switch (question) {
        case VMWARE_GET_VM_VC_UUID:
                return VM_UUID_VC;
        case VMWARE_GET_VM_BIOS_UUID:
                return VM_UUID_BIOS;
        default:
                assert_int_equal(question, VMWARE_GET_VM_LOCATION_UUID);
                return VM_UUID_LOCATION;
        }
}

static void walk(const VmIdentity *i, const unsigned *n_asked, size_t *path, size_t n) {
        for (size_t event = 0; event < ELEMENTSOF(events); event++) {
                unsigned n_asked_after[_VM_UUID_KIND_MAX];
                VmIdentity after = *i;
                VMwareCode question;

                memcpy(n_asked_after, n_asked, sizeof n_asked_after);
                path[n] = event;
                if (events[event].code == 0xff)
                        vm_identity_give_up(&after);
                else if (events[event].code != 0xfe)
                        (void) say(&after, events[event].code, events[event].data, events[event].n);
                else if (vm_identity_ask_next(&after, &question))
                        n_asked_after[kind_of(question)]++;

                const char *wrong = violation(i, &after, n_asked_after);
                if (wrong) {
                        for (size_t k = 0; k <= n; k++)
                                print_error("%s ", events[path[k]].name);
                        fail_msg("%s", wrong);
                }
                if (n + 1 < WALK_MAX)
                        walk(&after, n_asked_after, path, n + 1);
        }
}

static void test_all_sequences_of_five_events(_unused_ void **state) {
        walk(&(VmIdentity){}, (unsigned[_VM_UUID_KIND_MAX]){}, (size_t[WALK_MAX]){}, 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_vm_of_a_vcenter_is_asked_one_thing),
                cmocka_unit_test(test_one_without_an_instance_uuid_is_asked_for_the_next),
                cmocka_unit_test(test_giving_up_is_taken_back_by_an_answer),
                cmocka_unit_test(test_what_is_told_unasked_is_not_asked_for),
                cmocka_unit_test(test_only_an_instance_uuid_that_is_none_is_an_error),
                cmocka_unit_test(test_all_sequences_of_five_events),
        };

        return cmocka_run_group_tests_name("vm-identity", tests, NULL, NULL);
}
