/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/concentrator.h"
#include "console/client.h"
#include "json-writer.h"
#include "metric.h"

/*
 * VmProperty: a property of a VM in Varlink and on D-Bus. A table declares each property once: its names and types, the
 * function that reads its value, and the events after which it may have changed.
 *
 * This file also collects the values of metrics.
 */

/* A value, set by a getter: the text of a property of type "s", or the number of any other property */
typedef struct PropertyValue {
        const char *text;
        uint64_t number;
        char buffer[CONSOLE_CLASH_TEXT_MAX]; /* for a text that the getter composes */
} PropertyValue;

typedef struct VmProperty {
        const char *key;       /* its name in Varlink; NULL: none */
        const char *type;      /* its type in Varlink; "?": left out if the value is "", 0 or above INT64_MAX */
        const char *name;      /* its name on D-Bus; NULL: none */
        const char *signature; /* its type on D-Bus: "s", "b", "q", "u" or "t" */
        unsigned changes;      /* the events that may change it, 1U << event (ConsoleEvent); 0: its changes are not announced */
        bool constant;
        void (*get)(const Console *c, PropertyValue *v);
        void (*write)(const Console *c, JsonWriter *w, const char *key); /* writes it in Varlink, instead of `get`; or NULL */
} VmProperty;

#define VM_PROPERTIES_N 21U
extern const VmProperty vm_properties[VM_PROPERTIES_N];

/* The maximum of clients of a VM that are listed. Their number is a separate property. */
#define VM_CLIENTS_LISTED_MAX 64U

/* Write the objects VM and Client of org.vspc.Concentrator. */
void vm_json_write(JsonWriter *w, const char *key, const Console *console);
void client_json_write(JsonWriter *w, const char *key, const Client *client);

/* Returns: the property with this name on D-Bus, or NULL. */
const VmProperty *vm_property_find(const char *name);

/* *ret: the values, in the order of metrics[]. @n_admin: the number of admin connections */
void metrics_collect(Concentrator *c, unsigned n_admin, uint64_t ret[static METRICS_N]);
