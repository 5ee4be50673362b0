/* mutate_places.c - the places of a JSON text, and the changes of one place. */
#include "mutate.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_MAX_SIZE = 2000, LONG = 70 * 1024, NESTED = 900 };

/* A value in the text. `member` is where its key begins, or its own beginning in a list. */
typedef struct place {
    size_t member, from, end;
} place;

/* One walk over a text. Functions return the end of what they have read; `ok` is false afterwards
 * when it is not JSON. */
typedef struct walk {
    const char *text;
    size_t size;
    bool ok;
    char path[PATH_MAX_SIZE];
    void (*visit)(struct walk *w, const place *p); /* NULL: within elements that are no places */
    void *context;
} walk;

static size_t blank(const walk *w, size_t at)
{
    while (at < w->size && memchr(" \t\r\n", w->text[at], 4))
        at++;
    return at;
}

static bool is_at(const walk *w, size_t at, char c)
{
    return at < w->size && w->text[at] == c;
}

static size_t wrong(walk *w, size_t at)
{
    w->ok = false;
    return at;
}

static size_t string_end(walk *w, size_t at)
{
    for (at++; at < w->size && w->text[at] != '"'; at++)
        if (w->text[at] == '\\')
            at++;
    return at < w->size ? at + 1 : wrong(w, w->size);
}

static size_t value(walk *w, size_t at, size_t member);

/* Reads a value one step further down; its path ends in `name`. */
static size_t below(walk *w, size_t at, size_t member, const char *name, size_t size)
{
    const size_t length = strlen(w->path);
    size_t end;
    if (length + size + 2 > sizeof w->path)
        return wrong(w, at);
    w->path[length] = '/';
    memcpy(w->path + length + 1, name, size);
    w->path[length + 1 + size] = '\0';
    end = value(w, at, member);
    w->path[length] = '\0';
    return end;
}

static size_t object(walk *w, size_t at)
{
    at = blank(w, at + 1);
    while (w->ok && !is_at(w, at, '}')) {
        const size_t key = at;
        size_t key_end;
        if (!is_at(w, at, '"'))
            return wrong(w, at);
        key_end = string_end(w, at);
        at = blank(w, key_end);
        if (!is_at(w, at, ':'))
            return wrong(w, at);
        at = below(w, blank(w, at + 1), key, w->text + key + 1, key_end - key - 2);
        at = blank(w, at);
        if (is_at(w, at, ','))
            at = blank(w, at + 1);
        else if (!is_at(w, at, '}'))
            return wrong(w, at);
    }
    return at + 1;
}

static size_t list(walk *w, size_t at)
{
    bool first = true;
    at = blank(w, at + 1);
    while (w->ok && !is_at(w, at, ']')) {
        void (*visit)(walk *, const place *) = w->visit;
        const size_t element = at;
        if (!first)
            w->visit = NULL;
        at = blank(w, below(w, at, element, first ? "0" : "?", 1));
        w->visit = visit;
        if (is_at(w, at, ']') && !first) /* only now it is known to be the last one */
            below(w, element, element, "-1", 2);
        else if (is_at(w, at, ','))
            at = blank(w, at + 1);
        else if (!is_at(w, at, ']'))
            return wrong(w, at);
        first = false;
    }
    return at + 1;
}

static size_t value(walk *w, size_t at, size_t member)
{
    place p = { .member = member, .from = at };
    if (is_at(w, at, '{'))
        p.end = object(w, at);
    else if (is_at(w, at, '['))
        p.end = list(w, at);
    else if (is_at(w, at, '"'))
        p.end = string_end(w, at);
    else {
        p.end = at;
        while (p.end < w->size &&
               (isalnum((unsigned char)w->text[p.end]) || memchr("+-.", w->text[p.end], 3)))
            p.end++;
        if (p.end == at)
            return wrong(w, at);
    }
    if (w->ok && w->visit)
        w->visit(w, &p);
    return p.end;
}

/* Walks over the whole text. False when it is not JSON. */
static bool walk_all(walk *w)
{
    const size_t from = blank(w, 0);
    w->ok = from < w->size;
    if (!w->ok)
        return false;
    const size_t end = value(w, from, from);
    return w->ok && blank(w, end) == w->size;
}

/* ---- the list of all places ---- */

static void add_path(walk *w, const place *p)
{
    text *t = w->context;
    (void)p;
    text_puts(t, t->data[t->size - 1] == '[' ? "" : ",");
    text_json(t, w->path, strlen(w->path));
}

bool places_add(text *t, const text *body)
{
    const size_t before = t->size;
    walk w = { .text = body->data, .size = body->size, .visit = add_path, .context = t };
    text_puts(t, "[");
    if (!walk_all(&w)) {
        t->size = before;
        return false;
    }
    text_puts(t, "]");
    return true;
}

/* ---- changes of the value ---- */

/* Each writes what takes the place of the value. */
typedef void (*replacement)(text *t, const char *value, size_t size);

#define CONSTANT(name, json)                                       \
    static void to_##name(text *t, const char *value, size_t size) \
    {                                                              \
        (void)value;                                               \
        (void)size;                                                \
        text_puts(t, json);                                        \
    }
