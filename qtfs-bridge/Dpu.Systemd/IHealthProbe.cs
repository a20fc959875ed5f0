namespace Dpu.Systemd;

/// <summary>A part of a daemon that can say whether it still works; the watchdog is fed only while all say so.</summary>
public interface IHealthProbe
{
    /// <summary>What is probed, for messages.</summary>
    string Name { get; }

    /// <summary>
    /// Null while the part works; otherwise what is wrong, such as "lane 3 has answered nothing for 12 s". Called on
    /// the watchdog's thread and must not block: a probe that never returns starves the watchdog, which is right.
    /// </summary>
    string? Problem();
}
