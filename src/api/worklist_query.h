/* api/worklist_query.h - the query of a worklist, with its sequences: checked so that no filter is lost on
 * its way, or ignored where it arrives, either of which would make the search broader than asked.
 */
#ifndef API_WORKLIST_QUERY_H
#define API_WORKLIST_QUERY_H

#include <lua.h>
#include <stdbool.h>

#include "binding/options.h"
#include "orthanc/routes.h"

/* Stack indices are absolute; 0 = not there. */
typedef struct worklist_query {
    const char *function;
    const orthanc_route *route; /* the names of the options, which are no tags */
    const option *options;
    int query, keep; /* what the caller gave */
    /* results */
    int sent, unknown; /* new tables: the query to send; list of names that only the server knows */
    bool ascii;
    const char *charset; /* the caller's SpecificCharacterSet, or NULL */
} worklist_query;

/* Fills in the results and pushes the two tables. False: bad data, and a message about it is
 * pushed instead. Throws on mistakes of the caller's. [-0, +(2|1), v] */
bool worklist_query_check(lua_State *L, worklist_query *q);

#endif
