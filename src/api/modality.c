#include "api/modality.h"

modality *modality_check(lua_State *L, int index)
{
    return remote_check(L, index, &remote_modality);
}

void modality_push(lua_State *L, loop *lp, int client_index, const char *name, unsigned max_moves)
{
    remote_push(L, lp, &remote_modality, client_index, name, max_moves);
}

int modality_from_arguments(lua_State *L, loop *lp, int client_index, int name)
{
    return remote_from_arguments(L, lp, &remote_modality, client_index, name);
}

modality_call *modality_new_call(lua_State *L, size_t size, const char *name, call_step first)
{
    remote *n = remote_check_either(L, 1);
    modality_call *c;
    lua_getiuservalue(L, 1, NAMED_CLIENT);
    c = (modality_call *)call_new(L, n->lp, size, -1, name, first); /* client call */
    lua_remove(L, -2);
    c->modality = n;
    call_keep(L, lua_gettop(L), n->kind->word, 1);
    return c;
}

void modality_open(lua_State *L, loop *lp)
{
    remote_open(L, lp, &remote_modality);
}
