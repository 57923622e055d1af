# SPDX-License-Identifier: LGPL-2.1-or-later

"""A VM without a vCenter instance UUID is identified by its BIOS UUID, or by its location UUID."""

from harness import TestCase, main
from peers import (BIOS_UUID, DO, GET_BIOS_UUID, GET_LOCATION_UUID, GET_VC_UUID, KNOWN_1, LOCATION_UUID, UNKNOWN_1,
                   VC_UUID, VMWARE, WILL, WILL_PROXY, WONT_PROXY, BINARY, ECHO, ESXI_KNOWN, SGA, EsxiVm, TelnetClient,
                   migration_target, say, sub, uuid_shown, uuid_text)
from varlink_peer import Caller

BIOS, LOCATION = "564d" + "0b" * 14, "564d" + "0c" * 14
SEQUENCE = b"\0\0\0\1"

WITHOUT_VC_UUID = bytes(code for code in ESXI_KNOWN if code != VC_UUID)


def unknown(code):
    return sub(UNKNOWN_1, bytes([code]))


class WithoutInstanceUuid(TestCase):
    def connect(self, *, known=ESXI_KNOWN, **config):
        """A VM of which all is known but a UUID."""
        self.vspcd = self.start(**config)
        vm = EsxiVm(self.vspcd, "standalone")
        vm.send_raw(say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA, VMWARE))
        vm.wait_suboption(GET_VC_UUID)
        vm.send_raw(sub(KNOWN_1, known) + vm.do_proxy() + vm.vm_name())
        return vm

    def assert_known_by(self, vm, digits, suffix=""):
        vm.wait_suboption(WILL_PROXY)
        vm.wait_connected()
        [listed] = Caller(self.vspcd).list()
        self.assertEqual((listed["id"], listed["uuid"]), (uuid_shown(digits) + suffix, uuid_shown(digits)))
        client = TelnetClient(vm)
        client.send(b"keys")
        vm.wait_data(b"keys")
        self.assertEqual(len(vm.suboptions(WILL_PROXY)), 1)
        for question in (GET_VC_UUID, GET_BIOS_UUID, GET_LOCATION_UUID):
            self.assertLessEqual(len(vm.suboptions(question)), 1)

    def test_an_empty_instance_uuid_is_none(self):
        for text in (b"", b" ", b"                       -                       "):
            with self.subTest(text=text):
                vm = self.connect()
                vm.bios = BIOS
                vm.send_raw(sub(VC_UUID, text))
                self.assert_known_by(vm, BIOS)

    def test_a_host_may_say_that_it_does_not_know_the_question(self):
        vm = self.connect()
        vm.bios = BIOS
        vm.send_raw(unknown(GET_VC_UUID))
        self.assert_known_by(vm, BIOS)

    def test_a_host_without_instance_uuids_in_its_known_suboptions_is_not_waited_for(self):
        vm = self.connect(known=WITHOUT_VC_UUID, debug=True)
        vm.bios = BIOS
        self.assert_known_by(vm, BIOS)
        self.assertFalse(self.vspcd.has_logged("has not answered a question for a UUID"), "it has been waited for")

    def test_a_host_may_not_answer(self):
        vm = self.connect()
        vm.bios = BIOS
        self.assert_known_by(vm, BIOS)

    def test_a_host_that_answers_late_is_believed(self):
        vm = self.connect()
        vm.wait_suboption(GET_BIOS_UUID)
        vm.send_raw(vm.vc_uuid() + sub(BIOS_UUID, uuid_text(BIOS)))
        self.assert_known_by(vm, vm.digits)

    def test_a_host_that_answers_what_it_says_it_does_not_know_is_believed(self):
        vm = self.connect(known=WITHOUT_VC_UUID)
        vm.send_raw(vm.vc_uuid() + sub(BIOS_UUID, uuid_text(BIOS)))
        self.assert_known_by(vm, vm.digits)

    def test_what_a_host_tells_unasked_is_not_asked_for(self):
        vm = self.connect()
        vm.send_raw(sub(BIOS_UUID, uuid_text(BIOS)) + sub(VC_UUID))
        self.assert_known_by(vm, BIOS)
        self.assertEqual(vm.suboptions(GET_BIOS_UUID), [])

    def test_the_instance_uuid_comes_first_whatever_else_is_told(self):
        vm = self.connect()
        vm.send_raw(sub(LOCATION_UUID, uuid_text(LOCATION)) + sub(BIOS_UUID, uuid_text(BIOS)) + vm.vc_uuid())
        self.assert_known_by(vm, vm.digits)

    def test_the_location_uuid_is_the_last(self):
        for without in (sub(BIOS_UUID), unknown(GET_BIOS_UUID), sub(BIOS_UUID, b"no UUID")):
            with self.subTest(without=without):
                vm = self.connect()
                vm.send_raw(sub(VC_UUID))
                vm.wait_suboption(GET_BIOS_UUID)
                vm.send_raw(without)
                vm.wait_suboption(GET_LOCATION_UUID)
                vm.send_raw(sub(LOCATION_UUID, uuid_text(LOCATION)))
                self.assert_known_by(vm, LOCATION)

    def test_a_host_that_answers_nothing_is_asked_one_after_the_other(self):
        vm = self.connect()
        vm.wait_suboption(GET_LOCATION_UUID)
        vm.wait_suboption(GET_BIOS_UUID)
        vm.send_raw(sub(LOCATION_UUID, uuid_text(LOCATION)))
        self.assert_known_by(vm, LOCATION)

    def test_each_question_is_put_once_however_often_it_is_answered_with_nothing(self):
        vm = self.connect()
        vm.send_raw(sub(VC_UUID) * 100 + unknown(GET_VC_UUID) * 100 + sub(KNOWN_1, WITHOUT_VC_UUID) * 100)
        vm.wait_suboption(GET_BIOS_UUID)
        vm.send_raw(sub(BIOS_UUID, uuid_text(BIOS)))
        self.assert_known_by(vm, BIOS)

    def test_a_uuid_that_comes_once_the_vm_is_known_by_another_changes_nothing(self):
        vm = self.connect()
        vm.send_raw(sub(VC_UUID))
        vm.wait_suboption(GET_BIOS_UUID)
        vm.send_raw(sub(BIOS_UUID, uuid_text(BIOS)))
        vm.wait_connected()
        vm.send_raw(vm.vc_uuid())
        self.vspcd.wait_logged("has another UUID now according to its host")
        self.assert_known_by(vm, BIOS)

    def test_a_vm_without_an_instance_uuid_under_multi_console(self):
        vm = self.connect(MultiConsole="yes")
        vm.bios = BIOS
        vm.send_raw(sub(VC_UUID))
        self.assert_known_by(vm, BIOS, "_s0")

    def test_a_vm_without_an_instance_uuid_moves_like_any_other(self):
        vm = self.connect()
        vm.bios = BIOS
        vm.send_raw(sub(VC_UUID))
        vm.wait_suboption(WILL_PROXY)
        vm.wait_connected()
        client = TelnetClient(vm)
        target = migration_target(vm).peer(SEQUENCE, vm.begin(SEQUENCE))
        target.send_raw(sub(VC_UUID))
        target.complete(SEQUENCE)
        vm.close()
        client.send(b"keys")
        target.wait_data(b"keys")

    def test_a_target_that_is_silent_for_longer_than_all_questions_take_is_no_less_a_target(self):
        vm = self.connect()
        vm.send_raw(vm.vc_uuid())
        vm.wait_suboption(WILL_PROXY)
        vm.wait_connected()
        secret = vm.begin(SEQUENCE)
        target = migration_target(vm)
        target.negotiate()
        target.wait_suboption(GET_LOCATION_UUID)
        quick = EsxiVm(self.vspcd)  # its last question elapses after that of the target
        quick.negotiate()
        quick.wait_suboption(GET_BIOS_UUID)
        target.peer(SEQUENCE, secret)

    def test_a_host_that_tells_no_uuid_at_all_is_refused_with_a_reason(self):
        vm = self.connect()
        vm.send_raw(sub(VC_UUID) + sub(BIOS_UUID) + unknown(GET_LOCATION_UUID))
        vm.wait_closed()
        self.assertTrue(vm.raw.endswith(sub(WONT_PROXY)), bytes(vm.raw[-20:]))
        self.assertEqual(vm.suboptions(WILL_PROXY), [])
        self.vspcd.wait_logged(f":{vm.local_port}: its host tells no UUID of the VM")


if __name__ == "__main__":
    main()
