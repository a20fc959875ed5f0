using System.Globalization;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// A process that tells the kernel what to forget (<c>native/teller.c</c>), and may wait in the kernel for as long as that takes. It ends
/// when this one does, or when what it waits for has come. One thread uses it at a time.
/// </summary>
internal sealed unsafe class TellerProcess : IDisposable
{
    private const string Program = "dpu-teller";

    private readonly SafeFileHandle _socket;
    private readonly int _pid;

    private TellerProcess(SafeFileHandle socket, int pid)
    {
        _socket = socket;
        _pid = pid;
    }

    /// <summary>Starts one.</summary>
    /// <param name="device">Where it tells the kernel.</param>
    /// <param name="connection">The mount's number in fusectl.</param>
    /// <param name="guardians">See <see cref="Handover.KeptState.GuardiansMemory"/>.</param>
    /// <param name="problem">Why it could not be started.</param>
    public static TellerProcess? TryStart(SafeFileHandle device, long connection, SafeFileHandle guardians, out string problem) =>
        HelperProgram.TryStart(Program, [connection.ToString(CultureInfo.InvariantCulture)], [device, guardians], out int pid, out problem) is { } socket ? new TellerProcess(socket, pid) : null;

    /// <summary>Tells the kernel; returns when it knows.</summary>
    /// <param name="message">A notification.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="result">What write(2) has returned: the length, or a negated errno; ENOENT where the kernel knows nothing of it.</param>
    /// <returns>False where the process has ended, perhaps before it told.</returns>
    public bool Tell(byte* message, int length, out long result)
    {
        int socket = (int)_socket.DangerousGetHandle();
        long said;
        nint got;
        result = 0;

        // SAFETY: the caller's bytes, and eight on the stack; the socket is open until Dispose, which the one user calls.
        if (LibC.Result(sys_socket.send(socket, message, (nuint)length, sys_socket.MSG_NOSIGNAL)) < 0)
        {
            return false;
        }

        do
        {
            got = sys_socket.recv(socket, &said, sizeof(long), 0);
        }
        while (LibC.Result(got) == -errno.EINTR);

        result = got == sizeof(long) ? said : 0;
        return got == sizeof(long);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _socket.Dispose();

        // It ends with its socket, as nothing is being told.
        HelperProgram.Wait(_pid);
    }
}
