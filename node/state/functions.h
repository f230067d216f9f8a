/* functions.h - the Redis functions of lua/, joined and embedded by the build
 * (scripts/embed.cmake). */
#pragma once
#include <stddef.h>

extern const char functions_version[9]; /* 8 hex digits of the source's SHA-1: part of every name */

extern const char functions_source[]; /* library weir_<version>: what nodes call */
extern const size_t functions_source_len;

extern const char functions_status_source[]; /* library weir: weir_status, for people */
extern const size_t functions_status_source_len;
