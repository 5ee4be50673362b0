/* api/identifiers.h - what names a resource: DICOM's unique keys (StudyInstanceUID and so on), which
 * C-MOVE and C-GET need, and the identifiers that Orthanc gives what it stores. */
#ifndef API_IDENTIFIERS_H
#define API_IDENTIFIERS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "orthanc/tags.h"

/* The level whose name is at index; throws, naming `function`, on anything else. [-0, +0, v] */
orthanc_level identifiers_level(lua_State *L, int index, const char *function);

/* Pushes the value of a tag in the row at index: an answer in any format. False: it has none, and
 * nothing is pushed. [-0, +(0|1), v] */
bool identifiers_push_tag(lua_State *L, int row, uint32_t tag);

/* Pushes the list of unique keys of the row, or the list of rows, at index, without the blanks around
 * them; with_classes: also the SOPClassesInStudy of each row, which C-GET proposes to receive. False: a
 * message about the first invalid row, which it calls `noun`, is pushed instead. Throws, naming
 * `function`, when there are no rows. [-0, +1, v] */
bool identifiers_push_keys(lua_State *L, int index, orthanc_level level, const char *function,
                           const char *noun, bool with_classes);

/* Pushes what Orthanc compares of the PatientID at index (orthanc/patient_ids.h). [-0, +1, m] */
void identifiers_push_folded(lua_State *L, int index);

/* Checks the value on the top, resource number n, as an identifier that Orthanc gives. False: a
 * message is pushed. Throws when it is no string. [-0, +(0|1), v] */
bool identifiers_check_stored(lua_State *L, const char *function, lua_Integer n);

/* Pushes the list of the identifiers that Orthanc gives at index, one or several. False: a message
 * is pushed instead. Throws, naming `function`, on wrong types. [-0, +1, v] */
bool identifiers_push_stored(lua_State *L, int index, const char *function);

/* For the Lua half. */
/* (op, level, rows [, noun]) -> list, with the field level | nil, err */
int identifiers_keys(lua_State *L);
int identifiers_value(lua_State *L);  /* (row, name of a tag) -> string | nil */
int identifiers_folded(lua_State *L); /* (PatientID) -> string */

#endif
