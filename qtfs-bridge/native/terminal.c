// dpu-stub's terminal: whose it is just now, and that it passes all that is typed on as it is while it is the program's. What the program has made of
// its own terminal on the host stays there.
#include "stub.h"

#include <asm/termbits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { TTYAUX_MAJOR = 5, SLAVE_MAJOR = 136 };

static int terminal = -1;
bool terminal_wanted, terminal_ours;
static bool shared;       // what the program writes goes elsewhere, and who gets that may write to the terminal: what is written is not done twice
static struct termios2 usual, taken; // as it was, and as it is while it is the program's

// The number of a terminal's device, also where it was opened as /dev/tty; 0 where it is none, or the master of a pair.
static uint32_t device_of(int descriptor)
{
    uint32_t device = 0, number;
    return descriptor >= 0 && ioctl(descriptor, TIOCGDEV, &device) == 0 && ioctl(descriptor, TIOCGPTN, &number) < 0 ? device : 0;
}

static bool is_passable(int descriptor)
{
    struct stat status;
    return (fcntl(descriptor, F_GETFL) & O_ACCMODE) == O_RDWR && fstat(descriptor, &status) == 0 && major(status.st_rdev) != TTYAUX_MAJOR;
}

// By its own name: /dev/tty is another one for each who opens it.
static int open_device(uint32_t device)
{
    char path[64], target[256] = {0};
    if (major(device) == SLAVE_MAJOR) {
        snprintf(path, sizeof path, "/dev/pts/%u", minor(device));
    } else {
        snprintf(path, sizeof path, "/sys/dev/char/%u:%u", major(device), minor(device));
        if (readlink(path, target, sizeof target - 1) < 0 || !strrchr(target, '/'))
            return -1;
        snprintf(path, sizeof path, "/dev/%.48s", strrchr(target, '/') + 1);
    }
    int opened = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (device_of(opened) == device)
        return opened;
    close(opened);
    return -1;
}

static bool in_foreground(void)
{
    pid_t group;
    // One that is not its controlling terminal knows nothing of it.
    return terminal >= 0 && (ioctl(terminal, TIOCGPGRP, &group) < 0 || group == getpgrp());
}

int find_terminal(const int *inherited, size_t count, bool waits, bool *beside)
{
    int found = -1;
    terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    uint32_t device = device_of(terminal);
    for (int i = 0; i <= STDERR_FILENO && !device; i++)
        device = device_of(i);
    bool input = false;
    shared = true;
    for (size_t i = 0; i < count && device; i++) {
        bool is = device_of(inherited[i]) == device;
        input = input || (is && inherited[i] == STDIN_FILENO);
        shared = shared && !(is && inherited[i] == STDOUT_FILENO);
        found = found < 0 && is && is_passable(inherited[i]) ? inherited[i] : found;
    }
    *beside = device && found < 0;
    if (*beside)
        found = open_device(device);
    if (found >= 0 && terminal < 0)
        terminal = fcntl(found, F_DUPFD_CLOEXEC, 0);
    // Another one in a pipeline may be whom the user types for, so that it is asked for first. Who cannot be asked by a stop, and who only looks whether
    // something has come, has it at once.
    terminal_wanted = found >= 0 && (input || !waits);
    return found;
}

static void make_raw(void)
{
    if (ioctl(terminal, TCGETS2, &usual) < 0)
        return;
    struct termios2 raw = usual;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IUCLC | IXON | IXOFF);
    raw.c_oflag &= shared ? ~(tcflag_t)0 : ~(tcflag_t)OPOST;
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    (void)ioctl(terminal, TCSETS2, &raw);
    // The kernel has its own mind about some.
    (void)ioctl(terminal, TCGETS2, &taken);
}

bool look_at_terminal(bool ask)
{
    bool before = terminal_ours;
    terminal_wanted = terminal_wanted || (ask && terminal >= 0);
    terminal_ours = terminal_wanted && in_foreground();
    if (terminal_ours && !before)
        make_raw();
    return terminal_ours;
}

void miss_terminal(void)
{
    struct termios2 now;
    if (terminal_ours && ioctl(terminal, TCGETS2, &now) == 0 && memcmp(&now, &taken, sizeof now) != 0)
        terminal_ours = false;
}

void leave_terminal(void)
{
    // Who has it now has it as that one wants.
    if (terminal_ours && in_foreground())
        (void)ioctl(terminal, TCSETS2, &usual);
    terminal_ours = false;
}

void forget_terminal(void)
{
    terminal = -1;
    terminal_wanted = terminal_ours = false;
}

struct process_job job_now(bool soon)
{
    struct winsize size = {0};
    if (terminal >= 0)
        (void)ioctl(terminal, TIOCGWINSZ, &size);
    return (struct process_job){terminal_ours || (soon && terminal_wanted && in_foreground()) ? PROCESS_FOREGROUND : PROCESS_BACKGROUND, size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel};
}
