// How dpu-stub leaves a process behind where its program has: as a daemon is left, by fork(2) and setsid(2).
#include "stub.h"

#include <linux/sched.h>

static pid_t clone_as(pid_t *number)
{
    struct clone_args how = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)number, .set_tid_size = number != NULL};
    return (pid_t)syscall(SYS_clone3, &how, sizeof how);
}

pid_t fork_as(int32_t number, int32_t *error, int kept)
{
    pid_t wanted = number, child = number > 0 ? clone_as(&wanted) : -1;
    *error = number > 0 && child < 0 ? errno : 0;
    // Taken, beyond what there is here, or not this user's to choose.
    if (child < 0)
        child = clone_as(NULL);
    if (child < 0)
        *error = errno;
    if (child != 0)
        return child;
    (void)setsid();
    // What holds nothing up: neither a file system, nor who waits for the end of a pipe.
    if (chdir("/") < 0)
        *error = errno;
    if (kept > 0)
        (void)close_range(0, (unsigned)kept - 1, 0);
    (void)close_range((unsigned)kept + 1, ~0u, 0);
    return 0;
}
