/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A connection's stream, up to where its suboptions are understood: negotiation, VMware's suboptions, UUIDs and which
 * of them a VM is known by, names as they are shown, COM-PORT control. A peer may say what it likes: it never makes us say more than a
 * little for each thing it says, what we say is well-formed, and what people see is fit for them.
 */

#include "basic/buffer.h"
#include "basic/text.h"
#include "fuzz.h"
#include "telnet/com-port.h"
#include "telnet/session.h"
#include "telnet/vm-identity.h"
#include "trace.h"
#include "utf8.h"

#define ANSWER_MAX 32U /* bytes; the longest is a COM-PORT signature or baud rate with every byte doubled */

static const TelnetPolicy policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
        .n_us_offered = 3,
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_VMWARE, TELNET_COM_PORT,
                                 TELNET_OPTION_END},
        .n_him_offered = 3,
};

static void test_text(const uint8_t *data, size_t n) {
        for (size_t max = n / 2; max <= n; max += n / 2 + 1) {
                _cleanup_free_ char *text = text_sanitize(data, n, max);

                assert(text);
                assert(strlen(text) <= 3 * max);
                assert(utf8_is_valid(text));
                assert(utf8_is_harmless(text));

                /* Once fit it stays as it is, and what is left of it is its beginning. */
                _cleanup_free_ char *again = text_sanitize(text, strlen(text), n / 3);
                assert(again);
                assert(strncmp(text, again, strlen(again)) == 0);
                assert(strlen(again) + 3 >= MIN(strlen(text), n / 3));
        }
}

static void test_uuid(const uint8_t *data, size_t n) {
        uint8_t uuid[16], again[16];
        char text[33];

        if (vmware_parse_uuid(data, n, uuid) < 0)
                return;

        for (size_t i = 0; i < sizeof uuid; i++)
                snprintf(text + 2 * i, 3, "%02X", uuid[i]);
        if (vmware_parse_uuid((const uint8_t *) text, 32, again) < 0)
                abort();
        assert(memcmp(uuid, again, sizeof uuid) == 0);
}

/* Whatever a host says, it is asked three things at most, and what it has told of its VM stays true. */
static void test_identity(VmIdentity *i, const VMwareSuboption *s, unsigned *n_questions) {
        VmIdentity before = *i;
        VMwareCode question;

        int r = vm_identity_handle(i, s);
        assert(r == 0 || s->code == VMWARE_VM_VC_UUID);
        while (vm_identity_ask_next(i, &question))
                (*n_questions)++;
        assert(*n_questions <= _VM_UUID_KIND_MAX);

        for (VmUuidKind kind = 0; kind < _VM_UUID_KIND_MAX; kind++) {
                const uint8_t *old = vm_identity_get(&before, kind), *new = vm_identity_get(i, kind);

                assert(!old || (new && memcmp(old, new, 16) == 0));
        }
        assert(!vm_identity_is_hopeless(i) || (!vm_identity_uuid(i) && !vm_identity_is_waiting(i)));

        /* A question that is a UUID's code is one that the host does not answer in time. */
        if (s->code == VMWARE_GET_VM_VC_UUID)
                vm_identity_give_up(i);
}

static void test_vmware(VmIdentity *identity, unsigned *n_questions, const TelnetEvent *event) {
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(4096);
        _cleanup_trace_ Trace got = {}, want = {};
        TelnetDecoder d = trace_decoder(TELNET_8BIT, TELNET_CR_LF_KEPT);
        VMwareSuboption s;

        if (vmware_parse(event, &s) < 0)
                return;

        assert(vmware_code_name(s.code));
        test_uuid(s.data, s.size);
        test_text(s.data, s.size);
        test_identity(identity, &s, n_questions);

        if (vmware_put(&out, s.code, s.data, s.size) < 0)
                abort();
        trace_decode(&got, &d, buffer_data(&out), out.size);
        trace_subnegotiation(&want, TELNET_VMWARE, event->data, event->size);
        assert(streq(trace_finish(&got), trace_finish(&want)));
}

static void test_com_port(ComPort *c, const TelnetEvent *event, Buffer *out) {
        char text[COM_PORT_TEXT_MAX];

        if (com_port_handle(c, event, out) < 0)
                abort();

        com_port_format(c, text);
        assert(strlen(text) < sizeof text);
        assert(!strchr(text, '?'));
}

/* What we say must itself be telnet: whole commands that we meant. */
static void test_answer(const Buffer *out) {
        TelnetDecoder d = trace_decoder(TELNET_8BIT, TELNET_CR_LF_KEPT);
        _cleanup_trace_ Trace said = {};

        trace_decode(&said, &d, buffer_data(out), out->size);
        trace_decode(&said, &d, (const uint8_t *) "\xff\xf1", 2);

        const char *text = trace_finish(&said);
        assert(!strchr(text, '<') || strstr(text, "SB 44 <"));
        assert(streq(text + strlen(text) - 3, "NOP"));
}

/* The same from a client: it is answered at most what fits twice into what it has said. */
static void test_com_port_client(ComPort *wish, const ComPort *vm, const TelnetEvent *event) {
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(ANSWER_MAX);

        if (com_port_confirm(wish, vm, event, &out) < 0)
                abort();
        assert(!com_port_is_break(event) || out.size > 0);
        assert(out.size <= 2 * (event->size + 5));
        test_answer(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        VmIdentity identity = {};
        unsigned n_questions = 0;
        TelnetSession session;
        ComPort com_port, wish = {};

        if (size > 65536)
                return 0;

        test_uuid(data, size);
        test_text(data, size);

        telnet_session_init(&session, TELNET_CR_LF_KEPT);
        com_port_init(&com_port);

        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(ANSWER_MAX);
        if (telnet_session_offer(&session, &policy, &out) < 0)
                abort();

        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
        for (size_t used; size > 0; data += used, size -= used) {
                TelnetAnswer answer;
                TelnetEvent e;

                test_answer(&out);
                buffer_clear(&out);
                used = telnet_decode(&session.in, subnegotiation, data, size, &e);
                assert(used > 0 && used <= size);

                if (e.type == TELNET_EVENT_NEGOTIATION) {
                        if (telnet_session_negotiate(&session, &policy, &e, &out, &answer) < 0)
                                abort();
                } else if (e.type == TELNET_EVENT_SUBNEGOTIATION && e.option == TELNET_VMWARE)
                        test_vmware(&identity, &n_questions, &e);
                else if (e.type == TELNET_EVENT_SUBNEGOTIATION && e.option == TELNET_COM_PORT) {
                        test_com_port(&com_port, &e, &out);
                        test_com_port_client(&wish, &com_port, &e);
                }
        }

        return 0;
}
