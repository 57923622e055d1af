/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "bus-names.h"
#include "bus-vm.h"
#include "bus.h"

/* The properties that @event may have changed: one bit for each, in the order of vm_properties[] */
static unsigned changed_by(ConsoleEvent event) {
        unsigned changed = 0;

        static_assert(VM_PROPERTIES_N <= 8 * sizeof changed, "there is a bit for each property");
        for (size_t i = 0; i < VM_PROPERTIES_N; i++)
                if (vm_properties[i].changes & 1U << event)
                        changed |= 1U << i;

        return changed;
}

/* Signals that wait for one VM, to be sent in this order: it was removed, it was added, other changes. */
struct BusNewsItem {
        char *id;
        bool gone, come; /* both: another VM with the same identity was added */
        unsigned changed;
        usec_t since; /* CLOCK_MONOTONIC: the first event since the last signals */
        UT_hash_handle handle;
        BusNewsItem *prev, *next;
};

static void item_free(BusNews *news, BusNewsItem *item) {
        HASH_REMOVE(handle, news->by_id, item);
        DL_DELETE(news->oldest, item);
        news->n_gone -= item->gone;
        free(item->id);
        free(item);
}

static BusNewsItem *item_new(BusNews *news, const char *id, usec_t now) {
        _cleanup_free_ BusNewsItem *item = calloc(1, sizeof(BusNewsItem));
        if (!item)
                return NULL;

        item->id = strdup(id);
        if (!item->id)
                return NULL;

        item->since = now;
        if (HASH_TRY_ADD(handle, news->by_id, item->id, strlen(item->id), item) < 0) {
                free(item->id);
                return NULL;
        }

        DL_APPEND(news->oldest, item);
        return TAKE_PTR(item);
}

static int tell_gone(Bus *b, const BusNewsItem *item, const char *path) {
        int r = sd_bus_emit_signal(b->connection, BUS_PATH, BUS_OBJECT_MANAGER, "InterfacesRemoved", "oas",
                                   path, 1, BUS_VM_INTERFACE);
        if (r < 0)
                return r;

        return sd_bus_emit_signal(b->connection, BUS_PATH, BUS_MANAGER_INTERFACE, "VMRemoved", "so",
                                  item->id, path);
}

static int tell_come(Bus *b, const BusNewsItem *item, const char *path, Console *console) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        int r = sd_bus_message_new_signal(b->connection, &m, BUS_PATH, BUS_OBJECT_MANAGER,
                                          "InterfacesAdded");
        if (r >= 0)
                r = sd_bus_message_append(m, "o", path);
        if (r >= 0)
                r = bus_vm_append(m, console);
        if (r >= 0)
                r = sd_bus_send(NULL, m, NULL);
        if (r < 0)
                return r;

        return sd_bus_emit_signal(b->connection, BUS_PATH, BUS_MANAGER_INTERFACE, "VMAdded", "so", item->id,
                                  path);
}

static int tell_changed(Bus *b, const BusNewsItem *item, const char *path) {
        char *names[VM_PROPERTIES_N + 1] = {};
        size_t n = 0;

        for (size_t i = 0; i < VM_PROPERTIES_N; i++)
                if (item->changed & 1U << i)
                        names[n++] = (char *) vm_properties[i].name;

        return sd_bus_emit_properties_changed_strv(b->connection, path, BUS_VM_INTERFACE, names);
}

static int item_tell(Bus *b, const BusNewsItem *item) {
        _cleanup_free_ char *path = bus_vm_path(item->id);
        Console *console = concentrator_find(b->concentrator, item->id);
        int r = path ? 0 : -ENOMEM;

        if (r >= 0 && item->gone)
                r = tell_gone(b, item, path);
        if (r >= 0 && item->come && console)
                r = tell_come(b, item, path, console);
        if (r >= 0 && item->changed && !item->come && console)
                r = tell_changed(b, item, path);

        return r;
}

static int tell_counts(Bus *b) {
        char *names[METRICS_N + 1] = {};
        size_t n = 0;

        for (const Metric *m = metrics; m < metrics + METRICS_N; m++)
                if (m->bus && m->type == METRIC_GAUGE)
                        names[n++] = (char *) m->bus;

        b->news.counts_since = 0;
        return sd_bus_emit_properties_changed_strv(b->connection, BUS_PATH, BUS_MANAGER_INTERFACE, names);
}

/* When the next signals are due; USEC_INFINITY: none wait */
static usec_t news_due(const BusNews *news) {
        usec_t since = news->oldest ? news->oldest->since : USEC_INFINITY;

        if (news->counts_since > 0)
                since = MIN(since, news->counts_since);

        return since == USEC_INFINITY ? USEC_INFINITY : since + BUS_NEWS_DELAY_USEC;
}

static int news_tell(Bus *b) {
        usec_t began = now_monotonic();
        BusNews *news = &b->news;
        int r = 0;

        if (news->counts_since > 0 && news->counts_since + BUS_NEWS_DELAY_USEC <= began)
                r = tell_counts(b);

        while (r >= 0 && news->oldest && news->oldest->since + BUS_NEWS_DELAY_USEC <= began &&
               !bus_turn_is_over(began)) {
                r = item_tell(b, news->oldest);
                item_free(news, news->oldest);
        }

        return r;
}

static int on_news(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        Bus *b = userdata;

        if (bus_queued(b) > BUS_QUEUE_HIGH) {
                bus_set_timer(b, b->news.timer, BUS_NEWS_DELAY_USEC);
                return 0;
        }

        int r = news_tell(b);
        if (r < 0) {
                bus_fail(b, BUS_AWAY, r);
                return 0;
        }

        usec_t due = news_due(&b->news), now = concentrator_now(b->concentrator);
        if (due != USEC_INFINITY)
                bus_set_timer(b, b->news.timer, MAX(due - MIN(due, now), BUS_REST_USEC));

        return 0;
}

static void news_arm(Bus *b) {
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(b->news.timer, &enabled);
        if (enabled == SD_EVENT_OFF)
                bus_set_timer(b, b->news.timer, BUS_NEWS_DELAY_USEC);
}

static int item_set_gone(BusNews *news, BusNewsItem *item) {
        bool heard_of = item->gone || !item->come;

        item->come = false;
        if (!heard_of)
                item_free(news, item);
        else if (!item->gone) {
                item->gone = true;
                news->n_gone++;
        }

        return news->n_gone > BUS_NEWS_GONE_MAX ? -ENOBUFS : 0;
}

int bus_news_add(Bus *b, const Console *console, ConsoleEvent event) {
        usec_t now = concentrator_now(b->concentrator);
        BusNews *news = &b->news;
        BusNewsItem *item;

        HASH_FIND(handle, news->by_id, console->id, strlen(console->id), item);
        if (!item)
                item = item_new(news, console->id, now);
        if (!item)
                return -ENOMEM;

        if (news->counts_since == 0)
                news->counts_since = now;

        news_arm(b);
        if (event == CONSOLE_REMOVED)
                return item_set_gone(news, item);
        if (event == CONSOLE_ADDED)
                item->come = true;
        else
                item->changed |= changed_by(event);

        return 0;
}

int bus_news_init(Bus *b) {
        return bus_add_timer(b, &b->news.timer, on_news);
}

void bus_news_clear(Bus *b) {
        while (b->news.oldest)
                item_free(&b->news, b->news.oldest);

        b->news.counts_since = 0;
        (void) sd_event_source_set_enabled(b->news.timer, SD_EVENT_OFF);
}

void bus_news_done(Bus *b) {
        b->news.timer = sd_event_source_disable_unref(b->news.timer);
}
