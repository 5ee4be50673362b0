/* dicomd_net.c - PDUs, the negotiation of an association, messages, connections. */
#include "dicomd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listener.h"

enum { PDU_TAKEN = 1 << 24 };

/* ---- PDUs ---- */

bool gone_within(association *a, double seconds)
{
    struct pollfd p = { a->fd, POLLRDHUP, 0 };
    if (!a->gone && seconds > 0 && poll(&p, 1, (int)(seconds * 1000)) != 0)
        a->gone = true;
    return a->gone;
}

static bool receive(association *a, unsigned char *to, size_t size)
{
    while (size > 0) {
        const ssize_t n = recv(a->fd, to, size, 0);
        if (n <= 0)
            return false;
        to += n;
        size -= (size_t)n;
    }
    return true;
}

static void send_bytes(association *a, const bytes *b)
{
    for (size_t at = 0; at < b->size && !a->gone;) {
        const ssize_t n = send(a->fd, b->data + at, b->size - at, MSG_NOSIGNAL);
        if (n <= 0)
            a->gone = true;
        else
            at += (size_t)n;
    }
}

bool read_pdu(association *a, unsigned *type, bytes *body)
{
    unsigned char head[6];
    size_t size;
    if (!receive(a, head, sizeof head) || (size = big_endian(head + 2, 4)) > PDU_TAKEN)
        return false;
    *type = head[0];
    free(body->data);
    body->data = malloc(size + 1);
    if (!body->data)
        abort();
    body->size = size;
    body->room = size + 1;
    return receive(a, body->data, size);
}

static void add_pdu_head(bytes *b, unsigned type, size_t size)
{
    bytes_add_byte(b, type);
    bytes_add_byte(b, 0);
    bytes_add_big(b, size, 4);
}

void send_pdu(association *a, unsigned type, const void *body, size_t size)
{
    bytes b = { 0 };
    add_pdu_head(&b, type, size);
    bytes_add(&b, body, size);
    send_bytes(a, &b);
    bytes_free(&b);
}

/* ---- negotiation ---- */

bool next_item(view *rest, unsigned *type, view *item)
{
    if (rest->size < 4)
        return false;
    *type = rest->data[0];
    item->data = rest->data + 4;
    item->size = big_endian(rest->data + 2, 2);
    if (item->size > rest->size - 4)
        item->size = rest->size - 4;
    rest->data = item->data + item->size;
    rest->size -= 4 + item->size;
    return true;
}

void add_item(bytes *to, unsigned type, const void *data, size_t size)
{
    bytes_add_byte(to, type);
    bytes_add_byte(to, 0);
    bytes_add_big(to, size, 2);
    bytes_add(to, data, size);
}

static bool is_uid(view v, const char *uid)
{
    const size_t size = trimmed(v.data, v.size);
    return size == strlen(uid) && memcmp(v.data, uid, size) == 0;
}

/* The last component of a UID that starts with `beginning`; "" for any other UID. */
static const char *after(const char *uid, const char *beginning)
{
    const size_t size = strlen(beginning);
    const char *dot = strrchr(uid, '.');
    return strncmp(uid, beginning, size) == 0 && dot ? dot + 1 : "";
}

static service service_of(view abstract)
{
    static const struct {
        const char *beginning, *last; /* last NULL: any component */
        service is;
    } known[] = {
        { "1.2.840.10008.1.1", "1", SERVICE_ECHO },
        { "1.2.840.10008.5.1.4.1.1.", NULL, SERVICE_STORE },
        { "1.2.840.10008.5.1.4.1.2.", "1", SERVICE_FIND },
        { "1.2.840.10008.5.1.4.1.2.", "2", SERVICE_MOVE },
        { "1.2.840.10008.5.1.4.1.2.", "3", SERVICE_GET },
        { "1.2.840.10008.5.1.4.31", "31", SERVICE_FIND }, /* worklist */
        { "1.2.840.10008.1.20.1", "1", SERVICE_ACTION },  /* storage commitment */
    };
    char uid[UID_MAX + 1] = "";
    memcpy(uid, abstract.data, abstract.size < UID_MAX ? abstract.size : UID_MAX);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const char *last = after(uid, known[i].beginning);
        if (known[i].last ? strcmp(last, known[i].last) == 0 : *last != '\0')
            return known[i].is;
    }
    return SERVICE_OTHER;
}

/* Accepts one of the offered transfer syntaxes: the one that the plan needs for its answers, or else
 * the first one. */
