/* function.c - a host that offers two functions to its scripts. The host answers station() at once.
 * It answers patient(number) later, from a thread that plays a slow database; meanwhile, the other
 * tasks of the script go on. The argument is the URL of an Orthanc. */
#include <modalua.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct question {
    struct question *next;
    modalua_reply *reply;
    int number;
} question;

typedef struct reader {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    question *first;
    bool stop;
} reader;

static void station(void *user, const char *arguments, modalua_reply *reply)
{
    (void)user;
    (void)arguments;
    modalua_reply_json(reply, "{\"Name\": \"Ward 3\"}");
}

/* Runs on the thread of the script, so it must not wait: it only queues the question. */
static void patient(void *user, const char *arguments, modalua_reply *reply)
{
    reader *r = user;
    question *q = malloc(sizeof *q);
    if (!q || sscanf(arguments, "[%d]", &q->number) != 1) {
        modalua_reply_error(reply, NULL, "patient() needs a number");
        free(q);
        return;
    }
    modalua_reply_keep(reply); /* from now on the host must answer, even if the script has ended */
    q->reply = reply;
    pthread_mutex_lock(&r->lock);
    q->next = r->first;
    r->first = q;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void answer(question *q)
{
    char json[40];
    snprintf(json, sizeof json, "{\"PatientID\": \"%06d\"}", q->number);
    if (q->number > 0)
        modalua_reply_json(q->reply, json);
    else
        modalua_reply_error(q->reply, "unknown_patient", "no such patient");
    free(q);
}

static void *read_patients(void *user)
{
    reader *r = user;
    pthread_mutex_lock(&r->lock);
    while (r->first || !r->stop) {
        question *q = r->first;
        if (!q) {
            pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        r->first = q->next;
        pthread_mutex_unlock(&r->lock);
        answer(q);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void write_out(void *user, const char *text, size_t size)
{
    fwrite(text, 1, size, user);
}

static const char script[] =
    "print(station().Name, assert(require 'modalua'.connect():system()).Version)\n"
    "local patients = require 'modalua.task'.map({ 7, 8, 9 }, patient) -- all three at once\n"
    "for _, patient in ipairs(patients) do print(patient.PatientID) end\n"
    "local _, err = patient(0)\n"
    "print(err.kind, err.code, err.message)\n";

int main(int argc, char **argv)
{
    reader r = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, false };
    pthread_t thread;
    modalua_config config;
    modalua_runtime *rt;
    int status;
    modalua_config_init(&config);
    config.url = argc > 1 ? argv[1] : NULL;
    config.write = write_out;
    config.user = stdout;
    if (modalua_create(&rt, &config) != MODALUA_OK ||
        pthread_create(&thread, NULL, read_patients, &r) != 0)
        return 1;
    modalua_register(rt, "station", station, NULL);
    modalua_register(rt, "patient", patient, &r);
    status = modalua_run_string(rt, "=function", script, strlen(script));
    if (status != MODALUA_OK)
        fprintf(stderr, "%s\n", modalua_last_error(rt));
    modalua_destroy(rt); /* before the reader stops: a question may still need its answer */
    pthread_mutex_lock(&r.lock);
    r.stop = true;
    pthread_cond_signal(&r.changed);
    pthread_mutex_unlock(&r.lock);
    pthread_join(thread, NULL);
    return status == MODALUA_OK ? 0 : 1;
}
