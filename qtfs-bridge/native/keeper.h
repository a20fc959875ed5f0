// The protocol of dpu-keeper, on a unix socket of type SEQPACKET: a message a request, a message an answer, in order.
//
// What is held is an entry: a name, a note (bytes that mean nothing to the keeper), and a descriptor or none. An entry of
// kind KEEPER_MEMORY is shared memory that the keeper has made, of a size that never changes. One of kind KEEPER_PROCESS is a process
// whose parent the keeper is; it goes on where the keeper ends, but then nobody knows how it ended.
//
// Versions. The first request is KEEPER_HELLO; it names the versions that the client speaks, and the answer the one to
// use. Within a version the structs below grow at their end only: 'header' says how long the sender's is, what a shorter one
// lacks is 0, what a longer one has more is ignored. What a keeper can do beyond version 1 it says as a feature; an operation it does
// not know is answered with ENOSYS, a flag it does not know with EINVAL.
//
// All integers are of the machine's byte order, as both ends are on one machine.
#pragma once
#include <stdint.h>

enum {
    KEEPER_OLDEST = 1,  // versions that this keeper speaks
    KEEPER_NEWEST = 1,
    KEEPER_NAME_MAX = 255,  // bytes, any but NUL
    KEEPER_NOTE_MAX = 4096, // bytes
    KEEPER_MESSAGE_MAX = 65536,
};

enum keeper_operation {
    // Request: size = oldest version << 32 | newest. Answer: size = the version, note = struct keeper_status.
    KEEPER_HELLO = 1,
    // Holds the descriptor that comes with it, if one does, with the note under the name.
    KEEPER_PUT = 2,
    // The entry of that name; the answer brings the descriptor.
    KEEPER_GET = 3,
    // Lets go of an entry. Answer: size = how many.
    KEEPER_DROP = 4,
    // Entries whose names begin with 'name', in the names' byte order, after the one in the note. Answer: size = how many, note = as
    // many struct keeper_item, each followed by its name and its note and padded to 8 bytes. None: the end.
    KEEPER_LIST = 5,
    // Shared memory of 'size' bytes, zeroed, made where there is none of that name. Answer: size = its size, flags =
    // KEEPER_MADE where it was made, note = the entry's, and its descriptor. With size 0 it is only opened.
    KEEPER_MEMORY = 6,
    // Answer: note = struct keeper_status.
    KEEPER_STATUS = 7,
    // Runs the launcher (dpu-launch, process.h) with the descriptor that comes with it, a unix socket of type STREAM, as descriptor 0; 1 is
    // /dev/null, 2 the keeper's. 'size' is the number that it shall have in the keeper's pid namespace, or 0. Answer: as GET's. EBUSY: the
    // name is taken; EEXIST: the number is. What cannot be executed after all ends with status 127, and the socket with it. With KEEPER_BORN the name
    // holds the directory of a cgroup of v2: the process begins in it, and takes its place.
    KEEPER_RUN = 8,
    // From now on the client is told of processes that stop, go on or end, by messages of this operation and tag, with the name and an
    // item's size. A client that does not take them loses its connection.
    KEEPER_WATCH = 9,
};

enum keeper_flags {
    KEEPER_NEW = 1,    // of PUT: fail with EEXIST instead of taking the place of what is there
    KEEPER_PREFIX = 2, // of DROP: all whose names begin with this
    KEEPER_MADE = 4,   // of MEMORY's answer
    KEEPER_QUIET = 8,  // of PUT and DROP: answered only where it fails, so that the client need not wait
    KEEPER_IS_PROCESS = 16, // of GET's answer: the size is an item's of a process
    KEEPER_BORN = 32,       // of RUN
};

enum keeper_kind {
    KEEPER_NOTE_ALONE = 0,
    KEEPER_DESCRIPTOR = 1,
    KEEPER_SHARED_MEMORY = 2,
    KEEPER_PROCESS = 3, // its descriptor is a pidfd
};

enum keeper_feature { KEEPER_RUNS = 1, KEEPER_BEARS = 2 }; // RUN and WATCH; KEEPER_BORN

// The size of a process: its number, 32 bits; what wait(2) says of it, 30 bits (0 while it runs); and whether it has ended:
#define KEEPER_ENDED ((uint64_t)1 << 63)

// Followed by the name and the note, without padding.
struct keeper_message {
    uint16_t header;    // sizeof(struct keeper_message) of the sender
    uint16_t operation; // enum keeper_operation; of an answer the request's
    uint32_t flags;     // enum keeper_flags
    int32_t error;      // of an answer: 0, or an errno
    uint32_t name;      // length of the name, bytes
    uint32_t note;      // length of the note, bytes
    uint32_t reserved;  // 0
    uint64_t tag;       // the answer's is the request's
    uint64_t size;
};

struct keeper_item {
    uint16_t name; // length, bytes
    uint16_t note; // length, bytes
    uint32_t kind; // enum keeper_kind
    uint64_t size; // of memory, bytes; of a process see KEEPER_ENDED
};

struct keeper_status {
    uint8_t instance[16];  // random, of this life of the keeper: another one has lost all
    uint64_t features;     // enum keeper_feature
    uint64_t started;      // CLOCK_BOOTTIME, ns
    uint64_t requests;     // since its start
    uint64_t refused;      // those of them that failed
    uint64_t entries;      // now
    uint64_t entries_max;
    uint64_t memory;       // bytes of all shared memory
    uint64_t memory_max;
    uint64_t clients;
    uint64_t closing;      // descriptors that were let go and whose close(2) has not ended
};
