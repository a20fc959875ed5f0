using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Dpu.Reconciler.Targets;

/// <summary>
/// Open vSwitch's control sockets (unixctl): JSON-RPC 1.0 over a unix socket (ovs-appctl(8), RFC 7047 4 for its framing, which
/// has none: one object follows the other). An answer is one JSON string, of hundreds of MiB where it is a large dump; it is
/// decoded as it comes. Source: lib/unixctl.c, lib/jsonrpc.c.
/// </summary>
public static class UnixControl
{
    /// <summary>In the data of an exception: the daemon understood what it was asked, and refused it.</summary>
    public const string Refused = "refused";

    /// <summary>Calls a method, and returns its text, which is short.</summary>
    /// <exception cref="TargetException">As <see cref="Call"/>; with <see cref="Refused"/> in its data where the daemon refused.</exception>
    public static string Ask(string socket, string method, IReadOnlyList<string> arguments, TimeSpan timeout)
    {
        using MemoryStream text = new();
        Call(socket, method, arguments, answer => answer.CopyTo(text), timeout);
        return Encoding.UTF8.GetString(text.GetBuffer(), 0, (int)text.Length);
    }

    /// <summary>Calls a method and hands its text on while it comes.</summary>
    /// <param name="socket">The socket's path.</param>
    /// <param name="method">Such as "dpctl/dump-flows".</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="read">Reads the text, to its end.</param>
    /// <param name="timeout">How long the daemon may say nothing.</param>
    /// <exception cref="TargetException">The daemon is away, or answers with an error, or with no JSON-RPC.</exception>
    public static void Call(string socket, string method, IReadOnlyList<string> arguments, Action<Stream> read, TimeSpan timeout)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(read);
        try
        {
            using Socket connection = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = (int)timeout.TotalMilliseconds, SendTimeout = (int)timeout.TotalMilliseconds };
            connection.Connect(new UnixDomainSocketEndPoint(socket));
            using NetworkStream stream = new(connection);
            stream.Write(Request(method, arguments));
            using UnixReply reply = new(stream);
            read(reply);
            reply.Finish(method);
        }
        catch (Exception e) when (e is SocketException or ArgumentException || (e is IOException && e is not TargetException))
        {
            throw new TargetException($"{method} through {socket} failed: {e.Message}", e);
        }
    }

    private static byte[] Request(string method, IReadOnlyList<string> arguments)
    {
        using MemoryStream buffer = new();
        using (Utf8JsonWriter json = new(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("id", 0);
            json.WriteString("method", method);
            json.WriteStartArray("params");
            foreach (string argument in arguments)
            {
                json.WriteStringValue(argument);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return buffer.ToArray();
    }
}

/// <summary>
/// The text within an answer {"id":0,"result":"text","error":null}, members in any order, as a stream. What an "error" says is
/// kept for <see cref="Finish"/>. Bytes of the text are those of the answer but for escapes.
/// </summary>
internal sealed class UnixReply(Stream from) : Stream
{
    private const int MaxError = 4096;
    private readonly byte[] _buffer = new byte[1 << 16];
    private readonly StringBuilder _error = new();
    private int _at;
    private int _end;
    private Place _place = Place.Before;
    private bool _inResult;
    private bool _seenResult;
    private char _surrogate;
    private byte[] _rest = [];

    private enum Place
    {
        Before,
        Text,
        After,
    }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <summary>Reads what is left, and throws what the daemon said of an error.</summary>
    internal void Finish(string method)
    {
        byte[] ignored = new byte[4096];
        while (Read(ignored, 0, ignored.Length) > 0)
        {
            // The rest of the text, which nobody wanted.
        }

        if (_error.Length > 0)
        {
            TargetException refusal = new($"{method}: {_error.ToString().Trim()}");
            refusal.Data.Add(UnixControl.Refused, method);
            throw refusal;
        }

        if (!_seenResult)
        {
            throw new TargetException($"{method} was answered without a result");
        }
    }

    public override int Read(byte[] buffer, int offset, int count)
    {
        if (_rest.Length > 0)
        {
            int part = Math.Min(count, _rest.Length);
            _rest.AsSpan(0, part).CopyTo(buffer.AsSpan(offset));
            _rest = _rest[part..];
            return part;
        }

        while (_place == Place.Before)
        {
            Members();
        }

        int written = 0;
        while (_place == Place.Text && written < count && (written == 0 || _at < _end))
        {
            if (_at == _end)
            {
                Fill();
            }

            ReadOnlySpan<byte> there = _buffer.AsSpan(_at, Math.Min(_end - _at, count - written));
            int plain = there.IndexOfAny((byte)'"', (byte)'\\');
            plain = plain < 0 ? there.Length : plain;
            there[..plain].CopyTo(buffer.AsSpan(offset + written));
            (_at, written) = (_at + plain, written + plain);
            if (plain == there.Length)
            {
                continue;
            }

            if (_buffer[_at++] == '"')
            {
                _inResult = false;
                _place = Place.Before;
                while (_place == Place.Before)
                {
                    Members();
                }

                continue;
            }

            if (_at < _end && _buffer[_at] == 'n')
            {
                // The only escape of most texts, once a line.
                _at++;
                buffer[offset + written++] = (byte)'\n';
                continue;
            }

            byte[] unescaped = Escape();
            int fits = Math.Min(unescaped.Length, count - written);
            unescaped.AsSpan(0, fits).CopyTo(buffer.AsSpan(offset + written));
            written += fits;
            if (fits < unescaped.Length)
            {
                _rest = unescaped[fits..];
                return written;
            }
        }

        return written;
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    // Goes on to the text of the result, or to the end of the object.
    private void Members()
    {
        byte c = Next();
        switch (c)
        {
            case (byte)'}':
                _place = Place.After;
                break;
            case (byte)'"':
                string name = Short();
                while (char.IsWhiteSpace((char)(c = Next())) || c == ':')
                {
                    // Up to the value.
                }

                Value(name, c);
                break;
            case (byte)'{' or (byte)',' or (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t':
                break;
            default:
                throw new TargetException($"the answer is no JSON-RPC: it has '{(char)c}' where a member should be");
        }
    }

    private void Value(string name, byte first)
    {
        if (first == '"')
        {
            if (name == "result")
            {
                (_inResult, _seenResult, _place) = (true, true, Place.Text);
                return;
            }

            string text = Short();
            _ = name == "error" ? _error.Append(text) : _error;
            return;
        }

        if (first is (byte)'{' or (byte)'[')
        {
            throw new TargetException($"the answer's {name} is no text");
        }

        // A number or a word; what ends it belongs to the object.
        while (Next() is not ((byte)',' or (byte)'}'))
        {
            // Its other characters.
        }

        _at--;
    }

    private string Short()
    {
        List<byte> bytes = [];
        for (byte c = Next(); c != '"'; c = Next())
        {
            if (c == '\\')
            {
                bytes.AddRange(Escape());
            }
            else
            {
                bytes.Add(c);
            }

            if (bytes.Count > MaxError)
            {
                throw new TargetException("the answer has a name or an error that is longer than it may be");
            }
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }

    private byte[] Escape()
    {
        byte c = Next();
        switch (c)
        {
            case (byte)'n': return "\n"u8.ToArray();
            case (byte)'r': return "\r"u8.ToArray();
            case (byte)'t': return "\t"u8.ToArray();
            case (byte)'b': return "\b"u8.ToArray();
            case (byte)'f': return "\f"u8.ToArray();
            case (byte)'u':
                int code = 0;
                for (int i = 0; i < 4; i++)
                {
                    byte digit = Next();
                    code = char.IsAsciiHexDigit((char)digit) ? (code << 4) | Convert.ToInt32(((char)digit).ToString(), 16) : throw new TargetException("the answer has a \\u without four hex digits");
                }

                if (char.IsHighSurrogate((char)code))
                {
                    _surrogate = (char)code;
                    return [];
                }

                string text = char.IsLowSurrogate((char)code) && _surrogate != 0 ? new string([_surrogate, (char)code]) : ((char)code).ToString();
                _surrogate = '\0';
                return Encoding.UTF8.GetBytes(text);
            default:
                return c is (byte)'"' or (byte)'\\' or (byte)'/' ? [c] : throw new TargetException($"the answer has the escape '\\{(char)c}', which JSON has not");
        }
    }

    private byte Next()
    {
        if (_at == _end)
        {
            Fill();
        }

        return _buffer[_at++];
    }

    private void Fill()
    {
        (_at, _end) = (0, from.Read(_buffer));
        if (_end == 0)
        {
            throw new TargetException(_inResult ? "the daemon went away in the midst of its answer" : "the daemon went away without an answer");
        }
    }
}
