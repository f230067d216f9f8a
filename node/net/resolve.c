/* A lookup waits at its host; a host has one question open at a time, and its answer serves all who
 * wait. Whatever the answer is, it is given later in the turn, from the list `answered`, so that no
 * callback comes before resolver_lookup() has returned. Hosts are kept in the order of their last
 * use, as preferences are; at the ceiling the one not used for longest goes.
 *
 * libevent reads resolv.conf and hosts once, when its part for names is made; follow_files() makes
 * it read them again. Questions that are open then are asked again of the new servers. */
#include "net/resolve.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file_watch.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"

enum {
    HOSTS_MAX = 256, /* names remembered; more than a config can hold */
    HOST_BYTES_MAX = 255,
    PREFERENCES_MAX = 256,
    ASK_AGAIN_MS = 1000 /* after a failure that old addresses bridged */
};

/* The address of a place that answered first when the first one did not. */
struct preference {
    struct list link;
    char name[HOST_BYTES_MAX + 1];
    uint16_t port;
    struct address address;
};

struct resolver {
    struct loop *loop;
    struct list hosts; /* least recently used first */
    size_t host_count;
    struct list answered;    /* lookups whose callback runs later in this turn */
    struct list preferences; /* least recently used first */
    size_t preference_count;
    struct file_watch servers, names; /* resolv.conf, hosts */
};

/* A question to the DNS on its way. libevent answers it in any case, perhaps after its host is
 * gone. */
struct question {
    struct host *host; /* NULL: nobody wants to know any more */
    struct evdns_getaddrinfo_request *request;
};

struct host {
    struct list link;
    struct resolver *resolver;
    char name[HOST_BYTES_MAX + 1];
    struct address addresses[RESOLVE_ADDRESSES_MAX]; /* the last good answer, without ports */
    size_t count;
    uint64_t good_until_ms;
    struct question *question; /* asked now, or NULL */
    struct list waiting;       /* lookups */
};

struct resolve {
    struct list link; /* in a host's waiting list or in the resolver's answered list */
    struct resolver *resolver;
    struct host *host; /* while waiting */
    char name[HOST_BYTES_MAX + 1];
    uint16_t port;
    resolve_fn on_resolved;
    void *arg;
    struct deadline deadline;
    struct loop_task task;
    struct address addresses[RESOLVE_ADDRESSES_MAX];
    size_t count;
};

struct resolver *resolver_new(struct loop *loop)
{
    struct resolver *resolver = mem_new(sizeof(*resolver));
    resolver->loop = loop;
    list_init(&resolver->hosts);
    list_init(&resolver->answered);
    list_init(&resolver->preferences);
    file_watch_init(&resolver->servers, "/etc/resolv.conf", loop_now_ms(loop));
    file_watch_init(&resolver->names, "/etc/hosts", loop_now_ms(loop));
    return resolver;
}

void resolve_cancel(struct resolve *lookup)
{
    list_remove(&lookup->link);
    deadline_clear(&lookup->deadline);
    loop_task_cancel(&lookup->task);
    free(lookup);
}

static void cancel_all(struct list *lookups)
{
    struct list *link;
    while ((link = list_pop(lookups)) != NULL)
        resolve_cancel(LIST_OWNER(link, struct resolve, link));
}

static void host_free(struct host *host)
{
    cancel_all(&host->waiting);
    if (host->question != NULL) {
        host->question->host = NULL;
        evdns_getaddrinfo_cancel(host->question->request);
    }
    list_remove(&host->link);
    host->resolver->host_count--;
    free(host);
}

void resolver_free(struct resolver *resolver)
{
    struct list *link;
    if (resolver == NULL)
        return;
    cancel_all(&resolver->answered);
    while ((link = list_pop(&resolver->hosts)) != NULL)
        host_free(LIST_OWNER(link, struct host, link));
    while ((link = list_pop(&resolver->preferences)) != NULL)
        free(LIST_OWNER(link, struct preference, link));
    free(resolver);
}

/* ---- what answered first ---- */

static struct preference *find_preference(struct resolver *resolver, const char *name,
                                          uint16_t port)
{
    LIST_EACH (link, &resolver->preferences) {
        struct preference *p = LIST_OWNER(link, struct preference, link);
        if (p->port != port || strcmp(p->name, name) != 0)
            continue;
        list_remove(&p->link);
        list_push(&resolver->preferences, &p->link);
        return p;
    }
    return NULL;
}

void resolver_prefer(struct resolver *resolver, struct slice host, uint16_t port,
                     const struct address *address)
{
    char name[HOST_BYTES_MAX + 1];
    if (host.len == 0 || host.len > HOST_BYTES_MAX)
        return;
    memcpy(name, host.at, host.len);
    name[host.len] = '\0';
    struct preference *p = find_preference(resolver, name, port);
    if (p == NULL) {
        if (resolver->preference_count < PREFERENCES_MAX) {
            p = mem_new(sizeof(*p));
            resolver->preference_count++;
        } else {
            struct list *oldest = list_pop(&resolver->preferences);
            assert(oldest != NULL);
            p = LIST_OWNER(oldest, struct preference, link);
        }
        memcpy(p->name, name, host.len + 1);
        p->port = port;
        list_push(&resolver->preferences, &p->link);
    }
    p->address = *address;
}

