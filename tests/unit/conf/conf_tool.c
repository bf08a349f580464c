/*
 * conf_tool.c: what the schema's test asks of conf: "schema" prints the JSON Schema, "check" reads
 * configurations from standard input, each ended by a zero byte, and says "good" or "bad" for each.
 */
#include "fixture.h"
#include "flow/flow.h"

static int print_schema(void)
{
    struct bytes out;
    bytes_init(&out, 1 << 20);
    int rc = conf_schema_write(&flow_kinds, &out);
    if (rc == 0)
        fwrite(out.ptr, 1, out.len, stdout);
    bytes_release(&out);
    return rc ? 1 : 0;
}

static int check_all(void)
{
    static char text[1 << 20];
    static const struct variable variables[] = {{"PORT", "7000"}};
    size_t len = fread(text, 1, sizeof text - 1, stdin);
    for (size_t at = 0; at < len; at += strlen(text + at) + 1) {
        struct file file = {"weir.yaml", text + at, 0};
        struct disk disk = {&file, 1, variables, COUNT(variables)};
        struct bytes told;
        struct conf *c = load_from(&disk, "weir.yaml", &told);
        puts(c ? "good" : "bad");
        conf_free(c);
        bytes_release(&told);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "schema") == 0)
        return print_schema();
    if (argc == 2 && strcmp(argv[1], "check") == 0)
        return check_all();
    return 2;
}
