"""What a test that asserts on traces fails with. Each is an AssertionError, so that pytest calls it a failure."""

width = 100  # columns of what a text draws; the pytest plugin knows the terminal


class TracesFailure(AssertionError):
    """The traces are not what the test says; the text is the whole message."""

    __module__ = "minitrace.testing"


class TracesTimeout(TracesFailure):
    """What was waited for did not come."""

    __module__ = "minitrace.testing"


class Inconclusive(TracesFailure):
    """Not all spans are known: some were dropped or have not ended, so that an absence proves nothing."""

    __module__ = "minitrace.testing"
