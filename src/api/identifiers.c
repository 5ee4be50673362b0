#include "api/identifiers.h"

#include <lauxlib.h>
#include <string.h>

#include "base/ascii.h"
#include "binding/error.h"
#include "json/mark.h"
#include "orthanc/patient_ids.h"
#include "orthanc/routes.h"
#include "request/response.h"

enum { SOP_CLASSES_IN_STUDY = 0x00080062 };

/* ---- DICOM's unique keys ---- */

/* A row has its tags by name or as gggg,eeee, and each value is a string or {Value = string}. */
bool identifiers_push_tag(lua_State *L, int row, uint32_t tag)
{
    char hex[ORTHANC_TAG_TEXT];
    const orthanc_tag *known = orthanc_tag_row(tag);
    int type = known ? lua_getfield(L, row, known->name) : LUA_TNIL;
    if (type == LUA_TNIL) {
        if (known)
            lua_pop(L, 1);
        orthanc_tag_write(tag, hex);
        type = lua_getfield(L, row, hex);
    }
    if (type == LUA_TTABLE) {
        type = lua_getfield(L, -1, "Value");
        lua_remove(L, -2);
    }
    if (type != LUA_TSTRING)
        lua_pop(L, 1);
    return type == LUA_TSTRING;
}

enum { UID_MAX = 64 };

/* Cuts the blanks at both ends, and the NULs behind: DICOM pads values with them (PS3.5 6.2), and
 * cells of a CSV have them. They are no part of an identifier. */
static const char *trim(const char *value, size_t *size)
{
    while (*size > 0 && (value[*size - 1] == ' ' || value[*size - 1] == '\0'))
        --*size;
    while (*size > 0 && *value == ' ') {
        value++;
        --*size;
    }
    return value;
}

/* A wildcard, a list or an empty value could name several resources, or all. A character beyond ASCII
 * could get lost on its way to the modality, so that the rest names another patient. A UID has no
 * blanks, and at most 64 characters: no modality takes a longer one for what it is. */
static bool is_identifier(const char *value, size_t size, bool is_uid)
{
    for (size_t i = 0; i < size; i++)
        if (ascii_is_control(value[i]) || (unsigned char)value[i] > 127 ||
            strchr("*?\\", value[i]) || (is_uid && value[i] == ' '))
            return false;
    return size > 0 && (!is_uid || size <= UID_MAX);
}

/* Pushes the unique keys of the row on the top, which is number `n`. False: a message is pushed.
 * [-0, +1, m] */
static bool push_keys(lua_State *L, orthanc_level level, const char *noun, lua_Integer n)
{
    int row = lua_gettop(L), keys;
    lua_newtable(L);
    keys = lua_gettop(L);
    for (const uint32_t *tag = orthanc_unique_keys(level); *tag; tag++) {
        const char *name = orthanc_tag_row(*tag)->name;
        bool there = identifiers_push_tag(L, row, *tag);
        size_t size = 0;
        const char *value = there ? lua_tolstring(L, -1, &size) : "";
        const char *trimmed = trim(value, &size);
        if (!is_identifier(trimmed, size, strcmp(name, "PatientID") != 0)) {
            if (there) {
                response_push_quoted(L, value, lua_rawlen(L, -1));
                lua_pushfstring(L, "%s %I: %s = '%s' does not identify one %s", noun,
                                (LUAI_UACINT)n, name, lua_tostring(L, -1),
                                orthanc_level_name(level));
            } else {
                lua_pushfstring(L, "%s %I has no %s, which a %s needs", noun, (LUAI_UACINT)n, name,
                                orthanc_level_name(level));
            }
            return false;
        }
        lua_pushlstring(L, trimmed, size);
        lua_setfield(L, keys, name);
        lua_settop(L, keys);
    }
    return true;
}

void identifiers_push_folded(lua_State *L, int index)
{
    size_t size;
    const char *id = lua_tolstring(L, index, &size);
    luaL_Buffer b;
    char *folded = luaL_buffinitsize(L, &b, size);
    luaL_pushresultsize(&b, patient_ids_fold(id, size, folded));
}

/* Whether Orthanc takes two of the patients in the list on the top, of tables of keys, for one. True: a
 * message is pushed. [-0, +(0|1), m] */
static bool have_joined_patients(lua_State *L)
{
    int list = lua_gettop(L), seen = list + 1;
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    lua_newtable(L);
    for (lua_Integer i = 1; i <= n; i++) {
        const char *id, *other;
        lua_rawgeti(L, list, i);
        lua_getfield(L, -1, "PatientID");
        id = lua_tostring(L, -1);
        identifiers_push_folded(L, seen + 2);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, seen) == LUA_TSTRING) {
            other = lua_tostring(L, -1);
            if (strcmp(other, id) != 0) {
                lua_pushfstring(
                    L,
                    "Orthanc takes the PatientIDs '%s' and '%s' for one patient, since it "
                    "compares neither case nor some signs: move the studies",
                    other, id);
                lua_replace(L, seen);
                lua_settop(L, seen);
                return true;
            }
            lua_pop(L, 1);
        }
        lua_settop(L, seen + 3);
        lua_pushvalue(L, seen + 2);
        lua_rawset(L, seen);
        lua_settop(L, seen);
    }
    lua_settop(L, list);
    return false;
}

