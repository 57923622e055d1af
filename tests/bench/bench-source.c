/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bench-common.h"
#include "telnet/vmware.h"

/*
 * bench-source vm|plain PORT BLOCKS [tls]: sends so many blocks as fast as they are taken; as a VM it says first
 * what an ESXi host says. It ends when its standard input does.
 */

static const TelnetPolicy vm_policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_VMWARE, TELNET_OPTION_END},
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
};

/* Returns: whether that was the last word. */
static bool answer(const TelnetEvent *event, Buffer *out) {
        static const char do_proxy[] = "Ss0", uuid[] = "50 00 00 00 00 00 00 00-00 00 00 00 00 00 be c4";
        static const char name[] = "bench";
        VMwareSuboption s;
        int r = 0;

        if (vmware_parse(event, &s) < 0)
                bench_fail("An empty suboption came.");

        switch (s.code) {

        case VMWARE_KNOWN_SUBOPTIONS_2:
                r = vmware_put(out, VMWARE_KNOWN_SUBOPTIONS_1, vmware_known, n_vmware_known);
                if (r >= 0)
                        r = vmware_put(out, VMWARE_DO_PROXY, do_proxy, strlen(do_proxy));
                break;

        case VMWARE_GET_VM_VC_UUID:
                r = vmware_put(out, VMWARE_VM_VC_UUID, uuid, strlen(uuid));
                break;

        case VMWARE_GET_VM_NAME:
                r = vmware_put(out, VMWARE_VM_NAME, name, strlen(name));
                break;

        case VMWARE_WONT_PROXY:
                bench_fail("The concentrator does not want us.");
        }

        if (r < 0)
                bench_fail("Cannot answer the concentrator.");

        return s.code == VMWARE_GET_VM_NAME;
}

static void shake_hands(int fd) {
        static TelnetSession session;
        Buffer out = BUFFER_INIT(65536);
        bool done = false;

        telnet_session_init(&session, TELNET_CR_LF_KEPT);
        while (!done) {
                uint8_t data[4096];

                size_t n = bench_receive(fd, data, sizeof data);

                for (size_t used = 0; used < n;) {
                        TelnetAnswer negotiated;
                        TelnetEvent event;

                        used += telnet_decode(&session.in, data + used, n - used, &event);
                        if (event.type == TELNET_EVENT_NEGOTIATION &&
                            telnet_session_negotiate(&session, &vm_policy, &event, &out, &negotiated) < 0)
                                bench_fail("Cannot answer a negotiation.");
                        if (event.type == TELNET_EVENT_SUBNEGOTIATION && event.option == TELNET_VMWARE)
                                done |= answer(&event, &out);
                }
                bench_send_buffer(fd, &out);
        }

        bench_settle(fd, &session, &vm_policy);
        if (session.out.transmission != TELNET_8BIT)
                bench_fail("The concentrator does not do BINARY.");
}

int main(int argc, char **argv) {
        static uint8_t block[BENCH_BLOCK_SIZE];

        bool in_tls = argc == 5 && streq(argv[4], "tls");
        if (argc != 4 && !in_tls)
                bench_fail("Usage: bench-source vm|plain PORT BLOCKS [tls]");

        int fd = bench_connect((uint16_t) bench_number(argv[2]));
        if (in_tls)
                bench_start_tls(fd);
        if (streq(argv[1], "vm"))
                shake_hands(fd);

        bench_make_block(block);
        bench_await_start();
        for (uint64_t n = bench_number(argv[3]); n > 0; n--)
                bench_send(fd, block, sizeof block);

        /* Who closes too early might be told apart from who is moved. */
        while (getchar() != EOF)
                ;

        return EXIT_SUCCESS;
}
