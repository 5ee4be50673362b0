/* terminal.c - plays a user at a terminal: terminal COLUMNS ROWS PROGRAM [ARGUMENT…]
 *
 * It runs the program on a pseudo-terminal and plays the steps that it reads from standard input,
 * one on each line:
 *
 *   wait TEXT           waits until the program has written TEXT, after the text of the last wait
 *                       (a newline at the end of that text may be the start of this one)
 *
 *   send TEXT           types TEXT
 *
 *   size COLUMNS ROWS   changes the size of the window
 *
 *   gate PATH           opens this gate of dicomd, which then answers the commands that it holds
 *
 *   hang up             closes the terminal; no step follows
 *
 * In TEXT, %xx stands for a byte. After the last step it waits until the program ends, and prints
 * the output of the program without control sequences, without rows that were emptied, and without
 * the blanks that begin a row; with TERMINAL_RAW in the environment, it writes the output as it came
 * into the file of that name. It exits with the program's status. If a step fails, it says which one
 * and exits with status 99. */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_SECONDS = 120, STEP_FAILED = 99, ROOM = 1 << 20 };

static char seen[ROOM];   /* the output of the program, without control sequences */
static size_t seen_size;  /* its size in bytes */
static size_t found;      /* offset of the end of the text that the last wait found */
static size_t row;        /* offset of the beginning of the last row */
static size_t written;    /* offset of what was written since the cursor was at its beginning */
static size_t columns;    /* of the window */
static bool at_start;     /* whether the cursor is at the beginning of that row */
static bool is_elsewhere; /* whether the cursor has left that row */
static FILE *raw;         /* gets the output as it came; NULL: none does */
static int escape;        /* in a control sequence: 1 after ESC, 2 after ESC [; else 0 */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The cursor goes back to the beginning of its row. Text without a newline may have filled rows before
 * it. What follows is written over that row, and here behind it. */
static void go_to_start(void)
{
    size_t cells = 0;
    for (size_t i = written; i < seen_size; i++)
        if (((unsigned char)seen[i] & 0xC0) != 0x80 && cells++ == columns) {
            row = i;
            cells = 1;
        }
    written = seen_size;
    at_start = true;
}

/* The row is emptied: a line that says what takes long, or a bar, may have been there for a moment, on a
 * slow machine at any time. What follows comes behind the newline before it, also for a wait that has found
 * a part of it. */
static void empty_row(void)
{
    seen_size = written = row;
    if (found > row)
        found = row > 0 && seen[row - 1] == '\n' ? row - 1 : row;
}

static void take_text(unsigned char c)
{
    if (seen_size + 1 >= ROOM)
        return;
    seen[seen_size++] = (char)c;
    at_start = c == '\n';
    if (c == '\n') {
        row = written = seen_size;
        is_elsewhere = false;
    }
}

/* As many blanks as the window has columns, at the end of the output: they begin a row, when CR follows. A
 * terminal shows nothing of them, but what stood in their row before. */
static void take_out_blanks(void)
{
    size_t begin = seen_size;
    while (begin > 0 && seen_size - begin < columns && seen[begin - 1] == ' ')
        begin--;
    if (columns == 0 || seen_size - begin < columns || begin < found)
        return;
    seen_size = begin;
    if (begin > 0 && seen[begin - 1] != '\n')
        take_text('\n');
}

static void take(unsigned char c)
{
    if (escape == 1) {
        escape = c == '[' || c == '(' ? 2 : 0;
    } else if (escape == 2) {
        if (c == 'K' && at_start && !is_elsewhere)
            empty_row();
        is_elsewhere = is_elsewhere || c == 'A' || c == 'B';
        escape = isalpha(c) || c == '~' ? 0 : 2;
    } else if (c == 27) {
        escape = 1;
    } else if (c == '\r') {
        take_out_blanks();
        go_to_start();
    } else if (c != '\a') {
        take_text(c);
    }
}

