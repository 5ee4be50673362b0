/* command/playground.h - three Orthanc servers to try things on: `local`, the one that scripts talk to,
 * which knows the modalities `pacs` (AET PACS, holding sample studies) and `archive` (AET ARCHIVE,
 * empty). They are strangers to everybody else, and nothing is left of them when this process ends,
 * however it ends. Built on the public header and on process.h. */
#ifndef COMMAND_PLAYGROUND_H
#define COMMAND_PLAYGROUND_H

#include "modalua.h"

typedef struct playground playground;

/* Starts the servers and fills pacs; blocks until both are done, some tenths of a second. orthanc
 * is the program, a path or a name in PATH; NULL = the installed one. Returns MODALUA_OK and a
 * playground that the caller owns; or an error, when *out is NULL and standard error says what is
 * wrong. To be called before threads are started. */
int playground_start(playground **out, const char *orthanc);

/* Ends the servers and frees everything. Blocks until nothing is left of them. */
void playground_stop(playground *p);

/* Makes local the server of modalua.connect() without a URL. For the programs that are started from
 * here, playground_start has put it into MODALUA_URL, MODALUA_USERNAME and MODALUA_PASSWORD. The
 * strings last as long as p. */
void playground_configure(const playground *p, modalua_config *config);

/* Makes the servers known to require "modalua.playground" in the runtime. Returns as modalua_call.
 */
int playground_enter(const playground *p, modalua_runtime *rt);

/* Says on standard output what there is. */
void playground_greet(const playground *p);

#endif
