// dpu-keeper: holds descriptors and shared memory for the daemons of this machine, so that each of them may die or be
// replaced. It has no policy: who may connect (its own user and root) may do all. keeper.h has the protocol.
//
// One thread serves all clients, and never waits for one. Others close what is let go, for close(2) may block: a file of a
// file system that hangs, a descriptor of /dev/fuse whose requests end with it.
#include "parts.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

enum { BACKLOG = 16, ENTRIES_DEFAULT = 65536, SPARE_DESCRIPTORS = 2 * CLIENTS_MAX };

static const uint64_t memory_default = (uint64_t)1 << 30;

struct keeper_status status = {.features = KEEPER_RUNS | KEEPER_BEARS};
const char *launcher = "/usr/libexec/dpu/dpu-launch";
struct rlimit files_before;

void say(int level, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    // "<N>" is the level for the journal (sd-daemon(3)).
    fprintf(stderr, getenv("JOURNAL_STREAM") ? "<%d>" : "", level);
    fprintf(stderr, "dpu-keeper: ");
    vfprintf(stderr, format, values);
    fprintf(stderr, "\n");
    va_end(values);
}

static void notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un manager = {.sun_family = AF_UNIX};
    size_t length = path ? strlen(path) : 0;
    if (length < 2 || length >= sizeof manager.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(manager.sun_path, path, length);
    if (path[0] == '@')
        manager.sun_path[0] = 0;
    int out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (out < 0)
        return;
    (void)sendto(out, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&manager, offsetof(struct sockaddr_un, sun_path) + length);
    close(out);
}

static void fail(const char *what, const char *subject)
{
    say(ERROR, "%s '%s': %s", what, subject, strerror(errno));
    exit(1);
}

// The lock is held until the process ends; so a socket that is there was left by one that was killed.
static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char lock[sizeof address.sun_path + 8];
    if (strlen(path) >= sizeof address.sun_path) {
        say(ERROR, "the socket's path is longer than %zu bytes: '%s'", sizeof address.sun_path - 1, path);
        exit(2);
    }
    strcpy(address.sun_path, path);
    snprintf(lock, sizeof lock, "%s.lock", path);
    int held = open(lock, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (held < 0)
        fail("cannot open", lock);
    if (flock(held, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            fail("cannot lock", lock);
        say(ERROR, "another keeper serves '%s'; there is one a machine", path);
        exit(3);
    }
    if (unlink(path) < 0 && errno != ENOENT)
        fail("cannot remove the old socket", path);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, BACKLOG) < 0)
        fail("cannot listen at", path);
    umask(mask);
    return listener;
}

// As many descriptors as the machine lets us have; and not more entries than fit into them.
static void raise_limits(void)
{
    if (getrlimit(RLIMIT_NOFILE, &files_before) < 0)
        return;
    struct rlimit limit = files_before;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    uint64_t room = limit.rlim_max > 2 * SPARE_DESCRIPTORS ? limit.rlim_max - SPARE_DESCRIPTORS : SPARE_DESCRIPTORS;
    if (status.entries_max > room) {
        say(INFO, "%lu entries instead of %lu: the limit of open files is %lu", (unsigned long)room, (unsigned long)status.entries_max,
            (unsigned long)limit.rlim_max);
        status.entries_max = room;
    }
}

static void usage(FILE *out)
{
    fprintf(out,
        "usage: dpu-keeper [--socket PATH] [--entries N] [--memory BYTES] [--launcher PATH] [--help] [--version]\n"
        "\n"
        "Holds descriptors, shared memory and processes for the DPU daemons of this machine, so that they may die and be replaced.\n"
        "\n"
        "  --socket PATH    where daemons find it (default: /run/dpu/keeper.sock)\n"
        "  --entries N      how many it holds at most (default: %d, and no more than the limit of open files allows)\n"
        "  --memory BYTES   how much shared memory it makes at most (default: %lu)\n"
        "  --launcher PATH  what it executes for a process that is to run (default: %s)\n"
        "\n"
        "SIGTERM ends it, and with it all that it holds, but processes go on. Exit codes: 0 ended, 1 the system refused, 2 wrong arguments,\n"
        "3 another keeper serves that socket. See dpu-keeper(8).\n",
        ENTRIES_DEFAULT, (unsigned long)memory_default, launcher);
}

