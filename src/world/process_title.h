/*
 * process_title.h: what a process that this program started for itself is called in ps and top. For
 * people only: where the kernel refuses it, the process keeps the name that it has.
 */
#pragma once

#define PROCESS_TITLE_MAX 127
#define PROCESS_NAME_MAX  15

/* `title` takes the place of the command line, as long as that was at most: spawn_options.title
 * makes it long enough. The strings of argv are overwritten, so they are not to be used after; the
 * title may be one of them. `name` is the kernel's short name, which top and pgrep show. */
void process_title(const char *title, const char *name);
