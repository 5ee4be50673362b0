#include "command/repl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/terminal.h"
#include "base/utf8.h"
#include "command/console.h"
#include "command/history.h"
#include "command/json_text.h"
#include "command/line_editor.h"
#include "command/pager.h"
#include "command/session_files.h"
#include "command/signals.h"
#include "command/text_editor.h"
#include "command/user_file.h"
#include "command/waiting_line.h"

enum {
    STEP_MS = 100,         /* the delay after which Ctrl-C ends .watch */
    QUESTION_MS = 50,      /* the delay after which the answer to a question is noticed */
    WIDTH_OF_FILE = 10000, /* columns of a table that goes into a file */
    WATCH_MAX = 86400,     /* seconds between two evaluations of .watch */
    PROMPT_SIZE = 32
};

typedef struct session {
    modalua_runtime *rt;
    line_editor *editor; /* NULL: there is no terminal */
    bool environment;
    bool detached; /* the present run ends because the user has detached its transfer */
    buffer input;  /* the lines of the present input, with newlines between them */
    char *line;    /* getline's buffer, when there is no editor */
    size_t room;
    char *preset;      /* the text of the next line, from $EDITOR; NULL = none */
    bool diverts_once; /* .once is under way */
    bool interrupted;  /* a signal has come; .watch looks at it, and forgets it */
    bool ends;         /* a signal that ends the session has come */
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
    waiting_line waiting;
    waiting_line_begin(&waiting, s->editor && !console_feeds_command());
    if (status == MODALUA_OK)
        status = MODALUA_WORKING;
    while (status == MODALUA_WORKING) {
        status = waiting_line_step(rt, &waiting);
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

/* Catches signals for the next run, or the next line. One that has come since the last time is not lost, even
 * when that was over already. */
static void catch_signals(session *s)
{
    sigset_t caught, before;
    sigemptyset(&caught);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGHUP);
    sigprocmask(SIG_BLOCK, &caught, &before);
    s->interrupted = s->interrupted || signals_last() != 0;
    s->ends = s->ends || signals_end_session();
    signals_catch(s->rt);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Calls a function of the Lua half and waits for its end. json NULL: without an argument. */
static int call_lua(session *s, const char *function, const char *json)
{
    s->detached = false;
    catch_signals(s);
    return finish_run(s, modalua_start_call(s->rt, function, json, NULL, NULL));
}

/* ---- calls of the Lua half ---- */

/* The writer is empty afterwards. */
static int call_with(session *s, const char *function, json_writer *argument)
{
    char *json = json_text_take(argument);
    int status = json ? call_lua(s, function, json) : MODALUA_E_NOMEM;
    free(json);
    return status;
}

static int run_input(session *s)
{
    json_writer w = { 0 };
    json_text_bytes(&w, s->input.data, s->input.size);
    return call_with(s, "modalua.evaluate.line", &w);
}

/* Runs a script; name NULL: an expression, once more. */
static int run_text(session *s, const char *text, const char *name)
{
    json_writer w = { 0 };
    json_text_open(&w, '{');
    json_text_add_string(&w, "text", text);
    if (name)
        json_text_add_string(&w, "name", name);
    json_text_close(&w, '}');
    return call_with(s, "modalua.evaluate.line", &w);
}

/* Prints the text of an error, which may have a hint and a traceback, or of a warning. */
static void show_error(const char *text)
{
    console_show_wrapped(stderr, text, strlen(text));
}

/* Prints the warning that modalua.evaluate.show has returned, if any. */
static void show_warning(const session *s)
{
    const char *json = modalua_result(s->rt);
    char *text = json ? json_text_next_string(&json) : NULL;
    if (text)
        show_error(text);
    free(text);
}

/* Prints the results of the last input. */
static int show_results(session *s)
{
    json_writer w = { 0 };
    buffer shown = { 0 };
    bool raw = console_is_diverted();
    int status;
    json_text_open(&w, '{');
    json_text_add_number(&w, "width", raw ? WIDTH_OF_FILE : (long)terminal_width(STDOUT_FILENO));
    json_text_add_boolean(&w, "raw", raw);
    json_text_add_boolean(&w, "colour", !raw && isatty(STDOUT_FILENO) && terminal_wants_colour());
    json_text_close(&w, '}');
    console_collect(&shown);
    status = call_with(s, "modalua.evaluate.show", &w);
    console_collect(NULL);
    if (shown.data && raw)
        console_print(shown.data, shown.size);
    else if (shown.data)
        pager_show(shown.data, shown.size, s->environment);
    free(shown.data);
    if (status == MODALUA_OK)
        show_warning(s);
    return status;
}

/* Calls a function with the text before the cursor. Returns its result. */
static const char *ask_about_text(session *s, const char *function, const char *before, size_t size)
{
    json_writer w = { 0 };
    char *json;
    const char *answer = NULL;
    json_text_open(&w, '{');
    json_text_key(&w, "text");
    json_text_bytes(&w, before, size);
    json_text_close(&w, '}');
    json = json_text_take(&w);
    if (json)
        modalua_call(s->rt, function, json, &answer);
    free(json);
    return answer;
}

/* A line_editor_complete_fn. */
static const char *complete(void *user, const char *before, size_t size)
{
    return ask_about_text(user, "modalua.completion.complete", before, size);
}

/* A line_editor_hint_fn. */
static const char *find_hint(void *user, const char *before, size_t size)
{
    return ask_about_text(user, "modalua.completion.hint", before, size);
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
    else
        console_complain("the history is empty");
    free(list.data);
}

/* ---- inputs ---- */

typedef enum outcome {
    INPUT_DONE,       /* its results are to be shown */
    INPUT_ANSWERED,   /* it has none */
    INPUT_NEEDS_MORE, /* it continues in the next line */
    INPUT_QUITS       /* the user wants to leave */
} outcome;

static void print_error(session *s, int status)
{
    if (status < 0 && status != MODALUA_EXIT && !s->detached)
        show_error(modalua_last_error(s->rt));
}

static outcome act_on_answer(session *s, int *status);

/* Acts on the end of a run of an input, whose answer or failure it prints. */
static outcome finish_input(session *s, int *status)
{
    outcome o = INPUT_DONE;
    console_clear();
    if (s->editor && !console_command_runs())
        console_begin_row(stdout);
    print_error(s, *status);
    if (*status == MODALUA_OK)
        o = act_on_answer(s, status);
    if (*status == MODALUA_OK && o == INPUT_DONE) {
        *status = show_results(s);
        print_error(s, *status);
    }
    return o;
}

/* ---- what commands ask for ---- */

static int load(session *s, const char *path)
{
    buffer text = { 0 };
    int status = MODALUA_OK;
    if (session_files_read(path, &text)) {
        status = run_text(s, text.data, path);
        finish_input(s, &status);
    }
    free(text.data);
    return status;
}

/* Waits. False: Ctrl-C has come. */
static bool wait_seconds(session *s, double seconds)
{
    long left = seconds < WATCH_MAX ? (long)(seconds * 1000) : WATCH_MAX * 1000L;
    catch_signals(s);
    signals_note(true);
    for (; left > 0 && !s->interrupted && !signals_noted(); left -= STEP_MS)
        poll(NULL, 0, left < STEP_MS ? (int)left : STEP_MS);
    return !s->interrupted && !signals_noted();
}

/* Shows an expression again and again, until Ctrl-C. Its errors do not end it. */
static int watch(session *s, double seconds, const char *expression)
{
    int status;
    catch_signals(s);
    s->interrupted = s->ends;
    do {
        time_t now = time(NULL);
        char text[64];
        int size = (int)strftime(text, sizeof text, "-- %Y-%m-%d %H:%M:%S\n", localtime(&now));
        console_print(text, (size_t)size);
        status = run_text(s, expression, NULL);
        finish_input(s, &status);
    } while (status == MODALUA_OK && wait_seconds(s, seconds));
    if (status == MODALUA_OK)
        putchar('\n'); /* behind the terminal's ^C */
    return status;
}

static void edit(session *s, const char *text)
{
    buffer edited = { 0 };
    if (!s->editor) {
        console_complain(".edit needs a terminal, and not TERM=dumb");
    } else if (text_editor_run(text, &edited)) {
        free(s->preset);
        s->preset = edited.data;
        edited.data = NULL;
    }
    free(edited.data);
}

static void divert(session *s, const char *target, bool once)
{
    bool on = target[0] ? console_divert(target) : (console_undivert(), false);
    s->diverts_once = on && once;
}

/* Carries out a request, whose arguments follow in the answer. */
static void act_on_request(session *s, const char *request, const char *answer, int *status)
{
    char *first = json_text_next_string(&answer);
    char *second = NULL;
    if (!first)
        return;
    if (strcmp(request, "error") == 0) {
        show_error(first);
    } else if (strcmp(request, "load") == 0) {
        *status = load(s, first);
    } else if (strcmp(request, "edit") == 0) {
        edit(s, first);
    } else if (strcmp(request, "watch") == 0) {
        second = json_text_next_string(&answer);
        *status = second ? watch(s, strtod(first, NULL), second) : MODALUA_E_NOMEM;
    } else {
        divert(s, first, strcmp(request, "once") == 0);
    }
    free(first);
    free(second);
}

/* Acts on the answer of modalua.evaluate.line: nothing, a word, or an object that has a request as its
 * key. */
static outcome act_on_answer(session *s, int *status)
{
    const char *answer = modalua_result(s->rt);
    bool is_request = answer && answer[0] == '{';
    char *word = answer ? json_text_next_string(&answer) : NULL;
    outcome o = INPUT_DONE;
    if (word && is_request && strcmp(word, "save") == 0)
        session_files_save(answer);
    else if (word && is_request)
        act_on_request(s, word, answer, status);
    else if (word && strcmp(word, "more") == 0)
        o = INPUT_NEEDS_MORE;
    else if (word && strcmp(word, "quit") == 0)
        o = INPUT_QUITS;
    else if (word && strcmp(word, "history") == 0)
        show_history(s);
    if (o == INPUT_DONE && word && !(is_request && strcmp(word, "error") == 0))
        o = INPUT_ANSWERED;
    free(word);
    return o;
}

/* Runs the lines of the input so far, and prints its results. */
static outcome evaluate_input(session *s, int *status)
{
    outcome o;
    *status = run_input(s);
    o = finish_input(s, status);
    if (s->editor && o != INPUT_NEEDS_MORE)
        line_editor_remember(s->editor, s->input.data);
    if (s->diverts_once && console_has_diverted()) {
        s->diverts_once = false;
        console_undivert();
    }
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
    clearerr(stdin); /* after Ctrl-D, which may have dropped an input, a terminal has more */
    if (n < 0 && (errno != EINTR || signals_end_session())) {
        putchar('\n');
        return LINE_EDITOR_END;
    }
    if (n < 0)
        return LINE_EDITOR_STOPPED;
    n -= n > 0 && s->line[n - 1] == '\n';
    *line = s->line;
    if (memchr(s->line, '\0', (size_t)n) || !utf8_is_valid(s->line, (size_t)n))
        return LINE_EDITOR_INVALID;
    s->line[n] = '\0';
    return LINE_EDITOR_LINE;
}

/* The number of the input stands before the prompt when the user wants it. */
static void make_prompts(session *s, char *first, char *more)
{
    const char *json = NULL;
    char *number = NULL;
    if (modalua_call(s->rt, "modalua.evaluate.prompt", NULL, &json) == MODALUA_OK && json)
        number = json_text_next_string(&json);
    snprintf(first, PROMPT_SIZE, "%s> ", number ? number : "");
    snprintf(more, PROMPT_SIZE, "%s>> ", number ? number : "");
    free(number);
}

/* Adds a line to the input. */
static line_editor_result read_line(session *s)
{
    char first[PROMPT_SIZE], more[PROMPT_SIZE];
    line_request request = { .first = first, .more = more, .earlier = "" };
    const char *text = NULL;
    line_editor_result result;
    make_prompts(s, first, more);
    request.preset = s->preset;
    if (s->input.size > 0)
        request.earlier = s->input.data;
    if (s->editor && s->input.size == 0)
        console_begin_row(stdout);
    catch_signals(s);
    signals_note(true);
    if (s->ends)
        return LINE_EDITOR_END;
    result = s->editor ? line_editor_read(s->editor, &request, &text)
                       : read_plain(s, s->input.size == 0 ? request.first : request.more, &text);
    free(s->preset);
    s->preset = NULL;
    if (result == LINE_EDITOR_LINE && s->editor)
        s->input.size = 0; /* the text has the earlier lines */
    if (result == LINE_EDITOR_LINE && !buffer_add(&s->input, text, strlen(text)))
        return LINE_EDITOR_END;
    if (result == LINE_EDITOR_STOPPED && signals_end_session()) {
        putchar('\n');
        return LINE_EDITOR_END;
    }
    return result;
}

/* Reads a line, and runs the input when it is complete. Ctrl-C drops the input, and so does Ctrl-D in
 * its second line. */
static outcome take_line(session *s, int *status)
{
    outcome o = INPUT_DONE;
    switch (read_line(s)) {
    case LINE_EDITOR_END:
        if (s->input.size == 0 || s->ends || signals_end_session())
            return INPUT_QUITS;
        break;
    case LINE_EDITOR_STOPPED: putchar('\n'); break;
    case LINE_EDITOR_INVALID:
        fputs("the line is not UTF-8, or has a NUL, and was not run: does the terminal use another "
              "encoding?\n",
              stderr);
        break;
    case LINE_EDITOR_LINE: o = evaluate_input(s, status); break;
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
    s->editor = line_editor_open(path, complete, find_hint, s);
    free(path);
}

/* A failure of init.lua does not end the session. */
static int run_start_file(session *s)
{
    char *path = user_file_path("XDG_CONFIG_HOME", ".config", "modalua/init.lua");
    int status = path && access(path, F_OK) == 0 ? load(s, path) : MODALUA_OK;
    free(path);
    return status;
}

static int begin_session(session *s)
{
    const char *json;
    char *greeting = NULL;
    int status = call_lua(s, "modalua.evaluate.begin", NULL);
    json = modalua_result(s->rt);
    if (status == MODALUA_OK && terminal_has_user() && json)
        greeting = json_text_next_string(&json);
    if (greeting)
        console_show_wrapped(stdout, greeting, strlen(greeting));
    free(greeting);
    print_error(s, status);
    if (status == MODALUA_OK && s->editor)
        call_lua(s, "modalua.evaluate.learn", NULL); /* completion can do without */
    if (status == MODALUA_OK && s->environment)
        status = run_start_file(s);
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
    console_undivert();
    line_editor_close(s.editor);
    free(s.preset);
    free(s.input.data);
    free(s.line);
    return status == MODALUA_EXIT ? MODALUA_EXIT : MODALUA_OK;
}
