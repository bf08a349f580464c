/*
 * pid_file.c: written once we serve, removed at the end.
 */
#include "app/pid_file.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>

/* One that is made for the trial is taken away again: it is there only while we serve. */
int pid_file_try(struct world *w, const char *path)
{
    struct file *f;
    if (!path)
        return 0;
    int rc = world_open(w, path, O_WRONLY, 0, &f);
    bool is_new = rc == -ENOENT;
    if (is_new)
        rc = world_open(w, path, O_WRONLY | O_CREAT | O_EXCL, 0644, &f);
    if (rc == 0) {
        file_close(f);
        rc = is_new ? world_unlink(w, path) : 0;
    }
    if (rc)
        log_with(world_log(w), LOG_ERROR, LOG_FIELDS(LOG_TEXT("file", path)),
            "cannot write the pid file %s: %s; name another by --pid", path, error_text(rc));
    return rc;
}

void pid_file_write(struct world *w, const char *path, int pid)
{
    struct file *f;
    char text[16];
    if (!path)
        return;
    int len = snprintf(text, sizeof(text), "%d\n", pid);
    int rc = world_open(w, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &f);
    if (rc == 0) {
        rc = file_write(f, text, (size_t)len, 0);
        file_close(f);
    }
    if (rc)
        log_with(world_log(w), LOG_ERROR, LOG_FIELDS(LOG_TEXT("file", path)),
            "cannot write the pid file %s: %s", path, error_text(rc));
}

void pid_file_remove(struct world *w, const char *path)
{
    if (!path)
        return;
    int rc = world_unlink(w, path);
    if (rc && rc != -ENOENT)
        log_with(world_log(w), LOG_WARN, LOG_FIELDS(LOG_TEXT("file", path)),
            "cannot remove the pid file %s: %s", path, error_text(rc));
}
