/*
 * replay.c: feeds a fuzz target the files of a folder, without a fuzzer: what was once found stays
 * mended, on every compiler.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads a whole file, up to INPUT_MAX: its size, or -1. */
static long read_input(const char *path, uint8_t *data)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "replay: %s cannot be read\n", path);
        return -1;
    }
    size_t size = fread(data, 1, INPUT_MAX, f);
    fclose(f);
    return (long)size;
}

static int replay(const char *folder, const char *name)
{
    static uint8_t data[INPUT_MAX];
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    long size = read_input(path, data);
    if (size < 0)
        return 1;
    /* Exactly as large as the input, so that a sanitizer sees the first byte too many. */
    uint8_t *exact = malloc(size ? (size_t)size : 1);
    if (!exact)
        return 1;
    memcpy(exact, data, (size_t)size);
    LLVMFuzzerTestOneInput(exact, (size_t)size);
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder) {
        fprintf(stderr, "usage: replay FOLDER\n");
        return 2;
    }
    int failed = 0;
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        failed |= replay(argv[1], entry->d_name);
        count++;
    }
    closedir(folder);
    printf("%zu inputs\n", count);
    return failed || count == 0;
}
