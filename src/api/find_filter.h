/* api/find_filter.h - the Query of a C-FIND: checked so that no filter is lost on its way, which would make
 * the search broader than asked. */
#ifndef API_FIND_FILTER_H
#define API_FIND_FILTER_H

#include <lua.h>
#include <stdbool.h>

#include "orthanc/tags.h"

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
bool find_filter_check(lua_State *L, filter *f);

/* Whether nothing in the query (of a server's, tags as gggg,eeee) at index narrows a search of that
 * level. Letters beyond ASCII, in a query that does not say its character set, may have been lost
 * on their way: they do not count. [-0, +0, v] */
bool find_filter_is_broad(lua_State *L, int index, orthanc_level level);

/* ---- of one filter, for queries of every kind ---- */

/* Only blanks and '*': matches whatever is there, or nothing in particular. */
bool find_filter_is_universal(const char *value);

bool find_filter_is_ascii(const char *value);

/* Whether the value (of the filter that messages call `key`) would be cut or changed on its way, or
 * is a list with an empty element; a message is pushed then. may_have_gaps: such a list is all
 * right. [-0, +(0|1), m] */
bool find_filter_is_bad(lua_State *L, const char *key, const char *value, size_t size,
                        bool may_have_gaps);

/* Throws when the tag, by that name of it, is in the table `seen` already under another spelling:
 * one of the two filters would be lost. Else adds it. [-0, +0, v] */
void find_filter_check_twice(lua_State *L, const char *function, int seen, const char *name,
                             const char *key);

/* Pushes why a name and a number that we do not know cannot stand side by side. [-0, +1, m] */
void find_filter_push_ambiguity(lua_State *L, const char *name, const char *number);

/* The caller's list of tags that the remote modality matches by, at index `keep` (0 = there is
 * none): throws when it is no such list; whether it names this key. tag NULL = not known.
 * [-0, +0, v] */
void find_filter_check_keep(lua_State *L, int keep, const char *function);
bool find_filter_is_to_keep(lua_State *L, int keep, const char *key, const uint32_t *tag);

#endif
