/* command/playground.h - three Orthanc servers for trying things: `local`, the server that scripts
 * talk to, knows the modalities `pacs` (AE title PACS, with sample studies) and `archive` (AE title
 * ARCHIVE, empty). They refuse every other program. When this process ends, in whatever way, they
 * end too, and their files are removed. */
#ifndef COMMAND_PLAYGROUND_H
#define COMMAND_PLAYGROUND_H

#include "modalua.h"

typedef struct playground playground;

/* Starts the servers and stores the sample studies in pacs. Blocks until that is done, some tenths
 * of a second. orthanc is the program: a path, or a name in PATH; NULL = the installed one. Returns
 * MODALUA_OK, and the caller owns *out; or an error after saying on standard error what is wrong,
 * and *out is NULL. Sets MODALUA_URL, MODALUA_USERNAME and MODALUA_PASSWORD to the server local,
 * for programs that the script starts. Call it before the process has threads. */
int playground_start(playground **out, const char *orthanc);

/* Ends the servers and frees everything. Blocks until the processes have ended and the files are
 * removed. */
void playground_stop(playground *p);

/* Makes local the server of modalua.connect() without a URL. The strings live as long as p. */
void playground_configure(const playground *p, modalua_config *config);

/* Tells the runtime's module modalua.playground where the servers are. Returns as modalua_call
 * does.
 */
int playground_enter(const playground *p, modalua_runtime *rt);

/* Prints the servers on standard output. */
void playground_greet(const playground *p);

#endif
