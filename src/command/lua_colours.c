#include "command/lua_colours.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { DEPTH_MAX = 200 }; /* deeper brackets are not checked */

typedef struct lexer {
    const char *text;
    size_t size, at;
    unsigned char *colours;
    char closing[DEPTH_MAX]; /* what closes each bracket that is open */
    size_t depth;
} lexer;

static char byte_at(const lexer *x, size_t at)
{
    return at < x->size ? x->text[at] : '\0';
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Gives the bytes up to `end` a colour, and goes there. */
static void take(lexer *x, size_t end, lua_colour colour)
{
    memset(x->colours + x->at, colour, end - x->at);
    x->at = end;
}

/* ---- strings and comments ---- */

/* The end of the long bracket that begins at `at`; it may be that of the text. 0: none begins there. */
static size_t end_of_long(const lexer *x, size_t at)
{
    size_t level = 0;
    if (byte_at(x, at) != '[')
        return 0;
    while (byte_at(x, ++at) == '=')
        level++;
    if (byte_at(x, at) != '[')
        return 0;
    for (at++; at < x->size; at++) {
        size_t equals = 0;
        while (x->text[at] == ']' && byte_at(x, at + 1 + equals) == '=')
            equals++;
        if (x->text[at] == ']' && equals == level && byte_at(x, at + 1 + equals) == ']')
            return at + level + 2;
    }
    return x->size;
}

static void take_comment(lexer *x)
{
    size_t end = end_of_long(x, x->at + 2);
    if (end == 0)
        for (end = x->at; end < x->size && x->text[end] != '\n';)
            end++;
    take(x, end, LUA_COLOUR_COMMENT);
}

/* Behind a backslash: a line end belongs to the string, and \z skips blanks. */
static size_t end_of_escape(const lexer *x, size_t at)
{
    if (byte_at(x, at) != 'z')
        return at < x->size ? at + 1 : at;
    for (at++; isspace((unsigned char)byte_at(x, at));)
        at++;
    return at;
}

static void take_string(lexer *x)
{
    char quote = x->text[x->at];
    size_t at = x->at + 1;
    while (at < x->size && x->text[at] != quote && x->text[at] != '\n')
        at = x->text[at] == '\\' ? end_of_escape(x, at + 1) : at + 1;
    if (byte_at(x, at) == quote && at < x->size)
        take(x, at + 1, LUA_COLOUR_STRING);
    else
        take(x, at, LUA_COLOUR_WRONG);
}

/* ---- names, numbers, brackets ---- */

static bool is_in(const char *const *list, const char *word, size_t size)
{
    for (; *list; list++)
        if (strlen(*list) == size && memcmp(*list, word, size) == 0)
            return true;
    return false;
}

/* Whether the name at this place is that of a field or a method. */
static bool is_field(const lexer *x)
{
    size_t at = x->at;
    while (at > 0 && isspace((unsigned char)x->text[at - 1]))
        at--;
    if (at == 0)
        return false;
    return x->text[at - 1] == ':' || (x->text[at - 1] == '.' && (at < 2 || x->text[at - 2] != '.'));
}

static void take_name(lexer *x)
{
    static const char *const keywords[] = { "and",   "break",  "do",     "else",     "elseif",
                                            "end",   "false",  "for",    "function", "goto",
                                            "if",    "in",     "local",  "nil",      "not",
                                            "or",    "repeat", "return", "then",     "true",
                                            "until", "while",  NULL };
    static const char *const globals[] = { "modalua", "orthanc", "help", "pp", "In", "Out", NULL };
    size_t end = x->at;
    while (is_name(byte_at(x, end)))
        end++;
    if (is_in(keywords, x->text + x->at, end - x->at))
        take(x, end, LUA_COLOUR_KEYWORD);
    else if (is_in(globals, x->text + x->at, end - x->at) && !is_field(x))
        take(x, end, LUA_COLOUR_GLOBAL);
    else
        take(x, end, LUA_COLOUR_PLAIN);
}

static void take_number(lexer *x)
{
    bool is_hex = byte_at(x, x->at) == '0' && tolower((unsigned char)byte_at(x, x->at + 1)) == 'x';
    size_t end = x->at;
    for (char c; is_name(c = byte_at(x, end)) || c == '.'; end++) {
        char next = byte_at(x, end + 1);
        if (tolower((unsigned char)c) == (is_hex ? 'p' : 'e') && (next == '+' || next == '-'))
            end++;
    }
    take(x, end, LUA_COLOUR_NUMBER);
}

static void take_bracket(lexer *x, char c)
{
    const char *opening = strchr("(){}[]", c);
    bool closes = c == ')' || c == '}' || c == ']';
    bool is_wrong =
        closes && (x->depth == 0 || (x->depth <= DEPTH_MAX && x->closing[x->depth - 1] != c));
    if (!closes && x->depth < DEPTH_MAX)
        x->closing[x->depth] = opening[1];
    if (!closes)
        x->depth++;
    else if (!is_wrong)
        x->depth--;
    take(x, x->at + 1, is_wrong ? LUA_COLOUR_WRONG : LUA_COLOUR_PLAIN);
}

/* ---- all of it ---- */

static void take_token(lexer *x)
{
    char c = x->text[x->at], next = byte_at(x, x->at + 1);
    if (c == '-' && next == '-')
        take_comment(x);
    else if (c == '"' || c == '\'')
        take_string(x);
    else if (c == '[' && end_of_long(x, x->at) > 0)
        take(x, end_of_long(x, x->at), LUA_COLOUR_STRING);
    else if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)next)))
        take_number(x);
    else if (is_name(c))
        take_name(x);
    else if (c != '\0' && strchr("(){}[]", c))
        take_bracket(x, c);
    else
        take(x, x->at + 1, LUA_COLOUR_PLAIN);
}

/* A command of the prompt is no Lua. Returns the size of its name; 0: it is none. */
static size_t command_size(const char *text, size_t size)
{
    size_t end = 1;
    if (size < 2 || text[0] != '.' || !isalpha((unsigned char)text[1]))
        return 0;
    while (end < size && isalpha((unsigned char)text[end]))
        end++;
    return end;
}

void lua_colours_find(const char *text, size_t size, unsigned char *colours)
{
    lexer x = { .text = text, .size = size, .colours = colours };
    size_t command = command_size(text, size);
    if (command > 0) {
        take(&x, command, LUA_COLOUR_KEYWORD);
        take(&x, size, LUA_COLOUR_PLAIN);
    }
    while (x.at < size)
        take_token(&x);
}
