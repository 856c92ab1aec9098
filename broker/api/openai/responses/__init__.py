"""Responses: a chat in the shape of the newer of OpenAI's two calls."""
