#include "command/waiting_line.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/terminal.h"
#include "base/text_width.h"
#include "command/console.h"

enum {
    STEP_MS = 100, /* the delay after which Ctrl-C during a transfer is noticed */
    DESCRIPTORS_MAX = 64,
    QUICK_STEPS = 8, /* after which a run is thought to have many short ones */
    TEXT_SIZE = 160
};

#define QUICK_SECONDS 0.1 /* terminals show what they withhold after some such time */
#define PATIENCE      1.0 /* seconds without a line; also after a progress bar of the script */

void waiting_line_begin(waiting_line *w, bool wanted)
{
    w->on = wanted && isatty(STDERR_FILENO);
    w->shown = false;
    w->quick = 0;
    w->begun = clock_now();
    w->next = w->begun + PATIENCE;
}

static void draw(const modalua_runtime *rt, double seconds)
{
    const char *name;
    char text[TEXT_SIZE], others[TEXT_SIZE / 2] = "";
    int count = modalua_waiting(rt, &name), transfers = modalua_transfers(rt);
    const char *stop = transfers > 0 ? "  (Ctrl-C asks)" : "  (Ctrl-C cancels)";
    size_t size;
    if (count > 1 && transfers > 1)
        snprintf(others, sizeof others, " and %d more, %d transfers", count - 1, transfers);
    else if (count > 1)
        snprintf(others, sizeof others, " and %d more", count - 1);
    size = (size_t)snprintf(text, sizeof text, "%s%s … %.0f s", name ? name : "waiting", others,
                            seconds);
    if (text_width_columns(text, size) + strlen(stop) < terminal_width(STDERR_FILENO))
        size += (size_t)snprintf(text + size, sizeof text - size, "%s", stop);
    console_bar(NULL, text, size);
}

/* Waits until the run can go on. False: it cannot yet, but a short time is over. */
static bool wait_for_run(modalua_runtime *rt)
{
    struct pollfd fds[DESCRIPTORS_MAX];
    int timeout, count = modalua_fds(rt, fds, DESCRIPTORS_MAX, &timeout);
    bool is_due = timeout >= 0 && timeout <= STEP_MS;
    return count < 0 || poll(fds, (nfds_t)count, is_due ? timeout : STEP_MS) > 0 || is_due;
}

/* Continues the run, and draws the line again. When a run has many short steps, the terminal shows both at
 * once, so that the line does not flicker. Not after a long step: such a run may print with io.write, or
 * start a program that uses the terminal, and that has to be seen at once. */
static int step_without_line(modalua_runtime *rt, waiting_line *w)
{
    double begun = clock_now();
    int status;
    if (w->quick < QUICK_STEPS)
        console_clear();
    else
        console_begin_update();
    w->shown = false;
    status = modalua_step(rt, 0);
    if (status == MODALUA_WORKING && !console_has_bar()) {
        draw(rt, clock_now() - w->begun);
        w->shown = true;
    }
    console_end_update();
    w->quick = clock_now() - begun < QUICK_SECONDS ? w->quick + 1 : 0;
    return status;
}

int waiting_line_step(modalua_runtime *rt, waiting_line *w)
{
    double now = clock_now();
    if (!w->shown && console_has_bar())
        w->next = now + PATIENCE;
    if (!w->on || now < w->next)
        return modalua_step(rt, STEP_MS);
    draw(rt, now - w->begun);
    w->shown = true;
    if (!wait_for_run(rt))
        return MODALUA_WORKING;
    return step_without_line(rt, w);
}
