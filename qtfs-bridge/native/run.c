// dpu-run: starts an unmodified daemon in a view. What stays of it is the daemon's stand-in for whoever started it: it passes on signals, stops as that
// stops, and ends as it ends. It is small, and in C, as it stays as long as the daemon, which inherits everything exactly as it was given.
#define _GNU_SOURCE
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_OWN = 125, EXIT_REFUSED = 126, EXIT_NOT_FOUND = 127 };

static int runtime;

static _Noreturn void fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
static _Noreturn void fail(int code, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("dpu-run: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    _exit(code);
}

static struct {
    struct view_answer head;
    union {
        struct sock_filter filter[VIEW_FILTER_MAX];
        char text[VIEW_TEXT_MAX];
    };
} answer;

// Asks, with a descriptor beside it or -1; the descriptor that came beside the answer, or -1.
static int ask(struct view_request *request, int beside)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.head), &beside, sizeof beside);
    struct iovec out = {request, sizeof *request}, in = {&answer, sizeof answer - 1};
    struct msghdr message = {.msg_iov = &out, .msg_iovlen = 1, .msg_control = beside < 0 ? NULL : &control, .msg_controllen = beside < 0 ? 0 : sizeof control};
    if (sendmsg(runtime, &message, MSG_NOSIGNAL) < 0)
        fail(EXIT_OWN, "dpu-runtime went away: %s", strerror(errno));
    message = (struct msghdr){.msg_iov = &in, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(runtime, &message, MSG_CMSG_CLOEXEC);
    if (got < (ssize_t)sizeof answer.head || answer.head.version != VIEW_VERSION)
        fail(EXIT_OWN, got > 0 ? "dpu-runtime is of another version; upgrade the older one" : "dpu-runtime went away before it answered; see its log");
    size_t more = got - sizeof answer.head;
    if (answer.head.error)
        fail(EXIT_REFUSED, "%.*s", (int)more, answer.text);
    if (more < answer.head.instructions * sizeof *answer.filter)
        fail(EXIT_OWN, "dpu-runtime's answer is cut");
    if (message.msg_controllen < CMSG_LEN(sizeof(int)) || control.head.cmsg_type != SCM_RIGHTS)
        return -1;
    memcpy(&beside, CMSG_DATA(&control.head), sizeof beside);
    return beside;
}

static void connect_runtime(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        fail(EXIT_OWN, "'%s' is too long for a unix socket", path);
    strcpy(address.sun_path, path);
    runtime = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (runtime < 0 || connect(runtime, (struct sockaddr *)&address, sizeof address) < 0)
        fail(EXIT_OWN, "no dpu-runtime answers at '%s': %s; is dpu-runtime.service running, and is this root?", path, strerror(errno));
}

static int install(void)
{
    struct sock_fprog program = {.len = answer.head.instructions, .filter = answer.filter};
    unsigned int flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
#ifdef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
    flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV; // Linux 5.19: a signal does not begin a call again that is being carried out
#endif
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (listener < 0 && errno == EINVAL)
        listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (listener < 0)
        fail(EXIT_OWN, "calls cannot be intercepted: %s%s", strerror(errno), errno == EBUSY ? "; dpu-run runs in a view with interception already" : "");
    return listener;
}

// A service manager's sockets are for the process that it started: that is the daemon.
static void take_sockets(pid_t stands_in)
{
    const char *whose = getenv("LISTEN_PID");
    char text[16];
    if (whose && strtol(whose, NULL, 10) == stands_in) {
        (void)snprintf(text, sizeof text, "%d", getpid());
        (void)setenv("LISTEN_PID", text, 1);
    }
}

static void enter(struct view_request *request, int init, int alive, pid_t stands_in)
{
    // It goes when its stand-in is killed, as it would if that were itself.
    struct pollfd gone = {.fd = alive};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || (poll(&gone, 1, 0) > 0 && (gone.revents & POLLHUP)))
        _exit(EXIT_OWN);
    char *directory = getcwd(NULL, 0);
    if (setns(init, (int)answer.head.namespaces & ~CLONE_NEWPID) < 0)
        fail(EXIT_OWN, "the view '%s' cannot be entered: %s", request->name, strerror(errno));
    if ((!directory || chdir(directory) < 0) && chdir("/") < 0)
        fail(EXIT_OWN, "the view '%s' has no '/': %s", request->name, strerror(errno));
    free(directory);
    take_sockets(stands_in);
    if (answer.head.instructions) {
        request->kind = VIEW_LISTENER;
        int listener = install();
        (void)ask(request, listener);
        close(listener);
    }
}

