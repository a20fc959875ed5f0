// The clients of dpu-keeper, and what they ask. keeper.h has the protocol.
#include "parts.h"

#include <sys/epoll.h>

struct client {
    int socket; // -1: free
    bool greeted, watches;
    uint64_t tag; // of KEEPER_WATCH
};

static struct client clients[CLIENTS_MAX] = {[0 ... CLIENTS_MAX - 1] = {.socket = -1}};
int poller;

// --- Requests --------------------------------------------------------------------------------------------------------

// A request as it came, and what is to be answered.
struct exchange {
    struct client *client;
    struct keeper_message request, answer;
    const char *name, *note;
    int given;        // the descriptor that came with it, or -1
    int taken;        // the one that the answer brings, or -1
    const char *body; // the answer's note
    char room[KEEPER_MESSAGE_MAX - sizeof(struct keeper_message)];
};

static int describe(struct exchange *exchange)
{
    status.entries = entry_count;
    status.closing = count_closing();
    memcpy(exchange->room, &status, sizeof status);
    exchange->body = exchange->room;
    exchange->answer.note = sizeof status;
    return 0;
}

static int hello(struct exchange *exchange)
{
    struct client *client = exchange->client;
    uint64_t oldest = exchange->request.size >> 32, newest = (uint32_t)exchange->request.size;
    uint64_t version = newest < KEEPER_NEWEST ? newest : KEEPER_NEWEST;
    if (oldest == 0 || oldest > newest)
        return EINVAL;
    (void)describe(exchange);
    client->greeted = version >= KEEPER_OLDEST && version >= oldest;
    // Told also where none fits, so that the client can say which one is needed.
    exchange->answer.size = client->greeted ? version : KEEPER_NEWEST;
    return client->greeted ? 0 : EPROTONOSUPPORT;
}

static int put(struct exchange *exchange)
{
    const struct keeper_message *request = &exchange->request;
    size_t place = find(exchange->name, request->name);
    if ((request->flags & KEEPER_NEW) && is_at(place, exchange->name, request->name))
        return EEXIST;
    int error = add_entry(exchange->name, request->name, exchange->note, request->note, exchange->given,
        exchange->given < 0 ? KEEPER_NOTE_ALONE : KEEPER_DESCRIPTOR, 0);
    if (error == 0)
        exchange->given = -1;
    return error;
}

static int get(struct exchange *exchange)
{
    size_t place = find(exchange->name, exchange->request.name);
    // A pidfd may have told the client already.
    reap();
    if (!is_at(place, exchange->name, exchange->request.name))
        return ENOENT;
    const struct entry *entry = entries[place];
    exchange->taken = entry->descriptor;
    exchange->answer.size = entry->size;
    exchange->answer.flags |= entry->kind == KEEPER_PROCESS ? KEEPER_IS_PROCESS : 0;
    exchange->answer.note = entry->note_length;
    exchange->body = entry->bytes + entry->name_length;
    return 0;
}

static int drop(struct exchange *exchange)
{
    size_t length = exchange->request.name, place = find(exchange->name, length), count = 0;
    if (exchange->request.flags & KEEPER_PREFIX) {
        while (begins_at(place + count, exchange->name, length))
            count++;
    } else if (is_at(place, exchange->name, length)) {
        count = 1;
    } else {
        return length ? ENOENT : EINVAL;
    }
    remove_entries(place, count);
    exchange->answer.size = count;
    return 0;
}

static int list(struct exchange *exchange)
{
    const struct keeper_message *request = &exchange->request;
    size_t place = find(exchange->name, request->name), used = 0;
    reap();
    if (request->note) {
        size_t after = find(exchange->note, request->note);
        after += is_at(after, exchange->note, request->note);
        place = after > place ? after : place;
    }
    for (; begins_at(place, exchange->name, request->name); place++) {
        const struct entry *entry = entries[place];
        size_t bytes = entry->name_length + entry->note_length, step = (sizeof(struct keeper_item) + bytes + 7) & ~(size_t)7;
        if (used + step > sizeof exchange->room)
            break;
        struct keeper_item item = {.name = entry->name_length, .note = entry->note_length, .kind = entry->kind, .size = entry->size};
        memset(exchange->room + used, 0, step);
        memcpy(exchange->room + used, &item, sizeof item);
        memcpy(exchange->room + used + sizeof item, entry->bytes, bytes);
        used += step;
        exchange->answer.size++;
    }
    exchange->body = exchange->room;
    exchange->answer.note = used;
    return 0;
}

