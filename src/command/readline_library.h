/* command/readline_library.h - GNU readline's functions and variables, from its shared library.
 *
 * The library is loaded when a prompt starts: other runs of the command start faster without it, and
 * its licence, which is not ours, stays out of the command. The declarations follow its manual. */
#ifndef COMMAND_READLINE_LIBRARY_H
#define COMMAND_READLINE_LIBRARY_H

#include <stdbool.h>
#include <stdio.h>

#define READLINE_FILE "libreadline.so.8"

/* An entry of the history. */
typedef struct readline_entry {
    char *line, *timestamp;
    void *data;
} readline_entry;

typedef int readline_command(int count, int key); /* the function of a key */

/* X(result, name, (parameters)) for each function */
#define READLINE_FUNCTIONS(X)                                                        \
    X(void, rl_callback_handler_install, (const char *prompt, void (*)(char *line))) \
    X(void, rl_callback_handler_remove, (void))                                      \
    X(void, rl_callback_read_char, (void))                                           \
    X(void, rl_callback_sigcleanup, (void))                                          \
    X(void, rl_check_signals, (void))                                                \
    X(int, rl_pending_signal, (void))                                                \
    X(int, rl_initialize, (void))                                                    \
    X(int, rl_add_defun, (const char *name, readline_command *, int key))            \
    X(void *, rl_get_keymap_by_name, (const char *name))                             \
    X(void *, rl_get_keymap, (void))                                                 \
    X(readline_command *, rl_named_function, (const char *name))                     \
    X(int, rl_bind_keyseq_in_map, (const char *keys, readline_command *, void *map)) \
    X(int, rl_variable_bind, (const char *name, const char *value))                  \
    X(char *, rl_variable_value, (const char *name))                                 \
    X(int, rl_complete, (int count, int key))                                        \
    X(int, rl_ding, (void))                                                          \
    X(int, rl_read_key, (void))                                                      \
    X(int, rl_getc, (FILE * from))                                                   \
    X(int, rl_insert_text, (const char *text))                                       \
    X(int, rl_delete_text, (int from, int to))                                       \
    X(void, rl_replace_line, (const char *text, int clears_undo))                    \
    X(void, rl_redisplay, (void))                                                    \
    X(int, rl_forced_update_display, (void))                                         \
    X(int, rl_set_prompt, (const char *prompt))                                      \
    X(int, rl_begin_undo_group, (void))                                              \
    X(int, rl_end_undo_group, (void))                                                \
    X(int, rl_get_previous_history, (int count, int key))                            \
    X(int, rl_get_next_history, (int count, int key))                                \
    X(void, add_history, (const char *line))                                         \
    X(void, clear_history, (void))                                                   \
    X(readline_entry **, history_list, (void))                                       \
    X(int, where_history, (void))

/* X(type, name) for each variable */
#define READLINE_VARIABLES(X)                                                             \
    X(char *, rl_line_buffer)                                                             \
    X(int, rl_point)                                                                      \
    X(int, rl_end)                                                                        \
    X(int, rl_readline_version)                                                           \
    X(int, rl_eof_found)                                                                  \
    X(const char *, rl_readline_name)                                                     \
    X(readline_command *, rl_last_func)                                                   \
    X(int, rl_change_environment)                                                         \
    X(int, rl_persistent_signal_handlers)                                                 \
    X(void (*)(int meta), rl_prep_term_function)                                          \
    X(void (*)(void), rl_deprep_term_function)                                            \
    X(int (*)(FILE * from), rl_getc_function)                                             \
    X(const char *, rl_completer_word_break_characters)                                   \
    X(int, rl_completion_append_character)                                                \
    X(int, rl_attempted_completion_over)                                                  \
    X(void (*)(void), rl_redisplay_function)                                              \
    X(char *, rl_display_prompt)                                                          \
    X(char *, rl_prompt)                                                                  \
    X(int, rl_editing_mode)                                                               \
    X(unsigned long, rl_readline_state)                                                   \
    X(int, rl_mark)                                                                       \
    X(char **(*)(const char *word, int start, int end), rl_attempted_completion_function) \
    X(void (*)(char **matches, int count, int longest), rl_completion_display_matches_hook)

/* X(type, name) for each variable that the library may lack: where it has drawn the line */
#define READLINE_PLACES(X) \
    X(int, _rl_last_c_pos) \
    X(int, _rl_last_v_pos) \
    X(int, _rl_vis_botlin)

typedef struct readline_library {
#define FUNCTION(result, name, parameters) result(*name) parameters;
#define VARIABLE(type, name)               __typeof__(type) *name;
    READLINE_FUNCTIONS(FUNCTION)
    READLINE_VARIABLES(VARIABLE)
    READLINE_PLACES(VARIABLE)
    int (*rl_mark_active_p)(void); /* NULL before version 8.1 */
    bool has_places;
#undef FUNCTION
#undef VARIABLE
} readline_library;

/* Loads the library, which stays loaded, and fills in the struct. False: it is not installed, or too
 * old. */
bool readline_library_load(readline_library *lib);

#endif
