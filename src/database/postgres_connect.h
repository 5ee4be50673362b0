/* database/postgres_connect.h - the steps of a call that make its connection. */
#ifndef DATABASE_POSTGRES_CONNECT_H
#define DATABASE_POSTGRES_CONNECT_H

#include "database/postgres_call.h"

/* A step: connects, and goes on with the step c->connected. */
int postgres_connect(lua_State *L, postgres_call *c);

#endif
