/* qrd_send.c - C-STORE of instances to the destination of a C-MOVE. */
#include "qrd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CANNOT_PROCESS = 0xA702 };

/* An association that this program has opened. The association comes first, so that the handler of
 * messages can convert a pointer to it. */
typedef struct outgoing {
    association a;
    const image *proposed[CONTEXTS_MAX]; /* by id / 2: an instance of this class and syntax */
    bool accepted[CONTEXTS_MAX];
    size_t count;
    bool answered;
    unsigned status;
} outgoing;

static size_t context_of(const outgoing *o, const image *one)
{
    size_t i = 0;
    while (i < o->count && (strcmp(o->proposed[i]->class, one->class) != 0 ||
                            strcmp(o->proposed[i]->syntax, one->syntax) != 0))
        i++;
    return i;
}

static int connect_to(const char *host, int port)
{
    const int on = 1;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (inet_pton(AF_INET, host, &to.sin_addr) == 1 &&
        connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static void add_title(bytes *to, const char *title)
{
    char padded[TITLE_MAX + 1];
    snprintf(padded, sizeof padded, "%-16s", title);
    bytes_add(to, padded, TITLE_MAX);
}

/* Proposes a presentation context for each class and syntax of the instances. */
static void add_contexts(outgoing *o, const images *list, bytes *to)
{
    for (size_t i = 0; i < list->count && o->count < CONTEXTS_MAX; i++) {
        const image *one = list->at[i];
        bytes b = { 0 };
        if (context_of(o, one) < o->count)
            continue;
        bytes_add_byte(&b, (unsigned)(2 * o->count + 1));
        bytes_add_byte(&b, 0);
        bytes_add_byte(&b, 0);
        bytes_add_byte(&b, 0);
        add_item(&b, ITEM_ABSTRACT, one->class, strlen(one->class));
        add_item(&b, ITEM_TRANSFER, one->syntax, strlen(one->syntax));
        add_item(to, ITEM_CONTEXT, b.data, b.size);
        bytes_free(&b);
        o->proposed[o->count++] = one;
    }
}

static void propose(outgoing *o, const images *list)
{
    static const char application[] = "1.2.840.10008.3.1.1.1", us[] = "1.2.3.99";
    static const unsigned char reserved[ITEMS_AT - RESERVED_AT];
    bytes body = { 0 }, user = { 0 }, length = { 0 };
    bytes_add_big(&body, 1, 2);
    bytes_add_big(&body, 0, 2);
    add_title(&body, o->a.called);
    add_title(&body, o->a.calling);
    bytes_add(&body, reserved, sizeof reserved);
    add_item(&body, ITEM_APPLICATION, application, strlen(application));
    add_contexts(o, list, &body);
    bytes_add_big(&length, PDU_MAX, 4);
    add_item(&user, ITEM_MAX_LENGTH, length.data, length.size);
    add_item(&user, ITEM_IMPLEMENTATION, us, strlen(us));
    add_item(&body, ITEM_USER, user.data, user.size);
    send_pdu(&o->a, PDU_REQUEST, body.data, body.size);
    bytes_free(&body);
    bytes_free(&user);
    bytes_free(&length);
}

static void take_user(outgoing *o, view items)
{
    view item;
    for (unsigned type; next_item(&items, &type, &item);) {
        const size_t most =
            type == ITEM_MAX_LENGTH && item.size == 4 ? big_endian(item.data, 4) : 0;
        if (most > PDV_HEAD && most < PDU_MAX)
            o->a.fragment = most - PDV_HEAD;
    }
}

/* Reads which contexts the destination accepts. False if it rejects the association. */
static bool take_acceptance(outgoing *o)
{
    bytes body = { 0 };
    unsigned type;
    const bool accepted =
        read_pdu(&o->a, &type, &body) && type == PDU_ACCEPT && body.size > ITEMS_AT;
    if (accepted) {
        view rest = { body.data + ITEMS_AT, body.size - ITEMS_AT }, item;
        for (unsigned kind; next_item(&rest, &kind, &item);)
            if (kind == ITEM_CONTEXT_ANSWER && item.size > 2)
                o->accepted[item.data[0] / 2] = item.data[2] == 0;
            else if (kind == ITEM_USER)
                take_user(o, item);
    }
    bytes_free(&body);
    return accepted;
}

static void on_response(association *a, const message *m)
{
    outgoing *o = (outgoing *)a;
    o->answered = true;
    o->status = set_us(m->command, TAG_STATUS);
}

/* Returns the status of the C-STORE. */
static unsigned send_image(outgoing *o, const image *one, unsigned id, unsigned message_id)
{
    const size_t at = context_of(o, one);
    element *command = NULL;
    bytes body = { 0 };
    if (at == o->count || !o->accepted[at])
        return CANNOT_PROCESS;
    set_puts(&command, TAG_AFFECTED_CLASS, "UI", one->class);
    set_number(&command, TAG_OPERATION, "US", OPERATION_STORE, 2);
    set_number(&command, TAG_MESSAGE_ID, "US", id, 2);
    set_number(&command, TAG_PRIORITY, "US", 0, 2);
    set_number(&command, TAG_DATA_TYPE, "US", 1, 2);
    set_puts(&command, TAG_AFFECTED_INSTANCE, "UI", one->uid);
    set_puts(&command, TAG_ORIGINATOR, "AE", o->a.calling);
    set_number(&command, TAG_ORIGINATOR_ID, "US", message_id, 2);
    send_raw(&o->a, (unsigned char)(2 * at + 1), command, &one->data);
    set_free(&command);
    o->answered = false;
    for (unsigned type; !o->answered && read_pdu(&o->a, &type, &body) && type == PDU_DATA;)
        take_data(&o->a, (view){ body.data, body.size }, on_response);
    bytes_free(&body);
    return o->answered ? o->status : CANNOT_PROCESS;
}

bool send_images(const char *host, int port, const char *calling, const char *called,
                 unsigned message_id, const images *list, void (*sent)(void *with, unsigned status),
                 void *with)
{
    static const unsigned char nothing[4];
    outgoing *o = calloc(1, sizeof *o);
    unsigned type;
    bytes body = { 0 };
    bool opened;
    if (!o)
        abort();
    snprintf(o->a.called, sizeof o->a.called, "%s", called);
    snprintf(o->a.calling, sizeof o->a.calling, "%s", calling);
    o->a.fragment = PDU_MAX - PDV_HEAD;
    o->a.fd = connect_to(host, port);
    if (o->a.fd >= 0)
        propose(o, list);
    opened = o->a.fd >= 0 && take_acceptance(o);
    if (opened) {
        for (size_t i = 0; i < list->count; i++)
            sent(with, send_image(o, list->at[i], (unsigned)i + 1, message_id));
        send_pdu(&o->a, PDU_RELEASE, nothing, sizeof nothing);
        read_pdu(&o->a, &type, &body);
        bytes_free(&body);
    }
    if (o->a.fd >= 0)
        close(o->a.fd);
    forget_message(&o->a);
    free(o);
    return opened;
}