/* Waits for output for at most 50 ms and reads it. False if the program has closed the terminal. */
static bool read_some(int fd)
{
    char block[4096];
    struct pollfd p = { fd, POLLIN, 0 };
    ssize_t n;
    if (poll(&p, 1, 50) <= 0)
        return true;
    n = read(fd, block, sizeof block);
    if (raw && n > 0)
        fwrite(block, 1, (size_t)n, raw);
    for (ssize_t i = 0; i < n; i++)
        take((unsigned char)block[i]);
    return n > 0;
}

/* Decodes %xx in place, up to the newline. Returns the size. */
static size_t decode(char *text)
{
    char *to = text;
    for (const char *p = text; *p && *p != '\n'; p++) {
        unsigned byte;
        if (*p == '%' && sscanf(p + 1, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

static bool wait_for(int fd, const char *text, size_t size)
{
    double end = now() + TIMEOUT_SECONDS;
    bool open = true;
    for (;;) {
        const char *at = memmem(seen + found, seen_size - found, text, size);
        if (at) {
            found = (size_t)(at - seen) + size - (text[size - 1] == '\n');
            return true;
        }
        if (!open || now() > end)
            return false;
        open = read_some(fd);
    }
}

static void set_size(int fd, const char *text)
{
    struct winsize window = { 0 };
    sscanf(text, "%hu %hu", &window.ws_col, &window.ws_row);
    columns = window.ws_col;
    ioctl(fd, TIOCSWINSZ, &window);
}

static bool open_gate(const char *path)
{
    static const char bytes[100000];
    FILE *gate = fopen(path, "a");
    bool ok = gate && fwrite(bytes, 1, sizeof bytes, gate) == sizeof bytes;
    return gate && fclose(gate) == 0 && ok;
}

static bool play(int fd)
{
    char *line = NULL;
    size_t room = 0;
    bool ok = true;
    while (ok && getline(&line, &room, stdin) > 5) {
        char *text = line + 5;
        size_t size = decode(text);
        if (strncmp(line, "send ", 5) == 0)
            ok = write(fd, text, size) == (ssize_t)size;
        else if (strncmp(line, "size ", 5) == 0)
            set_size(fd, text);
        else if (strncmp(line, "gate ", 5) == 0)
            ok = open_gate(text);
        else if (strncmp(line, "hang ", 5) == 0)
            close(fd);
        else
            ok = wait_for(fd, text, size);
        if (!ok)
            fprintf(stderr, "terminal: this step failed: %.5s'%s'\n", line, text);
    }
    free(line);
    return ok;
}

/* Waits until the program ends, kills it after TIMEOUT_SECONDS, and returns its exit status. */
static int end_of(pid_t child, int fd)
{
    double end = now() + TIMEOUT_SECONDS;
    int status;
    while (read_some(fd) && now() < end)
        ;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (now() > end) {
            fputs("terminal: the program does not end\n", stderr);
            kill(child, SIGKILL);
            end += TIMEOUT_SECONDS;
        }
        usleep(10000);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    struct winsize window = { 0 };
    int fd, status;
    bool ok;
    pid_t child;
    if (argc < 4)
        return STEP_FAILED;
    if (getenv("TERMINAL_RAW"))
        raw = fopen(getenv("TERMINAL_RAW"), "we");
    columns = (size_t)atoi(argv[1]);
    window.ws_col = (unsigned short)columns;
    window.ws_row = (unsigned short)atoi(argv[2]);
    child = forkpty(&fd, NULL, NULL, &window);
    if (child == 0) {
        execvp(argv[3], argv + 3);
        _exit(127);
    }
    if (child < 0)
        return STEP_FAILED;
    ok = play(fd);
    if (!ok)
        kill(child, SIGKILL);
    status = end_of(child, fd);
    fwrite(seen, 1, seen_size, stdout);
    if (raw)
        fclose(raw);
    return ok ? status : STEP_FAILED;
}
