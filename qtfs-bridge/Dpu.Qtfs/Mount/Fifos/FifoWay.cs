using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Fifos;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Fifos;

/// <summary>One way of one FIFO, while it is asked for and while its bytes are relayed, on a thread of its own.</summary>
internal sealed class FifoWay
{
    // A program that does not wait for a reader is to open it in the next moment, and may be refused.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly FifoWatch _watch;
    private readonly IAskedFifo _fifo;
    private readonly bool _atOnce;
    private readonly Lock _lock = new();
    private FifoPump? _pump;
    private bool _ended;

    public FifoWay(FifoWatch watch, bool atOnce, IAskedFifo fifo)
    {
        (_watch, _atOnce, _fifo) = (watch, atOnce, fifo);
        new Thread(Run, 256 * 1024) { IsBackground = true, Name = "fifo" }.Start();
    }

    /// <summary>Set when it is known whether it relays.</summary>
    public ManualResetEventSlim Settled { get; } = new();

    /// <summary>Whether bytes are relayed.</summary>
    public bool Relays { get; private set; }

    /// <summary>Whether it is over.</summary>
    public bool IsOver { get; private set; }

    /// <summary>After its end: why nothing was relayed, as a negated errno; 0 where something was.</summary>
    public int Error { get; private set; }

    /// <summary>Whether the host was not to wait.</summary>
    public bool AtOnce => _atOnce;

    /// <summary>Ends it, whatever it does.</summary>
    public void Cancel()
    {
        lock (_lock)
        {
            _ended = true;
            _pump?.Dispose();
        }

        _fifo.Cancel();
    }

    private void Run()
    {
        try
        {
            Error = Relay();
        }
        finally
        {
            _fifo.Cancel();
            IsOver = true;
            Settled.Set();
            _watch.Look();
        }
    }

    private int Relay()
    {
        int error = _fifo.Wait(out FifoDirection direction);
        if (error < 0)
        {
            return error;
        }

        bool reads = direction == FifoDirection.ToHost;
        error = _watch.Open(reads ? fcntl.O_RDONLY : fcntl.O_WRONLY, out SafeFileHandle? fifo);
        if (fifo is null)
        {
            return error;
        }

        if (FifoPump.TryMake(fifo, reads, null, _atOnce ? Patience : TimeSpan.Zero, out SafeFileHandle? socket) is not { } pump)
        {
            return -errno.EMFILE;
        }

        bool ended;
        lock (_lock)
        {
            ended = _ended;
            _pump = pump;
        }

        if (!ended && _fifo.TryStart(socket!))
        {
            Relays = true;
            Settled.Set();
        }
        else
        {
            // Which ends it at once.
            socket!.Dispose();
        }

        pump.Run();
        return 0;
    }
}
