using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Dpu.Keeper.Tests.Processes;

/// <summary>Builds the records of PROCESS_START.</summary>
internal sealed class Records
{
    private readonly MemoryStream _content = new();

    /// <summary>Those of a program with its arguments, and argv[0] as its name.</summary>
    public static Records Of(string program, params string[] arguments)
    {
        Records records = new Records().Text(process.PROCESS_PROGRAM, program).Text(process.PROCESS_ARGUMENT, Path.GetFileName(program));
        return arguments.Aggregate(records, (all, argument) => all.Text(process.PROCESS_ARGUMENT, argument)).Text(process.PROCESS_ENVIRONMENT, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    }

    /// <summary>Those that are in these bytes, or what else is.</summary>
    public static Records Of(ReadOnlySpan<byte> content)
    {
        Records records = new();
        records._content.Write(content);
        return records;
    }

    /// <summary>Those of a shell's script.</summary>
    public static Records Shell(string script) => Of("/bin/sh", "-c", script);

    public byte[] ToArray() => _content.ToArray();

    public Records Text(ushort kind, string text) => Add(kind, Encoding.UTF8.GetBytes(text));

    public Records Numbers(ushort kind, params int[] numbers) => Add(kind, MemoryMarshal.AsBytes<int>(numbers));

    public Records Wide(ushort kind, params ulong[] numbers) => Add(kind, MemoryMarshal.AsBytes<ulong>(numbers));

    public Records Add(ushort kind, ReadOnlySpan<byte> bytes)
    {
        Span<byte> head = stackalloc byte[8];
        BinaryPrimitives.WriteUInt16LittleEndian(head, kind);
        BinaryPrimitives.WriteUInt32LittleEndian(head[4..], (uint)bytes.Length);
        _content.Write(head);
        _content.Write(bytes);
        _content.Write(new byte[((bytes.Length + 7) & ~7) - bytes.Length]);
        return this;
    }
}
