/* api/answers.h - the answers of a query, which the server keeps. */
#ifndef API_ANSWERS_H
#define API_ANSWERS_H

#include <lua.h>

#include <stdbool.h>

#include "binding/options.h"
#include "engine/loop.h"
#include "request/call.h"

/* The options that choose the form of answers, and a table of both. */
/* clang-format off */
#define ANSWERS_SIMPLIFY_ROW(offset) { "simplify", OPTION_FLAG, (offset), \
    "true (default): each answer is a table from the names of tags to values" }
#define ANSWERS_SHORT_ROW(offset) { "short", OPTION_FLAG, (offset), \
    "true: from gggg,eeee to values. With both false: from gggg,eeee to { Name =, Type =, Value = }" }
/* clang-format on */
extern const option answers_format_rows[];

typedef enum answers_form { ANSWERS_SIMPLIFIED, ANSWERS_SHORT, ANSWERS_FULL } answers_form;

/* Reads the format {simplify =, short =} at index (nil = simplified). [-0, +0, v] */
answers_form answers_read_format(lua_State *L, int index, const char *function);

/* What follows `?expand` in a request for answers of that form. */
const char *answers_parameters(answers_form form);

/* The form that the options simplify and short mean, which were read from the table at index (or nil).
 * Throws when both are true. [-0, +0, v] */
answers_form answers_read_form(lua_State *L, int index, const char *function, bool simplify,
                               bool brief);

/* Reads the answer to the request of a call, a list of a modality's answers. Pushes the list, without the
 * nulls in it and in its sequences, and a warning when characters may have got lost, at the modality or on
 * their way through the server, else nil. lossy: an identifier of a patient is in doubt: an answer shows
 * that characters are lost, or a PatientID has a character that is not ASCII, which can get lost on its way
 * back, or the answers give one PatientID to patients with two names. False: nil and an error are pushed
 * instead. [-0, +2, v] */
bool answers_receive(lua_State *L, call *c, answers_form form, bool *lossy);

/* Pops the warning on the top, or nil: it becomes the field `warning` of the list below it, which neither
 * loops nor json.encode see. So every list that an operation returns has its warning. [-1, +0, m] */
void answers_attach_warning(lua_State *L);

/* Runs the operation `name`, whose result is the list of the answers of the query `id`, with its
 * warning: `return answers_get(…);` */
int answers_get(lua_State *L, loop *lp, int client, const char *id, const char *name,
                answers_form form);

#endif
