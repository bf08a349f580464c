/*
 * upgrade.c: see upgrade.h.
 */
#include "app/upgrade.h"

#include "base/bug.h"
#include "base/error.h"
#include "coro/coro.h"

#include <errno.h>

#define CHECK_NS (10 * NS_PER_S)

/* 0; -EINVAL: the program does not accept the configuration; or why it could not be asked. */
static int run_check(struct upgrade *u)
{
    struct spawn_options options = {.argv = u->check_argv};
    struct child *child;
    struct child_exit end;
    CORO_DEADLINE(deadline_after(world_now(u->world), CHECK_NS));
    int rc = world_spawn(u->world, &options, &child);
    if (rc)
        return rc;
    rc = child_wait(child, &end);
    child_close(child);
    if (rc)
        return rc;
    return end.signal || end.status ? -EINVAL : 0;
}

static int check_program(void *arg)
{
    struct upgrade *u = arg;
    int rc = run_check(u);
    if (rc == -ECANCELED)
        return rc; /* the supervisor stops */
    if (rc == -EINVAL)
        log_error(u->log, "the upgrade is refused: %s does not accept %s", u->check_argv[0],
            u->config_path);
    else if (rc)
        log_error(
            u->log, "the upgrade is refused: cannot run %s: %s", u->check_argv[0], error_text(rc));
    check(u->phase == UPGRADE_CHECKING, "an upgrade changes its phase during the check");
    u->phase = rc ? UPGRADE_NONE : UPGRADE_ACCEPTED;
    u->wake(u->ctx);
    return 0;
}

void upgrade_request(struct upgrade *u)
{
    if (u->phase == UPGRADE_NONE)
        u->phase = UPGRADE_REQUESTED;
}

void upgrade_check(struct upgrade *u, struct group *group)
{
    check(u->phase == UPGRADE_REQUESTED, "an upgrade is checked that nobody requested");
    u->phase = UPGRADE_NONE;
    if (!u->check_argv)
        log_error(u->log, "the upgrade is refused: this process cannot be replaced");
    else if (group_spawn(group, "check-upgrade", check_program, u) == 0)
        u->phase = UPGRADE_CHECKING;
    else
        log_error(u->log, "the upgrade is refused: no memory");
}
