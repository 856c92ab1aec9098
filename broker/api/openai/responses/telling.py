"""One client is told of a job as it goes: the job's news become events, and what breaks the telling becomes one too."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from broker.api.errors import problem_of
from broker.api.lean import Call
from broker.api.openai.chat.answering import Began, Ended, Event, Question
from broker.api.openai.responses.narration import Narration
from broker.api.openai.responses.questions import echo_in
from broker.api.openai.responses.stream import ResponseStream
from broker.errors import BrokerError


async def tell(
    call: Call, news: AsyncGenerator[Event], question: Question, after: int = -1
) -> None:
    """Streams until the end, or until the client has left. Raises what goes wrong before the first byte."""
    teller = _Teller(call, question, after)
    async with aclosing(news):
        try:
            async for each in news:
                await teller.take(each)
        except BrokerError as error:
            if not teller.has_begun:
                raise
            await teller.break_off(error)


class _Teller:
    def __init__(self, call: Call, question: Question, after: int) -> None:
        self._question = question
        self._echo = echo_in(question)
        self._stream = ResponseStream(call, after)
        self._narration: Narration | None = None
        #: A format may take a second job, which is the response then: nothing is told before that is known.
        self._is_told_at_end = question.format is not None and not self._echo["background"]

    @property
    def has_begun(self) -> bool:
        return self._stream.is_open

    async def take(self, news: Event) -> None:
        if not self._stream.is_open:
            await self._stream.open()
        if self._is_told_at_end and not isinstance(news, Ended):
            await self._stream.tell(iter(()))
            return
        if self._narration is None:
            assert isinstance(news, Began | Ended)
            self._narration = Narration(news.job, self._echo)
            await self._stream.tell(self._narration.begun())
        await self._stream.tell(self._narration.told(news, self._question))
        if isinstance(news, Ended):
            await self._stream.close()

    async def break_off(self, error: BrokerError) -> None:
        number = self._narration.next_number if self._narration else 0
        await self._stream.break_off(problem_of(error), number)
