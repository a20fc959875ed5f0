// Job control for a program that leads a session of its own: nobody else is in that, so its process group is an orphaned one, which the kernel never stops at
// a terminal (POSIX.1-2017, 3.268; setpgid(2)). So two processes join the session. The helper is in a group of its own, and
// moves the program between foreground and background. The member is its child, in the program's group: a parent in another group of the same session is what
// keeps a group from being orphaned. Both end with the program, and neither is its child, so that it sees nothing of them but their numbers.
#define _GNU_SOURCE
#include "jobs.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TERMINAL, PIPE, PROGRAM, READY, KEPT, ABOVE = 64 };

static pid_t copy_process(uint64_t flags)
{
    // With CLONE_PARENT the parent is told by the signal that this process has.
    struct clone_args how = {.flags = flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD};
    return (pid_t)syscall(SYS_clone3, &how, sizeof how);
}

static _Noreturn void be_member(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent || close_range(0, ~0u, 0) < 0)
        _exit(1);
    for (;;)
        pause();
}

// Signals are blocked: who changes the foreground from the background would be stopped.
static void obey(const struct process_job *job, pid_t program, pid_t *front)
{
    struct winsize size = {.ws_row = job->rows, .ws_col = job->columns, .ws_xpixel = job->width, .ws_ypixel = job->height};
    pid_t now = tcgetpgrp(TERMINAL);
    switch (job->kind) {
    case PROCESS_TO_GROUP: (void)kill(-program, job->rows); return;
    case PROCESS_BACKGROUND:
        if (now > 0 && now != getpgrp()) {
            *front = now;
            (void)tcsetpgrp(TERMINAL, getpgrp());
        }
        break;
    case PROCESS_FOREGROUND:
        // Who was in front may have ended.
        if (now == getpgrp() && tcsetpgrp(TERMINAL, *front) < 0)
            (void)tcsetpgrp(TERMINAL, program);
        break;
    default: return;
    }
    (void)ioctl(TERMINAL, TIOCSWINSZ, &size);
}

static _Noreturn void help(pid_t program, const int *kept)
{
    // Others would keep open what the program closes, and the agent waits for the end of one.
    int high[KEPT], error = 0;
    for (int i = 0; i < KEPT; i++)
        high[i] = fcntl(kept[i], F_DUPFD_CLOEXEC, ABOVE);
    for (int i = 0; i < KEPT; i++)
        if (dup2(high[i], i) < 0)
            _exit(1);
    pid_t self = getpid(), member = -1, front = program;
    if (close_range(KEPT, ~0u, 0) < 0 || chdir("/") < 0 || setpgid(0, 0) < 0 || (member = copy_process(0)) < 0)
        error = errno;
    if (member == 0)
        be_member(self);
    if (!error && setpgid(member, program) < 0)
        error = errno;
    struct pollfd polled[] = {{.fd = PIPE, .events = POLLIN}, {.fd = PROGRAM, .events = POLLIN}};
    for (bool ready = false; !error;) {
        struct process_job job;
        // What is in the pipe already comes before the program.
        int got = poll(polled, 2, ready ? -1 : 0);
        if (got > 0 && polled[1].revents)
            break;
        if (got > 0 && polled[0].revents && read(PIPE, &job, sizeof job) == sizeof job)
            obey(&job, program, &front);
        else if (got > 0 && polled[0].revents)
            polled[0].fd = -1;
        if (got <= 0 && !ready) {
            (void)!write(READY, &error, sizeof error);
            close(READY);
            ready = true;
        }
    }
    if (error)
        (void)!write(READY, &error, sizeof error);
    if (member > 0 && kill(member, SIGKILL) == 0)
        (void)waitpid(member, NULL, 0);
    _exit(error != 0);
}

int begin_jobs(int terminal, int pipe)
{
    sigset_t all;
    int ends[2], error = ECHILD, program = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (program < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    // The program gets its own mask later.
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    pid_t self = getpid(), helper = copy_process(CLONE_PARENT);
    if (helper == 0)
        help(self, (int[KEPT]){terminal, pipe, program, ends[1]});
    if (helper < 0)
        error = errno;
    close(ends[1]);
    close(program);
    if (helper > 0 && read(ends[0], &error, sizeof error) != sizeof error)
        error = ECHILD;
    close(ends[0]);
    return error;
}
