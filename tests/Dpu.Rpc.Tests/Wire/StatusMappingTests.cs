using Dpu.Rpc.Wire;
using FsCheck;
using FsCheck.Fluent;
using Grpc.Core;

namespace Dpu.Rpc.Tests.Wire;

[TestClass]
public sealed class StatusMappingTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow(200, StatusCode.Unknown)]
    [DataRow(400, StatusCode.Internal)]
    [DataRow(401, StatusCode.Unauthenticated)]
    [DataRow(403, StatusCode.PermissionDenied)]
    [DataRow(404, StatusCode.Unimplemented)]
    [DataRow(429, StatusCode.Unavailable)]
    [DataRow(502, StatusCode.Unavailable)]
    [DataRow(503, StatusCode.Unavailable)]
    [DataRow(504, StatusCode.Unavailable)]
    [DataRow(418, StatusCode.Unknown)]
    [DataRow(500, StatusCode.Unknown)]
    public void FromHttp_Status_IsTheTables(int http, StatusCode expected) => Assert.AreEqual(expected, StatusMapping.FromHttp(http));

    [TestMethod]
    [TestCategory("unit")]
    public void FromReset_EveryCode_IsTheTables()
    {
        var expected = new Dictionary<long, StatusCode>
        {
            [0x7] = StatusCode.Unavailable,
            [0x8] = StatusCode.Cancelled,
            [0xb] = StatusCode.ResourceExhausted,
            [0xc] = StatusCode.PermissionDenied,
        };
        for (long code = 0; code < 32; code++)
        {
            Assert.AreEqual(expected.GetValueOrDefault(code, StatusCode.Internal), StatusMapping.FromReset(code), $"code {code}");
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void FromHeaders_AnyText_IsAKnownCode() =>
        Prop.ForAll<string, string>((status, message) => Enum.IsDefined(StatusMapping.FromHeaders(status ?? "", message).StatusCode)).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("0", StatusCode.OK)]
    [DataRow("16", StatusCode.Unauthenticated)]
    [DataRow("17", StatusCode.Unknown)]
    [DataRow("-1", StatusCode.Unknown)]
    [DataRow("", StatusCode.Unknown)]
    public void FromHeaders_Code_IsRead(string status, StatusCode expected) =>
        Assert.AreEqual(expected, StatusMapping.FromHeaders(status, null).StatusCode);

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("application/grpc", true)]
    [DataRow("application/grpc+proto", true)]
    [DataRow("Application/GRPC;charset=utf-8", true)]
    [DataRow("application/grpc-web", false)]
    [DataRow("application/grp", false)]
    [DataRow("", false)]
    public void IsGrpcContentType_Type_IsToldApart(string type, bool expected) => Assert.AreEqual(expected, GrpcProtocol.IsGrpcContentType(type));
}
