using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Dpu.Link;

/// <summary>
/// One end's certificate files, read again when they change: rotation needs no restart. A broken new set never
/// replaces a good old one. Thread-safe.
/// </summary>
public sealed class LinkCredentials : IDisposable
{
    /// <summary>From here on an expiry is warned of: time enough for people who look once a week.</summary>
    public static readonly TimeSpan ExpiryWarning = TimeSpan.FromDays(30);

    /// <summary>How often the files are looked at.</summary>
    public static readonly TimeSpan PollInterval = TimeSpan.FromSeconds(2);

    private readonly LinkCredentialFiles _files;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly ITimer _timer;
    private volatile CredentialSnapshot _current;
    private volatile string? _reloadError;
    private string _stamp;

    private LinkCredentials(LinkCredentialFiles files, TimeProvider time, ILogger logger)
    {
        _files = files;
        _time = time;
        _logger = logger;

        // Before reading: a change in between is then seen at the next look.
        _stamp = files.Stamp();
        _current = files.Read();
        _timer = time.CreateTimer(static self => ((LinkCredentials)self!).CheckForChanges(), this, PollInterval, PollInterval);
    }

    /// <summary>Raised after a new set was taken, on the thread that found it; handlers must not throw.</summary>
    public event Action? Changed;

    /// <summary>The set in use.</summary>
    public CredentialSnapshot Current => _current;

    /// <summary>Whom our certificate names.</summary>
    public PeerIdentity Identity => _current.Identity;

    /// <summary>When our certificate begins to be valid.</summary>
    public DateTimeOffset NotBefore => _current.Certificate.NotBefore.ToUniversalTime();

    /// <summary>When our certificate ends to be valid.</summary>
    public DateTimeOffset NotAfter => _current.Certificate.NotAfter.ToUniversalTime();

    /// <summary>How long our certificate is still valid; negative when it has expired.</summary>
    public TimeSpan Remaining => NotAfter - _time.GetUtcNow();

    /// <summary>Whether a warning is due (<see cref="ExpiryWarning"/>).</summary>
    public bool ExpiresSoon => Remaining < ExpiryWarning;

    /// <summary>Why the files as they are now were not taken; null when they were.</summary>
    public string? ReloadError => _reloadError;

    /// <summary>Reads the files.</summary>
    /// <exception cref="LinkCredentialException">One cannot be used.</exception>
    public static LinkCredentials Load(LinkCredentialFiles files, TimeProvider? time = null, ILogger? logger = null)
    {
        ArgumentNullException.ThrowIfNull(files);
        return new LinkCredentials(files, time ?? TimeProvider.System, logger ?? NullLogger.Instance);
    }

    /// <summary>Reads the files again if they changed since the last look; true when a new set was taken.</summary>
    public bool CheckForChanges()
    {
        lock (_lock)
        {
            var stamp = _files.Stamp();
            if (stamp == _stamp)
            {
                return false;
            }

            try
            {
                _current = _files.Read();
            }
            catch (LinkCredentialException e)
            {
                // Expected while the files are being replaced one by one: the stamp changes again with the next one.
                _stamp = stamp;
                _reloadError = e.Message;
                Log.CredentialsNotReloaded(_logger, e.Message, Identity.ToString(), NotAfter);
                return false;
            }

            _stamp = stamp;
            _reloadError = null;
        }

        Log.CredentialsReloaded(_logger, Identity.ToString(), NotAfter);
        Changed?.Invoke();
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();

    /// <summary>Why our own certificate cannot be used now; null when it can.</summary>
    internal CertificateVerdict? JudgeOwn() => CertificateVerifier.JudgeTime(_current.Certificate, _time.GetUtcNow());
}
