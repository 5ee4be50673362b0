/* api/modality.h - a remote modality, as the server knows it by name, seen from Lua. */
#ifndef API_MODALITY_H
#define API_MODALITY_H

#include <lua.h>

#include "api/remote.h"

enum { MODALITY_CLIENT = NAMED_CLIENT, MODALITY_MAX_MOVES = NAMED_MAX_MOVES };

typedef remote modality;

/* A call on a modality, or on a peer. */
typedef struct modality_call {
    call call;
    remote *modality;
} modality_call;

/* The modality at index; throws when it is none. [-0, +0, v] */
modality *modality_check(lua_State *L, int index);

/* Pushes a modality of the client at index; no I/O. Throws when the name cannot be one.
 * [-0, +1, v] */
void modality_push(lua_State *L, loop *lp, int client, const char *name, unsigned max_moves);

/* Reads the arguments name [, {max_moves = n}] at index and pushes the client's modality.
 * [-0, +1, v] */
int modality_from_arguments(lua_State *L, loop *lp, int client, int name);

/* Pushes a call of `size` bytes that begins with a modality_call, on the modality or the peer at
 * index 1, which data.modality or data.peer keeps. [-0, +1, v] */
modality_call *modality_new_call(lua_State *L, size_t size, const char *name, call_step first);

/* Makes the type known to the state, with the table of its methods that is on the top, and stays.
 * [-0, +0, m] */
void modality_open(lua_State *L, loop *lp);

#endif
