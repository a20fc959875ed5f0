namespace Dpu.Systemd.Bus;

/// <summary>Who was called answers with an error. The shape is Tmds.DBus's.</summary>
public sealed class DBusException : Exception
{
    /// <param name="errorName">For example <c>org.freedesktop.systemd1.NoSuchUnit</c>.</param>
    /// <param name="errorMessage">For people.</param>
    public DBusException(string errorName, string errorMessage)
        : base(errorMessage.Length > 0 ? $"{errorMessage} ({errorName})" : errorName) => (ErrorName, ErrorMessage) = (errorName, errorMessage);

    /// <summary>Which error.</summary>
    public string ErrorName { get; }

    /// <summary>For people; may be empty.</summary>
    public string ErrorMessage { get; }
}

/// <summary>There is no connection, or it has ended before an answer came. The shape is Tmds.DBus's.</summary>
public sealed class DisconnectedException(string message) : Exception(message);
