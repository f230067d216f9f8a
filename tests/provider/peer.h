/* peer.h - one connection on the data port, and the request it is serving.
 *
 *   RECEIVING --head--> (credential, limit, script) --body done--> ANSWERING --sent--> RECEIVING
 *        early_answer: ANSWERING begins at the head, and the body is read beside it
 *
 * A request that waits for a step, for its delay or for ever stays in ANSWERING. Requests that
 * arrive behind it wait in the connection's queue; reading goes on so that a client that leaves is
 * noticed. */
#pragma once

#include "provider.h"

/* Serves an accepted socket (taken) on the data port. */
void peer_open(struct provider *provider, int fd, bool is_tls);
/* Lets n events of every held answer go (-1 = all); credential NULL = every one. How many answers
 * were held. */
size_t peer_step_all(struct provider *provider, const char *credential, int64_t events);
/* Closes every data connection at once. */
void peer_close_all(struct provider *provider);
