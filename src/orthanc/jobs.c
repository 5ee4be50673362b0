#include "orthanc/jobs.h"

#include <stddef.h>
#include <string.h>

jobs_state jobs_state_of(const char *state)
{
    static const struct {
        const char *name;
        jobs_state state;
    } states[] = { { "Pending", JOBS_UNFINISHED }, { "Running", JOBS_UNFINISHED },
                   { "Paused", JOBS_UNFINISHED },  { "Retry", JOBS_UNFINISHED },
                   { "Success", JOBS_SUCCESS },    { "Failure", JOBS_FAILURE } };
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(states[i].name, state) == 0)
            return states[i].state;
    return JOBS_NO_STATE;
}
