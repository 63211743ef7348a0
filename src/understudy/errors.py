"""The one kind of error that a user caused and can mend."""


class InputError(ValueError):
    """Bad configuration, file or argument.

    The message names the key or file, what was found and what is accepted. Programs print it without a traceback and
    exit with status 2.
    """
