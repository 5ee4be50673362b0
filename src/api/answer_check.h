/* api/answer_check.h - holds the answers of a modality against the filters of their query. DICOM lets a
 * modality ignore a matching key that it does not support, and Orthanc does not pass on the status that
 * says so (0xFF01, PS3.4 C.4.1.1.4): the search is then broader than asked. */
#ifndef API_ANSWER_CHECK_H
#define API_ANSWER_CHECK_H

#include <lua.h>
#include <stdbool.h>

/* Removes from the list at index `answers` every answer that contradicts a filter of the query at index
 * `query` (from tags to values; a table is a sequence). At index `empty` there may be a list of tags: an
 * answer without a value of these stays. Sets ignored and unproven in the notes at index `notes`
 * (answer_notes.h). Returns whether it removed answers. [-0, +0, m] */
bool answer_check_filters(lua_State *L, int answers, int query, int empty, int notes);

#endif
