/*
 * restart.c: see restart.h.
 */
#include "app/restart.h"

#include "base/bug.h"

#define AT_ONCE_MAX      10 /* restarts in a row of servers that were ready */
#define BACKOFF_FIRST_NS (100 * NS_PER_MS)
#define BACKOFF_LAST_NS  (5 * NS_PER_S)
#define DOUBLINGS_MAX    6
#define LIVED_WELL_NS    (10 * NS_PER_S) /* a server that lived this long is not in a crash loop */

int64_t restart_after_failure(struct restart *r, int64_t now, int64_t lived_ns, bool was_ready)
{
    check(lived_ns >= 0, "a server lived for a negative time");
    if (lived_ns >= LIVED_WELL_NS)
        r->failures = 0;
    unsigned at_once = was_ready ? AT_ONCE_MAX : 1;
    int64_t delay = 0;
    if (r->failures >= at_once) {
        unsigned doublings = r->failures - at_once;
        doublings = doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX;
        delay = deadline_sooner(BACKOFF_FIRST_NS << doublings, BACKOFF_LAST_NS);
    }
    r->failures++;
    r->at = deadline_after(now, delay);
    return delay;
}
