/* request/page_title.h - the title of an HTML page. A proxy or a login page that answers in place of
 * Orthanc says there what is wrong. */
#ifndef REQUEST_PAGE_TITLE_H
#define REQUEST_PAGE_TITLE_H

#include <lua.h>
#include <stddef.h>

/* Pushes the title of the page, as one line; nil when it has none. [-0, +1, m] */
void page_title_push(lua_State *L, const char *page, size_t size);

#endif
