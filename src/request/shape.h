/* request/shape.h - the shapes of answers: an answer that has another one is an error of kind "decode".
 *
 * A shape has a name. For the Lua half a description of a shape is that name, with "?" behind it when
 * the value may be missing or null; or a table: { each = description } is a list, and any other table is
 * an object, from the names of its members to their descriptions. Members that it does not name may be
 * anything.
 */
#ifndef REQUEST_SHAPE_H
#define REQUEST_SHAPE_H

#include <lua.h>
#include <stdbool.h>

typedef enum shape {
    SHAPE_ANY,           /* "any" */
    SHAPE_TEXT,          /* "text": any string */
    SHAPE_NAME,          /* "name": letters, digits, '-' and '_', as the names of modalities have */
    SHAPE_LEVEL,         /* "level": Patient, Study, Series or Instance */
    SHAPE_UID,           /* "UID": of DICOM */
    SHAPE_HANDLE,        /* "handle": the identifier of a query or job */
    SHAPE_STORED,        /* "stored identifier": of a resource that Orthanc has stored */
    SHAPE_WHOLE_NUMBER,  /* "whole number" */
    SHAPE_COUNT,         /* "count": a whole number, 0 or more */
    SHAPE_NUMBER,        /* "number" */
    SHAPE_BOOLEAN,       /* "boolean" */
    SHAPE_OBJECT,        /* "object" */
    SHAPE_LIST,          /* "list" */
    SHAPE_LIST_OF_TEXTS, /* "list of texts" */
    SHAPE_LIST_OF_HANDLES,   /* "list of handles" */
    SHAPE_LIST_OF_STORED,    /* "list of stored identifiers" */
    SHAPE_LIST_OF_OBJECTS,   /* "list of objects" */
    SHAPE_OBJECT_OF_TEXTS,   /* "object of texts": each member is one */
    SHAPE_OBJECT_OF_OBJECTS, /* "object of objects": each member is one */
} shape;

/* Whether an answer of that shape is no JSON, but a text of its own. */
bool shape_is_text(shape s);

/* The shape that the string at index names. Throws when there is none. [-0, +0, v] */
shape shape_check_name(lua_State *L, int index);

/* Whether the value at index has another shape. Then pushes what it is, and what it should be: "it is a
 * list, not an object", "element 3 is a number, not an object". [-0, +(0|1), m] */
bool shape_differs(lua_State *L, int index, shape s);

/* The same for a member of the object at index: "ID is missing, not a text". [-0, +(0|1), m] */
bool shape_member_differs(lua_State *L, int object, const char *name, shape s);

/* The same for the shape that is described at index `description`. Throws when there is no such shape.
 * [-0, +(0|1), v] */
bool shape_differs_from(lua_State *L, int index, int description);

#endif
