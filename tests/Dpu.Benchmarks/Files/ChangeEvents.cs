using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Benchmarks.Files;

/// <summary>A fanotify group of this process, and a thread that takes its events.</summary>
internal sealed unsafe class ChangeEvents : IDisposable
{
    private const ulong Mask = fanotify.FAN_MODIFY | fanotify.FAN_ATTRIB | fanotify.FAN_CLOSE_WRITE | fanotify.FAN_CREATE | fanotify.FAN_DELETE
        | fanotify.FAN_MOVED_FROM | fanotify.FAN_MOVED_TO | fanotify.FAN_ONDIR | fanotify.FAN_EVENT_ON_CHILD;

    private readonly SafeFileHandle _group;
    private readonly Thread _thread;
    private volatile bool _stopping;

    public ChangeEvents()
    {
        int group = (int)Native.Check(
            LibC.fanotify_init(
                fanotify.FAN_CLASS_NOTIF | fanotify.FAN_CLOEXEC | fanotify.FAN_NONBLOCK | fanotify.FAN_UNLIMITED_MARKS | fanotify.FAN_REPORT_TID | fanotify.FAN_REPORT_DFID_NAME_TARGET,
                (uint)fcntl.O_RDONLY | (uint)fcntl.O_CLOEXEC),
            "fanotify_init");
        _group = new SafeFileHandle(group, ownsHandle: true);
        _thread = new Thread(Take) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>Adds a mark.</summary>
    /// <param name="kind">FAN_MARK_INODE, FAN_MARK_FILESYSTEM, FAN_MARK_EVICTABLE.</param>
    /// <param name="path">Where.</param>
    public void Mark(uint kind, string path)
    {
        fixed (byte* name = Encoding.UTF8.GetBytes(path + "\0"))
        {
            // SAFETY: ended by NUL, and pinned for the call.
            Native.Check(LibC.fanotify_mark((int)_group.DangerousGetHandle(), fanotify.FAN_MARK_ADD | kind, Mask, fcntl.AT_FDCWD, name), "fanotify_mark");
        }
    }

    public void Dispose()
    {
        _stopping = true;
        _thread.Join();
        _group.Dispose();
    }

    private void Take()
    {
        byte* buffer = stackalloc byte[4096];
        while (!_stopping)
        {
            if (poll.WaitReadable(_group, TimeSpan.FromMilliseconds(50)))
            {
                // SAFETY: the kernel writes no more than the size.
                _ = LibC.read((int)_group.DangerousGetHandle(), buffer, 4096);
            }
        }
    }
}
