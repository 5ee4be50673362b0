/* api/find_result.h - the result of find ({ID =, answers =}), and the ways to name a query. */
#ifndef API_FIND_RESULT_H
#define API_FIND_RESULT_H

#include <lua.h>
#include <stdbool.h>

#include "orthanc/routes.h"
#include "orthanc/tags.h"
#include "request/client_record.h"
#include "request/single_request.h"

/* The type of Query userdata, which api/query.c makes. Their user value is the client. */
#define QUERY_TYPE "modalua.Query"

typedef struct query_handle {
    bool closed;
    char id[ORTHANC_ID_SIZE];
} query_handle;

/* What this client knows about a query. */
typedef struct query_facts {
    bool known; /* the client sent the query, and its result is alive; else only the server knows */
    bool broad; /* the query has no filter */
    orthanc_level level;
    lua_Integer count; /* number of answers */
    bool lossy;        /* an answer shows that characters got lost */
    bool by_resource; /* the answers are not those of the server's query: a move goes by resource */
    bool unproven;    /* no answer shows whether the modality looked at one of the filters */
    char modality[ORTHANC_ID_SIZE]; /* the one that was asked */
} query_facts;

/* The open Query at index; throws on anything else. [-0, +0, v] */
query_handle *find_result_check_query(lua_State *L, int index);

/* The identifier of the query that the value at index names: an identifier, a result of find, or a
 * Query. Throws on anything else, and when the query is closed. [-0, +0, v] */
void find_result_identify(lua_State *L, int index, const char *function, char id[ORTHANC_ID_SIZE]);

/* What the client at index knows about the query of that identifier. [-0, +0, m] */
query_facts find_result_facts(lua_State *L, int client, const char *id);

/* Pushes the result of find for the query of that identifier, or nil. [-0, +1, m] */
void find_result_push_known(lua_State *L, int client, const char *id);

/* Pushes the result of find that the table at index describes: {ID =, answers =}, with the method close
 * and the fields broad, warning and those of the notes. The client remembers the result.
 *
 *   client, id, modality, level, answers, broad, lossy, by_resource   as in query_facts
 *   notes   answer_notes.h, with `dropped`
 *
 * [-0, +1, m] */
void find_result_push(lua_State *L, int description);

/* The client at index remembers that the modality gave the answers in the list at index to a find of that
 * level. [-0, +0, m] */
void find_result_note_answers(lua_State *L, int client, int answers, orthanc_level level,
                              const char *modality);

/* The level of the find to which the modality gave this client the value at index as an answer;
 * ORTHANC_NO_LEVEL: it is no such answer. [-0, +0, m] */
orthanc_level find_result_answer_level(lua_State *L, int client, int index, const char *modality);

/* Pushes the request that removes a query from the server; its outcome is true. [-0, +1, m] */
single_request *find_result_push_close(lua_State *L, loop *lp, int client, const char *id);

/* Sends that request without waiting for it, as the end of a scope does; also when the task is being
 * cancelled. Returns 0. [-0, +0, m] */
int find_result_close_later(lua_State *L, loop *lp, int client, const char *id);

/* Registers the type of results in the state. [-0, +0, m] */
void find_result_open(lua_State *L, loop *lp);

#endif
