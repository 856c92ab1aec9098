"""What can go wrong with the demo's jobs."""


class FilmToolsMissing(RuntimeError):
    """A library that films need is not installed."""


class UnusableImage(ValueError):
    """The input image cannot be read."""


class WishRefused(ValueError):
    """The job asks for what the demo worker cannot do."""
