/* host.h - what a node takes from the machine it runs on: a name, and how many connections. */
#pragma once
#include <stdint.h>

struct node_identity;

/* `configured` (node.id), or <host name>-<port> where that is NULL; and a new boot. */
void host_identity(const char *configured, uint16_t port, struct node_identity *identity);

/* Raises the limit of descriptors as far as it may, and says how many connections each worker may
 * take: a request in progress needs two descriptors. Beyond it the reserve, for probes. */
unsigned host_connections(unsigned workers);
unsigned host_reserve(unsigned workers);
