namespace Dpu.Systemd.Bus;

/// <summary>systemd's manager at the other end of a connection. Thread-safe.</summary>
/// <param name="connection">To it, or to a broker.</param>
internal sealed class SystemdManager(Connection connection) : ISystemdManager
{
    private const string Destination = "org.freedesktop.systemd1";
    private const string Path = "/org/freedesktop/systemd1";
    private const string Interface = "org.freedesktop.systemd1.Manager";

    /// <inheritdoc/>
    public Task SubscribeAsync() => CallAsync("Subscribe", _ => true);

    /// <inheritdoc/>
    public Task<ObjectPath> StartTransientUnitAsync(string name, string mode, (string Name, object Value)[] properties, (string Name, (string Name, object Value)[] Properties)[] auxiliary) =>
        CallAsync("StartTransientUnit", ReadPath, name, mode, properties, auxiliary);

    /// <inheritdoc/>
    public Task KillUnitAsync(string name, string whom, int signal) => CallAsync("KillUnit", _ => true, name, whom, signal);

    /// <inheritdoc/>
    public Task<ObjectPath> GetUnitAsync(string name) => CallAsync("GetUnit", ReadPath, name);

    /// <inheritdoc/>
    public async Task<IDisposable> WatchJobRemovedAsync(Action<(uint Id, ObjectPath Job, string Unit, string Result)> handler)
    {
        IDisposable watch = connection.Watch(Interface, "JobRemoved", message => handler((message.ReadUInt32(), ReadPath(message), message.ReadText('s'), message.ReadText('s'))));
        if (connection.HasBroker)
        {
            string rule = $"type='signal',sender='{Destination}',path='{Path}',interface='{Interface}',member='JobRemoved'";
            _ = await connection.CallAsync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", [rule], _ => true).ConfigureAwait(false);
        }

        return watch;
    }

    private static ObjectPath ReadPath(BusMessage message) => new(message.ReadText('o'));

    private Task<T> CallAsync<T>(string member, Func<BusMessage, T> read, params object[] arguments) =>
        connection.CallAsync(Destination, Path, Interface, member, arguments, read);
}
