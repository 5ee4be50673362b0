#include "command/readline_keys.h"

#include <string.h>

enum { SEQUENCES_MAX = 8 };

/* Keys of xterm and its many kin, of rxvt, of the Linux console, of screen and tmux, with any TERM. A
 * sequence that is not in the list does nothing, instead of leaving half of it in the line. */
static const struct key {
    const char *name, *sequences[SEQUENCES_MAX];
} keys[] = {
    { "modalua-complete", { "\\C-i" } },
    { "modalua-up", { "\\e[A", "\\eOA", "\\C-p" } },
    { "modalua-down", { "\\e[B", "\\eOB", "\\C-n" } },
    { "modalua-page-up", { "\\e[5~" } },
    { "modalua-page-down", { "\\e[6~" } },
    { "modalua-home", { "\\e[H", "\\eOH", "\\e[1~", "\\e[7~", "\\C-a" } },
    { "modalua-end", { "\\e[F", "\\eOF", "\\e[4~", "\\e[8~", "\\C-e" } },
    { "modalua-newline", { "\\e\\C-m", "\\e\\C-j" } },
    { "modalua-paste", { "\\e[200~" } },
    { "modalua-edit", { "\\C-x\\C-e" } },
    { "forward-char", { "\\e[C", "\\eOC", "\\e[1;2C" } },
    { "backward-char", { "\\e[D", "\\eOD", "\\e[1;2D" } },
    { "forward-word",
      { "\\e[1;5C", "\\e[5C", "\\eOc", "\\eO5C", "\\e[1;3C", "\\e\\e[C", "\\e[1;9C", "\\e\\eOC" } },
    { "backward-word",
      { "\\e[1;5D", "\\e[5D", "\\eOd", "\\eO5D", "\\e[1;3D", "\\e\\e[D", "\\e[1;9D", "\\e\\eOD" } },
    { "beginning-of-line", { "\\e[1;5H", "\\e[1;2H", "\\e[7^" } },
    { "end-of-line", { "\\e[1;5F", "\\e[1;2F", "\\e[8^" } },
    { "delete-char", { "\\e[3~" } },
    { "kill-word", { "\\e[3;5~", "\\e[3;3~", "\\e[3^" } },
    { "overwrite-mode", { "\\e[2~" } },
    { "skip-csi-sequence", { "\\e[" } },
};

/* In vi mode Esc and Enter are two keys. */
static void bind_keys(const readline_library *rl, const char *map_name, bool vi)
{
    void *map = rl->rl_get_keymap_by_name(map_name);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        for (size_t k = 0; k < SEQUENCES_MAX && keys[i].sequences[k]; k++)
            if (!vi || strncmp(keys[i].sequences[k], "\\e\\C-", 5) != 0)
                rl->rl_bind_keyseq_in_map(keys[i].sequences[k], rl->rl_named_function(keys[i].name),
                                          map);
}

void readline_keys_bind(const readline_library *rl)
{
    bind_keys(rl, "emacs-standard", false);
    bind_keys(rl, "vi-insert", true);
}
