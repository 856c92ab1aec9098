"""The clients' door: the seed's API, in the shape that OpenAI's clients know."""
