/* qrd.c - a small PACS of the kind of pynetdicom's qrscp. It does what the standard allows, and what
 * a client should not rely on:
 *
 *   - it matches few keys, ignores all others, and says nothing of it (PS3.4 C.2.2.1.3 allows that
 *     for optional keys);
 *   - it answers a C-FIND once for each instance that matches, whatever the level;
 *   - its answers do not say their character set: the bytes are those of the stored instances.
 *
 *   qrd [OPTION...]
 *
 * It listens on a free port of 127.0.0.1 and prints the port number. It ends when the reader of its
 * standard output closes it, or when its parent process ends. It accepts associations to every AE
 * title, stores every instance in memory, and answers C-ECHO, C-FIND and C-MOVE. It refuses C-GET.
 *
 *   --peer=TITLE=HOST:PORT   a destination of C-MOVE; any other is A801; HOST is an IPv4 address
 *   --keys=NAME,...          matches these keys, by their keywords; "all": all that it knows. The
 *                            default is the list of qrscp; the table is in qrd_match.c
 *   --unmatched=absent       what an answer contains for a key that is not matched: nothing (default),
 *               empty        an element without a value,
 *               value        or the value
 *   --once                   one answer for each patient, study or series
 *   --hierarchical           A900 for a C-FIND without the unique keys of the levels above
 *   --no-lists               a list of UIDs matches nothing
 *   --first-of-list          only the first value of any list is looked at
 *   --label                  answers say their SpecificCharacterSet
 *   --upper                  answers have capital letters in all texts
 *   --answer-level=LEVEL     each answer says that it is of this level
 *   --unique=TEXT            the unique key of the first answer has this value; "absent": it has none
 *   --two-patients           each answer is followed by one that has another patient
 *   --move=claims            C-MOVE sends nothing and reports that all was sent,
 *          silent            sends nothing and reports success without numbers,
 *          part              sends all but the last instance, and counts that as failed, with status 0,
 *          dropped           sends all but the last instance, and reports success without numbers,
 *          warns             sends all, and reports B000 with a warning for each,
 *          breaks            sends all, and aborts the association
 *   --refuses=XXXX=UID       a C-MOVE of this UID sends nothing, and gets this status (hexadecimal);
 *                            0000: the association is aborted
 *
 * The program appends a line to the file $QRD_LOG for each event, as dicomd does.
 */
#include "qrd.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listener.h"

enum { OTHER_LEVEL = 0xA900, WITH_FAILURES = 0xB000, PEERS_MAX = 16, REFUSED_MAX = 16 };

options opt;

typedef struct peer {
    char title[TITLE_MAX + 1], host[16];
    int port;
} peer;

static peer peers[PEERS_MAX];
static size_t peer_count;

/* The UIDs that C-MOVE refuses. */
static struct {
    const char *uid;
    unsigned status;
} refused[REFUSED_MAX];
static size_t refused_count;

/* All stored instances. The lock protects the list. */
static struct {
    pthread_mutex_t lock;
    images all;
    size_t room;
} archive = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- the archive ---- */

static void *enlarged(void *list, size_t size)
{
    void *p = realloc(list, size);
    if (!p)
        abort();
    return p;
}

/* Adds an instance, or replaces the one with its SOPInstanceUID. */
static void keep(const image *one)
{
    images *all = &archive.all;
    size_t i = 0;
    pthread_mutex_lock(&archive.lock);
    while (i < all->count && strcmp(all->at[i]->uid, one->uid) != 0)
        i++;
    if (i == all->count && all->count++ == archive.room) {
        archive.room = 2 * archive.room + 64;
        all->at = enlarged(all->at, archive.room * sizeof *all->at);
    }
    all->at[i] = one;
    pthread_mutex_unlock(&archive.lock);
}

/* A copy of the list of all instances, to be freed. */
static images list_all(void)
{
    images copy;
    pthread_mutex_lock(&archive.lock);
    copy.count = archive.all.count;
    copy.at = enlarged(NULL, (copy.count + 1) * sizeof *copy.at);
    if (copy.count)
        memcpy(copy.at, archive.all.at, copy.count * sizeof *copy.at);
    pthread_mutex_unlock(&archive.lock);
    return copy;
}

