/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <jansson.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "basic/buffer.h"
#include "basic/log.h"
#include "basic/parse.h"
#include "basic/text.h"
#include "problems.h"
#include "reload-client.h"

#define INTERFACE "org.vspc.Concentrator"

/* For each step. It is a little less than what systemd allows for ExecReload= as a whole (TimeoutStartSec=). */
#define TIMEOUT_SEC 80

#define ANSWER_MAX (256U * 1024U)

static_assert(PROBLEMS_KEPT_MAX * LOG_MESSAGE_MAX * 2 < ANSWER_MAX, "all problems fit, with a backslash before each quote");

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

/* Until the NUL that ends an answer. Returns: 0 or a negative errno. */
static int receive_answer(int fd, Buffer *answer) {
        for (;;) {
                uint8_t *p = buffer_reserve(answer, MIN(buffer_space(answer), (size_t) 16384));
                if (!p)
                        return -ENOMEM;

                ssize_t n = recv(fd, p, MIN(buffer_space(answer), (size_t) 16384), 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -ECONNRESET;

                buffer_commit(answer, (size_t) n);
                if (p[n - 1] == 0)
                        return 0;
                if (buffer_space(answer) == 0)
                        return -EMSGSIZE;
        }
}

static int ask(int fd, Buffer *answer) {
        static const char call[] = "{\"method\":\"" INTERFACE ".Reload\"}"; /* and a NUL */

        ssize_t n = send(fd, call, sizeof call, MSG_NOSIGNAL);
        if (n != (ssize_t) sizeof call)
                return n < 0 ? -errno : -EIO;

        return receive_answer(fd, answer);
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

static int report_error(const char *error, const json_t *parameters) {
        if (streq(error, INTERFACE ".ConfigurationRefused")) {
                log_texts(LOG_ERR, json_object_get(parameters, "problems"));
                return log_error_errno(EINVAL, "The configuration has not been reloaded: correct these mistakes first");
        }

        if (streq(error, INTERFACE ".TooManyReloads"))
                return log_error_errno(EBUSY, "The configuration has not been reloaded: there were too many reloads within a few "
                                              "seconds");

        _cleanup_free_ char *clean = text_sanitize(error, strlen(error), 128);
        return log_error_errno(EOPNOTSUPP, "The configuration has not been reloaded: vspcd answers %s", clean ?: "?");
}

static int report(const Buffer *answer) {
        const char *text = (const char *) buffer_data(answer);

        json_t *message = json_loadb(text, answer->size - 1, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(message)) {
                json_decref(message);
                return log_error_errno(EBADMSG, "vspcd has sent an answer that is not Varlink");
        }

        const json_t *parameters = json_object_get(message, "parameters"), *warnings = json_object_get(parameters, "warnings");
        const char *error = json_string_value(json_object_get(message, "error"));
        int r = error                       ? report_error(error, parameters)
                : json_is_array(warnings) ? 0
                                            : log_error_errno(EBADMSG, "vspcd has sent an invalid answer to Reload()");
        if (r >= 0)
                log_texts(LOG_WARNING, warnings);

        json_decref(message);
        return r;
}

/* Where the admin socket is another one, or is not for us. systemd sets $MAINPID for ExecReload=. */
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

        Buffer answer = BUFFER_INIT(ANSWER_MAX);
        int r = ask(fd, &answer);
        if (r == -EAGAIN)
                r = -ETIMEDOUT;
        r = r < 0 ? log_error_errno(r, "vspcd at %s does not answer: %m", path) : report(&answer);

        buffer_clear(&answer);
        return r;
}
