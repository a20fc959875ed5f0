namespace Dpu.Relay.Descriptors;

/// <summary>What a descriptor is that a program has passed; the numbers are the wire's.</summary>
public enum DescriptorKind : byte
{
    /// <summary>What cannot cross: in its place the other program gets one with which every call fails (EBADF).</summary>
    Refused = 0,

    /// <summary>A regular file or directory of an export, which the other end opens again.</summary>
    File = 1,

    /// <summary>The end of a pipe that is read.</summary>
    PipeToRead = 2,

    /// <summary>The end of a pipe that is written.</summary>
    PipeToWrite = 3,

    /// <summary>A connected unix socket.</summary>
    Socket = 4,

    /// <summary>A listening unix socket.</summary>
    Listener = 5,

    /// <summary>A device that is the same on every machine (<see cref="HarmlessDevice"/>).</summary>
    Device = 6,

    /// <summary>A counter of eventfd(2).</summary>
    Counter = 7,

    /// <summary>The slave of a pseudoterminal, or another terminal.</summary>
    Terminal = 8,

    /// <summary>The master of a pseudoterminal.</summary>
    TerminalMaster = 9,

    /// <summary>A terminal that crosses already, which its token names: the same one there, opened once more.</summary>
    SameTerminal = 10,

    /// <summary>A tap or tun interface: the one of the same name there.</summary>
    Interface = 11,
}

/// <summary>Flags of an open descriptor, by numbers that do not depend on the machine.</summary>
[Flags]
public enum DescriptorFlags : ushort
{
    /// <summary>To be read.</summary>
    None = 0,

    /// <summary>O_WRONLY.</summary>
    WriteOnly = 1,

    /// <summary>O_RDWR.</summary>
    ReadWrite = 2,

    /// <summary>O_APPEND.</summary>
    Append = 4,

    /// <summary>O_NONBLOCK.</summary>
    NonBlock = 8,

    /// <summary>It is a directory.</summary>
    Directory = 16,

    /// <summary>O_PATH.</summary>
    Path = 32,

    /// <summary>O_SYNC.</summary>
    Sync = 64,

    /// <summary>O_DSYNC.</summary>
    DataSync = 128,

    /// <summary>EFD_SEMAPHORE.</summary>
    Semaphore = 256,

    /// <summary>What it is joined by keeps messages apart: a socket (SOCK_SEQPACKET), a counter, a terminal.</summary>
    Messages = 512,

    /// <summary>All of them.</summary>
    All = 1023,
}
