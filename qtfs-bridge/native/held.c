// What dpu-keeper holds, and the threads that close what it lets go of.
#include "parts.h"

#include <pthread.h>
#include <sys/mman.h>

enum { CLOSERS_MAX = 16, CLOSING_MANY = 64 };

struct entry **entries;
size_t entry_count;
static size_t entry_room;

// --- Closing ---------------------------------------------------------------------------------------------------------

static pthread_mutex_t closing_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t closing_wanted = PTHREAD_COND_INITIALIZER;
static int *closing;
static size_t closing_count, closing_room, closing_now, closers;

static void *close_all(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&closing_lock);
    for (;;) {
        while (closing_count == 0)
            pthread_cond_wait(&closing_wanted, &closing_lock);
        int descriptor = closing[--closing_count];
        closing_now++;
        pthread_mutex_unlock(&closing_lock);
        close(descriptor);
        pthread_mutex_lock(&closing_lock);
        closing_now--;
    }
    return NULL;
}

bool start_closer(void)
{
    pthread_t thread;
    bool started = closers < CLOSERS_MAX && pthread_create(&thread, NULL, close_all, NULL) == 0;
    closers += started;
    return started;
}

void let_go(int descriptor)
{
    if (descriptor < 0)
        return;
    pthread_mutex_lock(&closing_lock);
    // All are at work, and it piles up: those there are may hang.
    if (closing_now == closers && closing_count >= CLOSING_MANY)
        (void)start_closer();
    if (closing_count == closing_room) {
        size_t room = closing_room ? 2 * closing_room : 64;
        int *more = realloc(closing, room * sizeof *more);
        if (!more) {
            // Rather wait than lose it.
            pthread_mutex_unlock(&closing_lock);
            close(descriptor);
            return;
        }
        closing = more;
        closing_room = room;
    }
    closing[closing_count++] = descriptor;
    pthread_cond_signal(&closing_wanted);
    pthread_mutex_unlock(&closing_lock);
}

size_t count_closing(void)
{
    pthread_mutex_lock(&closing_lock);
    size_t count = closing_count + closing_now;
    pthread_mutex_unlock(&closing_lock);
    return count;
}

// --- Entries ---------------------------------------------------------------------------------------------------------

static int compare(const struct entry *entry, const char *name, size_t length)
{
    size_t both = entry->name_length < length ? entry->name_length : length;
    int order = memcmp(entry->bytes, name, both);
    return order ? order : entry->name_length < length ? -1 : entry->name_length > length;
}

size_t find(const char *name, size_t length)
{
    size_t low = 0, high = entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(entries[middle], name, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool is_at(size_t place, const char *name, size_t length)
{
    return place < entry_count && compare(entries[place], name, length) == 0;
}

bool begins_at(size_t place, const char *prefix, size_t length)
{
    return place < entry_count && entries[place]->name_length >= length && memcmp(entries[place]->bytes, prefix, length) == 0;
}

static void free_entry(struct entry *entry)
{
    if (entry->kind == KEEPER_SHARED_MEMORY)
        status.memory -= entry->size;
    if (entry->kind == KEEPER_PROCESS)
        forget_process(entry);
    let_go(entry->descriptor);
    free(entry);
}

void remove_entries(size_t place, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free_entry(entries[place + i]);
    memmove(entries + place, entries + place + count, (entry_count - place - count) * sizeof *entries);
    entry_count -= count;
}

int add_entry(const char *name, size_t name_length, const char *note, size_t note_length, int descriptor, uint32_t kind, uint64_t size)
{
    size_t place = find(name, name_length);
    bool replaces = is_at(place, name, name_length);
    if (!replaces && entry_count >= status.entries_max)
        return ENOSPC;
    struct entry *entry = malloc(sizeof *entry + name_length + note_length);
    if (!entry)
        return ENOMEM;
    *entry = (struct entry){.descriptor = descriptor, .kind = kind, .size = size, .name_length = name_length, .note_length = note_length};
    memcpy(entry->bytes, name, name_length);
    memcpy(entry->bytes + name_length, note, note_length);
    if (replaces) {
        free_entry(entries[place]);
        entries[place] = entry;
        return 0;
    }
    if (entry_count == entry_room) {
        size_t room = entry_room ? 2 * entry_room : 64;
        struct entry **more = realloc(entries, room * sizeof *more);
        if (!more) {
            free(entry);
            return ENOMEM;
        }
        entries = more;
        entry_room = room;
    }
    memmove(entries + place + 1, entries + place, (entry_count - place) * sizeof *entries);
    entries[place] = entry;
    entry_count++;
    return 0;
}

int make_memory(const char *name, size_t length, uint64_t size)
{
    char label[KEEPER_NAME_MAX + 1];
    // memfd_create(2) allows 249 bytes; it is for people who read /proc.
    snprintf(label, sizeof label, "dpu-keeper:%.*s", (int)(length < 200 ? length : 200), name);
    if (size > status.memory_max || status.memory > status.memory_max - size)
        return -ENOSPC;
    int memory = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memory < 0)
        return -errno;
    // Nobody who maps it can be killed by another one's truncation.
    if (ftruncate(memory, (off_t)size) < 0 || fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int error = errno;
        close(memory);
        return -error;
    }
    return memory;
}
