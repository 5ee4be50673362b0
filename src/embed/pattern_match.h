/* embed/pattern_match.h - matches a text with a pattern of Lua, as Lua's own functions do, and looks from
 * time to time whether the run has to stop: a pattern that backtracks can need years. Errors are those of
 * Lua. */
#ifndef EMBED_PATTERN_MATCH_H
#define EMBED_PATTERN_MATCH_H

#include <lua.h>
#include <stddef.h>

enum {
    PATTERN_CAPTURES = 32,
    PATTERN_OPEN = -1,        /* the size of a capture that has not been closed */
    PATTERN_POSITION = -2,    /* the size of a capture that is a position */
    PATTERN_BYTES_A_STEP = 64 /* that are compared or searched as one step */
};

#define PATTERN_ESCAPE '%'

typedef struct pattern_match {
    lua_State *L;
    const char *text, *text_end, *pattern_end; /* each end is a NUL */
    size_t steps;                              /* since the last look */
    int depth;                                 /* of nested calls that are still allowed */
    int captures;
    struct {
        const char *begin;
        ptrdiff_t size;
    } capture[PATTERN_CAPTURES];
} pattern_match;

/* The whole text and the whole pattern, which must stay where they are. [-0, +0, -] */
void pattern_init(pattern_match *m, lua_State *L, const char *text, size_t text_size,
                  const char *pattern, size_t pattern_size);

/* Matches the pattern, from `pattern` on, with the text that begins at `at`. Returns the end of the matched
 * text, and sets the captures; NULL = there is no match. [-0, +0, v] */
const char *pattern_run(pattern_match *m, const char *at, const char *pattern);

/* Sets *captured and returns the size of a capture, from 0 on. When the pattern has no captures, capture 0 is
 * the matched text, from `match` to `match_end`. A position is pushed, and the size is PATTERN_POSITION.
 * [-0, +(0|1), v] */
ptrdiff_t pattern_capture(const pattern_match *m, int number, const char *match,
                          const char *match_end, const char **captured);

/* Adds the cost of some work, 1 = some nanoseconds; throws when the run has to stop. [-0, +0, v] */
void pattern_count(pattern_match *m, size_t cost);

#endif
