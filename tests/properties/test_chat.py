"""A client that puts our chunks together gets the message."""

from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from k2compat.toolcalls import ReasoningMode, StreamParser
from k2compat.toolcalls.chat import ChunkStream, assistant_message
from tests.support.model_output import model_outputs


@given(
    text=model_outputs(),
    size=st.integers(1, 40),
    reasoning=st.sampled_from(["off", "tagged", "prefilled"]),
)
def test_chunks_put_together_are_the_message(
    text: str, size: int, reasoning: ReasoningMode
) -> None:
    parser = StreamParser(reasoning=reasoning)
    stream = ChunkStream(completion_id="x", model="m", created=1)
    chunks = [
        chunk
        for at in range(0, len(text), size)
        for chunk in stream.feed(parser.feed(text[at : at + size]))
    ]
    chunks += stream.feed(parser.finish())
    chunks += stream.finish(finish_reason=parser.message.finish_reason)

    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    # `get_final_completion` raises where the finish_reason is "length".
    choice = state.current_completion_snapshot.choices[0]

    expected = assistant_message(parser.message)
    read = choice.message.model_dump(exclude_none=True)
    assert read.get("content") == expected["content"]
    assert read.get("reasoning_content") == expected.get("reasoning_content")
    calls = [
        {
            "id": call["id"],
            "type": call["type"],
            "function": {key: call["function"][key] for key in ("name", "arguments")},
        }
        for call in read.get("tool_calls", [])
    ]
    assert calls == expected.get("tool_calls", [])
    assert choice.finish_reason == parser.message.finish_reason