static void do_store(association *a, const message *m)
{
    image *one = calloc(1, sizeof *one);
    element *r = response_to(m);
    if (!one)
        abort();
    one->data = a->identifier; /* taken over from the association */
    memset(&a->identifier, 0, sizeof a->identifier);
    set_text(m->command, TAG_AFFECTED_CLASS, one->class);
    set_text(m->command, TAG_AFFECTED_INSTANCE, one->uid);
    strcpy(one->syntax, a->contexts[m->context / 2].syntax);
    set_decode(&one->set, &one->data, strcmp(one->syntax, IMPLICIT_LITTLE) != 0);
    keep(one);
    set_puts(&r, TAG_AFFECTED_INSTANCE, "UI", one->uid);
    respond(a, m, r, 0, NULL);
}

/* ---- C-FIND ---- */

static bool said_already(const images *all, size_t i, const images *matching, uint32_t unique)
{
    char now[UID_MAX + 1], before[UID_MAX + 1];
    set_text(all->at[i]->set, unique, now);
    for (size_t k = 0; k < matching->count; k++)
        if (strcmp(now, set_text(matching->at[k]->set, unique, before)) == 0)
            return true;
    return false;
}

static void send_answer(association *a, const message *m, const images *all, const image *one,
                        bool first)
{
    const int level = set_level(m->identifier);
    element *answer = answer_for(all, one, m->identifier, level);
    if (first && opt.unique) {
        element **p = &answer;
        while (*p && (*p)->tag != unique_tag(level))
            p = &(*p)->next;
        if (strcmp(opt.unique, "absent") != 0)
            set_puts(&answer, unique_tag(level), level == PATIENT ? "LO" : "UI", opt.unique);
        else if (*p) {
            element *e = *p;
            *p = e->next;
            free(e);
        }
    }
    respond(a, m, response_to(m), PENDING, answer);
    if (opt.two_patients) {
        set_puts(&answer, TAG_PATIENT_ID, "LO", "SECOND");
        set_puts(&answer, TAG_PATIENT_NAME, "PN", "SECOND^PATIENT");
        respond(a, m, response_to(m), PENDING, answer);
    }
    set_free(&answer);
}

static void do_find(association *a, const message *m)
{
    const int level = set_level(m->identifier);
    images all, matching = { 0 };
    if (level < 0 ||
        (opt.hierarchical && level > STUDY && !has_unique_keys(m->identifier, STUDY, level - 1))) {
        respond(a, m, response_to(m), OTHER_LEVEL, NULL);
        return;
    }
    all = list_all();
    matching.at = enlarged(NULL, (all.count + 1) * sizeof *matching.at);
    for (size_t i = 0; i < all.count; i++)
        if (find_matches(&all, all.at[i], m->identifier, level) &&
            !(opt.once && said_already(&all, i, &matching, unique_tag(level)))) {
            send_answer(a, m, &all, all.at[i], matching.count == 0);
            matching.at[matching.count++] = all.at[i];
        }
    respond(a, m, response_to(m), 0, NULL);
    free(matching.at);
    free(all.at);
}

/* ---- C-MOVE ---- */

/* A C-MOVE under way. */
typedef struct move {
    association *a;
    const message *m;
    unsigned total, completed, failed, warnings;
} move;

static element *numbers_of(const move *v, bool pending)
{
    element *r = response_to(v->m);
    if (pending)
        set_number(&r, TAG_REMAINING, "US", v->total - v->completed - v->failed - v->warnings, 2);
    set_number(&r, TAG_COMPLETED, "US", v->completed, 2);
    set_number(&r, TAG_FAILED, "US", v->failed, 2);
    set_number(&r, TAG_WARNING, "US", v->warnings, 2);
    return r;
}

static void on_sent(void *with, unsigned status)
{
    move *v = with;
    if (status != 0)
        v->failed++;
    else if (opt.moving == WARNS)
        v->warnings++;
    else
        v->completed++;
    respond(v->a, v->m, numbers_of(v, true), PENDING, NULL);
}

