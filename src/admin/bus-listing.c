/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "bus-names.h"
#include "bus-vm.h"
#include "bus.h"

/* Pause between two answers while the previous one is still in the queue of the bus */
#define LISTING_PAUSE_USEC (20 * USEC_PER_MSEC)

struct BusListing {
        BusListingKind kind;
        sd_bus_message *call;
        sd_bus_message *reply; /* NULL: not begun */
        Buffer nodes;          /* the answer so far, of BUS_LISTING_NODES */
        Console *position;     /* the next VM; NULL: all have been added */
        size_t size;           /* bytes so far, estimated by listing_measure() */
        BusListing *prev, *next;
};

static void listing_free(BusListings *listings, BusListing *l) {
        DL_DELETE(listings->first, l);
        listings->n--;
        buffer_clear(&l->nodes);
        sd_bus_message_unref(l->reply);
        sd_bus_message_unref(l->call);
        free(l);
}

static int append_text(Buffer *b, const char *text) {
        return buffer_append(b, text, strlen(text));
}

static int listing_begin(Bus *b, BusListing *l) {
        static const char nodes[] =
                "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n"
                "\"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n"
                "<node>\n";

        int r = sd_bus_message_new_method_return(l->call, &l->reply);
        if (r < 0)
                return r;

        l->position = concentrator_consoles(b->concentrator);
        switch (l->kind) {
        case BUS_LISTING_VMS:
                return sd_bus_message_open_container(l->reply, 'a', "(ssssqbo)");
        case BUS_LISTING_OBJECTS:
                return sd_bus_message_open_container(l->reply, 'a', "{oa{sa{sv}}}");
        default:
                l->nodes = BUFFER_INIT(BUS_LISTING_SIZE_MAX);
                return append_text(&l->nodes, nodes);
        }
}

static int append_vm(sd_bus_message *m, const Console *c, const char *path) {
        static const char *const names[] = {"Id", "Name", "UUID", "URI", "Port", "Connected"};

        int r = sd_bus_message_open_container(m, 'r', "ssssqbo");
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(names); i++)
                r = bus_vm_append_property(m, vm_property_find(names[i]), c);
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 'o', path);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_object(sd_bus_message *m, Console *c, const char *path) {
        int r = sd_bus_message_open_container(m, 'e', "oa{sa{sv}}");
        if (r >= 0)
                r = sd_bus_message_append(m, "o", path);
        if (r >= 0)
                r = bus_vm_append(m, c);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_node(Buffer *b, const char *path) {
        int r = append_text(b, " <node name=\"");
        if (r >= 0)
                r = append_text(b, path + strlen(BUS_VM_PATH "/"));

        return r < 0 ? r : append_text(b, "\"/>\n");
}

/* An upper estimate of the bytes that a VM takes */
static size_t listing_measure(const BusListing *l, const Console *c, const char *path) {
        static const size_t fixed[] = {
                [BUS_LISTING_VMS] = 192,
                [BUS_LISTING_OBJECTS] = 1024 + CONSOLE_CLASH_TEXT_MAX,
                [BUS_LISTING_NODES] = 32,
        };

        return fixed[l->kind] + strlen(path) + strlen(c->id) + strlen(c->name) + strlen(c->uri);
}

static int listing_append(BusListing *l, Console *c) {
        _cleanup_free_ char *path = bus_vm_path(c->id);
        if (!path)
                return -ENOMEM;

        l->size += listing_measure(l, c, path);
        if (l->size > BUS_LISTING_SIZE_MAX)
                return -EMSGSIZE;

        switch (l->kind) {
        case BUS_LISTING_VMS:
                return append_vm(l->reply, c, path);
        case BUS_LISTING_OBJECTS:
                return append_object(l->reply, c, path);
        default:
                return append_node(&l->nodes, path);
        }
}

static int listing_finish(BusListing *l) {
        int r;

        if (l->kind == BUS_LISTING_NODES) {
                r = buffer_append(&l->nodes, "</node>\n", sizeof "</node>\n");
                if (r >= 0)
                        r = sd_bus_message_append(l->reply, "s", (const char *) buffer_data(&l->nodes));
        } else
                r = sd_bus_message_close_container(l->reply);

        return r < 0 ? r : sd_bus_send(NULL, l->reply, NULL);
}

/* Returns: 1 once the answer has been sent; 0 if the turn ends before; or a negative errno. */
static int listing_go_on(Bus *b, BusListing *l, usec_t began) {
        int r = l->reply ? 0 : listing_begin(b, l);

        while (r >= 0 && l->position) {
                if (bus_turn_is_over(began))
                        return 0;

                r = listing_append(l, l->position);
                l->position = l->position->handle.next;
        }

        if (r >= 0)
                r = listing_finish(l);

        return r < 0 ? r : 1;
}

static void listing_fail(const BusListing *l, int error) {
        if (error == -EMSGSIZE)
                (void) sd_bus_reply_method_errorf(l->call, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                                  "There are more VMs than fit into a message of the bus");
        else
                (void) sd_bus_reply_method_errno(l->call, error, NULL);
}

static void listings_go_on(Bus *b) {
        BusListings *listings = &b->listings;
        usec_t began = now_monotonic(), pause = BUS_REST_USEC;

        while (listings->first && !bus_turn_is_over(began)) {
                BusListing *l = listings->first;

                if (!l->reply && bus_queued(b) > 0) {
                        pause = LISTING_PAUSE_USEC;
                        break;
                }

                int r = listing_go_on(b, l, began);
                if (r == 0)
                        break;
                if (r < 0)
                        listing_fail(l, r);
                listing_free(listings, l);
        }

        if (listings->first)
                bus_set_timer(b, listings->timer, pause);
}

static int on_turn(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        listings_go_on(userdata);
        return 0;
}

static unsigned count_of_caller(const BusListings *listings, const char *caller) {
        const BusListing *l;
        unsigned n = 0;

        DL_FOREACH(listings->first, l)
                n += streq(sd_bus_message_get_sender(l->call), caller);

        return n;
}

int bus_list(Bus *b, sd_bus_message *call, BusListingKind kind) {
        BusListings *listings = &b->listings;
        const char *caller = sd_bus_message_get_sender(call);

        if (!caller)
                return -EINVAL;
        if (listings->n >= BUS_LISTINGS_MAX ||
            count_of_caller(listings, caller) >= BUS_LISTINGS_PER_CALLER_MAX)
                return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                                  "Too many calls wait for a list of all VMs");

        BusListing *l = calloc(1, sizeof(BusListing));
        if (!l)
                return -ENOMEM;

        l->kind = kind;
        l->call = sd_bus_message_ref(call);
        DL_APPEND(listings->first, l);
        listings->n++;
        if (listings->n == 1)
                listings_go_on(b);

        return 1;
}

void bus_listings_forget(Bus *b, const Console *console) {
        BusListing *l;

        DL_FOREACH(b->listings.first, l)
                if (l->position == console)
                        l->position = console->handle.next;
}

int bus_listings_init(Bus *b) {
        return bus_add_timer(b, &b->listings.timer, on_turn);
}

void bus_listings_clear(Bus *b) {
        while (b->listings.first)
                listing_free(&b->listings, b->listings.first);

        (void) sd_event_source_set_enabled(b->listings.timer, SD_EVENT_OFF);
}

void bus_listings_done(Bus *b) {
        b->listings.timer = sd_event_source_disable_unref(b->listings.timer);
}
