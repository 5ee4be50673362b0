/* fuzz.h - what the fuzz targets share. A target is a file NAME_fuzz.c with LLVMFuzzerTestOneInput, which
 * libFuzzer calls with random inputs, and replay.c with those of spec/fuzz/corpus/NAME. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process when something is wrong; both sanitizers and libFuzzer then show the stack. */
#define REQUIRE(fact)                                                                  \
    do {                                                                               \
        if (!(fact)) {                                                                 \
            fprintf(stderr, "%s:%d: REQUIRE failed: %s\n", __FILE__, __LINE__, #fact); \
            abort();                                                                   \
        }                                                                              \
    } while (0)

/* The bytes of an input that have not been read yet. */
typedef struct fuzz_input {
    const char *at;
    size_t left;
} fuzz_input;

static inline fuzz_input fuzz_begin(const uint8_t *data, size_t size)
{
    return (fuzz_input){ size ? (const char *)data : "", size };
}

/* Takes the bytes up to `end`, or all, as a string without that end. The caller frees it. */
static inline char *fuzz_take(fuzz_input *in, char end)
{
    const char *found = memchr(in->at, end, in->left);
    size_t size = found ? (size_t)(found - in->at) : in->left;
    char *text = malloc(size + 1);
    REQUIRE(text != NULL);
    memcpy(text, in->at, size);
    text[size] = '\0';
    in->at += found ? size + 1 : size;
    in->left -= found ? size + 1 : size;
    return text;
}

#endif
