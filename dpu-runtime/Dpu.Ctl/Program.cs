using System.CommandLine;
using Dpu.Ctl;

return await CommandTree.RunAsync(args, Console.Out, Console.Error, ConsoleTraits.OfThisProcess()).ConfigureAwait(false);
