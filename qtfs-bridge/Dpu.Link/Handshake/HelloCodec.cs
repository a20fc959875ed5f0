using System.Diagnostics.CodeAnalysis;
using Dpu.Proto.V1;
using Google.Protobuf;

namespace Dpu.Link.Handshake;

/// <summary>
/// Reads what a peer sent and lets only well-formed messages pass. Pure. Unknown fields are skipped and absent newer
/// ones have their defaults, so that neighbouring versions understand one another.
/// </summary>
public static class HelloCodec
{
    /// <summary>Bytes of a session id.</summary>
    public const int SessionIdSize = 16;

    /// <summary>Longest name of a service, in characters.</summary>
    public const int MaxServiceLength = 32;

    /// <summary>Longest texts that are kept for logs and people, in characters; longer ones are cut.</summary>
    public const int MaxTextLength = 256;

    /// <summary>Longest message of a refusal, in characters; longer ones are cut.</summary>
    public const int MaxRefusalLength = 1024;

    /// <summary>Reads a hello; false with what is wrong.</summary>
    public static bool TryParseHello(ReadOnlySpan<byte> message, [NotNullWhen(true)] out Hello? hello, out string error)
    {
        if (!TryParse(Hello.Parser, message, out hello, out error))
        {
            return false;
        }

        error = Check(hello);
        if (error.Length > 0)
        {
            hello = null;
            return false;
        }

        hello.Software = Printable.Clean(hello.Software, MaxTextLength);
        Clean(hello.Machine);
        return true;
    }

    /// <summary>Reads a reply; false with what is wrong.</summary>
    public static bool TryParseReply(ReadOnlySpan<byte> message, [NotNullWhen(true)] out HelloReply? reply, out string error)
    {
        if (!TryParse(HelloReply.Parser, message, out reply, out error))
        {
            return false;
        }

        // A newer listener may know more ways to refuse; only OK must be known to be OK.
        if (reply.Status == HelloStatus.Unspecified)
        {
            error = "the reply has no status";
            reply = null;
            return false;
        }

        if (reply.Status == HelloStatus.Ok && reply.Version is null)
        {
            error = "the reply has no version";
            reply = null;
            return false;
        }

        reply.Message = Printable.Clean(reply.Message, MaxRefusalLength);
        reply.Software = Printable.Clean(reply.Software, MaxTextLength);
        reply.Name = Printable.Clean(reply.Name, MaxTextLength);
        Clean(reply.Machine);
        return true;
    }

    private static bool TryParse<T>(MessageParser<T> parser, ReadOnlySpan<byte> message, [NotNullWhen(true)] out T? parsed, out string error)
        where T : class, IMessage<T>
    {
        parsed = null;
        if (message.Length > LinkFrame.MaxMessageSize)
        {
            error = $"the message has {message.Length} bytes, at most {LinkFrame.MaxMessageSize} are allowed";
            return false;
        }

        try
        {
            parsed = parser.ParseFrom(message);
            error = "";
            return true;
        }
        catch (InvalidProtocolBufferException e)
        {
            error = $"the message is no protocol buffer of its kind: {e.Message}";
            return false;
        }
    }

    private static string Check(Hello hello)
    {
        if (hello.Version is null)
        {
            return "the hello has no version";
        }

        if (hello.SessionId.Length != SessionIdSize)
        {
            return $"the session id has {hello.SessionId.Length} bytes, it must have {SessionIdSize}";
        }

        if (hello.Name.Length > 0 && !PeerIdentity.IsName(hello.Name))
        {
            return $"the name is not allowed: {PeerIdentity.NameRule}";
        }

        return IsService(hello.Service) ? "" : $"the service is not allowed: 1 to {MaxServiceLength} of a-z, 0-9 and '-'";
    }

    private static bool IsService(string service)
    {
        if (service.Length is 0 or > MaxServiceLength)
        {
            return false;
        }

        foreach (var c in service)
        {
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c != '-')
            {
                return false;
            }
        }

        return true;
    }

    private static void Clean(Machine? machine)
    {
        if (machine is not null)
        {
            machine.Kernel = Printable.Clean(machine.Kernel, MaxTextLength);
        }
    }
}
