/* check.h - a unit test in a page: named promises, counted checks, one exit code.
 *
 *     PROMISE("a slice never reads beyond its end") { CHECK(slice_from(SLICE("ab"), 5).len == 0); }
 *
 * A failed check prints its place and text and the test goes on; the program then exits with 1. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *check_promise = "?";
static int check_count, check_failures;

static inline void check_that(int holds, const char *what, const char *file, int line)
{
    check_count++;
    if (holds)
        return;
    check_failures++;
    fprintf(stderr, "%s:%d: not so: %s\n    promise: %s\n", file, line, what, check_promise);
}

static inline int check_done(void)
{
    printf("%d checks, %d failed\n", check_count, check_failures);
    return check_failures > 0 || check_count == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define PROMISE(text) for (int once_ = (check_promise = (text), 1); once_; once_ = 0)
#define CHECK(condition) check_that(!!(condition), #condition, __FILE__, __LINE__)
#define CHECK_TEXT(slice_, literal) \
    check_that(slice_eq((slice_), slice_of(literal)), #slice_ " is " #literal, __FILE__, __LINE__)
