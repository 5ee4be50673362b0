/* api/worklist_query.h - checks the query of a worklist, with its sequences. A filter that gets lost on
 * its way, or that modalities ignore in its place, makes the search broader than asked, so such a
 * filter is refused. */
#ifndef API_WORKLIST_QUERY_H
#define API_WORKLIST_QUERY_H

#include <lua.h>
#include <stdbool.h>

#include "binding/options.h"
#include "orthanc/routes.h"

/* Stack indices are absolute; 0 = the table is missing. */
typedef struct worklist_query {
    const char *function; /* what the script called, for errors */
    const orthanc_route
        *route; /* its keys and the options are not tags, but may be taken for some */
    const option *options;
    int query; /* the caller's query */
    int keep;  /* the caller's list of filters that are sent anyway */
    /* ---- results ---- */
    int sent;            /* new table: the query to send */
    int unknown;         /* new list: names that only the server can know */
    bool ascii;          /* all values are ASCII */
    const char *charset; /* the caller's SpecificCharacterSet, or NULL */
} worklist_query;

/* Fills in the results and pushes the two tables. False: the data are invalid, and a message is pushed
 * in their place. Throws on wrong types and contradictions. [-0, +(2|1), v] */
bool worklist_query_check(lua_State *L, worklist_query *q);

#endif
