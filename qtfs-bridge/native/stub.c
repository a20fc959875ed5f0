// dpu-stub: stands where a parent expects a program that runs on a host. It tells dpu-runtime what it is (process.h), and from then on does three
// things: what happens to it, it tells; what happens to the program happens to it; where the runtime goes away, it looks for the next one.
//
// All signals are blocked from the start, and taken by a signalfd: those that come too early wait in the kernel's queue, as they would for a program.
#include "stub.h"

#include <poll.h>
#include <sys/auxv.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum { OWN_FAILURE = 125, START_LIMIT = 5000, SIGNAL_GRACE = 1000, TICK = 20, LOOK = 200, PAUSE_MAX = 1000, FRAME_ROOM = 65536 }; // milliseconds; bytes

static const char *name = "dpu-stub", *path = "/run/dpu/stub.sock";
static int signals, connection = -1, *inherited;
static size_t inherited_count;
static uint64_t fatal; // signals that end a program which does nothing about them
static char token[PROCESS_TOKEN_SIZE];

static _Noreturn void fail(int code, const char *what, const char *why, const char *remedy)
{
    leave_terminal();
    // Not where descriptor 2 is none that the parent has given.
    for (size_t i = 0; i < inherited_count || (!inherited && i == 0); i++)
        if (!inherited || inherited[i] == STDERR_FILENO)
            dprintf(STDERR_FILENO, "%s: %s%s%s%s%s\n", name, what, *why ? ": " : "", why, *remedy ? "; " : "", remedy);
    _exit(code);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void die_if_signalled(void)
{
    uint64_t ends = pending_signals() & fatal;
    if (ends)
        die(__builtin_ctzll(ends) + 1);
}

// As long as nothing is started a signal ends the stub.
static void wait_for(int descriptor, short events)
{
    struct pollfd polled[] = {{.fd = descriptor, .events = events}, {.fd = signals, .events = pending_signals() ? 0 : POLLIN}};
    die_if_signalled();
    (void)poll(polled, 2, TICK);
    die_if_signalled();
}

// 0 or an errno.
static int try_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return ENAMETOOLONG;
    strcpy(address.sun_path, path);
    connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection >= 0 && connect(connection, (struct sockaddr *)&address, sizeof address) == 0)
        return 0;
    int error = errno;
    if (connection >= 0)
        close(connection);
    connection = -1;
    return error;
}

static void send_frame(uint16_t kind, const void *content, size_t size, const int *descriptors, size_t count)
{
    struct process_frame head = {.kind = kind, .size = (uint32_t)size};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(PROCESS_FRAME_DESCRIPTORS * sizeof(int))] = {0};
    for (size_t done = 0; done < sizeof head + size;) {
        size_t skipped = done > sizeof head ? done - sizeof head : 0, of_head = done < sizeof head ? sizeof head - done : 0;
        struct iovec parts[] = {{(char *)&head + sizeof head - of_head, of_head}, {(char *)content + skipped, size - skipped}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        if (count && done == 0) {
            message.msg_control = control;
            message.msg_controllen = CMSG_SPACE(count * sizeof(int));
            struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
            *rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int))};
            memcpy(CMSG_DATA(rights), descriptors, count * sizeof(int));
        }
        ssize_t sent = sendmsg(connection, &message, MSG_NOSIGNAL);
        // What is received next may say why it ended. One alone that cannot be passed stays behind.
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET || (errno == EINVAL && count == 1)))
            return;
        // Kinds that the kernel lets nobody pass stay behind; the others do not suffer for it.
        if (sent < 0 && errno != EAGAIN && errno != EINTR && count > 1) {
            for (size_t i = 0; i < count; i++)
                send_frame(kind, (int32_t *)content + i, sizeof(int32_t), descriptors + i, 1);
            return;
        }
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            fail(OWN_FAILURE, "cannot tell dpu-runtime what to run", strerror(errno), "");
        if (sent < 0)
            wait_for(connection, POLLOUT);
        done += sent > 0 ? sent : 0;
    }
}

// --- What the runtime says -------------------------------------------------------------------------------------------

