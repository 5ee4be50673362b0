#include "api/prompt_facts.h"

#include <dirent.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "binding/doc.h"
#include "orthanc/dictionary.h"
#include "orthanc/tags.h"
#include "orthanc/worklist_tags.h"
#include "request/guard.h"

static void append(lua_State *L, int list, const char *text)
{
    lua_pushstring(L, text);
    lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
}

/* ---- tags ---- */

static void append_worklist_tags(lua_State *L, int list, orthanc_place place)
{
    const orthanc_worklist_tag *w = orthanc_worklist_tags;
    const orthanc_tag *t = orthanc_tags;
    for (; w->name; w++)
        if (w->places & place)
            append(L, list, w->name);
    for (; place == ORTHANC_AT_TOP && t->name; t++)
        if (t->levels & 1u << ORTHANC_PATIENT && !orthanc_worklist_row(t->tag))
            append(L, list, t->name);
}

int prompt_facts_l_level_tags(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    orthanc_level level = orthanc_level_of(name);
    lua_settop(L, 1);
    lua_newtable(L);
    if (strcmp(name, "Worklist") == 0)
        append_worklist_tags(L, 2, ORTHANC_AT_TOP);
    else if (strcmp(name, "Step") == 0)
        append_worklist_tags(L, 2, ORTHANC_IN_STEP);
    else if (level != ORTHANC_NO_LEVEL)
        for (const orthanc_tag *t = orthanc_tags; t->name; t++)
            if (t->levels & 1u << level && !t->sequence)
                append(L, 2, t->name);
    return 1;
}

int prompt_facts_l_tag_facts(lua_State *L)
{
    char text[ORTHANC_TAG_TEXT];
    uint32_t tag;
    const char *vr;
    if (!dictionary_find(luaL_checkstring(L, 1), &tag))
        return 0;
    lua_createtable(L, 0, 3);
    orthanc_tag_write(tag, text);
    lua_pushstring(L, text);
    lua_setfield(L, -2, "tag");
    vr = dictionary_vr_name(dictionary_vr(tag));
    lua_pushstring(L, vr);
    lua_setfield(L, -2, "vr");
    lua_newtable(L);
    for (orthanc_level level = ORTHANC_PATIENT; level < ORTHANC_NO_LEVEL; level++)
        if (orthanc_tag_kept(tag, level))
            append(L, lua_gettop(L), orthanc_level_name(level));
    lua_setfield(L, -2, "levels");
    return 1;
}

/* ---- files ---- */

enum { FOLDER_PATH = 1, FOLDER_LIST, FOLDER_HANDLE };

static int close_folder(lua_State *L)
{
    DIR **folder = lua_touserdata(L, 1);
    if (*folder)
        closedir(*folder);
    *folder = NULL;
    return 0;
}

/* Pushes a place for the folder, which closes it at the end. */
static DIR **push_folder(lua_State *L)
{
    DIR **folder = lua_newuserdatauv(L, sizeof(DIR *), 0);
    *folder = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, close_folder);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return folder;
}

static bool is_folder(DIR *folder, const char *name)
{
    struct stat s;
    return fstatat(dirfd(folder), name, &s, 0) == 0 && S_ISDIR(s.st_mode);
}

int prompt_facts_l_folder(lua_State *L)
{
    const struct dirent *entry;
    DIR **folder;
    guard_check(L, doc_loop(L), "folder", "a sandboxed script has no files");
    luaL_checkstring(L, FOLDER_PATH);
    lua_settop(L, FOLDER_PATH);
    lua_newtable(L);
    folder = push_folder(L);
    *folder = opendir(lua_tostring(L, FOLDER_PATH));
    while (*folder && (entry = readdir(*folder))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        lua_pushfstring(L, "%s%s", entry->d_name, is_folder(*folder, entry->d_name) ? "/" : "");
        lua_rawseti(L, FOLDER_LIST, (lua_Integer)lua_rawlen(L, FOLDER_LIST) + 1);
    }
    lua_pushcfunction(L, close_folder);
    lua_pushvalue(L, FOLDER_HANDLE);
    lua_call(L, 1, 0);
    lua_settop(L, FOLDER_LIST);
    return 1;
}
