// The clients of dpu-keeper, and what they ask. keeper.h has the protocol.
#include "parts.h"

#include <sys/epoll.h>

struct client {
    int socket; // -1: free
    bool greeted;
};

static struct client clients[CLIENTS_MAX];
static int poller;

// --- Requests --------------------------------------------------------------------------------------------------------

// A request as it came, and what is to be answered.
struct exchange {
    struct keeper_message request, answer;
    const char *name, *note;
    int given;        // the descriptor that came with it, or -1
    int taken;        // the one that the answer brings, or -1
    const char *body; // the answer's note
    char room[KEEPER_MESSAGE_MAX - sizeof(struct keeper_message)];
};

static void describe(struct exchange *exchange)
{
    status.entries = entry_count;
    status.closing = count_closing();
    memcpy(exchange->room, &status, sizeof status);
    exchange->body = exchange->room;
    exchange->answer.note = sizeof status;
}

static int hello(struct client *client, struct exchange *exchange)
{
    uint64_t oldest = exchange->request.size >> 32, newest = (uint32_t)exchange->request.size;
    uint64_t version = newest < KEEPER_NEWEST ? newest : KEEPER_NEWEST;
    if (oldest == 0 || oldest > newest)
        return EINVAL;
    describe(exchange);
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
    if (!is_at(place, exchange->name, exchange->request.name))
        return ENOENT;
    const struct entry *entry = entries[place];
    exchange->taken = entry->descriptor;
    exchange->answer.size = entry->size;
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
        return ENOENT;
    }
    remove_entries(place, count);
    exchange->answer.size = count;
    return 0;
}

static int list(struct exchange *exchange)
{
    const struct keeper_message *request = &exchange->request;
    size_t place = find(exchange->name, request->name), used = 0;
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

static uint32_t known_flags(uint16_t operation)
{
    return operation == KEEPER_PUT ? KEEPER_NEW | KEEPER_QUIET : operation == KEEPER_DROP ? KEEPER_PREFIX | KEEPER_QUIET : 0;
}

static bool needs_name(const struct keeper_message *request)
{
    uint16_t operation = request->operation;
    return operation == KEEPER_PUT || operation == KEEPER_GET || operation == KEEPER_MEMORY
        || (operation == KEEPER_DROP && !(request->flags & KEEPER_PREFIX));
}

static int serve(struct client *client, struct exchange *exchange)
{
    const struct keeper_message *request = &exchange->request;
    if (!client->greeted && request->operation != KEEPER_HELLO)
        return EPROTO;
    if (request->operation < KEEPER_HELLO || request->operation > KEEPER_STATUS)
        return ENOSYS;
    if (request->flags & ~known_flags(request->operation))
        return EINVAL;
    if (request->name > KEEPER_NAME_MAX || request->note > KEEPER_NOTE_MAX)
        return ENAMETOOLONG;
    if (memchr(exchange->name, 0, request->name) || (needs_name(request) && request->name == 0))
        return EINVAL;
    if (exchange->given >= 0 && request->operation != KEEPER_PUT)
        return EINVAL;
    switch (request->operation) {
    case KEEPER_HELLO: return hello(client, exchange);
    case KEEPER_PUT: return put(exchange);
    case KEEPER_GET: return get(exchange);
    case KEEPER_DROP: return drop(exchange);
    case KEEPER_LIST: return list(exchange);
    case KEEPER_MEMORY: return memory(exchange);
    default: describe(exchange); return 0;
    }
}

// --- Clients ---------------------------------------------------------------------------------------------------------

void start_clients(int with)
{
    poller = with;
    for (int i = 0; i < CLIENTS_MAX; i++)
        clients[i].socket = -1;
}

static void end_client(struct client *client)
{
    close(client->socket);
    client->socket = -1;
    status.clients--;
}

// False where the client does not take its answers, or is gone.
static bool answer(struct client *client, struct exchange *exchange)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec parts[] = {{&exchange->answer, sizeof exchange->answer}, {(void *)exchange->body, exchange->answer.note}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (exchange->taken >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(rights), &exchange->taken, sizeof(int));
    }
    if (sendmsg(client->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return true;
    if (errno == EAGAIN || errno == EPIPE || errno == ECONNRESET)
        return false;
    // A descriptor that cannot be sent (ETOOMANYREFS): said without it.
    exchange->answer = (struct keeper_message){.header = sizeof exchange->answer, .operation = exchange->request.operation,
        .error = errno, .tag = exchange->request.tag};
    return send(client->socket, &exchange->answer, sizeof exchange->answer, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
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
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        int descriptor;
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS && part->cmsg_len >= CMSG_LEN(sizeof descriptor)) {
            memcpy(&descriptor, CMSG_DATA(part), sizeof descriptor);
            return descriptor;
        }
    }
    return -1;
}

void serve_client(void *which)
{
    struct client *client = which;
    static char bytes[KEEPER_MESSAGE_MAX];
    static struct exchange exchange;
    // Room for one descriptor: what comes beyond it the kernel closes, and says so.
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_LEN(sizeof(int))};
    ssize_t length = recvmsg(client->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        end_client(client);
        return;
    }
    exchange.given = descriptor_of(&message);
    exchange.taken = -1;
    exchange.body = "";
    exchange.request = (struct keeper_message){0};
    exchange.answer = (struct keeper_message){0};
    int error = message.msg_flags & MSG_TRUNC ? EMSGSIZE : take_apart(&exchange, bytes, length);
    if (error == 0) {
        exchange.answer = (struct keeper_message){.operation = exchange.request.operation, .tag = exchange.request.tag};
        // Without room for descriptors of ours the kernel drops the client's as well.
        error = message.msg_flags & MSG_CTRUNC ? EMFILE : serve(client, &exchange);
    }
    exchange.answer.header = sizeof exchange.answer;
    exchange.answer.error = error;
    status.requests++;
    status.refused += error != 0;
    let_go(exchange.given);
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
