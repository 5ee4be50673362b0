/* api/answer_notes.h - what an operation has to say about its answers: a table, in which a field is nil
 * when there is nothing to say.
 */
#ifndef API_ANSWER_NOTES_H
#define API_ANSWER_NOTES_H

#include <lua.h>

/* The notes as rows of fields (binding/fields.h). */
#define ANSWER_NOTES_ROWS                                                                       \
    { "warning", "text for people about what may be wrong with the answers; nil: nothing" },    \
        { "ignored", "from the tag of a filter to the number of answers that contradicted it, " \
                     "and were removed" },                                                      \
        { "unproven", "list of the tags of filters that no answer shows" },                     \
        { "repeated", "number of answers that were removed, as they repeat another one" },      \
        { "unreadable", "list of the dates of which answers are missing, as the server cannot " \
                        "read their character set" },                                           \
        { "odd", "text: why an answer does not name one resource" },                            \
    {                                                                                           \
        "characters", "text: why names and descriptions may lack characters"                    \
    }

/* Pushes what the notes at index say, as one text; nil when they say nothing that a person has to know.
 * [-0, +1, m] */
void answer_notes_push_warning(lua_State *L, int notes);

/* The notes on the top get the field `warning`, which is what they say. [-0, +0, m] */
void answer_notes_complete(lua_State *L);

/* Pops the notes on the top, which become readable as fields of the list below them, with `warning`. They
 * are in the list's metatable, so neither loops nor json.encode see them. The list is marked as an array.
 * [-1, +0, m] */
void answer_notes_attach(lua_State *L);

#endif
