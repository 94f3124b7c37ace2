"""A GPIO line to switch: a real one by libgpiod, or one that only says what it would do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from workties import StepFailed

Switch = Callable[[bool], None]

CONSUMER = "workty gpio-blink"


def find_gpiod() -> ModuleType | None:
    """Python's gpiod, None if it is not there or older than version 2, which had other functions."""
    try:
        import gpiod  # noqa: PLC0415  (not on every board)
    except ImportError:
        return None
    return gpiod if hasattr(gpiod, "request_lines") else None


def obstacle(chip: str) -> str | None:
    """Why lines of this chip cannot be switched, None if nothing is in the way."""
    if not Path(chip).exists():
        return f"there is no {chip}, or the board does not lend it to steps"
    if find_gpiod() is None:
        return "Python's gpiod 2 is not installed where the agent is"
    return None


@contextmanager
def real(chip: str, line: str) -> Iterator[Switch]:
    """A line of a chip, low at first; low and released in the end, however that comes.

    Raises:
        StepFailed: the line cannot be had.
    """
    gpiod = find_gpiod()
    off, on = gpiod.line.Value.INACTIVE, gpiod.line.Value.ACTIVE
    settings = gpiod.LineSettings(direction=gpiod.line.Direction.OUTPUT, output_value=off)
    key = int(line) if line.isdigit() else line
    try:
        request = gpiod.request_lines(chip, consumer=CONSUMER, config={key: settings})
    except (OSError, ValueError) as error:
        raise StepFailed(
            f"Line {line} of {chip} cannot be switched: {error}. Is it the right one, and free?"
        ) from error
    with request:
        try:
            yield lambda wanted: request.set_value(key, on if wanted else off)
        finally:
            request.set_value(key, off)


@contextmanager
def simulated(say: Callable[[str], None]) -> Iterator[Switch]:
    """A line that says to what it would be switched."""
    yield lambda wanted: say(f"simulated: {'on' if wanted else 'off'}")
    say("simulated: off and released")
