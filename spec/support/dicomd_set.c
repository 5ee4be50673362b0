/* dicomd_set.c - bytes and element sets. */
#include "dicomd.h"

#include <stdlib.h>
#include <string.h>

enum { ITEM_START = 0xE000 }; /* element number of the tag that begins an item */

static const size_t UNDEFINED = 0xFFFFFFFF; /* a length: the value ends with a delimitation item */

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

void bytes_add_byte(bytes *b, unsigned value)
{
    const unsigned char byte = (unsigned char)value;
    bytes_add(b, &byte, 1);
}

void bytes_add_little(bytes *b, unsigned long value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes_add_byte(b, value >> 8 * i & 0xFF);
}

void bytes_add_big(bytes *b, unsigned long value, size_t size)
{
    while (size-- > 0)
        bytes_add_byte(b, value >> 8 * size & 0xFF);
}

unsigned long little_endian(const void *from, size_t size)
{
    const unsigned char *p = from;
    unsigned long value = 0;
    while (size-- > 0)
        value = value << 8 | p[size];
    return value;
}

unsigned long big_endian(const unsigned char *p, size_t size)
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
    bytes_add_little(&b, value, size);
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

int set_level(const element *identifier)
{
    static const char *const levels[] = { "PATIENT", "STUDY", "SERIES", "IMAGE" };
    char given[UID_MAX + 1];
    set_text(identifier, TAG_LEVEL, given);
    for (int i = PATIENT; i <= IMAGE; i++)
        if (strcmp(levels[i], given) == 0)
            return i;
    return -1;
}

unsigned set_us(const element *set, uint32_t tag)
{
    const element *e = set_find(set, tag);
    return e && e->size >= 2 ? (unsigned)little_endian(e->value, 2) : 0;
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
        bytes_add_little(to, e->tag >> 16, 2);
        bytes_add_little(to, e->tag & 0xFFFF, 2);
        if (explicit)
            bytes_add(to, e->vr, 2);
        if (explicit && is_long(e->vr))
            bytes_add_little(to, 0, 2);
        bytes_add_little(to, length, explicit && !is_long(e->vr) ? 2 : 4);
        bytes_add(to, e->value, e->size);
        if (e->size % 2)
            bytes_add_byte(to, binary ? '\0' : ' ');
    }
}

/* The size of the value of undefined length at the beginning of the bytes: items, each of undefined
 * or of known length, up to the sequence delimitation item (PS3.5, 7.5). Includes that item. */
static size_t undefined_size(const unsigned char *p, size_t size, bool explicit);

/* Reads the head of the element at p. Returns the size of the head; 0 if it is cut off. */
static size_t read_head(const unsigned char *p, size_t size, bool explicit, char vr[3],
                        size_t *length)
{
    size_t head = 8;
    if (size < head)
        return 0;
    strcpy(vr, "UN");
    explicit = explicit && little_endian(p, 2) != 0xFFFE; /* items have no VR */
    if (explicit)
        memcpy(vr, p + 4, 2);
    if (explicit && is_long(vr))
        head = 12;
    if (size < head)
        return 0;
    *length = explicit && head == 8 ? little_endian(p + 6, 2) : little_endian(p + head - 4, 4);
    if (*length == UNDEFINED)
        *length = undefined_size(p + head, size - head, explicit && strcmp(vr, "UN") != 0);
    if (*length > size - head)
        *length = size - head;
    return head;
}

static size_t undefined_size(const unsigned char *p, size_t size, bool explicit)
{
    char vr[3];
    size_t at = 0, head, length;
    while ((head = read_head(p + at, size - at, explicit, vr, &length)) > 0) {
        const unsigned long group = little_endian(p + at, 2), number = little_endian(p + at + 2, 2);
        at += head + length;
        if (group == 0xFFFE && number != ITEM_START)
            break; /* the end of an item or of the sequence */
    }
    return at;
}

void set_decode(element **set, const bytes *from, bool explicit)
{
    char vr[3];
    size_t at = 0, head, length;
    while ((head = read_head(from->data + at, from->size - at, explicit, vr, &length)) > 0) {
        const unsigned char *p = from->data + at;
        const uint32_t tag = (uint32_t)(little_endian(p, 2) << 16 | little_endian(p + 2, 2));
        set_put(set, tag, vr, p + head, length);
        at += head + length;
    }
}
