using Dpu.Ctl.Connection;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary>Whole lists, read page by page.</summary>
internal static class Pages
{
    private const int PageSize = 1000;

    // A daemon that never ends its list must not keep us for ever: a million entries.
    private const int MaxPages = 1000;

    public static Task<List<Host>> HostsAsync(ControlConnection connection, CancellationToken cancellation) =>
        AllAsync<Host>(async token =>
        {
            ListHostsResponse page = await connection.Runtime.ListHostsAsync(
                new ListHostsRequest { PageSize = PageSize, PageToken = token }, connection.Options(cancellation));
            return (page.Hosts, page.NextPageToken);
        });

    public static Task<List<Mount>> MountsAsync(ControlConnection connection, CancellationToken cancellation) =>
        AllAsync<Mount>(async token =>
        {
            ListMountsResponse page = await connection.Runtime.ListMountsAsync(
                new ListMountsRequest { PageSize = PageSize, PageToken = token }, connection.Options(cancellation));
            return (page.Mounts, page.NextPageToken);
        });

    public static Task<List<SocketRelay>> SocketRelaysAsync(ControlConnection connection, CancellationToken cancellation) =>
        AllAsync<SocketRelay>(async token =>
        {
            ListSocketRelaysResponse page = await connection.Runtime.ListSocketRelaysAsync(
                new ListSocketRelaysRequest { PageSize = PageSize, PageToken = token }, connection.Options(cancellation));
            return (page.SocketRelays, page.NextPageToken);
        });

    public static Task<List<Forward>> ForwardsAsync(ControlConnection connection, CancellationToken cancellation) =>
        AllAsync<Forward>(async token =>
        {
            ListForwardsResponse page = await connection.Runtime.ListForwardsAsync(
                new ListForwardsRequest { PageSize = PageSize, PageToken = token }, connection.Options(cancellation));
            return (page.Forwards, page.NextPageToken);
        });

    public static Task<List<ReconcilePair>> ReconcilePairsAsync(ControlConnection connection, CancellationToken cancellation) =>
        AllAsync<ReconcilePair>(async token =>
        {
            ListReconcilePairsResponse page = await connection.Reconcile.ListReconcilePairsAsync(
                new ListReconcilePairsRequest { PageSize = PageSize, PageToken = token }, connection.Options(cancellation));
            return (page.Pairs, page.NextPageToken);
        });

    public static Task<List<HostProcess>> ProcessesAsync(ControlConnection connection, CancellationToken cancellation) =>
        AllAsync<HostProcess>(async token =>
        {
            ListProcessesResponse page = await connection.Runtime.ListProcessesAsync(
                new ListProcessesRequest { PageSize = PageSize, PageToken = token }, connection.Options(cancellation));
            return (page.Processes, page.NextPageToken);
        });

    public static Task<List<View>> ViewsAsync(ControlConnection connection, CancellationToken cancellation) =>
        AllAsync<View>(async token =>
        {
            ListViewsResponse page = await connection.Views.ListViewsAsync(
                new ListViewsRequest { PageSize = PageSize, PageToken = token }, connection.Options(cancellation));
            return (page.Views, page.NextPageToken);
        });

    public static Task<List<Export>> ExportsAsync(ControlConnection connection, CancellationToken cancellation) =>
        AllAsync<Export>(async token =>
        {
            ListExportsResponse page = await connection.Agent.ListExportsAsync(
                new ListExportsRequest { PageSize = PageSize, PageToken = token }, connection.Options(cancellation));
            return (page.Exports, page.NextPageToken);
        });

    public static Task<List<MountStats>> MountStatsAsync(ControlConnection connection, CancellationToken cancellation) =>
        AllAsync<MountStats>(async token =>
        {
            ListMountStatsResponse page = await connection.Runtime.ListMountStatsAsync(
                new ListMountStatsRequest { PageToken = token }, connection.Options(cancellation));
            return (page.MountStats, page.NextPageToken);
        });

    public static Task<List<ExportStats>> ExportStatsAsync(ControlConnection connection, CancellationToken cancellation) =>
        AllAsync<ExportStats>(async token =>
        {
            ListExportStatsResponse page = await connection.Agent.ListExportStatsAsync(
                new ListExportStatsRequest { PageToken = token }, connection.Options(cancellation));
            return (page.ExportStats, page.NextPageToken);
        });

    private static async Task<List<T>> AllAsync<T>(Func<string, Task<(IEnumerable<T> Items, string Next)>> read)
    {
        var all = new List<T>();
        string token = string.Empty;
        for (int i = 0; i < MaxPages; i++)
        {
            (IEnumerable<T> items, token) = await read(token).ConfigureAwait(false);
            all.AddRange(items);
            if (token.Length == 0)
            {
                return all;
            }
        }

        throw new CtlException("the daemon's list does not end; see its log");
    }
}
