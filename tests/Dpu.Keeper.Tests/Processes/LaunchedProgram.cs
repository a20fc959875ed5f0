using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper.Tests.Processes;

/// <summary>A program that dpu-launch has become, with this test as the agent, and a keeper of the build as its parent.</summary>
internal sealed unsafe class LaunchedProgram : IDisposable
{
    private static int s_last;
    private readonly KeeperClient _client;
    private readonly string _name = $"p{Interlocked.Increment(ref s_last)}";
    private readonly SafeFileHandle _output;
    private readonly FrameSocket _agent;
    private readonly SafeFileHandle _pidfd;

    /// <summary>Has it run, with /dev/null as descriptor 0 and a pipe as 1 and 2, where they are not given.</summary>
    public LaunchedProgram(KeeperClient client, Records records, params (int Number, SafeFileHandle Handle)[] given)
    {
        _client = client;
        int* ends = stackalloc int[2];
        Assert.AreEqual(0, LibC.pipe2(ends, fcntl.O_CLOEXEC));
        _output = new SafeFileHandle(ends[0], ownsHandle: true);
        using SafeFileHandle write = new(ends[1], ownsHandle: true), nothing = File.OpenHandle("/dev/null");
        (int Number, SafeFileHandle Handle)[] usual = [(0, nothing), (1, write), (2, write)];
        (int Number, SafeFileHandle Handle)[] all = [.. usual.Where(one => given.All(other => other.Number != one.Number)), .. given];
        (_agent, SafeFileHandle theirs) = FrameSocket.Pair();
        using (theirs)
        using (Kept kept = client.Run(_name, default, 0, theirs))
        {
            Id = kept.Entry.Process!.Number;
            _pidfd = new SafeFileHandle(LibC.dup((int)kept.Descriptor!.DangerousGetHandle()), ownsHandle: true);
        }

        // In two frames, as there may be many.
        foreach ((int Number, SafeFileHandle Handle)[] part in (ReadOnlySpan<(int, SafeFileHandle)[]>)[all[..2], all[2..]])
        {
            _agent.Send(process.PROCESS_DESCRIPTORS, FrameSocket.Bytes([.. part.Select(one => one.Number)]), [.. part.Select(one => (int)one.Handle.DangerousGetHandle())]);
        }

        _agent.Send(process.PROCESS_START, records.ToArray());
        Failure = _agent.Receive();
    }

    public int Id { get; }

    /// <summary>What dpu-launch said; null: the program runs.</summary>
    public Frame? Failure { get; }

    /// <summary>How it is, as the keeper knows.</summary>
    public KeptProcess State
    {
        get
        {
            using Kept kept = _client.Get(_name)!;
            return kept.Entry.Process!;
        }
    }

    /// <summary>Runs one to its end, and returns what it has written; fails where it exits with anything but 0.</summary>
    public static string Run(KeeperClient client, Records records, params (int Number, SafeFileHandle Handle)[] given)
    {
        using LaunchedProgram program = new(client, records, given);
        Assert.IsNull(program.Failure, program.Failure?.Text(8));
        string output = program.ReadToEnd();
        Assert.AreEqual(0, program.Wait().ExitCode, output);
        return output;
    }

    /// <summary>What it writes until it, and all that it has started, has ended.</summary>
    public string ReadToEnd()
    {
        FileStream stream = new(new SafeFileHandle(LibC.dup((int)_output.DangerousGetHandle()), ownsHandle: true), FileAccess.Read);
        Task<string> all = Task.Factory.StartNew(
            () =>
            {
                using StreamReader reader = new(stream);
                return reader.ReadToEnd();
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        if (!all.Wait(KeeperProcess.Limit))
        {
            _ = LibC.kill(Id, signal.SIGKILL);
            Assert.Fail($"what {Id} writes has not ended within {KeeperProcess.Limit.TotalSeconds} s");
        }

        return all.Result;
    }

    /// <summary>How it has ended.</summary>
    public KeptProcess Wait()
    {
        Eventually.True(() => State.Ended, KeeperProcess.Limit, $"the end of {_name}");
        return State;
    }

    public void Dispose()
    {
        if (_client.Get(_name) is { } kept)
        {
            kept.Dispose();
            if (!State.Ended)
            {
                // By its number: it is the keeper's child, and cannot be another's while its entry has not ended.
                _ = LibC.kill(Id, signal.SIGKILL);
                Wait();
            }

            _ = _client.Drop(_name);
        }

        _pidfd.Dispose();
        _agent.Dispose();
        _output.Dispose();
    }
}
