#include "api/modality.h"

modality *lmodality_check(lua_State *L, int index)
{
    return lnamed_check(L, index, &named_modality);
}

void lmodality_push(lua_State *L, loop *lp, int client_index, const char *name, unsigned max_moves)
{
    lnamed_push(L, lp, &named_modality, client_index, name, max_moves);
}

int lmodality_from_arguments(lua_State *L, loop *lp, int client_index, int name)
{
    return lnamed_from_arguments(L, lp, &named_modality, client_index, name);
}

modality_call *lmodality_call(lua_State *L, size_t size, const char *name, call_step first)
{
    named *n = lnamed_check_either(L, 1);
    modality_call *c;
    lua_getiuservalue(L, 1, NAMED_CLIENT);
    c = (modality_call *)lcall_new(L, n->lp, size, -1, name, first); /* client call */
    lua_remove(L, -2);
    c->modality = n;
    lcall_keep(L, lua_gettop(L), n->kind->word, 1);
    return c;
}

void lmodality_open(lua_State *L, loop *lp)
{
    lnamed_open(L, lp, &named_modality);
}