static bool is_same_address(const struct address *a, const struct address *b)
{
    return a->len == b->len && memcmp(&a->storage, &b->storage, a->len) == 0;
}

static void put_preferred_first(struct resolve *lookup)
{
    const struct preference *p = find_preference(lookup->resolver, lookup->name, lookup->port);
    for (size_t i = 1; p != NULL && i < lookup->count; i++) {
        if (!is_same_address(&lookup->addresses[i], &p->address))
            continue;
        memmove(&lookup->addresses[1], &lookup->addresses[0], i * sizeof(lookup->addresses[0]));
        lookup->addresses[0] = p->address;
        return;
    }
}

/* ---- giving answers ---- */

static void deliver(void *arg)
{
    struct resolve *lookup = arg;
    list_remove(&lookup->link);
    enum err err = lookup->count > 0 ? OK : ERR_RESOLVE;
    lookup->on_resolved(err, lookup->addresses, lookup->count, lookup->arg);
    free(lookup);
}

static void set_port(struct address *address, uint16_t port)
{
    if (address->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
}

static void answer_lookup(struct resolve *lookup, const struct address *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lookup->addresses[i] = addresses[i];
        set_port(&lookup->addresses[i], lookup->port);
    }
    lookup->count = count;
    put_preferred_first(lookup);
    lookup->host = NULL;
    list_remove(&lookup->link);
    list_push(&lookup->resolver->answered, &lookup->link);
    deadline_clear(&lookup->deadline);
    loop_defer(lookup->resolver->loop, &lookup->task);
}

static void answer_waiting(struct host *host)
{
    while (!list_is_empty(&host->waiting))
        answer_lookup(LIST_OWNER(host->waiting.next, struct resolve, link), host->addresses,
                      host->count);
}

static void on_lookup_late(void *arg)
{
    struct resolve *lookup = arg;
    log_message(LOG_WARN, "no answer from the DNS for %s within %d ms", lookup->host->name,
                RESOLVE_TIMEOUT_MS);
    answer_lookup(lookup, lookup->host->addresses, lookup->host->count);
}

/* ---- asking ---- */

static bool address_set(struct address *address, const struct sockaddr *from, size_t len)
{
    if ((from->sa_family != AF_INET && from->sa_family != AF_INET6) ||
        len > sizeof(address->storage))
        return false;
    *address = (struct address){.len = (socklen_t)len};
    memcpy(&address->storage, from, len);
    return true;
}

static void log_failure(const struct host *host, int result)
{
    if (!log_begin(LOG_WARN, "a host name could not be resolved"))
        return;
    log_string("host", host->name);
    log_string("reason", evutil_gai_strerror(result));
    log_string("instead", host->count > 0 ? "its last known addresses" : "nothing");
    log_end();
}

static void take_answer(struct host *host, int result, const struct evutil_addrinfo *found)
{
    uint64_t now_ms = loop_now_ms(host->resolver->loop);
    size_t count = 0;
    for (; found != NULL && count < RESOLVE_ADDRESSES_MAX; found = found->ai_next)
        if (address_set(&host->addresses[count], found->ai_addr, found->ai_addrlen))
            count++;
    if (count > 0) {
        host->count = count;
        host->good_until_ms = now_ms + RESOLVE_KEEP_MS;
    } else {
        host->good_until_ms = now_ms + ASK_AGAIN_MS;
        log_failure(host, result);
    }
}

static void on_dns_answer(int result, struct evutil_addrinfo *found, void *arg)
{
    struct question *question = arg;
    struct host *host = question->host;
    if (host != NULL) {
        host->question = NULL;
        take_answer(host, result, found);
        answer_waiting(host);
    }
    if (found != NULL)
        evutil_freeaddrinfo(found);
    free(question);
}

static void ask_dns(struct host *host)
{
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_protocol = IPPROTO_TCP,
                                    .ai_flags = EVUTIL_AI_ADDRCONFIG};
    struct evdns_base *dns = loop_dns(host->resolver->loop);
    struct question *question = mem_new(sizeof(*question));
    question->host = host;
    host->question = question;
    if (dns == NULL) {
        on_dns_answer(EVUTIL_EAI_SYSTEM, NULL, question);
        return;
    }
    struct evdns_getaddrinfo_request *request =
        evdns_getaddrinfo(dns, host->name, NULL, &hints, on_dns_answer, question);
    if (request != NULL) /* else on_dns_answer has been called already and `question` is gone */
        question->request = request;
}

/* ---- files that name servers and hosts ---- */

