/* api/answer_identity.h - which resource an answer names. Some modalities name the same one several
 * times (an answer for each image), name none, or answer for another level than asked. */
#ifndef API_ANSWER_IDENTITY_H
#define API_ANSWER_IDENTITY_H

#include <lua.h>
#include <stdbool.h>

#include "orthanc/tags.h"

/* Removes from the list at index `answers` every answer that names the same resource of that level as an
 * answer before it. Sets repeated and odd in the notes at index `notes` (answer_notes.h). Returns
 * whether it set one of the two. [-0, +0, m] */
bool answer_identity_check(lua_State *L, int answers, orthanc_level level, int notes);

#endif
