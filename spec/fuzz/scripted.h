/* scripted.h - runs an input by a function of operations.lua, with answers from memory (memory_curl.h). */
#ifndef SCRIPTED_H
#define SCRIPTED_H

#include <stddef.h>
#include <stdint.h>

/* Calls the global function with the first `lines` lines of the input, each a string; the other lines are
 * the answers. The function must not throw. At the end no transfer and no memory of libcurl is left.
 * may_last: the run may be ended by its time limit, an hour. */
void scripted_run(const char *function, const uint8_t *data, size_t size, int lines, int may_last);

#endif