// Ends as the daemon did.
static _Noreturn void end(int status)
{
    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    int number = WTERMSIG(status);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    (void)signal(number, SIG_DFL);
    (void)raise(number);
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
    _exit(128 + number);
}

static void changed(pid_t daemon)
{
    int status;
    while (waitpid(daemon, &status, WNOHANG | WUNTRACED) > 0) {
        if (!WIFSTOPPED(status))
            end(status);
        // Its parent is told, by this one. What lets this one go on lets that one.
        (void)raise(SIGSTOP);
        (void)kill(daemon, SIGCONT);
    }
}

static _Noreturn void stand_in(pid_t daemon, const sigset_t *all)
{
    for (;;) {
        siginfo_t info;
        if (sigwaitinfo(all, &info) < 0)
            continue;
        if (info.si_signo == SIGCHLD)
            changed(daemon);
        else if (info.si_code == SI_QUEUE)
            (void)sigqueue(daemon, info.si_signo, info.si_value);
        else if (info.si_code != SI_KERNEL)
            // A terminal's go to the daemon without us: it is of the same process group.
            (void)kill(daemon, info.si_signo);
    }
}

static _Noreturn void usage(int code)
{
    fprintf(code ? stderr : stdout,
        "usage: dpu-run [OPTION...] VIEW [--] PROGRAM [ARGUMENT...]\n"
        "\n"
        "Starts a program in a view of this DPU (/etc/dpu/views.d/VIEW.json), which is made where it is not there. Signals, stops and the exit status are\n"
        "the program's own; 125, 126 and 127 are dpu-run's: it failed, the runtime refused or the program cannot be executed, there is no such program.\n"
        "\n"
        "  --socket PATH  where dpu-runtime answers (/run/dpu/view.sock, or DPU_VIEW_SOCKET)\n"
        "  --help         this\n"
        "  --version      the version\n");
    _exit(fflush(stdout) || fflush(stderr) ? EXIT_OWN : code);
}

int main(int count, char **values)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {0}};
    const char *socket = getenv("DPU_VIEW_SOCKET");
    for (int option; (option = getopt_long(count, values, "+h", options, NULL)) >= 0;) {
        switch (option) {
        case 's': socket = optarg; break;
        case 'h': usage(0);
        case 'v': printf("dpu-run %s\n", KEEPER_PROGRAM_VERSION); return 0;
        default: usage(EXIT_OWN);
        }
    }
    struct view_request request = {.version = VIEW_VERSION, .kind = VIEW_JOIN};
    char **daemon = values + optind;
    if (!daemon[0] || strlen(daemon[0]) >= sizeof request.name)
        fail(EXIT_OWN, daemon[0] ? "'%s' is no name of a view" : "no view is named; see --help", daemon[0]);
    strcpy(request.name, *daemon++);
    if (*daemon && strcmp(*daemon, "--") == 0)
        daemon++;
    if (!*daemon)
        fail(EXIT_OWN, "no program is named; see --help");
    connect_runtime(socket && *socket ? socket : "/run/dpu/view.sock");
    int init = ask(&request, -1), alive[2];
    if (init < 0)
        fail(EXIT_OWN, "dpu-runtime did not say which process holds the view");
    // Where SIGCHLD is ignored nobody could be waited for; the daemon has it as it was.
    struct sigaction child_before, usual = {.sa_handler = SIG_DFL};
    sigset_t all, before;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    (void)sigaction(SIGCHLD, &usual, &child_before);
    if (setns(init, CLONE_NEWPID) < 0 || pipe2(alive, O_CLOEXEC) < 0)
        fail(EXIT_OWN, "the view '%s' cannot be entered: %s", request.name, strerror(errno));
    pid_t self = getpid(), process = fork();
    if (process < 0)
        fail(EXIT_OWN, "no process can be made in the view '%s': %s; has it just ended?", request.name, strerror(errno));
    if (process == 0) {
        close(alive[1]);
        enter(&request, init, alive[0], self);
        (void)sigaction(SIGCHLD, &child_before, NULL);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        execvp(*daemon, daemon);
        fail(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_REFUSED, "'%s' cannot be executed in the view '%s': %s", *daemon, request.name, strerror(errno));
    }
    close(runtime);
    close(init);
    stand_in(process, &all);
}
