#include "base/terminal.h"
#include "command/repl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/utf8.h"
#include "command/console.h"
#include "command/history.h"
#include "command/json_text.h"
#include "command/line_editor.h"
#include "command/pager.h"
#include "command/signals.h"

enum {
    STEP_MS = 100,   /* the delay after which Ctrl-C during a transfer is noticed */
    QUESTION_MS = 50 /* the delay after which the answer to a question is noticed */
};

typedef struct session {
    modalua_runtime *rt;
    line_editor *editor; /* NULL: there is no terminal */
    bool environment;
    bool detached; /* the present run ends because the user has detached its transfer */
    buffer input;  /* the lines of the present input, with newlines between them */
    char *line;    /* getline's buffer, when there is no editor */
    size_t room;
} session;

/* ---- runs ---- */

/* Continues the run until the user has typed something, Ctrl-C has come again, or the run has no
 * transfer any more. */
static int step_until_answer(modalua_runtime *rt, bool *typed)
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

/* After Ctrl-C during a transfer: asks what to do with it, and does that. The transfer continues
 * meanwhile; another Ctrl-C cancels it. */
static int ask_about_transfer(session *s)
{
    modalua_runtime *rt = s->rt;
    char answer[64];
    bool typed;
    int status;
    ssize_t n;
    signals_note(false);
    console_hold_bar(true);
    tcflush(STDIN_FILENO, TCIFLUSH); /* keys typed before the question are no answer */
    fputs("\na transfer is under way: cancel it on the server (c), detach (d: it goes on there), "
          "go on (Enter)? ",
          stderr);
    status = step_until_answer(rt, &typed);
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

/* Continues a run that has been started, to its end. */
static int finish_run(session *s, int status)
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
            status = ask_about_transfer(s);
        else
            modalua_cancel(rt);
        if (status == MODALUA_WORKING)
            signals_forget();
    }
    return status;
}

/* Calls a function of the Lua half and waits for its end. json NULL: without an argument. */
static int call_lua(session *s, const char *function, const char *json)
{
    s->detached = false;
    signals_catch(s->rt);
    return finish_run(s, modalua_start_call(s->rt, function, json, NULL, NULL));
}

/* ---- calls of the Lua half ---- */

static int run_input(session *s)
{
    json_writer w = { 0 };
    char *json;
    int status = MODALUA_E_NOMEM;
    json_text_bytes(&w, s->input.data, s->input.size);
    json = json_text_take(&w);
    if (json)
        status = call_lua(s, "modalua.evaluate.line", json);
    free(json);
    return status;
}

/* Prints the results of the last input. */
static int show_results(session *s)
{
    json_writer w = { 0 };
    buffer shown = { 0 };
    char *json;
    int status = MODALUA_E_NOMEM;
    json_text_open(&w, '{');
    json_text_add_number(&w, "width", (long)terminal_width(STDOUT_FILENO));
    json_text_add_boolean(&w, "colour", isatty(STDOUT_FILENO) && terminal_wants_colour());
    json_text_close(&w, '}');
    json = json_text_take(&w);
    console_collect(&shown);
    if (json)
        status = call_lua(s, "modalua.evaluate.show", json);
    console_collect(NULL);
    free(json);
    if (shown.data)
        pager_show(shown.data, shown.size, s->environment);
    free(shown.data);
    return status;
}

/* A line_editor_complete_fn. */
static const char *complete(void *user, const char *before, size_t size)
{
    session *s = user;
    json_writer w = { 0 };
    char *json;
    const char *candidates = NULL;
    json_text_open(&w, '{');
    json_text_key(&w, "text");
    json_text_bytes(&w, before, size);
    json_text_close(&w, '}');
    json = json_text_take(&w);
    if (json)
        modalua_call(s->rt, "modalua.completion.complete", json, &candidates);
    free(json);
    return candidates;
}

/* ---- the history ---- */

