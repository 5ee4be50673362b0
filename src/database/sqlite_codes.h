/* database/sqlite_codes.h - the names of SQLite's result codes. */
#ifndef DATABASE_SQLITE_CODES_H
#define DATABASE_SQLITE_CODES_H

/* The name of an extended result code, such as "SQLITE_BUSY_SNAPSHOT"; of its primary code when the
 * extended one is not known. A static text. */
const char *sqlite_code_name(int code);

#endif
