/* signs_priv.h - what the dialects' readers of an answer's head (anthropic_signs.c,
 * openai_signs.c) share. */
#pragma once
#include "dialect/meaning.h"
#include "format/http1.h"

/* The path is `root`, or something below it. */
bool signs_is_below(struct slice path, struct slice root);

/* Without the spaces around it; empty if there is none. */
struct slice signs_header(const struct http1_response *response, const char *name);

/* A window is closed: its name, how much it closes (CLOSED_*), and when it opens, as delay.h reads
 * it. The widest counts, and of several as wide the one that opens last. */
void signs_note_closed(struct answer_signs *signs, struct slice window, int width,
                       struct slice reset);

/* anthropic-ratelimit-tokens-remaining, x-ratelimit-remaining-tokens: 0 is a limit of a key that is
 * used up, until what the header of that name with "reset" in it says. */
bool signs_is_used_up(const struct http1_header *header);
void signs_note_refill(const struct http1_response *response, const struct http1_header *used_up,
                       struct answer_signs *signs);
