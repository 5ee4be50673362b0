/* lfilter.h - the Query of a C-FIND: checked so that no filter is lost on its way, which would make
 * the search broader than asked. */
#ifndef LFILTER_H
#define LFILTER_H

#include <lua.h>
#include <stdbool.h>

#include "orthanc_tags.h"

/* Stack indices are absolute; 0 = not there. */
typedef struct filter {
    const char *function;
    int query, keep; /* what the caller gave */
    orthanc_level level;
    bool normalize; /* false: the caller's Normalize = false, taken at its word */
    /* results */
    int sent, dropped; /* new tables: the query to send; names of return keys that are not sent */
    bool keeps;        /* a tag of `keep` is there: the server must not normalize */
    bool broad;        /* nothing narrows the search */
    bool ascii;
    bool unknown_name;         /* a name that only the server can know */
    const char *charset;       /* the caller's SpecificCharacterSet, or NULL */
    const char *name, *number; /* a key that is a name, or a number, that we do not know; or NULL */
} filter;

/* Fills in the results and pushes the two tables. False: bad data, and a message about it is
 * pushed instead. Throws on mistakes of the caller's. [-0, +(2|1), v] */
bool lfilter_check(lua_State *L, filter *f);

/* Whether nothing in the query (of a server's, tags as gggg,eeee) at index narrows a search of that
 * level. Letters beyond ASCII, in a query that does not say its character set, may have been lost
 * on their way: they do not count. [-0, +0, v] */
bool lfilter_is_broad(lua_State *L, int index, orthanc_level level);

#endif
