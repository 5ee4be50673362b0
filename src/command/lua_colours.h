/* command/lua_colours.h - what each byte of an input at the prompt is, for colours while it is typed. */
#ifndef COMMAND_LUA_COLOURS_H
#define COMMAND_LUA_COLOURS_H

#include <stddef.h>

typedef enum lua_colour {
    LUA_COLOUR_PLAIN,
    LUA_COLOUR_KEYWORD, /* also the command of the prompt, such as .mode */
    LUA_COLOUR_STRING,
    LUA_COLOUR_NUMBER,
    LUA_COLOUR_COMMENT,
    LUA_COLOUR_GLOBAL, /* what the prompt has set: orthanc, modalua, … */
    LUA_COLOUR_WRONG,  /* a string without its end, a bracket that closes nothing */
    LUA_COLOURS
} lua_colour;

/* Sets colours[i], an enum lua_colour, for each byte of the text, which need not be complete. */
void lua_colours_find(const char *text, size_t size, unsigned char *colours);

#endif