bool identifiers_push_keys(lua_State *L, int index, orthanc_level level, const char *function,
                           const char *noun, bool with_classes)
{
    int list;
    bool one;
    lua_Integer n;
    if (!lua_istable(L, index))
        error_usage(
            L, "%s: resources must be a table of identifiers, or a list of them (a %s was given)",
            function, luaL_typename(L, index));
    n = luaL_len(L, index);
    list = lua_gettop(L) + 1;
    lua_pushnil(L);
    one = n == 0 && lua_next(L, index);
    lua_settop(L, list - 1);
    lua_newtable(L);
    json_mark_array(L);
    for (lua_Integer i = 1; i <= (one ? 1 : n); i++) {
        if (one)
            lua_pushvalue(L, index);
        else if (lua_geti(L, index, i) != LUA_TTABLE)
            error_usage(L, "%s: resource %I must be a table (a %s was given)", function,
                        (LUAI_UACINT)i, luaL_typename(L, -1));
        if (!push_keys(L, level, noun, i)) {
            lua_replace(L, list);
            lua_settop(L, list);
            return false;
        }
        if (with_classes && identifiers_push_tag(L, list + 1, SOP_CLASSES_IN_STUDY))
            lua_setfield(L, list + 2, "SOPClassesInStudy");
        lua_seti(L, list, i);
        lua_settop(L, list);
    }
    if (level == ORTHANC_PATIENT && have_joined_patients(L)) {
        lua_replace(L, list);
        return false;
    }
    return true;
}

orthanc_level identifiers_level(lua_State *L, int index, const char *function)
{
    orthanc_level level = lua_type(L, index) == LUA_TSTRING
                              ? orthanc_level_of(lua_tostring(L, index))
                              : ORTHANC_NO_LEVEL;
    if (level == ORTHANC_NO_LEVEL)
        error_usage(L, "%s: the level must be \"Patient\", \"Study\", \"Series\" or \"Instance\"",
                    function);
    return level;
}

/* ---- the identifiers that Orthanc gives ---- */

bool identifiers_check_stored(lua_State *L, const char *function, lua_Integer n)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        error_usage(L, "%s: identifier %I must be a string (a %s was given)", function,
                    (LUAI_UACINT)n, luaL_typename(L, -1));
    if (lua_rawlen(L, -1) == 44 && orthanc_is_stored_id(lua_tostring(L, -1)))
        return true;
    lua_pushfstring(L,
                    "resource %I: '%s' is not an identifier of Orthanc (5 groups of 8 hexadecimal "
                    "digits)",
                    (LUAI_UACINT)n, lua_tostring(L, -1));
    return false;
}

bool identifiers_push_stored(lua_State *L, int index, const char *function)
{
    bool list = lua_istable(L, index);
    lua_Integer n = list ? luaL_len(L, index) : 1;
    if (!list && lua_type(L, index) != LUA_TSTRING)
        error_usage(
            L,
            "%s: an identifier of Orthanc, or a list of them, is expected (a %s was given; the "
            "options are the second argument)",
            function, luaL_typename(L, index));
    lua_newtable(L);
    json_mark_array(L);
    for (lua_Integer i = 1; i <= n; i++) {
        if (list)
            lua_geti(L, index, i);
        else
            lua_pushvalue(L, index);
        if (!identifiers_check_stored(L, function, i)) {
            lua_replace(L, -3);
            lua_pop(L, 1);
            return false;
        }
        lua_seti(L, -2, i);
    }
    if (n > 0)
        return true;
    lua_pushliteral(L, "no resource is given");
    lua_replace(L, -2);
    return false;
}

/* ---- for the Lua half ---- */

int identifiers_keys(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    orthanc_level level = identifiers_level(L, 2, name);
    const char *noun = luaL_optstring(L, 4, "resource");
    lua_settop(L, 4);
    if (!identifiers_push_keys(L, 3, level, name, noun, false)) {
        error_from_message(L, "refused", "bad_identifier");
        error_set(L, "op", name);
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushstring(L, orthanc_level_name(level));
    lua_setfield(L, -2, "level");
    return 1;
}

int identifiers_value(lua_State *L)
{
    uint32_t tag;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, orthanc_tag_parse(luaL_checkstring(L, 2), &tag), 2, "no tag");
    if (!identifiers_push_tag(L, 1, tag))
        lua_pushnil(L);
    return 1;
}

int identifiers_folded(lua_State *L)
{
    luaL_checkstring(L, 1);
    identifiers_push_folded(L, 1);
    return 1;
}
