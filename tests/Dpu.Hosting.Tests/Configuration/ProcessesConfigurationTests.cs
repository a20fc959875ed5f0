using System.Text;
using System.Text.Json;
using Dpu.Hosting.Configuration;

namespace Dpu.Hosting.Tests.Configuration;

[TestClass]
public sealed class ProcessesConfigurationTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void NothingSaid_IsAuto() =>
        Assert.AreEqual(new ProcessesConfiguration(ProcessScopes.Auto, null, "dpu.slice", TimeSpan.FromSeconds(5)), Load("{}").Configuration!.Processes);

    [TestMethod]
    [TestCategory("unit")]
    public void AllSaid_IsRead_AndWrittenAsItIsRead()
    {
        HostAgentConfiguration read = Load("""{"scopes":"systemd","bus":"unix:path=/run/b","slice":"a-b.slice","answerWithin":"300ms"}""").Configuration!;
        Assert.AreEqual(new ProcessesConfiguration(ProcessScopes.Systemd, "unix:path=/run/b", "a-b.slice", TimeSpan.FromMilliseconds(300)), read.Processes);
        using var written = new MemoryStream();
        using (var writer = new Utf8JsonWriter(written))
        {
            read.WriteTo(writer);
        }

        Assert.Contains("""processes":{"scopes":"systemd","bus":"unix:path=/run/b","slice":"a-b.slice","answerWithin":"300ms"}""", Encoding.UTF8.GetString(written.ToArray()));
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("""{"scopes":"none"}""", "processes.scopes")]
    [DataRow("""{"bus":"tcp:host=a,port=1"}""", "processes.bus")]
    [DataRow("""{"bus":"unix:path=run/bus"}""", "processes.bus")]
    [DataRow("""{"bus":"unix:path=/a;unix:path=/b"}""", "processes.bus")]
    [DataRow("""{"bus":"unix:path=/a,guid=1"}""", "processes.bus")]
    [DataRow("""{"bus":""}""", "processes.bus")]
    [DataRow("""{"slice":"dpu"}""", "processes.slice")]
    [DataRow("""{"slice":".slice"}""", "processes.slice")]
    [DataRow("""{"slice":"-.slice"}""", "processes.slice")]
    [DataRow("""{"slice":"a--b.slice"}""", "processes.slice")]
    [DataRow("""{"slice":"a/b.slice"}""", "processes.slice")]
    [DataRow("""{"answerWithin":"1ms"}""", "processes.answerWithin")]
    [DataRow("""{"answerWithin":"1h"}""", "processes.answerWithin")]
    [DataRow("""{"slices":"dpu.slice"}""", "processes.slices")]
    public void Mistake_IsNamed(string section, string key) => Assert.AreEqual(key, Load(section).Errors.Single().Key);

    private static ConfigurationResult<HostAgentConfiguration> Load(string section) =>
        ConfigurationLoader.Parse<HostAgentConfiguration>(Encoding.UTF8.GetBytes("{\"listen\":[\"unix:///a\"],\"processes\":" + section + "}"), "f.json", [], []);
}
