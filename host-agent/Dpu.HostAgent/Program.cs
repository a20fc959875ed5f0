using Dpu.HostAgent;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;

return await DaemonHost.RunAsync<HostAgentConfiguration>(args, HostAgentComposition.Configure).ConfigureAwait(false);
