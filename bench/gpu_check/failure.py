class CheckError(Exception):
    """The run cannot begin. Says "what: why" to the user."""
