/* fuzz.h - what all fuzz targets share. A target aborts when a promise of the header it exercises
 * is broken; reading out of bounds and undefined behaviour abort by themselves, because the input
 * is in memory of exactly its size. */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                          \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

/* Where a part of `size` bytes could be cut next; the number follows from the input alone. */
static inline size_t fuzz_step(uint32_t *seed, size_t size)
{
    *seed = *seed * 1664525u + 1013904223u;
    uint32_t chance = *seed >> 8;
    size_t step = chance % 4 == 0 ? 1 : chance % 4 == 1 ? chance / 4 % 8 + 1 : chance / 4 % 300 + 1;
    return step < size ? step : size;
}
