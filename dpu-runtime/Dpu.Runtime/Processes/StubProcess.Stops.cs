using Dpu.Linux;

namespace Dpu.Runtime.Processes;

// The process stops, and goes on.
internal sealed partial class StubProcess
{
    private void Stopped(int number)
    {
        // It crosses with what has it go on: the host answers that with a word of its own.
        bool crosses = _goesOn;
        _stoppedBy = number;
        if (!crosses)
        {
            History.Add($"stopped by signal {number}");

            // What is typed from now on is not for it.
            (_mayRead, _stubGoesOn) = (false, false);
            _stopArrivals = _channel.Arrivals(terminals: true);
        }
    }

    private void Continued()
    {
        // Where its stub has it go on, that one does already.
        bool byItself = _stoppedBy != 0 && !_stubGoesOn;
        if (_stoppedBy != 0)
        {
            History.Add("it goes on");
        }

        (_stoppedBy, _stopArrivals, _goesOn) = (0, null, false);
        if (byItself && StartOf(Stub) == _memory.Began)
        {
            _ = LibC.kill(Stub, signal.SIGCONT);
        }
    }
}