static char received[FRAME_ROOM] __attribute__((aligned(8)));
static size_t received_size, taken;

// The next frame that is whole, its content in 'received' behind its head; NULL where there is none yet. False where the connection has ended.
static bool receive(const struct process_frame **frame)
{
    memmove(received, received + taken, received_size -= taken);
    taken = 0;
    *frame = NULL;
    for (;;) {
        const struct process_frame *head = (struct process_frame *)received;
        if (received_size >= sizeof *head && head->size > FRAME_ROOM - sizeof *head)
            return false;
        if (received_size >= sizeof *head && received_size >= sizeof *head + head->size) {
            taken = sizeof *head + head->size;
            *frame = head;
            return true;
        }
        ssize_t got = recv(connection, received + received_size, FRAME_ROOM - received_size, 0);
        if (got <= 0)
            return got < 0 && (errno == EAGAIN || errno == EINTR);
        received_size += got;
    }
}

static int32_t number_in(const struct process_frame *frame, int32_t otherwise)
{
    if (frame->size >= sizeof otherwise)
        memcpy(&otherwise, frame + 1, sizeof otherwise);
    return otherwise;
}

static _Noreturn void refuse(const struct process_frame *frame)
{
    char text[4096];
    int length = frame->size > sizeof(int32_t) ? (int)(frame->size - sizeof(int32_t)) : 0;
    snprintf(text, sizeof text, "%.*s", length, (char *)(frame + 1) + sizeof(int32_t));
    int code = number_in(frame, OWN_FAILURE) & 0xff;
    // Never a success.
    fail(code ? code : OWN_FAILURE, *text ? text : "dpu-runtime refused to start it", "", "");
}

// The program has them now: an end of file, say, is to be seen by who waits for one.
static void begin(const struct process_frame *frame)
{
    size_t fixed = sizeof token + sizeof(int32_t), staying = frame->size < fixed ? 0 : (frame->size - fixed) / sizeof(int32_t);
    const int32_t *stays = (const int32_t *)((const char *)(frame + 1) + fixed);
    if (frame->size < fixed)
        fail(OWN_FAILURE, "dpu-runtime's answer has no token", "", "is it of this version?");
    memcpy(token, frame + 1, sizeof token);
    for (size_t i = 0; i < inherited_count; i++) {
        size_t at = 0;
        while (at < staying && stays[at] != inherited[i])
            at++;
        if (at == staying)
            close(inherited[i]);
    }
    free(inherited);
    inherited_count = 0;
}

static void start(const struct wish *wish)
{
    int64_t limit = now() + START_LIMIT, signalled = 0;
    for (int error; (error = try_connect()) != 0; wait_for(-1, 0))
        if ((error != ENOENT && error != ECONNREFUSED && error != EAGAIN) || now() > limit) {
            char what[sizeof(struct sockaddr_un) + 64];
            snprintf(what, sizeof what, "no dpu-runtime answers at '%.107s'", path);
            fail(OWN_FAILURE, what, strerror(error), "is dpu-runtime.service running, and may this user connect?");
        }
    size_t size;
    char *content = gather(wish, &size);
    if (!content || size > PROCESS_FRAME_MAX)
        fail(OWN_FAILURE, "cannot tell dpu-runtime what to run", strerror(content ? E2BIG : ENOMEM), "");
    for (size_t at = 0, count; at < inherited_count; at += count) {
        count = inherited_count - at < PROCESS_FRAME_DESCRIPTORS ? inherited_count - at : PROCESS_FRAME_DESCRIPTORS;
        send_frame(PROCESS_DESCRIPTORS, inherited + at, count * sizeof(int32_t), inherited + at, count);
    }
    if (wish->terminal >= 0 && wish->beside) {
        send_frame(PROCESS_DESCRIPTORS, &wish->terminal, sizeof(int32_t), &wish->terminal, 1);
        close(wish->terminal);
    }
    send_frame(PROCESS_START, content, size, NULL, 0);
    free(content);
    const struct process_frame *frame;
    for (;;) {
        if (!receive(&frame))
            fail(OWN_FAILURE, "dpu-runtime went away before it said whether the program was started", "", "see its log, and 'dpuctl ps' whether it runs, before you start it again");
        if (frame && frame->kind == PROCESS_REFUSED)
            refuse(frame);
        if (frame && frame->kind == PROCESS_ENDED)
            die(number_in(frame, OWN_FAILURE << 8));
        if (frame && frame->kind == PROCESS_STARTED)
            break;
        // There may be another one already, of which poll(2) would not tell.
        if (frame)
            continue;
        // The program gets signals that come now, when it runs. Where that takes long, they end what would have been it.
        uint64_t ends = pending_signals() & fatal;
        signalled = !ends ? 0 : signalled ? signalled : now();
        if (signalled && now() - signalled >= SIGNAL_GRACE)
            die_if_signalled();
        struct pollfd polled[] = {{.fd = connection, .events = POLLIN}, {.fd = signals, .events = pending_signals() ? 0 : POLLIN}};
        (void)poll(polled, 2, pending_signals() ? TICK : -1);
    }
    begin(frame);
}

