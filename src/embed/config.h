/* embed/config.h - what a host gives a runtime to be made from: read whatever library it was built for. */
#ifndef EMBED_CONFIG_H
#define EMBED_CONFIG_H

#include "modalua.h"

/* Fills `full` from what the host has given; NULL = the defaults. Its strings stay the host's.
 * Returns NULL, or what is wrong with it, a static text. */
const char *config_read(modalua_config *full, const modalua_config *given);

#endif
