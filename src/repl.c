#include "repl.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"

/* The lines of one input, as a JSON string under construction: that is what modalua_call takes. */
typedef struct input {
    char *json;
    size_t size, room;
} input;

static bool add(input *in, const char *text, size_t size)
{
    if (in->size + size + 1 > in->room) {
        size_t room = (in->size + size + 1) * 2;
        char *grown = realloc(in->json, room);
        if (!grown)
            return false;
        in->json = grown;
        in->room = room;
    }
    memcpy(in->json + in->size, text, size);
    in->size += size;
    in->json[in->size] = '\0';
    return true;
}

static bool add_line(input *in, const char *line)
{
    bool ok = add(in, in->size == 0 ? "\"" : "\\n", in->size == 0 ? 1 : 2);
    for (; ok && *line; line++) {
        char escape[8];
        unsigned char c = (unsigned char)*line;
        int n = c == '"' || c == '\\' ? snprintf(escape, sizeof escape, "\\%c", c)
                : c < ' '             ? snprintf(escape, sizeof escape, "\\u%04x", c)
                                      : snprintf(escape, sizeof escape, "%c", c);
        ok = add(in, escape, (size_t)n);
    }
    return ok;
}

/* True: the input is not complete. */
static bool evaluate(modalua_runtime *rt, input *in, int *status)
{
    const char *answer = NULL;
    bool more;
    if (!add(in, "\"", 1))
        return false;
    *status = modalua_call(rt, "modalua.repl.evaluate", in->json, &answer);
    more = answer && strcmp(answer, "\"more\"") == 0;
    in->json[--in->size] = '\0';
    return more;
}

int repl_run(modalua_runtime *rt, void (*before)(modalua_runtime *), void (*after)(void))
{
    input in = { NULL, 0, 0 };
    char *line = NULL;
    size_t room = 0;
    int status = MODALUA_OK;
    while (status != MODALUA_EXIT) {
        ssize_t n;
        fputs(in.size == 0 ? "> " : ">> ", stdout);
        fflush(stdout);
        before(rt);
        errno = 0;
        n = getline(&line, &room, stdin);
        if (n < 0 && errno != EINTR)
            break;
        if (n < 0) { /* Ctrl-C at the prompt: the input is given up */
            clearerr(stdin);
            in.size = 0;
            putchar('\n');
            continue;
        }
        line[strcspn(line, "\n")] = '\0';
        if (!add_line(&in, line) || !evaluate(rt, &in, &status))
            in.size = 0;
        console_clear();
        if (status < 0 && status != MODALUA_EXIT)
            fprintf(stderr, "%s\n", modalua_last_error(rt));
    }
    after();
    if (status != MODALUA_EXIT)
        putchar('\n');
    free(line);
    free(in.json);
    return status == MODALUA_EXIT ? MODALUA_EXIT : MODALUA_OK;
}
