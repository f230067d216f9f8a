/* banned.h - functions that are unsafe or not thread-safe do not compile. Included by the build
 * into every file of node/ (see node/CMakeLists.txt). Reasons: no bounds (strcpy, strcat, sprintf,
 * gets), hidden state (strtok, gmtime, localtime, ctime, asctime, strerror), no error (atoi, atol,
 * atof). */
#pragma once
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok gmtime localtime ctime asctime atoi \
    atol atof
