// How dpu-stub ends and stops: so that its parent is told by wait(2) what it would be told of the program.
#include "stub.h"

#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

// The program has left a core dump, on the host. The kernel tells a parent so only where it has written one here: a page of nothing, to where nobody
// sees it, for the program's own may lie in the working directory.
static bool may_dump(void)
{
    char pattern[2] = {0};
    int file = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, pattern, 1) != 1)
        return false;
    close(file);
    if (*pattern != '|' && *pattern != '/') {
        int context = (int)syscall(SYS_fsopen, "tmpfs", 1);
        if (context < 0 || syscall(SYS_fsconfig, context, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) < 0)
            return false;
        int nowhere = (int)syscall(SYS_fsmount, context, 1, 0);
        if (nowhere < 0 || fchdir(nowhere) < 0)
            return false;
    }
    struct rlimit limit;
    // Where it cannot be said there is more in the dump than need be.
    (void)!write(open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC), "0", 1);
    if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max < 4096)
        return false;
    limit.rlim_cur = 4096;
    return setrlimit(RLIMIT_CORE, &limit) == 0;
}

static void take_default(int number, void *before)
{
    static const struct action usual;
    (void)syscall(SYS_rt_sigaction, number, &usual, before, sizeof usual.mask);
}

void die(int status)
{
    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    int number = WTERMSIG(status);
    if (number > 64)
        _exit(125);
    if (!WCOREDUMP(status) || !may_dump()) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    take_default(number, NULL);
    (void)kill(getpid(), number);
    (void)mask_signals(SIG_UNBLOCK, signal_bit(number));
    _exit(128 + number);
}

bool stop(int number, bool group, bool alone)
{
    // It has been told to go on before it was told to stop.
    if (number < SIGSTOP || number > SIGTTOU || (pending_signals() & signal_bit(SIGCONT)))
        return true;
    struct action before;
    take_default(number, &before);
    (void)kill(group ? 0 : getpid(), number);
    (void)mask_signals(SIG_UNBLOCK, signal_bit(number));
    (void)mask_signals(SIG_BLOCK, signal_bit(number));
    (void)syscall(SYS_rt_sigaction, number, &before, NULL, sizeof before.mask);
    if (pending_signals() & signal_bit(SIGCONT))
        return true;
    // A group that is orphaned here, and is not on the host, stops by this signal only.
    if (alone)
        (void)kill(getpid(), SIGSTOP);
    return alone;
}