static void end_move(move *v)
{
    const bool honest = opt.moving == HONEST || opt.moving == WARNS;
    const bool numbers = opt.moving != SILENT && opt.moving != DROPPED;
    const unsigned status = honest && (v->failed || v->warnings) ? WITH_FAILURES : 0;
    respond(v->a, v->m, numbers ? numbers_of(v, false) : response_to(v->m), status, NULL);
}

/* The reader of the association sees the A-ABORT before the connection ends. */
static void abort_move(association *a)
{
    static const unsigned char by_provider[] = { 0, 0, 2, 1 };
    send_pdu(a, PDU_ABORT, by_provider, sizeof by_provider);
    gone_within(a, 1);
    a->over = true;
}

static const peer *peer_of(const message *m)
{
    char title[UID_MAX + 1];
    set_text(m->command, TAG_DESTINATION, title);
    for (size_t i = 0; i < peer_count; i++)
        if (strcmp(peers[i].title, title) == 0)
            return &peers[i];
    return NULL;
}

/* Answers a C-MOVE that is refused. False if it is not. */
static bool refuse_move(association *a, const message *m, int level)
{
    char uid[UID_MAX + 1];
    set_text(m->identifier, unique_tag(level), uid);
    for (size_t i = 0; i < refused_count; i++)
        if (strcmp(refused[i].uid, uid) == 0) {
            if (refused[i].status == 0)
                abort_move(a);
            else
                respond(a, m, response_to(m), refused[i].status, NULL);
            return true;
        }
    return false;
}

static images list_moved(const message *m, int level)
{
    images list = list_all();
    size_t n = 0;
    for (size_t i = 0; i < list.count; i++)
        if (move_matches(list.at[i], m->identifier, level))
            list.at[n++] = list.at[i];
    list.count = n;
    return list;
}

static void do_move(association *a, const message *m)
{
    const int level = set_level(m->identifier);
    const peer *to = peer_of(m);
    move v = { .a = a, .m = m };
    images list;
    if (!to || level < 0 || !has_unique_keys(m->identifier, level, level)) {
        respond(a, m, response_to(m), to ? OTHER_LEVEL : DESTINATION_UNKNOWN, NULL);
        return;
    }
    if (refuse_move(a, m, level))
        return;
    list = list_moved(m, level);
    v.total = (unsigned)list.count;
    if (opt.moving == CLAIMS || opt.moving == SILENT) {
        v.completed = v.total;
        list.count = 0;
    } else if ((opt.moving == PART || opt.moving == DROPPED) && list.count > 0) {
        v.failed = 1;
        list.count--;
    }
    if (list.count > 0 && !send_images(to->host, to->port, a->called, to->title,
                                       set_us(m->command, TAG_MESSAGE_ID), &list, on_sent, &v))
        respond(a, m, response_to(m), DESTINATION_UNKNOWN, NULL);
    else if (opt.moving == BREAKS)
        abort_move(a);
    else
        end_move(&v);
    free(list.at);
}

/* ---- associations ---- */

static void do_echo(association *a, const message *m)
{
    respond(a, m, response_to(m), 0, NULL);
}

static const struct {
    unsigned operation;
    const char *name;
    service service;
    void (*run)(association *a, const message *m); /* NULL: not answered */
} operations[] = {
    { OPERATION_STORE, "C-STORE", SERVICE_STORE, do_store },
    { 0x0020, "C-FIND", SERVICE_FIND, do_find },
    { OPERATION_MOVE, "C-MOVE", SERVICE_MOVE, do_move },
    { 0x0030, "C-ECHO", SERVICE_ECHO, do_echo },
    { 0x0FFF, "C-CANCEL", SERVICE_OTHER, NULL },
};

static void handle(association *a, const message *m)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (operations[i].operation == m->operation) {
            log_message(operations[i].name, operations[i].service, m);
            if (operations[i].run)
                operations[i].run(a, m);
            return;
        }
    a->over = true;
}

