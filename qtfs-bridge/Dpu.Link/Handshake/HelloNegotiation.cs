using Dpu.Proto.V1;

namespace Dpu.Link.Handshake;

/// <summary>The rule of versions: major equal, the lower minor, the common features. Pure.</summary>
public static class HelloNegotiation
{
    /// <summary>The listener's reply to a hello as far as versions decide; the status is OK or VERSION_MISMATCH.</summary>
    public static HelloReply Answer(LinkLocal local, Hello hello)
    {
        ArgumentNullException.ThrowIfNull(local);
        ArgumentNullException.ThrowIfNull(hello);
        var reply = Empty(local);
        if (hello.Version.Major != local.Major)
        {
            reply.Status = HelloStatus.VersionMismatch;
            reply.Message = $"{local.Name} speaks version {local.Major}.{local.Minor} of the link, {Printable.Clean(hello.Software, 64)} speaks"
                + $" {hello.Version.Major}.{hello.Version.Minor}: the major versions must be equal; upgrade the older end";
            return reply;
        }

        reply.Status = HelloStatus.Ok;
        reply.Version.Minor = Math.Min(local.Minor, hello.Version.Minor);
        reply.Features = local.Features & hello.Features;
        return reply;
    }

    /// <summary>A refusal with the listener's own data.</summary>
    public static HelloReply Refuse(LinkLocal local, HelloStatus status, string message)
    {
        var reply = Empty(local);
        reply.Status = status;
        reply.Message = message;
        return reply;
    }

    /// <summary>What the dialler makes of an OK; null when it is right, else what is wrong.</summary>
    public static string? Check(LinkLocal local, HelloReply reply)
    {
        ArgumentNullException.ThrowIfNull(local);
        ArgumentNullException.ThrowIfNull(reply);
        return reply.Version.Major != local.Major ? $"it speaks version {reply.Version.Major}.{reply.Version.Minor} of the link, we speak {local.Major}.{local.Minor}"
            : reply.Version.Minor > local.Minor ? $"it chose minor version {reply.Version.Minor}, above our {local.Minor}"
            : (reply.Features & ~local.Features) != 0 ? "it chose features that we did not offer"
            : null;
    }

    private static HelloReply Empty(LinkLocal local) => new()
    {
        Version = local.Version,
        Features = local.Features,
        Machine = local.Machine,
        Software = local.Software,
        Name = local.Name,
        Incarnation = local.Incarnation,
    };
}
