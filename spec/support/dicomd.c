/* dicomd.c - a small DICOM SCP that misbehaves on request, in ways that a real peer never does.
 *
 *   dicomd
 *
 * It listens on a free port of 127.0.0.1 and prints the port number. It ends when the reader of its
 * standard output closes it, or when its parent process ends: so popen() starts it and pclose() ends
 * it, and it does not remain when a test is killed. The called AE title selects the behaviour. Any
 * other title is rejected as not recognized (117). n is a number, s a time in seconds (0.3), xxxx a
 * DIMSE status. Defaults are in parentheses.
 *
 *   OKn        n answers to a C-FIND (3); every other command succeeds, but nothing is delivered
 *   BAREn      as OKn; the answers contain only UIDs
 *   ONEn       as OKn, but the n-th C-MOVE or C-GET of the association (1) fails with A801
 *   PARTn      lies: the requested study exists, with 1 series and n instances (3), and every C-MOVE
 *              and C-GET reports that all were delivered, but nothing is delivered
 *   FSTxxxx    C-FIND: no answers, this final status; FANxxxx: 3 answers, then this status
 *   MSTxxxx    C-MOVE: this status, with 1 sub-operation completed and 1 failed; GSTxxxx: C-GET
 *   SSTxxxx    C-STORE: this status; ESTxxxx: C-ECHO; NSTxxxx: N-ACTION
 *   REJrsn     rejects the association with result r, source s and reason n
 *   NOCTX      refuses every presentation context; NOFIND, NOMOVE, NOGET, NOSTORE: those of a service
 *   ABORT      sends A-ABORT at the first command; ABORTF: after 2 answers to a C-FIND
 *   DROP       closes the connection at the first command; DROPF: after 2 answers to a C-FIND
 *   SLOWs      sends each reply after s seconds; SLOWAs: accepts the association after s seconds
 *   DRIPs      5 answers to a C-FIND, or 5 pending responses to a C-MOVE or C-GET, one every s
 *              seconds. A C-CANCEL is read only after them
 *   HELDn      n answers to a C-FIND (3); each C-MOVE, C-GET and C-STORE is held, and answered when
 *              $DICOMD_GATE allows it (see below). HELDFn: holds C-FIND as well
 *   MUTE       never answers the association request; MUTEC: answers no command and no release;
 *              FMUTE: answers C-FIND, but not C-MOVE and C-GET. The connection ends when the client
 *              closes it, or after some time
 *   X...       OK3 in explicit VR with unusual contents: see the table `specials`
 *
 * The k-th answer, counted from 0, has the requested level and the UIDs down to that level:
 * StudyInstanceUID 1.2.3.k, SeriesInstanceUID 1.2.3.k.1, SOPInstanceUID 1.2.3.k.1.1. If the request
 * gives a UID of a higher level, the answer repeats it. An answer of PARTn has UIDs made from the
 * StudyInstanceUID of the request (STUDY.1, STUDY.1.1 to STUDY.1.n), the keys that the request gives
 * without wildcards, and the numbers of series and instances if the request asks for them.
 *
 * The size in bytes of the file $DICOMD_GATE is the number of held commands that may be answered, in
 * the order in which they arrived, over all associations. The program removes this file at its end.
 *
 * The program appends a line to the file $DICOMD_LOG for each event, before it answers:
 *   ASSOC calling=TITLE called=TITLE
 *   C-ECHO
 *   C-FIND level=LEVEL gggg,eeee=VALUE ...   every element of the identifier
 *   C-MOVE dest=TITLE gggg,eeee=VALUE ...    also: C-GET, N-ACTION
 *   C-STORE sop=UID
 *   C-CANCEL   RELEASE   ABORT
 * Values are written without the padding at their end; a backslash or a non-printable byte is
 * written as \xHH.
 */
#include "dicomd.h"

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "listener.h"

#define CT_IMAGE            "1.2.840.10008.5.1.4.1.1.2"
#define COMMITMENT_INSTANCE "1.2.840.10008.1.20.1.1"

enum { MUTE_SECONDS = 300, FMUTE_SECONDS = 45 };

/* One per process. */
static struct {
    pthread_mutex_t lock; /* protects `held` */
    int gate;
    long held;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = -1 };

