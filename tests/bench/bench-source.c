/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bench-common.h"
#include "telnet/vmware.h"

/*
 * bench-source KIND PORT BLOCKS [NUMBER] [tls]: sends so many blocks as fast as they are taken, and ends when its standard
 * input does. "plain" sends text as it is. All other kinds are VMs, which shake hands first as an ESXi host does; VMs with
 * different numbers have different UUIDs. They send
 *
 *   vm        text
 *   commands  IAC NOP, over and over
 *   names     suboptions that give the VM two names, in turn
 */

static const TelnetPolicy vm_policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_VMWARE, TELNET_OPTION_END},
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
};

static unsigned number;

/* Returns: whether that was the last word. */
static bool answer(const TelnetEvent *event, Buffer *out) {
        static const char do_proxy[] = "Ss0", name[] = "bench";
        char uuid[48];
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
                snprintf(uuid, sizeof uuid, "50 00 00 00 00 00 00 00-00 00 00 00 00 %02x be c4", number & 0xff);
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
        static uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
        Buffer out = BUFFER_INIT(65536);
        bool done = false;

        telnet_session_init(&session, TELNET_CR_LF_KEPT);
        while (!done) {
                uint8_t data[4096];

                size_t n = bench_receive(fd, data, sizeof data);

                for (size_t used = 0; used < n;) {
                        TelnetAnswer negotiated;
                        TelnetEvent event;

                        used += telnet_decode(&session.in, subnegotiation, data + used, n - used, &event);
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

/* Fills @block with copies of what is in @b. Returns: how many bytes that are. */
static size_t repeat(uint8_t block[static BENCH_BLOCK_SIZE], const Buffer *b) {
        size_t n = 0;

        for (; n + b->size <= BENCH_BLOCK_SIZE; n += b->size)
                memcpy(block + n, buffer_data(b), b->size);
        return n;
}

static size_t make_block(uint8_t block[static BENCH_BLOCK_SIZE], const char *kind) {
        static const uint8_t nop[] = {TELNET_IAC, TELNET_NOP};
        Buffer b = BUFFER_INIT(64);
        int r = 0;

        if (streq(kind, "commands"))
                r = buffer_append(&b, nop, sizeof nop);
        else if (streq(kind, "names")) {
                r = vmware_put(&b, VMWARE_VM_NAME, "one", 3);
                if (r >= 0)
                        r = vmware_put(&b, VMWARE_VM_NAME, "two", 3);
        } else if (streq(kind, "vm") || streq(kind, "plain")) {
                bench_make_block(block);
                return BENCH_BLOCK_SIZE;
        } else
                bench_fail("\"%s\" is no kind of source.", kind);
        if (r < 0)
                bench_fail("Cannot make a block.");

        size_t n = repeat(block, &b);
        buffer_clear(&b);
        return n;
}

int main(int argc, char **argv) {
        static uint8_t block[BENCH_BLOCK_SIZE];

        bool in_tls = argc > 4 && streq(argv[argc - 1], "tls");
        argc -= in_tls;
        if (argc != 4 && argc != 5)
                bench_fail("Usage: bench-source KIND PORT BLOCKS [NUMBER] [tls]");
        if (argc == 5)
                number = (unsigned) bench_number(argv[4]);

        size_t n_block = make_block(block, argv[1]);
        int fd = bench_connect((uint16_t) bench_number(argv[2]));
        if (in_tls)
                bench_start_tls(fd);
        if (!streq(argv[1], "plain"))
                shake_hands(fd);

        bench_await_start();
        for (uint64_t n = bench_number(argv[3]); n > 0; n--)
                bench_send(fd, block, n_block);

        /* Who closes too early might be told apart from who is moved. */
        while (getchar() != EOF)
                ;

        return EXIT_SUCCESS;
}
