// The processes that dpu-keeper runs: their parent must be what dies last, for only the parent is told how they ended.
#include "parts.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

// Those that have not ended, and that nobody has dropped.
static struct entry *running;

// In the child, which is a copy of a process with threads: nothing but calls that are safe after fork(2).
static _Noreturn void become_launcher(int socket)
{
    char *arguments[] = {(char *)launcher, NULL}, *environment[] = {NULL};
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &(sigset_t){0}, NULL);
    (void)setrlimit(RLIMIT_NOFILE, &files_before);
    // By a copy, for the socket may be 0 itself, which execve(2) would close.
    if (dup2(dup(socket), STDIN_FILENO) >= 0 && dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO) >= 0 && close_range(3, ~0u, 0) == 0)
        execve(launcher, arguments, environment);
    _exit(127);
}

int run_process(struct entry *entry, int socket, pid_t number, int cgroup)
{
    int pidfd = -1, type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || access(launcher, X_OK) < 0)
        return errno;
    if (type != SOCK_STREAM)
        return ESOCKTNOSUPPORT;
    // The number may be one that has ended.
    reap();
    struct clone_args how = {.flags = CLONE_PIDFD | (cgroup < 0 ? 0 : CLONE_INTO_CGROUP), .cgroup = cgroup < 0 ? 0 : cgroup, .pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD,
        .set_tid = number ? (uintptr_t)&number : 0, .set_tid_size = number != 0};
    pid_t child = (pid_t)syscall(SYS_clone3, &how, sizeof how);
    if (child < 0)
        return errno;
    if (child == 0)
        become_launcher(socket);
    entry->descriptor = pidfd;
    entry->size = (uint32_t)child;
    entry->next_running = running;
    running = entry;
    return 0;
}

void forget_process(const struct entry *entry)
{
    struct entry **place = &running;
    while (*place && *place != entry)
        place = &(*place)->next_running;
    if (*place)
        *place = entry->next_running;
}

// A process whose entry is gone is reaped as well.
void reap(void)
{
    int status;
    for (pid_t child; (child = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0;) {
        struct entry *entry = running;
        while (entry && (pid_t)(uint32_t)entry->size != child)
            entry = entry->next_running;
        if (!entry)
            continue;
        bool ended = WIFEXITED(status) || WIFSIGNALED(status);
        entry->size = (uint32_t)child | (WIFCONTINUED(status) ? 0 : (uint64_t)status << 32) | (ended ? KEEPER_ENDED : 0);
        if (ended)
            forget_process(entry);
        tell_watchers(entry);
    }
}
