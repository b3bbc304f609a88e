"""Whatever conversation a client sends, its ids become dense and native."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k2compat.toolcalls.history import native_history, restore_ids

client_ids = st.sampled_from(["call_a", "call_b", "functions.f:0", "functions.g:7", "0", ""])
names = st.sampled_from(["f", "g", "get-time"])
calls = st.fixed_dictionaries(
    {
        "id": client_ids,
        "function": st.fixed_dictionaries(
            {"name": names, "arguments": st.sampled_from(["{}", '{"a"'])}
        ),
    }
)
messages = st.one_of(
    st.just({"role": "user", "content": "Hi"}),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": st.just(""), "tool_calls": st.lists(calls)}
    ),
    st.fixed_dictionaries(
        {"role": st.just("tool"), "content": st.just("ok"), "tool_call_id": client_ids},
        optional={"name": names},
    ),
)
conversations = st.lists(messages, max_size=8)


@given(conversations)
def test_calls_are_numbered_in_order_and_the_way_back_is_exact(
    conversation: list[dict[str, Any]],
) -> None:
    before = copy.deepcopy(conversation)
    history = native_history(conversation)
    assert conversation == before

    numbered = [
        call["id"] for message in history.messages for call in message.get("tool_calls", ())
    ]
    numbers = [int(native.rpartition(":")[2]) for native in numbered]
    assert numbers == sorted(set(numbers))
    assert history.call_count == len(history.original_ids)
    if not history.unmatched:
        assert numbers == list(range(history.call_count))
    assert restore_ids(history.messages, history.original_ids) == conversation


@given(conversations)
def test_native_ids_stay_as_they_are(conversation: list[dict[str, Any]]) -> None:
    messages = native_history(conversation).messages
    assert native_history(messages).messages == messages