CONSTANT(null, "null")
CONSTANT(true, "true")
CONSTANT(zero, "0")
CONSTANT(minus, "-1")
CONSTANT(huge, "1e308")
CONSTANT(wide, "9223372036854775808")
CONSTANT(nothing, "\"\"")
CONSTANT(word, "\"another\"")
CONSTANT(success, "\"Success\"") /* of a job that failed, the one word that matters */
CONSTANT(list, "[]")
CONSTANT(object, "{}")
CONSTANT(list_of_null, "[null]")
#undef CONSTANT

/* Writes a string with something in its middle; of another value, only that. */
static void insert(text *t, const char *value, size_t size, const char *something)
{
    size_t half = size / 2;
    if (*value != '"') {
        text_addf(t, "\"%s\"", something);
        return;
    }
    if (memchr(value, '\\', size)) /* not within an escape sequence */
        half = 1;
    text_add(t, value, half);
    text_puts(t, something);
    text_add(t, value + half, size - half);
}

static void to_nul(text *t, const char *value, size_t size)
{
    insert(t, value, size, "\\u0000");
}

static void to_escape(text *t, const char *value, size_t size)
{
    insert(t, value, size, "\\u001b[31m");
}

static void to_long(text *t, const char *value, size_t size)
{
    (void)value;
    (void)size;
    text_puts(t, "\"");
    for (int i = 0; i < LONG / 8; i++)
        text_puts(t, "seventy ");
    text_puts(t, "\"");
}

static void to_wrapped(text *t, const char *value, size_t size)
{
    text_puts(t, "[");
    text_add(t, value, size);
    text_puts(t, "]");
}

static void to_nested(text *t, const char *value, size_t size)
{
    for (int i = 0; i < NESTED; i++)
        text_puts(t, "[");
    text_add(t, value, size);
    for (int i = 0; i < NESTED; i++)
        text_puts(t, "]");
}

/* The first half of a string without escape sequences, or of a number. */
static void to_half(text *t, const char *value, size_t size)
{
    if (*value == '"' && !memchr(value, '\\', size)) {
        text_add(t, value, 1 + (size - 2) / 2);
        text_puts(t, "\"");
    } else if (isdigit((unsigned char)*value))
        text_add(t, value, (size + 1) / 2);
    else
        text_add(t, value, size);
}

static const struct {
    const char *name;
    replacement replace;
} replacements[] = {
    { "null", to_null },       { "true", to_true },     { "zero", to_zero },
    { "minus", to_minus },     { "huge", to_huge },     { "wide", to_wide },
    { "nothing", to_nothing }, { "word", to_word },     { "success", to_success },
    { "list", to_list },       { "object", to_object }, { "list-of-null", to_list_of_null },
    { "nul", to_nul },         { "escape", to_escape }, { "long", to_long },
    { "wrapped", to_wrapped }, { "nested", to_nested }, { "half", to_half },
};

void places_each_change(void (*f)(void *context, const char *name), void *context)
{
    f(context, "drop");
    f(context, "double");
    for (size_t i = 0; i < sizeof replacements / sizeof *replacements; i++)
        f(context, replacements[i].name);
}

/* ---- changing one place ---- */

typedef struct wanted {
    const char *path;
    place found;
    bool is_found;
} wanted;

static void compare_path(walk *w, const place *p)
{
    wanted *x = w->context;
    if (strcmp(w->path, x->path) == 0) {
        x->found = *p;
        x->is_found = true;
    }
}

/* Removes a member or an element with one of the commas beside it. */
static void drop(text *t, const walk *w, const place *p)
{
    size_t from = p->member, end = blank(w, p->end);
    if (is_at(w, end, ','))
        end++;
    else {
        end = p->end;
        while (from > 0 && memchr(" \t\r\n", w->text[from - 1], 4))
            from--;
        if (from > 0 && w->text[from - 1] == ',')
            from--;
    }
    text_add(t, w->text, from);
    text_add(t, w->text + end, w->size - end);
}

static void twice(text *t, const walk *w, const place *p)
{
    text_add(t, w->text, p->end);
    text_puts(t, ",");
    text_add(t, w->text + p->member, p->end - p->member);
    text_add(t, w->text + p->end, w->size - p->end);
}

static void replace(text *t, const walk *w, const place *p, const char *change)
{
    text_add(t, w->text, p->from);
    for (size_t i = 0; i < sizeof replacements / sizeof *replacements; i++)
        if (strcmp(replacements[i].name, change) == 0)
            replacements[i].replace(t, w->text + p->from, p->end - p->from);
    text_add(t, w->text + p->end, w->size - p->end);
}

bool places_change(text *body, const char *path, const char *change)
{
    wanted x = { .path = path };
    walk w = { .text = body->data, .size = body->size, .visit = compare_path, .context = &x };
    text t = { 0 };
    if (!walk_all(&w) || !x.is_found)
        return false;
    if (*path && strcmp(change, "drop") == 0)
        drop(&t, &w, &x.found);
    else if (*path && strcmp(change, "double") == 0)
        twice(&t, &w, &x.found);
    else
        replace(&t, &w, &x.found, change);
    if (t.size == body->size && memcmp(t.data, body->data, t.size) == 0) {
        text_free(&t);
        return false;
    }
    text_free(body);
    *body = t;
    return true;
}