/* ---- answers with unusual contents ---- */

typedef struct extra {
    uint32_t tag;
    const char *vr;
    size_t size;
    const char *value; /* encoded as in explicit VR little endian */
} extra;

struct special {
    const char *title;
    const char *charset;            /* SpecificCharacterSet; NULL: the answer has no such element */
    const char *name, *description; /* NULL: no such element */
    const extra *extras;            /* ends with an entry whose VR is NULL */
};

#define EXTRA(tag, vr, value)             \
    {                                     \
        tag, vr, sizeof(value) - 1, value \
    }

static const extra no_extras[] = { { 0 } };

static const extra multiple[] = { EXTRA(0x00080061, "CS", "CT\\MR\\SR"), { 0 } };

static const extra binary[] = { EXTRA(0x00420011, "OB", "\0\1\2\3\4\5\6\7\x08\x09\x0A\xFF"),
                                { 0 } };

static const extra private[] = {
    EXTRA(0x00090010, "LO", "ACME 1"),
    EXTRA(0x00091001, "LO", "secret"),
    EXTRA(0x00091002, "US", "\7\0"),
    { 0 },
};

static const extra numbers[] = {
    EXTRA(0x00189073, "FD", "\0\0\0\0\0\0\xF8\x3F"), /* 1.5 */
    EXTRA(0x00201208, "IS", " 12 "),
    EXTRA(0x00280009, "AT", "\x18\0\x63\x10"),
    EXTRA(0x00280010, "US", "\0\2"), /* 512 */
    EXTRA(0x00280030, "DS", "0.50\\0.50"),
    EXTRA(0x00289001, "UL", "\0\x28\x6B\xEE"), /* 4000000000 */
    { 0 },
};

#define ITEM(length) "\xFE\xFF\x00\xE0" length "\0\0\0"
#define CODE(value)  "\x08\0\0\1SH\2\0" value

static const extra sequences[] = {
    EXTRA(0x00081032, "SQ",
          ITEM("\x1A") CODE("C1") "\x08\0\4\1LO\x08\0Meaning " ITEM("\x0A") CODE("C2")),
    EXTRA(0x00081110, "SQ", ""),
    { 0 },
};

#define YAMADA_JIS \
    "Yamada^Tarou=\x1B$B;3ED\x1B(B^\x1B$BB@O:\x1B(B=\x1B$B$d$^$@\x1B(B^\x1B$B$?$m$&\x1B(B"
#define YAMADA_UTF8 "山田^太郎=やまだ^たろう"

static const special specials[] = {
    { "XUTF8", "ISO_IR 192", "Müller^Иван=" YAMADA_UTF8, "Ж é 日本", no_extras },
    { "XJP", "\\ISO 2022 IR 87", YAMADA_JIS, NULL, no_extras },
    { "XGB", "GB18030", "\xCD\xF5^\xD0\xA1\xB6\xAB", NULL, no_extras },
    { "XLAT", "ISO_IR 100", "M\xFCller^J", NULL, no_extras },
    { "XNOCS", NULL, "M\xFCller^J", NULL, no_extras },
    { "XNOCSU", NULL, "Müller^J", NULL, no_extras },
    { "XBADCS", "ISO_IR 999", "M\xFCller^J", NULL, no_extras },
    { "XBADUTF", "ISO_IR 192", "M\xFCller^J", NULL, no_extras },
    { "XCTRL", "ISO_IR 100", "A\"B\\C/D<E>", "l1\r\nl2\tT\x01\x1F\x7F", no_extras },
    { "XEMPTY", "ISO_IR 100", "", "", no_extras },
    { "XMULTI", "ISO_IR 100", "DOE^JOHN", NULL, multiple },
    { "XNUM", "ISO_IR 100", "DOE^JOHN", NULL, numbers },
    { "XBIN", "ISO_IR 100", "DOE^JOHN", NULL, binary },
    { "XPRIV", "ISO_IR 100", "DOE^JOHN", NULL, private },
    { "XSEQ", "ISO_IR 100", "DOE^JOHN", NULL, sequences },
};

/* ---- titles ---- */

typedef enum parameter { NOTHING, COUNT, DIMSE_STATUS, SECONDS } parameter;

