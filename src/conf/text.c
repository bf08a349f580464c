/*
 * text.c: whether a file is text at all, before libyaml sees it: then its reader cannot fail, and
 * the place of what is wrong is ours to say.
 */
#include "conf/internal.h"

#include "base/utf8.h"

#include <errno.h>

/* Of what libyaml takes for a character (YAML 1.1, 5.1), and its lines break where people see them.
 */
static bool is_allowed(const char *at, size_t len)
{
    unsigned char c = (unsigned char)at[0];
    if (len == 1)
        return (c >= 0x20 && c != 0x7f) || c == '\t' || c == '\n' || c == '\r';
    if (len == 2)
        return c != 0xc2 || (unsigned char)at[1] >= 0xa0 || (unsigned char)at[1] == 0x85;
    return memcmp(at, "\xef\xbb\xbf", 3) != 0 && memcmp(at, "\xef\xbf\xbe", 3) != 0 &&
           memcmp(at, "\xef\xbf\xbf", 3) != 0;
}

int conf_text_check(struct conf_reading *r, const char *file, struct span text)
{
    struct conf_mark mark = {file, 1, 1};
    if (text.len > r->bounds.file) {
        conf_error(
            r->errors, &mark, "found %zu bytes, expected at most %zu", text.len, r->bounds.file);
        return -EINVAL;
    }
    for (size_t i = 0; i < text.len;) {
        if (text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f) { /* most are */
            mark.column++;
            i++;
            continue;
        }
        size_t len = utf8_length(text.ptr + i, text.len - i);
        if (len == 0 || !is_allowed(text.ptr + i, len)) {
            conf_error(r->errors, &mark,
                len ? "found a control character (byte 0x%02x), expected text; in quotes it can be "
                      "written with a backslash"
                    : "found the byte 0x%02x, expected UTF-8",
                (unsigned char)text.ptr[i]);
            return -EINVAL;
        }
        mark.column++;
        if (text.ptr[i] == '\n') {
            mark.line++;
            mark.column = 1;
        }
        i += len;
    }
    return 0;
}
