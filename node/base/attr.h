/* attr.h - compiler attributes used everywhere, each under a name that says why. */
#pragma once

/* The result is the only error channel: dropping it is a bug. */
#define MUST_USE __attribute__((warn_unused_result))
/* Arguments are checked like printf's; `text` is that argument's position. */
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define NORETURN __attribute__((noreturn))
