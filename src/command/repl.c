#include "command/repl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "command/console.h"
#include "command/history.h"
#include "command/json_text.h"
#include "command/line_editor.h"
#include "command/pager.h"
#include "command/signals.h"

enum {
    STEP_MS = 100,   /* after which Ctrl-C during a transfer is noticed */
    QUESTION_MS = 50 /* the same for an answer to the question that it brings up */
};

typedef struct session {
    modalua_runtime *rt;
    line_editor *editor; /* NULL: not on a terminal */
    bool environment;
    bool detached; /* the run ends because the user let go of its transfer */
    buffer input;  /* the lines of the present input, with newlines between them */
    char *line;    /* getline's, without an editor */
    size_t room;
} session;

bool repl_on_terminal(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && terminal &&
           strcmp(terminal, "dumb") != 0;
}

/* ---- runs ---- */

/* Moves the run on until an answer has been typed, Ctrl-C has come once more, or it has ended. */
static int run_until_answer(modalua_runtime *rt, bool *typed)
{
    struct pollfd in = { STDIN_FILENO, POLLIN, 0 };
    int status;
    *typed = false;
    do
        status = modalua_step(rt, QUESTION_MS);
    while (status == MODALUA_WORKING && modalua_transfers(rt) > 0 &&
           !(*typed = poll(&in, 1, 0) > 0));
    return status;
}

/* Ctrl-C during a transfer: what is to become of it. The transfer goes on meanwhile; a second
 * Ctrl-C cancels it. */
static int ask(session *s)
{
    modalua_runtime *rt = s->rt;
    char answer[64];
    bool typed;
    int status;
    ssize_t n;
    signals_note(false);
    console_hold_bar(true);
    tcflush(STDIN_FILENO, TCIFLUSH); /* an answer is typed after its question */
    fputs("\na transfer is under way: cancel it on the server (c), detach (d: it goes on there), "
          "go on (Enter)? ",
          stderr);
    status = run_until_answer(rt, &typed);
    n = typed ? read(STDIN_FILENO, answer, sizeof answer) : 0;
    if (!typed)
        fputc('\n', stderr);
    console_hold_bar(false);
    if (n > 0 && (answer[0] == 'c' || answer[0] == 'C'))
        modalua_cancel(rt);
    if (n > 0 && (answer[0] == 'd' || answer[0] == 'D')) {
        modalua_detach(rt);
        s->detached = true;
        fputs("detached: .jobs shows what goes on\n", stderr);
    }
    return status;
}

/* Moves a run that has been started on to its end. */
static int finish(session *s, int status)
{
    modalua_runtime *rt = s->rt;
    if (status == MODALUA_OK)
        status = MODALUA_WORKING;
    while (status == MODALUA_WORKING) {
        status = modalua_step(rt, STEP_MS);
        if (status != MODALUA_WORKING)
            break;
        signals_note(s->editor && modalua_transfers(rt) > 0);
        if (!signals_noted())
            continue;
        if (modalua_transfers(rt) > 0)
            status = ask(s);
        else
            modalua_cancel(rt);
        if (status == MODALUA_WORKING)
            signals_forget();
    }
    return status;
}

/* Calls one of the Lua half's functions, to the end of what it brings about. */
static int call(session *s, const char *function, const char *json)
{
    s->detached = false;
    signals_catch(s->rt);
    return finish(s, modalua_start_call(s->rt, function, json, NULL, NULL));
}

/* ---- what the Lua half is asked ---- */

/* A JSON string of the text. The caller frees it. */
static char *json_of(const char *bytes, size_t size)
{
    buffer json = { 0 };
    if (buffer_add(&json, "\"", 1) && buffer_add_escaped(&json, bytes, size) &&
        buffer_add(&json, "\"", 1))
        return json.data;
    free(json.data);
    return NULL;
}

/* Prints what the last line gave. */
static int show(session *s)
{
    char options[40];
    buffer shown = { 0 };
    int status;
    snprintf(options, sizeof options, "{\"width\":%zu}", console_width());
    console_collect(&shown);
    status = call(s, "modalua.evaluate.show", options);
    console_collect(NULL);
    if (shown.data)
        pager_show(shown.data, shown.size, s->environment);
    free(shown.data);
    return status;
}

static const char *complete(void *user, const char *before, size_t size)
{
    session *s = user;
    buffer json = { 0 };
    const char *answer = NULL;
    if (buffer_add(&json, "{\"text\":\"", 9) && buffer_add_escaped(&json, before, size) &&
        buffer_add(&json, "\"}", 2))
        modalua_call(s->rt, "modalua.completion.complete", json.data, &answer);
    free(json.data);
    return answer;
}

static void add_entry(void *user, const char *input)
{
    buffer *list = user;
    if (buffer_add(list, input, strlen(input)))
        buffer_add(list, "\n", 1);
}

