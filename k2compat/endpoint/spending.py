"""How many tokens a run may still use."""

from k2compat.endpoint.asking.request import Request
from k2compat.endpoint.reading.answer import Recording
from k2compat.endpoint.reading.read import read_answer


class Spending:
    """Compares used tokens with a budget, by the server's own counts where it gives them."""

    def __init__(self, budget: int) -> None:
        """Begin with nothing spent.

        Args:
            budget: tokens of prompts and answers together.
        """
        self._left = budget

    def allows(self, request: Request) -> bool:
        """Whether a request fits; its tokens are then reserved until its answer comes."""
        if request.estimated_tokens > self._left:
            return False
        self._left -= request.estimated_tokens
        return True

    def take(self, request: Request, recording: Recording) -> None:
        """Replace the estimate by the server's count."""
        answer = read_answer(request, recording)
        counted = answer.count("total_tokens")
        if counted is not None:
            self._left += request.estimated_tokens - counted