typedef struct behaviour {
    const char *name;
    parameter parameter;
    size_t at; /* offset in the plan of the field that takes the parameter */
    plan plan; /* with the default value of the parameter */
} behaviour;

#define AT(field)          offsetof(plan, field)
#define STATUS_OF(service) offsetof(plan, status[service])
#define ONLY(service)      (1U << (service))
#define ALL                (~0U)
#define RETRIEVALS         (ONLY(SERVICE_MOVE) | ONLY(SERVICE_GET))

static const behaviour behaviours[] = {
    { "OK", COUNT, AT(answers), { .answers = 3 } },
    { "BARE", COUNT, AT(answers), { .answers = 3, .bare = true } },
    { "ONE", COUNT, AT(failing), { .answers = 3, .failing = 1 } },
    { "PART", COUNT, AT(instances), { .answers = 1, .liar = true, .instances = 3 } },
    { "FST", DIMSE_STATUS, STATUS_OF(SERVICE_FIND), { .answers = 0 } },
    { "FAN", DIMSE_STATUS, STATUS_OF(SERVICE_FIND), { .answers = 3 } },
    { "MST", DIMSE_STATUS, STATUS_OF(SERVICE_MOVE), { .answers = 3 } },
    { "GST", DIMSE_STATUS, STATUS_OF(SERVICE_GET), { .answers = 3 } },
    { "SST", DIMSE_STATUS, STATUS_OF(SERVICE_STORE), { .answers = 3 } },
    { "EST", DIMSE_STATUS, STATUS_OF(SERVICE_ECHO), { .answers = 3 } },
    { "NST", DIMSE_STATUS, STATUS_OF(SERVICE_ACTION), { .answers = 3 } },
    { "REJ", COUNT, AT(rejection), { .rejection = 111 } },
    { "NOCTX", NOTHING, 0, { .refused = ALL } },
    { "NOFIND", NOTHING, 0, { .answers = 3, .refused = ONLY(SERVICE_FIND) } },
    { "NOMOVE", NOTHING, 0, { .answers = 3, .refused = ONLY(SERVICE_MOVE) } },
    { "NOGET", NOTHING, 0, { .answers = 3, .refused = ONLY(SERVICE_GET) } },
    { "NOSTORE", NOTHING, 0, { .answers = 3, .refused = ONLY(SERVICE_STORE) } },
    { "ABORT", NOTHING, 0, { .at_command = ABORTS } },
    { "ABORTF", NOTHING, 0, { .answers = 3, .after_two = ABORTS } },
    { "DROP", NOTHING, 0, { .at_command = DROPS } },
    { "DROPF", NOTHING, 0, { .answers = 3, .after_two = DROPS } },
    { "SLOW", SECONDS, AT(slow), { .answers = 3 } },
    { "SLOWA", SECONDS, AT(slow_accept), { .answers = 3 } },
    { "DRIP", SECONDS, AT(drip), { .answers = 5 } },
    { "HELD", COUNT, AT(answers), { .answers = 3, .held = RETRIEVALS | ONLY(SERVICE_STORE) } },
    { "HELDF",
      COUNT,
      AT(answers),
      { .answers = 3, .held = RETRIEVALS | ONLY(SERVICE_STORE) | ONLY(SERVICE_FIND) } },
    { "MUTE", NOTHING, 0, { .deaf = true } },
    { "MUTEC", NOTHING, 0, { .mute = ALL } },
    { "FMUTE", NOTHING, 0, { .answers = 3, .mute = RETRIEVALS } },
};

static bool take_parameter(const char *text, parameter kind, void *field)
{
    char *end;
    switch (kind) {
    case NOTHING: return *text == '\0';
    case COUNT:
        if (*text == '\0')
            return true; /* keep the default */
        *(unsigned *)field = (unsigned)strtoul(text, &end, 10);
        break;
    case DIMSE_STATUS: *(unsigned *)field = (unsigned)strtoul(text, &end, 16); break;
    case SECONDS: *(double *)field = strtod(text, &end); break;
    default: return false;
    }
    return isxdigit((unsigned char)*text) && *end == '\0';
}

