/* host.h - hosts as a request names them: in Host, and in the Origin of a page.
 * Pure: slices of what is given, no memory. */
#pragma once
#include <stdbool.h>

#include "base/attr.h"
#include "base/slice.h"

enum { HOST_NAME_MAX = 253 };

/* "host[:port]", well-formed: the host alone, without brackets, without a full name's last dot. */
struct slice host_of_authority(struct slice authority);

/* A name that only a private network, or this machine, can give: without a dot, or below localhost,
 * local, lan, internal or home.arpa. No address is one. */
bool host_is_private(struct slice host);

/* A name as a browser has it: letters, digits, hyphens, dots; no port, no blank. */
bool host_is_name(struct slice text);

/* An Origin that a page of the web has: "http://authority", "https://authority"; *authority is
 * yours to look at. False: an application's own scheme, or none ("null"). */
MUST_USE bool host_of_page(struct slice origin, struct slice *authority);
