using Dpu.Proto.V1;
using Dpu.TestSupport;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Dpu.Rpc.Tests.Proto;

[TestClass]
public sealed class ProtoRulesTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void OurFiles_AllRules_Hold()
    {
        FileDescriptor[] files = [CommonReflection.Descriptor, LinkReflection.Descriptor, AgentReflection.Descriptor, RuntimeReflection.Descriptor, ViewsReflection.Descriptor, PeermountsReflection.Descriptor, FlowsReflection.Descriptor, ReconcileReflection.Descriptor];
        string[] onDisk = [.. Directory.EnumerateFiles(Repository.PathOf("proto/dpu/v1"), "*.proto").Select(path => "dpu/v1/" + Path.GetFileName(path))];
        CollectionAssert.AreEquivalent(onDisk, files.Select(file => file.Name).ToArray(), "a .proto file is not in this test's list");
        foreach (FileDescriptor file in files)
        {
            Assert.AreEqual("dpu.v1", file.Package);
            Assert.IsEmpty(ProtoRules.Check(file), string.Join('\n', ProtoRules.Check(file)));
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void BadFile_EveryRule_Finds()
    {
        var file = new FileDescriptorProto
        {
            Name = "bad.proto",
            Syntax = "proto3",
            EnumType = { new EnumDescriptorProto { Name = "LinkState", Value = { new EnumValueDescriptorProto { Name = "UP", Number = 0 } } } },
            MessageType =
            {
                new DescriptorProto
                {
                    Name = "bad_message",
                    Field = { new FieldDescriptorProto { Name = "camelCase", Number = 1, Type = FieldDescriptorProto.Types.Type.String } },
                },
            },
            Service =
            {
                new ServiceDescriptorProto
                {
                    Name = "S",
                    Method = { new MethodDescriptorProto { Name = "ListThings", InputType = ".bad_message", OutputType = ".bad_message" } },
                },
            },
        };
        FileDescriptor built = FileDescriptor.BuildFromByteStrings([file.ToByteString()]).Single();
        IReadOnlyList<string> findings = ProtoRules.Check(built);
        Assert.HasCount(6, findings, string.Join('\n', findings));
    }
}
