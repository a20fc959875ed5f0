using System.Globalization;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>A job of fio(1): random writes in four ways, a file and a section for each, and a checksum of every block.</summary>
internal static class FioJob
{
    /// <summary>The files, by the way in which they are written.</summary>
    public static readonly string[] Files = ["psync", "libaio", "mmap", "pvsync2"];

    /// <summary>Writes it.</summary>
    /// <param name="path">Where.</param>
    /// <param name="megabytes">The size of each file, in MiB.</param>
    /// <param name="seed">Of the places and contents.</param>
    public static void Write(string path, int megabytes, int seed) => File.WriteAllText(path, string.Create(
        CultureInfo.InvariantCulture,
        $"""
        [global]
        randseed={seed}
        size={megabytes}m
        rw=randwrite
        verify=crc32c
        verify_pattern=%o
        verify_fatal=1
        verify_state_save=0
        bsrange=4k-128k
        blockalign=4k
        [psync]
        filename=psync
        ioengine=psync
        bsrange=512-64k
        blockalign=512
        [libaio]
        filename=libaio
        ioengine=libaio
        iodepth=8
        direct=1
        [mmap]
        filename=mmap
        ioengine=mmap
        [pvsync2]
        filename=pvsync2
        ioengine=pvsync2
        fsync=32

        """));
}
