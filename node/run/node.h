/* node.h - a node from its start to its end: where all floors meet. */
#pragma once

/* Serve until told to stop. config_path: NULL, then it is looked for in its usual places. Gives the
 * exit code: 0 stopped as asked, 1 failed while running, 2 the config is not valid. */
int node_serve(const char *config_path);
