using System.Globalization;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;
using static Dpu.Linux.LibC;

namespace Dpu.Qtfs.Mount.Processes;

/// <summary>The DPU's procfs, mounted on <c>.local</c> at the top of a merged mount. Thread-safe.</summary>
/// <param name="folder">Where that procfs is mounted otherwise.</param>
/// <param name="target">The merged mount.</param>
internal sealed unsafe class OwnProcessesMount(string folder, string target) : IDisposable
{
    private readonly Lock _lock = new();
    private SafeFileHandle? _top;

    /// <summary>Mounts it; the merged mount must be served already.</summary>
    /// <exception cref="IOException">The kernel refused.</exception>
    public void Attach()
    {
        lock (_lock)
        {
            if (_top is not null)
            {
                return;
            }

            string place = $"{target}/{OwnNodes.FolderName}";
            fixed (byte* from = Encoding.UTF8.GetBytes(folder + '\0'), to = Encoding.UTF8.GetBytes(place + '\0'))
            {
                // SAFETY: two NUL-terminated strings, pinned during the calls.
                int error = Result(LibC.mount(from, to, null, Dpu.Linux.mount.MS_BIND, null));
                int top = error < 0 ? error : Result(openat(fcntl.AT_FDCWD, to, fcntl.O_PATH | fcntl.O_DIRECTORY | fcntl.O_NOFOLLOW | fcntl.O_CLOEXEC, 0));
                _top = top >= 0 ? new SafeFileHandle(top, ownsHandle: true)
                    : throw new IOException($"the DPU's processes of '{folder}' cannot be mounted on '{place}': errno {-top}");
            }
        }
    }

    /// <summary>Takes up one that an earlier runtime has mounted.</summary>
    public void Adopt()
    {
        lock (_lock)
        {
            fixed (byte* place = Encoding.UTF8.GetBytes($"{target}/{OwnNodes.FolderName}\0"))
            {
                // SAFETY: a NUL-terminated string, pinned during the call.
                int top = Result(openat(fcntl.AT_FDCWD, place, fcntl.O_PATH | fcntl.O_DIRECTORY | fcntl.O_NOFOLLOW | fcntl.O_CLOEXEC, 0));
                _top ??= top >= 0 ? new SafeFileHandle(top, ownsHandle: true) : null;
            }
        }
    }

    /// <summary>
    /// Takes it away again, by a descriptor of it: no path leads there that a host who is away could hold up. Users of it
    /// go on.
    /// </summary>
    public void Detach()
    {
        lock (_lock)
        {
            if (_top is null)
            {
                return;
            }

            fixed (byte* path = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{_top.DangerousGetHandle()}\0")))
            {
                // SAFETY: a NUL-terminated string, pinned during the call. EINVAL: somebody else has unmounted it.
                _ = umount2(path, Dpu.Linux.mount.MNT_DETACH);
            }

            _top.Dispose();
            _top = null;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Detach();
}
