/* greet.h - a node and the person who started it: what they are told about its address, and that
 * they may close the window. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct config;

/* The port could not be had: why, who has it as far as the system tells, and what to do. */
void greet_refused(const struct config *config, uint16_t port, const char *why);
/* It listens. A person at a terminal is told what to type next; a log is not. */
void greet_listening(const struct config *config, uint16_t port);
/* It was started at a terminal, in the foreground: whoever closes that ends what runs in it. */
bool greet_is_at_terminal(void);
bool greet_is_terminal_gone(void);
