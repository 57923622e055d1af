/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "bus-action.h"
#include "bus-manager.h"
#include "bus-names.h"
#include "bus-vm.h"
#include "bus.h"
#include "console/lookup.h"

/* The maximum of VMs that an error about an ambiguous designation lists */
#define CANDIDATES_SHOWN_MAX 8U

static int get_version(_unused_ sd_bus *connection, _unused_ const char *path,
                       _unused_ const char *interface, _unused_ const char *name, sd_bus_message *reply,
                       _unused_ void *userdata, _unused_ sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", VSPC_VERSION);
}

static const char *metric_signature(const Metric *m) {
        return m->type == METRIC_GAUGE ? "u" : "t";
}

static int get_metric(_unused_ sd_bus *connection, _unused_ const char *path, _unused_ const char *interface,
                      const char *name, sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *error) {
        uint64_t values[METRICS_N];
        size_t i = 0;

        while (!metrics[i].bus || !streq(metrics[i].bus, name))
                i++;

        metrics_collect(((const Bus *) userdata)->concentrator, 0, values);
        return bus_append_number(reply, *metric_signature(&metrics[i]), values[i]);
}

static int refuse_ambiguous(sd_bus_message *m, const char *designation, const Lookup *found) {
        _cleanup_free_ char *ids = NULL;
        size_t size, n_shown = MIN(found->n, (size_t) CANDIDATES_SHOWN_MAX);

        FILE *f = open_memstream(&ids, &size);
        if (!f)
                return -ENOMEM;

        for (size_t i = 0; i < n_shown; i++)
                fprintf(f, "%s%s", i > 0 ? ", " : "", found->candidates[i]->id);
        if (found->n > n_shown)
                fprintf(f, " and others");
        if (fclose(f) != 0)
                return -ENOMEM;

        return sd_bus_reply_method_errorf(m, BUS_ERROR_AMBIGUOUS_VM,
                                          "\"%s\" matches several VMs: %s", designation, ids);
}

/* Calls @method for the VM that the first argument of @m designates. Answers with an error if that is not exactly one VM. */
static int call_for_vm(Bus *b, sd_bus_message *m, BusVMMethod *method) {
        const char *designation;
        Lookup found;

        int r = sd_bus_message_read(m, "s", &designation);
        if (r < 0)
                return r;

        /* All callers that are served on the bus may list all VMs. */
        lookup(b->concentrator, designation, NULL, NULL, &found);
        switch (found.n) {
        case 0:
                return bus_refuse_no_such_vm(m, designation);
        case 1:
                return method(b, m, found.candidates[0]);
        default:
                return refuse_ambiguous(m, designation, &found);
        }
}

static int reply_path(_unused_ Bus *b, sd_bus_message *m, const Console *console) {
        _cleanup_free_ char *path = bus_vm_path(console->id);

        return path ? sd_bus_reply_method_return(m, "o", path) : -ENOMEM;
}

static int get_vm(Bus *b, sd_bus_message *m) {
        return call_for_vm(b, m, reply_path);
}

static int attach(Bus *b, sd_bus_message *m) {
        return call_for_vm(b, m, bus_attach);
}

static int set_access(Bus *b, sd_bus_message *m) {
        return call_for_vm(b, m, bus_set_access);
}

static int disconnect_client(Bus *b, sd_bus_message *m) {
        return call_for_vm(b, m, bus_disconnect_client);
}

static int say(Bus *b, sd_bus_message *m) {
        return call_for_vm(b, m, bus_say);
}

static int clear(Bus *b, sd_bus_message *m) {
        return call_for_vm(b, m, bus_clear);
}

static int forget(Bus *b, sd_bus_message *m) {
        return call_for_vm(b, m, bus_forget);
}

static int list_vms(Bus *b, sd_bus_message *m) {
        return bus_list(b, m, BUS_LISTING_VMS);
}

/* GetManagedObjects() */
static int list_objects(Bus *b, sd_bus_message *m) {
        return bus_list(b, m, BUS_LISTING_OBJECTS);
}

/* Introspect() of the object above those of the VMs */
static int list_nodes(Bus *b, sd_bus_message *m) {
        return bus_list(b, m, BUS_LISTING_NODES);
}

/* Defines the handler of a method, which while only people who may do everything are served first asks who the caller is. */
#define DEFINE_METHOD(method)                                                                               \
        static int guarded_##method(const BusCall *call, _unused_ Console *console) {                       \
                return method(call->bus, call->message);                                                    \
        }                                                                                                   \
        static int on_##method(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {           \
                static const BusAction guarded = {.carry_out = guarded_##method};                           \
                Bus *b = userdata;                                                                          \
                                                                                                            \
                return b->restricted ? bus_guard(b, m, &guarded) : method(b, m);                            \
        }

DEFINE_METHOD(list_vms)
DEFINE_METHOD(get_vm)
DEFINE_METHOD(attach)
DEFINE_METHOD(set_access)
DEFINE_METHOD(disconnect_client)
DEFINE_METHOD(say)
DEFINE_METHOD(clear)
DEFINE_METHOD(forget)
DEFINE_METHOD(list_objects)
DEFINE_METHOD(list_nodes)

