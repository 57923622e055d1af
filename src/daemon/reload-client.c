/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "admin/varlink-client.h"
#include "basic/log.h"
#include "basic/parse.h"
#include "basic/text.h"
#include "problems.h"
#include "reload-client.h"

/* For each step: a little less than systemd allows for ExecReload= as a whole (TimeoutStartSec=) */
#define TIMEOUT_SEC 80

#define READ_MAX 16384U

static_assert(PROBLEMS_KEPT_MAX * LOG_MESSAGE_MAX * 2 < VARLINK_REPLY_MAX, "all problems fit, with a backslash before each quote");

/* Returns: a descriptor or a negative errno. */
static int connect_local(const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const struct timeval timeout = {.tv_sec = TIMEOUT_SEC};

        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);

        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) < 0 ||
            connect(fd, (const struct sockaddr *) &address, sizeof address) < 0)
                return -errno;

        return TAKE_FD(fd);
}

static int receive(int fd, Buffer *in, VarlinkReply *ret) {
        size_t searched = 0;
        int r = 0;

        do {
                uint8_t *p = buffer_reserve(in, MIN(buffer_space(in), (size_t) READ_MAX));
                if (!p)
                        return -ENOMEM;

                ssize_t n = recv(fd, p, MIN(buffer_space(in), (size_t) READ_MAX), 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -ECONNRESET;

                buffer_commit(in, (size_t) n);
                r = varlink_take_reply(in, &searched, ret);
        } while (r == 0);

        return MIN(r, 0);
}

static int ask(int fd, VarlinkReply *ret) {
        _cleanup_free_ char *call = NULL;
        size_t size;

        int r = varlink_format_call("Reload", NULL, VARLINK_ONE, &call, &size);
        if (r < 0)
                return r;

        ssize_t n = send(fd, call, size, MSG_NOSIGNAL);
        if (n != (ssize_t) size)
                return n < 0 ? -errno : -EIO;

        Buffer in = BUFFER_INIT(VARLINK_REPLY_MAX);
        r = receive(fd, &in, ret);
        buffer_clear(&in);
        return r == -EAGAIN ? -ETIMEDOUT : r;
}

static void log_texts(int level, const json_t *texts) {
        const json_t *text;
        size_t i;

        json_array_foreach((json_t *) texts, i, text) {
                const char *problem = json_string_value(text);
                _cleanup_free_ char *clean = problem ? text_sanitize(problem, strlen(problem), LOG_MESSAGE_MAX) : NULL;

                if (clean)
                        (void) log_full(level, 0, NULL, "%s", clean);
        }
}

static int report_error(const VarlinkReply *reply) {
        if (varlink_reply_is_error(reply, "ConfigurationRefused")) {
                log_texts(LOG_ERR, json_object_get(reply->parameters, "problems"));
                return log_error_errno(EINVAL, "The configuration has not been reloaded: correct these mistakes first");
        }

        if (varlink_reply_is_error(reply, "TooManyReloads"))
                return log_error_errno(EBUSY, "The configuration has not been reloaded: there were too many reloads within a few "
                                              "seconds");

        _cleanup_free_ char *clean = text_sanitize(reply->error, strlen(reply->error), 128);
        return log_error_errno(EOPNOTSUPP, "The configuration has not been reloaded: vspcd answers %s", clean ?: "?");
}

static int report(const VarlinkReply *reply) {
        const json_t *warnings = json_object_get(reply->parameters, "warnings");

        if (reply->error)
                return report_error(reply);
        if (!json_is_array(warnings))
                return log_error_errno(EBADMSG, "vspcd has sent an invalid answer to Reload()");

        log_texts(LOG_WARNING, warnings);
        return 0;
}

/* For an admin socket at another path, or without permission to use it. systemd sets $MAINPID for ExecReload=. */
static int send_signal(const char *path, int error) {
        const char *text = getenv("MAINPID");
        uint64_t pid = 0;

        if (!text || parse_unsigned(text, INT32_MAX, &pid) < 0 || pid <= 1 || kill((pid_t) pid, SIGHUP) < 0)
                return log_error_errno(error, "Cannot connect to vspcd at %s: %m", path);

        (void) log_warning_errno(error, "Cannot connect to vspcd at %s: %m; it was sent SIGHUP instead, and only its own log "
                                        "says whether it has reloaded", path);
        return 0;
}

int reload_vspcd(const char *path) {
        _cleanup_close_ int fd = connect_local(path);
        if (fd == -ENOENT || fd == -ECONNREFUSED || fd == -EACCES)
                return send_signal(path, fd);
        if (fd < 0)
                return log_error_errno(fd, "Cannot connect to vspcd at %s: %m", path);

        _cleanup_reply_ VarlinkReply reply = {};
        int r = ask(fd, &reply);
        if (r == -EBADMSG)
                return log_error_errno(r, "vspcd has sent an answer that is not Varlink");
        if (r < 0)
                return log_error_errno(r, "vspcd at %s does not answer: %m", path);

        return report(&reply);
}
