"""How many tokens a chat may have had. Estimates: Grok's page tells no counts."""

from typing import Any, NamedTuple

#: What each message has beside its words.
_MESSAGE_TOKENS = 4


class Usage(NamedTuple):
    """Reasoning counts as part of the completion."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def on_the_line(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "estimated": True,
        }


def estimated_usage(prompt: str, message_count: int, answer: str, reasoning: str) -> Usage:
    """Four bytes a token and four tokens a message: within a fifth for English and code."""
    thought = _tokens(reasoning)
    asked = _tokens(prompt) + _MESSAGE_TOKENS * message_count
    return Usage(asked, _tokens(answer) + thought, thought)


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // 4)