static int memory(struct exchange *exchange)
{
    const struct keeper_message *request = &exchange->request;
    size_t place = find(exchange->name, request->name);
    if (is_at(place, exchange->name, request->name)) {
        // Of another size it is another thing: the client drops it, or lives with it.
        if (entries[place]->kind != KEEPER_SHARED_MEMORY || (request->size != 0 && request->size != entries[place]->size))
            return EEXIST;
        return get(exchange);
    }
    if (request->size == 0)
        return ENOENT;
    int made = make_memory(exchange->name, request->name, request->size);
    if (made < 0)
        return -made;
    int error = add_entry(exchange->name, request->name, exchange->note, request->note, made, KEEPER_SHARED_MEMORY, request->size);
    if (error) {
        close(made);
        return error;
    }
    status.memory += request->size;
    exchange->answer.flags = KEEPER_MADE;
    return get(exchange);
}

static int run(struct exchange *exchange)
{
    const struct keeper_message *request = &exchange->request;
    size_t place = find(exchange->name, request->name);
    bool born = request->flags & KEEPER_BORN, there = is_at(place, exchange->name, request->name);
    if (exchange->given < 0 || request->size > INT32_MAX)
        return EINVAL;
    if (born != there || (born && entries[place]->kind != KEEPER_DESCRIPTOR))
        return EBUSY;
    int cgroup = born ? dup(entries[place]->descriptor) : -1;
    // Its place first: what runs cannot be taken back.
    int error = born && cgroup < 0 ? errno : add_entry(exchange->name, request->name, exchange->note, request->note, -1, KEEPER_PROCESS, 0);
    if (!error && (error = run_process(entries[place], exchange->given, (pid_t)request->size, cgroup)) != 0)
        remove_entries(place, 1);
    let_go(cgroup);
    return error ? error : get(exchange);
}

static int watch(struct exchange *exchange)
{
    exchange->client->watches = true;
    exchange->client->tag = exchange->request.tag;
    return 0;
}

static const struct {
    int (*serve)(struct exchange *exchange);
    uint32_t flags;
    bool named, given; // whether it needs a name, and may bring a descriptor
} operations[] = {
    [KEEPER_HELLO] = {.serve = hello},
    [KEEPER_PUT] = {put, KEEPER_NEW | KEEPER_QUIET, true, true},
    [KEEPER_GET] = {get, 0, true, false},
    [KEEPER_DROP] = {drop, KEEPER_PREFIX | KEEPER_QUIET, false, false},
    [KEEPER_LIST] = {.serve = list},
    [KEEPER_MEMORY] = {memory, 0, true, false},
    [KEEPER_STATUS] = {.serve = describe},
    [KEEPER_RUN] = {run, KEEPER_BORN, true, true},
    [KEEPER_WATCH] = {.serve = watch},
};

static int serve(struct exchange *exchange)
{
    const struct keeper_message *request = &exchange->request;
    uint16_t operation = request->operation;
    if (!exchange->client->greeted && operation != KEEPER_HELLO)
        return EPROTO;
    if (operation >= sizeof operations / sizeof *operations || !operations[operation].serve)
        return ENOSYS;
    if (request->flags & ~operations[operation].flags)
        return EINVAL;
    if (request->name > KEEPER_NAME_MAX || request->note > KEEPER_NOTE_MAX)
        return ENAMETOOLONG;
    if (memchr(exchange->name, 0, request->name) || (operations[operation].named && request->name == 0))
        return EINVAL;
    return exchange->given >= 0 && !operations[operation].given ? EINVAL : operations[operation].serve(exchange);
}

// --- Clients ---------------------------------------------------------------------------------------------------------

static void end_client(struct client *client)
{
    close(client->socket);
    client->socket = -1;
    status.clients--;
}