static bool find_plan(const char *title, plan *p)
{
    for (size_t i = 0; i < sizeof behaviours / sizeof *behaviours; i++) {
        const behaviour *b = &behaviours[i];
        const size_t size = strlen(b->name);
        *p = b->plan;
        if (strncmp(title, b->name, size) == 0 &&
            take_parameter(title + size, b->parameter, (char *)p + b->at))
            return true;
    }
    *p = (plan){ .answers = 3 };
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        if (strcmp(title, specials[i].title) == 0) {
            p->special = &specials[i];
            return true;
        }
    return false;
}

/* ---- endings ---- */

static void end_association(association *a, ending how)
{
    static const unsigned char by_provider[] = { 0, 0, 2, 1 };
    if (how == ABORTS) {
        send_pdu(a, PDU_ABORT, by_provider, sizeof by_provider);
        gone_within(a, 1); /* closing at once could send a reset that destroys the A-ABORT */
    }
    a->over = true;
}

/* Keeps the connection open, but answers nothing more. */
static void stop_answering(association *a, long seconds)
{
    const struct timeval patience = { seconds, 0 };
    setsockopt(a->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    a->plan.mute = ALL;
    a->silent = true;
}

/* ---- held commands ---- */

static bool is_released(long ordinal)
{
    struct stat gate;
    return state.gate >= 0 && fstat(state.gate, &gate) == 0 && gate.st_size >= ordinal;
}

/* Holds a command that has just arrived until the gate releases it. Returns false if the peer closes
 * the connection before that. */
static bool wait_for_release(association *a)
{
    const double poll_interval = 0.01;
    long ordinal;
    pthread_mutex_lock(&state.lock);
    ordinal = ++state.held;
    pthread_mutex_unlock(&state.lock);
    while (!is_released(ordinal))
        if (gone_within(a, poll_interval))
            return false;
    return true;
}

/* ---- C-FIND ---- */

static int level_of(const message *m)
{
    const int level = set_level(m->identifier);
    return level < 0 ? STUDY : level;
}

/* If the request gives a single UID for this tag, replaces `uid` by it. */
static void keep_uid(const message *m, uint32_t tag, char *uid)
{
    char given[UID_MAX + 1];
    set_text(m->identifier, tag, given);
    if (*given && given[strspn(given, "0123456789.")] == '\0')
        strcpy(uid, given);
}

/* Adds the UIDs of an answer. Only a liar derives them from the UIDs of the request. */
static void add_uids(const association *a, const message *m, unsigned k, element **answer)
{
    const int level = level_of(m);
    const bool liar = a->plan.liar;
    char study[UID_MAX + 1], series[sizeof study + 4], instance[sizeof series + 12];
    snprintf(study, sizeof study, "1.2.3.%u", liar ? 0 : k);
    if (liar)
        keep_uid(m, TAG_STUDY, study);
    snprintf(series, sizeof series, "%s.1", study);
    if (liar)
        keep_uid(m, TAG_SERIES, series);
    snprintf(instance, sizeof instance, "%s.%u", series, liar ? k + 1 : 1);
    if (level > STUDY)
        keep_uid(m, TAG_STUDY, study);
    if (level > SERIES)
        keep_uid(m, TAG_SERIES, series);
    if (level >= STUDY)
        set_puts(answer, TAG_STUDY, "UI", study);
    if (level >= SERIES)
        set_puts(answer, TAG_SERIES, "UI", series);
    if (level >= IMAGE) {
        set_puts(answer, TAG_SOP_CLASS, "UI", CT_IMAGE);
        set_puts(answer, TAG_SOP_INSTANCE, "UI", instance);
    }
}

/* Repeats the keys that the request gives, except wildcards and ranges, and adds the numbers of
 * series and instances that the request asks for: the answer fits the request. */
static void add_requested_keys(const association *a, const message *m, element **answer)
{
    static const uint32_t counts[] = { TAG_STUDY_SERIES, TAG_STUDY_INSTANCES,
                                       TAG_SERIES_INSTANCES };
    char number[16];
    for (const element *e = m->identifier; e; e = e->next) {
        const bool range = e->tag == TAG_STUDY_DATE && strchr(e->value, '-');
        if (trimmed(e->value, e->size) > 0 && !strpbrk(e->value, "*?\\") && !range)
            set_put(answer, e->tag, e->vr, e->value, e->size);
    }
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        snprintf(number, sizeof number, "%u", i == 0 ? 1 : a->plan.instances);
        if (set_find(m->identifier, counts[i]))
            set_puts(answer, counts[i], "IS", number);
    }
}

