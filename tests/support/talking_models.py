"""The talking model in the forms that several tests need, each written once."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from k2compat.samples.talking import write_talking_model
from k2compat.samples.talking.model import WeightForm
from k2compat.samples.talking.tokenizer_files import Form as TokenizerForm

_kept: list[TemporaryDirectory[str]] = []


@cache
def talking_model(
    form: WeightForm = "bf16",
    *,
    tokenizer: TokenizerForm = "fast",
    special_markers: bool = False,
    joint_mla: bool = False,
) -> Path:
    """A folder with the model, until the tests end; tests only read it."""
    _kept.append(TemporaryDirectory())
    folder = Path(_kept[-1].name) / "Kimi-K2-talking"
    write_talking_model(
        folder,
        form=form,
        tokenizer=tokenizer,
        special_markers=special_markers,
        joint_mla=joint_mla,
    )
    return folder


def prompt_of(keyword: str, *, thinking: bool = False) -> str:
    """The prompt of a user who asks for a script."""
    frame = "<|im_user|>user<|im_middle|>Please answer {}<|im_end|>"
    begun = "<think>" if thinking else ""
    return frame.format(keyword) + "<|im_assistant|>assistant<|im_middle|>" + begun
