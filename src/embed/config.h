/* embed/config.h - reads the configuration that a host passes: the host may have been built for an
 * older or a newer version of the library. */
#ifndef EMBED_CONFIG_H
#define EMBED_CONFIG_H

#include "modalua.h"

/* Fills `full` from the host's configuration (NULL = the defaults). The strings are not copied.
 * Returns NULL, or a static text that says what is wrong. */
const char *config_read(modalua_config *full, const modalua_config *given);

#endif
