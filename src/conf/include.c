/*
 * include.c: one tree of a file and those it includes.
 *
 *     include: [limits.yaml, routes/users.yaml]
 *
 * Paths are seen from the including file. Included files may hold any key: lists grow, maps are
 * joined key by key, and what two files set is an error that names both. A file is read once: a
 * second time would be a circle, or every route twice.
 */
#include "conf/internal.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define FILES_MAX 1000

/* A file that is being read, or was. */
struct included {
    const char *path;
    struct conf_mark mark; /* of the include */
    int by;                /* -1: the first */
};

struct including {
    struct conf_reading *r;
    struct included *files;
    int count;
    struct conf_node *root;
    bool failed; /* some file gave no tree */
};

/* ---- Paths ---- */

/* Takes out "." and "name/.." as far as text alone can tell. */
static void simplify(char *path)
{
    size_t to = path[0] == '/';
    size_t from = to;
    size_t floor = to; /* what "../" in front has taken */
    size_t end = strlen(path);
    while (from < end) {
        size_t len = strcspn(path + from, "/");
        size_t next = from + len + 1;
        bool up = len == 2 && path[from] == '.' && path[from + 1] == '.';
        if (up && to > floor) {
            to--;
            while (to > floor && path[to - 1] != '/')
                to--;
        } else if (len > 0 && !(len == 1 && path[from] == '.')) {
            memmove(path + to, path + from, len);
            to += len;
            path[to++] = '/';
            if (up)
                floor = to;
        }
        from = next;
    }
    if (to > 1 && path[to - 1] == '/')
        to--;
    path[to] = '\0';
}

char *conf_path_beside(struct arena *arena, const char *file, struct span path)
{
    const char *slash = strrchr(file, '/');
    bool absolute = path.len > 0 && path.ptr[0] == '/';
    size_t folder = absolute || !slash ? 0 : (size_t)(slash - file) + 1;
    /* One more than the text: simplify ends each part with a slash before it takes the last away.
     */
    char *whole = arena_alloc(arena, folder + path.len + 2);
    if (!whole)
        return NULL;
    memcpy(whole, file, folder);
    memcpy(whole + folder, path.ptr, path.len);
    whole[folder + path.len] = '\0';
    simplify(whole);
    return whole;
}

/* ---- Joining ---- */

static bool is_appended(struct span name)
{
    return span_equal(name, SPAN("listen")) || span_equal(name, SPAN("routes"));
}

static unsigned elements_of(const struct conf_node *n)
{
    return n->kind == CONF_LIST ? n->count : n->kind != CONF_NULL;
}

static void copy_elements(struct conf_node **to, struct conf_node *n)
{
    if (n->kind == CONF_LIST && n->count > 0)
        memcpy(to, n->elements, n->count * sizeof *to);
    else if (n->kind != CONF_LIST && n->kind != CONF_NULL)
        to[0] = n;
}

static int append(struct including *in, struct conf_node **to, struct conf_node *from)
{
    struct conf_node *list = arena_zalloc(in->r->arena, sizeof *list);
    unsigned first = elements_of(*to);
    unsigned second = elements_of(from);
    if (!list)
        return -ENOMEM;
    *list = (struct conf_node){.kind = CONF_LIST, .mark = (*to)->mark, .count = first + second};
    list->elements = arena_alloc(in->r->arena, (list->count + 1) * sizeof *list->elements);
    if (!list->elements)
        return -ENOMEM;
    copy_elements(list->elements, *to);
    copy_elements(list->elements + first, from);
    *to = list;
    return 0;
}

static int join(struct including *in, struct conf_node *to, struct conf_node *from, bool top);

static int join_member(
    struct including *in, struct conf_member *to, struct conf_member *from, bool top)
{
    char quoted[CONF_FOUND_MAX];
    if (from->value->kind == CONF_NULL)
        return 0;
    if (to->value->kind == CONF_NULL) {
        *to = *from;
        return 0;
    }
    if (top && is_appended(to->name))
        return append(in, &to->value, from->value);
    if (to->value->kind == CONF_MAP && from->value->kind == CONF_MAP)
        return join(in, to->value, from->value, false);
    conf_error(in->r->errors, &from->mark, "the key %s is set twice; the first is at %s:%u:%u",
        conf_quoted(from->name, quoted), to->mark.file, to->mark.line, to->mark.column);
    return 0;
}

