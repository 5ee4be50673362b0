#include "api/connect_options.h"

#include "modalua.h"

const connect_options connect_options_defaults = {
#define CONNECT_VALUE(name, type, field, value, ...) .field = value,
#include "base/connect_options.def"
};

#define AT(field) offsetof(connect_options, field)
const option connect_options_rows[] = {
#define CONNECT_STRING(name, config, sandbox, secrecy, help) \
    { #name, OPTION_STRING, AT(http.name), help },
#define CONNECT_VALUE(name, type, field, value, sandbox, secrecy, help) \
    { #name, OPTION_##type, AT(field), help },
#define CONNECT_TABLE(name, sandbox, secrecy, help) { #name, OPTION_TABLE, 0, help },
#include "base/connect_options.def"
    OPTIONS_END
};

#define HOST_ONLY_SCRIPT           false
#define HOST_ONLY_HOST             true
#define CONFIG_OFFSET_NONE(name)   CONNECT_NO_CONFIG
#define CONFIG_OFFSET_CONFIG(name) offsetof(modalua_config, name)
const connect_trait connect_options_traits[] = {
#define CONNECT_STRING(name, config, sandbox, secrecy, help) \
    { HOST_ONLY_##sandbox, CONNECT_##secrecy, CONFIG_OFFSET_##config(name) },
#define CONNECT_VALUE(name, type, field, value, sandbox, secrecy, help) \
    { HOST_ONLY_##sandbox, CONNECT_##secrecy, CONNECT_NO_CONFIG },
#define CONNECT_TABLE(name, sandbox, secrecy, help) \
    { HOST_ONLY_##sandbox, CONNECT_##secrecy, CONNECT_NO_CONFIG },
#include "base/connect_options.def"
};