/* False: not now; what was known of them is gone. */
static bool read_files(struct resolver *resolver, struct evdns_base *dns)
{
    evdns_base_clear_nameservers_and_suspend(dns);
    evdns_base_clear_host_addresses(dns);
    evdns_base_search_clear(dns);
    int failed = evdns_base_resolv_conf_parse(dns, DNS_OPTIONS_ALL & ~DNS_OPTION_HOSTSFILE,
                                              resolver->servers.path);
    if (evdns_base_load_hosts(dns, resolver->names.path) != 0) /* there need not be one */
        failed |= access(resolver->names.path, F_OK) == 0;
    evdns_base_resume(dns);
    return failed == 0 && evdns_base_count_nameservers(dns) > 0;
}

/* Without any server the files could not be read when they should: too few descriptors. */
static void follow_files(struct resolver *resolver)
{
    uint64_t now_ms = loop_now_ms(resolver->loop);
    bool has_changed = file_watch_has_changed(&resolver->servers, now_ms);
    has_changed |= file_watch_has_changed(&resolver->names, now_ms);
    struct evdns_base *dns = loop_dns(resolver->loop);
    if (dns == NULL || (!has_changed && evdns_base_count_nameservers(dns) > 0))
        return;
    bool is_read = read_files(resolver, dns);
    if (!is_read)
        resolver->servers.inode = 0; /* as never seen: read again in a second */
    log_message(is_read ? LOG_INFO : LOG_WARN, "the files that name servers and hosts changed: %s",
                is_read ? "read again" : "they cannot be read");
    LIST_EACH (link, &resolver->hosts)
        LIST_OWNER(link, struct host, link)->good_until_ms = 0;
}

/* ---- lookups ---- */

/* Addresses that need nobody's help: literals, and this machine's own name for itself. */
static size_t resolve_here(const char *name, struct address *addresses)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool is_localhost = slice_eq_nocase(slice_of(name), SLICE("localhost"));
    size_t count = 0;
    if (is_localhost || inet_pton(AF_INET, name, &v4.sin_addr) == 1)
        count += address_set(&addresses[count], (struct sockaddr *)&v4, sizeof(v4));
    if (is_localhost || inet_pton(AF_INET6, name, &v6.sin6_addr) == 1)
        count += address_set(&addresses[count], (struct sockaddr *)&v6, sizeof(v6));
    return count;
}

static struct host *find_host(struct resolver *resolver, const char *name)
{
    LIST_EACH (link, &resolver->hosts) {
        struct host *host = LIST_OWNER(link, struct host, link);
        if (strcmp(host->name, name) == 0)
            return host;
    }
    return NULL;
}

/* NULL: the ceiling is reached and every name has a question open. */
static struct host *add_host(struct resolver *resolver, const char *name)
{
    if (resolver->host_count >= HOSTS_MAX) {
        struct host *idle = NULL;
        LIST_EACH (link, &resolver->hosts) {
            struct host *host = LIST_OWNER(link, struct host, link);
            if (idle == NULL && host->question == NULL && list_is_empty(&host->waiting))
                idle = host;
        }
        if (idle == NULL)
            return NULL;
        host_free(idle);
    }
    struct host *host = mem_new(sizeof(*host));
    host->resolver = resolver;
    memcpy(host->name, name, strlen(name) + 1);
    list_init(&host->waiting);
    list_push(&resolver->hosts, &host->link);
    resolver->host_count++;
    return host;
}

static void wait_for(struct resolve *lookup, struct host *host)
{
    struct resolver *resolver = lookup->resolver;
    list_remove(&host->link);
    list_push(&resolver->hosts, &host->link);
    if (host->count > 0 && loop_now_ms(resolver->loop) < host->good_until_ms) {
        answer_lookup(lookup, host->addresses, host->count);
        return;
    }
    lookup->host = host;
    list_push(&host->waiting, &lookup->link);
    deadline_set(resolver->loop, &lookup->deadline, RESOLVE_TIMEOUT_MS);
    if (host->question == NULL)
        ask_dns(host);
}

struct resolve *resolver_lookup(struct resolver *resolver, struct slice host, uint16_t port,
                                resolve_fn on_resolved, void *arg)
{
    struct resolve *lookup = mem_new(sizeof(*lookup));
    struct address here[2];
    lookup->resolver = resolver;
    lookup->port = port;
    lookup->on_resolved = on_resolved;
    lookup->arg = arg;
    list_init(&lookup->link);
    deadline_init(&lookup->deadline, on_lookup_late, lookup);
    loop_task_init(&lookup->task, deliver, lookup);

    size_t nul;
    if (host.len == 0 || host.len > HOST_BYTES_MAX || slice_find(host, '\0', &nul)) {
        answer_lookup(lookup, NULL, 0);
        return lookup;
    }
    memcpy(lookup->name, host.at, host.len); /* zeroed: the NUL is there */
    size_t count = resolve_here(lookup->name, here);
    if (count == 0)
        follow_files(resolver);
    struct host *known = count > 0 ? NULL : find_host(resolver, lookup->name);
    if (count == 0 && known == NULL)
        known = add_host(resolver, lookup->name);
    if (known != NULL)
        wait_for(lookup, known);
    else
        answer_lookup(lookup, here, count);
    return lookup;
}