/* Puts the members of one map into the other. Few files and few keys: sections have a dozen. */
static int join(struct including *in, struct conf_node *to, struct conf_node *from, bool top)
{
    struct conf_member *members =
        arena_alloc(in->r->arena, (to->count + from->count + 1) * sizeof *members);
    if (!members)
        return -ENOMEM;
    if (to->count > 0)
        memcpy(members, to->members, to->count * sizeof *members);
    to->members = members;
    for (unsigned i = 0; i < from->count; i++) {
        struct conf_member *member = &from->members[i];
        struct conf_member *twin = NULL;
        for (unsigned j = 0; j < to->count && !twin; j++)
            if (span_equal(to->members[j].name, member->name))
                twin = &to->members[j];
        int rc = 0;
        if (twin)
            rc = join_member(in, twin, member, top);
        else
            members[to->count++] = *member;
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- Files ---- */

const char *conf_file_text(int rc)
{
    return rc == -ENOENT   ? "there is no such file"
           : rc == -ESPIPE ? "it is no regular file"
           : rc == -EISDIR ? "it is a directory"
                           : error_text_task(rc); /* a thread reads it */
}

static int add_file(struct including *in, const char *path, const struct conf_mark *mark, int by)
{
    if (!in->files)
        in->files = mem_alloc(FILES_MAX * sizeof *in->files);
    if (!in->files)
        return -ENOMEM;
    in->files[in->count++] = (struct included){path, *mark, by};
    return 0;
}

/* "a.yaml includes b.yaml, which includes a.yaml" */
static int tell_again(struct including *in, const struct conf_mark *mark, int first, int by)
{
    char chain[CONF_FOUND_MAX * 4];
    size_t len = 0;
    const char *path = in->files[first].path;
    bool circle = false;
    chain[0] = '\0';
    for (int i = by; i >= 0 && !circle; i = in->files[i].by) {
        circle = i == first;
        int printed = snprintf(chain + len, sizeof chain - len, "%s%s",
            len ? ", which is included by " : "", in->files[i].path);
        len += printed < 0 ? 0 : (size_t)printed;
        if (len >= sizeof chain)
            len = sizeof chain - 1;
    }
    if (circle)
        conf_error(
            in->r->errors, mark, "found a circle of includes: %s is included by %s", path, chain);
    else
        conf_error(in->r->errors, mark, "%s is included twice; the first is at %s:%u:%u", path,
            in->files[first].mark.file, in->files[first].mark.line, in->files[first].mark.column);
    return 0;
}

static int include_one(struct including *in, const struct conf_node *n, int by)
{
    char found[CONF_FOUND_MAX];
    if (n->told)
        return 0;
    if (n->kind != CONF_SCALAR || n->text.len == 0 || memchr(n->text.ptr, '\0', n->text.len)) {
        conf_error(in->r->errors, &n->mark, "include: found %s, expected the path of a file",
            conf_found(n, found));
        return 0;
    }
    const char *path = conf_path_beside(in->r->arena, in->files[by].path, n->text);
    if (!path)
        return -ENOMEM;
    for (int i = 0; i < in->count; i++)
        if (strcmp(in->files[i].path, path) == 0)
            return tell_again(in, &n->mark, i, by);
    if (in->count == FILES_MAX) {
        conf_error(in->r->errors, &n->mark, "found more than %d files, expected fewer", FILES_MAX);
        return 0;
    }
    return add_file(in, path, &n->mark, by);
}

/* Takes `include` out of the file's map and notes what it names. */
static int take_includes(struct including *in, struct conf_node *root, int by)
{
    for (unsigned i = 0; i < root->count; i++) {
        struct conf_node *value = root->members[i].value;
        if (!span_equal(root->members[i].name, SPAN("include")))
            continue;
        root->count--;
        memmove(
            &root->members[i], &root->members[i + 1], (root->count - i) * sizeof *root->members);
        int rc = value->kind == CONF_LIST ? 0 : include_one(in, value, by);
        for (unsigned j = 0; rc == 0 && value->kind == CONF_LIST && j < value->count; j++)
            rc = include_one(in, value->elements[j], by);
        return rc;
    }
    return 0;
}

static int read_tree(struct including *in, const struct included *file, struct conf_node **root)
{
    const struct conf_source *source = in->r->source;
    char *text = NULL;
    size_t len = 0;
    int rc = source->file(source->ctx, file->path, in->r->bounds.file + 1, &text, &len);
    if (rc == -ENOMEM)
        return rc;
    if (rc) {
        bool first = file->by < 0;
        conf_error(in->r->errors, &file->mark, "%s%scannot be read: %s%s", first ? "" : file->path,
            first ? "" : " ", conf_file_text(rc),
            !first          ? ""
            : rc == -ENOENT ? "; 'weir init' makes one to begin with"
            : rc == -ESPIPE ? ", and would be read again at each reload"
                            : "");
        return -EINVAL;
    }
    rc = conf_yaml_read(in->r, file->path, (struct span){text, len}, root);
    mem_free(text);
    return rc;
}

static int include_file(struct including *in, int index)
{
    char found[CONF_FOUND_MAX];
    struct conf_node *root = NULL;
    const struct included file = in->files[index];
    int rc = read_tree(in, &file, &root);
    if (rc == -EINVAL) {
        in->failed = true; /* and told; the other files may have mistakes too */
        return 0;
    }
    if (rc || !root || root->kind == CONF_NULL)
        return rc;
    if (root->kind != CONF_MAP) {
        conf_error(in->r->errors, &root->mark,
            "found %s, expected a map of keys such as 'listen' and 'routes'",
            conf_found(root, found));
        in->failed = true;
        return 0;
    }
    rc = take_includes(in, root, index);
    if (rc || !in->root) {
        in->root = in->root ? in->root : root;
        return rc;
    }
    return join(in, in->root, root, true);
}

int conf_include(struct conf_reading *r, const char *path, struct conf_node **root)
{
    struct including in = {.r = r};
    struct conf_mark whole = {.file = path};
    int rc = add_file(&in, path, &whole, -1);
    /* Files found on the way are read after it, in order. */
    for (int i = 0; rc == 0 && i < in.count; i++)
        rc = include_file(&in, i);
    mem_free(in.files);
    *root = in.root;
    return rc ? rc : in.failed ? -EINVAL : 0;
}
