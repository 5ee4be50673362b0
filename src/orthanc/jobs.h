/* orthanc/jobs.h - the states of Orthanc's jobs. Knows no Lua. Source: JobsEngine of Orthanc; observed
 * on 1.10.1, 1.12.7 and 1.13.0. */
#ifndef ORTHANC_JOBS_H
#define ORTHANC_JOBS_H

typedef enum jobs_state {
    JOBS_NO_STATE,   /* a word that Orthanc does not have: nothing is known about the job */
    JOBS_UNFINISHED, /* Pending, Running, Paused, Retry */
    JOBS_SUCCESS,
    JOBS_FAILURE
} jobs_state;

/* What the State of a job's record means. */
jobs_state jobs_state_of(const char *state);

#endif
