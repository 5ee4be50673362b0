/* binding/interrupt.h - a C function that can take long looks from time to time whether the run has to
 * stop: Lua's hooks run between instructions, and a C function is one instruction.
 */
#ifndef BINDING_INTERRUPT_H
#define BINDING_INTERRUPT_H

#include <lua.h>
#include <stddef.h>

/* The C function that interrupt_look calls in this state: it throws when the run has to stop. In a state
 * without one, interrupt_look does nothing. [-0, +0, m] */
void interrupt_set(lua_State *L, lua_CFunction look);

/* Throws when the run has to stop. Takes a fraction of a microsecond. [-0, +0, v] */
void interrupt_look(lua_State *L);

/* Adds the cost of some work to *steps; does the same, and sets *steps to 0, when that has become
 * INTERRUPT_STEPS. A step is the work of some 50 ns. [-0, +0, v] */
enum { INTERRUPT_STEPS = 1024 };
void interrupt_count(lua_State *L, size_t *steps, size_t cost);

#endif
