/* api/find_result.h - what find gave, and how queries are named. */
#ifndef API_FIND_RESULT_H
#define API_FIND_RESULT_H

#include <lua.h>
#include <stdbool.h>

#include "orthanc/routes.h"
#include "orthanc/tags.h"
#include "request/client_record.h"
#include "request/single_request.h"

/* A Query, which api/query.c gives its methods; its user value is the client. */
#define LFOUND_QUERY "modalua.Query"

typedef struct query_handle {
    bool closed;
    char id[ORTHANC_ID_SIZE];
} query_handle;

/* What is known of a query that this client has sent. */
typedef struct query_facts {
    bool known;
    bool broad; /* nothing narrowed it */
    orthanc_level level;
    lua_Integer count;              /* of its answers */
    bool lossy;                     /* letters of them are missing, and it shows */
    char modality[ORTHANC_ID_SIZE]; /* that was asked */
} query_facts;

/* The Query at index, open; throws otherwise. [-0, +0, v] */
query_handle *find_result_check_query(lua_State *L, int index);

/* Reads what names a query at index: its identifier, what find gave, or a Query. Throws when it is
 * none of these, or closed. [-0, +0, v] */
void find_result_identify(lua_State *L, int index, const char *function, char id[ORTHANC_ID_SIZE]);

/* What is known of the query of that identifier. [-0, +0, m] */
query_facts find_result_facts(lua_State *L, int client, const char *id);

/* Pushes what find gives, {ID =, answers =}, with a close method and the fields `dropped` and
 * `warning`, from the list of answers and the list of dropped keys at these indices; warning
 * (an index) may be nil. The client at `client` remembers it. [-0, +1, m] */
void find_result_push(lua_State *L, int client, const char *id, const query_facts *facts,
                      int answers, int dropped, int warning);

/* The client at index notes who gave the answers of the list at index. [-0, +0, m] */
void find_result_note_answers(lua_State *L, int client, int answers, const char *modality);

/* Whether the value at index is an answer that the modality has given to this client. [-0, +0, -]
 */
bool find_result_is_answer(lua_State *L, int client, int index, const char *modality);

/* Pushes the exchange that removes a query from its server, and gives true. [-0, +1, m] */
single_request *find_result_push_close(lua_State *L, loop *lp, int client, const char *id);

/* The same as the end of a scope: nobody waits for it, and it is sent also when the task is being
 * cancelled. Returns 0. [-0, +0, m] */
int find_result_close_later(lua_State *L, loop *lp, int client, const char *id);

/* Makes it known to the state. [-0, +0, m] */
void find_result_open(lua_State *L, loop *lp);

#endif
