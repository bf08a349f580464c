/*
 * plugin.c: shared objects: loaded, and where they cannot be, why.
 *
 * A plugin is loaded whole (RTLD_NOW: what is missing shows at the start, not in a request), its
 * names are its own (RTLD_LOCAL), and it stays in the process until that ends (RTLD_NODELETE): a
 * library that it brought may have threads, or destructors of threads, that would run on in code
 * that is gone.
 */
#include "step/internal.h"

#include "base/mem.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What the loader says is for those who know loaders. The rest of `said` that is worth telling. */
static const char *without_file(const char *said, const char *path)
{
    size_t len = strlen(path);
    if (strncmp(said, path, len) == 0 && said[len] == ':')
        said += len + 1;
    return said + strspn(said, " ");
}

static int explain_undefined(const char *file, const char *symbol, struct error *e)
{
    size_t len = strcspn(symbol, " ,)");
    if (strncmp(symbol, "weir_", 5) == 0)
        return error_set(e, -EINVAL, "invalid-plugin",
            "the plugin %s calls %.*s, which Weir %s has not; it was built against the header of a "
            "newer one",
            file, (int)len, symbol, WEIR_VERSION);
    return error_set(e, -EINVAL, "invalid-plugin",
        "the plugin %s needs '%.*s', which is neither in it nor in the libraries that it names; "
        "link "
        "it with the library that has it (-lNAME behind the sources)",
        file, (int)len, symbol);
}

static int explain(const char *file, const char *path, const char *said, struct error *e)
{
    /* Which of several causes it was, the loader does not tell otherwise. */
    if (access(path, F_OK) != 0) {
        int rc = -errno;
        return error_set(
            e, rc, "invalid-plugin", "the plugin %s cannot be read: %s", file, error_text(rc));
    }
    if (!said)
        said = "the loader does not say why";
    const char *undefined = strstr(said, "undefined symbol: ");
    if (undefined)
        return explain_undefined(file, undefined + strlen("undefined symbol: "), e);
    said = without_file(said, path);
    if (strstr(said, "invalid ELF header") || strstr(said, "file too short") ||
        strstr(said, "wrong ELF class") || strstr(said, "cannot dynamically load"))
        return error_set(e, -EINVAL, "invalid-plugin",
            "%s is no shared object for this machine (%s); build it with cc -fPIC -shared", file,
            said);
    return error_set(
        e, -EINVAL, "invalid-plugin", "the plugin %s cannot be loaded: %s", file, said);
}

static int open_path(const char *file, const char *path, void **handle,
    const struct weir_plugin **table, struct error *e)
{
    void *opened = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!opened)
        return explain(file, path, dlerror(), e);
    const struct weir_plugin *p = dlsym(opened, "weir_plugin");
    int rc = p ? step_table_check(p, file, e)
               : error_set(e, -EINVAL, "invalid-plugin",
                     "%s is a shared object, but no plugin of Weir: it shows no 'weir_plugin'; "
                     "WEIR_PLUGIN(NAME, STEPS) at its end makes one",
                     file);
    if (rc) {
        dlclose(opened);
        return rc;
    }
    *handle = opened;
    *table = p;
    return 0;
}

int step_plugin_open(
    const char *file, void **handle, const struct weir_plugin **table, struct error *e)
{
    if (strchr(file, '/'))
        return open_path(file, file, handle, table, e);
    /* A bare name would be looked for among the system's libraries. */
    size_t size = strlen(file) + sizeof "./";
    char *path = mem_alloc(size);
    if (!path)
        return error_set(e, -ENOMEM, "out-of-memory", "no memory for the path of a plugin");
    snprintf(path, size, "./%s", file);
    int rc = open_path(file, path, handle, table, e);
    mem_free(path);
    return rc;
}

void step_plugin_close(void *handle)
{
    if (handle)
        dlclose(handle);
}
