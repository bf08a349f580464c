/*
 * yaml_words.c: libyaml's complaints in the words of those who write configurations: what was
 * found, what was expected, and where the thing began that it belongs to.
 */
#include "conf/internal.h"

#include "base/utf8.h"

#include <stdio.h>
#include <yaml.h>

/* What libyaml says, and what was expected then. "@" is the place where the surrounding thing
 * began. */
static const struct {
    const char *problem;
    const char *expected;
} words[] = {
    {"did not find expected key",
        "another key of the map that begins at @: is the indentation right?"},
    {"did not find expected '-' indicator",
        "'-' and another element of the list that begins at @: is the indentation right?"},
    {"did not find expected ',' or ']'", "',' or ']' in the list that begins at @"},
    {"did not find expected ',' or '}'", "',' or '}' in the map that begins at @"},
    {"could not find expected ':'", "':' after the key that begins at @"},
    {"mapping values are not allowed in this context",
        "no key here: is the indentation right? A text that holds ': ' needs quotes"},
    {"mapping keys are not allowed in this context", "no key here: is the indentation right?"},
    {"block sequence entries are not allowed in this context",
        "no element of a list here: does it need a line of its own?"},
    {"found character that cannot start any token",
        "a value: text that begins with it needs quotes"},
    {"found unexpected end of stream", "the closing quote of the text that begins at @"},
    {"found unexpected document indicator", "the closing quote of the text that begins at @"},
    {"found unknown escape character", "an escape such as \\n, \\\" or \\u00e9 after the "
                                       "backslash; in 'single quotes' it is only itself"},
    {"did not find expected hexdecimal number", "hexadecimal digits after the backslash"},
    {"found invalid Unicode character escape code", "a character of Unicode"},
    {"did not find expected node content", "a value"},
    {"did not find expected alphabetic or numeric character",
        "a name of letters and digits; text that begins with '&' or '*' needs quotes"},
    {"found a tab character where an indentation space is expected",
        "spaces: YAML does not indent with tabs"},
    {"found a tab character that violates indentation", "spaces: YAML does not indent with tabs"},
    {"did not find expected <document start>", "the end of the file: what comes before is whole"},
    {"found undefined tag handle", "no tag: text that begins with '!' needs quotes"},
    {"did not find expected comment or line break", "a line break"},
};

/* The text from the mark on. */
static struct span text_at(struct span text, const yaml_mark_t *mark)
{
    size_t i = 0;
    size_t line = 0;
    while (i < text.len && line < mark->line) {
        bool crlf = text.ptr[i] == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n';
        line += text.ptr[i] == '\n' || (text.ptr[i] == '\r' && !crlf);
        i++;
    }
    for (size_t column = 0; i < text.len && column < mark->column; column++) {
        size_t len = utf8_length(text.ptr + i, text.len - i);
        i += len ? len : 1;
    }
    return (struct span){text.ptr + i, text.len - i};
}

/* A sign, or a word up to the next blank or sign. */
static const char *found_at(struct span rest, char out[CONF_FOUND_MAX])
{
    size_t len = 0;
    if (rest.len == 0)
        return "the end of the file";
    if (rest.ptr[0] == '\t')
        return "a tab";
    if (rest.ptr[0] == '\n' || rest.ptr[0] == '\r')
        return "the end of the line";
    while (len < rest.len && !strchr(" \t\r\n,:[]{}\"'", rest.ptr[len]))
        len++;
    if (len == 0)
        len = 1;
    return conf_quoted((struct span){rest.ptr, len}, out);
}

static const char *expected_of(const char *problem)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].problem, problem) == 0)
            return words[i].expected;
    return NULL;
}

void conf_yaml_explain(struct conf_errors *errors, const char *file, struct span text,
    const struct yaml_parser_s *parser)
{
    char found[CONF_FOUND_MAX];
    char begin[32];
    const char *problem = parser->problem ? parser->problem : "the text is no YAML";
    struct conf_mark mark = {
        file, (unsigned)parser->problem_mark.line + 1, (unsigned)parser->problem_mark.column + 1};
    struct span rest = text_at(text, &parser->problem_mark);
    const char *what = found_at(rest, found);
    const char *expected = expected_of(problem);
    if (!expected) {
        conf_error(errors, &mark, "found %s; YAML's reader says: %s%s%s", what,
            parser->context ? parser->context : "", parser->context ? ", " : "", problem);
        return;
    }
    if (rest.len > 0 && rest.ptr[0] == '{' && rest.ptr > text.ptr && rest.ptr[-1] == '$')
        expected = "quotes around a text with '${...}' that stands within { } or [ ]";
    else if (rest.len > 0 && rest.ptr[0] == '{' && rest.ptr > text.ptr &&
             !strchr(" \t\r\n,:[]{}", rest.ptr[-1]))
        expected = "quotes around a text with '{' that stands within { } or [ ], as in "
                   "{route: 'GET /hello/{name}'}";
    if (strcmp(what, "a tab") == 0)
        expected = "spaces: YAML does not indent with tabs";
    snprintf(begin, sizeof begin, "%zu:%zu", parser->context_mark.line + 1,
        parser->context_mark.column + 1);
    const char *at = strchr(expected, '@');
    if (at)
        conf_error(errors, &mark, "found %s, expected %.*s%s%s", what, (int)(at - expected),
            expected, begin, at + 1);
    else
        conf_error(errors, &mark, "found %s, expected %s", what, expected);
}
