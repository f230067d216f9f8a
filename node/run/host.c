/* What the machine gives: how many descriptors, a name for the node. The limit of descriptors is
 * raised to what we are allowed; half of it is for callers, because each may need one upwards. */
#include "run/host.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/identity.h"
#include "base/name.h"
#include "base/slice.h"

enum {
    DESCRIPTORS_OF_NODE = 64, /* files, the control thread, a private Redis */
    DESCRIPTORS_OF_WORKER = 8,
    RESERVE_OF_NODE = 64, /* connections for probes and operators, when all others are taken */
    RESERVE_MIN = 4,      /* of a worker */
    CONNECTIONS_MIN = 16,
    CONNECTIONS_MAX = 30000 /* fewer than a Redis link takes calls at once */
};

unsigned host_reserve(unsigned workers)
{
    unsigned each = RESERVE_OF_NODE / workers;
    return each > RESERVE_MIN ? each : RESERVE_MIN;
}

unsigned host_connections(unsigned workers)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t reserved =
        DESCRIPTORS_OF_NODE + (DESCRIPTORS_OF_WORKER + host_reserve(workers)) * workers;
    rlim_t usable = limit.rlim_cur > reserved ? limit.rlim_cur - reserved : 0;
    rlim_t each = usable / 2 / workers;
    if (each < CONNECTIONS_MIN)
        each = CONNECTIONS_MIN;
    return each > CONNECTIONS_MAX ? CONNECTIONS_MAX : (unsigned)each;
}

void host_identity(const char *configured, uint16_t port, struct node_identity *identity)
{
    unsigned char random[4];
    char host[64] = "node";
    RAND_bytes(random, sizeof(random));
    snprintf(identity->boot, sizeof(identity->boot), "%02x%02x%02x%02x", random[0], random[1],
             random[2], random[3]);
    if (configured != NULL) {
        snprintf(identity->id, sizeof(identity->id), "%.64s", configured);
        return;
    }
    gethostname(host, sizeof(host) - 1);
    snprintf(identity->id, sizeof(identity->id), "%.56s-%u", host, port);
    (void)name_clean(slice_of(identity->id), identity->id, sizeof(identity->id));
}
