using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;

namespace Dpu.Fuse;

/// <summary>Reads the extensions that follow a request's arguments (<c>struct fuse_ext_header</c>, FUSE 7.38). Pure.</summary>
internal static class FuseExtensions
{
    /// <summary>Takes the groups of FUSE_EXT_GROUPS; passes over every other type.</summary>
    /// <param name="extensions">All extensions, as <c>total_extlen</c> says.</param>
    /// <param name="groups">Room for the groups.</param>
    /// <param name="count">How many there are.</param>
    /// <returns>False where a length is wrong, there are more groups than fit, or there are two lists.</returns>
    internal static bool TryReadGroups(ReadOnlySpan<byte> extensions, Span<uint> groups, out int count)
    {
        count = 0;
        bool seen = false;
        while (!extensions.IsEmpty)
        {
            if (extensions.Length < Unsafe.SizeOf<fuse_ext_header>())
            {
                return false;
            }

            var header = Unsafe.ReadUnaligned<fuse_ext_header>(in extensions[0]);
            if (header.size < (uint)Unsafe.SizeOf<fuse_ext_header>() || header.size > (uint)extensions.Length || header.size % 8 != 0)
            {
                return false;
            }

            if (header.type == (uint)fuse_ext_type.FUSE_EXT_GROUPS)
            {
                if (seen || !TryReadList(extensions[Unsafe.SizeOf<fuse_ext_header>()..(int)header.size], groups, out count))
                {
                    return false;
                }

                seen = true;
            }

            extensions = extensions[(int)header.size..];
        }

        return true;
    }

    private static bool TryReadList(ReadOnlySpan<byte> body, Span<uint> groups, out int count)
    {
        count = 0;
        if (body.Length < Unsafe.SizeOf<fuse_supp_groups>())
        {
            return false;
        }

        uint claimed = Unsafe.ReadUnaligned<fuse_supp_groups>(in body[0]).nr_groups;
        body = body[Unsafe.SizeOf<fuse_supp_groups>()..];
        if (claimed > (uint)groups.Length || claimed * sizeof(uint) > (uint)body.Length)
        {
            return false;
        }

        for (int i = 0; i < (int)claimed; i++)
        {
            groups[i] = Unsafe.ReadUnaligned<uint>(in body[i * sizeof(uint)]);
        }

        count = (int)claimed;
        return true;
    }
}
