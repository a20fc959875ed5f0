namespace Dpu.Rpc.Tests.Interop;

/// <summary>The interop suite's cases that are run, by name.</summary>
internal static class InteropCases
{
    public static IEnumerable<object[]> All { get; } =
    [
        ["empty_unary"],
        ["large_unary"],
        ["server_streaming"],
        ["client_streaming"],
        ["ping_pong"],
        ["empty_stream"],
        ["cancel_after_begin"],
        ["cancel_after_first_response"],
        ["timeout_on_sleeping_server"],
        ["custom_metadata"],
        ["status_code_and_message"],
        ["special_status_message"],
        ["unimplemented_method"],
        ["unimplemented_service"],
    ];
}
