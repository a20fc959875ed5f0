using System.Text;
using System.Text.Json;
using Dpu.Reconciler.Targets;

namespace Dpu.Reconciler.Tests.Targets;

/// <summary>Answers of control sockets: decoded as any JSON reader would, in pieces of any size, and never beyond their end.</summary>
[TestClass]
public sealed class UnixReplyTests
{
    [TestMethod, TestCategory("unit")]
    public void Text_OfAnyCharactersInPiecesOfAnySize_IsTheText()
    {
        Random random = new(5);
        string[] parts = ["a", "\n", "\"", "\\", "\t", "é", "\u0001", "😀", "/", "recirc_id(0),", "}", "{", ","];
        for (int i = 0; i < 2000; i++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(60)).Select(_ => parts[random.Next(parts.Length)]));
            string quoted = JsonSerializer.Serialize(text, JsonText.Default.String);
            string answer = random.Next(2) == 0 ? $"{{\"id\":0,\"result\":{quoted},\"error\":null}}" : $"{{ \"error\" : null ,\"result\": {quoted} , \"id\":0 }}";
            using UnixReply reply = new(new Trickle(Encoding.UTF8.GetBytes(answer), random));
            using MemoryStream read = new();
            reply.CopyTo(read, random.Next(1, 20));
            reply.Finish("x");
            Assert.AreEqual(text, Encoding.UTF8.GetString(read.ToArray()), answer);
        }
    }

    [TestMethod, TestCategory("unit")]
    [DataRow("{\"id\":0,\"result\":null,\"error\":\"no such\\ndata path\"}", "x: no such\ndata path")]
    [DataRow("{\"id\":0,\"result\":\"abc", "in the midst")]
    [DataRow("", "without an answer")]
    [DataRow("{\"id\":0,\"result\":{}}", "no text")]
    [DataRow("{\"id\":0}", "without a result")]
    [DataRow("hello", "no JSON-RPC")]
    [DataRow("{\"result\":\"\\q\"}", "which JSON has not")]
    [DataRow("{\"result\":\"\\u12x4\"}", "four hex digits")]
    public void Answer_ThatIsNone_SaysWhy(string answer, string why)
    {
        using UnixReply reply = new(new MemoryStream(Encoding.UTF8.GetBytes(answer)));
        TargetException failure = Assert.ThrowsExactly<TargetException>(() => reply.Finish("x"));
        StringAssert.Contains(failure.Message, why);
    }

    private sealed class Trickle(byte[] bytes, Random random) : MemoryStream(bytes)
    {
        public override int Read(Span<byte> buffer) => base.Read(buffer[..Math.Min(buffer.Length, random.Next(1, 9))]);
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(string))]
internal sealed partial class JsonText : System.Text.Json.Serialization.JsonSerializerContext;
