/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Plays polkit, for tests: says on standard output what it is asked, and answers as its argument has it,
 * "held": with yes to all that it has been asked, once there is a line on standard input.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

static sd_bus_message *held[256];
static size_t n_held;

static int on_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *answer = userdata, *kind, *key, *name, *action, *cancellation, *k1, *v1, *k2, *v2, *k3, *v3;
        unsigned flags;

        (void) error;
        int r = sd_bus_message_read(m, "(sa{sv})sa{ss}us", &kind, 1, &key, "s", &name, &action, 3, &k1, &v1,
                                    &k2, &v2, &k3, &v3, &flags, &cancellation);
        if (r < 0)
                return r;

        printf("check %s %s=%s %s %s=%s %s=%s %s=%s flags=%u id=%s\n", kind, key, name, action, k1, v1, k2, v2, k3, v3,
               flags, cancellation);
        if (strcmp(answer, "held") == 0) {
                if (n_held < sizeof held / sizeof held[0])
                        held[n_held++] = sd_bus_message_ref(m);
                return 1;
        }

        return sd_bus_reply_method_return(m, "(bba{ss})", strcmp(answer, "yes") == 0,
                                          strcmp(answer, "challenge") == 0, 0);
}

static int on_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *cancellation;

        (void) userdata;
        (void) error;
        int r = sd_bus_message_read(m, "s", &cancellation);
        if (r < 0)
                return r;

        printf("cancel id=%s\n", cancellation);
        return sd_bus_reply_method_return(m, NULL);
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        char line[64];

        (void) source;
        (void) fd;
        (void) events;
        (void) userdata;
        if (!fgets(line, sizeof line, stdin))
                return -EPIPE;

        while (n_held > 0) {
                (void) sd_bus_reply_method_return(held[--n_held], "(bba{ss})", 1, 0, 0);
                sd_bus_message_unref(held[n_held]);
        }

        return 0;
}

static const sd_bus_vtable authority[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", on_check,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CancelCheckAuthorization", "s", NULL, on_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int main(int argc, char *argv[]) {
        sd_event *event = NULL;
        sd_bus *bus = NULL;

        if (argc != 2) {
                fputs("Usage: fake-polkit yes|no|challenge|held\n", stderr);
                return EXIT_FAILURE;
        }

        setvbuf(stdout, NULL, _IOLBF, 0);
        int r = sd_event_new(&event);
        if (r >= 0)
                r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, 0);
        if (r >= 0)
                r = sd_event_add_io(event, NULL, STDIN_FILENO, EPOLLIN, on_input, NULL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
                                             "org.freedesktop.PolicyKit1.Authority", authority, argv[1]);
        if (r >= 0)
                r = sd_bus_request_name(bus, "org.freedesktop.PolicyKit1", 0);
        if (r >= 0) {
                puts("ready");
                r = sd_event_loop(event);
        }

        sd_bus_close_unref(bus);
        sd_event_unref(event);
        return r == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE;
}
