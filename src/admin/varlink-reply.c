/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Replies of VarlinkConnection, and the parameters of calls */

#include "varlink-client.h"
#include "varlink-server.h"

/* The maximum of permitted people that an error names */
#define HOLDERS_MAX 32U

static JsonWriter reply_begin(VarlinkConnection *c, const char *error) {
        JsonWriter w = JSON_WRITER_INIT(&c->stream.out);

        /* Writes nothing if the connection is closed, or the call is oneway. */
        if (c->oneway || c->state == VARLINK_CLOSED)
                w.error = -ESHUTDOWN;

        json_writer_begin_object(&w, NULL);
        if (error)
                json_writer_put_string(&w, "error", error);
        json_writer_begin_object(&w, "parameters");
        return w;
}

JsonWriter varlink_reply_begin(VarlinkConnection *c) {
        return reply_begin(c, NULL);
}

JsonWriter varlink_error_begin(VarlinkConnection *c, const char *error) {
        return reply_begin(c, error);
}

void varlink_reply_end(VarlinkConnection *c, JsonWriter *w, VarlinkReplyFlags flags) {
        json_writer_end_object(w);
        if (flags & VARLINK_CONTINUES)
                json_writer_put_boolean(w, "continues", true);
        json_writer_end_object(w);

        if (w->error == 0)
                w->error = buffer_append(w->out, "", 1);
        if (w->error < 0 && w->error != -ESHUTDOWN) {
                log_warning_errno(w->error, "Cannot answer the query of %s, closing the connection: %m",
                                  c->peer.text);
                varlink_close(c);
        }
}

void varlink_reply(VarlinkConnection *c) {
        JsonWriter w = varlink_reply_begin(c);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

static void reply_error(VarlinkConnection *c, const char *error, const char *key, const char *value) {
        JsonWriter w = varlink_error_begin(c, error);

        if (key)
                json_writer_put_string(&w, key, value);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

void varlink_reply_invalid_parameter(VarlinkConnection *c, const char *parameter) {
        reply_error(c, "org.varlink.service.InvalidParameter", "parameter", parameter);
}

void varlink_reply_expected_more(VarlinkConnection *c) {
        reply_error(c, "org.varlink.service.ExpectedMore", NULL, NULL);
}

void varlink_reply_permission_denied(VarlinkConnection *c) {
        reply_error(c, "org.varlink.service.PermissionDenied", NULL, NULL);
}

void varlink_reply_interface_not_found(VarlinkConnection *c, const char *interface) {
        reply_error(c, "org.varlink.service.InterfaceNotFound", "interface", interface);
}

void varlink_reply_method_not_found(VarlinkConnection *c, const char *method) {
        reply_error(c, "org.varlink.service.MethodNotFound", "method", method);
}

/* Also tells who has the right; with @vm, at that VM */
void varlink_reply_not_permitted_at(VarlinkConnection *c, const char *vm, Console *console, Act act) {
        const Rights *r = concentrator_rights(c->server->concentrator);
        const char *who[HOLDERS_MAX];
        JsonWriter w = varlink_error_begin(c, VARLINK_INTERFACE ".NotPermitted");
        size_t n = console ? rights_holders(r, console_rights(console), rights_act_needs(act), who, HOLDERS_MAX) : 0;

        if (vm)
                json_writer_put_string(&w, "vm", vm);
        if (console) {
                json_writer_put_string(&w, "act", rights_act_text(act));
                json_writer_put_string(&w, "right", right_to_string(rights_act_needs(act)));
        }
        json_writer_begin_array(&w, "who");
        json_writer_put_string(&w, NULL, "user:root");
        json_writer_put_string(&w, NULL, "group:vspc");
        for (size_t i = 0; i < n; i++)
                json_writer_put_string(&w, NULL, who[i]);
        json_writer_end_array(&w);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

void varlink_reply_not_permitted(VarlinkConnection *c) {
        varlink_reply_not_permitted_at(c, NULL, NULL, ACT_LIST);
}

static const VarlinkParameter *find_parameter(const VarlinkParameter *parameters, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (streq(parameters[i].name, name))
                        return &parameters[i];

        return NULL;
}

static bool take_value(const VarlinkParameter *p, const json_t *value) {
        switch (p->type) {

        case VARLINK_STRING:
                if (!json_is_string(value))
                        return false;
                *(const char **) p->target = json_string_value(value);
                return true;

        case VARLINK_NUMBER:
                if (!json_is_integer(value) || json_integer_value(value) < 0)
                        return false;
                *(uint64_t *) p->target = (uint64_t) json_integer_value(value);
                return true;

        case VARLINK_BOOLEAN:
                if (!json_is_boolean(value))
                        return false;
                *(bool *) p->target = json_is_true(value);
                return true;
        }

        return false;
}

bool varlink_take_parameters(VarlinkConnection *c, const VarlinkCall *call, const VarlinkParameter *parameters,
                             size_t n) {
        json_t *given = (json_t *) call->parameters, *value;
        const char *name;

        json_object_foreach(given, name, value)
                if (!find_parameter(parameters, n, name)) {
                        varlink_reply_invalid_parameter(c, name);
                        return false;
                }

        for (size_t i = 0; i < n; i++) {
                value = json_object_get(given, parameters[i].name);
                bool missing = !value || json_is_null(value);

                if (missing ? parameters[i].presence == VARLINK_REQUIRED : !take_value(&parameters[i], value)) {
                        varlink_reply_invalid_parameter(c, parameters[i].name);
                        return false;
                }
        }

        return true;
}