/* Adds the attributes of patient number `who`, and of the study if the level is below Patient. */
static void add_patient(const association *a, const message *m, unsigned who, element **e)
{
    char text[32];
    if (level_of(m) >= STUDY) {
        snprintf(text, sizeof text, "ACC%u", who);
        set_puts(e, TAG_ACCESSION, "SH", text);
        set_puts(e, TAG_STUDY_DATE, "DA", "20260101");
    }
    snprintf(text, sizeof text, "FAKE^P%u", who);
    set_puts(e, TAG_PATIENT_NAME, "PN", a->plan.special ? a->plan.special->name : text);
    snprintf(text, sizeof text, "FP%u", who);
    set_puts(e, TAG_PATIENT_ID, "LO", text);
}

static element *answer_to(const association *a, const message *m, unsigned k)
{
    const special *x = a->plan.special;
    const element *level = set_find(m->identifier, TAG_LEVEL);
    const char *charset = x ? x->charset : "ISO_IR 100";
    element *e = NULL;
    if (charset)
        set_puts(&e, TAG_CHARSET, "CS", charset);
    if (level)
        set_put(&e, TAG_LEVEL, "CS", level->value, level->size);
    if (!a->plan.bare)
        add_patient(a, m, a->plan.liar ? 0 : k, &e); /* all answers of a liar are in one study */
    add_uids(a, m, k, &e);
    if (a->plan.liar)
        add_requested_keys(a, m, &e);
    if (x && x->description)
        set_puts(&e, TAG_DESCRIPTION, "LO", x->description);
    for (const extra *one = x ? x->extras : no_extras; one->vr; one++)
        set_put(&e, one->tag, one->vr, one->value, one->size);
    return e;
}

static unsigned answers_to(const association *a, const message *m)
{
    char instance[UID_MAX + 1];
    if (a->plan.liar && level_of(m) == IMAGE &&
        !*set_text(m->identifier, TAG_SOP_INSTANCE, instance))
        return a->plan.instances;
    return a->plan.answers;
}

static void do_find(association *a, const message *m)
{
    const unsigned n = answers_to(a, m);
    for (unsigned k = 0; k < n && !gone_within(a, a->plan.drip); k++) {
        if (k == 2 && a->plan.after_two != STAYS) {
            end_association(a, a->plan.after_two);
            return;
        }
        element *answer = answer_to(a, m, k);
        respond(a, m, response_to(m), PENDING, answer);
        set_free(&answer);
    }
    respond(a, m, response_to(m), a->plan.status[SERVICE_FIND], NULL);
}

/* ---- the other services ---- */

static element *retrieval_response(const message *m, unsigned completed, unsigned failed)
{
    element *r = response_to(m);
    set_number(&r, TAG_COMPLETED, "US", completed, 2);
    set_number(&r, TAG_FAILED, "US", failed, 2);
    set_number(&r, TAG_WARNING, "US", 0, 2);
    return r;
}

static void do_retrieve(association *a, const message *m)
{
    const plan *p = &a->plan;
    const service s = m->operation == OPERATION_MOVE ? SERVICE_MOVE : SERVICE_GET;
    const bool fails = ++a->retrievals == p->failing;
    const unsigned status = fails ? DESTINATION_UNKNOWN : p->status[s];
    const unsigned steps = p->drip > 0 ? p->answers : 0;
    for (unsigned k = 0; k < steps && !gone_within(a, p->drip); k++) {
        element *r = retrieval_response(m, k, 0);
        set_number(&r, TAG_REMAINING, "US", steps - k, 2);
        respond(a, m, r, PENDING, NULL);
    }
    const unsigned completed = fails ? 0 : p->liar ? p->instances : steps ? steps : 1;
    respond(a, m, retrieval_response(m, completed, status != 0), status, NULL);
}

static void do_echo(association *a, const message *m)
{
    respond(a, m, response_to(m), a->plan.status[SERVICE_ECHO], NULL);
}

