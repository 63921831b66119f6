"""Errors are reported as one line "what: why", with an exit code."""


class ReportError(Exception):
    """A failure while running: exit code 1."""

    exit_code = 1


class InputError(ReportError):
    """Bad usage or bad input: exit code 2."""

    exit_code = 2