void take_pdu(association *a, unsigned type, view body)
{
    static const unsigned char nothing[4];
    if (type == PDU_REQUEST && read_titles(a, body)) {
        a->plan.refused = 1U << SERVICE_GET;
        log_association(a);
        accept_association(a, body);
    } else if (type == PDU_DATA)
        take_data(a, body, handle);
    else {
        if (type == PDU_RELEASE)
            send_pdu(a, PDU_RELEASED, nothing, sizeof nothing);
        a->over = true;
    }
}

/* ---- options ---- */

/* The index of a word in a list that ends with NULL; -1 if it is not there. */
static int index_of(const char *word, const char *const *list)
{
    for (int i = 0; list[i]; i++)
        if (strcmp(list[i], word) == 0)
            return i;
    return -1;
}

/* Reads TITLE=HOST:PORT. */
static bool add_peer(const char *text)
{
    const char *equals = strchr(text, '='), *colon = equals ? strchr(equals, ':') : NULL;
    peer *p = &peers[peer_count];
    char *end;
    if (!colon || peer_count++ == PEERS_MAX || equals - text > TITLE_MAX ||
        (size_t)(colon - equals) > sizeof p->host)
        return false;
    snprintf(p->title, sizeof p->title, "%.*s", (int)(equals - text), text);
    snprintf(p->host, sizeof p->host, "%.*s", (int)(colon - equals - 1), equals + 1);
    p->port = (int)strtol(colon + 1, &end, 10);
    return end > colon + 1 && !*end;
}

/* Reads XXXX=UID. */
static bool add_refused(const char *text)
{
    char *end;
    const size_t i = refused_count++;
    if (i == REFUSED_MAX)
        return false;
    refused[i].status = (unsigned)strtoul(text, &end, 16);
    refused[i].uid = end + 1;
    return end > text && *end == '=';
}

/* An option with a value. */
static bool take_valued(const char *name, size_t size, const char *value)
{
    static const char *const names[] = { "peer",   "keys",         "unmatched", "move",
                                         "unique", "answer-level", "refuses",   NULL };
    static const char *const unmatched_words[] = { "absent", "empty", "value", NULL };
    static const char *const move_words[] = { "honest",  "claims", "silent", "part",
                                              "dropped", "warns",  "breaks", NULL };
    char word[16];
    int i;
    snprintf(word, sizeof word, "%.*s", (int)size, name);
    switch (index_of(word, names)) {
    case 0: return add_peer(value);
    case 1: return select_keys(value);
    case 2:
        i = index_of(value, unmatched_words);
        opt.unmatched = i < 0 ? IS_ABSENT : (unmatched)i;
        return i >= 0;
    case 3:
        i = index_of(value, move_words);
        opt.moving = i < 0 ? HONEST : (moving)i;
        return i >= 0;
    case 4: opt.unique = value; return true;
    case 5: opt.answer_level = value; return true;
    case 6: return add_refused(value);
    default: return false;
    }
}

static bool take_option(const char *text)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        { "--once", &opt.once },
        { "--hierarchical", &opt.hierarchical },
        { "--no-lists", &opt.no_lists },
        { "--label", &opt.label },
        { "--upper", &opt.upper },
        { "--two-patients", &opt.two_patients },
        { "--first-of-list", &opt.first_of_list },
    };
    const char *equals = strchr(text, '=');
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(text, flags[i].name) == 0)
            return *flags[i].flag = true;
    return equals && strncmp(text, "--", 2) == 0 &&
           take_valued(text + 2, (size_t)(equals - text - 2), equals + 1);
}

int main(int argc, char **argv)
{
    const pid_t parent = getppid();
    listener_prepare();
    for (int i = 1; i < argc; i++)
        if (!take_option(argv[i])) {
            fprintf(stderr, "qrd: invalid option: %s\n", argv[i]);
            return 2;
        }
    log_to(open_named("QRD_LOG", O_WRONLY | O_CREAT | O_APPEND));
    serve(parent);
    _exit(0); /* the threads end with the process */
}
