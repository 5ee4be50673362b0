/* api/prompt_facts.h - what the prompt tells about tags and files, for completion and help
 * (lua/modalua/prompt). */
#ifndef API_PROMPT_FACTS_H
#define API_PROMPT_FACTS_H

#include <lua.h>

/* level_tags(level) -> list of keywords: the tags that a query of this level keeps and that hold a
 * value. "Worklist": those at the top of a worklist query; "Step": those of the item of
 * ScheduledProcedureStepSequence. */
int prompt_facts_l_level_tags(lua_State *L);

/* tag_facts(keyword) -> { tag = "gggg,eeee", vr = "PN" | nil, levels = { "Patient", … } } | nil: what is
 * known of a tag of DICOM's dictionary. */
int prompt_facts_l_tag_facts(lua_State *L);

/* folder(path) -> list of names, in no order; those of folders end in "/". Empty when it cannot be read.
 * A sandboxed script has no files: throws. Upvalue 1 is the loop. */
int prompt_facts_l_folder(lua_State *L);

#endif
