namespace Dpu.Relay.Descriptors;

/// <summary>Devices that are the same on every machine, with the numbers of the kernel's devices.txt.</summary>
internal static class HarmlessDevice
{
    /// <summary>The major number of all of them (mem).</summary>
    public const uint Major = 1;

    /// <summary>Where the one of that minor number is; null for others.</summary>
    public static string? PathOf(long minor) => minor switch
    {
        3 => "/dev/null",
        5 => "/dev/zero",
        7 => "/dev/full",
        8 => "/dev/random",
        9 => "/dev/urandom",
        _ => null,
    };
}
