using System.Globalization;
using Grpc.Core;

namespace Dpu.Hosting.Control;

/// <summary>Pages of a list, as AIP-158 has them. Pure.</summary>
public static class Paging
{
    /// <summary>Elements of a page where the caller asks for none.</summary>
    public const int DefaultSize = 100;

    /// <summary>Elements of a page at most.</summary>
    public const int MaxSize = 1000;

    /// <summary>Cuts a page out of a list.</summary>
    /// <param name="all">The whole list, in a stable order.</param>
    /// <param name="size">Elements asked for; 0 for <see cref="DefaultSize"/>.</param>
    /// <param name="token">Empty for the first page, else what the page before returned.</param>
    /// <param name="next">The token of the next page; empty where this is the last.</param>
    /// <exception cref="RpcException">INVALID_ARGUMENT: the size is negative, or the token was never given out.</exception>
    public static IEnumerable<T> Page<T>(IReadOnlyList<T> all, int size, string token, out string next)
    {
        if (size < 0)
        {
            throw new RpcException(new Grpc.Core.Status(StatusCode.InvalidArgument, $"page_size is {size}; it must be 0 (for {DefaultSize}) or more"));
        }

        int start = 0;
        if (token.Length > 0 && (!int.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out start) || start == 0))
        {
            throw new RpcException(new Grpc.Core.Status(StatusCode.InvalidArgument, "page_token is not one that this server gave; begin again without one"));
        }

        int count = size == 0 ? DefaultSize : Math.Min(size, MaxSize);
        next = all.Count - start > count ? (start + count).ToString(CultureInfo.InvariantCulture) : "";
        return all.Skip(start).Take(count);
    }
}