static bool send_message(const struct client *client, const struct keeper_message *head, const char *body, size_t length, int descriptor)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec parts[] = {{(void *)head, sizeof *head}, {(void *)body, length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (descriptor >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        *rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(rights), &descriptor, sizeof(int));
    }
    return sendmsg(client->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

// False where the client does not take its answers, or is gone.
static bool answer(struct client *client, struct exchange *exchange)
{
    if (send_message(client, &exchange->answer, exchange->body, exchange->answer.note, exchange->taken))
        return true;
    if (errno == EAGAIN || errno == EPIPE || errno == ECONNRESET)
        return false;
    // A descriptor that cannot be sent (ETOOMANYREFS): said without it.
    exchange->answer = (struct keeper_message){.header = sizeof exchange->answer, .operation = exchange->request.operation,
        .error = errno, .tag = exchange->request.tag};
    return send_message(client, &exchange->answer, NULL, 0, -1);
}

void tell_watchers(const struct entry *entry)
{
    struct keeper_message told = {.header = sizeof told, .operation = KEEPER_WATCH, .name = entry->name_length, .size = entry->size};
    for (struct client *client = clients; client < clients + CLIENTS_MAX; client++) {
        told.tag = client->tag;
        if (client->socket >= 0 && client->watches && !send_message(client, &told, entry->bytes, entry->name_length, -1))
            (void)shutdown(client->socket, SHUT_RDWR); // its end comes by itself, for it may be the one that is being served
    }
}

// Puts a message's parts in place; an errno where it is none.
static int take_apart(struct exchange *exchange, char *bytes, size_t length)
{
    struct keeper_message *request = &exchange->request;
    uint16_t header;
    if (length < sizeof header)
        return EBADMSG;
    memcpy(&header, bytes, sizeof header);
    // Version 1's is the shortest there is; what a later one has more is not for us.
    if (header < sizeof *request || header > length)
        return EBADMSG;
    memcpy(request, bytes, sizeof *request);
    if ((uint64_t)header + request->name + request->note != length)
        return EBADMSG;
    exchange->name = bytes + header;
    exchange->note = exchange->name + request->name;
    return 0;
}

// The descriptor that came with a message, or -1.
static int descriptor_of(struct msghdr *message)
{
    int descriptor = -1;
    struct cmsghdr *part = CMSG_FIRSTHDR(message);
    if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS && part->cmsg_len >= CMSG_LEN(sizeof descriptor))
        memcpy(&descriptor, CMSG_DATA(part), sizeof descriptor);
    return descriptor;
}

void serve_client(void *which)
{
    struct client *client = which;
    static char bytes[KEEPER_MESSAGE_MAX];
    static struct exchange exchange;
    // Room for one descriptor: what comes beyond it the kernel closes, and says so.
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t length = recvmsg(client->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        end_client(client);
        return;
    }
    exchange.client = client;
    exchange.given = descriptor_of(&message);
    exchange.taken = -1;
    exchange.body = "";
    exchange.request = (struct keeper_message){0};
    exchange.answer = (struct keeper_message){0};
    int error = message.msg_flags & MSG_TRUNC ? EMSGSIZE : take_apart(&exchange, bytes, length);
    if (error == 0) {
        exchange.answer = (struct keeper_message){.operation = exchange.request.operation, .tag = exchange.request.tag};
        // Without room for descriptors of ours the kernel drops the client's as well.
        error = message.msg_flags & MSG_CTRUNC ? EMFILE : serve(&exchange);
    }
    exchange.answer.header = sizeof exchange.answer;
    exchange.answer.error = error;
    status.requests++;
    status.refused += error != 0;
    // A launcher's client waits for the end of this socket; closing it never waits.
    error == 0 && exchange.request.operation == KEEPER_RUN ? (void)close(exchange.given) : let_go(exchange.given);
    if (error == 0 && (exchange.request.flags & KEEPER_QUIET))
        return;
    if (!answer(client, &exchange)) {
        say(WARNING, "a client does not take its answers, or is gone: its connection ends");
        end_client(client);
    }
}

void accept_client(int listener)
{
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0)
        return;
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || (peer.uid != geteuid() && peer.uid != 0)) {
        say(WARNING, "user %u (process %d) is refused: only root and the keeper's own user may connect", peer.uid, peer.pid);
        close(connection);
        return;
    }
    struct client *client = NULL;
    for (int i = 0; i < CLIENTS_MAX && !client; i++)
        client = clients[i].socket < 0 ? &clients[i] : NULL;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (!client || epoll_ctl(poller, EPOLL_CTL_ADD, connection, &event) < 0) {
        say(WARNING, "process %d is refused: there are %d clients already", peer.pid, CLIENTS_MAX);
        close(connection);
        return;
    }
    *client = (struct client){.socket = connection};
    status.clients++;
}
