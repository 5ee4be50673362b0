/* lquery.h - the queries that a server keeps: what find gave, by its identifier. */
#ifndef LQUERY_H
#define LQUERY_H

#include <lua.h>
#include <stdbool.h>

#include "lcall.h"
#include "orthanc_routes.h"
#include "orthanc_tags.h"

/* What is known of a query that this client has sent. */
typedef struct query_facts {
    bool known;
    bool broad; /* nothing narrowed it */
    orthanc_level level;
    lua_Integer count; /* of its answers */
} query_facts;

/* Reads what names a query at index: its identifier, what find gave, or a Query. Throws when it is
 * none of these, or closed. [-0, +0, v] */
void lquery_identify(lua_State *L, int index, const char *function, char id[ORTHANC_ID_SIZE]);

/* What is known of the query of that identifier. [-0, +0, m] */
query_facts lquery_facts(lua_State *L, int client, const char *id);

/* Pushes what find gives, {ID =, answers =}, with a close method and the fields `dropped` and
 * `warning`, from the list of answers and the list of dropped keys at these indices; warning
 * (an index) may be nil. The client at `client` remembers it. [-0, +1, m] */
void lquery_push_found(lua_State *L, int client, const char *id, const query_facts *facts,
                       int answers, int dropped, int warning);

/* Runs the operation `name` that gives the answers of a query: the list, and a warning when there
 * is one. `return lquery_answers(…);` */
int lquery_answers(lua_State *L, loop *lp, int client, const char *id, const char *name,
                   const char *format);

/* Pushes a Query of the client at index. Throws when the identifier cannot be one. [-0, +1, v] */
int lquery_push(lua_State *L, int client, int id);

/* Reads a format, {simplify =, short =}, at index (nil = simplified) into the query string that
 * asks for it. [-0, +0, v] */
const char *lquery_format(lua_State *L, int index, const char *function);

/* Puts the list of answers on the top in order: nulls are removed. Pushes a warning when letters
 * may have been lost on their way through the server, else nil. [-0, +1, m] */
void lquery_tidy(lua_State *L);

/* Makes Query and Found known to the state. [-0, +0, m] */
void lquery_open(lua_State *L, loop *lp);

#endif
