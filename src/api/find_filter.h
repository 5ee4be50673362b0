/* api/find_filter.h - checks the Query of a C-FIND. A filter that gets lost on its way to the modality
 * makes the search broader than asked, so such a filter is refused. */
#ifndef API_FIND_FILTER_H
#define API_FIND_FILTER_H

#include <lua.h>
#include <stdbool.h>

#include "orthanc/tags.h"

/* Stack indices are absolute; 0 = the table is missing. */
typedef struct find_filter {
    const char *function; /* what the script called, for errors */
    int query;            /* the caller's Query */
    int keep; /* the caller's list of tags that the modality matches by, whatever their value */
    orthanc_level level;
    bool any_value; /* the caller of this function checks the values against their VR */
    bool normalize; /* false: the caller's Normalize = false, so that Orthanc removes no tag */
    /* ---- results ---- */
    int sent;      /* new table: the query to send */
    int dropped;   /* new list: return keys that are not sent, as the level does not have them */
    bool has_kept; /* a tag of `keep` is in the query: Orthanc must not normalize it */
    bool broad;    /* the query has no filter */
    bool ascii;    /* all values are ASCII */
    bool unknown_name;           /* a key is a name that only the server can know */
    const char *charset;         /* the caller's SpecificCharacterSet, or NULL */
    const char *unlisted_name;   /* a key, by name, that is not in our tables; or NULL */
    const char *unlisted_number; /* the same by number */
} find_filter;

/* Fills in the results and pushes the two tables. False: the data are invalid, and a message is pushed
 * in their place. Throws on wrong types and contradictions. [-0, +(2|1), v] */
bool find_filter_check(lua_State *L, find_filter *f);

/* Whether the query at index, as the server has it (tags as gggg,eeee), has no filter for a search of
 * that level. A value beyond ASCII does not count when the query names no character set, as the
 * modality may not have received it. [-0, +0, v] */
bool find_filter_is_broad(lua_State *L, int index, orthanc_level level);

/* ---- one filter; for worklists too ---- */

/* Whether the value is empty or has only '*', perhaps with blanks around it: it matches everything. */
bool find_filter_is_universal(const char *value);

/* The value as it is sent: "" for a universal one, since servers differ in where they know '*'; unless
 * `keep` has the tag. [-0, +0, v] */
const char *find_filter_as_sent(lua_State *L, int keep, const char *key, const uint32_t *tag,
                                const char *value);

/* Whether the value (messages call the filter `key`) has a control character, or is a list with an
 * empty element (unless allow_empty_elements). A message is pushed then. [-0, +(0|1), m] */
bool find_filter_is_invalid(lua_State *L, const char *key, const char *value, size_t size,
                            bool allow_empty_elements);

/* Whether the values of the key's tag are dates (DA). */
bool find_filter_is_date(const char *key);

/* What messages say of the option `keep`, with a %s for the tag. */
#define FIND_FILTER_SENDS_IT " (keep = { \"%s\" } sends it as it is)"
#define FIND_FILTER_ADD_KEEP " If the modality matches by it, add keep = { \"%s\" }."

/* Why the value is wrong for the tag of the key (orthanc/values.h), without the filter in front: pushed
 * and returned. NULL: it is right, or `keep` has the tag. A date or time that servers would read as a
 * range is wrong all the same. [-0, +(0|1), m] */
const char *find_filter_fault(lua_State *L, int keep, const char *key, const char *value);

/* The same, as a message that names the filter `label`. [-0, +(0|1), m] */
bool find_filter_is_odd(lua_State *L, int keep, const char *label, const char *key,
                        const char *value);

/* Pushes that a key is no keyword, and which one may be meant. False: it is a keyword or a number, and
 * nothing is pushed. [-0, +(0|1), m] */
bool find_filter_is_misspelt(lua_State *L, const char *key);

/* Whether the key must not be in a query. A message is pushed then. [-0, +(0|1), m] */
bool find_filter_is_forbidden(lua_State *L, const char *label, const char *key);

/* Adds the key to the table `seen`, under the name of its tag. Throws when the tag is there already,
 * written in another way: one of the two filters would be lost. [-0, +0, v] */
void find_filter_check_twice(lua_State *L, const char *function, int seen, const char *name,
                             const char *key);

/* Pushes why an unlisted name and an unlisted number cannot be in one query. [-0, +1, m] */
void find_filter_push_ambiguity(lua_State *L, const char *name, const char *number);

/* The option `keep` at index (0 = not given): throws when it is not a list of tags; whether it has
 * this key. tag NULL = the number is not known. [-0, +0, v] */
void find_filter_check_keep(lua_State *L, int keep, const char *function);
bool find_filter_is_kept(lua_State *L, int keep, const char *key, const uint32_t *tag);

#endif