static void answer_context(association *a, view offer, bytes *to)
{
    enum { ACCEPTED = 0, NOT_SUPPORTED = 3 };
    const unsigned char id = offer.data[0];
    context *c = &a->contexts[id / 2];
    service s = SERVICE_OTHER;
    view rest = { offer.data + 4, offer.size - 4 }, item, first = { 0 }, use;
    bytes b = { 0 };
    *c = (context){ 0 };
    for (unsigned type; next_item(&rest, &type, &item);)
        if (type == ITEM_ABSTRACT)
            s = service_of(item);
        else if (type == ITEM_TRANSFER) {
            c->implicit |= is_uid(item, IMPLICIT_LITTLE);
            c->explicit |= is_uid(item, EXPLICIT_LITTLE);
            first = first.data ? first : item;
        }
    if (a->plan.special ? c->explicit : !c->implicit)
        c->implicit = false;
    else
        c->explicit = false;
    use = c->implicit   ? (view){ (const unsigned char *)IMPLICIT_LITTLE, strlen(IMPLICIT_LITTLE) }
          : c->explicit ? (view){ (const unsigned char *)EXPLICIT_LITTLE, strlen(EXPLICIT_LITTLE) }
                        : first;
    bytes_add_byte(&b, id);
    bytes_add_byte(&b, 0);
    bytes_add_byte(&b, a->plan.refused & 1U << s ? NOT_SUPPORTED : ACCEPTED);
    bytes_add_byte(&b, 0);
    add_item(&b, ITEM_TRANSFER, use.data, use.size);
    snprintf(c->syntax, sizeof c->syntax, "%.*s", (int)trimmed(use.data, use.size), use.data);
    add_item(to, ITEM_CONTEXT_ANSWER, b.data, b.size);
    bytes_free(&b);
}

/* Answers the user information: reads the largest PDU that the peer accepts, and grants every role
 * selection that it asks for. */
static void answer_user(association *a, view offer, bytes *to)
{
    static const char us[] = "1.2.3.99";
    bytes length = { 0 };
    view item;
    bytes_add_big(&length, PDU_MAX, 4);
    add_item(to, ITEM_MAX_LENGTH, length.data, length.size);
    add_item(to, ITEM_IMPLEMENTATION, us, strlen(us));
    bytes_free(&length);
    for (unsigned type; next_item(&offer, &type, &item);)
        if (type == ITEM_ROLE)
            add_item(to, ITEM_ROLE, item.data, item.size);
        else if (type == ITEM_MAX_LENGTH && item.size == 4) {
            const size_t most = big_endian(item.data, 4);
            if (most > PDV_HEAD && most < PDU_MAX)
                a->fragment = most - PDV_HEAD;
        }
}

static void copy_title(char *to, const unsigned char *from)
{
    const size_t size = trimmed(from, TITLE_MAX);
    size_t blanks = 0;
    while (blanks < size && from[blanks] == ' ')
        blanks++;
    memcpy(to, from + blanks, size - blanks);
}

bool read_titles(association *a, view request)
{
    if (request.size < ITEMS_AT)
        return false;
    copy_title(a->called, request.data + CALLED_AT);
    copy_title(a->calling, request.data + CALLING_AT);
    return true;
}

void accept_association(association *a, view request)
{
    static const char application[] = "1.2.840.10008.3.1.1.1";
    static const unsigned char reserved[ITEMS_AT - RESERVED_AT];
    view rest = { request.data + ITEMS_AT, request.size - ITEMS_AT }, item;
    bytes body = { 0 }, user = { 0 };
    bytes_add_big(&body, 1, 2);
    bytes_add_big(&body, 0, 2);
    bytes_add(&body, request.data + CALLED_AT, RESERVED_AT - CALLED_AT);
    bytes_add(&body, reserved, sizeof reserved);
    add_item(&body, ITEM_APPLICATION, application, strlen(application));
    for (unsigned type; next_item(&rest, &type, &item);)
        if (type == ITEM_CONTEXT && item.size > 4)
            answer_context(a, item, &body);
        else if (type == ITEM_USER)
            answer_user(a, item, &user);
    add_item(&body, ITEM_USER, user.data, user.size);
    send_pdu(a, PDU_ACCEPT, body.data, body.size);
    bytes_free(&body);
    bytes_free(&user);
}

/* ---- messages ---- */

enum { IS_COMMAND = 1, IS_LAST = 2 };

void forget_message(association *a)
{
    set_free(&a->arriving.command);
    set_free(&a->arriving.identifier);
    bytes_free(&a->command);
    bytes_free(&a->identifier);
}

/* Returns true when the message is complete. Does not keep the data of a C-STORE, which may be large
 * and is not used. */
