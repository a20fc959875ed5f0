using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Fifos;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Fifos;

/// <summary>One way of one FIFO, while it is asked for and while its bytes are relayed, on a thread of its own.</summary>
/// <remarks>
/// What the host has begun is dropped only where nothing of a program can be lost: its own programs see the end with it. As soon as this side's FIFO is open for
/// reading a program here may have opened it, written all and closed it, before anybody has looked again.
/// </remarks>
internal sealed class FifoWay
{
    // A program that does not wait for a reader is to open it in the next moment, and may be refused.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private const int ReaderMilliseconds = 5;

    private readonly Opens _open;
    private readonly Action _look;
    private readonly IAskedFifo _fifo;
    private readonly bool _atOnce;
    private readonly Lock _lock = new();
    // Its waits do not spin: they are for a program, which takes its time.
    private readonly ManualResetEventSlim _cancelled = new(initialState: false, spinCount: 0);
    private FifoPump? _pump;
    private bool _ended;
    private bool _reads;

    /// <param name="open">Opens this side's FIFO.</param>
    /// <param name="look">Called at its end.</param>
    /// <param name="atOnce">Whether the host is not to wait.</param>
    /// <param name="fifo">What is asked of the host.</param>
    public FifoWay(Opens open, Action look, bool atOnce, IAskedFifo fifo)
    {
        (_open, _look, _atOnce, _fifo) = (open, look, atOnce, fifo);
        new Thread(Run, 256 * 1024) { IsBackground = true, Name = "fifo" }.Start();
    }

    /// <summary>Opens a FIFO without waiting: 0 or a negated errno, ENXIO where it is to be written and nobody reads.</summary>
    public delegate int Opens(int access, out SafeFileHandle? opened);

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

        _cancelled.Set();
        _fifo.Cancel();
    }

    /// <summary>No program here has the FIFO open that way, or is opening it: ends it unless one had, whose data are then on their way, or whose end ends it.</summary>
    public void LetGo()
    {
        lock (_lock)
        {
            if (_reads || _pump is not null)
            {
                _pump?.EndUnused();
                return;
            }

            _ended = true;
        }

        _cancelled.Set();
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
            _look();
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
        lock (_lock)
        {
            if (_ended)
            {
                return -errno.EIO;
            }

            _reads = reads;
        }

        // Who has looked it up may not be in open(2) yet, where its writer finds it.
        SafeFileHandle? fifo;
        while ((error = _open(reads ? fcntl.O_RDONLY : fcntl.O_WRONLY, out fifo)) == -errno.ENXIO && !reads && !_cancelled.Wait(ReaderMilliseconds))
        {
            // Nobody reads it here yet.
        }

        if (fifo is null)
        {
            return error;
        }

        if (FifoPump.TryMake(fifo, reads, null, _atOnce ? Patience : Timeout.InfiniteTimeSpan, out SafeFileHandle? socket) is not { } pump)
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
