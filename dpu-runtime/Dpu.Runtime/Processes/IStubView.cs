namespace Dpu.Runtime.Processes;

/// <summary>A view that stubs are in, as far as they concern it. Thread-safe.</summary>
internal interface IStubView
{
    /// <summary>Whether it has ended, or is just ending all that is in it.</summary>
    bool HasEnded { get; }

    /// <summary>By what a later runtime knows whether it has ended.</summary>
    StubViewNote Note { get; }

    /// <summary>Which host a program is of where the stub says none; null where the view does not either.</summary>
    string? HostOf(string program);
}
