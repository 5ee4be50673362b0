/* command/user_file.h - where the user's own files are: the XDG Base Directory Specification. */
#ifndef COMMAND_USER_FILE_H
#define COMMAND_USER_FILE_H

/* The path of the user's file `name` ("modalua/history"): in the folder that the environment
 * variable names ("XDG_STATE_HOME"), or else in that folder below the home folder
 * (".local/state"). A variable that is no absolute path does not count, as the specification asks.
 * The caller frees the path. NULL: there is no home folder, or no memory. */
char *user_file_path(const char *variable, const char *folder_in_home, const char *name);

#endif
