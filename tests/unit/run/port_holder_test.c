#include "run/port_holder.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static int listen_on(int family, uint16_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const void *address = family == AF_INET ? (void *)&in : (void *)&in6;
    socklen_t len = family == AF_INET ? sizeof(in) : sizeof(in6);
    struct sockaddr_storage bound;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, address, len) != 0 || listen(fd, 1) != 0) {
        CHECK(family == AF_INET6);
        close(fd);
        return -1; /* a machine without IPv6 */
    }
    len = sizeof(bound);
    getsockname(fd, (struct sockaddr *)&bound, &len);
    *port = ntohs(family == AF_INET ? ((struct sockaddr_in *)&bound)->sin_port
                                    : ((struct sockaddr_in6 *)&bound)->sin6_port);
    return fd;
}

static void find(int family)
{
    struct port_holder holder;
    uint16_t port;
    int fd = listen_on(family, &port);
    if (fd < 0)
        return;
    PROMISE("who listens on a port is found, by process and name")
    {
        CHECK(port_holder_find(port, &holder));
        CHECK(holder.pid == getpid());
        CHECK(strcmp(holder.name, "run_port_holder") == 0);
    }
    close(fd);
    PROMISE("a port on which nobody listens is nobody's")
    {
        CHECK(!port_holder_find(port, &holder));
        CHECK(holder.pid == 0);
    }
}

int main(void)
{
    find(AF_INET);
    find(AF_INET6);
    return check_done();
}
