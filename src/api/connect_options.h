/* api/connect_options.h - the options of modalua.connect, as tables. They are made from the rows of
 * base/connect_options.def, which is the place to add an option. */
#ifndef API_CONNECT_OPTIONS_H
#define API_CONNECT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "binding/options.h"
#include "http/http.h"

/* The values of the options. */
typedef struct connect_options {
    http_options http;
    double timeout; /* seconds of one exchange; 0 = no limit */
    const char *profile;
} connect_options;

extern const connect_options connect_options_defaults;

/* For options_read, and for the documents. */
extern const option connect_options_rows[];

typedef enum connect_secrecy {
    CONNECT_OPEN,     /* no secret */
    CONNECT_USER,     /* belongs to the credentials, but is no secret */
    CONNECT_PASSWORD, /* a credential that is secret */
    CONNECT_SECRET,   /* another secret */
    CONNECT_URL       /* a password may be inside */
} connect_secrecy;

/* More about an option. */
typedef struct connect_trait {
    bool host_only; /* a sandboxed script must not set it */
    connect_secrecy secrecy;
    size_t config; /* the offset of its string in modalua_config; CONNECT_NO_CONFIG = it has none */
} connect_trait;

#define CONNECT_NO_CONFIG ((size_t)-1)

/* The traits of connect_options_rows[i]. */
extern const connect_trait connect_options_traits[];

#endif
