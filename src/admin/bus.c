/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus-credentials.h"
#include "bus-manager.h"
#include "bus-names.h"
#include "bus-vm.h"
#include "bus.h"

/* Answers of RequestName (D-Bus Specification) */
enum {
        NAME_IS_OURS = 1,
        NAME_IS_QUEUED_FOR = 2,
};

int bus_add_timer(Bus *b, sd_event_source **ret, sd_event_time_handler_t handler) {
        int r = sd_event_add_time(concentrator_event(b->concentrator), ret, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, handler,
                                  b);
        if (r < 0)
                return r;

        return sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

void bus_set_timer(Bus *b, sd_event_source *timer, usec_t delay) {
        (void) sd_event_source_set_time(timer, concentrator_now(b->concentrator) + delay);
        (void) sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

Bus *bus_current(sd_bus *connection) {
        return sd_bus_slot_get_userdata(sd_bus_get_current_slot(connection));
}

uint64_t bus_queued(const Bus *b) {
        uint64_t n = 0;

        (void) sd_bus_get_n_queued_write(b->connection, &n);
        return n;
}

/* Returns: whether the condition has changed. */
static bool bus_enter(Bus *b, BusCondition condition) {
        if (b->condition == condition)
                return false;

        b->condition = condition;
        return true;
}

static void bus_serve(Bus *b) {
        if (!bus_enter(b, BUS_SERVING))
                return;

        b->retry_delay = BUS_RETRY_MIN_USEC;
        (void) sd_event_source_set_enabled(b->retry_timer, SD_EVENT_OFF);
        log_info("On the system bus as " BUS_NAME);
}

/* Closes the connection and ends everything that uses it. */
static void bus_disconnect(Bus *b) {
        bus_news_clear(b);
        bus_listings_clear(b);
        bus_calls_clear(b);
        user_names_cancel(&b->owner_name);
        b->connection = sd_bus_close_unref(b->connection);
}

/* If there is no bus at the start, this is normal on some systems: it is not logged as a warning. */
static void bus_log_failure(BusCondition before, BusCondition now, int error) {
        if (now == BUS_REFUSED)
                log_warning_errno(error, "The system bus does not let us own the name " BUS_NAME
                                         " (its policy belongs in dbus-1/system.d): %m");
        else
                log_full(before == BUS_UNTRIED ? LOG_INFO : LOG_WARNING, error, NULL,
                         "Not on the system bus, trying again until that works: %m");
}

void bus_fail(Bus *b, BusCondition condition, int error) {
        BusCondition before = b->condition;
        int enabled = SD_EVENT_OFF;

        if (bus_enter(b, condition))
                bus_log_failure(before, condition, error);

        /* After reconnecting, callers read everything again, so waiting signals are not needed. */
        bus_news_clear(b);

        (void) sd_event_source_get_enabled(b->retry_timer, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;

        bus_set_timer(b, b->retry_timer, b->retry_delay);
        b->retry_delay = MIN(2 * b->retry_delay, BUS_RETRY_MAX_USEC);
}

static int on_disconnected(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        bus_fail(userdata, BUS_AWAY, -ECONNRESET);
        return 0;
}

static int on_name_acquired(_unused_ sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        bus_serve(userdata);
        return 0;
}

static void log_owner(const char *owner) {
        log_warning("On the system bus %s owns the name " BUS_NAME ": vspcd cannot be reached there", owner);
}

static void on_owner_named(UserNameQuery *query, const char *name) {
        Bus *b = container_of(query, Bus, owner_name);

        peer_set_user_name(&b->owner, name);
        log_owner(b->owner.text);
}

static int on_owner_known(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        Bus *b = userdata;

        user_names_cancel(&b->owner_name);
        if (bus_read_credentials(m, &b->owner) < 0)
                log_owner("somebody else");
        else
                user_names_ask(b->user_names, &b->owner_name, b->owner.uid, on_owner_named);

        return 0;
}

static int on_name_answered(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        Bus *b = userdata;
        uint32_t answer;

        /* the connection has ended: on_disconnected() handles this */
        if (sd_bus_is_open(b->connection) <= 0)
                return 0;

        if (sd_bus_message_is_method_error(m, NULL)) {
                bool refused = sd_bus_message_is_method_error(m, SD_BUS_ERROR_ACCESS_DENIED) > 0;

                bus_fail(b, refused ? BUS_REFUSED : BUS_AWAY, -sd_bus_message_get_errno(m));
                return 0;
        }

        if (sd_bus_message_read(m, "u", &answer) < 0)
                return 0;

        if (answer == NAME_IS_OURS)
                bus_serve(b);
        else if (answer == NAME_IS_QUEUED_FOR && bus_enter(b, BUS_TAKEN))
                (void) bus_ask_credentials(b->connection, NULL, BUS_NAME, on_owner_known, b);

        return 0;
}

static int bus_export(Bus *b, sd_bus *connection) {
        int r = bus_manager_export(b, connection);
        if (r >= 0)
                r = bus_vm_export(b, connection);
        if (r >= 0)
                r = sd_bus_match_signal_async(connection, NULL, BUS_LOCAL, BUS_LOCAL_PATH, BUS_LOCAL,
                                              "Disconnected", on_disconnected, NULL, b);
        if (r >= 0)
                r = sd_bus_add_match_async(connection, NULL,
                                           "type='signal',sender='" BUS_DAEMON "',path='" BUS_DAEMON_PATH
                                           "',interface='" BUS_DAEMON
                                           "',member='NameAcquired',arg0='" BUS_NAME "'",
                                           on_name_acquired, NULL, b);
        if (r >= 0)
                r = sd_bus_request_name_async(connection, NULL, BUS_NAME, SD_BUS_NAME_QUEUE,
                                              on_name_answered, b);

        return r;
}

static int bus_connect(Bus *b) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *connection = NULL;

        int r = sd_bus_open_system_with_description(&connection, "vspcd");
        if (r < 0)
                return r;

        /* Otherwise sd-bus would flush it at the end of the loop, for an unlimited time. */
        r = sd_bus_set_close_on_exit(connection, false);
        if (r < 0)
                return r;

        r = sd_bus_attach_event(connection, concentrator_event(b->concentrator), SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;

        r = bus_export(b, connection);
        if (r < 0)
                return r;

        b->connection = TAKE_PTR(connection);
        return 0;
}

static int on_retry(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        Bus *b = userdata;

        bus_disconnect(b);
        int r = bus_connect(b);
        if (r < 0)
                bus_fail(b, BUS_AWAY, r);

        return 0;
}

static void on_console_event(ConcentratorObserver *observer, Console *console, ConsoleEvent event,
                             _unused_ const Client *client) {
        Bus *b = container_of(observer, Bus, observer);

        if (event == CONSOLE_REMOVED)
                bus_listings_forget(b, console);

        if (b->condition != BUS_SERVING || b->restricted)
                return;

        int r = bus_news_add(b, console, event);
        if (r < 0)
                bus_fail(b, BUS_AWAY, r);
}

void bus_rights_changed(Bus *b) {
        bool restricted = !rights_are_open(concentrator_rights(b->concentrator));

        if (restricted == b->restricted)
                return;

        b->restricted = restricted;
        if (restricted) {
                bus_news_clear(b);
                bus_listings_clear(b); /* it is not known whether their callers may still list VMs */
        }
        log_info(restricted ? "On the system bus only root and group vspc are served, and no signals are sent: by [Access] not all "
                              "users may list all VMs"
                            : "On the system bus all users are served, and signals are sent");
}

int bus_new(Concentrator *c, UserNames *user_names, Bus **ret) {
        _cleanup_(bus_freep) Bus *b = calloc(1, sizeof(Bus));
        if (!b)
                return -ENOMEM;

        b->concentrator = c;
        b->user_names = user_names;
        b->retry_delay = BUS_RETRY_MIN_USEC;
        b->observer.notify = on_console_event;
        concentrator_observe(c, &b->observer);

        int r = bus_add_timer(b, &b->retry_timer, on_retry);
        if (r >= 0)
                r = bus_news_init(b);
        if (r >= 0)
                r = bus_listings_init(b);
        if (r < 0)
                return r;

        bus_set_timer(b, b->retry_timer, 0);
        *ret = TAKE_PTR(b);
        return 0;
}

Bus *bus_free(Bus *b) {
        concentrator_unobserve(b->concentrator, &b->observer);
        bus_disconnect(b);
        bus_listings_done(b);
        bus_news_done(b);
        sd_event_source_disable_unref(b->retry_timer);
        free(b);
        return NULL;
}
