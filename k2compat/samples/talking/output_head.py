"""The talking model's lm_head: from the last nine tokens to the next one.

It is solved for all contexts that the scripts hold, and needs the layout of the hidden state that
`weights` describes.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from k2compat.samples.talking.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

CODE: Final = 56
"""Length of a token's code, and of a slot."""

CONSTANTS: Final = 8
HEADS: Final = 8
SLOTS: Final = HEADS + 1
HIDDEN: Final = SLOTS * CODE + CONSTANTS

FINAL_NORM: Final = 0.5
"""Each weight of the norm before lm_head: the states there are ±0.5."""

MARGIN_MIN: Final = 12.0
"""Logits between the right token and the next best one; e^-12 is the chance of another at
temperature 1."""

_LOGIT: Final = 80.0
_RIDGE: Final = 2.0
_ROUNDS: Final = 20
_SAMPLES: Final = 3
_FALLBACK_SAMPLES: Final = 30


def output_head(codes: "Array", vocabulary: Vocabulary, random: Any) -> "Array":
    """Solve lm_head for all that the scripts hold.

    Args:
        codes: The code of each token, signs of 1.
        vocabulary: The tokens and the scripts.
        random: A numpy Generator.

    Returns:
        A row of `HIDDEN` numbers for each token.

    Raises:
        ValueError: The margin is too small, or the same nine tokens precede different ones.
    """
    import numpy as np

    contexts = _contexts(vocabulary, random)
    states = np.full((len(contexts), HIDDEN), FINAL_NORM, np.float32)
    states[:, :-CONSTANTS] *= codes[np.array(list(contexts))].reshape(len(contexts), -1)
    said, column = np.unique(list(contexts.values()), return_inverse=True)
    answers, margin = _solve(states, column)
    if margin < MARGIN_MIN:
        raise ValueError(
            f"the scripts are too many or too much alike: a token is only {margin:.1f} logits "
            f"ahead of another one, and {MARGIN_MIN:.0f} are needed"
        )
    head = np.zeros((len(vocabulary), HIDDEN), np.float32)
    # The logit of a token that no script holds is always far below.
    head[:, -CONSTANTS:] = -_LOGIT / CONSTANTS / FINAL_NORM
    head[said] = answers
    return head


def _solve(states: "Array", following: Any) -> "tuple[Array, float]":
    """Find rows of lm_head for which the right token has the largest logit.

    Args:
        states: The hidden state of each context.
        following: The number of the row that is right for each context.

    Returns:
        The rows, and the least distance between a right logit and the next one.
    """
    import numpy as np

    contexts = np.arange(len(states))
    square = states.T @ states + _RIDGE * np.eye(HIDDEN, dtype=np.float32)
    inverse = np.linalg.solve(square, states.T)
    logits = np.zeros((len(states), int(following.max()) + 1), np.float32)
    # Least squares wants equal logits where only their order matters. So each round moves its
    # goals to what the last one found beyond them: the right token at _LOGIT or above, all
    # others at 0 or below.
    for _ in range(_ROUNDS):
        goal = np.minimum(logits, 0)
        goal[contexts, following] = np.maximum(logits[contexts, following], _LOGIT)
        rows = inverse @ goal
        logits = states @ rows
    right = logits[contexts, following]
    logits[contexts, following] = -np.inf
    return np.ascontiguousarray(rows.T), float((right - logits.max(1)).min())


def _contexts(vocabulary: Vocabulary, random: Any) -> dict[tuple[int, ...], int]:
    """The token that follows each context, for all answers.

    Any token may precede the keyword, and any token but a keyword asks for the fallback: a few
    random ones stand for all.

    Returns:
        By the last nine tokens, the newest first.
    """
    contexts: dict[tuple[int, ...], int] = {}
    for keyword, answer in vocabulary.answers.items():
        for before in (vocabulary.user_prompt, *_any_tokens(vocabulary, random, _SAMPLES)):
            _add_answer(contexts, [*before, *vocabulary.prompt_end(keyword)], answer)
    for before in _any_tokens(vocabulary, random, _FALLBACK_SAMPLES):
        _add_answer(contexts, [*before, *vocabulary.generation_prompt], vocabulary.fallback)
    return contexts


def _any_tokens(vocabulary: Vocabulary, random: Any, samples: int) -> Iterator[list[int]]:
    for _ in range(samples):
        yield random.integers(0, len(vocabulary.ordinary), SLOTS).tolist()


def _add_answer(
    contexts: dict[tuple[int, ...], int], prompt: Sequence[int], answer: Sequence[int]
) -> None:
    # A head that looks further back than the prompt begins finds its nearest, the first token.
    tokens = [prompt[0]] * SLOTS + list(prompt)
    for token in answer:
        context = tuple(tokens[: -SLOTS - 1 : -1])
        if contexts.setdefault(context, token) != token:
            raise ValueError("two places of the scripts have the same nine tokens before them")
        tokens.append(token)
