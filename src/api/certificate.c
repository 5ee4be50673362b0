#include "api/certificate.h"

#include <string.h>

#include "binding/doc.h"
#include "request/client_record.h"
#include "request/response.h"
#include "request/single_request.h"

/* Whatever the server answers: the connection has shown the certificate. */
static int certificate_advance(lua_State *L, op *o)
{
    single_request *x = (single_request *)o;
    if (o->stage++ == 0)
        return op_request(L, o, x->server, &x->request);
    if (!o->transfer.certificate_end[0])
        return o->transfer.fault == HTTP_OK ? 0 : response_push(L, o);
    lua_pushstring(L, o->transfer.certificate_end);
    return 1;
}

int certificate_l_end(lua_State *L)
{
    const client *c = client_check(L, 1);
    single_request *x;
    if (strncmp(http_server_url(c->server), "https:", 6) != 0)
        return 0;
    lua_settop(L, 1);
    lua_pushliteral(L, "/system");
    x = single_request_new(L, doc_loop(L), 1, c->server, c->timeout, "system", "GET");
    x->request.certificate = true;
    x->op.advance = certificate_advance;
    return op_run(L, &x->op);
}
