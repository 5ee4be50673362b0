/* api/answer_notes.h - what an operation has to say about its answers: a table, in which a field is nil
 * when there is nothing to say.
 *
 *   ignored      from the keyword of a filter to the number of answers that were removed, because they
 *                contradict it
 *   unproven     list of the keywords of filters of which no answer shows the value
 *   repeated     number of answers that were removed, because they name the same resource as another one
 *   odd          text: why an answer does not name one resource
 *   characters   text: why names and descriptions may lack characters
 */
#ifndef API_ANSWER_NOTES_H
#define API_ANSWER_NOTES_H

#include <lua.h>

/* Pops the notes on the top: they, and what they say as one text, `warning`, become fields of the list
 * below, which neither loops nor json.encode see. So every list that an operation returns has them.
 * [-1, +0, m] */
void answer_notes_attach(lua_State *L);

/* Pushes what the notes at index say, as one text; nil when they say nothing that a person has to know.
 * [-0, +1, m] */
void answer_notes_push_warning(lua_State *L, int notes);

#endif
