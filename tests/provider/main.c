/* main.c - weir-provider: options, listeners, signals, and the loop. */
#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control.h"
#include "options.h"
#include "peer.h"

enum { BACKLOG = 4096, DATA_PLAIN = 0, DATA_TLS, CONTROL, LISTENER_COUNT };

struct server {
    struct provider provider;
    struct control *control;
    struct evconnlistener *listeners[LISTENER_COUNT];
    int ports[LISTENER_COUNT]; /* -1 = none */
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "weir-provider: %s: %s\n", what, why);
    exit(1);
}

static void on_plain(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                     int from_len, void *arg)
{
    struct server *server = arg;
    (void)listener;
    (void)from;
    (void)from_len;
    peer_open(&server->provider, fd, false);
}

static void on_tls(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                   int from_len, void *arg)
{
    struct server *server = arg;
    (void)listener;
    (void)from;
    (void)from_len;
    peer_open(&server->provider, fd, true);
}

static void on_control(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                       int from_len, void *arg)
{
    struct server *server = arg;
    (void)listener;
    (void)from;
    (void)from_len;
    control_open(server->control, fd);
}

static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    (void)listener;
    (void)arg;
    fprintf(stderr, "weir-provider: accept: %s\n", strerrordesc_np(errno));
}

static void on_signal(evutil_socket_t signal_number, short what, void *arg)
{
    (void)signal_number;
    (void)what;
    event_base_loopbreak(arg);
}

static void listen_on(struct server *server, int which, const char *host, int port)
{
    static const evconnlistener_cb CALLBACKS[LISTENER_COUNT] = {on_plain, on_tls, on_control};
    struct sockaddr_storage address;
    int len = sizeof(address);
    char text[300];
    server->ports[which] = -1;
    if (port < 0)
        return;
    snprintf(text, sizeof(text), strchr(host, ':') != NULL ? "[%s]:1" : "%s:1", host);
    if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&address, &len) != 0)
        die(host, "not an address");
    /* in_port_t stands at the same place in both kinds of address */
    ((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)port);
    struct evconnlistener *listener =
        evconnlistener_new_bind(server->provider.base, CALLBACKS[which], server,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                                BACKLOG, (struct sockaddr *)&address, len);
    if (listener == NULL)
        die("cannot listen", strerrordesc_np(errno));
    evconnlistener_set_error_cb(listener, on_accept_error);
    socklen_t bound = sizeof(address);
    getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &bound);
    server->listeners[which] = listener;
    server->ports[which] = ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static SSL_CTX *load_tls(const struct options *options)
{
    static const unsigned char SESSIONS[] = "weir-provider";
    if (options->tls_port < 0)
        return NULL;
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(tls, SESSIONS, sizeof(SESSIONS) - 1);
    if (SSL_CTX_use_certificate_chain_file(tls, options->certificate) != 1)
        die(options->certificate, ERR_reason_error_string(ERR_get_error()));
    if (SSL_CTX_use_PrivateKey_file(tls, options->private_key, SSL_FILETYPE_PEM) != 1)
        die(options->private_key, ERR_reason_error_string(ERR_get_error()));
    return tls;
}

static struct script *fixed_script(const char *text)
{
    char fault[256];
    struct script *script = script_parse(slice_of(text), fault, sizeof(fault));
    if (script == NULL)
        die("script", fault);
    return script;
}

static void start_provider(struct provider *provider, const struct options *options)
{
    LIST_INIT(&provider->peers);
    provider->base = event_base_new();
    provider->grave = grave_new(provider->base);
    provider->credentials = credentials_new(options->limit);
    provider->journal = options->is_logging ? journal_new() : NULL;
    provider->defaults = fixed_script("{}");
    provider->defaults->text_bytes = options->text_bytes;
    provider->defaults->say = options->say != NULL ? strdup(options->say) : NULL;
    provider->defaults->events = options->events;
    provider->defaults->event_delay_ms = options->event_delay_ms;
    provider->defaults->stamp = options->is_stamped ? 1 : 0;
    provider->limited = fixed_script("{\"status\":429,\"headers\":{\"retry-after\":\"1\"}}");
    provider->denied = fixed_script("{\"status\":401}");
    provider->keys = options->keys;
    provider->tls = load_tls(options);
}

static void stop(struct server *server)
{
    struct provider *provider = &server->provider;
    for (size_t i = 0; i < LISTENER_COUNT; i++) {
        if (server->listeners[i] != NULL)
            evconnlistener_free(server->listeners[i]);
    }
    control_free(server->control);
    peer_close_all(provider);
    grave_free(provider->grave);
    credentials_free(provider->credentials);
    if (provider->journal != NULL)
        journal_free(provider->journal);
    script_unref(provider->defaults);
    script_unref(provider->limited);
    script_unref(provider->denied);
    SSL_CTX_free(provider->tls);
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    static struct server server;
    struct options options;
    options_read(&options, argc, argv);
    raise_file_limit();
    signal(SIGPIPE, SIG_IGN);
    start_provider(&server.provider, &options);
    struct event_base *base = server.provider.base;
    server.control = control_new(&server.provider);
    listen_on(&server, DATA_PLAIN, options.host, options.port);
    listen_on(&server, DATA_TLS, options.host, options.tls_port);
    listen_on(&server, CONTROL, options.host, options.control_port);
    struct event *terminate = evsignal_new(base, SIGTERM, on_signal, base);
    struct event *interrupt = evsignal_new(base, SIGINT, on_signal, base);
    event_add(terminate, NULL);
    event_add(interrupt, NULL);
    printf("{\"port\":%d,\"tls_port\":%d,\"control_port\":%d,\"pid\":%d}\n",
           server.ports[DATA_PLAIN], server.ports[DATA_TLS], server.ports[CONTROL], getpid());
    fflush(stdout);
    event_base_dispatch(base);
    stop(&server);
    event_free(terminate);
    event_free(interrupt);
    event_base_free(base);
    return 0;
}