static bool take_fragment(association *a, unsigned char id, unsigned flags, view v)
{
    message *m = &a->arriving;
    const context *c = &a->contexts[id / 2];
    bytes_add(flags & IS_COMMAND ? &a->command : &a->identifier, v.data, v.size);
    if (!(flags & IS_LAST))
        return false;
    if (flags & IS_COMMAND) {
        set_free(&m->command);
        set_decode(&m->command, &a->command, false);
        m->context = id;
        m->operation = set_us(m->command, TAG_OPERATION);
        return set_us(m->command, TAG_DATA_TYPE) == NO_DATA;
    }
    if (m->operation != OPERATION_STORE && (c->implicit || c->explicit))
        set_decode(&m->identifier, &a->identifier, c->explicit);
    return m->command != NULL;
}

void take_data(association *a, view pdu, void (*handle)(association *, const message *))
{
    while (pdu.size > 0 && !a->over) {
        const size_t size = pdu.size < PDV_HEAD ? 0 : big_endian(pdu.data, 4);
        if (size < 2 || size > pdu.size - 4) {
            a->over = true;
            break;
        }
        if (take_fragment(a, pdu.data[4], pdu.data[5], (view){ pdu.data + PDV_HEAD, size - 2 })) {
            handle(a, &a->arriving);
            forget_message(a);
        }
        pdu.data += 4 + size;
        pdu.size -= 4 + size;
    }
}

static void add_fragments(const association *a, unsigned char id, unsigned flags,
                          const bytes *whole, bytes *to)
{
    size_t at = 0, n;
    do {
        n = whole->size - at < a->fragment ? whole->size - at : a->fragment;
        add_pdu_head(to, PDU_DATA, n + PDV_HEAD);
        bytes_add_big(to, n + 2, 4);
        bytes_add_byte(to, id);
        bytes_add_byte(to, flags | (at + n == whole->size ? IS_LAST : 0));
        bytes_add(to, whole->data + at, n);
        at += n;
    } while (at < whole->size);
}

void send_raw(association *a, unsigned char id, const element *command, const bytes *data)
{
    bytes fields = { 0 }, whole = { 0 }, pdus = { 0 };
    element *length = NULL;
    set_encode(command, false, &fields);
    set_number(&length, 0, "UL", fields.size, 4);
    set_encode(length, false, &whole);
    bytes_add(&whole, fields.data, fields.size);
    add_fragments(a, id, IS_COMMAND, &whole, &pdus);
    if (data)
        add_fragments(a, id, 0, data, &pdus);
    send_bytes(a, &pdus);
    set_free(&length);
    bytes_free(&fields);
    bytes_free(&whole);
    bytes_free(&pdus);
}

void send_message(association *a, unsigned char id, const element *command,
                  const element *identifier)
{
    bytes data = { 0 };
    if (identifier)
        set_encode(identifier, !a->contexts[id / 2].implicit, &data);
    send_raw(a, id, command, identifier ? &data : NULL);
    bytes_free(&data);
}

element *response_to(const message *m)
{
    const uint32_t class =
        set_find(m->command, TAG_AFFECTED_CLASS) ? TAG_AFFECTED_CLASS : TAG_REQUESTED_CLASS;
    element *r = NULL;
    char uid[UID_MAX + 1];
    if (*set_text(m->command, class, uid))
        set_puts(&r, TAG_AFFECTED_CLASS, "UI", uid);
    set_number(&r, TAG_OPERATION, "US", m->operation | 0x8000, 2);
    set_number(&r, TAG_ANSWERED_ID, "US", set_us(m->command, TAG_MESSAGE_ID), 2);
    return r;
}

void respond(association *a, const message *m, element *response, unsigned status,
             const element *identifier)
{
    set_number(&response, TAG_DATA_TYPE, "US", identifier ? 1 : NO_DATA, 2);
    set_number(&response, TAG_STATUS, "US", status, 2);
    send_message(a, m->context, response, identifier);
    set_free(&response);
}

/* ---- connections ---- */

static void *connection_main(void *connection)
{
    association *a = connection;
    bytes body = { 0 };
    for (unsigned type; !a->over && read_pdu(a, &type, &body);)
        take_pdu(a, type, (view){ body.data, body.size });
    close(a->fd);
    forget_message(a);
    bytes_free(&body);
    free(a);
    return NULL;
}

static void take_connection(int fd)
{
    const int on = 1;
    pthread_t thread;
    association *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    a->fd = fd;
    a->fragment = PDU_MAX - PDV_HEAD;
    if (pthread_create(&thread, NULL, connection_main, a) != 0)
        abort();
    pthread_detach(thread);
}

/* Opens the file that an environment variable names. Returns -1 if the variable is not set. */
int open_named(const char *variable, int flags)
{
    const char *path = getenv(variable);
    int fd;
    if (!path || !*path)
        return -1;
    fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

void serve(pid_t parent)
{
    int port;
    const int listener = listener_open(&port);
    listener_raise_limit();
    printf("%d\n", port);
    fflush(stdout);
    while (listener_accept(listener, parent, take_connection))
        ;
}
