#include "scripted.h"

#include "embed/runtime.h"
#include "fuzz.h"
#include "memory_curl.h"

static modalua_runtime *make_runtime(void)
{
    modalua_config config;
    modalua_runtime *rt;
    modalua_config_init(&config);
    config.run_seconds = 3600;
    REQUIRE(modalua_create(&rt, &config) == MODALUA_OK);
    if (modalua_run_file(rt, OPERATIONS_LUA, 0, NULL) != MODALUA_OK) {
        fprintf(stderr, "%s\n", modalua_last_error(rt));
        abort();
    }
    return rt;
}

/* Sets the global `input` to the list of lines, with the whole input as the field `text`. */
static void set_input(lua_State *L, fuzz_input *in, int lines)
{
    lua_createtable(L, lines, 1);
    lua_pushlstring(L, in->at, in->left);
    lua_setfield(L, -2, "text");
    for (int i = 1; i <= lines; i++) {
        const char *end = memchr(in->at, '\n', in->left);
        size_t size = end ? (size_t)(end - in->at) : in->left;
        lua_pushlstring(L, in->at, size);
        lua_rawseti(L, -2, i);
        in->at += end ? size + 1 : size;
        in->left -= end ? size + 1 : size;
    }
    lua_setglobal(L, "input");
}

void scripted_run(const char *function, const uint8_t *data, size_t size, int lines, int may_last)
{
    static modalua_runtime *rt;
    fuzz_input in = fuzz_begin(data, size);
    int status;
    if (!rt)
        rt = make_runtime();
    set_input(rt->L, &in, lines);
    memory_curl_answers(in.at, in.left);
    status = modalua_call(rt, function, NULL, NULL);
    if (status != MODALUA_OK && !(may_last && status == MODALUA_E_LIMIT)) {
        fprintf(stderr, "%s\n", modalua_last_error(rt));
        abort();
    }
    REQUIRE(memory_curl_handles() == 0 && modalua_transfers(rt) == 0);
}
