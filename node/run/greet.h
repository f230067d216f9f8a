/* greet.h - what a node tells the person who started it about its address. */
#pragma once
#include <stdint.h>

struct config;

/* The port could not be had: why, who has it as far as the system tells, and what to do. */
void greet_refused(const struct config *config, uint16_t port, const char *why);
/* It listens. A person at a terminal is told what to type next; a log is not. */
void greet_listening(const struct config *config, uint16_t port);
