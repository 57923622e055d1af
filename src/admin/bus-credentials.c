/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/macro.h"
#include "bus-credentials.h"
#include "bus-names.h"

int bus_ask_credentials(sd_bus *connection, sd_bus_slot **ret_slot, const char *name,
                        sd_bus_message_handler_t handler, void *userdata) {
        return sd_bus_call_method_async(connection, ret_slot, BUS_DAEMON, BUS_DAEMON_PATH, BUS_DAEMON,
                                        "GetConnectionCredentials", handler, userdata, "s", name);
}

static int read_groups(sd_bus_message *m, Identity *groups) {
        uint32_t gid;

        int r = sd_bus_message_enter_container(m, 'v', "au");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "u");
        while (r >= 0 && (r = sd_bus_message_read(m, "u", &gid)) > 0)
                (void) identity_add_group(groups, gid);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* Reads the next credential. Groups are added to @groups. Returns: > 0; 0 if there is no further credential; or a negative
 * errno. */
static int read_credential(sd_bus_message *m, uint32_t *uid, uint32_t *pid, Identity *groups) {
        const char *name;

        int r = sd_bus_message_enter_container(m, 'e', "sv");
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;

        if (streq(name, "UnixUserID"))
                r = sd_bus_message_read(m, "v", "u", uid);
        else if (streq(name, "ProcessID"))
                r = sd_bus_message_read(m, "v", "u", pid);
        else if (streq(name, "UnixGroupIDs"))
                r = read_groups(m, groups);
        else
                r = sd_bus_message_skip(m, "v");
        if (r < 0)
                return r;

        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

int bus_read_credentials(sd_bus_message *answer, Peer *ret) {
        uint32_t uid = PEER_UID_NONE, pid = 0;
        Identity groups;

        if (sd_bus_message_is_method_error(answer, NULL))
                return -sd_bus_message_get_errno(answer);

        identity_init_user(&groups, PEER_UID_NONE);
        int r = sd_bus_message_enter_container(answer, 'a', "{sv}");
        while (r > 0)
                r = read_credential(answer, &uid, &pid, &groups);
        if (r < 0)
                return r;
        if (uid == PEER_UID_NONE)
                return -ENODATA;

        peer_init_local(ret, uid, (pid_t) pid);
        groups.uid = uid;
        ret->identity = groups;
        return 0;
}
