/* api/find_plan.h - whether one C-FIND answers what was asked. Modalities need not support relational
 * queries: below Study level they may ignore, or refuse, keys of the levels above, but for the unique
 * ones (PS3.4 C.4.1.2.2.1). And no range of times passes midnight. */
#ifndef API_FIND_PLAN_H
#define API_FIND_PLAN_H

#include <lua.h>
#include <stdbool.h>

#include "orthanc/tags.h"
#include "orthanc/values.h"

typedef enum find_plan {
    FIND_PLAN_ONE,  /* one C-FIND */
    FIND_PLAN_DOWN, /* first at the uppermost level that has a filter, then level by level */
    FIND_PLAN_PARTS /* one for each part of a range of times that passes midnight */
} find_plan;

/* The plan for the query at index (as find_filter_check made it). `relational`: the modality supports
 * relational queries. [-0, +0, m] */
find_plan find_plan_choose(lua_State *L, int query, orthanc_level level, bool relational);

/* Whether a modality that refuses the query at index may answer it level by level: the query does not
 * name the resources of the levels above. [-0, +0, m] */
bool find_plan_can_go_down(lua_State *L, int query, orthanc_level level);

/* Whether the filter by that tag is a range of times that passes midnight; then `first` and `second` are
 * the two ranges that stand for it. */
bool find_plan_split_midnight(const char *key, const char *value, char first[VALUES_TIMES],
                              char second[VALUES_TIMES]);

/* Whether a range of times of the query at index, or of a sequence in it, passes midnight. [-0, +0, m] */
bool find_plan_passes_midnight(lua_State *L, int query);

/* The function of the part core.find_plan that carries out the plan. */
const char *find_plan_name(find_plan plan);

/* Whether a filter of the query at index is a list of values, of which some may have no answer.
 * [-0, +0, m] */
bool find_plan_has_list(lua_State *L, int query);

#endif
