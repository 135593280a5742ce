"""Which calls are the same call."""


def make_key(args, kwargs):
    """The key of a call: equal for calls that are the same, different for all others."""
    parts = [str(arg) for arg in args]
    parts += [f"{name}={value}" for name, value in sorted(kwargs.items())]
    return ",".join(parts)