static void add_entry(void *user, const char *input)
{
    buffer *list = user;
    if (buffer_add_shown(list, input, strlen(input), SHOWN_LINES))
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

/* ---- inputs ---- */

typedef enum outcome {
    INPUT_DONE,
    INPUT_NEEDS_MORE, /* it continues in the next line */
    INPUT_QUITS       /* the user wants to leave */
} outcome;

/* Prints the text of an error, which may have a hint and a traceback. */
static void show_error(const char *text)
{
    console_show(stderr, text, strlen(text), SHOWN_LINES);
    fputc('\n', stderr);
}

static void print_error(session *s, int status)
{
    if (status < 0 && status != MODALUA_EXIT && !s->detached)
        show_error(modalua_last_error(s->rt));
}

/* Acts on the answer of modalua.evaluate.line: nothing, "more", "quit", "history", or an object
 * with the member "error". */
static outcome act_on_answer(session *s, const char *answer)
{
    bool is_object = answer && answer[0] == '{';
    char *word = answer ? json_text_next_string(&answer) : NULL;
    outcome o = INPUT_DONE;
    if (is_object) {
        char *message = json_text_next_string(&answer);
        show_error(message ? message : modalua_strerror(MODALUA_E_NOMEM));
        free(message);
    } else if (word && strcmp(word, "more") == 0) {
        o = INPUT_NEEDS_MORE;
    } else if (word && strcmp(word, "quit") == 0) {
        o = INPUT_QUITS;
    } else if (word && strcmp(word, "history") == 0) {
        show_history(s);
    }
    free(word);
    return o;
}

/* Runs the lines of the input so far, and prints its results. */
static outcome evaluate_input(session *s, int *status)
{
    outcome o = INPUT_DONE;
    *status = run_input(s);
    console_clear();
    print_error(s, *status);
    if (*status == MODALUA_OK)
        o = act_on_answer(s, modalua_result(s->rt));
    if (*status == MODALUA_OK && o == INPUT_DONE) {
        *status = show_results(s);
        print_error(s, *status);
    }
    if (s->editor && o != INPUT_NEEDS_MORE)
        line_editor_remember(s->editor, s->input.data);
    return o;
}

/* Reads a line when there is no editor. */
static line_editor_result read_plain(session *s, const char *prompt, const char **line)
{
    ssize_t n;
    fputs(prompt, stdout);
    fflush(stdout);
    errno = 0;
    n = getline(&s->line, &s->room, stdin);
    if (n < 0 && (errno != EINTR || signals_end_session()))
        return LINE_EDITOR_END;
    if (n < 0) {
        clearerr(stdin);
        return LINE_EDITOR_STOPPED;
    }
    s->line[strcspn(s->line, "\n")] = '\0';
    *line = s->line;
    return utf8_is_valid(s->line, strlen(s->line)) ? LINE_EDITOR_LINE : LINE_EDITOR_INVALID;
}

static line_editor_result read_line(session *s, const char **line)
{
    const char *prompt = s->input.size == 0 ? "> " : ">> ";
    const char *earlier = s->input.size == 0 ? "" : s->input.data;
    line_editor_result result;
    signals_catch(s->rt);
    signals_note(true);
    result = s->editor ? line_editor_read(s->editor, prompt, earlier, line)
                       : read_plain(s, prompt, line);
    if (result == LINE_EDITOR_STOPPED && signals_end_session())
        return LINE_EDITOR_END;
    return result;
}

/* Reads a line, and runs the input when it is complete. Ctrl-C drops the input. */
static outcome take_line(session *s, int *status)
{
    const char *line = NULL;
    outcome o = INPUT_DONE;
    switch (read_line(s, &line)) {
    case LINE_EDITOR_END: putchar('\n'); return INPUT_QUITS;
    case LINE_EDITOR_STOPPED: putchar('\n'); break;
    case LINE_EDITOR_INVALID:
        fputs("the line is not UTF-8, and was not run: does the terminal use another encoding?\n",
              stderr);
        break;
    case LINE_EDITOR_LINE:
        if (buffer_add(&s->input, line, strlen(line)))
            o = evaluate_input(s, status);
        break;
    }
    if (o == INPUT_NEEDS_MORE && buffer_add(&s->input, "\n", 1))
        return o;
    s->input.size = 0;
    return o;
}

/* ---- the session ---- */

static void open_editor(session *s)
{
    char *path;
    if (!terminal_is_interactive())
        return;
    path = s->environment ? history_path() : NULL;
    s->editor = line_editor_open(path, complete, s);
    free(path);
}

static int begin_session(session *s)
{
    const char *json;
    char *greeting = NULL;
    int status = call_lua(s, "modalua.evaluate.begin", NULL);
    json = modalua_result(s->rt);
    if (status == MODALUA_OK && s->editor && json)
        greeting = json_text_next_string(&json);
    if (greeting)
        puts(greeting);
    free(greeting);
    print_error(s, status);
    return status;
}

int repl_run(modalua_runtime *rt, bool environment)
{
    session s = { .rt = rt, .environment = environment };
    int status;
    open_editor(&s);
    status = begin_session(&s);
    while (status != MODALUA_EXIT && take_line(&s, &status) != INPUT_QUITS)
        ;
    signals_release();
    line_editor_close(s.editor);
    free(s.input.data);
    free(s.line);
    return status == MODALUA_EXIT ? MODALUA_EXIT : MODALUA_OK;
}