static void do_store(association *a, const message *m)
{
    element *r = response_to(m);
    char uid[UID_MAX + 1];
    set_puts(&r, TAG_AFFECTED_INSTANCE, "UI", set_text(m->command, TAG_AFFECTED_INSTANCE, uid));
    respond(a, m, r, a->plan.status[SERVICE_STORE], NULL);
}

static void do_action(association *a, const message *m)
{
    element *r = response_to(m);
    set_puts(&r, TAG_AFFECTED_INSTANCE, "UI", COMMITMENT_INSTANCE);
    set_number(&r, TAG_ACTION, "US", 1, 2);
    respond(a, m, r, a->plan.status[SERVICE_ACTION], NULL);
}

static const struct {
    unsigned operation;
    const char *name;
    service service;
    void (*run)(association *a, const message *m); /* NULL: not answered */
} operations[] = {
    { OPERATION_STORE, "C-STORE", SERVICE_STORE, do_store },
    { OPERATION_GET, "C-GET", SERVICE_GET, do_retrieve },
    { 0x0020, "C-FIND", SERVICE_FIND, do_find },
    { OPERATION_MOVE, "C-MOVE", SERVICE_MOVE, do_retrieve },
    { 0x0030, "C-ECHO", SERVICE_ECHO, do_echo },
    { 0x0130, "N-ACTION", SERVICE_ACTION, do_action },
    { 0x0FFF, "C-CANCEL", SERVICE_OTHER, NULL },
};

static void handle(association *a, const message *m)
{
    size_t i = 0;
    while (i < sizeof operations / sizeof *operations && operations[i].operation != m->operation)
        i++;
    if (i == sizeof operations / sizeof *operations) { /* an unknown operation */
        end_association(a, ABORTS);
        return;
    }
    log_message(operations[i].name, operations[i].service, m);
    if (!operations[i].run)
        return;
    if (a->plan.at_command != STAYS)
        end_association(a, a->plan.at_command);
    else if (a->plan.mute & ONLY(operations[i].service)) {
        if (!a->silent)
            stop_answering(a, a->plan.mute == ALL ? MUTE_SECONDS : FMUTE_SECONDS);
    } else if (a->plan.held & ONLY(operations[i].service)) {
        if (wait_for_release(a))
            operations[i].run(a, m);
    } else if (!gone_within(a, a->plan.slow))
        operations[i].run(a, m);
}

/* ---- the association ---- */

static void reject(association *a, unsigned digits)
{
    const unsigned char why[] = { 0, (unsigned char)(digits / 100),
                                  (unsigned char)(digits / 10 % 10), (unsigned char)(digits % 10) };
    send_pdu(a, PDU_REJECT, why, sizeof why);
    gone_within(a, 1);
    a->over = true;
}

static void answer_association_request(association *a, view request)
{
    enum { NOT_RECOGNIZED = 117 };
    if (!read_titles(a, request)) {
        a->over = true;
        return;
    }
    log_association(a);
    if (!find_plan(a->called, &a->plan))
        reject(a, NOT_RECOGNIZED);
    else if (a->plan.rejection)
        reject(a, a->plan.rejection);
    else if (a->plan.deaf)
        stop_answering(a, MUTE_SECONDS);
    else if (!gone_within(a, a->plan.slow_accept))
        accept_association(a, request);
}

void take_pdu(association *a, unsigned type, view body)
{
    static const unsigned char nothing[4];
    switch (type) {
    case PDU_REQUEST: answer_association_request(a, body); break;
    case PDU_DATA: take_data(a, body, handle); break;
    case PDU_RELEASE:
        log_event("RELEASE");
        if (!a->silent) {
            send_pdu(a, PDU_RELEASED, nothing, sizeof nothing);
            a->over = true;
        }
        break;
    case PDU_ABORT:
        log_event("ABORT");
        a->over = !a->silent;
        break;
    default: a->over = true;
    }
}

int main(void)
{
    const pid_t parent = getppid();
    listener_prepare();
    log_to(open_named("DICOMD_LOG", O_WRONLY | O_CREAT | O_APPEND));
    state.gate = open_named("DICOMD_GATE", O_RDONLY);
    serve(parent);
    if (state.gate >= 0)
        unlink(getenv("DICOMD_GATE"));
    _exit(0); /* the threads end with the process */
}
