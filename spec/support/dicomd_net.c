/* dicomd_net.c - bytes, element sets, PDUs, the negotiation of an association, messages,
 * connections.
 */
#include "dicomd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IMPLICIT_LITTLE "1.2.840.10008.1.2"
#define EXPLICIT_LITTLE "1.2.840.10008.1.2.1"

enum { PDU_MAX = 16384, PDU_TAKEN = 1 << 24, PDV_HEAD = 6 };

enum {
    ITEM_APPLICATION = 0x10,
    ITEM_CONTEXT = 0x20,
    ITEM_CONTEXT_ANSWER = 0x21,
    ITEM_ABSTRACT = 0x30,
    ITEM_TRANSFER = 0x40,
    ITEM_USER = 0x50,
    ITEM_MAX_LENGTH = 0x51,
    ITEM_IMPLEMENTATION = 0x52,
    ITEM_ROLE = 0x54,
};

/* Offsets in an A-ASSOCIATE-RQ (PS3.8, table 9-11), without the PDU head. */
enum { CALLED_AT = 4, CALLING_AT = 20, RESERVED_AT = 36, ITEMS_AT = 68 };

/* ---- bytes ---- */

void bytes_add(bytes *b, const void *data, size_t size)
{
    if (size > b->room - b->size) {
        b->room = (b->size + size) * 2;
        b->data = realloc(b->data, b->room);
        if (!b->data)
            abort();
    }
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

void bytes_puts(bytes *b, const char *string)
{
    bytes_add(b, string, strlen(string));
}

void bytes_free(bytes *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

static void add_byte(bytes *b, unsigned value)
{
    const unsigned char byte = (unsigned char)value;
    bytes_add(b, &byte, 1);
}

static void add_little(bytes *b, unsigned long value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        add_byte(b, value >> 8 * i & 0xFF);
}

static void add_big(bytes *b, unsigned long value, size_t size)
{
    while (size-- > 0)
        add_byte(b, value >> 8 * size & 0xFF);
}

static unsigned long little(const void *from, size_t size)
{
    const unsigned char *p = from;
    unsigned long value = 0;
    while (size-- > 0)
        value = value << 8 | p[size];
    return value;
}

static unsigned long big(const unsigned char *p, size_t size)
{
    unsigned long value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | p[i];
    return value;
}

size_t trimmed(const void *data, size_t size)
{
    const char *p = data;
    while (size > 0 && (p[size - 1] == ' ' || p[size - 1] == '\0'))
        size--;
    return size;
}

/* ---- element sets ---- */

void set_put(element **set, uint32_t tag, const char *vr, const void *data, size_t size)
{
    element *e = malloc(sizeof *e + size + 1), *old;
    if (!e)
        abort();
    while (*set && (*set)->tag < tag)
        set = &(*set)->next;
    old = *set && (*set)->tag == tag ? *set : NULL;
    e->next = old ? old->next : *set;
    e->tag = tag;
    memcpy(e->vr, vr, 2);
    e->vr[2] = '\0';
    e->size = size;
    if (size)
        memcpy(e->value, data, size);
    e->value[size] = '\0';
    *set = e;
    free(old);
}

void set_puts(element **set, uint32_t tag, const char *vr, const char *string)
{
    set_put(set, tag, vr, string, strlen(string));
}

void set_number(element **set, uint32_t tag, const char *vr, unsigned long value, size_t size)
{
    bytes b = { 0 };
    add_little(&b, value, size);
    set_put(set, tag, vr, b.data, b.size);
    bytes_free(&b);
}

const element *set_find(const element *set, uint32_t tag)
{
    while (set && set->tag != tag)
        set = set->next;
    return set;
}

char *set_text(const element *set, uint32_t tag, char *buffer)
{
    const element *e = set_find(set, tag);
    size_t size = e ? trimmed(e->value, e->size) : 0;
    if (size > UID_MAX)
        size = UID_MAX;
    if (size)
        memcpy(buffer, e->value, size);
    buffer[size] = '\0';
    return buffer;
}

unsigned set_us(const element *set, uint32_t tag)
{
    const element *e = set_find(set, tag);
    return e && e->size >= 2 ? (unsigned)little(e->value, 2) : 0;
}

void set_free(element **set)
{
    while (*set) {
        element *e = *set;
        *set = e->next;
        free(e);
    }
}

/* True for a VR whose length field has four bytes, after two reserved bytes (PS3.5, 7.1.2). */
static bool is_long(const char *vr)
{
    static const char all[] = "OB OD OF OL OV OW SQ SV UC UN UR UT UV";
    const char *p = strstr(all, vr);
    return p && (p - all) % 3 == 0;
}

void set_encode(const element *set, bool explicit, bytes *to)
{
    for (const element *e = set; e; e = e->next) {
        const bool binary = strcmp(e->vr, "UI") == 0 || is_long(e->vr);
        const size_t length = e->size + e->size % 2;
        add_little(to, e->tag >> 16, 2);
        add_little(to, e->tag & 0xFFFF, 2);
        if (explicit)
            bytes_add(to, e->vr, 2);
        if (explicit && is_long(e->vr))
            add_little(to, 0, 2);
        add_little(to, length, explicit && !is_long(e->vr) ? 2 : 4);
        bytes_add(to, e->value, e->size);
        if (e->size % 2)
            add_byte(to, binary ? '\0' : ' ');
    }
}

/* Does not parse sequences: their value stays bytes. A length beyond the end is taken as the rest
 * of the data. So is an undefined length, which Orthanc does not send here. */
static void set_decode(element **set, const bytes *from, bool explicit)
{
    size_t at = 0;
    while (from->size - at >= 8) {
        const unsigned char *p = from->data + at;
        const uint32_t tag = (uint32_t)(little(p, 2) << 16 | little(p + 2, 2));
        char vr[3] = "UN";
        size_t head = 8, length;
        if (explicit)
            memcpy(vr, p + 4, 2);
        if (explicit && is_long(vr))
            head = 12;
        if (from->size - at < head)
            return;
        length = explicit && head == 8 ? little(p + 6, 2) : little(p + head - 4, 4);
        at += head;
        if (length > from->size - at)
            length = from->size - at;
        set_put(set, tag, vr, from->data + at, length);
        at += length;
    }
}

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

static bool read_pdu(association *a, unsigned *type, bytes *body)
{
    unsigned char head[6];
    size_t size;
    if (!receive(a, head, sizeof head) || (size = big(head + 2, 4)) > PDU_TAKEN)
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
    add_byte(b, type);
    add_byte(b, 0);
    add_big(b, size, 4);
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

static bool next_item(view *rest, unsigned *type, view *item)
{
    if (rest->size < 4)
        return false;
    *type = rest->data[0];
    item->data = rest->data + 4;
    item->size = big(rest->data + 2, 2);
    if (item->size > rest->size - 4)
        item->size = rest->size - 4;
    rest->data = item->data + item->size;
    rest->size -= 4 + item->size;
    return true;
}

static void add_item(bytes *to, unsigned type, const void *data, size_t size)
{
    add_byte(to, type);
    add_byte(to, 0);
    add_big(to, size, 2);
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
    add_byte(&b, id);
    add_byte(&b, 0);
    add_byte(&b, a->plan.refused & 1U << s ? NOT_SUPPORTED : ACCEPTED);
    add_byte(&b, 0);
    add_item(&b, ITEM_TRANSFER, use.data, use.size);
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
    add_big(&length, PDU_MAX, 4);
    add_item(to, ITEM_MAX_LENGTH, length.data, length.size);
    add_item(to, ITEM_IMPLEMENTATION, us, strlen(us));
    bytes_free(&length);
    for (unsigned type; next_item(&offer, &type, &item);)
        if (type == ITEM_ROLE)
            add_item(to, ITEM_ROLE, item.data, item.size);
        else if (type == ITEM_MAX_LENGTH && item.size == 4) {
            const size_t most = big(item.data, 4);
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
    add_big(&body, 1, 2);
    add_big(&body, 0, 2);
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

static void forget_message(association *a)
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
        const size_t size = pdu.size < PDV_HEAD ? 0 : big(pdu.data, 4);
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
        add_big(to, n + 2, 4);
        add_byte(to, id);
        add_byte(to, flags | (at + n == whole->size ? IS_LAST : 0));
        bytes_add(to, whole->data + at, n);
        at += n;
    } while (at < whole->size);
}

void send_message(association *a, unsigned char id, const element *command,
                  const element *identifier)
{
    bytes fields = { 0 }, whole = { 0 }, data = { 0 }, pdus = { 0 };
    element *length = NULL;
    set_encode(command, false, &fields);
    set_number(&length, 0, "UL", fields.size, 4);
    set_encode(length, false, &whole);
    bytes_add(&whole, fields.data, fields.size);
    add_fragments(a, id, IS_COMMAND, &whole, &pdus);
    if (identifier) {
        set_encode(identifier, !a->contexts[id / 2].implicit, &data);
        add_fragments(a, id, 0, &data, &pdus);
    }
    send_bytes(a, &pdus);
    set_free(&length);
    bytes_free(&fields);
    bytes_free(&whole);
    bytes_free(&data);
    bytes_free(&pdus);
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

int listen_on_loopback(int *port)
{
    const int on = 1;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, size) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
        perror("dicomd");
        exit(1);
    }
    *port = ntohs(a.sin_port);
    return fd;
}

void serve(int listener, pid_t parent)
{
    struct pollfd p[2] = { { listener, POLLIN, 0 }, { STDOUT_FILENO, 0, 0 } };
    /* getppid, not PR_SET_PDEATHSIG: this signal comes when the thread that started us ends, even if
     * the parent process has other threads */
    while (p[1].revents == 0 && getppid() == parent) {
        poll(p, 2, 100);
        for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
            take_connection(fd);
    }
}
