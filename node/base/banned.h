/* banned.h - functions that are unsafe or not thread-safe do not compile: whoever names one is told
 * why not. The build puts this file before every file of ours. */
#pragma once
#include <arpa/inet.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* NOLINTBEGIN(bugprone-macro-parentheses): what is declared stands in none */
#if __GNUC__ >= 12 || (defined(__clang__) && __clang_major__ >= 14)
#define BANNED(name, why) extern __typeof__(name) name __attribute__((unavailable(why)));
#else /* a warning, which the dev build makes an error */
#define BANNED(name, why) extern __typeof__(name) name __attribute__((deprecated(why)));
#endif
/* NOLINTEND(bugprone-macro-parentheses) */

BANNED(strcpy, "knows no bounds")
BANNED(strcat, "knows no bounds")
BANNED(sprintf, "knows no bounds")
BANNED(vsprintf, "knows no bounds")
BANNED(scanf, "knows no bounds, and overflow goes unnoticed")
BANNED(fscanf, "knows no bounds, and overflow goes unnoticed")
BANNED(sscanf, "knows no bounds, and overflow goes unnoticed")
BANNED(strncpy, "leaves text without an end")
BANNED(strncat, "its length is not what it seems")
#ifdef __clang__ /* where the C library has them inline, clang lets them pass */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wignored-attributes"
#endif
BANNED(atoi, "what is no number goes unnoticed")
BANNED(atol, "what is no number goes unnoticed")
BANNED(atoll, "what is no number goes unnoticed")
BANNED(atof, "what is no number goes unnoticed")
#ifdef __clang__
#pragma clang diagnostic pop
#endif
BANNED(strtok, "one place for all threads")
BANNED(gmtime, "one place for all threads")
BANNED(localtime, "one place for all threads")
BANNED(ctime, "one place for all threads")
BANNED(asctime, "one place for all threads")
BANNED(strerror, "one place for all threads: strerrordesc_np()")
BANNED(gethostbyname, "one place for all threads, and it blocks")
BANNED(inet_ntoa, "one place for all threads")
BANNED(inet_addr, "takes what is no address")
BANNED(inet_aton, "takes what is no address")
BANNED(rand, "can be guessed")
BANNED(srand, "can be guessed")
BANNED(drand48, "can be guessed")
BANNED(mktemp, "somebody else may make the file first")
BANNED(tmpnam, "somebody else may make the file first")
BANNED(tempnam, "somebody else may make the file first")
BANNED(system, "a shell reads what we say")
BANNED(popen, "a shell reads what we say")
BANNED(longjmp, "what was held stays held")
#undef BANNED

#pragma GCC poison gets /* not declared any more */
