using Dpu.Hosting.Control;
using Dpu.Proto.V1;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;

namespace Dpu.Runtime.Views;

/// <summary>The control interface of views, <c>dpu.v1.Views</c>.</summary>
public sealed class ViewsService(ViewTable views) : Dpu.Proto.V1.Views.ViewsBase
{
    private const string Prefix = "views/";

    /// <inheritdoc/>
    public override Task<ListViewsResponse> ListViews(ListViewsRequest request, ServerCallContext context) => OnOwnThread(() =>
    {
        var response = new ListViewsResponse();
        response.Views.AddRange(Paging.Page(views.All, request.PageSize, request.PageToken, out string next));
        response.NextPageToken = next;
        return response;
    });

    /// <inheritdoc/>
    public override Task<View> GetView(GetViewRequest request, ServerCallContext context) => OnOwnThread(() =>
        views.Find(NameOf(request.Name)) ?? throw new ViewException(StatusCode.NotFound, $"no view '{NameOf(request.Name)}' is there or described; 'dpuctl view list' lists them"));

    /// <inheritdoc/>
    public override Task<View> CreateView(CreateViewRequest request, ServerCallContext context) => OnOwnThread(() => views.Create(NameOf(request.Name)));

    /// <inheritdoc/>
    public override Task<Empty> DeleteView(DeleteViewRequest request, ServerCallContext context) => OnOwnThread(() =>
    {
        views.Delete(NameOf(request.Name), request.Force);
        return new Empty();
    });

    private static string NameOf(string name) => name.StartsWith(Prefix, StringComparison.Ordinal)
        ? name[Prefix.Length..]
        : throw new ViewException(StatusCode.InvalidArgument, $"'{Link.Printable.Clean(name, 100)}' names no view: a name is '{Prefix}NAME'");

    // Making a view asks hosts, and waits for processes.
    private static async Task<T> OnOwnThread<T>(Func<T> work)
    {
        try
        {
            return await Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
        }
        catch (ViewException e)
        {
            throw new RpcException(new Grpc.Core.Status(e.Code, e.Message));
        }
    }
}
