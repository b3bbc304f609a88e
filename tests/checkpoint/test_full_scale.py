"""The real checkpoints at full scale: figures exact, no false alarm. Headers only, in memory."""

import pytest

from k2compat.checkpoint import validate
from k2compat.findings import Severity
from tests.support.amount import only_in_test_all
from tests.support.configs import config_values
from tests.support.memory_source import memory_source
from tests.support.stand_ins import STAND_INS, stand_in


@pytest.mark.sample(5)
@pytest.mark.parametrize(
    ("repo", "legacy", "tensors", "parameters", "own", "data_bytes"),
    [
        (
            "moonshotai/Kimi-K2-Instruct",
            True,
            139_644,
            1_026_470_731_056,
            1_026_408_232_448,
            1_029_173_256_720,
        ),
        (
            "moonshotai/Kimi-K2-Thinking",
            False,
            208_215,
            170_267_038_208,
            1_026_408_232_448,
            594_205_904_896,
        ),
        (
            "moonshotai/Kimi-K2.5",
            False,
            208_550,
            170_738_182_128,
            1_026_879_376_368,
            595_148_192_736,
        ),
        (
            "deepseek-ai/DeepSeek-V3",
            False,
            91_991,
            684_531_386_000,
            684_489_845_504,
            688_574_839_360,
        ),
    ],
)
def test_a_sound_checkpoint_is_called_sound(
    repo: str, legacy: bool, tensors: int, parameters: int, own: int, data_bytes: int
) -> None:
    validation = validate(memory_source(config_values(repo), legacy=legacy))
    assert [f for f in validation.report if f.severity is not Severity.INFO] == []
    assert validation.model_parameters == own
    assert validation.coverage.judged == validation.coverage.all == tensors
    assert (validation.tensors, validation.parameters, validation.bytes) == (
        tensors,
        parameters,
        data_bytes,
    )


@only_in_test_all
@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_of_each_quantisation_is_judged_to_the_last_tensor(name: str) -> None:
    validation = validate(memory_source(stand_in(name)))
    assert [f for f in validation.report if f.severity is not Severity.INFO] == []
    assert validation.coverage.judged == validation.coverage.all == validation.tensors
    if name == "nvidia/Kimi-K2.5-NVFP4":
        assert (validation.tensors, validation.bytes) == (277_907, 589_987_503_448)
    # The model's own parameters do not depend on how they are stored.
    vision = validation.model_parameters - 1_026_408_232_448
    assert vision == 0 or name.startswith("nvidia/")
