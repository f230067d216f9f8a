/* Whoever starts a node for the first time should not have to look anything up. */
#include "run/greet.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"
#include "run/port_holder.h"

static const char other_port[] = "choose another port with --port N, PORT or server.port";

void greet_refused(const struct config *config, uint16_t port, const char *why)
{
    const char *host = config->server.host.text;
    struct port_holder holder;
    if (!port_holder_find(port, &holder))
        log_message(LOG_ERROR, "cannot listen on %s port %u: %s", host, port, why);
    else if (holder.pid == 0)
        log_message(LOG_ERROR,
                    "cannot listen on %s port %u: %s by a program that is hidden from this user "
                    "(another Weir? `weir status --url 127.0.0.1:%u` says); %s",
                    host, port, why, port, other_port);
    else if (strcmp(holder.name, "weir") == 0)
        log_message(LOG_ERROR,
                    "cannot listen on %s port %u: %s by another Weir, process %ld (`weir status "
                    "--url 127.0.0.1:%u` shows it); for a second one %s%s",
                    host, port, why, (long)holder.pid, port, other_port,
                    redis_url_is_set(&config->redis.url)
                        ? ""
                        : ", and a node.state_dir of its own or redis.url");
    else
        log_message(LOG_ERROR, "cannot listen on %s port %u: %s by %s, process %ld; %s", host, port,
                    why, holder.name, (long)holder.pid, other_port);
}

void greet_listening(const struct config *config, uint16_t port)
{
    const struct ip *host = &config->server.host;
    const char *scheme = config->server.tls_cert != NULL ? "https" : "http";
    if (isatty(STDERR_FILENO))
        log_message(LOG_INFO,
                    host->is_v6 ? "Claude Code: ANTHROPIC_BASE_URL=%s://[%s]:%u "
                                  "ANTHROPIC_AUTH_TOKEN=any claude"
                                : "Claude Code: ANTHROPIC_BASE_URL=%s://%s:%u "
                                  "ANTHROPIC_AUTH_TOKEN=any claude",
                    scheme, config_near_host(config), port);
}

bool greet_is_at_terminal(void)
{
    return isatty(STDERR_FILENO) && tcgetpgrp(STDERR_FILENO) == getpgrp();
}

bool greet_is_terminal_gone(void)
{
    return !isatty(STDERR_FILENO);
}