static void show_history(session *s)
{
    buffer list = { 0 };
    if (s->editor)
        line_editor_each(s->editor, add_entry, &list);
    if (list.data)
        pager_show(list.data, list.size, s->environment);
    free(list.data);
}

/* ---- lines ---- */

typedef enum outcome { GO_ON, MORE, QUIT } outcome;

/* Does what the Lua half says of a line, which it has run. */
static outcome obey(session *s, const char *answer)
{
    if (answer && strcmp(answer, "\"more\"") == 0)
        return MORE;
    if (answer && strcmp(answer, "\"quit\"") == 0)
        return QUIT;
    if (answer && strcmp(answer, "\"history\"") == 0)
        show_history(s);
    if (answer && strncmp(answer, "{\"error\":", 9) == 0) {
        char *message;
        answer += 9;
        message = json_next_string(&answer);
        fprintf(stderr, "%s\n", message ? message : modalua_strerror(MODALUA_E_NOMEM));
        free(message);
    }
    return GO_ON;
}

static void complain(session *s, int status)
{
    if (status < 0 && status != MODALUA_EXIT && !s->detached)
        fprintf(stderr, "%s\n", modalua_last_error(s->rt));
}

/* Runs the input as it is so far. */
static outcome evaluate(session *s, int *status)
{
    char *json = json_of(s->input.data, s->input.size);
    outcome o = GO_ON;
    *status = json ? call(s, "modalua.evaluate.line", json) : MODALUA_E_NOMEM;
    free(json);
    console_clear();
    complain(s, *status);
    if (*status == MODALUA_OK)
        o = obey(s, modalua_result(s->rt));
    if (*status == MODALUA_OK && o == GO_ON) {
        *status = show(s);
        complain(s, *status);
    }
    if (s->editor && o != MORE)
        line_editor_remember(s->editor, s->input.data);
    return o;
}

static line_editor_result read_plain(session *s, const char *prompt, const char **line)
{
    ssize_t n;
    fputs(prompt, stdout);
    fflush(stdout);
    errno = 0;
    n = getline(&s->line, &s->room, stdin);
    if (n < 0 && (errno != EINTR || signals_last() == SIGTERM))
        return LINE_EDITOR_END;
    if (n < 0) {
        clearerr(stdin);
        return LINE_EDITOR_STOPPED;
    }
    s->line[strcspn(s->line, "\n")] = '\0';
    *line = s->line;
    return text_is_utf8(s->line, strlen(s->line)) ? LINE_EDITOR_LINE : LINE_EDITOR_INVALID;
}

static line_editor_result read_line(session *s, const char **line)
{
    const char *prompt = s->input.size == 0 ? "> " : ">> ";
    line_editor_result result;
    signals_catch(s->rt);
    signals_note(true);
    result = s->editor
                 ? line_editor_read(s->editor, prompt, s->input.size ? s->input.data : "", line)
                 : read_plain(s, prompt, line);
    if (result == LINE_EDITOR_STOPPED && signals_last() == SIGTERM)
        return LINE_EDITOR_END;
    return result;
}

/* Reads a line, and runs the input when it is complete. */
static outcome take_line(session *s, int *status)
{
    const char *line = NULL;
    outcome o = GO_ON;
    switch (read_line(s, &line)) {
    case LINE_EDITOR_END: putchar('\n'); return QUIT;
    case LINE_EDITOR_STOPPED: putchar('\n'); break; /* Ctrl-C: the input is given up */
    case LINE_EDITOR_INVALID:
        fputs("this is not UTF-8, and was not run: is the terminal set to another encoding?\n",
              stderr);
        break;
    case LINE_EDITOR_LINE:
        if (buffer_add(&s->input, line, strlen(line)))
            o = evaluate(s, status);
        break;
    }
    if (o == MORE && buffer_add(&s->input, "\n", 1))
        return MORE;
    s->input.size = 0;
    return o;
}

/* ---- the session ---- */

static void open_editor(session *s)
{
    char *path;
    if (!repl_on_terminal())
        return;
    path = s->environment ? history_path() : NULL;
    s->editor = line_editor_open(path, complete, s);
    free(path);
}

static int greet(session *s)
{
    const char *json;
    char *greeting;
    int status = call(s, "modalua.evaluate.begin", NULL);
    json = modalua_result(s->rt);
    greeting = status == MODALUA_OK && s->editor && json ? json_next_string(&json) : NULL;
    if (greeting)
        puts(greeting);
    free(greeting);
    complain(s, status);
    return status;
}

int repl_run(modalua_runtime *rt, bool environment)
{
    session s = { .rt = rt, .environment = environment };
    int status;
    open_editor(&s);
    status = greet(&s);
    while (status != MODALUA_EXIT && take_line(&s, &status) != QUIT)
        ;
    signals_release();
    line_editor_close(s.editor);
    free(s.input.data);
    free(s.line);
    return status == MODALUA_EXIT ? MODALUA_EXIT : MODALUA_OK;
}