// --- While it runs ----------------------------------------------------------------------------------------------------

// What the runtime has not got whole; of other signals the kernel's queue takes care.
static bool terminal; // the program has one
static char telling[256];
static size_t telling_size, telling_done;
static uint64_t passed_on; // signals that the program has got from here
static unsigned going_on, going_on_untold; // SIGCONTs that have not been answered, and of them those in 'telling': a stop that is told meanwhile came before
static int64_t asked;      // when the program last read the terminal in the background

static void tell(uint16_t kind, const void *content, uint32_t size)
{
    struct process_frame head = {.kind = kind, .size = size};
    if (sizeof telling - telling_size < sizeof head + size)
        return;
    memcpy(telling + telling_size, &head, sizeof head);
    memcpy(telling + telling_size + sizeof head, content, size);
    telling_size += sizeof head + size;
    if (kind == PROCESS_SIGNAL && ((const struct process_signal *)content)->signal == SIGCONT)
        going_on++, going_on_untold++;
}

// Takes it or not, and says so.
static void tell_job(void)
{
    (void)look_at_terminal(false);
    struct process_job job = job_now(false);
    if (terminal)
        tell(PROCESS_JOB, &job, sizeof job);
}

static void tell_to_go_on(void)
{
    tell_job();
    struct process_signal signal = {.signal = SIGCONT, .pid = getpid(), .uid = getuid()};
    tell(PROCESS_SIGNAL, &signal, sizeof signal);
}

static void take_signal(void)
{
    struct signalfd_siginfo info;
    if (telling_size || read(signals, &info, sizeof info) != sizeof info)
        return;
    struct process_signal signal = {.signal = (int32_t)info.ssi_signo, .code = info.ssi_code, .pid = (int32_t)info.ssi_pid, .uid = info.ssi_uid,
        .value = (int64_t)info.ssi_ptr};
    // What it finds when it goes on is what the terminal is by then.
    if (terminal && (signal.signal == SIGCONT || signal.signal == SIGWINCH)) {
        if (signal.signal == SIGCONT)
            miss_terminal();
        tell_job();
    }
    // The host's kernel tells the program itself that its terminal has another size.
    if (terminal && signal.signal == SIGWINCH && signal.code > 0)
        return;
    passed_on |= signal_bit(signal.signal);
    tell(PROCESS_SIGNAL, &signal, sizeof signal);
}

// The program has been stopped.
static void halt(int number)
{
    bool reads = number == SIGTTIN || number == SIGTTOU, had = terminal_ours;
    // It reads a terminal that it can have: it was not asked for before, or it has just been given.
    if (terminal && reads && look_at_terminal(true) && (!had || now() - asked < SIGNAL_GRACE)) {
        asked = had ? asked : now();
        tell_to_go_on();
        return;
    }
    leave_terminal();
    // As the kernel stops all of a group at a terminal: others of a pipeline too.
    if (!stop(number, terminal && (reads || (number == SIGTSTP && had)), !terminal || number == SIGSTOP))
        tell_to_go_on();
}

