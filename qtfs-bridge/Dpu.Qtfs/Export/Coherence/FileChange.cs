using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Dpu.Linux;

namespace Dpu.Qtfs.Export.Coherence;

/// <summary>
/// One event of fanotify(7), of a group with FAN_REPORT_DFID_NAME_TARGET. Files are named by the bytes of
/// <c>fanotify_event_info_fid</c> from <c>fsid</c> on: file system and handle, as one key.
/// </summary>
internal readonly ref struct FileChange
{
    // fsid (8), handle_bytes (4), handle_type (4).
    private const int KeyHead = 16;

    private FileChange(ulong mask, int thread, ReadOnlySpan<byte> directory, ReadOnlySpan<byte> name, ReadOnlySpan<byte> file)
    {
        Mask = mask;
        Thread = thread;
        Directory = directory;
        Name = name;
        File = file;
    }

    /// <summary>The longest key, in bytes.</summary>
    public const int MaxKey = KeyHead + fcntl.MAX_HANDLE_SZ;

    /// <summary>FAN_* event bits; several changes may be merged.</summary>
    public ulong Mask { get; }

    /// <summary>The thread that made the change, in this process's pid namespace; 0 where it is in none of it.</summary>
    public int Thread { get; }

    /// <summary>The directory in which it happened, as <c>fanotify_event_info_fid</c> from <c>fsid</c> on; empty where none is told.</summary>
    public ReadOnlySpan<byte> Directory { get; }

    /// <summary>The name in it, without NUL; "." for the directory itself.</summary>
    public ReadOnlySpan<byte> Name { get; }

    /// <summary>The file, as <see cref="Directory"/>.</summary>
    public ReadOnlySpan<byte> File { get; }

    /// <summary>Reads the first event of a buffer that the kernel filled, and moves behind it; false at the end or where the rest is none.</summary>
    public static bool TryRead(ref ReadOnlySpan<byte> events, out FileChange change)
    {
        change = default;
        int head = Marshal.SizeOf<fanotify_event_metadata>();
        if (events.Length < head)
        {
            return false;
        }

        fanotify_event_metadata metadata = MemoryMarshal.Read<fanotify_event_metadata>(events);
        if (metadata.event_len < head || metadata.event_len > events.Length || metadata.metadata_len < head || metadata.metadata_len > metadata.event_len)
        {
            return false;
        }

        ReadOnlySpan<byte> records = events[metadata.metadata_len..(int)metadata.event_len];
        events = events[(int)metadata.event_len..];
        ReadOnlySpan<byte> directory = default, name = default, file = default;
        while (records.Length >= Marshal.SizeOf<fanotify_event_info_header>())
        {
            fanotify_event_info_header header = MemoryMarshal.Read<fanotify_event_info_header>(records);
            if (header.len < Marshal.SizeOf<fanotify_event_info_header>() || header.len > records.Length)
            {
                return false;
            }

            ReadOnlySpan<byte> record = records[Marshal.SizeOf<fanotify_event_info_header>()..header.len];
            if (header.info_type is fanotify.FAN_EVENT_INFO_TYPE_DFID_NAME or fanotify.FAN_EVENT_INFO_TYPE_DFID)
            {
                directory = KeyOf(record, out name);
            }
            else if (header.info_type == fanotify.FAN_EVENT_INFO_TYPE_FID)
            {
                file = KeyOf(record, out _);
            }

            records = records[header.len..];
        }

        change = new FileChange(metadata.mask, metadata.pid, directory, name, file);
        return true;
    }

    /// <summary>Takes the handle out of a <see cref="Directory"/> or <see cref="File"/>.</summary>
    public static int HandleOf(ReadOnlySpan<byte> record, out ReadOnlySpan<byte> handle)
    {
        handle = default;
        if (record.Length < KeyHead)
        {
            return 0;
        }

        handle = record[KeyHead..];
        return BinaryPrimitives.ReadInt32LittleEndian(record[12..]);
    }

    // Behind the handle there is in some kinds a name ended by NUL.
    private static ReadOnlySpan<byte> KeyOf(ReadOnlySpan<byte> record, out ReadOnlySpan<byte> name)
    {
        name = default;
        if (record.Length < KeyHead)
        {
            return default;
        }

        uint size = BinaryPrimitives.ReadUInt32LittleEndian(record[8..]);
        if (size > fcntl.MAX_HANDLE_SZ || KeyHead + size > record.Length)
        {
            return default;
        }

        ReadOnlySpan<byte> rest = record[(KeyHead + (int)size)..];
        int end = rest.IndexOf((byte)0);
        name = end < 0 ? rest : rest[..end];
        return record[..(KeyHead + (int)size)];
    }
}