static const sd_bus_vtable manager_methods[] = {
        SD_BUS_METHOD_WITH_ARGS("ListVMs", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssssqbo)", vms), on_list_vms,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetVM", SD_BUS_ARGS("s", vm), SD_BUS_RESULT("o", path), on_get_vm,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_ARGS("s", vm, "s", access, "t", flags),
                                SD_BUS_RESULT("h", fd, "s", granted, "t", client), on_attach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetAccess", SD_BUS_ARGS("s", vm, "t", client, "s", access, "b", force),
                                SD_BUS_RESULT("s", granted), on_set_access, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Disconnect", SD_BUS_ARGS("s", vm, "t", client), SD_BUS_NO_RESULT, on_disconnect_client,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Say", SD_BUS_ARGS("s", vm, "s", text), SD_BUS_RESULT("u", heard), on_say,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Clear", SD_BUS_ARGS("s", vm), SD_BUS_RESULT("u", disconnected), on_clear,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Forget", SD_BUS_ARGS("s", vm), SD_BUS_NO_RESULT, on_forget,
                                SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_SIGNAL_WITH_ARGS("VMAdded", SD_BUS_ARGS("s", id, "o", path), 0),
        SD_BUS_SIGNAL_WITH_ARGS("VMRemoved", SD_BUS_ARGS("s", id, "o", path), 0),

        SD_BUS_VTABLE_END,
};

/* Changes of gauges are announced by a signal; counters change too often. vm_vtable() explains who may call. */
static const sd_bus_vtable *manager_vtable(void) {
        static const uint64_t flags[] = {
                [METRIC_GAUGE] = SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE,
                [METRIC_COUNTER] = 0,
                [METRIC_TIME] = SD_BUS_VTABLE_PROPERTY_CONST,
        };
        static sd_bus_vtable vtable[2 + METRICS_N + ELEMENTSOF(manager_methods)];
        sd_bus_vtable *v = vtable;

        *v++ = (sd_bus_vtable) SD_BUS_VTABLE_START(0);
        *v++ = (sd_bus_vtable) SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST);
        for (const Metric *m = metrics; m < metrics + METRICS_N; m++)
                if (m->bus)
                        *v++ = (sd_bus_vtable) SD_BUS_PROPERTY(m->bus, metric_signature(m), get_metric, 0,
                                                               flags[m->type]);
        memcpy(v, manager_methods, sizeof manager_methods);
        return vtable;
}

/*
 * While only people who may do everything are served, calls for properties must not be answered by sd-bus.
 */

static int append_property(sd_bus_message *reply, const char *name, Bus *b) {
        const Metric *m = metrics;

        if (streq(name, "Version"))
                return sd_bus_message_append(reply, "v", "s", VSPC_VERSION);

        while (!m->bus || !streq(m->bus, name))
                m++;

        int r = sd_bus_message_open_container(reply, 'v', metric_signature(m));
        if (r >= 0)
                r = get_metric(NULL, NULL, NULL, name, reply, b, NULL);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static bool has_property(const char *name) {
        for (const Metric *m = metrics; m < metrics + METRICS_N; m++)
                if (m->bus && streq(m->bus, name))
                        return true;

        return streq(name, "Version");
}

static int append_named(sd_bus_message *reply, const char *name, Bus *b) {
        int r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', name);
        if (r >= 0)
                r = append_property(reply, name, b);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_all(sd_bus_message *reply, Bus *b) {
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_named(reply, "Version", b);
        for (const Metric *m = metrics; r >= 0 && m < metrics + METRICS_N; m++)
                if (m->bus)
                        r = append_named(reply, m->bus, b);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int call_properties(const BusCall *call, _unused_ Console *none) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        bool all = sd_bus_message_is_method_call(call->message, BUS_PROPERTIES, "GetAll");
        const char *interface, *name = "";

        int r = sd_bus_message_read(call->message, "s", &interface);
        if (r >= 0 && !all)
                r = sd_bus_message_read(call->message, "s", &name);
        if (r < 0)
                return r;
        if ((*interface && !streq(interface, BUS_MANAGER_INTERFACE)) || (!all && !has_property(name)))
                return sd_bus_reply_method_errorf(call->message, SD_BUS_ERROR_UNKNOWN_PROPERTY, "There is no property %s", name);

        r = sd_bus_message_new_method_return(call->message, &reply);
        if (r >= 0)
                r = all ? append_all(reply, call->bus) : append_property(reply, name, call->bus);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* A filter: sees calls before sd-bus, which would answer some of them by itself, with all VMs at once. */
static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        static const BusAction properties = {.carry_out = call_properties};
        Bus *b = userdata;

        if (sd_bus_message_is_method_call(m, BUS_OBJECT_MANAGER, "GetManagedObjects"))
                return on_list_objects(m, userdata, error);
        if (b->restricted && (sd_bus_message_is_method_call(m, BUS_PROPERTIES, "Get") ||
                              sd_bus_message_is_method_call(m, BUS_PROPERTIES, "GetAll")))
                return bus_guard(b, m, &properties);

        return 0;
}

static int on_call_above_vms(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_call(m, BUS_INTROSPECTABLE, "Introspect"))
                return on_list_nodes(m, userdata, error);

        return 0;
}

int bus_manager_export(Bus *b, sd_bus *connection) {
        int r = sd_bus_add_object_vtable(connection, NULL, BUS_PATH, BUS_MANAGER_INTERFACE, manager_vtable(),
                                         b);
        if (r >= 0)
                r = sd_bus_add_object_manager(connection, NULL, BUS_PATH);
        if (r >= 0)
                r = sd_bus_add_object(connection, NULL, BUS_PATH, on_call, b);
        if (r >= 0)
                r = sd_bus_add_object(connection, NULL, BUS_VM_PATH, on_call_above_vms, b);

        return r;
}
