using System.Text;
using Dpu.Linux;
using Dpu.Relay.Terminals;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Descriptors;

/// <summary>
/// What both ends do alike with descriptors that programs pass: says what they are, and makes others of the kind. What cannot cross is
/// logged, and in its place the other program gets a descriptor with which every call fails (EBADF), so that the others keep their places.
/// Thread-safe.
/// </summary>
/// <param name="hub">Counts.</param>
/// <param name="workers">For what waits; no lane of a mount is among them.</param>
/// <param name="path">The socket, for people.</param>
/// <param name="peer">The other end, for people.</param>
/// <param name="logger">The log.</param>
public abstract class DescriptorPassing(RelayHub hub, DialThreads workers, string path, string peer, ILogger logger) : IDescriptorPassing
{
    /// <inheritdoc/>
    public void Describe(int[] descriptors, Action<byte[]> done) => workers.Run(() =>
    {
        PassedDescriptor[] all = Array.ConvertAll(descriptors, Describe);
        int refused = all.Count(one => one.Kind == DescriptorKind.Refused);
        hub.CountPassed(all.Length - refused, refused);
        done(DescriptorList.Write(all));
    });

    /// <inheritdoc/>
    public void Make(byte[] content, Action<int[]?> done)
    {
        if (!DescriptorList.TryRead(content, out PassedDescriptor[]? all))
        {
            Log.Violation(logger, peer, "a list of descriptors that is none");
            done(null);
            return;
        }

        workers.Run(() => done([.. all.Select(Make).Where(descriptor => descriptor >= 0)]));
    }

    /// <summary>Makes of a list what is the same on every machine, and for the rest a descriptor with which every call fails; null where it is none.</summary>
    public static int[]? MakeHarmless(byte[] content) => !DescriptorList.TryRead(content, out PassedDescriptor[]? all) ? null : Array.ConvertAll(all, what =>
    {
        using SafeFileHandle? made = (what.Kind == DescriptorKind.Device ? Descriptor.TryOpen(HarmlessDevice.PathOf(what.Value)!, Descriptor.OpenFlags(what.Flags), out _) : null)
            ?? Descriptor.TryOpen("/dev/null", fcntl.O_PATH, out _);
        return made is null ? -1 : Descriptor.Release(made);
    });

    /// <inheritdoc/>
    public void Close(int[] descriptors)
    {
        if (descriptors.Length > 0)
        {
            workers.Run(() => Array.ForEach(descriptors, descriptor => LibC.close(descriptor)));
        }
    }

    /// <summary>The other end, as its tokens are kept.</summary>
    protected abstract string Origin { get; }

    /// <summary>What the other end's programs may have of an interface of this machine.</summary>
    /// <param name="name">The interface.</param>
    /// <param name="rule">Where it would be permitted, for people.</param>
    protected abstract InterfaceRight RightTo(string name, out string rule);

    /// <summary>Says which file of which mount a descriptor is; false where it is none that the other end has.</summary>
    /// <param name="descriptor">It; the caller's.</param>
    /// <param name="file">Its kind and flags; gets the mount, and its node or path there.</param>
    /// <param name="reason">Why not.</param>
    protected abstract bool TryRefer(int descriptor, ref PassedDescriptor file, out string reason);

    /// <summary>Opens a file that the other end names, with its own look at whether that is permitted.</summary>
    protected abstract SafeFileHandle? TryOpen(PassedDescriptor file, out string reason);

    /// <summary>Has the other end join what is given with what it makes.</summary>
    /// <param name="end">Its own from now on; of a pipe, without waiting.</param>
    /// <param name="what">Its kind and flags; gets the token.</param>
    /// <param name="reason">Why not; then <paramref name="end"/> is closed.</param>
    protected abstract bool TryGive(SafeFileHandle end, ref PassedDescriptor what, out string reason);

    /// <summary>Makes what is joined with what the other end has given, by its token.</summary>
    protected abstract SafeFileHandle? TryTake(PassedDescriptor what, out string reason);

