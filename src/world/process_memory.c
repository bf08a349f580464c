/*
 * process_memory.c: see process_memory.h.
 */
#include "world/process_memory.h"

#include "world/quota.h"
#include "world/small_file.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int process_memory(pid_t pid, struct process_memory *out)
{
    char path[64];
    char text[128];
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    struct span pages = small_file_read(path, text, sizeof(text));
    if (!quota_pages(pages, &out->mapped, &out->resident))
        return -ESRCH;
    out->mapped *= sysconf(_SC_PAGESIZE);
    out->resident *= sysconf(_SC_PAGESIZE);
    return 0;
}
