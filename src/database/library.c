#include "database/library.h"

#include <dlfcn.h>
#include <string.h>

bool library_load(lua_State *L, const library *lib, void *functions)
{
    char *place = functions;
    void *handle = dlopen(lib->file, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        lua_pushfstring(L, "the library %s cannot be loaded: install the package %s", lib->file,
                        lib->package);
        return false;
    }
    for (size_t i = 0; lib->names[i]; i++, place += sizeof(void *)) {
        void *function = dlsym(handle, lib->names[i]);
        if (!function) {
            lua_pushfstring(L, "the library %s is too old: it has no function %s", lib->file,
                            lib->names[i]);
            return false;
        }
        memcpy(place, &function, sizeof function);
    }
    return true;
}
