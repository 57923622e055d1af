/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <limits.h>

#include "basic/glob.h"
#include "inventory.h"
#include "vm.h"

static int compare(const void *a, const void *b) {
        const json_t *x = *(json_t *const *) a, *y = *(json_t *const *) b;

        /* web2 before web10 */
        int r = strverscmp(json_get_text(x, "name", ""), json_get_text(y, "name", ""));
        return r != 0 ? r : strcmp(json_get_text(x, "id", ""), json_get_text(y, "id", ""));
}

static int sorted(const json_t *vms, json_t **ret) {
        size_t n = json_array_size(vms);
        _cleanup_json_ json_t *result = json_array();
        _cleanup_free_ json_t **order = calloc(n + 1, sizeof(json_t *));
        if (!result || !order)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++)
                order[i] = json_array_get(vms, i);

        qsort(order, n, sizeof(json_t *), compare);

        for (size_t i = 0; i < n; i++)
                if (json_array_append(result, order[i]) < 0)
                        return -ENOMEM;

        *ret = TAKE_PTR(result);
        return 0;
}

/* Adds the VM of a reply. A reply without one says that there are no VMs. */
static int add(json_t *vms, const VarlinkReply *reply) {
        json_t *vm = json_object_get(reply->parameters, "vm");

        if (!vm || json_is_null(vm))
                return 0;
        if (!json_is_object(vm))
                return -EBADMSG;

        return json_array_append(vms, vm) < 0 ? -ENOMEM : 0;
}

int inventory_fetch(Connection *c, const char *name, size_t max, json_t **ret_vms) {
        _cleanup_json_ json_t *vms = json_array(), *parameters = json_pack("{s:s*}", "name", name);
        size_t cost = 0;
        bool more = true;

        if (!vms || !parameters)
                return -ENOMEM;

        int r = connection_call(c, "List", TAKE_PTR(parameters), VARLINK_MORE);
        while (r >= 0 && more) {
                _cleanup_reply_ VarlinkReply reply = {};

                r = connection_receive(c, CONNECTION_TIMEOUT_USEC, &reply);
                if (r >= 0)
                        r = add(vms, &reply);

                cost += reply.cost;
                if (r >= 0 && cost > max)
                        r = -EFBIG;

                more = reply.continues;
        }
        if (r < 0)
                return r;

        if (name && json_array_size(vms) == 0) {
                c->refusal = (VarlinkReply){.error = VARLINK_INTERFACE ".NoSuchVM"};
                return -EREMOTEIO;
        }

        return sorted(vms, ret_vms);
}

/* The VMs found so far, and their ids as members of an object */
typedef struct Found {
        json_t *vms, *ids;
} Found;

/* Adds the VMs in @all whose names match the pattern. Returns: their number, or -ENOMEM. */
static int add_matching(Found *found, const json_t *all, const char *pattern) {
        int n = 0;

        for (size_t i = 0; i < json_array_size(all); i++) {
                json_t *vm = json_array_get(all, i);

                if (!glob_match(pattern, json_get_text(vm, "name", "")))
                        continue;
                if (n < INT_MAX)
                        n++;
                const char *id = json_get_text(vm, "id", "");
                if (!json_object_get(found->ids, id) &&
                    (json_array_append(found->vms, vm) < 0 || json_object_set_new(found->ids, id, json_true()) < 0))
                        return -ENOMEM;
        }

        return n;
}

static int add_word(Connection *c, Found *found, json_t **all, const char *word) {
        _cleanup_json_ json_t *named = NULL;
        int r = 0;

        if (!glob_is_pattern(word)) {
                r = inventory_fetch(c, word, INVENTORY_MAX, &named);
                return r < 0 ? r : add_matching(found, named, "*");
        }

        if (!*all)
                r = inventory_fetch(c, NULL, INVENTORY_MAX, all);
        if (r >= 0)
                r = add_matching(found, *all, word);
        if (r != 0)
                return r;

        /* A VM's name may look like a pattern. */
        r = inventory_fetch(c, word, INVENTORY_MAX, &named);
        return r < 0 ? r : add_matching(found, named, "*");
}

int inventory_fetch_words(Connection *c, char *const *words, size_t n_words, json_t **ret_vms) {
        _cleanup_json_ json_t *vms = json_array(), *ids = json_object(), *all = NULL;
        int r = vms && ids ? 0 : -ENOMEM;

        c->subject = NULL;
        if (n_words == 0)
                return inventory_fetch(c, NULL, INVENTORY_MAX, ret_vms);

        for (size_t i = 0; r >= 0 && i < n_words; i++) {
                c->subject = words[i];
                r = add_word(c, &(Found){vms, ids}, &all, words[i]);
        }
        if (r < 0)
                return r;

        c->subject = NULL;
        *ret_vms = TAKE_PTR(vms);
        return 0;
}
