"""Ctrl-C and SIGTERM as a wish that a loop heeds at its next turn."""

import signal
import threading


class Interruptible:
    """Within it the first SIGINT or SIGTERM is only counted, in `signals`; the next one has its usual effect.

    Outside the main thread, where signals cannot be caught, it does nothing.
    """

    def __enter__(self) -> "Interruptible":
        self.signals, self.usual = 0, {}
        if threading.current_thread() is threading.main_thread():
            self.usual = {number: signal.signal(number, self.count) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def count(self, *_) -> None:
        """Count a signal, and let the next one have its usual effect."""
        self.signals += 1
        self.restore()

    def restore(self) -> None:
        """Put the usual handlers back."""
        for number, handler in self.usual.items():
            signal.signal(number, handler)

    def __exit__(self, *_) -> None:
        self.restore()
