using System.Buffers.Text;
using Grpc.Core;

namespace Dpu.Rpc.Wire;

/// <summary>Metadata as HTTP/2 headers: text as it is, bytes as base64 (PROTOCOL-HTTP2.md, Custom-Metadata).</summary>
public static class MetadataCodec
{
    // What the protocol itself sends, or HTTP/2 forbids or computes: never taken from or given to a program as metadata.
    // Not the whole of "grpc-": grpc-status-details-bin and grpc-trace-bin are metadata.
    private static readonly HashSet<string> Reserved = new(StringComparer.OrdinalIgnoreCase)
    {
        "grpc-status", "grpc-message", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "grpc-message-type",
        "content-type", "content-length", "content-encoding", "te", "host", "connection", "keep-alive", "proxy-connection",
        "transfer-encoding", "upgrade", "trailer", "date", "server",
    };

    /// <summary>Whether a header of that name belongs to the protocol. Such entries are never sent, and never received.</summary>
    public static bool IsReserved(string name) => name.StartsWith(':') || Reserved.Contains(name);

    /// <summary>
    /// Whether an entry may be sent: not where its name is reserved, nor a received text that is no printable ASCII (a
    /// program that passes another's metadata on must not fail by it).
    /// </summary>
    public static bool IsSendable(Metadata.Entry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return !IsReserved(entry.Key) && (entry.IsBinary || !entry.Value.AsSpan().ContainsAnyExceptInRange(' ', '~'));
    }

    /// <summary>An entry's value for the wire; base64 without padding where it is binary.</summary>
    public static string Encode(Metadata.Entry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        return entry.IsBinary ? Convert.ToBase64String(entry.RawBytes).TrimEnd('=') : entry.Value;
    }

    /// <summary>Adds a received header; does nothing where the name is reserved.</summary>
    /// <returns>False where a binary value is no base64: the call is malformed.</returns>
    public static bool TryAdd(Metadata metadata, string name, string value)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(value);
        if (IsReserved(name))
        {
            return true;
        }

        string key = name.ToLowerInvariant();
        if (!key.EndsWith(Metadata.BinaryHeaderSuffix, StringComparison.Ordinal))
        {
            metadata.Add(Metadata.Entry.Received(key, value));
            return true;
        }

        // Several binary values may have been joined by commas on the way; base64 has none itself.
        foreach (Range part in value.AsSpan().Split(','))
        {
            if (!TryDecodeBase64(value.AsSpan(part).Trim(), out byte[] bytes))
            {
                return false;
            }

            metadata.Add(Metadata.Entry.Received(key, bytes));
        }

        return true;
    }

    /// <summary>Decodes base64 with or without padding.</summary>
    public static bool TryDecodeBase64(ReadOnlySpan<char> text, out byte[] bytes)
    {
        bytes = [];
        ReadOnlySpan<char> digits = text.TrimEnd('=');
        int missing = (4 - (digits.Length % 4)) % 4;
        int padding = text.Length - digits.Length;
        if (missing == 3 || (padding != 0 && padding != missing) || digits.ContainsAny(" \t\r\n="))
        {
            return false;
        }

        string padded = string.Concat(digits, "==".AsSpan(0, missing));
        byte[] buffer = new byte[Base64.GetMaxDecodedFromUtf8Length(padded.Length)];
        if (!Convert.TryFromBase64String(padded, buffer, out int written))
        {
            return false;
        }

        bytes = buffer.AsSpan(0, written).ToArray();
        return true;
    }
}