    private PassedDescriptor Describe(int descriptor)
    {
        PassedDescriptor what = DescriptorClassifier.Classify(descriptor, out string reason);
        string link = DescriptorClassifier.LinkOf(descriptor);
        bool taken = false;
        try
        {
            string? terminal = what.IsTerminal ? TerminalTable.IdentityOf(descriptor) : null;
            if (what.Kind == DescriptorKind.File && !TryRefer(descriptor, ref what, out reason))
            {
                what = PassedDescriptor.Refused;
            }
            else if (terminal is not null && hub.Terminals.TokenOf(Origin, terminal) is { } token)
            {
                bool isMaster = what.Kind == DescriptorKind.TerminalMaster;
                reason = isMaster ? "it is the master of a terminal that crosses to there already; close it there before it is passed again" : "";
                what = isMaster ? PassedDescriptor.Refused : new PassedDescriptor(DescriptorKind.SameTerminal, what.Flags) { Name = token };
            }
            else if (what.IsRelayed)
            {
                SafeFileHandle? end = Own(descriptor, what, out reason);
                taken = true;
                if (end is null || !TryGive(end, ref what, out reason))
                {
                    what = PassedDescriptor.Refused;
                }
                else if (terminal is not null)
                {
                    hub.Terminals.Give(Origin, terminal, what.Name.ToArray());
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            // Expected: the link is down, or this daemon is stopping.
            (what, reason) = (PassedDescriptor.Refused, e.Message);
        }
        finally
        {
            if (!taken)
            {
                _ = LibC.close(descriptor);
            }
        }

        if (what.Kind == DescriptorKind.Refused)
        {
            Log.DescriptorRefused(logger, link, path, peer, reason);
        }

        return what;
    }

    private int Make(PassedDescriptor what)
    {
        string reason = "";
        SafeFileHandle? made = null;
        try
        {
            made = what.Kind switch
            {
                DescriptorKind.Refused => null,
                DescriptorKind.File => TryOpen(what, out reason),
                DescriptorKind.SameTerminal => hub.Terminals.TryOpenAgain(Origin, what.Name.Span, Descriptor.OpenFlags(what.Flags), out reason),
                DescriptorKind.Interface => TryOpenInterface(what, out reason),
                DescriptorKind.Device => Descriptor.TryOpen(HarmlessDevice.PathOf(what.Value)!, Descriptor.OpenFlags(what.Flags), out reason),
                _ => TryTake(what, out reason),
            };
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            // Expected: the link is down, or this daemon is stopping.
            reason = e.Message;
        }

        if (made is null && what.Kind != DescriptorKind.Refused)
        {
            hub.CountPassed(0, 1);
            Log.DescriptorNotMade(logger, what.Kind, path, peer, reason);
        }

        using (made ??= Descriptor.TryOpen("/dev/null", fcntl.O_PATH, out _))
        {
            return made is null ? -1 : Descriptor.Release(made);
        }
    }

    private SafeFileHandle? TryOpenInterface(PassedDescriptor what, out string reason)
    {
        InterfaceRight right = RightTo(Encoding.ASCII.GetString(what.Name.Span), out string rule);
        return NetworkInterface.TryOpen(what, right, rule, out reason);
    }

    // Whether it waits is told by the open file description, which programs here still have: a pipe and a terminal are opened anew. A counter and
    // the master of a terminal cannot be.
    private static SafeFileHandle? Own(int descriptor, PassedDescriptor what, out string reason)
    {
        var given = new SafeFileHandle(descriptor, ownsHandle: true);
        reason = "";
        if (what.Kind is not (DescriptorKind.PipeToRead or DescriptorKind.PipeToWrite or DescriptorKind.Terminal))
        {
            return given;
        }

        int access = what.Kind == DescriptorKind.PipeToRead ? fcntl.O_RDONLY : what.Kind == DescriptorKind.PipeToWrite ? fcntl.O_WRONLY : (int)what.Flags & fcntl.O_ACCMODE;
        SafeFileHandle? again = Descriptor.TryOpenAgain(given, access | fcntl.O_NONBLOCK, out reason);
        given.Dispose();
        reason = again is null ? $"the {(what.Kind == DescriptorKind.Terminal ? "terminal" : "pipe")} cannot be opened again: {reason}" : reason;
        return again;
    }
}
