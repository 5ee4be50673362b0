/* error_fuzz.c - fuzzes what becomes of a server's texts on their way into error messages. The user names
 * and passwords of URLs do not survive error_push_redacted, a second pass changes nothing, and the rest of
 * the text stays. A quoted text is one line. The functions that read Orthanc's texts take any text. */
#include <lauxlib.h>

#include "base/ascii.h"
#include "base/text_width.h"
#include "base/utf8.h"
#include "binding/error.h"
#include "fuzz.h"
#include "orthanc/dimse.h"
#include "orthanc/failures.h"
#include "request/response.h"

/* Whether every "://" is followed by a host without credentials: an '@' stands only behind the mark. */
static bool is_redacted(const char *text)
{
    static const char mark[] = "…@";
    for (const char *at = strstr(text, "://"); at; at = strstr(at, "://")) {
        size_t host = strcspn(at += 3, "/?# \t\r\n\"");
        if (strncmp(at, mark, sizeof mark - 1) == 0) {
            at += sizeof mark - 1;
            host -= sizeof mark - 1;
        }
        if (memchr(at, '@', host))
            return false;
    }
    return true;
}

static void check_redaction(lua_State *L, const char *text)
{
    const char *once, *twice;
    error_push_redacted(L, text);
    once = lua_tostring(L, -1);
    REQUIRE(strlen(once) == lua_rawlen(L, -1));
    REQUIRE(is_redacted(once));
    REQUIRE(!is_redacted(text) || strcmp(once, text) == 0);
    error_push_redacted(L, once);
    twice = lua_tostring(L, -1);
    REQUIRE(strcmp(once, twice) == 0);
}

static void check_quoted(lua_State *L, const char *text, size_t size)
{
    size_t quoted;
    const char *at;
    response_push_quoted(L, text, size);
    at = lua_tolstring(L, -1, &quoted);
    REQUIRE(!ascii_has_control(at, quoted) && quoted < 500);
    REQUIRE(!utf8_is_valid(text, size) || utf8_is_valid(at, quoted)); /* no character is cut */
}

static void check_meaning(const char *method, const char *path, const char *details)
{
    bool effects = orthanc_has_effects(method, path);
    int dimse = orthanc_dimse_status(details);
    REQUIRE(dimse >= -1 && dimse <= 0xffff);
    for (long status = 300; status < 600; status += 50 + status % 7) {
        orthanc_failure f = orthanc_classify(path, status, dimse, effects, status % 2 == 0);
        REQUIRE(f.kind && f.kind[0]);
        REQUIRE(effects || strcmp(f.kind, "unknown") != 0);
    }
    dimse_words(dimse, dimse_service_of_path(path));
    dimse_words(dimse, dimse_service_of_job(details));
    dimse_network_words(details);
    orthanc_is_bad_charset(details);
}

static void check_width(const char *text, size_t size)
{
    size_t columns = text_width_columns(text, size);
    for (size_t room = 0; room < 20; room++) {
        size_t fits = text_width_fitting(text, size, room);
        REQUIRE(fits <= size && text_width_columns(text, fits) <= room);
        REQUIRE(columns > room || fits == size);
    }
}

/* The light userdata at 1 is the input: a method and a path on a line of their own, and a text. */
static int run(lua_State *L)
{
    fuzz_input *in = lua_touserdata(L, 1);
    char *method = fuzz_take(in, ' '), *path = fuzz_take(in, '\n');
    char *text = fuzz_take(in, '\0');
    check_redaction(L, text);
    check_quoted(L, text, strlen(text));
    check_meaning(method, path, text);
    check_width(text, strlen(text));
    free(method);
    free(path);
    free(text);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = fuzz_begin(data, size);
    lua_State *L = luaL_newstate();
    REQUIRE(L != NULL);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &in);
    REQUIRE(lua_pcall(L, 1, 0, 0) == LUA_OK);
    lua_close(L);
    return 0;
}
