"""What can go wrong with the demo's films."""


class FilmToolsMissing(RuntimeError):
    """A library that films need is not installed."""


class UnusableImage(ValueError):
    """The input image cannot be read."""
