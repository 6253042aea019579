"""Signals as wishes that a loop heeds at its next turn, and a clock that leaves out when the process was stopped."""

import signal
import threading
import time

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, kill, and a terminal that is closed; Windows has no SIGHUP


class Clock:
    """Tells how long ago it was made, as far as the process went on (not after Ctrl-Z): no stop is training."""

    continued = 0  # how often an Interruptible process has gone on after a stop

    def __init__(self):
        self.started, self.before = time.perf_counter(), Clock.continued

    def seconds(self, usual: float = 0.0) -> float:
        """Return the seconds since then. Where a stop was among them, of unknown length: no more than is `usual`."""
        seconds = time.perf_counter() - self.started
        if self.before == Clock.continued and seconds > max(0.1, 10 * usual):
            time.sleep(0.01)  # another thread may have got the signal: this one goes on before it is counted
        return seconds if self.before == Clock.continued else min(seconds, usual)


class Interruptible:
    """Within it the first of the signals ENDING is only counted, in `signals`; the next one has its usual effect.

    But for SIGHUP: a terminal that is closed sends several, and one that is ignored, as with nohup, stays so. That the
    process goes on after a stop is counted too, for every Clock. Outside the main thread, where signals cannot be
    caught, it does nothing.
    """

    def __enter__(self) -> "Interruptible":
        self.signals, self.usual = 0, {}
        if threading.current_thread() is threading.main_thread():
            for name in (*ENDING, "SIGCONT"):
                number = getattr(signal, name, None)
                if number and not (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
                    handler = self.go_on if name == "SIGCONT" else self.count
                    self.usual[number] = signal.signal(number, handler) or signal.SIG_DFL  # None: it is not Python's
        return self

    def count(self, number: int, _) -> None:
        """Count a signal, and let the next one have its usual effect."""
        self.signals += 1
        if number in (signal.SIGINT, signal.SIGTERM):
            self.restore(signal.SIGINT, signal.SIGTERM)

    def go_on(self, *_) -> None:
        """Count that the process was stopped."""
        Clock.continued += 1

    def restore(self, *numbers: int) -> None:
        """Put the usual handlers back."""
        for number in self.usual.keys() & numbers:
            signal.signal(number, self.usual[number])

    def __exit__(self, *_) -> None:
        self.restore(*self.usual)
