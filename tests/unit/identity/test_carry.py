"""A code opens one session, once, for two minutes."""

from lan_session_manager.identity.carry import LIFE_S, Carries, Given


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_code_and_its_secret_are_one_use_together() -> None:
    carries = Carries()
    made = carries.make("device", "session")
    assert made is not None
    assert len(made.code) == 6
    assert made.code.isdigit()
    assert carries.claim(secret=made.secret) == Given("device", "session")
    assert carries.claim(secret=made.secret) is None
    assert carries.claim(code=made.code) is None


def test_a_code_is_worth_nothing_after_two_minutes() -> None:
    clock = _Clock()
    carries = Carries(clock)
    made = carries.make("device", "session")
    assert made is not None
    clock.now = LIFE_S
    assert carries.claim(code=made.code) is None


def test_a_device_has_one_code_at_a_time() -> None:
    carries = Carries()
    first, second = carries.make("device", "session"), carries.make("device", "session")
    assert first is not None
    assert second is not None
    assert carries.claim(secret=first.secret) is None
    assert carries.claim(secret=second.secret) == Given("device", "session")


def test_a_forgotten_device_has_no_code() -> None:
    carries = Carries()
    made = carries.make("device", "session")
    assert made is not None
    carries.drop("device")
    assert carries.claim(code=made.code) is None


def test_nothing_and_what_is_no_code_opens_nothing() -> None:
    carries = Carries()
    carries.make("device", "session")
    for text in ("", "\x00", "\udc80", "१२३४५६", "9" * 10_000):
        assert carries.claim(code=text) is None
        assert carries.claim(secret=text) is None


def test_the_codes_that_wait_are_bounded() -> None:
    clock = _Clock()
    carries = Carries(clock, most=2)
    assert [carries.make(name, "session") is None for name in ("one", "two", "three", "two")] == [
        False, False, True, False,
    ]  # fmt: skip
    clock.now = LIFE_S
    assert carries.make("three", "session") is not None
