/* orthanc/letters.h - the letters of ASCII that accented Latin letters are made of. Knows no Lua. */
#ifndef ORTHANC_LETTERS_H
#define ORTHANC_LETTERS_H

#include <stdint.h>

/* The lower-case letter that a character is written as without its accent: 'u' for U+00FC, 's' for U+00DF.
 * '\0': it is none of U+00C0 to U+017F and U+1E00 to U+1EFF, or has no such letter. */
char letters_base(uint32_t code);

#endif
