#include "command/readline_library.h"

#include <dlfcn.h>
#include <string.h>

/* Sets the pointer at `place`. */
static bool find(void *handle, const char *name, void *place)
{
    void *symbol = dlsym(handle, name);
    memcpy(place, &symbol, sizeof symbol);
    return symbol != NULL;
}

bool readline_library_load(readline_library *lib)
{
    void *handle = dlopen(READLINE_FILE, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return false;
    find(handle, "rl_mark_active_p", &lib->rl_mark_active_p);
#define FUNCTION(result, name, parameters) find(handle, #name, &lib->name) &&
#define VARIABLE(type, name)               find(handle, #name, &lib->name) &&
    lib->has_places = READLINE_PLACES(VARIABLE) true;
    return READLINE_FUNCTIONS(FUNCTION) READLINE_VARIABLES(VARIABLE) true;
#undef FUNCTION
#undef VARIABLE
}