static _Noreturn void end(int status)
{
    // Who has typed it has meant all of the group, of which each finds its own way to take it.
    int number = status & 0x7f;
    if (terminal_ours && (number == SIGINT || number == SIGQUIT) && !(passed_on & signal_bit(number)))
        (void)kill(0, number);
    leave_terminal();
    die(status);
}

// Who stands for what the program has left.
static struct stood {
    char token[PROCESS_TOKEN_SIZE];
    int32_t number, error;
} stand_in;
static bool stand_in_due;

static void leave_behind(const struct process_frame *frame)
{
    struct stood asked;
    if (frame->size < sizeof asked)
        return;
    memcpy(&asked, frame + 1, sizeof asked);
    stand_in_due = true;
    if (stand_in.number > 0 && memcmp(asked.token, stand_in.token, sizeof asked.token) == 0)
        return;
    stand_in = asked;
    stand_in.number = fork_as(asked.number, &stand_in.error, signals);
    if (stand_in.number < 0)
        stand_in.number = 0;
    else if (stand_in.number == 0) {
        // The child: a stub that has lost its runtime, looks for it under another token, and has no terminal.
        memcpy(token, asked.token, sizeof token);
        connection = -1;
        received_size = taken = telling_size = telling_done = stand_in_due = 0;
        memset(&stand_in, 0, sizeof stand_in);
        forget_terminal();
        terminal = false;
    }
}

static void attach_again(int *pause)
{
    struct {
        struct process_frame head;
        char token[PROCESS_TOKEN_SIZE];
    } request = {.head = {.kind = PROCESS_ATTACH, .size = sizeof token}};
    memcpy(request.token, token, sizeof token);
    received_size = 0;
    if (connection >= 0)
        close(connection);
    do {
        (void)poll(NULL, 0, *pause);
        // Somebody may want it for something else, by now.
        if (*pause == PAUSE_MAX)
            leave_terminal();
        *pause = *pause * 2 < PAUSE_MAX ? *pause * 2 : PAUSE_MAX;
    } while (try_connect() != 0);
    // It fits; where the runtime has gone again, receiving tells.
    (void)send(connection, &request, sizeof request, MSG_NOSIGNAL);
}

static _Noreturn void live(void)
{
    bool attached = true;
    int pause = TICK;
    // It may be another one by now than what was asked for.
    tell_job();
    for (;;) {
        const struct process_frame *frame;
        if (!receive(&frame)) {
            attached = false;
            // Half a signal was none: the next runtime gets the whole of it.
            telling_done = 0;
            attach_again(&pause);
            continue;
        }
        if (frame) {
            switch (frame->kind) {
            case PROCESS_ENDED: end(number_in(frame, OWN_FAILURE << 8));
            case PROCESS_STOPPED: if (!going_on) halt(number_in(frame, 0)); break;
            case PROCESS_CONTINUED: going_on -= going_on > 0; break;
            case PROCESS_REFUSED: refuse(frame);
            case PROCESS_ATTACHED:
                attached = true;
                pause = TICK;
                going_on = going_on_untold; // the next runtime answers what is told to it
                tell_job();
                break;
            case PROCESS_STAND_IN: leave_behind(frame); break;
            }
            continue;
        }
        if (stand_in_due && !telling_size) {
            tell(PROCESS_STOOD, &stand_in, sizeof stand_in);
            stand_in_due = false;
        }
        struct pollfd polled[] = {{.fd = connection, .events = POLLIN | (attached && telling_size ? POLLOUT : 0)},
            {.fd = signals, .events = attached && !telling_size ? POLLIN : 0}};
        int got = poll(polled, 2, terminal_wanted && !terminal_ours ? LOOK : -1);
        // A shell that puts what runs into its foreground tells nobody.
        if (got == 0 && look_at_terminal(false))
            tell_job();
        if (got > 0 && polled[1].revents)
            take_signal();
        if (attached && telling_size) {
            ssize_t sent = send(connection, telling + telling_done, telling_size - telling_done, MSG_NOSIGNAL | MSG_DONTWAIT);
            telling_done += sent > 0 ? sent : 0;
            if (telling_done == telling_size)
                telling_done = telling_size = going_on_untold = 0;
        }
    }
}