static uint64_t number(const char *text, const char *option)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || value == 0 || value > (uint64_t)1 << 50) {
        say(ERROR, "%s wants a number from 1 to 2^50, not '%s'", option, text);
        exit(2);
    }
    return value;
}

static const char *read_options(int count, char **values)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'}, {"entries", required_argument, NULL, 'e'}, {"memory", required_argument, NULL, 'm'},
        {"launcher", required_argument, NULL, 'l'}, {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {NULL, 0, NULL, 0}};
    const char *path = "/run/dpu/keeper.sock";
    status.entries_max = ENTRIES_DEFAULT;
    status.memory_max = memory_default;
    for (int option; (option = getopt_long(count, values, "", options, NULL)) != -1;) {
        switch (option) {
        case 's': path = optarg; break;
        case 'e': status.entries_max = number(optarg, "--entries"); break;
        case 'm': status.memory_max = number(optarg, "--memory"); break;
        case 'l': launcher = optarg; break;
        case 'h': usage(stdout); exit(0);
        case 'v':
            printf("dpu-keeper %s, protocol %d to %d\n", KEEPER_PROGRAM_VERSION, KEEPER_OLDEST, KEEPER_NEWEST);
            exit(0);
        default: usage(stderr); exit(2);
        }
    }
    if (optind < count) {
        say(ERROR, "'%s' is one argument too many", values[optind]);
        exit(2);
    }
    return path;
}

static void watch(int descriptor, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) < 0)
        fail("cannot wait for", "a descriptor");
}

// Half of what the manager allows between two signs of life, in ms; -1: it wants none.
static int watchdog_interval(void)
{
    const char *interval = getenv("WATCHDOG_USEC"), *whose = getenv("WATCHDOG_PID");
    long long microseconds = interval && (!whose || atoi(whose) == getpid()) ? atoll(interval) : 0;
    return microseconds > 0 ? (int)(microseconds / 2000) + 1 : -1;
}

int main(int count, char **values)
{
    const char *path = read_options(count, values);
    struct timespec now;
    sigset_t ends = {0};
    raise_limits();
    clock_gettime(CLOCK_BOOTTIME, &now);
    status.started = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (getrandom(status.instance, sizeof status.instance, 0) != sizeof status.instance)
        fail("cannot read", "random bytes");
    // Before there is a second thread, so that none of them is ended by these.
    for (int i = 0; i < 3; i++)
        sigaddset(&ends, (int[]){SIGTERM, SIGINT, SIGCHLD}[i]);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); // ignored, it would not be told of ends
    int signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK), listener = listen_at(path);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (signals < 0 || poller < 0 || !start_closer())
        fail("cannot start", path);
    watch(listener, &listener);
    watch(signals, &signals);
    say(INFO, "holds up to %lu entries and %lu bytes of memory at %s", (unsigned long)status.entries_max, (unsigned long)status.memory_max, path);
    notify("READY=1");
    int interval = watchdog_interval();
    for (;;) {
        struct epoll_event event;
        int ready = epoll_wait(poller, &event, 1, interval);
        if (interval > 0)
            notify("WATCHDOG=1");
        if (ready <= 0)
            continue;
        struct signalfd_siginfo signal;
        if (event.data.ptr == &listener)
            accept_client(listener);
        else if (event.data.ptr != &signals)
            serve_client(event.data.ptr);
        else if (read(signals, &signal, sizeof signal) == sizeof signal && signal.ssi_signo != SIGCHLD)
            break;
        else
            reap();
    }
    notify("STOPPING=1");
    unlink(path);
    say(INFO, "ends, and with it %zu entries", entry_count);
    return 0;
}
