/* api/certificate.h - until when the certificate of a server is valid, for the verb check. */
#ifndef API_CERTIFICATE_H
#define API_CERTIFICATE_H

#include <lua.h>

/* certificate_end(client) -> text | nil [, error]: "Nov 28 12:00:00 2026 GMT". nil alone: there is no
 * certificate, since the server is not reached by https. Yields. */
int certificate_l_end(lua_State *L);

#endif
