"""An error is a sentence that says what to do, and shows nothing of our insides."""

import pickle
import re
import string

import pytest

from lan_session_manager import errors
from lan_session_manager.errors import LSMError, QueueFullError


def _kinds() -> list[type[LSMError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LSMError)]


def _made(kind: type[LSMError]) -> LSMError:
    fields = [field for _, field, _, _ in string.Formatter().parse(kind.__doc__ or "") if field]
    return kind(**{field: "Something is so." if field == "what" else "x" for field in fields})


@pytest.mark.parametrize("kind", _kinds())
def test_an_error_is_one_or_more_sentences_with_a_code_and_a_status(kind: type[LSMError]) -> None:
    error = _made(kind)
    assert re.fullmatch(r"[A-Z{x].*\.", error.message, re.DOTALL)
    assert "  " not in error.message
    assert "\n" not in error.message
    assert 400 <= error.status < 600
    assert re.fullmatch(r"[a-z_]+", error.code)


@pytest.mark.parametrize("kind", _kinds())
def test_an_error_survives_the_way_between_processes(kind: type[LSMError]) -> None:
    error = _made(kind)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(again), again.message) == (type(error), error.message)


def test_facts_stand_in_the_sentence() -> None:
    assert "7 tasks wait" in QueueFullError(bound=7).message
