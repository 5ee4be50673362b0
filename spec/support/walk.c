/* walk.c - records which functions a program that was built with -finstrument-functions enters, in
 * order: one address a line, relative to where the program is loaded, in the file that WALK names.
 * For LD_PRELOAD; spec/support/walk.sh uses it. */
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void __cyg_profile_func_enter(void *function, void *site);
void __cyg_profile_func_exit(void *function, void *site);

static FILE *out;
static uintptr_t base;

/* The first object is the program itself. */
static int take_base(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    (void)data;
    base = info->dlpi_addr;
    return 1;
}

void __cyg_profile_func_enter(void *function, void *site)
{
    (void)site;
    if (!out) {
        const char *name = getenv("WALK");
        out = name ? fopen(name, "we") : NULL;
        if (!out)
            abort();
        dl_iterate_phdr(take_base, NULL);
    }
    fprintf(out, "0x%lx\n", (unsigned long)((uintptr_t)function - base));
}

void __cyg_profile_func_exit(void *function, void *site)
{
    (void)function;
    (void)site;
}
