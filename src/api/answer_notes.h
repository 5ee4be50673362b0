/* api/answer_notes.h - what an operation has to say about its answers: a table, in which a field is nil
 * when there is nothing to say.
 *
 *   ignored      from the keyword of a filter to the number of answers that were removed, because they
 *                contradict it
 *   unproven     list of the keywords of filters of which no answer shows the value
 *   repeated     number of answers that were removed, because they name the same resource as another one
 *   unreadable   list of the dates and ranges of dates of which answers are missing, because the server
 *                cannot read their character set
 *   odd          text: why an answer does not name one resource
 *   characters   text: why names and descriptions may lack characters
 */
#ifndef API_ANSWER_NOTES_H
#define API_ANSWER_NOTES_H

#include <lua.h>

/* Pushes what the notes at index say, as one text; nil when they say nothing that a person has to know.
 * [-0, +1, m] */
void answer_notes_push_warning(lua_State *L, int notes);

/* The notes on the top get the field `warning`, which is what they say. [-0, +0, m] */
void answer_notes_complete(lua_State *L);

/* Pops the notes on the top, which become fields of the list below them, with `warning`: see
 * json_mark_array_fields. [-1, +0, m] */
void answer_notes_attach(lua_State *L);

#endif
