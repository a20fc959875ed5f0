// What the helper processes of a mount (teller.c, binder.c) do first.
#ifndef DPU_HELPER_H
#define DPU_HELPER_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

// A process of its own beside the runtime that started it; false where it cannot be. Descriptors beside 1 and 2 stay.
static bool stand_alone(void)
{
    // It says nothing, and may outlive whoever reads what the runtime says.
    int nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || dup2(nothing, STDOUT_FILENO) < 0 || dup2(nothing, STDERR_FILENO) < 0)
        return false;
    if (nothing > STDERR_FILENO)
        close(nothing);

    // Not a terminal's signals, nor those that the thread which started it had blocked.
    (void)setsid();
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);

    // Not allowed everywhere; then reclaim of memory might wait for the mount that it serves.
    (void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
    return true;
}

#endif
