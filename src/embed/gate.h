/* embed/gate.h - what each HTTP request of a runtime passes before it leaves, whatever asked for it: in a
 * sandbox the routes that a script may use, and then the host's `authorize`. */
#ifndef EMBED_GATE_H
#define EMBED_GATE_H

#include "embed/runtime.h"

/* Sets the gate of a runtime that has its configuration. */
void gate_open(modalua_runtime *rt);

#endif
