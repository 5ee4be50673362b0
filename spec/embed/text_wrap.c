/* text_wrap.c - a text for people is broken at blanks, but not inside a path in quotes, whatever else stands in
 * quotes before it. */
#include "base/text_wrap.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

enum { WIDTH = 40, ROOM = 1000 };

/* The text as rows of at most WIDTH columns, each with a newline behind it. */
static const char *wrapped(const char *text)
{
    static char rows[ROOM];
    text_wrap w = { text, text + strlen(text), WIDTH, 0, false };
    const char *row;
    size_t size, indent, at = 0;
    while (text_wrap_next(&w, &row, &size, &indent))
        at += (size_t)snprintf(rows + at, sizeof rows - at, "%*s%.*s\n", (int)indent, "", (int)size,
                               row);
    return rows;
}

int main(void)
{
    static const char *const cases[][2] = {
        { "the file '/mnt/old CDs of the ward/1' is missing",
          "the file '/mnt/old CDs of the ward/1' is\nmissing\n" },
        { "'1.2.3' is none of /modalities/pacs, and '/mnt/a b c' is no folder",
          "'1.2.3' is none of /modalities/pacs, and\n'/mnt/a b c' is no folder\n" },
        { "the series '1.2.3' or '4' in the folder '/mnt/old CDs/1' is missing",
          "the series '1.2.3' or '4' in the folder\n'/mnt/old CDs/1' is missing\n" },
        { "the UID '1.2.3' in /a/very/long/path is '1.2.4' here",
          "the UID '1.2.3' in /a/very/long/path is\n'1.2.4' here\n" },
        { "the name 'Doe John of the ward' is not the server's name for /x",
          "the name 'Doe John of the ward' is not\nthe server's name for /x\n" },
        { "quoted 'words without a slash can be broken' anywhere",
          "quoted 'words without a slash can be\nbroken' anywhere\n" },
        { "text in quotes, 'of which a row is full.' It is in /x, and not in '/mnt/a b'",
          "text in quotes, 'of which a row is\nfull.' It is in /x, and not in\n'/mnt/a b'\n" },
        { "a quote ' that nothing closes, and the path /mnt/a b c",
          "a quote ' that nothing closes, and the\npath /mnt/a b c\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *rows = wrapped(cases[i][0]);
        if (strcmp(rows, cases[i][1]) != 0)
            fprintf(stderr, "%s", rows);
        CHECK(strcmp(rows, cases[i][1]) == 0);
    }
    return 0;
}