// --- Start -------------------------------------------------------------------------------------------------------------

static _Noreturn void usage(int out, int code)
{
    dprintf(out,
        "usage: rexec [--host NAME] [--] PROGRAM [ARGUMENT...]\n"
        "\n"
        "Runs a program on a host, as if it ran here: with this directory, environment, user, limits and descriptors, and its exit status.\n"
        "Under another name (a link, or a bind mount over a program) dpu-stub stands for the program of that name.\n"
        "\n"
        "  --host NAME  which host, where there are several\n"
        "\n"
        "DPU_STUB_SOCKET says where dpu-runtime is, if not at /run/dpu/stub.sock. Exit codes of its own: 125 it could not be\n"
        "asked for, 126 it may not be executed, 127 there is none. See dpu-stub(1).\n");
    _exit(code);
}

static void read_options(char **arguments, struct wish *wish)
{
    char **next = arguments + (arguments[0] != NULL);
    for (; *next && strncmp(*next, "--", 2) == 0; next++) {
        const char *option = *next + 2;
        if (!*option) {
            next++;
            break;
        }
        if (strcmp(option, "help") == 0)
            usage(STDOUT_FILENO, 0);
        if (strcmp(option, "version") == 0) {
            dprintf(STDOUT_FILENO, "dpu-stub %s\n", KEEPER_PROGRAM_VERSION);
            _exit(0);
        }
        if (strncmp(option, "host=", 5) == 0)
            wish->host = option + 5;
        else if (strcmp(option, "host") == 0 && next[1])
            wish->host = *++next;
        else
            fail(OWN_FAILURE, "unknown option, or one without its value", *next, "see --help");
    }
    if (!*next || !**next)
        usage(STDERR_FILENO, OWN_FAILURE);
    wish->program = strchr(*next, '/') ? absolute(*next) : *next;
    wish->arguments = next;
}

int main(int count, char **arguments)
{
    (void)count;
    uint64_t usual = 0, every = ~signal_bit(SIGCHLD);
    struct wish wish = {.arguments = arguments, .blocked = mask_signals(SIG_SETMASK, ~(uint64_t)0), .ignored = ignored_signals()};
    for (const char *harmless = (const char[]){SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU, 0}; *harmless; harmless++)
        usual |= signal_bit(*harmless);
    fatal = ~(usual | wish.blocked | wish.ignored);
    inherited = list_descriptors(&inherited_count);
    signals = (int)syscall(SYS_signalfd4, -1, &every, sizeof every, SFD_CLOEXEC | SFD_NONBLOCK);
    if (!inherited || signals < 0)
        fail(OWN_FAILURE, "cannot see its own descriptors", strerror(errno), "is /proc mounted?");
    const char *executed = (const char *)getauxval(AT_EXECFN), *other = getenv("DPU_STUB_SOCKET");
    static char itself[4096];
    // By a descriptor (fexecve(3)) it has no name but its own.
    if (!executed || strncmp(executed, "/dev/fd/", 8) == 0)
        executed = readlink("/proc/self/exe", itself, sizeof itself - 1) > 0 ? itself : "dpu-stub";
    if (other && *other)
        path = other;
    name = strrchr(executed, '/') ? strrchr(executed, '/') + 1 : executed;
    if (strcmp(name, "dpu-stub") == 0 || strcmp(name, "rexec") == 0)
        read_options(arguments, &wish);
    else
        wish.program = absolute(executed);
    if (!wish.program)
        fail(OWN_FAILURE, "the program's path is relative, and there is no working directory", "", "name it by an absolute path");
    uint64_t asks = signal_bit(SIGTTIN) | signal_bit(SIGTTOU);
    wish.terminal = find_terminal(inherited, inherited_count, !((wish.blocked | wish.ignored) & asks), &wish.beside);
    start(&wish);
    terminal = wish.terminal >= 0;
    live();
}
