global using Dpu.TestSupport;
