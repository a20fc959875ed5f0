using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;
using Dpu.Runtime;

return await DaemonHost.RunAsync<RuntimeConfiguration>(args, RuntimeComposition.Configure).ConfigureAwait(false);
